"""Answers of the API about one checkpoint, of any size and with whatever may lack in them."""

from typing import Any

import msgspec
import numpy as np

from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.spectra import Statistic, null_of, spectrum_of
from grokprobe.task import Operation, Task
from service.v1.basis import describe_basis
from service.v1.checkpoint.activations import ActivationsAnswer
from service.v1.checkpoint.embedding import EmbeddingAnswer, project, report_circle
from service.v1.checkpoint.neurons import NeuronRow, NeuronsAnswer
from service.v1.checkpoint.prediction_records import PredictionAnswer
from service.v1.checkpoint.spectrum import IrrepSpectrumAnswer, SpectrumAnswer

ABOUT = {"run": "tiny", "step": 3000}
Answer = dict[str, Any]


def group(operation: Operation, modulus: int) -> Basis:
    """The basis of an operation; of addition also modulo 2 and 3, which no task has."""
    if operation == "add":
        return Basis(f"Z_{modulus}", modulus, "natural", None, np.arange(modulus), "sum")
    return basis_of(Task(operation=operation, modulus=modulus))


def checked(answer: Answer, kind: Any) -> Answer:
    """The answer, as the API's own record has it."""
    found: Answer = msgspec.to_builtins(msgspec.convert(answer, kind))
    return found


def embedding(basis: Basis, M: Array, projection: str = "frequency", **more: Any) -> Answer:
    """The answer about rows (order, width) in group order."""
    wanted = more.pop("frequency", 1 if projection == "frequency" else None)
    points = project(M, projection, wanted or 0, more.pop("dimensions", None))
    width = points.shape[1]
    names = "xyz"[:width] if width <= 3 else [f"x{i}" for i in range(width)]
    answer = ABOUT | {
        "of": "embedding",
        "basis": msgspec.to_builtins(describe_basis(basis)),
        "projection": projection,
        "frequency": wanted,
        "explained_share": 0.5,
        "circle": msgspec.to_builtins(report_circle(M, wanted)) if wanted else None,
        "coordinates": [
            {"residue": residue, **dict(zip(names, row, strict=True))}
            for residue, row in zip(basis.residues.tolist(), points.tolist(), strict=True)
        ],
    }
    return checked(answer | more, EmbeddingAnswer)


def spectrum(
    basis: Basis,
    M: Array,
    keys: list[int] | None = None,
    draws: int = 0,
    statistic: Statistic = "max_share",
    **more: Any,
) -> Answer:
    """The answer about rows (order, width) in group order."""
    found = spectrum_of(basis, M)
    share = [None] * len(found.power) if found.share is None else found.share.tolist()
    null = null_of(basis, M, draws, statistic=statistic) if draws else None
    answer = ABOUT | {
        "of": "embedding",
        "basis": msgspec.to_builtins(describe_basis(basis)),
        "constant_power": found.constant_power,
        "total_power": found.total_power,
        "gini": None,
        "gini_frequencies": found.gini_frequencies,
        "ipr": found.ipr,
        "key_frequencies": keys,
        "key_rule": None if keys is None else "logits",
        "provisional": False,
        "null": null and msgspec.to_builtins(null),
    }
    power = found.power.tolist()
    if basis.cyclic:
        key = [None if keys is None else k + 1 in keys for k in range(len(power))]
        places: list[dict[str, Any]] = [
            {"frequency": k + 1, "cosine_norm": 0.0, "sine_norm": None, "key": key[k]}
            for k in range(len(power))
        ]
    else:
        named = zip(found.labels, found.dimensions, strict=True)  # type: ignore[union-attr]
        places = [{"irrep": name, "dimension": int(d)} for name, d in named]
    pairs = zip(places, power, share, strict=True)
    answer["spectrum"] = [place | {"power": one, "share": part} for place, one, part in pairs]
    return checked(answer | more, SpectrumAnswer if basis.cyclic else IrrepSpectrumAnswer)


def predictions(modulus: int, seed: int = 0, split: bool = True, defined: bool = True) -> Answer:
    """All pairs, some wrong; without an answer where b is 0, unless all are defined."""
    rng = np.random.default_rng(seed)
    found = []
    for a, b in np.ndindex(modulus, modulus):
        known = defined or b != 0
        right = bool(rng.random() < 0.7)
        part = str(rng.choice(["train", "test"])) if split and known else None
        answer = (a + b) % modulus
        row: Answer = {"a": a, "b": b}
        row |= {"predicted": answer if right else (answer + 1) % modulus}
        row |= {"probability": 0.9, "answer": answer if known else None, "split": part}
        row |= {"correct": right if known else None, "loss": 0.1 if known else None}
        found.append(row)
    answer = ABOUT | {"operation": "add", "modulus": modulus, "predictions": found}
    return checked(answer, PredictionAnswer)


def one_pair(modulus: int, logits: list[float] | None = None, **more: Any) -> Answer:
    """One pair: (1, 0) is 1, which is predicted unless said otherwise."""
    row: Answer = {"a": 1, "b": 0, "predicted": 1, "answer": 1, "correct": True, "probability": 0.9}
    row |= {"loss": 0.105, "split": "test"} | ({"logits": logits} if logits else {}) | more
    answer = ABOUT | {"operation": "add", "modulus": modulus, "predictions": [row]}
    return checked(answer, PredictionAnswer)


def activations(values: Any, of: str = "neurons", index: int = 5, **more: Any) -> Answer:
    """A unit's values (p, p)."""
    answer = ABOUT | {"of": of, "index": index, "head": None, "token": None}
    checked(answer | {"activations": []}, ActivationsAnswer)
    return answer | {"activations": values} | more


def neurons(order: int, found: list[tuple[int | None, float]]) -> Answer:
    """The frequency of each neuron and the share that it explains."""
    rows = [
        dict.fromkeys(NeuronRow.__struct_fields__) | {"neuron": n, "frequency": k, "fve": fve}
        for n, (k, fve) in enumerate(found)
    ]
    clustered = [k for k, fve in found if k and fve >= 0.85]
    dead = sum(k is None for k, _ in found)
    answer = ABOUT | {
        "basis": {"group": f"Z_{order}", "order": order, "reindex": "natural", "generator": None},
        "input_phase_of": "mean_over_b",
        "neurons": rows,
        "clusters": [{"frequency": k, "neurons": clustered.count(k)} for k in sorted({*clustered})],
        "unclustered": len(rows) - dead - len(clustered),
        "dead": dead,
    }
    return checked(answer, NeuronsAnswer)
