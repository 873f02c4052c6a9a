"""The maths: arrays in, arrays out, no input or output, float64 throughout (docs/maths.md)."""

# Raised by every change of a formula, or of the form of an answer: what a numbered checkpoint
# determines is kept by clients for a year, and results in Redis.
ANALYSIS_VERSION = 5
