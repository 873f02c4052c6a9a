"""Gradient symmetricity of an ONNX file whose parameters are named as ours (gradients.py).

What a residue is to such a file are its rows of `W_E` and, where operand b has a vocabulary of its
own, of `W_E_b`; so other rows there are other residues. For triples (a, b, c) in one go the rows
2i and 2i + 1 of `W_E` are put to E_a and E_b of triple i and the pair (2i, 2i + 1) is asked: each
operand has a leaf of its own, even where a = b. With a vocabulary each both take row i.
"""

import numpy as np
import onnx
import onnxruntime as ort
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from grokprobe.analysis.fourier import NEGLIGIBLE
from grokprobe.task import Residues
from trainer.measuring.gradients import NAMES, mean_cosine, triples
from trainer.models.export import PARITY, run_logits
from trainer.models.onnx_in_torch import NotInTorch, logits_of, tensor_of

Tables = dict[str, Tensor]
TABLES = ("W_E", "W_E_b")


def file_gradients(
    proto: onnx.ModelProto, session: ort.InferenceSession, p: int, spread: float
) -> dict[str, float | None]:
    """Every measure of a file that needs gradients, by its name in the manifest.

    `session` is the file in ONNX Runtime, and `spread` the range of its logits over all pairs. Each
    is None where torch does not find the same logits, because the file has an operator that is not
    known or reads residues elsewhere too.
    """
    torch.get_num_threads()  # at its first use in a thread torch sets what is limited here
    with ThreadpoolController().limit(limits=1, user_api="openmp"):  # small products
        found = _symmetricity(proto, session, p, PARITY * spread)
    return dict(zip(NAMES, found or (None, None), strict=True))


def _symmetricity(
    proto: onnx.ModelProto, session: ort.InferenceSession, p: int, tolerance: float
) -> tuple[float, float] | None:
    names = {tensor.name for tensor in proto.graph.initializer}
    tables = {t.name: tensor_of(t) for t in proto.graph.initializer if t.name in TABLES}
    fit = all(table.ndim == 2 and len(table) >= p for table in tables.values())
    if "W_E" not in tables or not fit or {"W_E_b", "W_in_b"} <= names:  # the last: no common basis
        return None
    every, at_once = triples(p), p if "W_E_b" in tables else p // 2
    parts = (every[i : i + at_once] for i in range(0, len(every), at_once))
    try:
        found = [_gradients(proto, tables, part, session, tolerance) for part in parts]
    except NotInTorch:
        return None
    u, v = (torch.cat(part) for part in zip(*found, strict=True))
    if (u - v).norm() <= NEGLIGIBLE * u.norm():  # the logits depend on the sum alone
        return None
    return mean_cosine(u, v)


def _gradients(
    proto: onnx.ModelProto,
    tables: Tables,
    asked: Residues,
    session: ort.InferenceSession,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """dL_c/dE_a and dL_c/dE_b of triples (n, 3): two of (n, d_model). Raises NotInTorch."""
    a, b, c = torch.from_numpy(asked).T
    n = torch.arange(len(asked))
    first = tables["W_E"][a].requires_grad_()
    second = tables.get("W_E_b", tables["W_E"])[b].requires_grad_()
    if "W_E_b" in tables:
        row_a = row_b = n
        given = {"W_E_b": tables["W_E_b"].index_copy(0, row_b, second)}
        given["W_E"] = tables["W_E"].index_copy(0, row_a, first)
    else:
        row_a, row_b = 2 * n, 2 * n + 1
        rows, leaves = torch.cat([row_a, row_b]), torch.cat([first, second])
        given = {"W_E": tables["W_E"].index_copy(0, rows, leaves)}
    found = logits_of(proto, given, torch.stack([row_a, row_b], dim=1))
    expected = run_logits(session, np.ascontiguousarray(asked[:, :2]))
    difference = np.abs(found.detach().numpy() - expected).max()
    if found.shape != expected.shape or not difference <= tolerance:
        raise NotInTorch("the logits are not those of ONNX Runtime")
    u, v = torch.autograd.grad(found.gather(1, c[:, None]).sum(), (first, second))
    return u, v
