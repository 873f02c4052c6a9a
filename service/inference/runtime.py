"""ONNX Runtime: its providers, its threads, and opening a session."""

import threading
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime as ort
import threadpoolctl
from onnx import TensorProto, helper

from grokprobe.cached import cached_property
from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety.bounds import Bounds
from grokprobe.safety.check import check_model

LOAD_S = 30.0  # ours take milliseconds
PACKAGES = ("grokprobe", "msgspec", "numpy", "pyarrow")  # ONNX Runtime's has several names


@dataclass(frozen=True)
class Runtime:
    """How sessions are created: on which providers."""

    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    @cached_property
    def arithmetic(self) -> str:
        """A digest of what the last digits of a figure, and the bytes that hold it, depend on.

        Processes that have the same one give the same bytes: the same packages on processors, and
        GPUs, of a kind.
        """
        packages = [f"{name} {version(name)}" for name in PACKAGES]
        simd = np.show_config(mode="dicts")["SIMD Extensions"]
        libraries = threadpoolctl.threadpool_info()
        blas = {str(lib.get("architecture")) for lib in libraries if lib["user_api"] == "blas"}
        found = [(one.ep_name, one.device) for one in ort.get_ep_devices()]
        devices = [(name, device.vendor_id, device.device_id) for name, device in found]
        depends_on = (packages, ort.__version__, self.providers, simd, sorted(blas), devices)
        return blake2b(repr(depends_on).encode(), digest_size=8).hexdigest()

    def open(self, model: bytes, where: str, modulus: int) -> tuple[Any, Bounds]:
        """A session over a model that passes its checks, and what it takes.

        Raises CheckpointCorrupt.
        """
        bounds = check_model(model, where, modulus)
        return self.session(model, where), bounds

    def session(self, model: bytes, where: str) -> Any:
        """A session over a model whose like has passed its checks. Raises CheckpointCorrupt."""
        options = self._options()
        # The checks bound what there is to compute; this ends it where it is slow beyond them.
        late = threading.Timer(LOAD_S, options.set_load_cancellation_flag, (True,))
        late.daemon = True
        late.start()
        try:
            session = ort.InferenceSession(model, options, providers=list(self.providers))
        except Exception as error:  # ONNX Runtime's own exceptions share no public base
            reason = str(error).partition("\n")[0]
            raise CheckpointCorrupt(f"{where} does not load: {reason}") from None
        finally:
            late.cancel()
        # It keeps the file for a fallback to other providers, which is not wanted here.
        session._model_bytes = None
        return session

    def _options(self) -> Any:
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised
        # An arena keeps what its largest run took, for each session: 54 MB after a grid of p 113.
        options.enable_cpu_mem_arena = False
        # On its caller's thread alone: a pool's threads spin between runs and doubled their cost.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return options


def start_runtime() -> Runtime:
    """Set up ONNX Runtime for a process whose every session is the service's.

    One thread for numpy: its products are small here, and requests run beside each other.
    CUDA is tried, not assumed: the GPU build falls back to the CPU without a word.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")
    cpu, gpu = "CPUExecutionProvider", "CUDAExecutionProvider"
    if gpu not in ort.get_available_providers():
        return Runtime()
    wanted = Runtime((gpu, cpu))
    ort.set_default_logger_severity(4)  # a missing CUDA is an answer here, not an error
    probe = ort.InferenceSession(_tiny_model(), wanted._options(), providers=[gpu, cpu])
    ort.set_default_logger_severity(3)
    return wanted if gpu in probe.get_providers() else Runtime()


def _tiny_model() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    same = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "probe", [value], [same]
    )
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())
