"""Tests of the command `grokprobe`."""
