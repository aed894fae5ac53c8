"""Prompts are computed once for all decoders, as far as memory allows, and decide no answer."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import GrowingRows
from lorasweep.answering.decode.strategies import decode
from lorasweep.data.examples import Group
from lorasweep.data.trees import Tree
from lorasweep.model.base import Base
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.sections import Evaluate
from reference import mixed_lanes, randomise_B

DECODERS = ("greedy", "nucleus-0.9", "beam-2", "span", "temperature-1.3", "greedy")
HOW = Evaluate(max_new_tokens=5, draws=2)
PLENTY = 2**40


@pytest.fixture
def contexts(paragraphs: tuple[Group, ...]) -> dict[str, str]:
    return {q.id: p.context for p in paragraphs for q in p.examples}


@pytest.fixture
def prefills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows in every pass over prompts."""
    prefill, seen = GrowingRows._prefilled, list[int]()

    def watching(rows: GrowingRows) -> object:
        seen.append(len(rows.trees))
        return prefill(rows)

    monkeypatch.setattr(GrowingRows, "_prefilled", watching)
    return seen


def answers(prompts: Prompts, decoder: str, contexts: dict[str, str]) -> Sequence[list[Answer]]:
    groups = list(decode(prompts, parse_decoder(decoder), HOW, contexts))
    return [[a for group in groups for a in group[k]] for k in range(prompts.num_lanes)]


def test_kept_prompts_give_the_same_answers(
    stopping_base: Base, trees: tuple[Tree, ...], contexts: dict[str, str], prefills: list[int]
) -> None:
    base, lanes = stopping_base, mixed_lanes(stopping_base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        alone = [answers(Prompts(base, trees, len(lanes), 900), d, contexts) for d in DECODERS]
        computed = len(prefills)
        kept = Prompts(base, trees, len(lanes), 900, PLENTY)
        together = [answers(kept, decoder, contexts) for decoder in DECODERS]
    assert together == alone
    assert together[0] == together[-1]
    assert len(prefills) - computed == computed // len(DECODERS) > 1


def test_what_there_is_no_room_for_is_computed_again(
    stopping_base: Base, trees: tuple[Tree, ...], contexts: dict[str, str], prefills: list[int]
) -> None:
    first = next(iter(Prompts(stopping_base, trees, 1, 900).rows()))
    first.prefill()
    assert first.prefilled is not None
    prefills.clear()
    prompts = Prompts(stopping_base, trees, 1, 900, room_bytes=first.prefilled.num_bytes)
    answers(prompts, "greedy", contexts)
    whole = len(prefills)
    answers(prompts, "greedy", contexts)
    assert whole > 1
    assert len(prefills) - whole == whole - 1
    assert 0 <= prompts.room_bytes < first.prefilled.num_bytes


def test_rows_are_few_where_logits_take_much_memory(
    stopping_base: Base, trees: tuple[Tree, ...], contexts: dict[str, str],
    prefills: list[int], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole = answers(Prompts(stopping_base, trees, 1, 900), "beam-2", contexts)
    assert max(prefills) > 1
    prefills.clear()
    beams_of_a_row = 2 * min(len(tree.branches) for tree in trees)
    monkeypatch.setattr(Prompts, "_max_logits", beams_of_a_row * stopping_base.num_logits)
    kept = Prompts(stopping_base, trees, 1, 900, PLENTY)
    assert answers(kept, "beam-2", contexts) == whole
    assert prefills == [1] * len(trees)
    # A decoder with as many slots at once goes on from what the first one left.
    prefills.clear()
    answers(kept, "beam-2", contexts)
    assert prefills == []


def test_tokens_are_written_in_place(stopping_base: Base, trees: tuple[Tree, ...]) -> None:
    rows = next(iter(Prompts(stopping_base, trees, 1, 100_000).rows()))
    logits, tokens = rows.prefill(), torch.zeros_like(rows.branch_RS)[None]
    buffers = []
    for _ in range(4):
        tokens[rows.real_KRS] = logits.argmax(-1)
        logits = rows.grow(tokens, rows.real_KRS)
        layer = rows.cache.layers[0]
        buffers.append(layer._buffers[0].data_ptr())
        assert _starts_alike(layer.keys, rows)
    assert len(set(buffers)) < len(buffers)


def _starts_alike(keys: Tensor, rows: GrowingRows) -> bool:
    """Say whether the prompts' keys are as they were, in the cache and where they are kept."""
    assert rows.prefilled is not None
    prompts = rows.prefilled.keys[0][0]
    return bool(keys[:, :, : prompts.shape[2]].equal(prompts)) and keys.shape[2] > prompts.shape[2]
