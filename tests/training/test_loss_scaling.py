"""fp16: each lane has a loss scale of its own, and its overflow costs no other lane a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lorasweep.data.trees import Tree, lay_out
from lorasweep.folder.records import Failure, StepEntry
from lorasweep.model.base import Base, unfreeze
from lorasweep.model.full import FullWeights
from lorasweep.model.lora import Adapters, Lane
from lorasweep.study.sections import Recipe
from lorasweep.training import loss_scaling
from lorasweep.training.checkpoint import Checkpoint, Checkpoints
from lorasweep.training.hooks import Hooks, StepEvent, Trained
from lorasweep.training.loss import answer_loss
from lorasweep.training.loss_scaling import FIRST, GOOD_STEPS, LARGEST, LossScaling
from lorasweep.training.train import train_pack
from reference import mixed_lanes, modules_of, randomise_B, relative

RECIPE = Recipe(
    epochs=2, batch_size=4, schedule="cosine", warmup=0.2, weight_decay=0.1, max_grad_norm=0.5
)
DROPOUTS = (0.1, 0.0, 0.1)
MICRO_TOKENS = 300
# Batches of a dozen answer tokens, as here, may overflow at the first scale.
SAFE = FIRST / 16


@pytest.fixture
def half_base(make_base: Callable[[torch.dtype], Base]) -> Base:
    """A frozen tiny model in fp16, as a study rounds it."""
    base = make_base(torch.float32)
    base.cast(torch.float16)
    return base


@dataclass
class Outcome:
    """What training left: the history and all numbers of the lanes that were there at the end."""

    trained: Trained
    values_KP: Tensor
    scales: dict[str, Tensor]


class Spied(LossScaling):
    """Starts where nothing overflows, or lane 1 elsewhere, and can be looked at after training."""

    last: LossScaling
    of_lane_1 = SAFE

    def __init__(self, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.scale_K[:] = SAFE
        self.scale_K[1:2] = self.of_lane_1
        Spied.last = self


@pytest.fixture(autouse=True)
def spied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorasweep.training.train.LossScaling", Spied)


def train(
    base: Base,
    lanes: Sequence[Lane],
    trees: Sequence[Tree],
    recipe: Recipe = RECIPE,
    checkpoints: Checkpoints | None = None,
    on_step: Callable[[StepEvent], None] = lambda _: None,
) -> Outcome:
    with base.adapted(list(lanes)) as adapters:
        hooks = Hooks(lambda: [0.0] * len(adapters.lanes), on_step)
        trained = train_pack(base, adapters, trees, recipe, MICRO_TOKENS, hooks, checkpoints)
        return Outcome(trained, adapters.values_KP.clone(), scales_of(Spied.last))


def scales_of(scaling: LossScaling) -> dict[str, Tensor]:
    return {name: rows.clone() for name, rows in scaling.state().items()}


def steps(outcome: Outcome, k: int = 0) -> list[StepEntry]:
    return [entry for entry in outcome.trained.histories[k] if isinstance(entry, StepEntry)]


def skipped(outcome: Outcome, k: int = 0) -> list[int]:
    return [entry.step for entry in steps(outcome, k) if entry.grad_norm is None]


def overflow(monkeypatch: pytest.MonkeyPatch, lane: int, passes: Sequence[int]) -> None:
    """Make a lane's gradients infinite in some of the passes of a training."""
    accumulate, number = Adapters.accumulate, iter(range(10_000))

    def overflowing(adapters: Adapters, loss: Tensor) -> None:
        accumulate(adapters, loss)
        if next(number) in passes:
            adapters.gradients_KP[lane, 5] = torch.inf

    monkeypatch.setattr(Adapters, "accumulate", overflowing)


def small(base: Base, lr: float = 1e-3, rank: int = 2) -> Lane:
    return Lane(modules_of(base, ("attn", "mlp")), rank, 2.0, lr, 0.0, 7)


class TestOneLanesOverflow:
    def test_skips_its_own_step_and_no_other(
        self, half_base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lanes = mixed_lanes(half_base, DROPOUTS)
        sound = train(half_base, lanes, trees)
        # The second micro-batch of the third step.
        overflow(monkeypatch, 1, [4])
        found = train(half_base, lanes, trees)
        assert found.trained.failures == [None] * 3
        assert [skipped(found, k) for k in range(3)] == [[], [2], []]
        assert found.scales["scale"].tolist() == [SAFE, SAFE / 2, SAFE]
        for k in (0, 2):
            assert found.trained.histories[k] == sound.trained.histories[k]
            assert found.values_KP[k].equal(sound.values_KP[k])
        assert not found.values_KP[1].equal(sound.values_KP[1])

    def test_by_a_scale_that_is_too_large(
        self, half_base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A true overflow of fp16, not one that is put in."""
        lanes = mixed_lanes(half_base, DROPOUTS)
        sound = train(half_base, lanes, trees)

        monkeypatch.setattr(Spied, "of_lane_1", 2.0**20)
        found = train(half_base, lanes, trees)
        assert 0 < len(skipped(found, 1)) < found.trained.num_steps
        assert skipped(found, 1) == list(range(len(skipped(found, 1))))
        assert found.scales["skipped_steps"].tolist() == [0, len(skipped(found, 1)), 0]
        for k in (0, 2):
            assert found.trained.histories[k] == sound.trained.histories[k]
            assert found.values_KP[k].equal(sound.values_KP[k])

    def test_by_adapters_that_are_too_large_fails_it_alone(
        self, half_base: Base, trees: tuple[Tree, ...]
    ) -> None:
        lanes = mixed_lanes(half_base, DROPOUTS)
        sound = train(half_base, lanes, trees)
        found = train(half_base, [lanes[0], replace(lanes[1], lr=1e9), lanes[2]], trees)
        failure = found.trained.failures[1]
        assert failure is not None
        assert failure.quantity == "loss"
        assert [found.trained.state(k) for k in range(3)] == ["done", "failed", "done"]
        for k in (0, 2):
            assert found.trained.histories[k] == sound.trained.histories[k]
            assert found.values_KP[k].equal(sound.values_KP[k])

    def test_fails_it_where_the_scale_falls_below_one(
        self, half_base: Base, trees: tuple[Tree, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe = RECIPE.model_copy(update={"epochs": 4})
        lanes = mixed_lanes(half_base, DROPOUTS)
        sound = train(half_base, lanes, trees, recipe)
        monkeypatch.setattr(loss_scaling, "SMALLEST", SAFE / 4)
        overflow(monkeypatch, 1, range(4, 10_000))
        found = train(half_base, lanes, trees, recipe)
        # Halved three times, from the third step on: at the last it falls below.
        assert found.trained.failures == [
            None,
            Failure(step=4, quantity="gradient norm", value="inf"),
            None,
        ]
        assert (skipped(found, 1), len(steps(found, 1))) == ([2, 3], 4)
        assert not found.values_KP[1].any()
        for k in (0, 2):
            assert found.trained.histories[k] == sound.trained.histories[k]
            assert found.values_KP[k].equal(sound.values_KP[k])


class TestScale:
    def test_is_halved_by_an_overflow_and_doubled_after_many_good_steps(self) -> None:
        scaling = LossScaling(2)
        neither, first = torch.tensor([False, False]), torch.tensor([True, False])
        scaling.update(first)
        assert scaling.scale_K.tolist() == [FIRST / 2, FIRST]
        for _ in range(GOOD_STEPS - 1):
            scaling.update(neither)
        assert scaling.scale_K.tolist() == [FIRST / 2, 2 * FIRST]
        scaling.update(neither)
        assert scaling.scale_K.tolist() == [FIRST, 2 * FIRST]
        assert scaling.steps_taken(2001) == [2000, 2001]

    def test_moves_as_torchs_grad_scaler_moves_it(self) -> None:
        scaling, theirs = LossScaling(1), torch.amp.GradScaler("cpu")
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=0.0)
        theirs.scale(torch.zeros(1))
        for step in range(2 * GOOD_STEPS + 50):
            overflows = step in (0, 1, 30, 2100)
            parameter.grad = torch.tensor([torch.inf if overflows else 1.0])
            theirs.unscale_(optimizer)
            theirs.step(optimizer)
            theirs.update()
            scaling.update(torch.tensor([overflows]))
            assert scaling.scale_K.item() == theirs.get_scale()

    def test_is_bounded(self) -> None:
        scaling = LossScaling(1)
        scaling.scale_K[:] = LARGEST
        scaling.good_steps_K[:] = GOOD_STEPS - 1
        scaling.update(torch.tensor([False]))
        assert scaling.scale_K.item() == LARGEST

    def test_leaves_gradients_as_they_are(
        self, make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...]
    ) -> None:
        """In fp32, where powers of two are exact."""
        base, scaling = make_base(torch.float32), LossScaling(3)
        scaling.scale_K[:] = torch.tensor([2.0**16, 2.0, 2.0**-3])
        with base.adapted(mixed_lanes(base)) as adapters:
            randomise_B(adapters)
            adapters.accumulate(answer_loss(base, lay_out(trees), 3).sum())
            plain_KP = adapters.gradients_KP.clone()
            adapters.gradients_KP.zero_()
            adapters.accumulate(scaling.scaled(answer_loss(base, lay_out(trees), 3)).sum())
            scaling.unscale(adapters.gradients_KP)
        assert plain_KP.any()
        assert adapters.gradients_KP.equal(plain_KP)

    def test_keeps_small_gradients_from_underflow(
        self, half_base: Base, make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...]
    ) -> None:
        """Gradients of a small loss vanish in fp16 without it, and are near fp32's with it."""

        def gradients(base: Base, scaling: LossScaling | None) -> Tensor:
            with base.adapted(mixed_lanes(base)) as adapters:
                randomise_B(adapters, 0.01)
                loss_K = answer_loss(base, lay_out(trees), 3) * 2.0**-17
                adapters.accumulate((scaling.scaled(loss_K) if scaling else loss_K).sum())
                if scaling:
                    scaling.unscale(adapters.gradients_KP)
                return adapters.gradients_KP

        exact = gradients(make_base(torch.float32), None)
        errors = [relative(gradients(half_base, s), exact) for s in (None, LossScaling(3))]
        assert errors[1] < 0.01
        assert errors[0] > 5 * errors[1]


class StopError(Exception):
    """Raised in the middle of a training."""


@pytest.mark.parametrize("after", [1, 3])
def test_a_training_resumed_in_the_middle_ends_with_the_same_bits(
    half_base: Base,
    trees: tuple[Tree, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    """Lane 1 starts at a scale that it loses on the way, and grows again after two good steps."""

    monkeypatch.setattr(Spied, "of_lane_1", 2.0**18)
    monkeypatch.setattr(loss_scaling, "GOOD_STEPS", 2)
    lanes = mixed_lanes(half_base, DROPOUTS)
    undisturbed = train(half_base, lanes, trees)
    assert skipped(undisturbed, 1)
    checkpoints = Checkpoints(tmp_path, "pack", 0.0, print)

    def stop(event: StepEvent) -> None:
        if event.step == after + 1 and not event.is_resumed:
            raise StopError

    with pytest.raises(StopError):
        train(half_base, lanes, trees, checkpoints=checkpoints, on_step=stop)
    found = train(half_base, lanes, trees, checkpoints=checkpoints)
    assert found.trained.histories == undisturbed.trained.histories
    assert found.values_KP.equal(undisturbed.values_KP)
    for name, rows in undisturbed.scales.items():
        assert found.scales[name].equal(rows)


def test_training_ends_near_fp32s(
    half_base: Base, make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...]
) -> None:
    recipe = Recipe(epochs=4, batch_size=4, schedule="constant")
    losses = [
        [entry.loss for entry in steps(train(base, [small(base, 5e-3)], trees, recipe))]
        for base in (half_base, make_base(torch.float32))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)
    assert losses[0] != losses[1]
    assert sum(losses[0][-4:]) < 0.9 * sum(losses[0][:4])


def test_other_precisions_have_no_scale(
    make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...], tmp_path: Path
) -> None:
    base = make_base(torch.float32)
    base.cast(torch.bfloat16)
    assert not base.is_fp16
    kept: list[Checkpoint] = []

    class Kept(Checkpoints):
        def save(self, checkpoint: Checkpoint) -> None:
            kept.append(checkpoint)

    with base.adapted([small(base)]) as adapters:
        train_pack(
            base, adapters, trees, RECIPE, MICRO_TOKENS, Hooks(lambda: [0.0]),
            Kept(tmp_path, "", 0.0, print),
        )  # fmt: skip
    assert kept[0].tensors.keys() == {"values", "mean", "square", "live"}


class TestFull:
    def test_training_ends_near_fp32s(
        self,
        architecture: str,
        make_model: Callable[..., PreTrainedModel],
        trees: tuple[Tree, ...],
    ) -> None:
        losses = []
        for precision in ("fp16", "fp32"):
            model = make_model(architecture)
            base = unfreeze(model, None, precision)
            assert base.is_fp16 == (precision == "fp16")
            weights = FullWeights(Lane((), 0, 1.0, 1e-3, 0.0, 7), model)
            hooks = Hooks(lambda: [0.0])
            trained = train_pack(base, weights, trees, RECIPE, MICRO_TOKENS, hooks)
            losses.append([e.loss for e in trained.histories[0] if isinstance(e, StepEntry)])
            assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert losses[0] == pytest.approx(losses[1], rel=5e-3)
        assert losses[0] != losses[1]
