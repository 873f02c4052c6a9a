"""Between a request and its handler, and back."""
