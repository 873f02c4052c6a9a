"""Tests of a run on its way to the hub and back."""
