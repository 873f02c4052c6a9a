"""The maths: arrays in, arrays out, no input or output, float64 throughout (MATHS)."""

# Raised by every change that gives another number for the same checkpoint: caches stand on it.
ANALYSIS_VERSION = 1
