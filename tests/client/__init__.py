"""The client, against a real service."""
