"""What one writes by hand: FastAPI, one ONNX session, an async handler."""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Question(BaseModel):
    """Pairs of residues."""

    pairs: list[tuple[int, int]]


@app.post("/predict")
async def predict(question: Question) -> dict:
    """The likeliest residue of each pair, with its probability."""
    (logits,) = session.run(["logits"], {"pairs": np.array(question.pairs, dtype=np.int64)})
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    predicted = logits.argmax(axis=1)
    return {
        "predictions": [
            {"a": a, "b": b, "predicted": int(guess), "probability": float(1 / total)}
            for (a, b), guess, total in zip(
                question.pairs, predicted, exponents.sum(axis=1), strict=True
            )
        ]
    }
