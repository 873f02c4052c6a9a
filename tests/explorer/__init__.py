"""The page at `/` in a real browser, over real services."""
