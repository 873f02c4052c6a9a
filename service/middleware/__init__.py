"""What stands around every request, one layer a file."""
