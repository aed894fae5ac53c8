"""What the runs answer, and why answers are wrong."""
