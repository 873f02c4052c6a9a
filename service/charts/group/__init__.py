"""Charts of what the members of a group tell together."""
