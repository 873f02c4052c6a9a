"""What the tests stand on: real runs, real stores, served services, textbook definitions."""
