"""What a trainer says while it works."""
