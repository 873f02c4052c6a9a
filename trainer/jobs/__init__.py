"""A job from its start to its exit status."""
