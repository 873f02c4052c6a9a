"""What a run answers over its steps."""
