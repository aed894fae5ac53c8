"""How the study was made, and how it is made again."""
