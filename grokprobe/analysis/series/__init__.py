"""What a series over a run has of each of its checkpoints (docs/maths.md, "Series over a run")."""
