"""From the hub into object storage, or into a folder: everything is verified before it is there.

What comes lies under HOME until it is known to be whole and right. A cut leaves it there, so that
the next pull fetches the rest; a wrong digest removes it.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from obstore.store import LocalStore

from grokprobe.cli.files import put
from grokprobe.client.bars import bar
from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.hub import layout
from grokprobe.hub.repository import Repository
from grokprobe.settings import Settings, refuse_memory
from grokprobe.store.adopting import adopt
from grokprobe.store.archive import names
from grokprobe.store.archive.copying import refuse_other
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import examine
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import CheckpointManifest, RunManifest, sha256

AT_ONCE = 8  # branches
OF_A_STEP = {layout.MANIFEST, layout.MODEL, layout.PREDICTIONS}
OF_A_RUN = {layout.RUN, layout.SPLIT, layout.COMPLETION}


def pull_run(settings: Settings, repository: Repository) -> tuple[str, int]:
    """Publish a whole run in the object storage of the settings: its name and checkpoints.

    Raises CheckpointCorrupt for what is not as its digests say, InvalidInput where another run has
    the name or the hub lacks a part, SettingError where nothing would be kept.
    """
    refuse_memory(settings)
    folder = _folder(settings, repository)
    try:
        run, count = _stage(settings, repository, folder)
        source = ArchiveReader(LocalStore(folder / "store"))
        asyncio.run(_check(source, run, repository.address))
    except CheckpointCorrupt:
        shutil.rmtree(folder, ignore_errors=True)  # what came wrong is not to be found again
        raise
    asyncio.run(adopt(settings, source, run))
    shutil.rmtree(folder)
    return run, count


def _stage(settings: Settings, repository: Repository, folder: Path) -> tuple[str, int]:
    """Lay a run out under a folder as object storage has it; its name and checkpoints."""
    refs, cache, staged = repository.refs(), folder / "cache", folder / "store"
    main = _commit(refs, layout.MAIN, repository)
    of_run = _sound(repository, layout.MAIN, main, OF_A_RUN, cache)
    if not {layout.RUN, layout.COMPLETION} <= of_run.keys():
        raise InvalidInput(repository.address, "holds no whole run; push it to its end first")
    where = f"{repository.address} {layout.RUN}"
    run = decode_record(of_run[layout.RUN], RunManifest, where).run
    asyncio.run(refuse_other(ArchiveReader(open_store(settings)), run, of_run[layout.RUN]))
    shutil.rmtree(staged, ignore_errors=True)
    _put_all(staged / names.run_prefix(run), of_run)
    steps = [step for ref in refs if (step := layout.step_of(ref)) is not None]

    def fetch(step: int) -> None:
        branch = layout.branch_of(step)
        files = _sound(repository, branch, refs[branch], OF_A_STEP, cache)
        if layout.MANIFEST not in files:
            raise InvalidInput(repository.address, f"lacks the files of step {step}; push it again")
        _put_all((staged / names.manifest_path(run, step)).parent, files)

    _in_turns(fetch, sorted(steps))
    return run, len(steps)


def _sound(
    repository: Repository, branch: str, commit: str, wanted: set[str], cache: Path
) -> dict[str, bytes]:
    """The files that are there of these. Raises CheckpointCorrupt that names a wrong one."""
    files = repository.fetch(commit, {*wanted, layout.DIGESTS}, cache)
    where = f"{repository.address} at {branch}:"
    if layout.DIGESTS not in files:
        return {}
    digests = layout.decode_digests(files.pop(layout.DIGESTS), where)
    _compare(files, {name: digests[name] for name in digests if name in wanted}, where)
    return files


def pull_files(settings: Settings, repository: Repository, revision: str, to: Path) -> int:
    """Write the files of one revision into a folder; how many. Raises as `pull_run` does."""
    folder = _folder(settings, repository)
    commit = _commit(repository.refs(), revision, repository)
    files = repository.fetch(commit, set(layout.NAMES), folder / "cache")
    try:
        _check_files(files, f"{repository.address} at {revision}:")
    except CheckpointCorrupt:
        shutil.rmtree(folder)
        raise
    there = {path.name: path for path in to.iterdir()} if to.is_dir() else {}
    if any(name not in files or path.read_bytes() != files[name] for name, path in there.items()):
        raise InvalidInput(str(to), "holds other files; name a folder that is new or empty")
    _put_all(to, {name: data for name, data in files.items() if name not in there})
    shutil.rmtree(folder)
    return len(files)


def _folder(settings: Settings, repository: Repository) -> Path:
    """Where what comes lies until it is whole."""
    return settings.home_path / "pulls" / repository.id.replace("/", "--")


def _commit(refs: dict[str, str], revision: str, repository: Repository) -> str:
    """The commit of a branch or tag: what is read is of one moment."""
    if revision not in refs:
        raise InvalidInput(repository.address, f"has no revision {revision!r:.80}")
    return refs[revision]


def _put_all(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        put(folder / name, data)


def _in_turns(fetch: Callable[[int], None], steps: Sequence[int]) -> None:
    """Fetch some at once; the first error is the one that is told, and the rest is left."""
    with ThreadPoolExecutor(AT_ONCE) as pool, bar("pulling", len(steps)) as told:
        try:
            for _ in pool.map(fetch, steps):
                told(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


async def _check(source: ArchiveReader, run: str, address: str) -> None:
    """Raise CheckpointCorrupt for the first thing that is wrong with a run that came."""
    examined = await examine(source, run)
    if examined.problems:
        raise CheckpointCorrupt(f"{address}: {examined.problems[0]}; nothing was published")


def _check_files(files: dict[str, bytes], where: str) -> None:
    """Raise CheckpointCorrupt unless files are what digests and manifest say."""
    digests = layout.decode_digests(files.get(layout.DIGESTS, b""), where)
    rest = {name: data for name, data in files.items() if name != layout.DIGESTS}
    _compare(rest, digests, where)
    if layout.MANIFEST in files:
        manifest = decode_record(
            files[layout.MANIFEST], CheckpointManifest, f"{where} manifest.json"
        )
        if sha256(files.get(layout.MODEL, b"")) != manifest.model.sha256:
            raise CheckpointCorrupt(f"{where} {layout.MODEL} is not the model of its manifest")


def _compare(files: dict[str, bytes], digests: dict[str, str], where: str) -> None:
    """Raise CheckpointCorrupt unless these files, and no others, have these digests."""
    for name in sorted(digests.keys() | files.keys()):
        if name not in files or sha256(files[name]) != digests.get(name):
            message = f"{where} {name} is not what {layout.DIGESTS} records; nothing is written"
            raise CheckpointCorrupt(message)
