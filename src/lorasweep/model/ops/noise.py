"""Noise for the numbers of trees, 16 bits each, which dropout compares with a share.

The noise of a tree is decided by its key alone: not by the trees beside it, nor by their padding.
A part of a tree has the noise that its tokens have in the whole.
Processors generate it a tree at a time (SFC64, the fastest of numpy's); cards hash a key and a
place for four numbers at once, because what a processor generates they would wait for.

Shapes: R rows (trees), T tokens of the longest row, w numbers of a token.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lorasweep.model.ops.hashing import key_of, random_words

# The parts of a tree's key.
Key = tuple[int, ...]
# A place in a row and how many tokens of the whole tree are left out there.
Gap = tuple[int, int]


def noise_of(
    keys: Sequence[Key], num_tokens: Sequence[int], width: int, features: int,
    device: torch.device, gaps: Sequence[Gap] = (),
) -> Tensor:  # fmt: skip
    """Return noise [R, T, w], whole numbers from -32,768; anything where a row is padded.

    `gaps` has one for each row, or none where all rows are whole trees.
    """
    if device.type == "cuda":
        return hashed_noise(keys, width, features, device, gaps)
    return generated_noise(keys, num_tokens, width, features, gaps)


def generated_noise(
    keys: Sequence[Key], num_tokens: Sequence[int], width: int, features: int,
    gaps: Sequence[Gap] = (),
) -> Tensor:  # fmt: skip
    """Return noise [R, T, w] by a generator for each tree; the keys' parts are below 2^64."""
    noise = np.zeros((len(keys), width, features), dtype=np.int16)
    whole = gaps or [(0, 0)] * len(keys)
    for row, key, count, (place, gap) in zip(noise, keys, num_tokens, whole, strict=True):
        words = np.random.SFC64(list(key)).random_raw(math.ceil((count + gap) * features / 4))
        numbers = words.view(np.int16)[: (count + gap) * features].reshape(-1, features)
        row[:place], row[place:count] = numbers[:place], numbers[place + gap :]
    return torch.from_numpy(noise)


def hashed_noise(
    keys: Sequence[Key], width: int, features: int, device: torch.device | str,
    gaps: Sequence[Gap] = (),
) -> Tensor:  # fmt: skip
    """Return noise [R, T, w] by one hash for four numbers of a token."""
    # Made there at once, they would wait until the card has done all it was given.
    keys_R = torch.tensor([key_of(key) for key in keys]).to(device, non_blocking=True)
    words_of_token = -(-features // 4)
    places = torch.arange(width * words_of_token, device=device)
    if gaps:
        first_R1, gap_R1 = torch.tensor(gaps).to(device, non_blocking=True).T[..., None]
        places = places + gap_R1 * words_of_token * (places >= first_R1 * words_of_token)
    words = random_words(keys_R[:, None], places)
    return words.view(torch.int16).view(len(keys), width, -1)[..., :features]
