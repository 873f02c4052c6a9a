"""The weights as safetensors: those of the ONNX file, by two kinds of names."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from grokprobe.errors import NamesMissing
from grokprobe.weight_files.hooked import hooked
from grokprobe.weights import Weights, read_weights
from tests.service.test_api_errors import check_problem
from tests.support.foreign import transformer_lens
from tests.support.served import serving
from tests.support.trained import TINY, TINY_STEPS, Trained, settings_at
from trainer.config.schema import TransformerSection, decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

LAST = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}"
FILE = f"{LAST}/model.safetensors"
LENS = f"{FILE}?names=transformer_lens"


def metadata(data: bytes) -> dict[str, str]:
    """What a file says beside its tensors."""
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    found: dict[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return found


def onnx_of(client: httpx.Client, path: str = LAST) -> tuple[bytes, Weights]:
    """The ONNX file of a checkpoint, and its weights."""
    data = client.get(f"{path}/model.onnx").content
    return data, read_weights(data, "here", TINY["task"]["modulus"])


def assert_same(found: dict[str, NDArray[Any]], expected: Weights) -> None:
    """The same names, types and numbers."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


def test_the_weights_are_those_of_the_onnx_file(client: httpx.Client) -> None:
    """By our names, with what they are of."""
    answer, (data, weights) = client.get(FILE), onnx_of(client)
    assert_same(load(answer.content), weights)
    about = metadata(answer.content)
    assert json.loads(about.pop("config")) == client.get("/v1/runs/tiny").json()["architecture"]
    assert about == {
        "run": "tiny",
        "step": str(TINY_STEPS[-1]),
        "names": "grokprobe",
        "onnx_sha256": hashlib.sha256(data).hexdigest(),
    }
    assert client.get(f"{FILE}?names=grokprobe").content == answer.content


def test_the_weights_are_those_of_a_hooked_transformer(client: httpx.Client) -> None:
    """Its names and axes, as others save them, and its configuration."""
    answer, (_, weights) = client.get(LENS), onnx_of(client)
    section = TransformerSection(**TINY["model"])
    expected = {name: t.numpy() for name, t in transformer_lens(weights, section).items()}
    del expected["blocks.0.attn.mask"], expected["blocks.0.attn.IGNORE"]
    expected["unembed.W_U"] = expected["unembed.W_U"][:, :-1]
    assert_same(load(answer.content), expected)
    about = metadata(answer.content)
    assert about["names"] == "transformer_lens"
    assert json.loads(about["config"]) == {
        **{"n_layers": 1, "n_heads": 2, "d_model": 16, "d_head": 8, "d_mlp": 32, "n_ctx": 3},
        **{"d_vocab": 14, "d_vocab_out": 13, "act_fn": "relu", "normalization_type": None},
        **{"eps": 1e-5, "attention_dir": "causal", "attn_only": False, "use_attn_scale": True},
    }


@pytest.mark.parametrize("path", [FILE, LENS])
def test_it_is_sent_as_the_onnx_file_is(client: httpx.Client, path: str) -> None:
    """A digest, an ETag, kept for a year; HEAD, parts, what still stands."""
    whole, onnx = client.get(path), client.get(f"{LAST}/model.onnx")
    assert whole.headers["Cache-Control"] == onnx.headers["Cache-Control"]
    assert whole.headers["Content-Type"] == onnx.headers["Content-Type"]
    digest = base64.b64encode(hashlib.sha256(whole.content).digest()).decode()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    names = "" if path == FILE else ".transformer_lens"
    called = f'attachment; filename="tiny-{TINY_STEPS[-1]}{names}.safetensors"'
    assert whole.headers["Content-Disposition"] == called
    head = client.head(path)
    alike = ("ETag", "Repr-Digest", "Content-Length", "Content-Disposition", "Accept-Ranges")
    assert [head.headers[name] for name in alike] == [whole.headers[name] for name in alike]
    ranges = ("bytes=0-99", "bytes=100-")
    parts = [client.get(path, headers={"Range": r}) for r in ranges]
    assert [part.status_code for part in parts] == [206, 206]
    assert b"".join(part.content for part in parts) == whole.content
    assert {part.headers["Repr-Digest"] for part in parts} == {whole.headers["Repr-Digest"]}
    check_problem(client.get(path, headers={"Range": "bytes=9999999-"}), 416, "bytes")
    known = {"If-None-Match": whole.headers["ETag"]}
    assert client.get(path, headers=known).status_code == 304
    check_problem(client.get(path, headers={"If-Match": '"other"'}), 412, "If-Match")


def test_the_two_kinds_of_names_have_two_etags(client: httpx.Client) -> None:
    """And a label asks again each time, its content at the number."""
    tags = {client.get(path).headers["ETag"] for path in (FILE, LENS, f"{LAST}/model.onnx")}
    assert len(tags) == 3
    label = client.get(LENS.replace(str(TINY_STEPS[-1]), "latest"))
    assert label.headers["Cache-Control"] == "no-cache"
    assert label.headers["Content-Location"] == LENS
    assert label.content == client.get(LENS).content


def test_two_services_make_the_same_bytes(
    client: httpx.Client, trained: Trained, tmp_path: Path
) -> None:
    """Parts of one can be put beside parts of the other, as their equal ETags say."""
    with serving(trained.settings, tmp_path) as other:
        for path in (FILE, LENS):
            ours, theirs = client.get(path), other.client.get(path)
            assert ours.headers["ETag"] == theirs.headers["ETag"]
            assert ours.content == theirs.content


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{FILE}?names=nanda", 400, "names: must be one of grokprobe, transformer_lens"),
        (f"{FILE}?name=grokprobe", 400, "did you mean names?"),
        ("/v1/runs/none/checkpoints/0/model.safetensors", 404, "run 'none' is not published"),
        ("/v1/runs/tiny/checkpoints/2/model.safetensors", 404, "no checkpoint at step 2"),
    ],
)
def test_what_is_wrong_is_said(client: httpx.Client, path: str, status: int, words: str) -> None:
    """The parameter, the run, the step."""
    check_problem(client.get(path), status, words)


def test_a_network_that_is_no_hooked_transformer_is_refused(tmp_path: Path) -> None:
    """An MLP, whose weights can be had by our names: the problem says so."""
    settings, model = settings_at(tmp_path), {"family": "mlp", "d_mlp": 16}
    short = {"training": {"steps": 5, "device": "cpu", "threads": 1}}
    config = decode_config(TINY | short | {"model": model}, "gromov")
    assert start(settings, config, "gromov", JsonReporter()) == 0
    with serving(settings, tmp_path) as served:
        base = "/v1/runs/gromov/checkpoints/5"
        answer = served.client.get(f"{base}/model.safetensors?names=transformer_lens")
        body = check_problem(answer, 404, "it is no transformer but of the family 'mlp'")
        assert body["type"].endswith("names-missing")
        assert "names=grokprobe gives" in body["detail"]
        assert_same(
            load(served.client.get(f"{base}/model.safetensors").content),
            onnx_of(served.client, base)[1],
        )


ARCHITECTURE = {"family": "transformer", "heads": 2}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"family": "onnx"}, "family 'onnx'"),
        ({"family": None}, "family 'None'"),
        ({"vocabularies": "separate"}, "an embedding each"),
        ({"attention_rate": 0.5}, "attention_rate is not 1"),
        ({"activation": "quadratic"}, "activation is 'quadratic'"),
        ({"layer_norm": "post"}, "after the residual's addition"),
        ({"heads": 3}, "do not fit what its manifest says"),
        ({"heads": "many"}, "do not fit what its manifest says"),
        ({"heads": 0}, "do not fit what its manifest says"),
        ({"attention_scale": 0}, "do not fit what its manifest says"),
    ],
)
def test_what_a_hooked_transformer_does_not_compute(changed: dict[str, Any], words: str) -> None:
    """Each is named."""
    shapes = {"W_E": (8, 4), "W_pos": (3, 4), "W_U": (4, 7), "W_in": (4, 5), "W_out": (5, 4)}
    shapes |= {**dict.fromkeys(("W_Q", "W_K", "W_V"), (4, 4)), "W_O": (4, 4)}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert hooked(weights, ARCHITECTURE).config["n_layers"] == 1
    with pytest.raises(NamesMissing, match=words):
        hooked(weights, ARCHITECTURE | changed)
    with pytest.raises(NamesMissing, match="do not fit"):
        hooked(weights | {"mask": np.zeros(3)}, ARCHITECTURE)
