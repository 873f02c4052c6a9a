"""The layouts that come with this, and parts of what any layout says."""
