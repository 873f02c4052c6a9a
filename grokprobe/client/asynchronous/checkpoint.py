"""One checkpoint of a run."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

from grokprobe.client.answers import Array
from grokprobe.client.asking import Ask, whole_pairs
from grokprobe.client.asynchronous.connection import AsyncConnection
from grokprobe.client.asynchronous.resource import Resource
from grokprobe.client.asynchronous.steps import numbered
from grokprobe.client.records import (
    CheckpointAnswer,
    EmbeddingAnswer,
    InterventionAnswer,
    IrrepSpectrumAnswer,
    MeasuresAnswer,
    NeuronsAnswer,
    PredictionAnswer,
    ProjectorConfig,
    SpectrumAnswer,
    WeightsAnswer,
)

Rows = Literal[
    "embedding", "embedding_b", "effective_embedding", "effective_embedding_b", "unembedding"
]
Statistic = Literal["gini_frequencies", "max_share"]
Names = Literal["grokprobe", "transformer_lens"]  # of weights


class AsyncCheckpoint(Resource):
    """A step of a run: a number, a label, or from the end where it is negative."""

    def __init__(self, connection: AsyncConnection, run: str, step: str, identity: str) -> None:
        super().__init__(connection, {"run": run, "step": step}, identity)

    def __repr__(self) -> str:
        """Run and step, as `compare` takes them."""
        return f"{self._names['run']}/{self._names['step']}"

    @property
    def identity(self) -> str:
        """When the run was created."""
        return self._identity

    async def _address(self) -> str:
        """RUN/STEP."""
        return "/".join((await self._named()).values())

    async def _named(self) -> dict[str, str]:
        run, step = self._names["run"], self._names["step"]
        if re.fullmatch(r"-[1-9]\d{0,17}", step):
            step = await numbered(self._connection, run, self._identity, int(step))
        return {"run": run, "step": step}

    async def about(self) -> CheckpointAnswer:
        """Its file, every stored measure, its local learning coefficient."""
        return await self._get(CheckpointAnswer, "GET /v1/runs/{run}/checkpoints/{step}")

    async def spectrum(
        self,
        of: Rows | Literal["neuron_logit_map", "logits"] | None = None,
        *,
        basis: Literal["operation", "natural"] | None = None,
        null: int | None = None,
        statistic: Statistic | None = None,
        seed: int | None = None,
    ) -> SpectrumAnswer:
        """The power of each frequency; `null` draws of a null. Of s5 ask for `irreps`."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/spectrum"
        query = {"of": of, "basis": basis, "null": null, "statistic": statistic, "seed": seed}
        instead = "the group is not cyclic: ask for `irreps`"
        return await self._one_of(SpectrumAnswer, IrrepSpectrumAnswer, instead, route, **query)

    async def irreps(
        self,
        of: Rows | Literal["neuron_logit_map", "logits"] | None = None,
        *,
        null: int | None = None,
        statistic: Statistic | None = None,
        seed: int | None = None,
    ) -> IrrepSpectrumAnswer:
        """The power of each irreducible representation, of a group that is not cyclic (s5)."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/spectrum"
        query = {"of": of, "null": null, "statistic": statistic, "seed": seed}
        instead = "the group is cyclic: ask for `spectrum`"
        return await self._one_of(IrrepSpectrumAnswer, SpectrumAnswer, instead, route, **query)

    async def embedding(
        self,
        of: Rows | None = None,
        *,
        projection: Literal["frequency", "pca", "raw"] | None = None,
        frequency: int | None = None,
        dimensions: int | None = None,
    ) -> EmbeddingAnswer:
        """Where the residues lie, and how well on a circle."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/embedding"
        query = {"of": of, "projection": projection, "frequency": frequency}
        return await self._get(EmbeddingAnswer, route, dimensions=dimensions, **query)

    async def predict(
        self,
        pairs: Sequence[tuple[int, int]],
        *,
        top: int | None = None,
        include: Sequence[Literal["logits", "attention", "neurons"]] | None = None,
    ) -> PredictionAnswer:
        """What it says of pairs (a, b), with the `top` residues and what `include` names."""
        route = "POST /v1/runs/{run}/checkpoints/{step}/predictions"
        body: dict[str, Any] = {"pairs": whole_pairs(pairs)}
        body |= {} if top is None else {"top": top}
        body |= {} if include is None else {"include": include}
        return await self._get(PredictionAnswer, route, body=body)

    async def predictions(self, a: int | None = None, b: int | None = None) -> PredictionAnswer:
        """What it says of all pairs, row a*p + b; of one where a and b are given."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/predictions"
        return await self._get(PredictionAnswer, route, a=a, b=b)

    async def measures(
        self,
        names: Sequence[str] | None = None,
        *,
        keys: str | Sequence[int] | None = None,
        key_rule: Literal["logits", "neurons", "embedding"] | None = None,
        key_threshold: float | None = None,
        null: int | None = None,
        seed: int | None = None,
    ) -> MeasuresAnswer:
        """Measures with the key frequencies they were taken with: all stored ones, or `names`."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/measures"
        query = {"names": names, "keys": keys, "key_rule": key_rule, "null": null, "seed": seed}
        return await self._get(MeasuresAnswer, route, key_threshold=key_threshold, **query)

    async def neurons(self) -> NeuronsAnswer:
        """Each neuron's frequency, the share it explains, its phases; the clusters."""
        return await self._get(NeuronsAnswer, "GET /v1/runs/{run}/checkpoints/{step}/neurons")

    async def logits(self) -> Array:
        """All pairs, (p*p, p), float32."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/logits"
        return await self._get_array(await self._ask(route))

    async def activations(
        self, of: Literal["neurons", "attention", "logits"] | None = None, index: int | None = None
    ) -> Array:
        """One unit at each pair, (p, p): row a, column b."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/activations"
        return await self._get_array(await self._ask(route, of=of, index=index))

    async def weights(self) -> WeightsAnswer:
        """Names and shapes of the weights."""
        return await self._get(WeightsAnswer, "GET /v1/runs/{run}/checkpoints/{step}/weights")

    async def weight(self, name: str) -> Array:
        """One weight, by its name."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/weights/{name}"
        return await self._get_array(await self._ask(route, more={"name": name}))

    async def intervene(
        self,
        of: Literal["logits", "activations", "embedding", "neurons", "heads"],
        *,
        remove: Sequence[int] | None = None,
        keep: Sequence[int] | None = None,
        directions: Literal["all", "answer"] | None = None,
        by: Literal["zero", "mean"] | None = None,
        match: Literal["norm"] | None = None,
        layer: int | None = None,
        controls: int | None = None,
        seed: int | None = None,
    ) -> InterventionAnswer:
        """What is lost without a part, beside random parts of equal size."""
        route = "POST /v1/runs/{run}/checkpoints/{step}/interventions"
        body: dict[str, Any] = {"of": of, "remove": remove, "keep": keep, "directions": directions}
        body |= {"by": by, "match": match, "layer": layer, "controls": controls, "seed": seed}
        sent = {name: value for name, value in body.items() if value is not None}
        return await self._get(InterventionAnswer, route, body=sent)

    @overload
    async def model(self) -> bytes: ...
    @overload
    async def model(self, to: str | Path) -> Path: ...
    async def model(self, to: str | Path | None = None) -> bytes | Path:
        """The ONNX file, its digest checked: its bytes, or written to `to`, whole or not at all."""
        asked = await self._ask("GET /v1/runs/{run}/checkpoints/{step}/model.onnx")
        return await self._file(asked, to)

    @overload
    async def safetensors(self, *, names: Names | None = None) -> bytes: ...
    @overload
    async def safetensors(self, to: str | Path, *, names: Names | None = None) -> Path: ...
    async def safetensors(
        self, to: str | Path | None = None, *, names: Names | None = None
    ) -> bytes | Path:
        """The weights as safetensors, by our names or a HookedTransformer's; else as `model`."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/model.safetensors"
        return await self._file(await self._ask(route, names=names), to)

    async def _file(self, asked: Ask, to: str | Path | None) -> bytes | Path:
        if to is not None:
            return await self._connection.download(asked, to)
        with tempfile.TemporaryDirectory() as folder:
            path = await self._connection.download(asked, Path(folder) / "file")
            return path.read_bytes()

    async def projector(
        self, of: Rows | None = None, *, base: str | None = None
    ) -> ProjectorConfig:
        """What TensorBoard's Embedding Projector opens."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/projector"
        return await self._get(ProjectorConfig, route, of=of, base=base)

    async def projector_tensors(self, of: Rows | None = None) -> str:
        """The projector's vectors, a line for each residue, tabs between."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/projector/tensors"
        return await self._get_text(await self._ask(route, of=of))

    async def projector_metadata(self, of: Rows | None = None) -> str:
        """What the projector's residues are, under names, tabs between."""
        route = "GET /v1/runs/{run}/checkpoints/{step}/projector/metadata"
        return await self._get_text(await self._ask(route, of=of))
