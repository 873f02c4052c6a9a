"""Charts of what a run answers over its steps."""
