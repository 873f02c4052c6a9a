"""docs/hub.md, pulling: what comes is what was published, or nothing stays."""

import os
import sys
from pathlib import Path

import pytest

from grokprobe.hub.layout import DIGESTS, NAMES, encode_digests
from tests.hub.conftest import AT, Hubbed, after, done
from tests.support.served import serving
from tests.support.trained import settings_at


def stored(home: Path) -> dict[str, bytes]:
    """The objects of the run under a HOME, but for what is the trainer's."""
    folder = home / "store" / "runs" / "tiny"
    files = [path for path in folder.rglob("*") if path.is_file() and "state" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_round_trip_is_byte_for_byte(pushed: Hubbed, tmp_path: Path) -> None:
    """Into an empty HOME; verify finds nothing, and a second pull changes nothing."""
    home = tmp_path / "home"
    found = pushed.pull(home)
    assert (found.stdout, found.stderr) == ("run tiny is published here: 23 checkpoints\n", "")
    assert stored(home) == stored(pushed.trained.settings.home_path)
    verified = done(pushed.command("verify"), pushed.environment(home))
    assert verified.stdout == "verified 1 runs, 0 problems; the index has the same\n"
    assert pushed.pull(home).returncode == 0
    assert not list((home / "pulls").iterdir())


def test_a_service_over_it_answers_the_same(pushed: Hubbed, tmp_path: Path) -> None:
    """The run, its series, and a prediction."""
    home = tmp_path / "home"
    assert pushed.pull(home).returncode == 0
    paths = ["", "/trajectory", "/emergence", "/checkpoints/latest/predictions?a=1&b=5"]
    with serving(settings_at(home), tmp_path) as other:
        for path in paths:
            ours = pushed.served.client.get(f"/v1/runs/tiny{path}")
            assert other.client.get(f"/v1/runs/tiny{path}").content == ours.content


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "predictions.npy"])
def test_a_flipped_byte_is_named_and_nothing_stays(
    pushed: Hubbed, tmp_path: Path, name: str
) -> None:
    """In any file of a step."""
    tree = pushed.hub.repositories["org/tiny"].tree("step20")
    tree[name] = tree[name][:-9] + bytes([tree[name][-9] ^ 1]) + tree[name][-8:]
    home = tmp_path / "home"
    found = pushed.pull(home)
    assert found.returncode == 2
    assert f"{AT} at step20: {name} is not what digests.json records" in found.stderr
    assert stored(home) == {}
    assert not list((home / "pulls").iterdir())


def test_a_digest_that_was_changed_too_does_not_help(pushed: Hubbed, tmp_path: Path) -> None:
    """The manifest has the model's digest, and complete.json one over all manifests."""
    tree = pushed.hub.repositories["org/tiny"].tree("step20")
    tree["model.onnx"] += b"x"
    files = {name: data for name, data in tree.items() if name in NAMES and name != DIGESTS}
    tree[DIGESTS] = encode_digests(files)
    path = "runs/tiny/checkpoints/0000000020/model.onnx"
    assert path in pushed.pull(tmp_path).stderr
    assert stored(tmp_path) == {}


def test_a_wrong_split_is_named(pushed: Hubbed, tmp_path: Path) -> None:
    """By its digest in run.json."""
    main = pushed.hub.repositories["org/tiny"].tree("main")
    main["split.npy"] = main["split.npy"][:-1] + bytes([main["split.npy"][-1] ^ 1])
    assert "main: split.npy is not what digests.json records" in pushed.pull(tmp_path).stderr
    assert stored(tmp_path) == {}


def test_a_pull_that_was_cut_fetches_the_rest(pushed: Hubbed, tmp_path: Path) -> None:
    """Nothing is published meanwhile; no file comes twice."""
    pushed.hub.breaks = after(30, "GET", "/resolve/", 404)
    assert pushed.pull(tmp_path).returncode == 2
    assert stored(tmp_path) == {}
    pushed.hub.breaks = lambda _method, _path: 0
    assert pushed.pull(tmp_path).returncode == 0
    assert len(pushed.hub.fetched) == len(set(pushed.hub.fetched))


def test_a_part_of_a_run_is_not_published(hubbed: Hubbed, tmp_path: Path) -> None:
    """Single checkpoints are files; a run is whole."""
    assert hubbed.push("--steps", "20,latest").returncode == 0
    assert "records other manifests than these" in hubbed.pull(tmp_path).stderr
    assert stored(tmp_path) == {}
    found = hubbed.pull(tmp_path, "--revision", "step20", "-o", str(tmp_path / "files"))
    assert (found.returncode, found.stderr) == (0, "")


def test_files_alone(pushed: Hubbed, tmp_path: Path) -> None:
    """Of a tag; a flipped byte is named and nothing is written."""
    files, tree = tmp_path / "files", pushed.hub.repositories["org/tiny"].tree("memorised")
    more = ["--revision", "memorised", "-o", str(files)]
    assert pushed.pull(tmp_path, *more).returncode == 0
    assert {path.name: path.read_bytes() for path in files.iterdir()} == {
        name: data for name, data in tree.items() if name != ".gitattributes"
    }
    tree["model.safetensors"] = tree["model.safetensors"][:-1] + b"?"
    other = pushed.pull(tmp_path, *more[:-1], str(tmp_path / "other"))
    assert "model.safetensors is not what digests.json records" in other.stderr
    assert not (tmp_path / "other").exists()


def test_hostile_names_are_left_there(pushed: Hubbed, tmp_path: Path) -> None:
    """Only files of ours are asked for, whatever lies beside them."""
    tree = pushed.hub.repositories["org/tiny"].tree("step20")
    tree |= {"../x": b"x", "/etc/x": b"x", "setup.py": b"raise SystemExit(1)"}
    more = ["--revision", "step20", "-o", str(tmp_path / "files")]
    assert pushed.pull(tmp_path, *more).returncode == 0
    assert not (tmp_path / "x").exists()
    assert not any(path.rpartition("/")[2] == "x" or "setup" in path for path in pushed.hub.fetched)


def test_a_model_above_the_limit_is_not_fetched(pushed: Hubbed, tmp_path: Path) -> None:
    """The limit is that of a service."""
    found = pushed.pull(tmp_path, GROKPROBE_MAX_MODEL_BYTES="1000")
    assert "more than the 1000 allowed" in found.stderr
    assert not any(path.endswith(".onnx") for path in pushed.hub.fetched)


def test_memory_keeps_nothing(pushed: Hubbed, tmp_path: Path) -> None:
    """A run that would be gone when the command ends is not fetched."""
    found = pushed.pull(tmp_path, GROKPROBE_STORE_URL="memory://")
    assert (found.returncode, pushed.hub.fetched) == (2, [])
    assert found.stderr.startswith("error: GROKPROBE_STORE_URL: a run in memory would be gone")


def test_another_run_of_that_name_is_left(pushed: Hubbed, home: Path) -> None:
    """It is refused before anything comes; the same run is a success."""
    assert pushed.pull(home).returncode == 0
    manifest = home / "store" / "runs" / "tiny" / "run.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    assert "another run of that name is published here" in pushed.pull(home).stderr


def test_without_its_library_the_extra_is_named(tmp_path: Path) -> None:
    """On one line; nothing is asked and nothing written."""
    program = "import sys; sys.modules['huggingface_hub'] = None\n"
    program += f"from grokprobe.cli.main import main; sys.exit(main(['pull', '{AT}']))"
    found = done([sys.executable, "-c", program], {**os.environ, "GROKPROBE_HOME": str(tmp_path)})
    assert found.returncode == 2
    assert found.stderr.endswith("bring it by: pip install 'grokprobe[hub]'\n")
    assert not list(tmp_path.iterdir())


def test_a_revision_alone_is_refused(hubbed: Hubbed, tmp_path: Path) -> None:
    """A run comes whole."""
    found = hubbed.pull(tmp_path, "--revision", "step20")
    words = "--revision: names one checkpoint; add -o FOLDER, a run comes whole"
    assert (found.returncode, found.stderr) == (2, f"error: {words}\n")
