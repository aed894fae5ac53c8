"""The contenders of a training step: PEFT with transformers' model, and lorasweep.

GPT-2 124M of random weights with the real tokenizer, rank 4 on c_attn + c_proj, one batch of 32
questions of real SQuAD paragraphs, the same optimizer and clipping.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.selection import sample
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import Tree
from lorasweep.model.base import DTYPES, freeze
from lorasweep.model.lora import Lane
from lorasweep.model.machine import multiplies_bf16_fast, resolve_precision
from lorasweep.study.forms import PROMPT
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Hooks
from lorasweep.training.train import train_pack

SHARED = Path(__file__).parents[2] / "shared"
TARGETS = ("attn.c_attn", "attn.c_proj")
BATCH, PADDED, MICRO_BATCH, MICRO_TOKENS = 32, 256, 8, 2048
# Rounds that do not count: new memory is paid for at its first use.
WARM_UP = 2
NAMES = (
    "recipe, fp32",
    "recipe, bf16 autocast",
    "tuned",
    "lorasweep, by question",
    "lorasweep, by paragraph",
)


def names() -> tuple[str, ...]:
    """Return the contenders of this machine: bf16 autocast is none where bf16 is emulated."""
    fast = multiplies_bf16_fast("cpu")
    return tuple(name for name in NAMES if fast or "bf16" not in name)


def gpt2_tokenizer() -> Any:
    """Return GPT-2's own tokenizer."""
    return AutoTokenizer.from_pretrained(SHARED / "models" / "gpt2-tokenizer")


def examples(unit: str, tokenizer: Any, count: int = BATCH) -> tuple[Tree, ...]:
    """Return trees of at least so many real questions, drawn by paragraph or one by one."""
    data = load([str(SHARED / "data" / "squad" / "train-44-articles.json")])
    paragraphs = sample(data.groups, count, seed=0, unit=unit)
    return TreeBuilder(tokenizer, PROMPT, 1024).build(paragraphs).trees


def new_model(dropout: float = 0.0) -> GPT2LMHeadModel:
    """Return GPT-2 small with random weights."""
    torch.manual_seed(0)
    config = GPT2Config(
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, attn_implementation="sdpa"
    )
    return GPT2LMHeadModel(config)


def questions(trees: Sequence[Tree]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return prompt and answer tokens of every question."""
    return [(t.trunk_ids + b.prompt_ids, b.answer_ids) for t in trees for b in t.branches]


@dataclass(frozen=True)
class Work:
    """What a batch asks of the matrices, once each: tokens of trees, and supervised ones."""

    num_questions: int
    num_tokens: int
    num_answer_tokens: int

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "Work":
        """Count a batch of trees."""
        return cls(
            sum(len(tree.branches) for tree in trees),
            sum(tree.num_tokens for tree in trees),
            sum(tree.num_answer_tokens for tree in trees),
        )

    @property
    def operations_per_question(self) -> float:
        """Forward and backward through 85M frozen weights, and the head where it is needed."""
        body, head = 12 * 12 * 768**2, 50257 * 768
        total = 4 * body * self.num_tokens + 4 * head * self.num_answer_tokens
        return total / self.num_questions


class Peft:
    """PEFT on the plain model: padded to 256, or `tuned`: grouped by length, head where needed."""

    def __init__(self, trees: Sequence[Tree], base_dtype: torch.dtype, autocast: bool,
                 tuned: bool, dropout: float = 0.0, device: str = "cpu",
                 micro_batch: int = MICRO_BATCH) -> None:  # fmt: skip
        config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=16, fan_in_fan_out=True,
                            target_modules=list(TARGETS), lora_dropout=dropout)  # fmt: skip
        base = new_model(2 * dropout).to(device, base_dtype)
        self.model = get_peft_model(base, config).train()
        self.device, self.micro_batch = device, micro_batch
        self.rows, self.tuned, self.autocast = questions(trees), tuned, autocast
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-3, weight_decay=0.01)

    def step(self) -> float:
        """Train one batch; return seconds per question."""
        started = time.perf_counter()
        for group in self._groups():
            with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
                loss = self._loss(group) * len(group) / len(self.rows)
            loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / len(self.rows)

    def _groups(self) -> Iterator[list[Any]]:
        rows = self.rows
        if self.tuned:
            rows = sorted(rows, key=lambda row: -len(row[0]) - len(row[1]))
        return (rows[i : i + self.micro_batch] for i in range(0, len(rows), self.micro_batch))

    def _loss(self, rows: Sequence[Any]) -> Tensor:
        width = max(len(p) + len(a) for p, a in rows) if self.tuned else PADDED
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for r, (prompt, answer) in enumerate(rows):
            tokens = (prompt + answer)[:width]
            ids[r, : len(tokens)], mask[r, : len(tokens)] = torch.tensor(tokens), 1
            labels[r, len(prompt) : len(tokens)] = ids[r, len(prompt) : len(tokens)]
        ids, mask, labels = (each.to(self.device) for each in (ids, mask, labels))
        if not self.tuned:
            return self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        inner = self.model.base_model.model
        hidden = inner.transformer(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
        places = labels[:, 1:] != -100
        return F.cross_entropy(inner.lm_head(hidden[places]).float(), labels[:, 1:][places])


class Lorasweep:
    """One lane of ours over trees."""

    def __init__(
        self, trees: Sequence[Tree], tokenizer: Any, precision: str, dropout: float = 0.0
    ) -> None:
        self.trees = trees
        self.base = freeze(new_model(), tokenizer)
        self.base.cast(DTYPES[precision])
        modules = tuple(n for n in self.base.linears if n.endswith(TARGETS))
        self.lane = Lane(modules, 4, 4.0, 1e-3, dropout, 0)

    def step(self, batch_size: int | None = None) -> float:
        """Train one batch, or an epoch in batches of this size; return seconds per question."""
        num_questions = sum(len(tree.branches) for tree in self.trees)
        recipe = Recipe(epochs=1, batch_size=batch_size or num_questions)
        with self.base.adapted([self.lane]) as adapters:
            hooks = Hooks(evaluate=lambda: [0.0])
            done = train_pack(self.base, adapters, self.trees, recipe, MICRO_TOKENS, hooks)
        return done.seconds / num_questions


def contender(name: str, dropout: float = 0.0) -> Peft | Lorasweep:
    """Make a contender of NAMES; `dropout` is the adapters', and the report's base had twice it.

    Ours applies no dropout of the base's.
    """
    tokenizer, fast = gpt2_tokenizer(), resolve_precision("auto", "cpu")
    trees = examples("paragraph" if "paragraph" in name else "question", tokenizer)
    if name.startswith("lorasweep"):
        return Lorasweep(trees, tokenizer, fast, dropout)
    if name == "tuned":
        return Peft(trees, DTYPES[fast], fast == "bf16", tuned=True, dropout=dropout)
    return Peft(trees, torch.float32, "bf16" in name, tuned=False, dropout=dropout)
