"""The weights of a checkpoint as files that other libraries read."""
