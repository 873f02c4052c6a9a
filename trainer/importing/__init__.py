"""Checkpoints that others trained: read as data, checked, published."""
