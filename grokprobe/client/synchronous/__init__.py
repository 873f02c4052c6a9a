"""The client that awaits; `synchronous` is made from it by `python -m tools.sync`."""
