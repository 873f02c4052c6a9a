"""Live events: from the stream in Redis to every listener."""
