"""Where a layout, or the command line, says which step a checkpoint is of."""

import re

from grokprobe.errors import InvalidInput
from trainer.config.schema import Step
from trainer.config.toml import Section

NUMBERS = re.compile(r" *[0-9]{1,10} *(, *[0-9]{1,10} *)*", re.ASCII)


class StepSection(Section, frozen=True, kw_only=True):
    """Where the step number is found: one of the fields is set."""

    pattern: str | None = None  # a regular expression on the file's name, its group the number
    field: str | None = None  # dotted path of the number in the file; of a list where `state` is
    number: Step | None = None  # what --step says
    numbers: list[Step] | None = None  # what --steps says: of each file in their order


def check_step(step: StepSection) -> None:
    """Raise InvalidInput unless one of the fields is set."""
    stated = [name for name in step.__struct_fields__ if getattr(step, name) is not None]
    if len(stated) != 1:
        message = (
            "one of pattern, field, --step or --steps says the step, got "
            f"{' and '.join(stated) or 'none'}"
        )
        raise InvalidInput("step", message)
    _check_pattern(step.pattern or "()", "step.pattern")


def _check_pattern(pattern: str, where: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise InvalidInput(where, f"is not a regular expression: {error}") from None
    if groups != 1:
        raise InvalidInput(where, f"must have one group, the number, got {pattern!r}")


def step_section(steps: str) -> StepSection:
    """What --steps says: numbers with commas between them, or a pattern of file names.

    Raises InvalidInput for what is neither.
    """
    if NUMBERS.fullmatch(steps):
        return StepSection(numbers=[int(number) for number in steps.split(",")])
    _check_pattern(steps, "--steps")
    return StepSection(pattern=steps)
