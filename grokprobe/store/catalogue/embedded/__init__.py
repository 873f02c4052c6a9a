"""The Redis that needs no set-up: which program it is, and how the programs of a HOME share it."""
