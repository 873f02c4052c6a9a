"""A BentoML service around one ONNX Runtime session."""

import os

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(workers=1)
class Probe:
    """Pairs in, predictions out."""

    def __init__(self) -> None:
        self.session = ort.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])

    @bentoml.api
    async def predict(self, pairs: list[list[int]]) -> list[int]:
        """The likeliest residue of each pair."""
        (logits,) = self.session.run(["logits"], {"pairs": np.array(pairs, dtype=np.int64)})
        return np.argmax(logits, axis=1).tolist()
