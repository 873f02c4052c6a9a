"""Object storage: what is published, under which names, in which order."""
