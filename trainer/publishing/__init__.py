"""From a snapshot of the weights to object storage and the index."""
