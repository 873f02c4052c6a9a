"""docs/hub.md, pushing: against a stand-in that speaks the part of the hub's API that is used."""

import asyncio
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from grokprobe.store.archive import names
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from tests.cli.test_archive_commands import stamped, with_model
from tests.hub.conftest import AT, Hubbed, after, done
from tests.support.served import serving
from tests.support.tiny import TinyRun, digest_of, tiny_run
from tests.support.trained import TINY_STEPS, manifests, settings_at

STEPS = {f"step{step}" for step in TINY_STEPS}


def test_a_branch_for_every_step(pushed: Hubbed) -> None:
    """With what object storage holds, byte for byte, and its weights as safetensors."""
    kept = pushed.hub.repositories["org/tiny"]
    assert kept.branches.keys() == {"main", *STEPS}
    for manifest in manifests(pushed.trained):
        folder = pushed.trained.folder.parent.parent / names.manifest_path("tiny", manifest.step)
        tree = kept.tree(f"step{manifest.step}")
        for file in folder.parent.iterdir():
            assert tree[file.name] == file.read_bytes()
        assert tree["model.safetensors"]
    assert (
        kept.tree("main")["complete.json"] == (pushed.trained.folder / "complete.json").read_bytes()
    )


def test_tags_are_on_the_commits_of_their_steps(pushed: Hubbed) -> None:
    """As the service says when it memorised and generalised."""
    kept = pushed.hub.repositories["org/tiny"]
    about = pushed.served.client.get("/v1/runs/tiny").json()
    labels = {name: about[f"{name}_step"] for name in ("memorised", "generalised")}
    expected = {n: kept.branches[f"step{s}"] for n, s in labels.items() if s is not None}
    assert kept.tags == expected != {}


def test_the_card_says_how_to_load_it(pushed: Hubbed) -> None:
    """Front matter, pictures, the address; all else is the service's own card."""
    main = pushed.hub.repositories["org/tiny"].tree("main")
    card = main["README.md"].decode()
    assert card.startswith("---\nlibrary_name: grokprobe\n")
    assert "- mechanistic-interpretability\n" in card
    assert f"grokprobe pull {AT}" in card
    told = pushed.served.client.get("/v1/runs/tiny/card", params={"format": "markdown"}).text
    title, _, rest = told.partition("\n\n")
    assert f"---\n{title}\n" in card
    assert rest in card
    assert main["trajectory.png"].startswith(b"\x89PNG")


def test_a_second_push_sends_nothing(pushed: Hubbed) -> None:
    """No file and no commit."""
    uploads, commits = len(pushed.hub.uploads), len(pushed.hub.commits)
    again = pushed.push()
    assert again.stdout.endswith("0 branches changed\n")
    assert (len(pushed.hub.uploads), len(pushed.hub.commits)) == (uploads, commits)


@pytest.mark.parametrize("status", [-1, 500])
@pytest.mark.parametrize(
    ("method", "path", "count"), [("PUT", "/lfs/", 12), ("POST", "/commit/", 4)]
)
def test_a_push_that_was_cut_sends_the_rest(
    hubbed: Hubbed, method: str, path: str, count: int, status: int
) -> None:
    """Each large file is sent once, whether its branch was committed or not."""
    hubbed.hub.breaks = after(count, method, path, status)
    cut = hubbed.push("--steps", "every 4")
    assert cut.returncode == 2
    assert "the hub cannot be used" in cut.stderr
    assert len(cut.stderr.splitlines()) == 1
    hubbed.hub.breaks = lambda _method, _path: 0
    assert hubbed.push("--steps", "every 4").returncode == 0
    assert len(hubbed.hub.uploads) == len(set(hubbed.hub.uploads))
    assert len(hubbed.hub.commits) == len(set(hubbed.hub.commits)) + 1  # main: first and last


def test_a_push_that_was_killed_sends_the_rest(hubbed: Hubbed) -> None:
    """By SIGKILL, in the middle of a branch."""
    command = hubbed.command("push", "tiny", AT, "--url", hubbed.served.url)
    process = subprocess.Popen(command, env=hubbed.environment())

    def breaks(_method: str, path: str) -> int:
        if path.endswith("/commit/step20"):
            process.send_signal(signal.SIGKILL)
            return -1
        return 0

    hubbed.hub.breaks = breaks
    assert process.wait(300) == -signal.SIGKILL
    before = list(hubbed.hub.uploads)
    hubbed.hub.breaks = lambda _method, _path: 0
    assert hubbed.push().returncode == 0
    assert before != []
    assert len(hubbed.hub.uploads) == len(set(hubbed.hub.uploads))


def test_steps_are_chosen(hubbed: Hubbed) -> None:
    """By number, by label, and not those that are none."""
    assert hubbed.push("--steps", "20,latest").returncode == 0
    kept = hubbed.hub.repositories["org/tiny"]
    assert kept.branches.keys() == {"main", "step20", "step400"}
    wrong = hubbed.push("--steps", "21")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: --steps: '21' is no step or label of this run")


def test_identical_steps_are_refused(hubbed: Hubbed, tmp_path: Path) -> None:
    """Two whose weights are equal to the byte, unless that is meant."""
    settings = settings_at(tmp_path / "frozen")
    asyncio.run(frozen().publish(ArchiveReader(open_store(settings))))
    with serving(settings, tmp_path) as other:
        command = hubbed.command("push", "frozen", "hf://org/frozen", "--url", other.url)
        environ = hubbed.environment(settings.home_path)
        refused, meant = done(command, environ), done([*command, "--allow-identical"], environ)
    words = "frozen: the weights of steps 0, 10 are identical; --allow-identical if meant"
    assert refused.stderr == f"error: {words}\n"
    assert (meant.returncode, meant.stderr) == (0, "")


def frozen() -> TinyRun:
    """A run whose second step has the weights of its first."""
    run = tiny_run("frozen")
    [first, (second, _), *rest] = run.checkpoints
    model = stamped(first[1], second.step)
    checkpoints = [first, (with_model(second, model), model), *rest]
    digest = digest_of(manifest for manifest, _ in checkpoints)
    ended = msgspec.structs.replace(run.completion, manifests_sha256=digest)
    return replace(run, checkpoints=checkpoints, completion=ended)


def test_a_run_that_goes_on_is_refused(hubbed: Hubbed, home: Path) -> None:
    """It has no end yet."""
    (home / "store" / "runs" / "tiny" / "complete.json").unlink()
    found = hubbed.push(GROKPROBE_HOME=str(home))
    assert found.stderr.startswith("error: tiny: has not ended: push it when it has")
    assert hubbed.hub.repositories == {}


def test_another_run_there_is_refused(pushed: Hubbed) -> None:
    """By the bytes of run.json; and so is what holds no run."""
    main = pushed.hub.repositories["org/tiny"].tree("main")
    main["run.json"] += b"\n"
    assert "holds another run than 'tiny'" in pushed.push().stderr
    del main["run.json"]
    assert "holds 'circle.png' and no run" in pushed.push().stderr


def test_a_wrong_token_is_told_and_not_shown(hubbed: Hubbed) -> None:
    """401 in words, on one line."""
    found = hubbed.push(HF_TOKEN="hf_wrong")
    assert found.returncode == 2
    assert "the hub does not take the token" in found.stderr
    assert "hf_wrong" not in found.stdout + found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_what_is_no_address_is_refused(hubbed: Hubbed, tmp_path: Path) -> None:
    """Before anything is asked."""
    found = hubbed.pull(tmp_path / "home")
    assert "is not on the hub" in found.stderr
    command = hubbed.command("pull", "org/tiny")
    wrong = subprocess.run(
        command, env=hubbed.environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert wrong.stderr == "error: org/tiny: is not hf://ORG/NAME\n"
