"""Each lane of LaneAdamW and clip_lanes gets what torch gives it alone."""

import pytest
import torch
from torch import Tensor, nn
from transformers import get_scheduler
from transformers.optimization import get_constant_schedule

from lorasweep.study.sections import Recipe
from lorasweep.training import optimizer as optimizer_module
from lorasweep.training.optimizer import LaneAdamW, clip_lanes, lane_norms, schedule_factor

LR = (1e-3, 5e-2, 1.0)
NUM_STEPS = 7


def gradients(step: int) -> Tensor:
    """Gradients [3, 10] whose sizes differ a thousandfold between lanes."""
    generator = torch.Generator().manual_seed(step)
    scale_K1 = torch.tensor([[1e-2], [1.0], [10.0]], dtype=torch.float64)
    return torch.randn(3, 10, generator=generator, dtype=torch.float64) * scale_K1


def start() -> Tensor:
    return torch.randn(3, 10, generator=torch.Generator().manual_seed(99), dtype=torch.float64)


def factor(step: int) -> float:
    return 1 - step / NUM_STEPS


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_every_lane_moves_as_torchs_adamw_moves_it(weight_decay: float) -> None:
    values_KP, live_K = start(), torch.ones(3, dtype=torch.bool)
    ours = LaneAdamW(values_KP, torch.tensor(LR, dtype=torch.float64)[:, None], weight_decay)
    alone = [nn.Parameter(lane.clone()) for lane in start()]
    theirs = [
        torch.optim.AdamW([lane], lr=lr, weight_decay=weight_decay)
        for lane, lr in zip(alone, LR, strict=True)
    ]
    for step in range(NUM_STEPS):
        ours.step(gradients(step), factor(step), live_K)
        for lane, optimizer, lr, gradient in zip(alone, theirs, LR, gradients(step), strict=True):
            lane.grad = gradient
            optimizer.param_groups[0]["lr"] = lr * factor(step)
            optimizer.step()
        expected = torch.stack([lane.detach() for lane in alone])
        torch.testing.assert_close(values_KP, expected, rtol=1e-12, atol=1e-14)


def test_a_stopped_lane_stays_and_the_others_move_on() -> None:
    stopped, whole = start(), start()
    lr_K1, all_K = torch.tensor(LR)[:, None], torch.ones(3, dtype=torch.bool)
    live_K = torch.tensor([True, False, True])
    ours, other = LaneAdamW(stopped, lr_K1, 0.1), LaneAdamW(whole, lr_K1, 0.1)
    for step in range(3):
        ours.step(gradients(step), 1.0, live_K)
        other.step(gradients(step), 1.0, all_K)
    assert stopped[1].equal(start()[1])
    assert stopped[[0, 2]].equal(whole[[0, 2]])


@pytest.mark.parametrize("numbers_at_once", [2**22, 9])
def test_numbers_of_a_lane_learn_at_their_own_rates_as_torchs_groups_do(
    monkeypatch: pytest.MonkeyPatch, numbers_at_once: int
) -> None:
    monkeypatch.setattr(optimizer_module, "NUMBERS_AT_ONCE", {"cpu": numbers_at_once})
    ratio, is_B_P = 16.0, torch.arange(10) >= 4
    lr_K1 = torch.tensor(LR, dtype=torch.float64)[:, None]
    values_KP = start()
    ours = LaneAdamW(values_KP, torch.where(is_B_P, lr_K1 * ratio, lr_K1), 0.1)
    A, B = (nn.Parameter(start()[1, chosen]) for chosen in (~is_B_P, is_B_P))
    groups = [{"params": [A], "lr": LR[1]}, {"params": [B], "lr": LR[1] * ratio}]
    theirs = torch.optim.AdamW(groups, weight_decay=0.1)
    for step in range(NUM_STEPS):
        ours.step(gradients(step), 1.0, torch.ones(3, dtype=torch.bool))
        A.grad, B.grad = gradients(step)[1, ~is_B_P], gradients(step)[1, is_B_P]
        theirs.step()
        torch.testing.assert_close(values_KP[1], torch.cat([A, B]).detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_every_lane_is_clipped_as_torch_clips_it(max_norm: float) -> None:
    clipped_KP = gradients(0)
    norm_K = clip_lanes(clipped_KP, max_norm)
    for k, gradient in enumerate(gradients(0)):
        parameter = nn.Parameter(torch.zeros(10, dtype=torch.float64))
        parameter.grad = gradient.clone()
        norm = nn.utils.clip_grad_norm_([parameter], max_norm)
        torch.testing.assert_close(norm_K[k], norm, rtol=1e-12, atol=0)
        torch.testing.assert_close(clipped_KP[k], parameter.grad, rtol=1e-12, atol=0)


def test_norms_of_many_numbers_are_exact() -> None:
    values_KP = torch.randn(2, 20_000_000, generator=torch.Generator().manual_seed(0))
    norm_K = lane_norms(values_KP)
    torch.testing.assert_close(norm_K.double(), values_KP.double().norm(dim=1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25])
def test_schedules_are_those_of_transformers(schedule: str, warmup: float) -> None:
    recipe, num_steps = Recipe(schedule=schedule, warmup=warmup), 23
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    if schedule == "constant" and not warmup:
        scheduler = get_constant_schedule(optimizer)
    else:
        name = "constant_with_warmup" if schedule == "constant" else schedule
        scheduler = get_scheduler(name, optimizer, -int(-warmup * num_steps // 1), num_steps)
    for step in range(num_steps):
        expected = scheduler.get_last_lr()[0]
        assert schedule_factor(recipe, step, num_steps) == pytest.approx(expected, abs=1e-15)
        optimizer.step()
        scheduler.step()


def test_corrections_by_lane_are_those_of_all_where_none_has_skipped() -> None:
    """Bit for bit, so that fp16 needs no optimizer of its own."""
    values, generator = torch.randn(3, 40), torch.Generator().manual_seed(4)
    plain, by_lane = (
        LaneAdamW(values.clone(), torch.tensor([[0.1], [1e-3], [2.0]]), 0.1) for _ in range(2)
    )
    live_K = torch.ones(3, dtype=torch.bool)
    for step in range(1, 6):
        gradients_KP = torch.randn(3, 40, generator=generator)
        plain.step(gradients_KP, 0.7, live_K)
        by_lane.step(gradients_KP, 0.7, live_K, [step] * 3)
        assert plain.values_KP.equal(by_lane.values_KP)
