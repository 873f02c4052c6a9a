"""What one checkpoint answers."""
