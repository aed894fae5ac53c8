"""Random bits by a hash of a key and a place: the same on every device, in any order.

The hash is SplitMix64's (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195).
"""

import hashlib
import json
from collections.abc import Sequence

from torch import Tensor

# The constants of SplitMix64, as signed numbers.
GOLDEN = -0x61C8864680B583EB
MIX = ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15))


def key_of(parts: Sequence[int | str]) -> int:
    """Return the key of 64 bits, as signed, that stands for these parts."""
    text = json.dumps(parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def random_words(keys: Tensor | int, places: Tensor) -> Tensor:
    """Return 64 random bits for each place under its key, which are broadcast together."""
    numbers = (places + 1) * GOLDEN + keys
    for shift, factor in MIX:
        numbers = (numbers ^ shifted(numbers, shift)) * factor
    return numbers ^ shifted(numbers, 31)


def shifted(numbers: Tensor, places: int) -> Tensor:
    """Shift to the right with zeros from the left, which torch has for no type of 64 bits."""
    return (numbers >> places) & ((1 << (64 - places)) - 1)
