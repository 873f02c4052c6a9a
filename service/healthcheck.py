"""`python -m service.healthcheck`: exit status 0 if the service beside it is ready; for containers.

By the service's own settings, so that it asks where that one listens.
"""

import sys
import urllib.request

import msgspec

from grokprobe.errors import GrokprobeError
from grokprobe.settings import Settings, read_settings

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # listened on, but nobody's address
TIMEOUT_S = 5


def ready(settings: Settings) -> bool:
    """Whether `/readyz` says so; a proxy is never asked."""
    host = ANY.get(settings.host, settings.host)
    url = msgspec.structs.replace(settings, host=host).url
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/readyz", timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except OSError as error:
        print(f"{url}/readyz: {error}", file=sys.stderr)
        return False


def main() -> int:
    """Exit status 0 ready, 1 not, 2 for settings that cannot be used."""
    try:
        return 0 if ready(read_settings()) else 1
    except GrokprobeError as error:
        print(f"error: {error.told}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
