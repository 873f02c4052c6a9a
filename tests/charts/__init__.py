"""Tests of the charts, and of how they look."""
