"""Learning: pairs in, weights out."""
