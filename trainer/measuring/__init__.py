"""What is measured of a checkpoint for its manifest."""
