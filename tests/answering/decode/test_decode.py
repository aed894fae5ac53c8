"""Fact 4: greedy decoding gives the tokens of transformers' generate, a question at a time."""

from collections.abc import Callable, Sequence

import pytest
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lorasweep.answering.decode.answers import Answer, read_answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import GrowingRows, prompts_of
from lorasweep.answering.decode.strategies import decode_greedy
from lorasweep.data.cuts import parts
from lorasweep.data.trees import Tree, separate_rows
from lorasweep.model.base import Base, freeze
from reference import agrees, generate, mixed_lanes, questions, randomise_B, with_peft

ALL_AT_ONCE = 100_000
NUM_NEW = 24


@pytest.fixture
def base(stopping_base: Base) -> Base:
    return stopping_base


def decode(
    base: Base,
    trees: Sequence[Tree],
    num_lanes: int,
    max_new_tokens: int = NUM_NEW,
    max_tokens: int = ALL_AT_ONCE,
) -> list[dict[str, Answer]]:
    """The answers of every lane by question."""
    answers: list[dict[str, Answer]] = [{} for _ in range(num_lanes)]
    for group in decode_greedy(Prompts(base, trees, num_lanes, max_tokens), max_new_tokens):
        for lane, found in zip(answers, group, strict=True):
            assert not lane.keys() & {a.question_id for a in found}
            lane.update({answer.question_id: answer for answer in found})
    return answers


def test_lanes_together_give_the_tokens_of_generate(
    base: Base, make_stopping: Callable[[], PreTrainedModel], trees: tuple[Tree, ...]
) -> None:
    lanes = mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        answers = decode(base, trees, len(lanes))
        weights = [adapters.weights_of(k) for k in range(len(lanes))]
    num_compared = num_near_ties = 0
    for lane, found, pairs in zip(lanes, answers, weights, strict=True):
        tuned = with_peft(make_stopping(), lane, pairs)
        for row in separate_rows(trees):
            reference = generate(base, tuned, row, NUM_NEW)
            answer = found[row.branches[0].question_id]
            same = agrees(answer, reference)
            num_near_ties += not same
            if same:
                num_compared += len(reference.token_ids)
    assert num_near_ties <= 1
    # Not a test of empty answers: lanes differ, and each kind of ending occurs.
    assert num_compared > 200
    assert len({tuple(a.token_ids for a in lane.values()) for lane in answers}) == len(lanes)
    everything = [answer for lane in answers for answer in lane.values()]
    assert any(answer.ended for answer in everything)
    assert any(base.breaks_line(a.token_ids[-1]) for a in everything if a.token_ids)
    assert any(len(answer.token_ids) == NUM_NEW for answer in everything)


def test_the_untuned_model_gives_the_tokens_of_generate(
    base: Base, make_stopping: Callable[[], PreTrainedModel], trees: tuple[Tree, ...]
) -> None:
    plain = make_stopping()
    (found,) = decode(base, trees, 1)
    assert list(found) != []
    same = [
        agrees(found[row.branches[0].question_id], generate(base, plain, row, NUM_NEW))
        for row in separate_rows(trees)
    ]
    assert same.count(False) <= 1
    assert len(same) == sum(len(tree.branches) for tree in trees)


def test_answers_do_not_depend_on_the_cut(base: Base, trees: tuple[Tree, ...]) -> None:
    lanes, few = mixed_lanes(base), 12
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        whole = decode(base, trees, len(lanes), few)
        for max_tokens in (1, 900):
            assert decode(base, trees, len(lanes), few, max_tokens) == whole
        assert decode(base, separate_rows(trees), len(lanes), few, 900) == whole
        assert decode(base, trees[::-1], len(lanes), few) == whole


def test_many_questions_on_one_text_are_answered_in_parts_as_in_one_row(
    base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorasweep.data.cuts.WHOLE_ROW", 1)
    branches = tuple(branch for tree in trees for branch in tree.branches)
    long = [Tree("long", trees[0].trunk_ids[:9], branches)]
    assert len(parts(long, 60)) > 4
    (whole,), (cut,) = decode(base, long, 1), decode(base, long, 1, max_tokens=60)
    assert cut.keys() == whole.keys() == {branch.question_id for branch in branches}
    # a tie may fall otherwise where rows have other widths
    assert sum(cut[name] != whole[name] for name in whole) <= 1


def test_a_smaller_allowance_gives_the_beginnings(base: Base, trees: tuple[Tree, ...]) -> None:
    (long,) = decode(base, trees, 1)
    for max_new_tokens in (1, 5):
        (short,) = decode(base, trees, 1, max_new_tokens)
        for question_id, answer in short.items():
            assert answer.token_ids == long[question_id].token_ids[:max_new_tokens]
            # The end token takes a place of the allowance.
            ended = long[question_id].ended and len(long[question_id].token_ids) < max_new_tokens
            assert answer.ended == ended


def test_no_token_is_computed_after_the_last_stop(
    base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    grow, grown = GrowingRows.grow, []

    def counting(rows: GrowingRows, tokens: Tensor, read: Tensor) -> Tensor:
        grown.append(rows)
        return grow(rows, tokens, read)

    monkeypatch.setattr(GrowingRows, "grow", counting)
    stopping = 0
    for row in separate_rows(trees):
        grown.clear()
        ((answer,),) = (list(lane.values()) for lane in decode(base, [row], 1))
        # The first token is the prompt's; the end token is chosen but not kept.
        assert len(grown) == len(answer.token_ids) + answer.ended - 1
        stopping += len(grown) + 1 < NUM_NEW
    assert stopping


def test_what_has_stopped_is_left_out(
    base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    grow, computed = GrowingRows.grow, []

    def counting(rows: GrowingRows, tokens: Tensor, read: Tensor) -> Tensor:
        computed.append(tokens[0].shape)
        return grow(rows, tokens, read)

    monkeypatch.setattr(GrowingRows, "grow", counting)
    (answers,) = decode(base, trees, 1)
    lengths = [[len(answers[b.question_id].token_ids) for b in tree.branches] for tree in trees]
    for step, (rows, slots) in enumerate(computed):
        # One more than is needed where a line break ends an answer: it is chosen, never computed.
        going_on = [sum(length > step for length in row) for row in lengths]
        assert rows < 2 * sum(n > 0 for n in going_on) or step == 0
        assert slots <= max(going_on) or step == 0
    assert computed[-1].numel() < computed[0].numel()


def test_answers_may_reach_the_models_last_position(
    architecture: str,
    make_model: Callable[..., PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    longest = max(len(t.trunk_ids + b.prompt_ids) for t, b in questions(trees))
    name = "n_positions" if architecture == "gpt2" else "max_position_embeddings"
    sizes = {name: longest + 8}
    base = freeze(make_model(architecture, **sizes), tokenizer)
    plain = make_model(architecture, **sizes)
    (found,) = decode(base, trees, 1, max_new_tokens=8)
    for row in separate_rows(trees):
        assert agrees(found[row.branches[0].question_id], generate(base, plain, row, 8))


def test_prompts_hold_no_answer(trees: tuple[Tree, ...]) -> None:
    for tree in trees:
        prompts = prompts_of(tree)
        assert prompts.trunk_ids == tree.trunk_ids
        for branch, original in zip(prompts.branches, tree.branches, strict=True):
            assert branch.input_ids == branch.prompt_ids == original.prompt_ids


class TestReadAnswer:
    @pytest.fixture
    def read(self, base: Base) -> Callable[[str], Answer]:
        return lambda text: read_answer(base, "q", base.tokenizer(text)["input_ids"])

    @pytest.mark.parametrize(
        ("generated", "text", "ended"),
        [
            (" the mill<|end|>", "the mill", True),
            (" the mill<|end|> and more<|end|>", "the mill", True),
            (" the mill", "the mill", False),
            (" the mill\n\nQuestion: what<|end|>", "the mill", False),
            ("\n\nanswer<|end|>", "", False),
            ("<|end|>", "", True),
            ("", "", False),
            ("  caf\u00e9 , a .b <|end|>", "caf\u00e9 , a .b", True),
        ],
    )
    def test_cuts_at_the_end_token_or_the_line_break(
        self, read: Callable[[str], Answer], generated: str, text: str, ended: bool
    ) -> None:
        answer = read(generated)
        assert (answer.text, answer.ended) == (text, ended)

    def test_keeps_the_tokens_before_the_end_and_through_the_line_break(self, base: Base) -> None:
        words, line_break = (base.tokenizer(text)["input_ids"] for text in (" the mill", "\n"))
        end = [base.end_id]
        assert read_answer(base, "q", words + end).token_ids == tuple(words)
        found = read_answer(base, "q", words + line_break + words + end)
        assert found.token_ids == tuple(words + line_break)
        assert read_answer(base, "q", end + words).token_ids == ()
