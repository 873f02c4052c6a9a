"""What users write by hand, and what others offer: peers of the service on the same model."""
