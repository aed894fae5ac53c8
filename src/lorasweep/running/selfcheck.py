"""The start-up check: our way through a base model against the model's own forward.

A few questions are computed as plain rows by the model as transformers loads it, under its `sdpa`
attention or, where it has no such, its `eager` one; then, with our modules in, as trees in training
and in decoding. A model that restarts no positions or ignores our masks is caught here, before it
can train on wrong sums.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lorasweep.answering.decode.rows import GrowingRows, prompts_of
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import Tree, lay_out, separate_rows
from lorasweep.errors import UserError
from lorasweep.model.base import Base, freeze, load_model, load_tokenizer
from lorasweep.model.machine import is_out_of_memory
from lorasweep.model.reading import first_lines

# The largest difference of a logit that fp32 rounding explains. The check is always made in fp32,
# before weights are rounded: two sound ways through a model in bf16 differ by 1 in the worst logit
# (SmolLM2), so no bound there would tell a wrong sum from a rounded one.
TOLERANCE = 1e-3
# What rounding may change of all logits, as a share of their spread; SmolLM2 in bf16: 0.04.
ROUNDING = 0.2


# Enough to tell a branch that sees another one; more would take long for a large model.
NUM_PROBED_TREES, NUM_PROBED_BRANCHES = 2, 3


def load_checked(folder: Path, device: str, dtype: torch.dtype, trees: Sequence[Tree]) -> Base:
    """Load a base model, freeze it and round it; a few of the trees check our way through it."""
    probe = probe_of(trees)
    base = freeze_checked(load_model(folder, torch.device(device)), load_tokenizer(folder), probe)
    round_checked(base, dtype, probe)
    return base


def bundled_trees(builder: TreeBuilder) -> tuple[Tree, ...]:
    """Return trees of the bundled corpus, for a check without a study's own data."""
    trees = builder.build(load(["bundled"]).groups, too_long="skip").trees
    if not trees:
        raise UserError(f"data.max_tokens = {builder.max_tokens} leaves no room for questions")
    return trees


def probe_of(trees: Sequence[Tree]) -> list[Tree]:
    """Return the trees with most branches, cut to a few of these."""
    widest = sorted(trees, key=lambda tree: (-len(tree.branches), tree.id))[:NUM_PROBED_TREES]
    return [Tree(t.id, t.trunk_ids, t.branches[:NUM_PROBED_BRANCHES]) for t in widest]


@torch.no_grad()
def freeze_checked(model: PreTrainedModel, tokenizer: Any, probe: Sequence[Tree]) -> Base:
    """Freeze a model and choose how its questions are laid out: as trees, or as separate rows.

    `probe` are trees of the study's own data. Raises UserError, with the differences found, for a
    model that neither layout computes as the model itself does.
    """
    if unknown := _unknown_attention(model):
        raise UserError(
            f"{model.config.model_type}: this model cannot be trained here: {unknown}, which "
            "lorasweep's attention does not know"
        )
    own = _logits_of_its_own(model, probe)
    base = freeze(model, tokenizer)
    reasons = []
    for shares_trunks, layout in ((True, tuple(probe)), (False, separate_rows(probe))):
        problem = _problem(base, layout, own)
        if problem is None:
            base.shares_trunks = shares_trunks
            return base
        reasons.append(f"{'trees' if shares_trunks else 'separate rows'}: {problem}")
    raise UserError(
        f"{model.config.model_type}: this model cannot be trained here, because it does not give "
        f"the logits of its own forward ({'; '.join(reasons)})"
    )


def _unknown_attention(model: PreTrainedModel) -> str | None:
    """Return what a model's attention adds to softmax(q k + mask) v, in words; None for nothing.

    A bias by places in a row must be known: where each row of the check holds one question, it
    would only be wrong for the copies that beams and samples make of it.
    """
    config = model.config
    has_alibi = getattr(config, "alibi", None) or config.model_type == "bloom"
    if has_alibi or getattr(getattr(config, "attn_config", None), "alibi", None):
        return "its positions are a bias of attention by places in a row (ALiBi)"
    if getattr(config, "attn_logit_softcapping", None):
        return f"it caps scores softly (attn_logit_softcapping = {config.attn_logit_softcapping})"
    if any(name.endswith(".sinks") for name, _ in model.named_parameters()):
        return "its heads have sinks, scores that belong to no token"
    return None


def _logits_of_its_own(model: PreTrainedModel, probe: Sequence[Tree]) -> Tensor:
    """Return `own_logits`; UserError where a config's odd values show up only now."""
    try:
        return own_logits(model, probe)
    except Exception as error:  # of any type: the model's code is not ours
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{model.config.model_type}: transformers' own forward pass of this model fails with "
            f"{first_lines(error)}; a value of its config.json may not fit the others"
        ) from None


@torch.no_grad()
def round_checked(base: Base, dtype: torch.dtype, probe: Sequence[Tree]) -> None:
    """Round a model's weights, and check that its logits stay what they were, roughly.

    Raises UserError where they do not: the model's weights exceed the precision, or the machine's
    products are wrong.
    """
    before = training_logits(base, probe)
    base.cast(dtype)
    after = training_logits(base, probe).to(before.dtype)
    spread = (before - before.mean(-1, keepdim=True)).norm()
    share = float((after - before).norm() / spread)
    if not share <= ROUNDING:
        change = f"change by {100 * share:.0f} % of their spread"
        raise UserError(
            f"{base.model.config.model_type}: rounded to {dtype}, its logits "
            f"{change if math.isfinite(share) else 'are not finite'}; "
            'set model.precision = "fp32"'
        )


@torch.no_grad()
def own_logits(model: PreTrainedModel, trees: Sequence[Tree]) -> Tensor:
    """Return the logits [N, V] at all answer positions by the model's own forward, row by row."""
    found = []
    for tree in trees:
        for branch in tree.branches:
            ids = torch.tensor([tree.trunk_ids + branch.input_ids], device=model.device)
            found.append(model(input_ids=ids).logits[0, -len(branch.answer_ids) :])
    return torch.cat(found)


def _problem(base: Base, trees: Sequence[Tree], own: Tensor) -> str | None:
    """Return why a layout cannot be used, or None where training and decoding agree."""
    for what, compute in (("training", training_logits), ("decoding", decoding_logits)):
        try:
            difference = float((compute(base, trees) - own).abs().max())
        except Exception as error:  # of any type: the model's code is not ours
            return f"{what} fails with {first_lines(error)}"
        if not difference <= TOLERANCE:
            return f"{what} differs by {difference:.2g}, allowed {TOLERANCE:g}"
    return None


def training_logits(base: Base, trees: Sequence[Tree]) -> Tensor:
    """Return the logits [N, V] at all answer positions as training computes them."""
    return base.head(base.hidden_at_answers(lay_out(trees, base.device), 1))[0]


def decoding_logits(base: Base, trees: Sequence[Tree]) -> Tensor:
    """Return the logits [N, V] at all answer positions as decoding computes them, step by step."""
    rows = GrowingRows(base, [prompts_of(tree) for tree in trees], 1)
    branches = [branch for tree in trees for branch in tree.branches]
    steps = [rows.prefill()]
    for place in range(max(len(branch.answer_ids) for branch in branches) - 1):
        tokens_RQ = torch.zeros_like(rows.branch_RS)
        for r, tree in enumerate(trees):
            for q, branch in enumerate(tree.branches):
                tokens_RQ[r, q] = branch.answer_ids[min(place, len(branch.answer_ids) - 1)]
        steps.append(rows.grow(tokens_RQ[None], rows.real_KRS))
    return torch.cat(
        [
            torch.stack([step[number] for step in steps[: len(branch.answer_ids)]])
            for number, branch in enumerate(branches)
        ]
    )
