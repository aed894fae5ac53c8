"""A CUDA card against the processor: the same losses, weights and answers; and what is its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import tiny
from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.strategies import decode
from lorasweep.data.examples import Group
from lorasweep.data.trees import Tree
from lorasweep.folder.records import StepEntry
from lorasweep.folder.store import Store
from lorasweep.model.base import Base, freeze, unfreeze
from lorasweep.model.full import FullWeights
from lorasweep.model.lora import Lane
from lorasweep.running.driver import run
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.sections import Evaluate, Recipe
from lorasweep.training.hooks import Hooks
from lorasweep.training.lanes import Trainable
from lorasweep.training.train import train_pack
from reference import mixed_lanes, randomise_B, relative
from stopped import files

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CARD = "cuda"
RECIPE = Recipe(epochs=2, batch_size=6, schedule="cosine", warmup=0.2, max_grad_norm=0.5)
ALL_AT_ONCE = 100_000
DECODERS = ("greedy", "span", "beam-3", "top-k-5", "nucleus-0.8", "temperature-1.3")
MakeModel = Callable[..., PreTrainedModel]
MakeBase = Callable[[str], Base]


@pytest.fixture
def base_on(make_stopping: Callable[[], PreTrainedModel],
            tokenizer: PreTrainedTokenizerFast) -> MakeBase:  # fmt: skip
    """Freeze the same tiny model in float64 on a device, where all digits can be compared."""
    return lambda device: freeze(make_stopping().to(torch.float64).to(device), tokenizer)


def losses(base: Base, trained: Trainable, trees: Sequence[Tree],
           micro_tokens: int = ALL_AT_ONCE) -> Tensor:  # fmt: skip
    """Train; return the losses [K, steps]."""
    hooks = Hooks(lambda: [0.0] * len(trained.lanes))
    histories = train_pack(base, trained, trees, RECIPE, micro_tokens, hooks).histories
    return torch.tensor([[e.loss for e in h if isinstance(e, StepEntry)] for h in histories],
                        dtype=torch.float64)  # fmt: skip


def train(base: Base, lanes: Sequence[Lane], trees: Sequence[Tree],
          micro_tokens: int = ALL_AT_ONCE) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """Train a pack; return its losses and each lane's own numbers."""
    with base.adapted(list(lanes)) as adapters:
        found = losses(base, adapters, trees, micro_tokens)
        values_KP = adapters.values_KP
        return found, [values_KP[k, adapters.numbers_of(k)].cpu() for k in range(len(lanes))]


@pytest.mark.parametrize("micro_tokens", [ALL_AT_ONCE, 300])
def test_lanes_learn_what_they_learn_on_a_processor(
    base_on: MakeBase, trees: tuple[Tree, ...], micro_tokens: int
) -> None:
    card, processor = base_on(CARD), base_on("cpu")
    found, numbers = train(card, mixed_lanes(card), trees, micro_tokens)
    expected, theirs = train(processor, mixed_lanes(processor), trees)
    assert relative(found, expected) < 1e-10
    for mine, other in zip(numbers, theirs, strict=True):
        assert relative(mine, other) < 1e-7


def test_dropout_is_a_lanes_own_whatever_is_beside_it(
    base_on: MakeBase, trees: tuple[Tree, ...]
) -> None:
    base = base_on(CARD)
    lanes = mixed_lanes(base, (0.1, 0.0, 0.5))
    together, numbers = train(base, lanes, trees)
    without, _ = train(base, mixed_lanes(base), trees)
    assert relative(together[0], without[0]) > 1e-6
    for k, lane in enumerate(lanes):
        alone, own = train(base, [lane], trees, micro_tokens=200)
        assert relative(together[k], alone[0]) < 1e-10
        assert relative(numbers[k], own[0]) < 1e-7


def test_all_weights_learn_what_they_learn_on_a_processor(
    architecture: str, make_model: MakeModel, trees: tuple[Tree, ...]
) -> None:
    found = []
    for device in (CARD, "cpu"):
        model = make_model(architecture).to(torch.float64).to(device)
        weights = FullWeights(Lane((), 0, 1.0, 1e-3, 0.0, 7), model)
        found.append(losses(unfreeze(model, None, "fp32"), weights, trees))
    # Under fp32's autocast nothing is rounded, but Llama's norms compute in fp32.
    assert relative(*found) < 1e-5


def answers(base: Base, trees: Sequence[Tree], name: str,
            paragraphs: Sequence[Group]) -> list[list[Answer]]:  # fmt: skip
    """All lanes' answers by one decoder, in the order in which they come."""
    contexts = {q.id: p.context for p in paragraphs for q in p.examples}
    how, lanes = Evaluate(draws=2, seed=11, max_new_tokens=8), mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        prompts = Prompts(base, trees, len(lanes), 2000)
        groups = list(decode(prompts, parse_decoder(name), how, contexts))
    return [[answer for group in groups for answer in group[k]] for k in range(len(lanes))]


@pytest.mark.parametrize("name", DECODERS)
def test_answers_are_those_of_a_processor(
    base_on: MakeBase, trees: tuple[Tree, ...], paragraphs: tuple[Group, ...], name: str
) -> None:
    found = answers(base_on(CARD), trees, name, paragraphs)
    assert found == answers(base_on("cpu"), trees, name, paragraphs)
    assert any(answer.token_ids for lane in found for answer in lane)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_study_that_is_stopped_and_resumed_leaves_the_same_bits(
    file: Path, tmp_path: Path, precision: str
) -> None:
    study = tiny.load(
        file, f'model.precision="{precision}"', "pack.checkpoint_minutes=0", "recipe.batch_size=3",
        "grid.dropout=0.1",
    )  # fmt: skip
    results = run(study, tmp_path / "whole")
    assert [r.state for r in results.runs] == ["done"] * 4
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "stopped", tiny.StopAfter(3))
    run(study, tmp_path / "stopped")
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")
    lock = Store(tmp_path / "whole").read_lock()
    assert lock is not None
    assert (lock.device, lock.precision) == (CARD, precision)


def test_a_pack_that_the_cards_memory_does_not_hold_is_cut_in_half(
    file: Path, tmp_path: Path
) -> None:
    study = tiny.load(file, "data.num_train=150", "recipe.batch_size=150", "pack.lanes=4")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    whole = run(study, tmp_path / "whole")
    needed = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.75 * needed / total)
    try:
        cut = run(study, tmp_path / "cut")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [r.state for r in cut.runs] == ["done"] * 4
    assert any("cut in half" in warning for warning in cut.warnings)
    for mine, other in zip(cut.runs, whole.runs, strict=True):
        assert mine.metrics["eval_loss"] == pytest.approx(other.metrics["eval_loss"], rel=1e-3)
