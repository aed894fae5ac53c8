"""Facts 3 and 4 at full size, in fp32: SmolLM2 with its own weights, GPT-2 with random ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_decode import agrees, generate
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.selection import sample
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import Tree, lay_out
from lorasweep.errors import UserError
from lorasweep.hub.models import locate
from lorasweep.hub.pull import pull
from lorasweep.model.base import freeze, load_model, load_tokenizer
from lorasweep.model.lora import Lane
from lorasweep.study.forms import PROMPT
from lorasweep.training.loss import answer_loss
from reference import modules_of, own_loss, peft_parameters, randomise_B, relative, with_peft

pytestmark = pytest.mark.slow

LOSS, GRADIENT = 1e-5, 1e-4
NUM_QUESTIONS = 40


@pytest.fixture(scope="module")
def smollm2() -> Path:
    try:
        pull("smollm2-135m")
    except UserError as error:
        pytest.skip(f"needs smollm2-135m: {error}")
    return locate("smollm2-135m")


@pytest.fixture(scope="module")
def make(smollm2: Path, shared: Path) -> Callable[[str], tuple[PreTrainedModel, Any]]:
    """Build a fresh model and its tokenizer."""

    def build(name: str) -> tuple[PreTrainedModel, Any]:
        if name == "smollm2":
            return load_model(smollm2, torch.device("cpu")), load_tokenizer(smollm2)
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(attn_implementation="sdpa")).eval()
        folder = shared / "models" / "gpt2-tokenizer"
        return model, AutoTokenizer.from_pretrained(folder)

    return build


def real_trees(shared: Path, tokenizer: Any, num_questions: int) -> tuple[Tree, ...]:
    dev = load([str(shared / "data" / "squad" / "dev-a.json")])
    paragraphs = sample(dev.groups, num_questions, seed=0)
    return TreeBuilder(tokenizer, PROMPT, 1024, 32).build(paragraphs).trees


@pytest.mark.parametrize("name", ["smollm2", "gpt2"])
def test_loss_and_gradients_are_pefts(name: str, make: Callable[..., Any], shared: Path) -> None:
    model, tokenizer = make(name)
    plain, _ = make(name)
    base = freeze(model, tokenizer)
    trees = real_trees(shared, tokenizer, 8)
    lane = Lane(modules_of(base, ("attn",)), 8, 2.0, 1e-3, 0.0, 0)
    with base.adapted([lane]) as adapters:
        randomise_B(adapters, std=0.02)
        weights = {n: (A.clone(), B.clone()) for n, (A, B) in adapters.weights_of(0).items()}
        loss = answer_loss(base, lay_out(trees), 1).sum() / sum(t.num_answer_tokens for t in trees)
        adapters.accumulate(loss)
        # The views by module are those of the values.
        adapters.values_KP.data.copy_(adapters.gradients_KP)
        gradients = adapters.weights_of(0)
    tuned = with_peft(plain, lane, weights)
    expected = own_loss(tuned, trees)
    expected.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=LOSS)
    for module, parameters in peft_parameters(tuned, lane).items():
        for found, parameter in zip(gradients[module], parameters, strict=True):
            assert parameter.grad is not None
            assert relative(found, parameter.grad) < GRADIENT, module


@pytest.mark.parametrize("name", ["smollm2", "gpt2"])
def test_greedy_answers_are_generates(name: str, make: Callable[..., Any], shared: Path) -> None:
    """Two lanes answer together; each is held against PEFT's generate, near ties counted."""
    from lorasweep.answering.decode.prompts import Prompts
    from lorasweep.answering.decode.strategies import decode_greedy

    model, tokenizer = make(name)
    plain, _ = make(name)
    base = freeze(model, tokenizer)
    trees = real_trees(shared, tokenizer, NUM_QUESTIONS)
    lanes = [Lane(modules_of(base, ("attn",)), 8, scale, 1e-3, 0.0, 0) for scale in (0.5, 2.0)]
    with base.adapted(lanes) as adapters:
        randomise_B(adapters, std=0.02)
        weights = {n: (A.clone(), B.clone()) for n, (A, B) in adapters.weights_of(1).items()}
        with torch.inference_mode():
            groups = list(decode_greedy(Prompts(base, trees, 2, 4096), 16))
    answers = {answer.question_id: answer for group in groups for answer in group[1]}
    tuned = with_peft(plain, lanes[1], weights)
    rows = [Tree(t.id, t.trunk_ids, (b,)) for t in trees for b in t.branches]
    same = [agrees(answers[r.branches[0].question_id], generate(base, tuned, r, 16)) for r in rows]
    assert len(same) >= NUM_QUESTIONS
    assert sum(same) >= len(same) - 1, "more than one near tie in so few questions"
