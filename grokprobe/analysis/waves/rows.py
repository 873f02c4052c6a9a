"""The rows of the table of measures that sum up the waves of the neurons."""

from grokprobe.analysis.measuring.definitions import MeasureDefinition

OF_WAVES = (
    MeasureDefinition(
        "phase_misalignment",
        "mean over neurons of how far their output phase is from the input phases' sum, in radians",
        ("neurons", "neuron_logit_map", "direction"),
        lambda probe: w.mean_misalignment if (w := probe.waves) else None,
    ),
    MeasureDefinition(
        "phase_resultant",
        "how far from evenly the input phases of a frequency's neurons are spread: 0 even, 1 alike",
        ("neurons", "frequencies"),
        lambda probe: w.resultant if (w := probe.waves) else None,
    ),
    MeasureDefinition(
        "frequency_coverage",
        "share of the frequencies that a live neuron has for its best",
        ("neurons", "frequencies"),
        lambda probe: w.coverage if (w := probe.waves) else None,
    ),
    MeasureDefinition(
        "input_share_f",
        "mean over live neurons of the share at their frequency f of what they read of operand a",
        ("neurons", "frequencies"),
        lambda probe: w.harmonics.mean_share(0) if (w := probe.waves) else None,
    ),
    MeasureDefinition(
        "input_share_3f",
        "`input_share_f` at 3f, folded",
        ("neurons", "frequencies"),
        lambda probe: w.harmonics.mean_share(1) if (w := probe.waves) else None,
    ),
    MeasureDefinition(
        "input_share_5f",
        "`input_share_f` at 5f, folded",
        ("neurons", "frequencies"),
        lambda probe: w.harmonics.mean_share(2) if (w := probe.waves) else None,
    ),
    MeasureDefinition(
        "fve_mean_harmonics",
        "`fve_mean` of the best frequency f with its odd harmonics 3f and 5f",
        ("neurons", "frequencies"),
        lambda probe: w.harmonics.mean_fve if (w := probe.waves) else None,
    ),
)
