"""What differs between two checkpoints: answers, representations, planes, weights."""
