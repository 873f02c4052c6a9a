"""Which steps are published."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.config.schema import CheckpointSection, load_config, preset
from trainer.publishing.schedule import published_steps


def test_the_parts_of_the_schedule() -> None:
    """Step 0, points even in log(step), multiples of `every`, the windows, the last step."""
    section = CheckpointSection(every=100, log_spaced=5, dense=[(150, 170, 10)])
    early, linear, dense = {1, 3, 10, 32, 100}, {100, 200, 300}, {150, 160, 170}
    assert published_steps(section, 350) == sorted({0, 350} | early | linear | dense)


@given(
    every=st.integers(1, 500),
    log_spaced=st.integers(0, 30),
    window=st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(1, 50)),
    steps=st.integers(1, 600),
)
def test_a_schedule_is_sorted_and_in_range(
    every: int, log_spaced: int, window: tuple[int, int, int], steps: int
) -> None:
    """Whatever the section, each step is published once, from the first to the last."""
    start, length, stride = window
    section = CheckpointSection(
        every=every, log_spaced=log_spaced, dense=[(start, start + length, stride)]
    )
    published = published_steps(section, steps)
    assert published == sorted(set(published))
    assert (published[0], published[-1]) == (0, steps)


def test_quickstart_publishes_at_least_forty_checkpoints() -> None:
    """Enough of them to see the structure emerge."""
    config = load_config(preset("quickstart"))
    assert len(published_steps(config.checkpoints, config.training.steps)) >= 40
