"""A read-only HTTP API over what the trainer published. No torch here."""
