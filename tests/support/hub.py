"""A stand-in for the hub: the part of its HTTP API that huggingface_hub uses here, in memory.

Commits are whole trees, large files are known by their SHA-256. It counts what is sent to it, and
breaks where a test says so.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.proxy import listening

TOKEN = "hf_of_the_tests"
LARGE = (".onnx", ".npy", ".safetensors", ".png")
Tree = dict[str, bytes]


def blob(data: bytes) -> str:
    """The name that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def is_large(path: str) -> bool:
    """Whether a file is kept as a large one."""
    return path.endswith(LARGE)


@dataclass
class Kept:
    """One repository."""

    commits: dict[str, Tree] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, tree: Tree) -> str:
        """A new commit at the end of a branch."""
        name = hashlib.sha1(f"{len(self.commits)}".encode(), usedforsecurity=False).hexdigest()
        self.commits[name], self.branches[branch] = tree, name
        return name

    def at(self, revision: str) -> str | None:
        """The commit that a revision means."""
        found = self.branches.get(revision) or self.tags.get(revision)
        return found or (revision if revision in self.commits else None)

    def tree(self, revision: str) -> Tree:
        """The files of a revision, to be meddled with."""
        return self.commits[self.at(revision) or ""]


@dataclass
class Hub:
    """What the stand-in holds, what was sent, and what it does wrong."""

    url: str = ""
    repositories: dict[str, Kept] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)  # SHA-256 of large files, as they came
    commits: list[str] = field(default_factory=list)  # the branch of each
    fetched: list[str] = field(default_factory=list)  # REVISION/PATH of each GET of a file
    breaks: Callable[[str, str], int] = lambda _method, _path: 0  # a status; -1 drops it
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """What sends huggingface_hub here; xet is another protocol."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}


class Missing(Exception):
    """404, with the code by which the library knows what is missing."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request of the library."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        """Find the route, unless the test or the token says otherwise."""
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(urlsplit(self.path).path)
        status = self.hub.breaks(self.command, path)
        if status < 0:
            self.close_connection = True
            return
        if status == 0 and self.headers.get("authorization") != f"Bearer {TOKEN}":
            status = 0 if path.startswith("/lfs/") else 401
        if status:
            self.give({"error": "broken"}, status)
            return
        with self.hub.lock:
            self.route(path)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def route(self, path: str) -> None:
        """Answer by the first route that fits."""
        for pattern, answer in ROUTES.items():
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                try:
                    answer(self, *match.groups())
                except Missing as error:
                    self.give({"error": "missing"}, 404, {"X-Error-Code": str(error)})
                return
        self.give({"error": f"no route for {self.command} {path}"}, 404)

    def give(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer with bytes, or with what JSON says of it."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def kept(self, name: str) -> Kept:
        """The repository, or 404."""
        if name not in self.hub.repositories:
            raise Missing("RepoNotFound")
        return self.hub.repositories[name]

    def commit_at(self, name: str, revision: str) -> str:
        """The commit of a revision, or 404."""
        found = self.kept(name).at(revision)
        if found is None:
            raise Missing("RevisionNotFound")
        return found

    def create(self) -> None:
        """POST /api/repos/create."""
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        new = name not in self.hub.repositories
        if new:
            self.hub.repositories[name] = kept = Kept()
            kept.commit("main", {".gitattributes": b"*.onnx filter=lfs\n"})
        self.give({"url": f"{self.hub.url}/{name}"}, 200 if new else 409)

    def valid(self) -> None:
        """POST /api/validate-yaml."""
        self.give({"errors": [], "warnings": []})

    def refs(self, name: str) -> None:
        """GET refs."""
        kept = self.kept(name)
        self.give(
            {
                "branches": listed(kept.branches, "heads"),
                "tags": listed(kept.tags, "tags"),
                "converts": [],
            }
        )

    def tree(self, name: str, revision: str) -> None:
        """GET tree."""
        files = self.kept(name).commits[self.commit_at(name, revision)]
        self.give([described(path, data) for path, data in files.items()])

    def branch(self, name: str, branch: str) -> None:
        """POST branch."""
        kept, start = self.kept(name), json.loads(self.body).get("startingPoint", "main")
        new = branch not in kept.branches
        if new:
            kept.branches[branch] = self.commit_at(name, start)
        self.give({}, 200 if new else 409)

    def tag(self, name: str, revision: str) -> None:
        """POST tag."""
        kept, tag = self.kept(name), json.loads(self.body)["tag"]
        new = tag not in kept.tags
        if new:
            kept.tags[tag] = self.commit_at(name, revision)
        self.give({}, 200 if new else 409)

    def untag(self, name: str, tag: str) -> None:
        """DELETE tag."""
        del self.kept(name).tags[tag]
        self.give({})

    def preupload(self, name: str, revision: str) -> None:
        """POST preupload: which files are large."""
        self.commit_at(name, revision)
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {True: "lfs", False: "regular"}
        self.give(
            {
                "files": [
                    {"path": p, "uploadMode": modes[is_large(p)], "shouldIgnore": False}
                    for p in paths
                ]
            }
        )

    def batch(self, name: str) -> None:
        """POST the batch of large files: where to send those that are not here."""
        self.kept(name)
        objects = json.loads(self.body)["objects"]
        for one in objects:
            if one["oid"] not in self.hub.large:
                one["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}
        self.give({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        """PUT a large file."""
        right = hashlib.sha256(self.body).hexdigest() == oid
        if right:
            self.hub.large[oid] = self.body
            self.hub.uploads.append(oid)
        self.give({}, 200 if right else 400)

    def commit(self, name: str, branch: str) -> None:
        """POST commit: lines of JSON."""
        import base64

        kept = self.kept(name)
        tree = dict(kept.commits[self.commit_at(name, branch)])
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                tree[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del tree[value["path"]]
        found = kept.commit(branch, tree)
        self.hub.commits.append(branch)
        self.give({"commitUrl": f"{self.hub.url}/{name}/commit/{found}", "commitOid": found})

    def resolve(self, name: str, revision: str, path: str) -> None:
        """HEAD or GET of a file, a part of it by Range."""
        commit = self.commit_at(name, revision)
        data = self.kept(name).commits[commit].get(path)
        if data is None:
            raise Missing("EntryNotFound")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(path, data)}"'}
        if self.command == "GET":
            self.hub.fetched.append(f"{revision}/{path}")
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or ""):
            first = int(found[1])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            self.give(data[first:], 206, headers)
        else:
            self.give(data, 200, headers)


def etag(path: str, data: bytes) -> str:
    """By which the library knows a file again."""
    return hashlib.sha256(data).hexdigest() if is_large(path) else blob(data)


def listed(refs: dict[str, str], kind: str) -> list[dict[str, str]]:
    """Branches or tags."""
    return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in refs.items()]


def described(path: str, data: bytes) -> dict[str, Any]:
    """A file in a tree."""
    found: dict[str, Any] = {
        "type": "file",
        "path": path,
        "size": len(data),
        "oid": blob(data),
    }
    if is_large(path):
        oid = hashlib.sha256(data).hexdigest()
        found["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 130}
    return found


MODEL = r"/api/models/([^/]+/[^/]+)"
ROUTES: dict[str, Callable[..., None]] = {
    "POST /api/repos/create": Handler.create,
    "POST /api/validate-yaml": Handler.valid,
    f"GET {MODEL}/refs": Handler.refs,
    f"GET {MODEL}/tree/([^/]+)": Handler.tree,
    f"POST {MODEL}/branch/([^/]+)": Handler.branch,
    f"POST {MODEL}/tag/([^/]+)": Handler.tag,
    f"DELETE {MODEL}/tag/([^/]+)": Handler.untag,
    f"POST {MODEL}/preupload/([^/]+)": Handler.preupload,
    f"POST {MODEL}/commit/([^/]+)": Handler.commit,
    r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch": Handler.batch,
    "PUT /lfs/([0-9a-f]{64})": Handler.upload,
    r"(?:GET|HEAD) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)": Handler.resolve,
}


@contextmanager
def hub_of_models() -> Iterator[Hub]:
    """A stand-in that listens on loopback."""
    hub = Hub()
    handler = type("OneHub", (Handler,), {"hub": hub})
    with listening(handler) as url:
        hub.url = url
        yield hub
