"""Commands that read a service through the client."""
