"""What is published, where, and in which order (DESIGN, "Publication")."""
