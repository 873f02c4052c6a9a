"""What a process may have of its machine: CPUs and memory, by the system and by its container."""
