"""A repository on the hub, by huggingface_hub: its files, commits, branches and tags.

Token and address are the library's own: HF_TOKEN or `hf auth login`, and HF_ENDPOINT.
"""

import hashlib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grokprobe.errors import CheckpointCorrupt, InvalidInput, StoreUnavailable
from grokprobe.hub.layout import BYTES, NAMES, repository_of

KEPT = (".gitattributes",)  # the hub's own: it says which files are large
WORDS = {
    401: "the hub does not take the token, or there is no such repository that it may see; "
    "give another by `hf auth login` or HF_TOKEN",
    403: "the token may not do this there; give one that may write by `hf auth login` or HF_TOKEN",
    404: "is not on the hub, or the token may not see it; look at the name and the revision",
    429: "the hub asks to wait: repeat the command later, what is there is not sent again",
}


def library() -> Any:
    """huggingface_hub, silent."""
    hub = importlib.import_module("huggingface_hub")
    utils = importlib.import_module("huggingface_hub.utils")
    utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    return hub


class Repository:
    """One repository. Every method raises InvalidInput, or StoreUnavailable, in our words."""

    def __init__(self, address: str, max_model_bytes: int) -> None:
        self.address, self.id = address, repository_of(address)
        self._hub, self._most = library(), max_model_bytes
        self._api = self._hub.HfApi()

    def create(self, private: bool) -> None:
        """Make it, unless it is there."""
        with self._told():
            self._api.create_repo(self.id, private=private or None, exist_ok=True)

    def refs(self) -> dict[str, str]:
        """The commit of each branch and tag, by its name."""
        with self._told():
            found = self._api.list_repo_refs(self.id)
        return {ref.name: ref.target_commit for ref in (*found.tags, *found.branches)}

    def files(self, revision: str) -> dict[str, Any]:
        """The files at a revision, but the hub's own, by path."""
        with self._told():
            listed = list(self._api.list_repo_tree(self.id, recursive=True, revision=revision))
        return {one.path: one for one in listed if hasattr(one, "size") and one.path not in KEPT}

    def holds(self, revision: str, files: Mapping[str, bytes]) -> bool:
        """Whether these files are there, with these bytes."""
        there = self.files(revision)
        return all(name in there and _is_same(there[name], data) for name, data in files.items())

    def branch(self, name: str, start: str) -> None:
        """Make a branch at a commit."""
        with self._told():
            self._api.create_branch(self.id, branch=name, revision=start, exist_ok=True)

    def tag(self, name: str, commit: str) -> None:
        """Make a tag on a commit, in place of one on another."""
        with self._told():
            if self.refs().get(name, commit) != commit:
                self._api.delete_tag(self.id, tag=name)
            self._api.create_tag(self.id, tag=name, revision=commit, exist_ok=True)

    def put(self, revision: str, files: Mapping[str, bytes], message: str) -> bool:
        """Make a branch hold exactly these files, in one commit; False if it did already.

        Of files only those are sent that differ.
        """
        there = self.files(revision)
        add, delete = self._hub.CommitOperationAdd, self._hub.CommitOperationDelete
        changes = [
            add(path_in_repo=name, path_or_fileobj=data)
            for name, data in files.items()
            if name not in there or not _is_same(there[name], data)
        ]
        gone = [name for name in there if name not in files and name in NAMES]
        changes += [delete(path_in_repo=name, is_folder=False) for name in gone]
        if changes:
            with self._told():
                self._api.create_commit(self.id, changes, commit_message=message, revision=revision)
        return bool(changes)

    def fetch(self, revision: str, names: set[str], cache: Path) -> dict[str, bytes]:
        """The files of these names that are there, as they came; kept in a cache until whole.

        Raises CheckpointCorrupt, before the download, for a size above what is allowed.
        """
        sizes = {name: one.size for name, one in self.files(revision).items() if name in names}
        for name, size in sizes.items():
            if size > (most := BYTES.get(name, self._most)):
                place = f"{self.address} at {revision}: {name}"
                raise CheckpointCorrupt(f"{place} has {size} bytes, more than the {most} allowed")
        with self._told():
            return {name: self._fetch(revision, name, cache) for name in sizes}

    def _fetch(self, revision: str, name: str, cache: Path) -> bytes:
        path = self._api.hf_hub_download(self.id, name, revision=revision, cache_dir=cache)
        return Path(path).read_bytes()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the library raises, as one line: it may hold addresses and request ids."""
        try:
            yield
        # OSError, ValueError, RuntimeError, and the errors of the HTTP library that it uses.
        except Exception as error:
            if isinstance(error, InvalidInput | StoreUnavailable):
                raise
            status = status_of(error)
            if words := WORDS.get(status or 0):
                raise InvalidInput(self.address, words) from None
            cause = f"it answers {status}" if status else type(error).__name__
            message = f"the hub cannot be used: {cause}; repeat the command, what is there is kept"
            raise StoreUnavailable(message, self.address) from None


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an error of the library; None where nothing was answered."""
    while error is not None:
        if (response := getattr(error, "response", None)) is not None:
            return int(response.status_code)
        error = error.__cause__
    return None


def _is_same(file: Any, data: bytes) -> bool:
    """Whether the hub's file has these bytes: a large one by SHA-256, others as git names them."""
    if file.lfs is not None:
        return bool(file.lfs.sha256 == hashlib.sha256(data).hexdigest())
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return bool(file.blob_id == blob)
