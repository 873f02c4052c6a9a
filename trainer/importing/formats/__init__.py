"""The kinds of files that hold weights: told by what is in them, their tensors unread."""
