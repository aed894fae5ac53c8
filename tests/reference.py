"""What lorasweep is held against: transformers' own forward, question by question, and PEFT.

Nothing here goes through our modules, masks or positions: a question is one plain row of tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.evaluate import paragraph_losses
from lorasweep.data.trees import Branch, Tree, lay_out
from lorasweep.model.base import Base
from lorasweep.model.lora import Adapters, Lane
from lorasweep.training.loss import answer_loss

Weights = Mapping[str, tuple[Tensor, Tensor]]

# Best logits closer than this may change places by rounding.
NEAR_TIE = 1e-4
ATTENTION, MLP, ALL = ("attn",), ("mlp",), ("attn", "mlp")


def modules_of(base: Base, parts: Sequence[str]) -> tuple[str, ...]:
    """The linear maps whose names hold one of the parts: "attn", "mlp" (both architectures)."""
    return tuple(name for name in base.linears if any(part in name for part in parts))


def mixed_lanes(base: Base, dropouts: Sequence[float] = (0.0, 0.0, 0.0)) -> list[Lane]:
    """Three lanes of one seed that differ in targets, rank, scale, learning rate and dropout."""
    targets = (modules_of(base, part) for part in (ATTENTION, MLP, ALL))
    points = ((2, 8.0, 1e-3), (4, 0.5, 5e-3), (3, 2.0, 2e-2))
    return [
        Lane(modules, rank, scale, lr, dropout, seed=7)
        for modules, (rank, scale, lr), dropout in zip(targets, points, dropouts, strict=True)
    ]


@torch.no_grad()
def randomise_B(adapters: Adapters, std: float = 0.1) -> None:
    """Give every lane a B that is not zero, where the lane has one."""
    generator = torch.Generator().manual_seed(3)
    for k in range(len(adapters.lanes)):
        for _, B in adapters.weights_of(k).values():
            B.copy_(torch.randn(B.shape, generator=generator) * std)


def questions(trees: Sequence[Tree]) -> Iterator[tuple[Tree, Branch]]:
    """Every question with its tree, in order."""
    return ((tree, branch) for tree in trees for branch in tree.branches)


def evaluation_loss(
    base: Base, trees: Sequence[Tree], num_lanes: int, micro_tokens: int
) -> list[float]:
    """Each lane's mean negative log-likelihood per answer token, every tree a paragraph."""
    own = {branch.question_id: tree.id for tree in trees for branch in tree.branches}
    return paragraph_losses(base, trees, num_lanes, micro_tokens, own).means()


def exact_norms(model: PreTrainedModel) -> PreTrainedModel:
    """Replace Llama's norms, which compute in fp32 whatever their input, by torch's own."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LlamaRMSNorm):
            norm = nn.RMSNorm(len(module.weight), eps=module.variance_epsilon)
            norm.weight = module.weight
            model.set_submodule(name, norm.to(module.weight.dtype))
    return model


def own_logits(model: nn.Module, trees: Sequence[Tree]) -> Tensor:
    """The logits [N, V] at all answer positions by the model's own forward, a row a question."""
    found = []
    for tree, branch in questions(trees):
        ids = torch.tensor([[*tree.trunk_ids, *branch.prompt_ids, *branch.answer_ids]])
        found.append(model(input_ids=ids).logits[0, :-1][-len(branch.answer_ids) :])
    return torch.cat(found)


def own_loss(model: nn.Module, trees: Sequence[Tree]) -> Tensor:
    """The mean loss over all answer tokens by the model's own forward, a row a question."""
    labels = [token for _, branch in questions(trees) for token in branch.answer_ids]
    return F.cross_entropy(own_logits(model, trees), torch.tensor(labels))


def padded_loss(model: nn.Module, trees: Sequence[Tree]) -> Tensor:
    """The loss that transformers computes from labels, for all questions as one padded batch."""
    rows = [((*t.trunk_ids, *b.prompt_ids), b.answer_ids) for t, b in questions(trees)]
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for r, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        ids[r, :end] = torch.tensor(prompt + answer)
        mask[r, :end] = 1
        labels[r, len(prompt) : end] = torch.tensor(answer)
    loss: Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    return loss


def with_peft(model: PreTrainedModel, lane: Lane, weights: Weights) -> PeftModel:
    """PEFT's LoRA on a plain model, set to a lane's A and B."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lane.rank,
        lora_alpha=lane.scale * lane.rank,
        lora_dropout=lane.dropout,
        target_modules=list(lane.modules),
        fan_in_fan_out=model.config.model_type == "gpt2",
    )
    tuned = get_peft_model(model, config, autocast_adapter_dtype=False)
    parameters = peft_parameters(tuned, lane)
    with torch.no_grad():
        for module, pair in weights.items():
            for parameter, value in zip(parameters[module], pair, strict=True):
                parameter.copy_(value)
    assert isinstance(tuned, PeftModel)
    return tuned.eval()


def peft_parameters(tuned: PeftModel, lane: Lane) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
    """PEFT's A and B by module."""
    prefix = "base_model.model"
    return {
        name: (
            tuned.get_parameter(f"{prefix}.{name}.lora_A.default.weight"),
            tuned.get_parameter(f"{prefix}.{name}.lora_B.default.weight"),
        )
        for name in lane.modules
    }


def relative(found: Tensor, expected: Tensor) -> float:
    """The Frobenius norm of the difference over that of what is expected."""
    return float((found - expected).norm() / expected.norm())


@dataclass
class Reference:
    """What generate gives for a question: tokens up to our stop, and at each the lead of the best
    logit over the second."""

    token_ids: list[int]
    leads: list[float]


@torch.no_grad()
def generate(base: Base, model: torch.nn.Module, row: Tree, max_new_tokens: int) -> Reference:
    """Transformers' own greedy generation for one question, cut at our stop."""
    ids = torch.tensor([row.trunk_ids + row.branches[0].prompt_ids])
    output = model.generate(  # type: ignore[operator]
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        pad_token_id=base.end_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    tokens = output.sequences[0, ids.shape[1] :].tolist()
    best = [logits[0].topk(2).values for logits in output.logits]
    leads = [float(first - second) for first, second in best]
    for place, token in enumerate(tokens):
        if token == base.end_id:
            return Reference(tokens[:place], leads[: place + 1])
        if "\n" in base.tokenizer.decode([token]):
            return Reference(tokens[: place + 1], leads[: place + 1])
    return Reference(tokens, leads)


def agrees(answer: Answer, reference: Reference) -> bool:
    """True where all tokens agree, False where they part at a near tie; parting elsewhere fails."""
    ours = list(answer.token_ids)
    if ours == reference.token_ids:
        return True
    pairs = zip(ours, reference.token_ids, strict=False)
    shorter = min(len(ours), len(reference.token_ids))
    parting = next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)
    assert reference.leads[parting] < NEAR_TIE, (answer, reference, parting)
    return False


def losses_and_gradients(
    base: Base, adapters: Adapters, trees: Sequence[Tree]
) -> tuple[Tensor, list[dict[str, list[Tensor]]]]:
    """Each lane's mean loss, and its gradients of A and B by module, without padding."""
    num_answer_tokens = sum(tree.num_answer_tokens for tree in trees)
    loss_K = answer_loss(base, lay_out(trees), len(adapters.lanes)) / num_answer_tokens
    adapters.gradients_KP.zero_()
    adapters.accumulate(loss_K.sum())
    of = adapters.gradient_views
    gradients = [
        {
            name: [of[stack.A][k, : lane.rank].clone(), of[stack.B][k, :, : lane.rank].clone()]
            for name, stack in adapters.stacks.items()
            if name in lane.modules
        }
        for k, lane in enumerate(adapters.lanes)
    ]
    return loss_K.detach(), gradients


def peft_gradients(
    model: PreTrainedModel,
    lane: Lane,
    weights: dict[str, tuple[Tensor, Tensor]],
    loss_of: Callable[..., Tensor],
    trees: Sequence[Tree],
) -> tuple[float, dict[str, list[Tensor]]]:
    """The same of PEFT's adapter on the plain model."""
    tuned = with_peft(model, lane, weights)
    parameters = peft_parameters(tuned, lane)
    loss = loss_of(tuned, trees)
    found = torch.autograd.grad(loss, [part for pair in parameters.values() for part in pair])
    return loss.item(), {
        name: [found[2 * i], found[2 * i + 1]] for i, name in enumerate(parameters)
    }
