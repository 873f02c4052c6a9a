"""The work of a step on a GPU: fewer kernels, and one launch for all of them, a CUDA graph.

torch's own recipe (its notes on CUDA graphs, "Whole-network capture"): some steps are done as they
are, on a stream of their own, for what is made at first use; then one is recorded and from there on
replayed. What a step reads and writes must stay where it is. Recording does no work, so every call
is one step, the first ones too.
"""

import gc
import os
import shutil
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UPS = 3
Gradients = tuple[Tensor, list[Tensor]]


def can_compile() -> bool:
    """Whether there is a C compiler, which launching compiled kernels needs."""
    return any(map(shutil.which, (os.environ.get("CC", "gcc"), "clang")))


def compiled(work: Callable[[], Gradients]) -> Callable[[], Gradients]:
    """`work` as kernels that do several operations each. What it reads must stay where it is.

    Its operations are recorded, those of a backward pass too, so `work` stays as it is written.
    Where torch cannot compile them, it logs why and does them one by one.
    """
    # Here, since the compiler takes longer to import than all else.
    from torch._dynamo import config as dynamo
    from torch.fx.experimental.proxy_tensor import make_fx

    def record() -> Gradients:  # a function: of a method, `self` would be an input
        return work()

    # In this process: others beside it save two seconds of twenty.
    graph = torch.compile(make_fx(record)(), dynamic=False, options={"compile_threads": 1})

    def run() -> Gradients:
        with torch.no_grad(), dynamo.patch(suppress_errors=True):
            result: Gradients = graph()
        return result

    return run


class Captured:
    """Does `work`, if asked to from a recording: its result is overwritten by the next call."""

    def __init__(self, work: Callable[[], Tensor], capture: bool) -> None:
        self._work, self._capture, self._calls = work, capture, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None

    def __call__(self) -> Tensor:
        """Do it once."""
        if not self._capture:
            return self._work()
        self._calls += 1
        if self._calls <= WARM_UPS:
            return self._apart()
        if self._graph is None:
            # The graph of a learner that is gone, freed while this one is recorded, would spoil it.
            gc.collect()
            graph = torch.cuda.CUDAGraph()
            # The publisher's thread may wait for a copy meanwhile, which "global" would forbid.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._result = self._work()
            self._graph = graph
        self._graph.replay()
        assert self._result is not None
        return self._result

    def _apart(self) -> Tensor:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*capturable=True")  # it will be captured
            warnings.filterwarnings("ignore", module=r"torch\.")  # of its compiler, to its makers
            result = self._work()
        torch.cuda.current_stream().wait_stream(stream)
        return result
