"""The renderer: a process that draws pictures, and its owner in the service."""
