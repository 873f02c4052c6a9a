"""Redis: the index of what is published. It may be lost at any time and rebuilt."""
