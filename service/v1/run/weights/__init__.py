"""How the weights of a run move: read from the files of its checkpoints, no session opened."""
