"""The maths: arrays in, arrays out, no input or output, float64 throughout (MATHS)."""

# Clients keep what a numbered checkpoint determines for a year: raise this when a formula changes,
# or the form of an answer, so that what they ask for again is not taken for the same.
VERSION = 1
