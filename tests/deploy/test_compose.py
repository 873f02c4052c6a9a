"""compose.yaml: valid, locked down, and of one mind with the images, the settings and the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from grokprobe.settings import PREFIX, Settings, read_settings
from tests.deploy.test_images import PROJECT, instructions
from tools import images, rules
from trainer.arguments import parse_arguments
from trainer.config.schema import load_config, preset

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
OURS = {"service": "service-cpu", "trainer": "trainer-cpu"}
PROMETHEUS = yaml.safe_load((ROOT / "compose/prometheus.yml").read_text())


def variables(name: str) -> dict[str, str]:
    """What a service's environment is when nobody sets anything."""
    found = SERVICES[name]["environment"]
    return {key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for key, value in found.items()}


def settings(name: str) -> Settings:
    """The settings that a container of ours reads."""
    given = variables(name)
    return read_settings({key: given[key] for key in given if key.startswith(PREFIX)})


def test_it_is_valid() -> None:
    """By a reader of the compose specification, which refuses a key that is none."""
    plain = yaml.safe_dump(COMPOSE)  # its reader knows no merged keys
    assert sorted(PyCompose.from_yaml(plain).service_names()) == sorted(SERVICES)
    wrong = {**COMPOSE, "services": {"redis": {"imagee": "x"}}}
    with pytest.raises(ValueError):
        PyCompose.from_yaml(yaml.safe_dump(wrong))


@pytest.mark.parametrize("name", OURS)
def test_ours_are_our_images(name: str) -> None:
    """Built by their target, named as `make images` names them, started as the image starts."""
    found, target = SERVICES[name], OURS[name]
    assert found["image"] == f"grokprobe-{target}:{PROJECT['version']}"
    assert target in images.TARGETS
    assert found["build"]["target"] == target
    assert "entrypoint" not in found
    arguments = found["build"].get("args", {})
    declared = {line.split()[1] for line in instructions(f"{target}-packages") if "ARG" in line}
    assert arguments.keys() <= declared


@pytest.mark.parametrize("name", OURS)
def test_ours_are_locked_down(name: str) -> None:
    """Nothing is writable but their home, and no capability is left."""
    found = SERVICES[name]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["volumes"] == [f"{name}:/data"]


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_accepted_and_name_the_others(name: str) -> None:
    """Redis, the bucket and its keys are those of the containers beside it."""
    found, given, s3 = settings(name), variables(name), variables("s3")
    assert found.redis_url == "redis://redis:6379/0"
    assert found.s3_endpoint == "http://s3:8333"
    assert f"-bucket={found.store_url.split('/')[2]}" in SERVICES["s3"]["command"]
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert given[key] == s3[key]
    assert set(SERVICES[name]["depends_on"]) == {"redis", "s3"}
    assert all("healthcheck" in SERVICES[other] for other in SERVICES[name]["depends_on"])


def test_only_this_machine_is_answered() -> None:
    """Each published port is on loopback, and the service's is its own."""
    published = [port for found in SERVICES.values() for port in found.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert SERVICES["service"]["ports"][0].endswith(f":{settings('service').port}")
    assert settings("service").allow_anonymous


def test_the_trainer_gets_arguments_that_it_knows() -> None:
    """Its command line names a preset that loads."""
    load_config(preset(parse_arguments(SERVICES["trainer"]["command"]).preset))


def test_prometheus_scrapes_both_and_reads_the_rules() -> None:
    """On the ports that the settings name; its files are mounted where it looks for them."""
    targets = {t for job in PROMETHEUS["scrape_configs"] for c in job["static_configs"]
               for t in c["targets"]}  # fmt: skip
    trainer = settings("trainer")
    assert targets == {
        f"service:{settings('service').port}",
        f"trainer:{trainer.trainer_metrics_port}",
    }
    assert not trainer.on_loopback
    mounted = dict(v.split(":")[:2] for v in SERVICES["prometheus"]["volumes"])
    assert mounted["./compose/prometheus.yml"] == "/etc/prometheus/prometheus.yml"
    assert mounted["./compose/rules.yml"] == "/etc/prometheus/rules.yml"
    assert PROMETHEUS["rule_files"] == ["rules.yml"]
    assert all((ROOT / path).exists() for path in mounted if path.startswith("./"))


@pytest.mark.skipif(not rules.SOURCE.exists(), reason="there are no alerts to compare with")
def test_the_rules_are_the_clusters() -> None:
    """Both read the same alerts: `make rules` after a change."""
    assert rules.TARGET.read_text() == rules.rules()


def test_every_volume_is_declared_and_used() -> None:
    """Data outlives containers, and nothing is declared in vain."""
    named = {v.split(":")[0] for found in SERVICES.values() for v in found.get("volumes", [])}
    assert {name for name in named if not name.startswith(".")} == set(COMPOSE["volumes"])
