"""`python -m benchmarks.manners`: how fast a 304 is, beside a constant answer and a whole one.

One service process over a run of its own, the client on the same cores. Medians over rounds; each
answer takes turns with the constant one, and its ratio is to that.
"""

import tempfile
from pathlib import Path
from statistics import median

import httpx

from benchmarks.load import Load, get, send
from benchmarks.probing import publish
from benchmarks.servers import how_quiet, service

ROUNDS, SECONDS = 15, 0.2
LAST = "/v1/runs/mainline/checkpoints/39"
ANSWERS = {
    "a spectrum": f"{LAST}/spectrum",
    "by format and query": f"{LAST}/embedding?projection=pca&dimensions=3&format=csv",
    "by a label": "/v1/runs/mainline/checkpoints/latest/neurons",
    "model.onnx": f"{LAST}/model.onnx",
    "a run's trajectory": "/v1/runs/mainline/trajectory",
}


def rate(port: int, request: bytes, connections: int, status: str) -> float:
    """Answers a second, all with this status. Raises RuntimeError if one has another."""
    load = Load(port=port, requests=[request], connections=connections, seconds=SECONDS)
    report = send(load)
    if set(report.statuses) != {status}:
        raise RuntimeError(f"{request[:60]!r} was answered with {report.statuses}")
    return report.statuses[status] / report.seconds


def cases(port: int) -> dict[str, tuple[bytes, str]]:
    """Request and status, by name."""
    found = {"200, a spectrum": (get(f"{LAST}/spectrum"), "200")}
    for name, path in ANSWERS.items():
        etag = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60).headers["etag"]
        found[f"304, {name}"] = (get(path, If_None_Match=etag), "304")
    return found


def measure(port: int, connections: int) -> dict[str, list[tuple[float, float]]]:
    """Answers per second by name beside those of the constant just before, a pair a round."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    asked = cases(port)
    for _ in range(ROUNDS):
        for name, (request, status) in asked.items():
            constant = rate(port, get("/livez"), connections, "200")
            found = rate(port, request, connections, status)
            pairs.setdefault(name, []).append((found, constant))
    return pairs


def main() -> None:
    """Print requests per second and ratios, at 1 and 32 connections."""
    print(how_quiet())
    with tempfile.TemporaryDirectory() as home:
        publish(Path(home))
        with service(Path(home)) as server:
            for connections in (1, 32):
                pairs = measure(server.port, connections)
                constant = median(c for values in pairs.values() for _, c in values)
                print(f"{connections} connections\n  {'constant answer':28} {constant:8.0f}/s")
                for name, values in pairs.items():
                    ratio = median(v / c for v, c in values)
                    print(f"  {name:28} {median(v for v, _ in values):8.0f}/s   {ratio:5.2f}")


if __name__ == "__main__":
    main()
