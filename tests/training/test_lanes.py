"""Lanes that leave a pack: the others, and the one that left, train as if nothing had been."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lorasweep.data.trees import Tree
from lorasweep.folder.records import Rung, Stop
from lorasweep.model.base import Base
from lorasweep.model.lora import Adapters, Lane
from lorasweep.study.sections import Recipe
from lorasweep.training.checkpoint import Checkpoint, Checkpoints
from lorasweep.training.hooks import Hooks, RaceHooks, Trained
from lorasweep.training.lanes import Lanes
from lorasweep.training.loss_scaling import FIRST, LossScaling
from lorasweep.training.race import ParagraphLosses
from lorasweep.training.train import train_pack
from reference import mixed_lanes, relative

RECIPE = Recipe(epochs=2, batch_size=4, schedule="cosine", warmup=0.2, max_grad_norm=0.5)
TOLERANCE = 1e-9
DROPOUTS = (0.1, 0.0, 0.1)


@dataclass(frozen=True)
class Decided:
    """A race half way of three runs, in which it is known who loses."""

    stopped: Sequence[int]

    def fractions(self, num_steps: int) -> dict[int, float]:
        return {num_steps // 2: 0.5}

    def judge(self, rungs: Mapping[int, Rung], num_steps: int) -> dict[int, Stop]:
        assert list(rungs) == [0, 1, 2]
        return dict.fromkeys(self.stopped, STOP)


STOP = Stop(
    fraction=0.5, step=1, num_steps=2, leader="x", leader_label="x", eval_loss=2.0,
    leader_eval_loss=1.0, difference=1.0, at_least=0.5, p_value=0.0, adjusted_p_value=0.0,
    level=0.95, num_comparisons=1, num_paragraphs=1,
)  # fmt: skip


def race_hooks(
    adapters: Adapters, stopped: Sequence[int], aside: dict[int, Checkpoint]
) -> RaceHooks:
    def losses() -> ParagraphLosses:
        return ParagraphLosses(("p",), (1,), torch.ones(len(adapters.lanes), 1).double().numpy())

    return RaceHooks(Decided(stopped), losses, aside.__setitem__)  # type: ignore[arg-type]


def train(
    base: Base,
    lanes: Sequence[Lane],
    trees: Sequence[Tree],
    stopped: Sequence[int] = (),
    aside: dict[int, Checkpoint] | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Trained, dict[int, dict[str, torch.Tensor]]]:
    """Train a pack from which some lanes are stopped half way; return the others' products B A."""
    with base.adapted(list(lanes)) as adapters:
        hooks = Hooks(
            evaluate=lambda: [0.0] * len(adapters.lanes),
            race=None if aside is None else race_hooks(adapters, stopped, aside),
        )
        trained = train_pack(base, adapters, trees, RECIPE, 10_000, hooks, checkpoints)
        products = {
            place: {name: B @ A for name, (A, B) in adapters.weights_of(k).items()}
            for place, k in trained.ended().items()
        }
        return trained, products


def assert_same(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], kind: str
) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert relative(found[name], expected[name]) < TOLERANCE, (kind, name)


@pytest.mark.parametrize("stopped", [(0,), (1,), (2,), (0, 2)])
def test_who_stays_and_who_is_resumed_train_as_without_a_race(
    exact_base: Base, trees: tuple[Tree, ...], stopped: tuple[int, ...], tmp_path: Path
) -> None:
    lanes = mixed_lanes(exact_base, DROPOUTS)
    expected, weights = train(exact_base, lanes, trees)
    aside: dict[int, Checkpoint] = {}
    raced, kept = train(exact_base, lanes, trees, stopped, aside)
    assert set(aside) == set(stopped)
    assert raced.places == [k for k in range(3) if k not in stopped]
    assert [raced.state(k) for k in range(3)] == [
        "stopped" if k in stopped else "done" for k in range(3)
    ]
    for k in raced.places:
        assert_same(kept[k], weights[k], "stays")
        assert len(raced.histories[k]) == len(expected.histories[k])
    for k in stopped:
        own = Checkpoints(tmp_path / str(k), "alone", 5.0, print)
        own.set_aside(aside[k])
        resumed, alone = train(exact_base, [lanes[k]], trees, checkpoints=own)
        assert_same(alone[0], weights[k], "resumed")
        losses = [entry.model_dump() for entry in expected.histories[k]]
        for mine, theirs in zip(resumed.histories[0], losses, strict=True):
            assert mine.model_dump(exclude={"kind"}) == pytest.approx(
                {key: value for key, value in theirs.items() if key != "kind"}, rel=TOLERANCE
            )
        assert [rung.fraction for rung in resumed.rungs[0]] == [0.5]


def test_a_pack_of_which_all_lose_ends_there(exact_base: Base, trees: tuple[Tree, ...]) -> None:
    aside: dict[int, Checkpoint] = {}
    trained, kept = train(exact_base, mixed_lanes(exact_base), trees, (0, 1, 2), aside)
    assert (kept, len(aside)) == ({}, 3)
    assert all(len(h) < trained.num_steps for h in trained.histories)


def test_padding_is_no_number_of_a_lane(exact_base: Base) -> None:
    lanes = mixed_lanes(exact_base)
    for k, lane in enumerate(lanes):
        with exact_base.adapted(lanes) as adapters:
            own = adapters.values_KP[k, adapters.numbers_of(k)]
        with exact_base.adapted([lane]) as alone:
            assert torch.equal(own, alone.values_KP[0])
            assert torch.equal(alone.numbers_of(0), torch.arange(alone.values_KP.shape[1]))


def test_a_rung_is_kept_of_every_lane_that_learns(
    exact_base: Base, trees: tuple[Tree, ...]
) -> None:
    trained, _ = train(exact_base, mixed_lanes(exact_base), trees, (), {})
    assert [[type(rung) for rung in rungs] for rungs in trained.rungs] == [[Rung]] * 3
    assert trained.places == [0, 1, 2]


def test_a_step_that_is_skipped_leaves_a_lanes_optimizer_as_it_was() -> None:
    """Its moments, its count of steps and its weight decay: torch's AdamW that took fewer steps."""

    class Numbers:
        lanes = (None, None)
        values_KP = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
        gradients_KP = torch.zeros(2, 6)

        def learning_rates(self) -> Tensor:
            return torch.tensor([[0.1], [0.2]])

    numbers: Any = Numbers()
    alone = [torch.nn.Parameter(row.clone()) for row in numbers.values_KP]
    theirs = [
        torch.optim.AdamW([p], lr=lr, weight_decay=0.3)
        for p, lr in zip(alone, (0.1, 0.2), strict=True)
    ]
    scaling = LossScaling(2)
    lanes = Lanes(numbers, 0.3, scaling)
    generator = torch.Generator().manual_seed(2)
    for overflows in ((True, False), (False, True), (False, False), (True, True), (False, False)):
        numbers.gradients_KP.copy_(torch.randn(2, 6, generator=generator))
        for k in range(2):
            if not overflows[k]:
                alone[k].grad = numbers.gradients_KP[k].clone()
                theirs[k].step()
        overflowed_K = torch.tensor(overflows)
        numbers.gradients_KP[overflowed_K] = torch.nan
        before = [{name: rows[k].clone() for name, rows in lanes.state().items()} for k in (0, 1)]
        scaling.update(overflowed_K)
        lanes.scaled_step(scaling, 1.0, overflowed_K)
        for k in range(2):
            torch.testing.assert_close(numbers.values_KP[k], alone[k].detach())
            for name in ("values", "mean", "square") if overflows[k] else ():
                assert lanes.state()[name][k].equal(before[k][name])
    assert scaling.skipped_K.tolist() == [2, 2]


def test_a_lane_that_leaves_takes_its_scale_along(
    make_base: Callable[[torch.dtype], Base],
) -> None:
    base = make_base(torch.float32)
    base.cast(torch.float16)
    with base.adapted(mixed_lanes(base)) as adapters:
        scaling = LossScaling(3)
        scaling.update(torch.tensor([False, True, False]))
        lanes = Lanes(adapters, 0.1, scaling)
        own = lanes.state_of(1)
        lanes.keep([1, 2])
        assert scaling.scale_K.tolist() == [FIRST / 2, FIRST]
        assert scaling.steps_taken(1) == [0, 1]
    with base.adapted([mixed_lanes(base)[1]]) as adapters:
        alone = Lanes(adapters, 0.1, LossScaling(1))
        alone.restore([0], 1, own)
        assert {n: rows.tolist() for n, rows in alone.state().items() if rows.dim() == 1} == {
            "live": [True], "scale": [FIRST / 2], "good_steps": [0], "skipped_steps": [1],
        }  # fmt: skip
