"""How training went: losses, overfitting, the race, health."""
