"""Facts 1, 2, 8 (on the side of training), 9 and 10: what the training loop holds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lorasweep.data.cuts import parts
from lorasweep.data.trees import WIDTHS, Tree, lay_out, separate_rows
from lorasweep.folder.records import EvalEntry, Failure, StepEntry
from lorasweep.model.base import Base
from lorasweep.model.lora import Adapters, Lane
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Hooks, StepEvent, Trained
from lorasweep.training.loss import answer_loss
from lorasweep.training.optimizer import clip_lanes
from lorasweep.training.train import epoch_batches, epoch_order, train_pack
from reference import (
    evaluation_loss,
    exact_norms,
    mixed_lanes,
    modules_of,
    own_loss,
    randomise_B,
    relative,
    with_peft,
)

RECIPE = Recipe(epochs=2, batch_size=4, schedule="cosine", warmup=0.2, max_grad_norm=0.5)
ALL_AT_ONCE = 100_000
TOLERANCE = 1e-9
DROPOUTS = ((0.0, 0.0, 0.0), (0.1, 0.0, 0.1))


@dataclass
class Outcome:
    """What training gave, with each lane's weights."""

    trained: Trained
    weights: list[dict[str, tuple[Tensor, Tensor]]]


def train(
    base: Base,
    lanes: Sequence[Lane],
    trees: Sequence[Tree],
    micro_tokens: int = ALL_AT_ONCE,
    recipe: Recipe = RECIPE,
    meddle: Callable[[Adapters, int], None] = lambda adapters, step: None,
    evaluate: Callable[[], list[float]] | None = None,
) -> Outcome:
    """Train a pack; `meddle` is called with the number of steps done after each."""
    with base.adapted(list(lanes)) as adapters:

        def own_evaluation() -> list[float]:
            return evaluation_loss(base, trees[:2], len(lanes), ALL_AT_ONCE)

        def on_step(event: StepEvent) -> None:
            meddle(adapters, event.step)

        trained = train_pack(
            base, adapters, trees, recipe, micro_tokens, Hooks(evaluate or own_evaluation, on_step)
        )
        weights = [adapters.weights_of(k) for k in range(len(lanes))]
        return Outcome(
            trained,
            [{name: (A.clone(), B.clone()) for name, (A, B) in w.items()} for w in weights],
        )


def steps(outcome: Outcome, k: int = 0) -> list[StepEntry]:
    return [entry for entry in outcome.trained.histories[k] if isinstance(entry, StepEntry)]


def assert_same_lane(found: Outcome, k: int, expected: Outcome, j: int) -> None:
    """Lane k of one training went as lane j of another: losses, gradients and weights."""
    ours, theirs = found.trained.histories[k], expected.trained.histories[j]
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a.kind == b.kind
        numbers = b.model_dump(exclude={"kind"})
        assert a.model_dump(exclude={"kind"}) == pytest.approx(numbers, rel=TOLERANCE)
    for name, pair in expected.weights[j].items():
        for part, reference in zip(found.weights[k][name], pair, strict=True):
            assert relative(part, reference) < TOLERANCE, name


@pytest.mark.parametrize("dropouts", DROPOUTS)
def test_lanes_together_train_as_each_does_alone(
    exact_base: Base, trees: tuple[Tree, ...], dropouts: tuple[float, ...]
) -> None:
    lanes = mixed_lanes(exact_base, dropouts)
    together = train(exact_base, lanes, trees)
    assert together.trained.num_steps >= 5
    for k, lane in enumerate(lanes):
        assert_same_lane(together, k, train(exact_base, [lane], trees), 0)
    reordered = train(exact_base, lanes[::-1], trees)
    assert_same_lane(reordered, 0, together, 2)


@pytest.mark.parametrize("dropouts", DROPOUTS)
def test_a_batch_may_be_cut_anyhow(
    exact_base: Base, trees: tuple[Tree, ...], dropouts: tuple[float, ...]
) -> None:
    lanes = mixed_lanes(exact_base, dropouts)
    whole = train(exact_base, lanes, trees)
    for micro_tokens in (1, 3 * 140):
        cut = train(exact_base, lanes, trees, micro_tokens)
        for k in range(len(lanes)):
            assert_same_lane(cut, k, whole, k)


@pytest.mark.parametrize("dropouts", DROPOUTS)
def test_many_questions_on_one_text_train_in_parts_as_in_one_row(
    exact_base: Base,
    trees: tuple[Tree, ...],
    dropouts: tuple[float, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Losses and gradients of every step are the same, and so is the noise of dropout."""
    monkeypatch.setattr("lorasweep.data.cuts.WHOLE_ROW", 1)
    branches = tuple(branch for tree in trees for branch in tree.branches)
    long = [Tree(f"long {n}", trees[n].trunk_ids[:9], branches[n:]) for n in range(2)]
    lanes = mixed_lanes(exact_base, dropouts)
    assert len(parts(long, 100, len(lanes))) > 4
    whole, cut = train(exact_base, lanes, long), train(exact_base, lanes, long, 100)
    for k in range(len(lanes)):
        assert_same_lane(cut, k, whole, k)


def test_dropout_does_change_training(exact_base: Base, trees: tuple[Tree, ...]) -> None:
    without, with_ = (train(exact_base, mixed_lanes(exact_base, d), trees) for d in DROPOUTS)
    losses = [[[s.loss for s in steps(o, k)] for k in range(3)] for o in (without, with_)]
    assert losses[0][1] == pytest.approx(losses[1][1], rel=TOLERANCE)
    for k in (0, 2):
        assert losses[0][k] != pytest.approx(losses[1][k], rel=1e-6)


def loss_and_gradients(base: Base, adapters: Adapters, trees: Sequence[Tree]) -> list[Tensor]:
    """Each lane's summed loss [K], and all gradients [K, P]."""
    adapters.gradients_KP.zero_()
    loss_K = answer_loss(base, lay_out(trees), len(adapters.lanes))
    adapters.accumulate(loss_K.sum())
    return [loss_K.detach(), adapters.gradients_KP.clone()]


def test_rows_of_few_widths_give_what_rows_as_long_as_the_longest_give(
    exact_base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lay_out(trees).input_ids_RT.shape[1] % 32
    with exact_base.adapted(mixed_lanes(exact_base)) as adapters:
        randomise_B(adapters)
        expected = loss_and_gradients(exact_base, adapters, trees)
        monkeypatch.setitem(WIDTHS, "cpu", 32)
        assert lay_out(trees).input_ids_RT.shape[1] % 32 == 0
        found = loss_and_gradients(exact_base, adapters, trees)
    for mine, other in zip(found, expected, strict=True):
        assert relative(mine, other) < TOLERANCE


def test_a_tree_gives_what_its_questions_give_as_separate_rows(
    exact_base: Base, trees: tuple[Tree, ...]
) -> None:
    with exact_base.adapted(mixed_lanes(exact_base)) as adapters:
        randomise_B(adapters)
        as_trees = loss_and_gradients(exact_base, adapters, trees)
        apart = loss_and_gradients(exact_base, adapters, separate_rows(trees))
        one_by_one = [
            loss_and_gradients(exact_base, adapters, [row]) for row in separate_rows(trees)
        ]
    summed = [torch.stack(parts).sum(0) for parts in zip(*one_by_one, strict=True)]
    for loss_or_gradient, rows, singles in zip(as_trees, apart, summed, strict=True):
        for k in range(3):
            assert relative(loss_or_gradient[k], rows[k]) < TOLERANCE
            assert relative(loss_or_gradient[k], singles[k]) < TOLERANCE


def test_a_trees_loss_is_the_models_own(
    architecture: str,
    make_model: Callable[..., PreTrainedModel],
    make_base: Callable[[torch.dtype], Base],
    trees: tuple[Tree, ...],
) -> None:
    num_answer_tokens = sum(tree.num_answer_tokens for tree in trees)
    for dtype, tolerance in ((torch.float64, TOLERANCE), (torch.float32, 1e-5)):
        model = make_model(architecture).to(dtype)
        assert model.config._attn_implementation == "sdpa"
        if dtype == torch.float64:
            model = exact_norms(model)
        with torch.no_grad():
            own = own_loss(model, trees)
            ours = answer_loss(make_base(dtype), lay_out(trees), 1) / num_answer_tokens
        assert relative(ours, own[None]) < tolerance


class TestHistory:
    def test_a_steps_loss_and_gradient_are_of_the_mean_over_its_batchs_answer_tokens(
        self,
        architecture: str,
        make_model: Callable[..., PreTrainedModel],
        exact_base: Base,
        trees: tuple[Tree, ...],
    ) -> None:
        lane = mixed_lanes(exact_base)[2]
        first = steps(train(exact_base, [lane], trees, micro_tokens=1))[0]
        with exact_base.adapted([lane]) as adapters:
            weights = adapters.weights_of(0)
        tuned = with_peft(exact_norms(make_model(architecture).double()), lane, weights)
        batch = epoch_batches(trees, RECIPE, lane.seed, 0)[0]
        loss = own_loss(tuned, batch)
        loss.backward()
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in tuned.parameters() if p.grad is not None]
        )
        assert len(batch) > 1
        assert first.loss == pytest.approx(loss.item(), rel=TOLERANCE)
        assert first.grad_norm == pytest.approx(norm.item(), rel=TOLERANCE)

    def test_holds_the_counts_and_rates_of_every_step(
        self, exact_base: Base, trees: tuple[Tree, ...]
    ) -> None:
        lanes = mixed_lanes(exact_base)
        outcome = train(exact_base, lanes, trees)
        batches = [b for e in range(2) for b in epoch_batches(trees, RECIPE, 7, e)]
        assert outcome.trained.num_steps == len(batches)
        for k, lane in enumerate(lanes):
            found = steps(outcome, k)
            assert [s.step for s in found] == list(range(len(batches)))
            assert [s.num_questions for s in found] == [
                sum(len(tree.branches) for tree in batch) for batch in batches
            ]
            assert [s.num_answer_tokens for s in found] == [
                sum(tree.num_answer_tokens for tree in batch) for batch in batches
            ]
            assert found[0].lr == 0
            assert max(s.lr for s in found) == pytest.approx(lane.lr, rel=0.1)
            evaluations = [e for e in outcome.trained.histories[k] if isinstance(e, EvalEntry)]
            assert [e.epoch for e in evaluations] == [0, 1]
            assert evaluations[-1].step == len(batches)

    def test_training_learns(self, exact_base: Base, trees: tuple[Tree, ...]) -> None:
        recipe = Recipe(epochs=5, batch_size=4, schedule="constant")
        outcome = train(exact_base, mixed_lanes(exact_base)[2:], trees, recipe=recipe)
        losses = [step.loss for step in steps(outcome)]
        assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


class TestOrder:
    def test_depends_on_seed_and_epoch_alone(self, trees: tuple[Tree, ...]) -> None:
        order = epoch_order(trees, 1, 0)
        assert sorted(t.id for t in order) == sorted(t.id for t in trees)
        assert epoch_order(trees[::-1], 1, 0) == order
        assert epoch_order(trees, 1, 1) != order
        assert epoch_order(trees, 2, 0) != order
        # A tree's place among others is its own: leaving one out moves no other.
        assert epoch_order(trees[1:], 1, 0) == [t for t in order if t is not trees[0]]


def poison(k: int, at_step: int) -> Callable[[Adapters, int], None]:
    """Put NaN into one lane's numbers after some steps."""

    @torch.no_grad()
    def meddle(adapters: Adapters, step: int) -> None:
        if step == at_step:
            A, _ = next(iter(adapters.weights_of(k).values()))
            A[0, 0] = math.nan

    return meddle


class TestLanesThatBreak:
    @pytest.mark.parametrize("broken", [0, 1, 2])
    def test_one_is_stopped_and_the_others_go_on(
        self, exact_base: Base, trees: tuple[Tree, ...], broken: int
    ) -> None:
        lanes = mixed_lanes(exact_base, DROPOUTS[1])
        found = train(exact_base, lanes, trees, meddle=poison(broken, 2))
        failures = found.trained.failures
        assert failures[broken] == Failure(step=2, quantity="loss", value="nan")
        assert [s.step for s in steps(found, broken)] == [0, 1]
        assert not any(A.any() or B.any() for A, B in found.weights[broken].values())
        others = [k for k in range(3) if k != broken]
        without = train(exact_base, [lanes[k] for k in others], trees)
        for j, k in enumerate(others):
            assert failures[k] is None
            assert_same_lane(found, k, without, j)

    def test_its_neighbours_keep_their_bits(
        self, make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...]
    ) -> None:
        base = make_base(torch.float32)
        lanes = mixed_lanes(base, DROPOUTS[1])
        sound = train(base, lanes, trees)
        wild = [lanes[0], replace(lanes[1], lr=1e30), lanes[2]]
        found = train(base, wild, trees)
        failure = found.trained.failures[1]
        assert failure is not None
        assert failure.value in ("nan", "inf")
        # The first step's learning rate is 0 (warm-up), the second one's is huge.
        assert failure.step == 2
        for k in (0, 2):
            assert found.trained.histories[k] == sound.trained.histories[k]
            for name, (A, B) in sound.weights[k].items():
                assert found.weights[k][name][0].equal(A)
                assert found.weights[k][name][1].equal(B)

    @pytest.mark.parametrize("value", [math.inf, math.nan])
    def test_a_gradient_alone_may_break(
        self,
        exact_base: Base,
        trees: tuple[Tree, ...],
        monkeypatch: pytest.MonkeyPatch,
        value: float,
    ) -> None:
        calls: list[float] = []

        def breaking(gradients_KP: Tensor, max_norm: float) -> Tensor:
            calls.append(max_norm)
            if len(calls) == 4:
                gradients_KP[1, 5] = value
            return clip_lanes(gradients_KP, max_norm)

        lanes = mixed_lanes(exact_base)
        expected = train(exact_base, lanes, trees)
        monkeypatch.setattr("lorasweep.training.step.clip_lanes", breaking)
        found = train(exact_base, lanes, trees)
        assert found.trained.failures == [
            None,
            Failure(step=3, quantity="gradient norm", value=str(value)),
            None,
        ]
        assert_same_lane(found, 0, expected, 0)
        assert_same_lane(found, 2, expected, 2)

    def test_an_evaluation_loss_may_break(self, exact_base: Base, trees: tuple[Tree, ...]) -> None:
        losses = iter([[1.0, 2.0, 3.0], [1.0, math.nan, 3.0]])
        lanes = mixed_lanes(exact_base)
        found = train(exact_base, lanes, trees, evaluate=lambda: next(losses))
        failure = Failure(step=found.trained.num_steps, quantity="evaluation loss", value="nan")
        assert found.trained.failures == [None, failure, None]
        values = [
            [e.eval_loss for e in history if isinstance(e, EvalEntry)]
            for history in found.trained.histories
        ]
        assert values == [[1.0, 1.0], [2.0], [3.0, 3.0]]

    def test_all_may_break(self, exact_base: Base, trees: tuple[Tree, ...]) -> None:
        lane = Lane(modules_of(exact_base, ("attn",)), 2, 1.0, 1e-3, 0.0, 0)
        found = train(exact_base, [lane], trees, meddle=poison(0, 1))
        assert found.trained.failures[0] is not None
        assert len(found.trained.histories[0]) == 1
