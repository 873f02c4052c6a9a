"""What one writes by hand: FastAPI, one ONNX Runtime session, an async handler.

`/predict` with the session as it comes, `/one_thread` with a session told to use one thread. The
answer says of each pair what ours does, but for its part of the split.
"""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

MODULUS = 113

app = FastAPI()
plain = ort.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])
options = ort.SessionOptions()
options.intra_op_num_threads = 1
one_thread = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


class Question(BaseModel):
    """Pairs of residues."""

    pairs: list[tuple[int, int]]


def answer(session: ort.InferenceSession, question: Question) -> dict:
    """The predictions."""
    pairs = np.array(question.pairs, dtype=np.int64)
    (logits,) = session.run(["logits"], {"pairs": pairs})
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    predicted = log_softmax.argmax(axis=1)
    predictions = []
    for (a, b), guess, row in zip(question.pairs, predicted, log_softmax, strict=True):
        truth = (a + b) % MODULUS
        predictions.append(
            {
                "a": a,
                "b": b,
                "predicted": int(guess),
                "answer": truth,
                "correct": bool(guess == truth),
                "probability": float(np.exp(row[guess])),
                "loss": float(-row[truth]),
            }
        )
    return {"predictions": predictions}


@app.post("/predict")
async def predict(question: Question) -> dict:
    """With the session as it comes."""
    return answer(plain, question)


@app.post("/one_thread")
async def predict_on_one_thread(question: Question) -> dict:
    """With a session of one thread."""
    return answer(one_thread, question)
