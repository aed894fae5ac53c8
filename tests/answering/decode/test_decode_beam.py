"""Beam search gives what transformers' generate does, a question at a time."""

from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import PreTrainedModel

from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import GrowingRows
from lorasweep.answering.decode.strategies import decode_beam, decode_greedy
from lorasweep.data.trees import Tree, separate_rows
from lorasweep.model.base import Base
from reference import mixed_lanes, randomise_B, with_peft

ALL_AT_ONCE = 100_000
NUM_NEW = 12


@pytest.fixture
def base(stopping_base: Base) -> Base:
    return stopping_base


def search(
    base: Base, trees: Sequence[Tree], num_beams: int, num_lanes: int = 1,
    max_tokens: int = ALL_AT_ONCE,
) -> list[dict[str, Answer]]:  # fmt: skip
    answers: list[dict[str, Answer]] = [{} for _ in range(num_lanes)]
    for group in decode_beam(Prompts(base, trees, num_lanes, max_tokens), num_beams, NUM_NEW):
        for lane, found in zip(answers, group, strict=True):
            lane.update({answer.question_id: answer for answer in found})
    return answers


@torch.no_grad()
def generate(
    base: Base, model: torch.nn.Module, row: Tree, num_beams: int
) -> tuple[tuple[int, ...], float]:
    """Transformers' own tokens for one question up to the end token, and their score."""
    ids = torch.tensor([row.trunk_ids + row.branches[0].prompt_ids])
    breaks = [token for token in range(600) if base.breaks_line(token) and token != base.end_id]
    output = model.generate(  # type: ignore[operator]
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        num_beams=num_beams,
        early_stopping=True,
        length_penalty=1.0,
        max_new_tokens=NUM_NEW,
        eos_token_id=[base.end_id, *breaks],
        pad_token_id=base.end_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    tokens = output.sequences[0, ids.shape[1] :].tolist()
    cut = tokens.index(base.end_id) if base.end_id in tokens else len(tokens)
    return tuple(tokens[:cut]), float(output.sequences_scores[0])


@pytest.mark.parametrize("num_beams", [2, 5])
def test_lanes_together_give_the_tokens_of_generate(
    base: Base,
    make_stopping: Callable[[], PreTrainedModel],
    trees: tuple[Tree, ...],
    num_beams: int,
) -> None:
    lanes, some = mixed_lanes(base), trees[:5]
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        answers = search(base, some, num_beams, len(lanes))
        weights = [adapters.weights_of(k) for k in range(len(lanes))]
    same = []
    for lane, found, pairs in zip(lanes, answers, weights, strict=True):
        tuned = with_peft(make_stopping(), lane, pairs)
        for row in separate_rows(some):
            tokens, _ = generate(base, tuned, row, num_beams)
            same.append(found[row.branches[0].question_id].token_ids == tokens)
    # Two answers may have nearly the same score; these do not.
    assert same.count(False) == 0
    everything = [answer for lane in answers for answer in lane.values()]
    assert len(everything) == len(same)
    assert any(answer.ended for answer in everything)
    assert any(len(answer.token_ids) == NUM_NEW for answer in everything)
    assert len({tuple(a.token_ids for a in lane.values()) for lane in answers}) == len(lanes)


def test_answers_do_not_depend_on_the_cut(base: Base, trees: tuple[Tree, ...]) -> None:
    lanes = mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        whole = search(base, trees, 3, len(lanes))
        for others, cut in ((trees, 1), (trees[::-1], 3000), (separate_rows(trees), 3000)):
            assert search(base, others, 3, len(lanes), cut) == whole


def test_beams_find_other_answers_than_greedy(base: Base, trees: tuple[Tree, ...]) -> None:
    (groups,) = list(decode_greedy(Prompts(base, trees, 1, ALL_AT_ONCE), NUM_NEW))
    (found,) = search(base, trees, 4)
    assert {a.question_id for a in groups[0]} == set(found)
    assert any(found[a.question_id].token_ids != a.token_ids for a in groups[0])


def test_questions_that_have_finished_are_left_out_and_answers_stay(
    base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    grow = GrowingRows.grow

    def counted(self: GrowingRows, tokens: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        sizes.append(tokens.numel())
        return grow(self, tokens, read)

    def answers() -> list[list[list[Answer]]]:
        prompts = Prompts(base, separate_rows(trees), 1, ALL_AT_ONCE)
        # Enough tokens for most questions to finish.
        return list(decode_beam(prompts, 2, 4 * NUM_NEW))

    monkeypatch.setattr(GrowingRows, "grow", counted)
    found = answers()
    assert 0 < sizes[-1] < sizes[0]
    assert sizes == sorted(sizes, reverse=True)
    monkeypatch.setattr(GrowingRows, "keep", lambda self, alive: alive)
    assert answers() == found
