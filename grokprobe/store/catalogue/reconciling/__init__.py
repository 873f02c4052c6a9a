"""What keeps the index equal to object storage: the lock, the turns, the repair of one run."""
