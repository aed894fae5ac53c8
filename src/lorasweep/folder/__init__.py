"""A study's folder as types and files: what is decided, measured, found comes in, and stays."""

__all__ = ["findings", "halving", "heartbeat", "records", "store", "stored"]
