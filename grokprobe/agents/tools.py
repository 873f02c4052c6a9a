"""The tools: each asks a service for one answer and tells the head of it.

The docstrings and the words beside the arguments are what an assistant reads.
"""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from grokprobe.agents.words import more, refusal, relative_distance, some, told
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.client.asynchronous.checkpoint import AsyncCheckpoint
from grokprobe.client.asynchronous.client import AsyncClient
from grokprobe.client.asynchronous.run import AsyncRun
from grokprobe.client.errors import ClientError, InvalidRequest, NotFound

HEADLINE = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "weight_norm"),
    *("gini_embedding", "key_share", "restricted_loss", "excluded_loss", "neurons_clustered"),
)
MEANINGS = {measure.name: measure.meaning for measure in MEASURES}

RunName = Annotated[str, Field(description="name of a run, as `runs` lists it")]
Step = Annotated[
    str,
    Field(description="a published step, or first, latest, memorised, generalised"),
]
Address = Annotated[str, Field(description="RUN@STEP; STEP as elsewhere, such as a@generalised")]
Rows = Literal["embedding", "unembedding", "neuron_logit_map", "logits"]
Chart = Literal["circle", "spectrum", "predictions", "neurons", "trajectory", "spectra", "pairs"]
METHODS = {"circle": "embedding"}
OF_A_RUN = ("trajectory", "spectra", "pairs")


class Tools:
    """Every public method is a tool."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def runs(
        self,
        operation: str | None = None,
        modulus: int | None = None,
        status: Literal["running", "complete", "stopped", "failed"] | None = None,
        group: str | None = None,
    ) -> str:
        """List published runs: each one training of a small network on modular arithmetic.

        `test_accuracy` is that of the latest step.
        """
        try:
            found = await self._client.runs(
                operation=operation, modulus=modulus, status=status, group=group
            )
        except ClientError as error:
            raise ToolError(refusal(error)) from None
        shown = ("run", "operation", "modulus", "status", "latest_step", "test_accuracy")
        rows = [some(row, shown) for row in found.runs]
        return told({"count": len(rows), "runs": rows}, more(found), rows=["runs"])

    async def run(self, run: RunName) -> str:
        """What a run is: task, train/test split, configuration, status, digests, how to cite it.

        Steps count optimiser updates. `memorised` and `generalised` are the first steps from which
        train and test accuracy stay at or above 0.99; null if that did not happen.
        """
        found = await self._run(run)
        card = await found.card()
        facts = some(
            found.about,
            (
                *("run", "status", "created_at", "task", "seed", "checkpoint_count"),
                *("first_step", "latest_step", "memorised_step", "generalised_step"),
                *("key_frequencies", "architecture", "optimiser"),
            ),
        )
        facts["digest"] = f"sha256:{card.digests.card}"
        cite = card.citation.text if card.citation else "not yet: the run goes on"
        return told(facts, more(found.about), rows=["key_frequencies"], cite=cite)

    async def emergence(self, run: RunName) -> str:
        """When a run memorised and generalised, and when structure emerged beside that.

        `series`: the steps at which each series leaves its first level (onset), is half-way
        (midpoint) and stays at its last (settled). `lags`: steps behind test accuracy, negative if
        before. `phases`: steps of memorisation, circuit formation and cleanup.
        """
        answer = await (await self._run(run)).emergence()
        moments = ("onset", "midpoint", "settled")
        facts: dict[str, Any] = {
            "run": answer.run,
            "provisional": answer.provisional,
            "memorised": answer.memorised and answer.memorised.to_dict(),
            "generalised": answer.generalised and answer.generalised.to_dict(),
            "phases": answer.phases.to_dict(),
            "series": [
                {"series": name}
                | {m: at.step for m in moments if (at := getattr(row, m)) is not None}
                for name, row in answer.series.items()
            ],
            "lags": [
                {"series": name} | {m: lag.steps for m in moments if (lag := row.get(m))}
                for name, row in answer.lags.items()
            ],
        }
        return told(facts, more(answer), rows=["series", "lags"])

    async def measures(
        self,
        run: RunName,
        step: Step = "latest",
        names: Annotated[list[str] | None, Field(description="the main ones, if left out")] = None,
    ) -> str:
        """Scalars of one checkpoint: losses in nat, accuracies and shares from 0 to 1."""
        checkpoint = await self._checkpoint(run, step)
        about = await self._asked(checkpoint.about())
        if names is None:
            chosen = {n: about.measures[n] for n in HEADLINE if n in about.measures}
            others = sorted(about.measures.keys() - chosen.keys())
        else:
            try:
                chosen = (await checkpoint.measures(names)).measures
            except InvalidRequest as error:
                raise ToolError(refusal(error, MEANINGS, names)) from None
            others = []
        rows = [{"measure": n, "value": v, "meaning": MEANINGS.get(n)} for n, v in chosen.items()]
        facts = {"run": about.run, "step": about.step, "measures": rows, "others": others}
        cite = {"run": about.run, "step": about.step, "sha256": about.model.sha256}
        return told(facts, more(about), rows=["others", "measures"], cite=cite)

    async def compare(self, a: Address, b: Address) -> str:
        """Two checkpoints side by side: answers by split, key frequencies, weights.

        The weights that changed most come first, by the distance relative to both norms.
        """
        first, second = [await self._at(one) for one in (a, b)]
        answer = await self._asked(self._client.compare(first, second))
        parts = ("split_a", "split_b", "pairs", "accuracy_a", "accuracy_b", "loss_a", "loss_b")
        weights = sorted(answer.weights or [], key=relative_distance, reverse=True)
        shown = ("name", "distance", "cosine", "norm_a", "norm_b")
        facts = {
            "identical": answer.identical,
            "parts": [some(p, (*parts, "wrong_to_right", "right_to_wrong")) for p in answer.parts],
            "keys": [
                some(k, ("frequency", "change", "share_a", "share_b")) for k in answer.keys or []
            ],
            "weights": [some(w, shown) for w in weights],
        }
        cite = {"a": answer.a.to_dict(), "b": answer.b.to_dict()}
        return told(facts, more(answer), rows=["weights", "keys"], cite=cite)

    async def predict(
        self,
        run: RunName,
        pairs: Annotated[list[tuple[int, int]], Field(description="[a, b], each 0..modulus-1")],
        step: Step = "latest",
    ) -> str:
        """What a checkpoint answers to pairs (a, b), beside the right answer.

        `split` says whether the pair was trained on; `probability` is that of what it predicts.
        """
        checkpoint = await self._checkpoint(run, step)
        answer = await self._asked(checkpoint.predict(pairs))
        about = await self._asked(checkpoint.about())
        shown = ("a", "b", "predicted", "answer", "correct", "probability", "loss", "split")
        facts = {
            **some(answer, ("run", "step", "operation", "modulus")),
            "correct": sum(bool(p.correct) for p in answer.predictions),
            "predictions": [some(p, shown) for p in answer.predictions],
        }
        cite = {"sha256": about.model.sha256}
        return told(facts, more(about, "/predictions"), rows=["predictions"], cite=cite)

    async def spectrum(
        self,
        run: RunName,
        step: Step = "latest",
        of: Rows = "embedding",
        null: Annotated[int, Field(ge=0, le=1000, description="draws of a null; 0: none")] = 0,
    ) -> str:
        """The Fourier spectrum of a checkpoint: the strongest frequencies first.

        `share` is of the power without the constant; `key` marks the network's key frequencies.
        With `null`, how often residues in random order are as concentrated.
        """
        checkpoint = await self._checkpoint(run, step)
        answer = await self._asked(checkpoint.spectrum(of, null=null or None))
        rows = sorted(answer.spectrum, key=lambda row: row.share or 0, reverse=True)
        about = await self._asked(checkpoint.about())
        facts = {
            **some(answer, ("run", "step", "of", "gini_frequencies", "key_frequencies")),
            "null": answer.null
            and some(answer.null, ("statistic", "permutations", "p_value", "z")),
            "frequencies": len(rows),
            "spectrum": [some(row, ("frequency", "share", "key")) for row in rows],
        }
        return told(facts, more(answer), rows=["spectrum"], cite={"sha256": about.model.sha256})

    async def picture(self, run: RunName, chart: Chart, step: Step = "latest") -> list[Any]:
        """A picture of a checkpoint, or of a whole run: trajectory, spectra and pairs."""
        of_run = chart in OF_A_RUN
        place: Any = await self._run(run) if of_run else await self._checkpoint(run, step)
        answer = await self._asked(getattr(place, METHODS.get(chart, chart))())
        try:
            await self._client.read([answer], "png")
        except ClientError as error:
            advice = f". Its numbers: {more(answer)}"
            raise ToolError(refusal(error) + advice) from None
        return [Image(data=answer.picture("png"), format="png"), told({}, more(answer))]

    async def _run(self, name: str) -> AsyncRun:
        try:
            return await self._client.run(name)
        except NotFound as error:
            known = [row.run for row in (await self._client.runs()).runs]
            raise ToolError(refusal(error, known, [name])) from None
        except ClientError as error:
            raise ToolError(refusal(error)) from None

    async def _checkpoint(self, run: str, step: str) -> AsyncCheckpoint:
        return (await self._run(run)).at(step)

    async def _at(self, address: str) -> AsyncCheckpoint:
        run, _, step = address.partition("@")
        return await self._checkpoint(run, step or "latest")

    async def _asked(self, asking: Any) -> Any:
        try:
            return await asking
        except ClientError as error:
            raise ToolError(refusal(error)) from None
