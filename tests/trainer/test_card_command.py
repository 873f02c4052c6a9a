"""A card's command asks for the run's very configuration."""

import shlex

import msgspec
import pytest

from service.runs.card import command_of
from trainer.arguments import parse_arguments
from trainer.config.schema import PRESETS, load_config, preset


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_the_command_has_the_runs_configuration(name: str) -> None:
    """Whatever preset it was: the configuration's digest is the same."""
    config = load_config(preset(name))
    command = command_of(msgspec.to_builtins(config))
    assert command
    asked = parse_arguments(shlex.split(command)[1:])
    assert load_config(preset(asked.preset), asked.assignments).sha256 == config.sha256
