"""What the runs score, which may be best, and what each axis does."""
