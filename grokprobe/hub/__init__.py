"""A run on its way to a hub of models and back."""
