"""Full fine-tuning against a plain loop of transformers and torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from lorasweep.data.trees import Tree, lay_out
from lorasweep.folder.records import StepEntry
from lorasweep.hub.weights import num_parameters
from lorasweep.model.base import Base, unfreeze
from lorasweep.model.full import FullWeights, SavedModel
from lorasweep.model.lora import Lane
from lorasweep.model.machine import Precision
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Hooks
from lorasweep.training.loss import answer_loss
from lorasweep.training.optimizer import schedule_factor
from lorasweep.training.train import epoch_batches, train_pack
from reference import exact_norms, own_logits, own_loss, relative

MakeModel = Callable[..., PreTrainedModel]
LANE = Lane((), 0, 1.0, 1e-3, 0.0, seed=7)
RECIPE = Recipe(epochs=1, batch_size=5, schedule="linear", weight_decay=0.1, max_grad_norm=0.5)


def train(
    model: PreTrainedModel, trees: Sequence[Tree], precision: Precision = "fp32"
) -> list[float]:
    """Train all weights in place; return the loss of each step."""
    base = unfreeze(model, None, precision)
    hooks = Hooks(evaluate=lambda: [0.0])
    trained = train_pack(base, FullWeights(LANE, model), trees, RECIPE, 300, hooks)
    return [entry.loss for entry in trained.histories[0] if isinstance(entry, StepEntry)]


def train_plainly(model: PreTrainedModel, trees: Sequence[Tree]) -> list[float]:
    """The same by torch's optimizer on the model's own forward, a row a question."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LANE.lr, weight_decay=0.1)
    batches, losses = epoch_batches(trees, RECIPE, LANE.seed, 0), []
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = own_loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.max_grad_norm)
        optimizer.param_groups[0]["lr"] = LANE.lr * schedule_factor(RECIPE, step, len(batches))
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_it_trains_as_a_plain_loop_of_torch_does(
    architecture: str,
    make_model: MakeModel,
    trees: tuple[Tree, ...],
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    ours, theirs = (make_model(architecture).to(dtype) for _ in range(2))
    if dtype == torch.float64:
        ours, theirs = exact_norms(ours), exact_norms(theirs)
    before = [p.detach().clone() for p in theirs.parameters()]
    losses = train(ours, trees)
    assert len(losses) >= 3
    assert losses == pytest.approx(train_plainly(theirs, trees), rel=tolerance)
    if dtype == torch.float32:
        return  # Adam turns rounding at zero gradients, such as key biases have, into whole steps.
    for start, a, b in zip(before, ours.parameters(), theirs.parameters(), strict=True):
        assert relative(a.detach() - start, b.detach() - start) < 1e-8


def test_bf16_products_stay_near_fp32_and_weights_stay_fp32(
    architecture: str, make_model: MakeModel, trees: tuple[Tree, ...]
) -> None:
    rounded, exact = (make_model(architecture) for _ in range(2))
    losses = train(rounded, trees, "bf16")
    assert losses == pytest.approx(train(exact, trees), rel=2e-2)
    assert losses != train(make_model(architecture), trees)
    assert {p.dtype for p in rounded.parameters()} == {torch.float32}


def weights_and_base(model: PreTrainedModel) -> tuple[FullWeights, Base]:
    return FullWeights(LANE, model), unfreeze(model, None, "fp32")


@pytest.mark.parametrize("tied", [True, False])
def test_weights_and_gradients_are_views_of_one_buffer(
    architecture: str, make_model: MakeModel, trees: tuple[Tree, ...], tied: bool
) -> None:
    model = make_model(architecture, tie_word_embeddings=tied)
    weights, base = weights_and_base(model)
    size = weights.values_KP.shape[1]
    assert size == num_parameters(model.config.to_dict())
    assert size == sum(p.numel() for p in model.parameters())
    for _ in range(2):
        weights.accumulate(answer_loss(base, lay_out(trees), 1).sum())
    found: list[Tensor] = [p.grad for p in model.parameters() if p.grad is not None]
    torch.testing.assert_close(torch.cat([g.flatten() for g in found])[None], weights.gradients_KP)
    assert all(gradient.any() for gradient in found)
    weights.values_KP.zero_()
    assert not any(p.any() for p in model.parameters())


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_is_loaded_by_transformers(
    architecture: str, make_model: MakeModel, tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...], tmp_path: Path, tied: bool,
) -> None:  # fmt: skip
    model = make_model(architecture, tie_word_embeddings=tied)
    expected = own_logits(model, trees)
    FullWeights(LANE, model)
    SavedModel(model, tokenizer).save(tmp_path)
    weights = tmp_path / "model.safetensors"
    assert weights.stat().st_size < 4 * sum(p.numel() for p in model.parameters()) + 10_000
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert relative(own_logits(loaded, trees), expected) < 1e-6
    assert (tmp_path / "tokenizer.json").is_file()
