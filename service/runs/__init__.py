"""What this process knows of published runs."""
