"""One run: its series, its live events and its checkpoints."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

from grokprobe.client.answers import last_step
from grokprobe.client.asking import Ask, given
from grokprobe.client.events import Event
from grokprobe.client.records import (
    CardAnswer,
    CheckpointList,
    CoordinatesAnswer,
    DriftAnswer,
    EmergenceAnswer,
    GridsAnswer,
    NeuronSeriesAnswer,
    PairsAnswer,
    PairSumsAnswer,
    PathAnswer,
    RunAnswer,
    SpectraAnswer,
    SplitAnswer,
    TrajectoryAnswer,
    UpdatesAnswer,
)
from grokprobe.client.synchronous.checkpoint import Checkpoint, Rows
from grokprobe.client.synchronous.connection import Connection
from grokprobe.client.synchronous.events import listen
from grokprobe.client.synchronous.resource import A, Resource
from grokprobe.client.synchronous.steps import all_checkpoints

Label = Literal["first", "latest", "memorised", "generalised"]
Keys = str | Sequence[int]


class Run(Resource):
    """A run; `about` is its record: task, split, optimiser, when it memorised and generalised.

    `from_step` and `to_step` choose a part of a series, steps of both included.
    """

    def __init__(self, connection: Connection, about: RunAnswer) -> None:
        self.about = about
        super().__init__(connection, {"run": about.run}, about.created_at.isoformat())

    @property
    def name(self) -> str:
        """Its name."""
        return self.about.run

    def __repr__(self) -> str:
        """Name, status and checkpoints."""
        about = self.about
        return f"<run {about.run}: {about.status}, {about.checkpoint_count} checkpoints>"

    def _get(self, kind: type[A], route: str, **query: Any) -> A:
        """While it is trained, what is had of a series later ends where its record does."""
        found = super()._get(kind, route, **query)
        is_open = self.about.status == "running" and query.get("to_step", 0) is None
        if is_open and (last := last_step(found)) is not None:
            asked: Ask = found.__dict__["source"].ask
            found.__dict__["source"] = self._source(asked.at(to_step=last))
        return found

    def refresh(self) -> RunAnswer:
        """The record as it is now, also in `about`."""
        self.about = self._get(RunAnswer, "GET /v1/runs/{run}")
        self._identity = self.about.created_at.isoformat()
        return self.about

    def at(self, step: int | str) -> Checkpoint:
        """A checkpoint: a step, a label such as `generalised`, or -1 for the last, -2 before it."""
        return Checkpoint(self._connection, self.name, str(step), self._identity)

    def checkpoints(
        self, *, from_step: int | None = None, to_step: int | None = None
    ) -> CheckpointList:
        """Its checkpoints by step, of all pages."""
        return all_checkpoints(self, from_step=from_step, to_step=to_step)

    def trajectory(
        self,
        measures: Sequence[str] | None = None,
        *,
        keys: Keys | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> TrajectoryAnswer:
        """Measures at every checkpoint."""
        route = "GET /v1/runs/{run}/trajectory"
        steps = {"from_step": from_step, "to_step": to_step}
        return self._get(TrajectoryAnswer, route, measures=measures, keys=keys, **steps)

    def emergence(self, *, keys: Keys | None = None) -> EmergenceAnswer:
        """When it memorised and generalised, and how structure moved beside that."""
        return self._get(EmergenceAnswer, "GET /v1/runs/{run}/emergence", keys=keys)

    def card(self, *, digest: str | None = None) -> CardAnswer:
        """Its card: what was trained, what happened when, digests, the command, how to cite it."""
        return self._get(CardAnswer, "GET /v1/runs/{run}/card", digest=digest)

    def coordinates(
        self,
        of: Rows | None = None,
        *,
        frequency: int | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> CoordinatesAnswer:
        """The residues in the plane of one frequency at every checkpoint."""
        route = "GET /v1/runs/{run}/coordinates"
        steps = {"from_step": from_step, "to_step": to_step}
        return self._get(CoordinatesAnswer, route, of=of, frequency=frequency, **steps)

    def spectra(
        self,
        of: Literal["embedding"] | None = None,
        *,
        value: Literal["share", "power"] | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> SpectraAnswer:
        """The embedding's spectrum at every checkpoint."""
        route = "GET /v1/runs/{run}/spectra"
        steps = {"from_step": from_step, "to_step": to_step}
        return self._get(SpectraAnswer, route, of=of, value=value, **steps)

    def grids(
        self,
        of: Literal["predicted", "correct"] | None = None,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> GridsAnswer:
        """What it answers to every pair at every checkpoint."""
        route = "GET /v1/runs/{run}/grids"
        return self._get(GridsAnswer, route, of=of, from_step=from_step, to_step=to_step)

    @overload
    def pairs(
        self,
        by: Literal["pair"] | None = "pair",
        *,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> PairsAnswer: ...
    @overload
    def pairs(
        self,
        by: Literal["answer", "difference", "mirror"],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> PairSumsAnswer: ...
    def pairs(
        self,
        by: Literal["pair", "answer", "difference", "mirror"] | None = "pair",
        *,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> PairsAnswer | PairSumsAnswer:
        """When each pair was learnt, or sums of that."""
        route, query = "GET /v1/runs/{run}/pairs", {"from_step": from_step, "to_step": to_step}
        if dict(given({"by": by})).get("by", "pair") == "pair":  # as it is sent
            return self._get(PairsAnswer, route, by=by, **query)
        return self._get(PairSumsAnswer, route, by=by, **query)

    def split(self) -> SplitAnswer:
        """Which pairs are train pairs. Raises NotFound where nobody knows."""
        return self._get(SplitAnswer, "GET /v1/runs/{run}/split")

    def neurons(
        self, *, from_step: int | None = None, to_step: int | None = None
    ) -> NeuronSeriesAnswer:
        """Each neuron's frequency, share and phases at every checkpoint."""
        route = "GET /v1/runs/{run}/neurons"
        return self._get(NeuronSeriesAnswer, route, from_step=from_step, to_step=to_step)

    def drift(
        self,
        reference: int | Label | None = None,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> DriftAnswer:
        """Every checkpoint beside one of them."""
        route = "GET /v1/runs/{run}/drift"
        steps = {"from_step": from_step, "to_step": to_step}
        return self._get(DriftAnswer, route, reference=reference, **steps)

    def updates(
        self, *, top: int | None = None, from_step: int | None = None, to_step: int | None = None
    ) -> UpdatesAnswer:
        """What changed from each checkpoint to the next."""
        route = "GET /v1/runs/{run}/updates"
        return self._get(UpdatesAnswer, route, top=top, from_step=from_step, to_step=to_step)

    def path(
        self,
        *,
        components: int | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> PathAnswer:
        """All weights of each checkpoint in their first principal components."""
        route = "GET /v1/runs/{run}/path"
        steps = {"from_step": from_step, "to_step": to_step}
        return self._get(PathAnswer, route, components=components, **steps)

    def events(self, after: str | None = None) -> Iterator[Event]:
        """What happens to the run, as it happens, until it has ended; `after` is an event's id."""
        asked = self._ask("GET /v1/runs/{run}/events")
        for event in listen(self._connection, asked, after):
            yield event

    def to_xarray(self) -> Any:
        """An xarray.Dataset: measures, spectra, coordinates and pairs with units and meanings."""
        from grokprobe.client.datasets import dataset, is_cyclic

        # Up to one step: a run that is being trained gains others meanwhile.
        running = self.about.status == "running"
        last = (self.refresh()).latest_step if running else None
        spectra = self.spectra(to_step=last)
        pairs = self._ask("GET /v1/runs/{run}/pairs", to_step=last)
        return dataset(
            self.about,
            self.trajectory(to_step=last),
            spectra,
            self.coordinates(to_step=last) if is_cyclic(spectra) else None,
            (self._get_array(pairs)).to_numpy(),
        )
