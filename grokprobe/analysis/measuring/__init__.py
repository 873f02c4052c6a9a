"""What a measure is, how key frequencies come to it, and what is measured by request."""
