"""Noise of trees: each tree's own, uniform, by either of the two ways that it is made."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from lorasweep.model.ops.noise import Gap, Key, generated_noise, hashed_noise

FEATURES = 64
Make = Callable[..., Tensor]


def generated(
    keys: Sequence[Key], sizes: Sequence[int], width: int, gaps: Sequence[Gap] = ()
) -> Tensor:
    return generated_noise(keys, sizes, width, FEATURES, gaps)


def hashed(
    keys: Sequence[Key], sizes: Sequence[int], width: int, gaps: Sequence[Gap] = ()
) -> Tensor:
    return hashed_noise(keys, width, FEATURES, "cpu", gaps)


@pytest.fixture(params=[generated, hashed])
def make(request: pytest.FixtureRequest) -> Make:
    """Each of the two ways, on the processor."""
    way: Make = request.param
    return way


def test_a_trees_noise_depends_on_no_neighbour_and_no_padding(make: Make) -> None:
    alone = make([(1, 2)], [7], 7)
    beside = make([(3, 4), (1, 2)], [9, 7], 12)
    assert alone.shape == (1, 7, FEATURES)
    assert beside[1, :7].equal(alone[0])


def test_a_part_of_a_tree_has_the_noise_of_its_tokens_in_the_whole(make: Make) -> None:
    whole = make([(1, 2)], [9], 9)[0]
    rows = make([(1, 2), (1, 2), (3, 4)], [5, 6, 2], 7, [(2, 0), (2, 3), (1, 0)])
    assert rows[0, :5].equal(whole[:5])
    assert rows[1, :6].equal(torch.cat([whole[:2], whole[5:]]))
    assert rows[2, :2].equal(make([(3, 4)], [2], 2)[0])


@pytest.mark.parametrize("key", [(1, 3), (2, 2), (2, 1), (0, 2)])
def test_every_part_of_a_key_counts(make: Make, key: Key) -> None:
    one, other = make([(1, 2)], [50], 50).double(), make([key], [50], 50).double()
    correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.1


def test_noise_is_uniform_and_neighbours_have_nothing_to_do_with_each_other(make: Make) -> None:
    found = make([(5, 6), (5, 7)], [1000, 1000], 1000).double()
    for share in (0.05, 0.5, 0.95):
        below = (found < share * 65536 - 32768).double().mean()
        # Five standard deviations of a share of 128,000 numbers.
        assert abs(float(below) - share) < 5 * (share * (1 - share) / found.numel()) ** 0.5
    for along in (
        found.flatten(),
        found.transpose(1, 2).flatten(),
        found.transpose(0, 2).flatten(),
    ):
        assert abs(float(torch.corrcoef(along.view(-1, 2).T)[0, 1])) < 0.02


def test_features_that_four_does_not_divide_have_noise_too() -> None:
    wide = hashed_noise([(1, 2)], 3, 8, "cpu")
    assert hashed_noise([(1, 2)], 3, 6, "cpu").equal(wide[..., :6])
