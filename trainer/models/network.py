"""What every network is: pairs in, Activations out, in one form for training and export.

A forward pass is traced with a batch of any size, mapped over stacked parameters and captured in a
CUDA graph. So it branches on the configuration alone, never on values, and makes no tensor from
Python numbers.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = {"relu": torch.relu, "gelu": functional.gelu, "quadratic": torch.square}


class Activations(NamedTuple):
    """The outputs of the ONNX contract by name; n pairs. None: the network has no such."""

    logits: Tensor  # (n, p): no equals column, nothing ever predicts "="
    neurons: Tensor | None = None  # (n, d_mlp), after the activation
    attention: Tensor | None = None  # (n, heads, tokens): the last position's
    embedding: Tensor | None = None  # (p, d_model): residue rows only; operand a's table
    embedding_b: Tensor | None = None  # (p, d_model), where operand b has a table of its own
    effective_embedding: Tensor | None = None  # (p, d_mlp): the table's image in pre-activations
    effective_embedding_b: Tensor | None = None  # (p, d_mlp), where b's is another one than a's
    unembedding: Tensor | None = None  # (p, d_model)
    neuron_logit_map: Tensor | None = None  # (p, d_mlp), where it is exact


class Network(nn.Module, ABC):
    """The base of the families; initial weights are drawn on the CPU whatever trains."""

    modulus: int
    adds_embeddings: bool  # the logits depend on the sum of the two embeddings alone
    one_basis: bool = True  # rows of the two tables are vectors of one space, so they have an angle

    @abstractmethod
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """The tables (p, width) whose rows stand for the operands a and b."""

    @abstractmethod
    def activations(self, first: Tensor, second: Tensor, pairs: Tensor) -> Activations:
        """All activations where row i of `first` embeds the operand a = i, of `second` b = i.

        They are `embeddings` in `forward`; measures of the gradients pass one row a pair, to have
        a leaf of its own for each.
        """

    def forward(self, pairs: Tensor) -> Activations:
        """All activations of `pairs`, int64 (n, 2) with values 0..p-1."""
        first, second = self.embeddings()
        return self.activations(first, second, pairs)


class _Rows(torch.autograd.Function):
    """`take_rows`, whose mapped form takes rows of all tables at once.

    torch's own gathers single elements there and scatters them back, an index for each: two to
    five times as slow.
    """

    @staticmethod
    def forward(table: Tensor, index: Tensor) -> Tensor:
        return table.index_select(0, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        table, index = inputs
        ctx.save_for_backward(index)
        ctx.shape = table.shape

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        if gradient.is_cuda:
            return _summed(gradient[None], index, ctx.shape[0])[0], None
        return gradient.new_zeros(ctx.shape).index_add_(0, index, gradient), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], table: Tensor, index: Tensor
    ) -> tuple[Tensor, int]:
        tables, indices = (
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((table, index), in_dims, strict=True)
        )
        if table.is_cuda:
            own = index if in_dims[1] is None else indices
            return _RowsOfEach.apply(tables, own), 0  # type: ignore[no-untyped-call]
        first = torch.arange(info.batch_size, device=table.device)[:, None] * tables.shape[1]
        taken = take_rows(tables.flatten(0, 1), (indices + first).flatten())
        return taken.view(*indices.shape, *tables.shape[2:]), 0


class _RowsOfEach(torch.autograd.Function):
    """The mapped form on a GPU: tables (members, m, ...), one index (n,) or (members, n)."""

    @staticmethod
    def forward(ctx: Any, tables: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = tables.shape[1]
        if index.ndim == 1:
            return tables.index_select(1, index)
        return tables[torch.arange(len(tables), device=tables.device)[:, None], index]

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return _summed(gradient[0], index, ctx.rows), None


def _summed(gradient: Tensor, index: Tensor, rows: int) -> Tensor:
    """Gradients (members, n, ...) added up by row, (members, rows, ...): a product with one-hots.

    A GPU's `index_add_` sorts first, to be deterministic: a dozen kernels where these are three.
    """
    hot = index[..., None] == torch.arange(_aligned(rows), device=index.device)
    summed = (hot.to(gradient.dtype).mT @ gradient.flatten(2))[:, :rows]
    return summed.reshape(*summed.shape[:2], *gradient.shape[2:])


def take_rows(table: Tensor, index: Tensor) -> Tensor:
    """The rows of a table (m, ...) at int64 `index` (n,): (n, ...)."""
    if torch.compiler.is_exporting():
        return table.index_select(0, index)
    taken: Tensor = _Rows.apply(table, index)  # type: ignore[no-untyped-call]
    return taken


def padded(weights: Tensor) -> Tensor:
    """On a GPU, with as many columns of zeros as quick products need; see `narrowed`."""
    missing = _aligned(weights.shape[-1]) - weights.shape[-1]
    return functional.pad(weights, (0, missing)) if weights.is_cuda and missing else weights


def narrowed(product: Tensor, columns: int) -> Tensor:
    """A product with padded weights, without the columns that these added."""
    return product if product.shape[1] == columns else product[:, :columns]


def _aligned(columns: int) -> int:
    """A GPU's products read rows of 113 numbers one by one, of 128 four at a time."""
    return -(-columns // 16) * 16


def plus(x: Tensor, bias: Tensor | None) -> Tensor:
    """`x` with a bias, where there is one."""
    return x if bias is None else x + bias
