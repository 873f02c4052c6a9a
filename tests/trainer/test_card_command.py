"""A card's command asks for the run's very configuration."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from service.runs.card import command_of
from tests.service.test_api import RUN, get
from tests.support.served import PATIENCE_S, Served, environment
from tests.support.trained import Trained, settings_at
from trainer.arguments import parse_arguments
from trainer.config.schema import PRESETS, load_config, preset


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_the_command_has_the_runs_configuration(name: str) -> None:
    """Whatever preset it was: the configuration's digest is the same."""
    config = load_config(preset(name))
    command = command_of(name, msgspec.to_builtins(config))
    assert command
    asked = parse_arguments(shlex.split(command)[1:])
    assert asked.run == name
    assert load_config(preset(asked.preset), asked.assignments).sha256 == config.sha256


def test_the_command_trains_the_run_again(trained: Trained, served: Served, tmp_path: Path) -> None:
    """As the card prints it, in an empty home: each file has the digest that it had."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = environment(settings_at(tmp_path), PATH=programs)
    command = get(served.client, f"{RUN}/card")["command"]
    subprocess.run(["sh", "-ec", command], env=given, cwd=tmp_path, timeout=PATIENCE_S, check=True)
    assert Trained(settings_at(tmp_path), "tiny", trained.config).objects() == trained.objects()
