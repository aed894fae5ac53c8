"""What it comes to, and where it ends."""
