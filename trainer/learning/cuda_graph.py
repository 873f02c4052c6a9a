"""The work of a step as one CUDA graph: hundreds of kernels, one launch.

torch's own recipe (its notes on CUDA graphs, "Whole-network capture"): some steps are done as they
are, on a stream of their own, for what is made at first use; then one is recorded and from there on
replayed. What a step reads and writes must stay where it is. Recording does no work, so every call
is one step, the first ones too.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UPS = 3


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
            result = self._work()
        torch.cuda.current_stream().wait_stream(stream)
        return result
