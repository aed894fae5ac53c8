"""A study's folder as types and files: what is decided, measured, found comes in, and stays."""
