"""How far two texts are the same, from their beginnings and from their ends.

By halving: slices compare at the speed of memory, and prompts are long.
"""

from bisect import bisect_left


def shared_start(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    counts = range(1, min(len(one), len(other)) + 1)
    return bisect_left(counts, True, key=lambda n: one[:n] != other[:n])


def shared_end(one: str, other: str) -> int:
    """Return how many characters two texts end in alike."""
    counts = range(1, min(len(one), len(other)) + 1)
    return bisect_left(counts, True, key=lambda n: one[-n:] != other[-n:])
