"""Questions over HTTP: asked again where that helps, kept where that is right."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tenacity import Retrying, retry_if_exception_type

from grokprobe.client.asking import Ask
from grokprobe.client.cache import Kept
from grokprobe.client.downloads import Part, progress, taken
from grokprobe.client.errors import ClientError, Damaged
from grokprobe.client.place import Place
from grokprobe.client.replies import AGAIN, enough, failed, pause, problem
from grokprobe.client.waiting import here


class Connection:
    """One service, asked by httpx."""

    def __init__(self, place: Place, is_known: bool = False) -> None:
        self.place = place
        self._answered = is_known  # so that somebody listens there, or will again
        self._http, self._home = self._new(), here()
        self._is_closed = False

    def _new(self) -> httpx.Client:
        place = self.place
        socket = httpx.HTTPTransport(uds=place.socket) if place.socket else None
        return httpx.Client(
            base_url=place.url, headers=place.headers, timeout=place.timeout_s, transport=socket
        )

    @property
    def http(self) -> httpx.Client:
        """The connections of this process: on those that a fork shares, answers go to either.

        Where there is an event loop they are its own: no other can wait for them.
        """
        if self._home != here():
            self._http, self._home = self._new(), here()
        return self._http

    def close(self) -> None:
        """Close what is open."""
        self._is_closed = True
        if self._home == here():
            self._http.close()

    def retrying(self) -> Retrying:
        """The attempts of one question."""
        return Retrying(
            retry=retry_if_exception_type(AGAIN),
            wait=pause,
            stop=enough(self.place.wait_s, self._is_known),
            reraise=True,
        )

    def _is_known(self) -> bool:
        return self._answered

    def answer(self, ask: Ask) -> Kept:
        """The answer to a question; what never changes is asked for once."""
        cache = self.place.cache if ask.body is None else None
        key = self.place.cache_key(ask)
        kept = cache.get(key) if cache else None
        if kept and kept.immutable:
            return kept
        found = self._fresh(ask, kept)
        if cache and found is not kept and found.etag:
            cache.put(key, found)
        return found

    def _fresh(self, ask: Ask, kept: Kept | None) -> Kept:
        headers = {"If-None-Match": kept.etag} if kept and kept.etag else {}
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
        for attempt in self.retrying():
            with attempt:
                with self.opened(ask, headers) as reply:
                    body = self._body(reply)
                if reply.status_code == 304 and kept:
                    return kept
                return Kept(
                    media_type=reply.headers.get("Content-Type", ""),
                    etag=reply.headers.get("ETag", ""),
                    immutable=bool(ask.identity)
                    and "immutable" in reply.headers.get("Cache-Control", ""),
                    body=body,
                )
        raise AssertionError("the last attempt raises")

    def _body(self, reply: httpx.Response) -> bytes:
        try:
            return reply.read()
        except httpx.TransportError as error:
            raise failed(self.place.scope, error) from error
        except httpx.DecodingError as error:
            raise Damaged(f"{self.place.scope}: an answer cannot be unpacked: {error}") from error

    @contextmanager
    def opened(self, ask: Ask, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The reply, its body still to be read. Raises what its status means."""
        if self._is_closed:
            raise ClientError(f"this client of {self.place.scope} is closed; make another")
        http = self.http
        try:
            request = http.build_request(
                ask.method,
                ask.path,
                params=httpx.QueryParams(list(ask.query)),
                content=ask.body,
                headers=headers,
            )
        except httpx.InvalidURL as error:
            raise ClientError(f"{ask.path:.80} cannot be asked: {error}") from None
        try:
            reply = http.send(request, stream=True)
        except httpx.TransportError as error:
            raise failed(self.place.scope, error) from error
        self._answered = True
        try:
            if reply.status_code >= 400:
                body = self._body(reply)
                raise problem(reply.status_code, reply.headers, body)
            yield reply
        finally:
            reply.close()

    def download(self, ask: Ask, to: str | Path) -> Path:
        """A file, whole or not at all; gone on with where an earlier one was cut off."""
        with taken(to) as part:
            for attempt in self.retrying():
                with attempt:
                    with self.opened(ask, part.headers()) as reply:
                        self._receive(reply, part, Path(to).name)
            part.finish()
        return Path(to)

    def _receive(self, reply: httpx.Response, part: Part, name: str) -> None:
        part.promise(reply.headers)
        if reply.status_code == 206:
            part.go_on()
        else:
            part.begin(reply.headers.get("ETag", ""))
        length = reply.headers.get("Content-Length")
        total = part.size + int(length) if length else None
        bar = progress(name, total, part.size, self.place.bars)
        with part.path.open("ab") as file, bar as told:
            try:
                for piece in reply.iter_raw():
                    file.write(piece)
                    told(len(piece))
            except httpx.TransportError as error:
                raise failed(self.place.scope, error) from error
