"""Prometheus metrics: names, labels by template, and one count per request."""

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.metrics import Metrics
from tests.support.trained import TINY_STEPS

LAST = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}"


def requests(client: httpx.Client) -> dict[tuple[str, str, str], float]:
    """Counted requests by route, method and status."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (s.labels["route"], s.labels["method"], s.labels["status"]): s.value
        for family in families
        for s in family.samples
        if s.name == "grokprobe_requests_total"
    }


def test_requests_are_counted_by_template(client: httpx.Client) -> None:
    """One series for a route whatever the run and step; unmatched ones and methods share one."""
    before = requests(client)
    for step in (0, 1, 4, 41):
        client.get(f"/v1/runs/tiny/checkpoints/{step}")
    client.get("/v1/nothing/at/all")
    client.request("TRACE", "/v1/runs")
    client.head(LAST)
    after = requests(client)
    grown = {key: n - before.get(key, 0) for key, n in after.items() if n > before.get(key, 0)}
    route = "/v1/runs/{run}/checkpoints/{step}"
    assert grown == {
        (route, "GET", "200"): 3,
        (route, "GET", "404"): 1,
        (route, "HEAD", "200"): 1,
        ("unmatched", "GET", "404"): 1,
        ("unmatched", "OTHER", "405"): 1,
        ("/metrics", "GET", "200"): 1,
    }


def test_no_label_holds_a_url(client: httpx.Client) -> None:
    """No sample of any metric names a run or a step."""
    client.get(f"{LAST}/spectrum")
    assert not re.search(r"tiny|\b400\b.*route", client.get("/metrics").text)


def test_inference_is_timed(client: httpx.Client) -> None:
    """Queue, inference and total time are separate histograms, and all move."""
    client.get(f"{LAST}/predictions")
    text = client.get("/metrics").text
    for name in ("request_seconds", "queue_seconds", "inference_seconds"):
        found = re.search(rf"^grokprobe_{name}_count (\S+)$", text, re.MULTILINE)
        assert found is not None
        assert float(found[1]) > 0


def test_applications_do_not_share_metrics() -> None:
    """Two sets of metrics live side by side in one process."""
    first, second = Metrics(), Metrics()
    first.cache_hits.inc()
    assert second.registry.get_sample_value("grokprobe_session_cache_hits_total") == 0
