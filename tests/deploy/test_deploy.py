"""How long a pod has to stop, compared with the code."""

import pytest

from grokprobe.settings import Settings
from service.server.server import CLOSE_S, IN_FLIGHT_S
from tests.support.manifests import K8S, Manifests, container, pod, rendered


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    """What k8s/base is, by kind."""
    return {one["kind"]: one for one in rendered(K8S / "base").values()}


def test_the_service_stops_in_time(manifests: Manifests) -> None:
    """Nobody sends any more, what is in flight ends, all is closed: within the grace period."""
    pause = container(manifests["Deployment"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 10 <= pause <= 15
    needed = pause + max(IN_FLIGHT_S, Settings().drain_s) + CLOSE_S
    assert pod(manifests["Deployment"])["terminationGracePeriodSeconds"] > needed
