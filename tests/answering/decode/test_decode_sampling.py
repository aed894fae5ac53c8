"""Draws: the distributions of transformers' warpers, and the same tokens in any micro-batch."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lorasweep.answering.decode import sampling
from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import GrowingRows, prompts_of
from lorasweep.answering.decode.sampling import drawn, gumbel_noise, warp
from lorasweep.answering.decode.strategies import decode_greedy, decode_samples
from lorasweep.data.trees import Tree, separate_rows
from lorasweep.model.base import Base, freeze
from lorasweep.model.ops.hashing import key_of
from lorasweep.study.decoders import Decoder, parse_decoder
from lorasweep.study.sections import Evaluate
from reference import mixed_lanes, randomise_B

ALL_AT_ONCE = 100_000
Draws = dict[tuple[str, int], Answer]
HOW = Evaluate(draws=3, seed=11, max_new_tokens=6)


@pytest.fixture
def base(architecture: str, make_model: Callable[..., PreTrainedModel],
         tokenizer: PreTrainedTokenizerFast) -> Base:  # fmt: skip
    return freeze(make_model(architecture), tokenizer)


def draw(
    base: Base, trees: Sequence[Tree], name: str, num_lanes: int = 1, how: Evaluate = HOW,
    max_tokens: int = ALL_AT_ONCE,
) -> list[Draws]:  # fmt: skip
    """The answers of every lane by question and draw."""
    answers: list[Draws] = [{} for _ in range(num_lanes)]
    decoder = parse_decoder(name)
    for group in decode_samples(Prompts(base, trees, num_lanes, max_tokens), decoder, how):
        for lane, found in zip(answers, group, strict=True):
            assert not lane.keys() & {(a.question_id, a.draw) for a in found}
            lane.update({(a.question_id, a.draw): a for a in found})
    return answers


def some_logits() -> Tensor:
    """Rows from nearly uniform to nearly certain, wider than what a nucleus usually needs."""
    generator = torch.Generator().manual_seed(5)
    scales = torch.tensor([0.01, 0.3, 1.0, 3.0, 12.0])
    logits = torch.randn(5, 4, 700, generator=generator, dtype=torch.float64)
    return logits * scales[:, None, None]


WARPERS = [
    ("top-k-1", TopKLogitsWarper(1)),
    ("top-k-10", TopKLogitsWarper(10)),
    ("top-k-900", TopKLogitsWarper(900)),
    ("nucleus-0.1", TopPLogitsWarper(0.1)),
    ("nucleus-0.9", TopPLogitsWarper(0.9)),
    ("nucleus-0.999", TopPLogitsWarper(0.999)),
    ("temperature-0.7", TemperatureLogitsWarper(0.7)),
    ("temperature-1.5", TemperatureLogitsWarper(1.5)),
]


@pytest.mark.parametrize(("name", "warper"), WARPERS)
def test_distributions_are_those_of_transformers_warpers(name: str, warper: object) -> None:
    logits = some_logits()
    expected = warper(None, logits.flatten(0, 1)).view(logits.shape)  # type: ignore[operator]
    found = warp(logits, parse_decoder(name))
    assert torch.equal(found.isinf(), expected.isinf())
    assert torch.equal(found.softmax(-1), expected.softmax(-1))


def test_ties_stay_in_top_k_and_go_by_order_in_a_nucleus() -> None:
    logits = torch.tensor([[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]], dtype=torch.float64).log()
    kept = {name: warp(logits, parse_decoder(name))[0].isfinite().tolist()
            for name in ("top-k-2", "nucleus-0.65", "nucleus-0.4", "nucleus-0.95")}  # fmt: skip
    assert kept["top-k-2"] == [True] * 6
    assert kept["nucleus-0.65"] == [True, True, True, False, False, False]
    assert kept["nucleus-0.4"] == [True] + [False] * 5
    assert kept["nucleus-0.95"] == [True] * 6


def test_a_nucleus_is_the_same_however_many_tokens_are_ranked_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits, decoder = some_logits(), Decoder("nucleus", 0.8)
    whole = warp(logits, decoder)
    for width in (1, 7, 10_000):
        monkeypatch.setattr(sampling, "USUAL_NUCLEUS", width)
        assert torch.equal(warp(logits, decoder), whole)


def test_noise_of_the_kept_tokens_alone_draws_what_noise_of_all_would() -> None:
    logits = some_logits().flatten(0, -2)
    for name in ("top-k-4", "nucleus-0.7", "temperature-1.3"):
        warped = warp(logits, parse_decoder(name))
        for choice in range(50):
            keys = choice * torch.arange(len(warped))
            everything = gumbel_noise(keys[:, None], torch.arange(logits.shape[-1]))
            assert torch.equal(drawn(warped, keys), (warped + everything).argmax(-1))


def test_what_is_not_finite_changes_no_other_slot() -> None:
    logits = some_logits().flatten(0, -2)
    keys = torch.arange(len(logits)) // 2
    for name in ("top-k-4", "nucleus-0.7", "temperature-1.3"):
        expected = drawn(warp(logits, parse_decoder(name)), keys)
        broken = logits.clone()
        broken[3] = torch.nan
        found = drawn(warp(broken, parse_decoder(name)), keys)
        sound = torch.arange(len(logits)) != 3
        assert torch.equal(found[sound], expected[sound])
        assert len(drawn(warp(broken[3:4], parse_decoder(name)), keys[3:4])) == 1


def noise(*keys: tuple[int, str, int, int], num_tokens: int = 100) -> Tensor:
    keys_M = torch.tensor([key_of(each) for each in keys])
    return gumbel_noise(keys_M[:, None], torch.arange(num_tokens))


def test_noise_is_gumbels_and_of_its_own_for_each_choice_and_token() -> None:
    keys = list(itertools.product((0, 1), ("q1", "q2"), range(10), range(10)))
    found = noise(*keys)
    numbers = torch.exp(-torch.exp(-found)).flatten()
    assert len(numbers.unique()) == len(keys) * 100
    assert ((numbers > 0) & (numbers < 1)).all()
    # Neighbours in steps, draws and tokens have nothing to do with each other.
    for along in (found.flatten(), found.T.flatten(), found.view(4, 10, 10, 100).swapaxes(1, 2)):
        pairs = along.reshape(-1, 2).T
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 4 / (len(numbers) / 2) ** 0.5
    counts = numbers.mul(10).long().bincount(minlength=10)
    # Chi-square with 9 degrees of freedom is above 27.9 once in a thousand.
    assert (counts - 4000).square().sum() / 4000 < 27.9
    assert torch.equal(found, noise(*keys))


def test_noise_is_that_of_splitmix64() -> None:
    state, expected = key_of((3, "q", 1, 2)) % 2**64, []
    for _ in range(5):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        mixed ^= mixed >> 31
        expected.append(-math.log(-math.log(((mixed >> 11) + 0.5) / 2**53)))
    assert noise((3, "q", 1, 2), num_tokens=5)[0].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["top-k-4", "nucleus-0.7", "temperature-1.3"])
def test_tokens_are_as_frequent_as_the_distribution_says(
    base: Base, trees: tuple[Tree, ...], name: str
) -> None:
    (tree,) = separate_rows(trees)[:1]
    how = Evaluate(draws=2000, max_new_tokens=1)
    (answers,) = draw(base, [tree], name, how=how)
    found = Counter(a.token_ids[0] if a.token_ids else base.end_id for a in answers.values())
    with torch.inference_mode():
        logits = GrowingRows(base, [prompts_of(tree)], 1).prefill()[0].double()
    expected = 2000 * warp(logits, parse_decoder(name)).softmax(-1)
    assert sum(found.values()) == 2000
    assert all(expected[token] > 0 for token in found)
    # Rare tokens are one cell; the sum's mean is the number of cells, its variance about twice it.
    common = [t for t in range(len(expected)) if expected[t] >= 5]
    cells = [(found[t], float(expected[t])) for t in common]
    rest = float(expected.sum()) - sum(e for _, e in cells)
    cells += [(2000 - sum(f for f, _ in cells), rest)] if rest >= 5 else []
    assert len(cells) > 2
    statistic = sum((f - e) ** 2 / e for f, e in cells)
    assert statistic < len(cells) + 4 * (2 * len(cells)) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["top-k-5", "temperature-1", "nucleus-0.8"])
def test_draws_do_not_depend_on_cut_order_or_lanes(
    make_base: Callable[[torch.dtype], Base],
    trees: tuple[Tree, ...],
    name: str,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = make_base(dtype)
    lanes = mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        whole = draw(base, trees, name, len(lanes))
        monkeypatch.setitem(sampling.LOGITS_AT_ONCE, "cpu", 1)
        for others, cut in ((trees, 1), (trees[::-1], 4000), (separate_rows(trees), ALL_AT_ONCE)):
            assert draw(base, others, name, len(lanes), max_tokens=cut) == whole
        weights = [
            {m: (A.clone(), B.clone()) for m, (A, B) in adapters.weights_of(k).items()}
            for k in range(len(lanes))
        ]
    for lane, pairs, together in zip(lanes, weights, whole, strict=True):
        with base.adapted([lane]) as adapters:
            adapters.put(0, pairs)
            assert draw(base, trees, name) == [together]
    assert len({tuple(a.token_ids for a in lane.values()) for lane in whole}) == len(lanes)


def test_draws_and_seeds_differ_and_more_draws_keep_the_first(
    base: Base, trees: tuple[Tree, ...]
) -> None:
    (three,) = draw(base, trees, "temperature-1")
    by_draw = [{q: a.token_ids for (q, d), a in three.items() if d == n} for n in range(3)]
    assert all(a != b for a, b in itertools.combinations(by_draw, 2))
    (five,) = draw(base, trees, "temperature-1", how=HOW.model_copy(update={"draws": 5}))
    assert {key: five[key] for key in three} == three
    (other,) = draw(base, trees, "temperature-1", how=HOW.model_copy(update={"seed": 12}))
    assert {k: a.token_ids for k, a in other.items()} != {k: a.token_ids for k, a in three.items()}


def test_the_likeliest_token_alone_is_greedy(base: Base, trees: tuple[Tree, ...]) -> None:
    (groups,) = list(decode_greedy(Prompts(base, trees, 1, ALL_AT_ONCE), HOW.max_new_tokens))
    greedy = {answer.question_id: answer.token_ids for answer in groups[0]}
    (found,) = draw(base, trees, "top-k-1")
    assert {key: a.token_ids for key, a in found.items()} == {
        (question, n): tokens for question, tokens in greedy.items() for n in range(3)
    }


def test_all_draws_share_one_pass_over_trunks_and_prompts(
    base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, widths = GrowingRows._forward, []

    def watching(rows: GrowingRows, input_ids: Tensor, *rest: Tensor) -> Tensor:
        widths.append(input_ids.shape)
        return forward(rows, input_ids, *rest)

    monkeypatch.setattr(GrowingRows, "_forward", watching)
    draw(base, trees, "temperature-1")
    prompts, *steps = widths
    assert prompts[0] == len(trees)
    most = max(len(tree.branches) for tree in trees)
    assert tuple(steps[0]) == (len(trees), most * HOW.draws)
    # Later steps leave out what has stopped.
    assert all(later.numel() <= earlier.numel() for earlier, later in itertools.pairwise(steps))
