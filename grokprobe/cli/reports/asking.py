"""What a report asks a service: one that runs, or one started for the time that it takes."""

import contextlib
import json
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from grokprobe.addresses import http_url, listen
from grokprobe.cli.demo import running, wait_until_live
from grokprobe.errors import StoreUnavailable
from grokprobe.settings import read_settings, variable

HOST = "127.0.0.1"
TRIES = 60  # of an answer that takes longer than a request may
WAIT_S = 600


@contextlib.contextmanager
def service() -> Iterator[str]:
    """The address of a service of our own, which nobody else reaches."""
    [listener, *_] = listen(HOST, 0, variable("port"))
    port = listener.getsockname()[1]
    listener.close()
    os.environ |= {variable("host"): HOST, variable("port"): str(port)}
    for name in ("api_keys_file", "root_path"):
        os.environ.pop(variable(name), None)
    read_settings()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "service.log"
        with running("service", log=log) as service:
            base = http_url(HOST, port)
            if not wait_until_live(base, service, log):
                raise StoreUnavailable("the service did not start")
            yield base


def ask(url: str) -> tuple[bytes | None, str]:
    """The answer to a request, or why there is none in the service's words.

    Raises StoreUnavailable where no service answers.
    """
    for _ in range(TRIES):
        try:
            with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
                return answer.read(), ""
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                return None, _told(error)
            time.sleep(min(30.0, float(error.headers.get("Retry-After") or 1)))
        except OSError as error:
            raise StoreUnavailable(f"{url.partition('/v1')[0]} does not answer: {error}") from None
    raise StoreUnavailable(f"{url} is not finished after {TRIES} requests")


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {error.code}"
