"""Seconds per question of one training step: PEFT with transformers' model against lorasweep.

GPT-2 124M of random weights with the real tokenizer, rank 4 on c_attn + c_proj, batches of 32
questions of real SQuAD paragraphs, dropout 0 for all. Contenders take turns, five rounds, and the
median counts: the machines are shared, so only ratios within one run mean anything.

    python benchmarks/training.py [--rounds 5] [--out benchmarks/results]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from lorasweep.base import DTYPES, freeze
from lorasweep.hooks import Hooks
from lorasweep.lora import Lane
from lorasweep.machine import describe, resolve_precision
from lorasweep.ops.allocator import keep_freed_memory
from lorasweep.squad import load, sample
from lorasweep.study import PROMPT, Recipe
from lorasweep.train import train_pack
from lorasweep.trees import Tree, TreeBuilder

SHARED = Path(__file__).parents[2] / "shared"
TARGETS = ("attn.c_attn", "attn.c_proj")
BATCH, PADDED, MICRO_BATCH, MICRO_TOKENS = 32, 256, 8, 2048
Contender = Callable[[], float]


def examples(unit: str, tokenizer: Any) -> tuple[Tree, ...]:
    """Return trees of at least 32 real questions, drawn by paragraph or one by one."""
    data = load([str(SHARED / "data" / "squad" / "train-44-articles.json")])
    paragraphs = sample(data.paragraphs, BATCH, seed=0, unit=unit)
    return TreeBuilder(tokenizer, PROMPT, 1024).build(paragraphs).trees


def new_model() -> GPT2LMHeadModel:
    """Return GPT-2 small with random weights and no dropout of its own."""
    torch.manual_seed(0)
    config = GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, attn_implementation="sdpa")
    return GPT2LMHeadModel(config)


def questions(trees: Sequence[Tree]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return prompt and answer tokens of every question."""
    return [(t.trunk_ids + b.prompt_ids, b.answer_ids) for t in trees for b in t.branches]


class Peft:
    """PEFT on the plain model: padded to 256, or `tuned`: grouped by length, head where needed."""

    def __init__(
        self, trees: Sequence[Tree], base_dtype: torch.dtype, autocast: bool, tuned: bool
    ) -> None:
        config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=16, fan_in_fan_out=True,
                            target_modules=list(TARGETS))  # fmt: skip
        self.model = get_peft_model(new_model().to(base_dtype), config)
        self.rows, self.tuned, self.autocast = questions(trees), tuned, autocast
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
        self.trained = trained

    def step(self) -> float:
        """Train one batch; return seconds per question."""
        started = time.perf_counter()
        for group in self._groups():
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss = self._loss(group) * len(group) / len(self.rows)
            loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return (time.perf_counter() - started) / len(self.rows)

    def _groups(self) -> Iterator[list[Any]]:
        rows = self.rows
        if self.tuned:
            rows = sorted(rows, key=lambda row: -len(row[0]) - len(row[1]))
        return (rows[i : i + MICRO_BATCH] for i in range(0, len(rows), MICRO_BATCH))

    def _loss(self, rows: Sequence[Any]) -> Tensor:
        width = max(len(p) + len(a) for p, a in rows) if self.tuned else PADDED
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for r, (prompt, answer) in enumerate(rows):
            tokens = (prompt + answer)[:width]
            ids[r, : len(tokens)], mask[r, : len(tokens)] = torch.tensor(tokens), 1
            labels[r, len(prompt) : len(tokens)] = ids[r, len(prompt) : len(tokens)]
        if not self.tuned:
            return self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        inner = self.model.base_model.model
        hidden = inner.transformer(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
        places = labels[:, 1:] != -100
        return F.cross_entropy(inner.lm_head(hidden[places]).float(), labels[:, 1:][places])


class Lorasweep:
    """One lane of ours over trees."""

    def __init__(self, trees: Sequence[Tree], tokenizer: Any, precision: str) -> None:
        self.trees = trees
        self.base = freeze(new_model(), tokenizer)
        self.base.cast(DTYPES[precision])
        modules = tuple(n for n in self.base.linears if n.endswith(TARGETS))
        self.lane = Lane(modules, 4, 4.0, 1e-3, 0.0, 0)

    def step(self) -> float:
        """Train one batch; return seconds per question."""
        num_questions = sum(len(tree.branches) for tree in self.trees)
        recipe = Recipe(epochs=1, batch_size=num_questions)
        with self.base.adapted([self.lane]) as adapters:
            hooks = Hooks(evaluate=lambda: [0.0])
            done = train_pack(self.base, adapters, self.trees, recipe, MICRO_TOKENS, hooks)
        return done.seconds / num_questions


def contenders() -> dict[str, Contender]:
    """Return every contender's step, by name."""
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "models" / "gpt2-tokenizer")
    by_paragraph, by_question = (examples(u, tokenizer) for u in ("paragraph", "question"))
    fp32 = torch.float32
    fast = resolve_precision("auto", "cpu")
    return {
        "recipe, fp32": Peft(by_question, fp32, autocast=False, tuned=False).step,
        "recipe, bf16 autocast": Peft(by_question, fp32, autocast=True, tuned=False).step,
        "tuned": Peft(by_question, DTYPES[fast], autocast=fast == "bf16", tuned=True).step,
        "lorasweep, by question": Lorasweep(by_question, tokenizer, fast).step,
        "lorasweep, by paragraph": Lorasweep(by_paragraph, tokenizer, fast).step,
    }


def measure(rounds: int) -> dict[str, float]:
    """Return the median seconds per question of each contender, after one round unmeasured."""
    steps = contenders()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        for name, step in steps.items():
            seconds = step()
            if round_:
                times[name].append(seconds)
    return {name: statistics.median(found) for name, found in times.items()}


def table(medians: dict[str, float]) -> str:
    """Return the Markdown table."""
    recipe, tuned = medians["recipe, fp32"], medians["tuned"]
    lines = ["| contender | ms a question | against recipe fp32 | against tuned |",
             "|---|---|---|---|"]  # fmt: skip
    lines += [
        f"| {name} | {1000 * s:.1f} | {recipe / s:.1f}x | {tuned / s:.1f}x |"
        for name, s in medians.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and keep both as files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    keep_freed_memory()
    medians = measure(options.rounds)
    text = f"{describe()}; {options.rounds} rounds, medians\n\n{table(medians)}\n"
    options.out.mkdir(parents=True, exist_ok=True)
    found = {"machine": describe(), "rounds": options.rounds, "seconds_per_question": medians}
    (options.out / "training.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "training.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
