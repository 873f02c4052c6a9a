"""The maths: arrays in, arrays out, no input or output, float64 throughout (MATHS)."""
