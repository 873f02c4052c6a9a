"""The commands over what is published: what each prints, exit codes, errors of one line."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import onnx
import pytest

from grokprobe.cli.main import main
from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue import keys as index
from grokprobe.store.catalogue.entries import NOT_WHOLE
from grokprobe.store.records import CheckpointManifest, sha256
from tests.support.tiny import digest_of, tiny_run, young

TINY = tiny_run()
COMMAND = [sys.executable, "-m", "grokprobe"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveReader:
    """The archive under a HOME of its own, with the run `tiny` in it."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    found = ArchiveReader(open_store(Settings(home=str(tmp_path))))
    asyncio.run(TINY.publish(found))
    return found


def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own that has no terminal."""
    return subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("archive")
def test_runs_lists_one_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, status, count, latest step."""
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "tiny  complete  3 checkpoints, latest step 200\n"


def test_verify_exits_1_when_it_finds_problems(
    archive: ArchiveReader, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run or all, a line for each problem and one for the sum."""
    assert main(["verify"]) == main(["verify", "tiny"]) == 0
    away = f"the index was not compared: {NOT_WHOLE}"
    assert capsys.readouterr().out == 2 * f"verified 1 runs, 0 problems; {away}\n"
    path = names.model_path("tiny", 10)
    asyncio.run(archive.objects.remove(path))
    assert main(["verify"]) == 1
    missing = f"{path} is missing, though its manifest is published"
    assert capsys.readouterr().out == f"{missing}\nverified 1 runs, 1 problems; {away}\n"


def test_verify_tells_identical_checkpoints(
    archive: ArchiveReader, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those whose weights are the same to the byte, though each file says its step: no problem."""
    frozen = tiny_run("frozen", steps=[0, 10, 20, 30, 200])
    models = {manifest.step: model for manifest, model in frozen.checkpoints}
    copied = {10: models[0], 30: models[20]}
    checkpoints = [
        (with_model(manifest, model), model)
        for manifest, _ in frozen.checkpoints
        for model in [stamped(copied.get(manifest.step, models[manifest.step]), manifest.step)]
    ]
    digest = digest_of(manifest for manifest, _ in checkpoints)
    ended = msgspec.structs.replace(frozen.completion, manifests_sha256=digest)
    asyncio.run(replace(frozen, checkpoints=checkpoints, completion=ended).publish(archive))
    assert main(["verify", "frozen"]) == main(["verify"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [f"run 'frozen': the weights of steps {steps} are identical" for steps in SAME]
    assert lines[:2] == lines[3:5] == told
    assert lines[2].startswith("verified 1 runs, 0 problems")
    assert lines[5].startswith("verified 2 runs, 0 problems")


SAME = ["0, 10", "20, 30"]


def stamped(model: bytes, step: int) -> bytes:
    """A model that says that it is of this step."""
    proto = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(proto, {"step": str(step)})
    return bytes(proto.SerializeToString(deterministic=True))


def with_model(manifest: CheckpointManifest, model: bytes) -> CheckpointManifest:
    """The manifest with another file."""
    change = msgspec.structs.replace
    return change(manifest, model=change(manifest.model, sha256=sha256(model), bytes=len(model)))


def test_verify_compares_the_index(
    archive: ArchiveReader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each difference is a problem, and `reindex` repairs it."""
    changes: dict[tuple[str | bytes | int, ...], str] = {
        ("DEL", index.key("tiny", "seal")): "lacks run 'tiny'",
        ("SET", index.key("tiny", "seal"), "x"): "has another seal of run 'tiny'",
        ("SET", index.key("tiny", "manifest"), "x"): "has another run.json of run 'tiny'",
        ("DEL", index.key("tiny", "completion")): "has another complete.json of run 'tiny'",
        ("HDEL", index.key("tiny", "checkpoints"), 10): "has not step 10 of run 'tiny'",
        ("HSET", index.key("tiny", "checkpoints"), 10, "{}"): "has another manifest of step 10",
        ("HSET", index.key("tiny", "checkpoints"), "word", ""): "a step that is not published word",
        ("SET", index.key("gone", "seal"), "x"): "",
    }
    assert asyncio.run(problems(archive, "tiny")) == []

    async def change(command: tuple[str | bytes | int, ...]) -> None:
        async with open_backends(Settings(home=str(tmp_path))) as backends:
            await backends.catalogue.connection.send(command)

    for command, words in changes.items():
        assert main(["reindex"]) == 0
        asyncio.run(change(command))
        capsys.readouterr()
        assert main(["verify"]) == (1 if words else 0)
        out = capsys.readouterr().out
        assert words in out
        assert out.endswith("; the index differs\n" if words else "; the index has the same\n")


def test_reindex_counts_and_exits_1_over_what_it_cannot_read(
    archive: ArchiveReader, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest is indexed all the same."""
    assert main(["reindex"]) == 0
    assert capsys.readouterr().out == "indexed 1 runs, 3 checkpoints; dropped 0\n"
    path = names.manifest_path("tiny", 10)
    asyncio.run(archive.objects.remove(path))
    asyncio.run(archive.objects.create(path, b""))
    assert main(["reindex"]) == 1
    problem, summary = capsys.readouterr().out.splitlines()
    assert problem.startswith(f"{path} is not a CheckpointManifest")
    assert summary == "indexed 1 runs, 2 checkpoints; dropped 0"


def test_delete_leaves_the_tombstone_and_may_be_repeated(
    archive: ArchiveReader, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Objects and index entries are gone; the second time is a success too."""
    assert main(["reindex"]) == main(["delete", "tiny", "--yes"]) == 0
    assert main(["delete", "tiny", "--yes"]) == 0
    assert "deleted tiny; the name is never used again" in capsys.readouterr().out
    assert asyncio.run(archive.objects.below("runs")) == ["runs/tiny/deleted.json"]

    async def indexed() -> list[str]:
        async with open_backends(Settings(home=str(tmp_path))) as backends:
            return await backends.catalogue.runs()

    assert asyncio.run(indexed()) == []


def test_a_name_is_freed_where_nobody_can_rely_on_it(
    archive: ArchiveReader, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning of caches, and the name is as if never used; or why not, and nothing is deleted."""
    assert main(["reindex"]) == 0
    assert main(["delete", "tiny", "--free-name", "--yes"]) == 2
    said = capsys.readouterr()
    assert "the name 'tiny' cannot be freed: its run was there for a day or more" in said.err
    assert asyncio.run(archive.runs()) == ["tiny"]
    new = young(tiny_run("new", config={"files": ["digest"]}))
    for before in ([], ["delete", "new", "--yes"]):
        asyncio.run(new.publish(archive))
        assert main(["reindex"]) == 0
        assert not before or main(before) == 0
        capsys.readouterr()
        assert main(["delete", "new", "--free-name", "--yes"]) == 0
        said = capsys.readouterr()
        assert said.out == "deleted new; the name is free\n"
        assert "caches may hold its answers for up to a year" in said.err
        assert main(["delete", "new", "--free-name", "--yes"]) == 2
        assert "run 'new' is not published here" in capsys.readouterr().err
        assert main(["verify"]) == 0
        assert "verified 1 runs, 0 problems" in capsys.readouterr().out


@pytest.mark.usefixtures("archive")
def test_delete_needs_yes_where_nobody_can_be_asked() -> None:
    """Not on a terminal: refused, with exit code 2 and nothing deleted."""
    done = run_command("delete", "tiny")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --yes: is needed to delete 'tiny'")
    assert main(["verify", "tiny"]) == 0


@pytest.mark.parametrize(("typed", "code"), [("tiny\n", 0), ("yes\n", 2), ("\x04", 2)])
def test_delete_asks_on_a_terminal(archive: ArchiveReader, typed: str, code: int) -> None:
    """Only the name of the run confirms; the end of input does not."""
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "delete", "tiny"],
        stdin=terminal,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(master, typed.encode())
        _, errors = process.communicate()
    os.close(master)
    os.close(terminal)
    assert process.returncode == code
    assert len(errors.splitlines()) == (1 if code else 0)
    assert asyncio.run(archive.runs()) == ([] if code == 0 else ["tiny"])


@pytest.mark.parametrize(
    ("name", "value", "arguments"),
    [
        ("GROKPROBE_HOME", "/proc/none", ["reindex"]),
        ("GROKPROBE_STORE_URL", "ftp://x", ["runs"]),
        ("GROKPROBE_REDIS_URL", "http://x", ["reindex"]),
        ("GROKPROBE_REDIS_URL", "redis://127.0.0.1:{closed}", ["reindex"]),
        ("GROKPROBE_HOEM", "x", ["verify"]),
        ("GROKPROBE_LOG_FORMAT", "text", ["verify", "nothing"]),
        ("GROKPROBE_LOG_FORMAT", "text", ["delete", "../x", "--yes"]),
    ],
)
@pytest.mark.usefixtures("archive")
def test_an_error_is_one_line_and_exit_code_2(
    name: str,
    value: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    closed_port: int,
) -> None:
    """No traceback reaches a person."""
    monkeypatch.setenv(name, value.format(closed=closed_port))
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children that Ctrl-C reaches: in the background of a shell they inherit that it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_control_c_is_quiet() -> None:
    """Exit code 130, nothing printed, while it waits for a server that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        settings = {"GROKPROBE_STORE_URL": "s3://bucket", "GROKPROBE_S3_ENDPOINT": endpoint}
        with subprocess.Popen(
            [*COMMAND, "runs"], env={**os.environ, **keys, **settings}, stderr=subprocess.PIPE
        ) as process:
            connection, _ = server.accept()
            connection.recv(1)  # it has asked
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate()
            connection.close()
    assert (process.returncode, errors) == (130, b"")
