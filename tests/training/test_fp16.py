"""fp16 as a precision of studies: when it is chosen, what it computes, that runs resume in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import tiny
from lorasweep.console.progress import Silent
from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.folder.records import StepEntry
from lorasweep.folder.store import Store
from lorasweep.model import machine
from lorasweep.model.base import Base, freeze, unfreeze
from lorasweep.model.full import FullWeights
from lorasweep.model.lora import Lane
from lorasweep.model.machine import resolve_precision
from lorasweep.running.driver import run
from lorasweep.running.selfcheck import round_checked, training_logits
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Hooks
from lorasweep.training.lanes import Trainable
from lorasweep.training.train import train_pack
from reference import mixed_lanes, relative
from stopped import files

MakeModel = Callable[..., PreTrainedModel]


@pytest.mark.parametrize(
    ("device", "is_fast", "expected"),
    [
        ("cuda", True, "bf16"),
        ("cuda", False, "fp16"),
        ("cpu", True, "bf16"),
        ("cpu", False, "fp32"),
    ],
)
def test_automatic_precision_is_fp16_on_cards_without_bf16_alone(
    device: str, is_fast: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "multiplies_bf16_fast", lambda _: is_fast)
    assert resolve_precision("auto", device) == expected
    assert [resolve_precision(p, device) for p in ("fp32", "bf16", "fp16")] == [
        "fp32",
        "bf16",
        "fp16",
    ]


def test_logits_stay_near_fp32s(
    make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...]
) -> None:
    base = make_base(torch.float32)
    exact = training_logits(base, trees)
    base.cast(torch.float16)
    found = training_logits(base, trees)
    assert found.dtype == torch.float16
    assert relative(found.float(), exact) < 5e-3


def test_products_in_fp16_are_those_of_torch_where_weights_cannot_be_packed(
    make_base: Callable[[torch.dtype], Base],
) -> None:
    base = make_base(torch.float32)
    base.cast(torch.float16)
    linear = next(iter(base.linears.values()))
    x = torch.randn(2, 3, linear.in_features).half()
    expected = F.linear(x, linear.weight, linear.bias).float()
    assert relative(linear(x).float(), expected) < 1e-3


def test_a_model_that_fp16_cannot_hold_is_refused(
    make_base: Callable[[torch.dtype], Base], trees: tuple[Tree, ...]
) -> None:
    base = make_base(torch.float32)
    # A map whose outputs leave fp16, as do some of models that were trained in bf16.
    next(linear for name, linear in base.linears.items() if "mlp" in name).weight.data *= 1e6
    base.cast(torch.float32)
    with pytest.raises(UserError, match=r'logits are not finite; set model.precision = "fp32"'):
        round_checked(base, torch.float16, trees)


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_a_study_in_fp16_runs_here_with_a_warning_and_resumes_with_the_same_bits(
    file: Path, tmp_path: Path
) -> None:
    study = tiny.load(
        file, 'model.precision="fp16"', "pack.checkpoint_minutes=0", "recipe.batch_size=3",
        "grid.rank=2", "data.num_train=9", "data.num_eval=4", "evaluate.max_new_tokens=1",
    )  # fmt: skip
    told = Notes()
    results = run(study, tmp_path / "whole", told)
    assert "warning: fp16 is for cards; a processor multiplies it slowly" in told.texts
    assert [r.state for r in results.runs] == ["done"] * 2
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "stopped", tiny.StopAfter(3))
    run(study, tmp_path / "stopped")
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")
    lock = Store(tmp_path / "whole").read_lock()
    assert lock is not None
    assert (lock.precision, results.base.precision) == ("fp16", "fp16")


RECIPE = Recipe(epochs=2, batch_size=15, schedule="constant")


def step_losses(base: Base, trained: Trainable, trees: tuple[Tree, ...]) -> list[list[float]]:
    hooks = Hooks(lambda: [0.0] * len(trained.lanes))
    histories = train_pack(base, trained, trees, RECIPE, 10_000, hooks).histories
    return [[e.loss for e in history if isinstance(e, StepEntry)] for history in histories]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnACard:
    def test_lanes_train_near_fp32s(
        self, architecture: str, make_model: MakeModel, tokenizer: PreTrainedTokenizerFast,
        trees: tuple[Tree, ...],
    ) -> None:  # fmt: skip
        losses = []
        for dtype in (torch.float16, torch.float32):
            base = freeze(make_model(architecture).to("cuda"), tokenizer)
            base.cast(dtype)
            with base.adapted(mixed_lanes(base, (0.1, 0.0, 0.1))) as adapters:
                losses.append(step_losses(base, adapters, trees))
                assert adapters.values_KP.isfinite().all()
        for half, exact in zip(*losses, strict=True):
            assert half == pytest.approx(exact, rel=2e-2)

    def test_all_weights_train_near_fp32s(
        self, architecture: str, make_model: MakeModel, trees: tuple[Tree, ...]
    ) -> None:
        losses = []
        for precision in ("fp16", "fp32"):
            model = make_model(architecture).to("cuda")
            base = unfreeze(model, None, precision)
            weights = FullWeights(Lane((), 0, 1.0, 1e-3, 0.0, 7), model)
            losses.append(step_losses(base, weights, trees)[0])
        assert losses[0] == pytest.approx(losses[1], rel=2e-2)
