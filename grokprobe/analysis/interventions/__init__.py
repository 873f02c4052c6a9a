"""What a network loses when a part of it is taken out, beside random parts of equal size."""
