"""What `python -m tools.release` is made of: checks, then steps."""
