"""An MLServer runtime around one ONNX Runtime session."""

import os

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Probe(MLModel):
    """Pairs in, logits' predictions out."""

    async def load(self) -> bool:
        """Open the session."""
        self.session = ort.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The likeliest residue of each pair."""
        pairs = NumpyCodec.decode_input(payload.inputs[0])
        (logits,) = self.session.run(["logits"], {"pairs": pairs})
        output = NumpyCodec.encode_output("predicted", np.argmax(logits, axis=1))
        return InferenceResponse(model_name=self.name, outputs=[output])
