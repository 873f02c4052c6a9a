"""What the trainer and the service must agree on: the task, the maths, and what is published."""
