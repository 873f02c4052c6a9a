"""Parts of a network taken out, with controls: the request, the work, the answer."""
