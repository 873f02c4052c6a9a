"""Architectures. Each maps pairs (n, 2) to Activations, in one form for training and export."""
