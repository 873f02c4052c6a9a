"""What a trainer is asked for. Nothing here imports torch."""
