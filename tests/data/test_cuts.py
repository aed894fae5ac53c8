"""Cuts: batches hold enough questions, and micro-batches cost the least that they can."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorasweep.data import cuts
from lorasweep.data.cuts import batches, longest_row, micro_batches, parts
from lorasweep.data.trees import Branch, Tree

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def shaped(sizes: Sequence[int]) -> list[Tree]:
    """Trees of given numbers of branches, each of one trunk token and one token a branch."""
    branch = Branch("q", (1,), (2,))
    return [Tree(f"t{i}", (5,), (branch,) * size) for i, size in enumerate(sizes)]


def padded(group: Sequence[Tree]) -> int:
    return len(group) * max(tree.num_tokens for tree in group)


def all_cuts(trees: Sequence[Tree]) -> Iterator[list[Sequence[Tree]]]:
    """Every way to cut trees, in the order that they come in."""
    if not trees:
        yield []
    for size in range(1, len(trees) + 1):
        for rest in all_cuts(trees[size:]):
            yield [trees[:size], *rest]


@given(sizes=SIZES, batch_size=st.integers(1, 12))
@settings(max_examples=40)
def test_batches_take_whole_trees_until_they_hold_enough_questions(
    sizes: list[int], batch_size: int
) -> None:
    trees = shaped(sizes)
    found = list(batches(trees, batch_size))
    assert [tree for batch in found for tree in batch] == trees
    counts = [[len(tree.branches) for tree in batch] for batch in found]
    assert all(sum(count) >= batch_size for count in counts[:-1])
    assert all(sum(count[:-1]) < batch_size for count in counts)


@given(sizes=SIZES, max_tokens=st.integers(1, 60), num_lanes=st.integers(1, 3))
@settings(max_examples=40)
def test_micro_batches_hold_every_tree_once_within_the_bound(
    sizes: list[int], max_tokens: int, num_lanes: int
) -> None:
    trees = shaped(sizes)
    groups = micro_batches(trees, max_tokens, num_lanes)
    assert sorted(tree.id for group in groups for tree in group) == sorted(t.id for t in trees)
    for group in groups:
        assert len(group) == 1 or num_lanes * padded(group) <= max_tokens
    # The cut depends on the trees, not on the order they come in.
    assert micro_batches(trees[::-1], max_tokens, num_lanes) == groups


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    max_tokens=st.integers(1, 60),
    cost=st.integers(0, 20),
)
@settings(max_examples=40)
def test_no_other_cut_of_rows_in_order_of_length_costs_less(
    sizes: list[int], max_tokens: int, cost: int
) -> None:
    def costs(groups: Sequence[Sequence[Tree]]) -> int:
        return sum(padded(group) + 2 * cost for group in groups)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cuts.PASS_TOKENS, "cpu", cost)
        groups = micro_batches(shaped(sizes), max_tokens, num_passes=2)
    possible = [
        cut for cut in all_cuts([tree for group in groups for tree in group])
        if all(len(group) == 1 or padded(group) <= max_tokens for group in cut)
    ]  # fmt: skip
    assert costs(groups) == min(map(costs, possible))


def test_a_long_row_does_not_pad_short_ones_where_a_pass_costs_less() -> None:
    trees = [Tree(f"t{n}", (5,) * n, (Branch("q", (1,), (2,)),)) for n in (400, 101, 100)]
    assert [len(group) for group in micro_batches(trees, 2000)] == [1, 2]
    # What rows need to grow costs more passes; a card pays for few widths and many small steps.
    assert [len(group) for group in micro_batches(trees, 2000, num_passes=20)] == [3]
    assert [len(group) for group in micro_batches(trees, 2000, device="cuda")] == [3]


def test_padding_to_a_cards_widths_counts() -> None:
    trees = shaped([20, 20])
    assert len(micro_batches(trees, 2 * 21, device="cpu")) == 1
    assert len(micro_batches(trees, 2 * 21, device="cuda")) == 2
    assert len(micro_batches(trees, 2 * 32, device="cuda")) == 1


@st.composite
def long_trees(draw: st.DrawFn) -> Tree:
    """A tree of any shape whose tokens are numbered."""
    trunk = draw(st.integers(1, 6))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    ends = [trunk + sum(sizes[: n + 1]) for n in range(len(sizes))]
    branches = (
        Branch(f"q{n}", tuple(range(end - size, end)), (0,))
        for n, (end, size) in enumerate(zip(ends, sizes, strict=True))
    )
    return Tree("t", tuple(range(trunk)), tuple(branches))


@given(tree=long_trees(), max_tokens=st.integers(1, 60), num_lanes=st.integers(1, 3))
@settings(max_examples=60)
def test_parts_hold_a_trees_questions_once_and_know_where_their_tokens_stand(
    tree: Tree, max_tokens: int, num_lanes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "WHOLE_ROW", 1)
        cut, longest = parts([tree], max_tokens, num_lanes), longest_row([tree])
    trunk, bound = len(tree.trunk_ids), max_tokens // num_lanes
    assert [b for part in cut for b in part.branches] == list(tree.branches)
    if tree.num_tokens <= max(bound, 2 * trunk):
        assert cut == [tree]
    for part in cut:
        assert (part.id, part.trunk_ids) == (tree.id, tree.trunk_ids)
        assert part.num_tokens <= max(bound, 2 * trunk) or len(part.branches) == 1
        own = [token for branch in part.branches for token in branch.input_ids]
        assert own[0] == trunk + part.skipped
    assert longest <= max(part.num_tokens for part in cut)


def test_rows_of_the_usual_length_stay_whole() -> None:
    tree = Tree("t", (5,) * 200, tuple(Branch(f"q{n}", (1,) * 40, (2,)) for n in range(20)))
    assert parts([tree], 256, 4) == [tree]
    assert longest_row([tree]) == tree.num_tokens == 1000


def test_many_questions_on_one_text_take_rows_of_bounded_tokens() -> None:
    branches = tuple(Branch(f"q{n}", (1,) * 20, (2, 3)) for n in range(2000))
    cut = parts([Tree("t", (5,) * 30, branches)], 1024)
    assert max(part.num_tokens for part in cut) <= 1024
    # the trunk is little of what is computed
    assert sum(part.num_tokens for part in cut) < 1.05 * 42_030
