"""Seconds per question of greedy answers: transformers' generate against lorasweep.

GPT-2 124M of random weights, or a model folder with `--model`; real SQuAD paragraphs, fp32, so that
the same tokens are asked for. Ours computes an adapter of rank 4 that adds nothing (B is zero);
transformers' model computes none, which favours it.

    python benchmarks/decoding.py [--questions 100] [--model FOLDER] [--precision fp32]
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from contenders import SHARED, TARGETS, gpt2_tokenizer, new_model, questions
from transformers import PreTrainedModel

from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import prompts_of
from lorasweep.answering.decode.strategies import decode_greedy
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.selection import sample
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import Tree
from lorasweep.model.base import DTYPES, Base, freeze, load_model, load_tokenizer
from lorasweep.model.lora import Lane
from lorasweep.model.machine import describe
from lorasweep.model.ops.allocator import keep_freed_memory
from lorasweep.study.forms import PROMPT

NUM_NEW, BATCH, MICRO_TOKENS = 32, 32, 4096
Tokens = list[tuple[int, ...]]


def load_both(options: argparse.Namespace) -> tuple[PreTrainedModel, Base]:
    """Return transformers' model and ours, of the same weights, with the adapter in both."""
    dtype = DTYPES[options.precision]
    if options.model is None:
        tokenizer, make, names = gpt2_tokenizer(), new_model, TARGETS
    else:
        tokenizer = load_tokenizer(options.model)
        make, names = (lambda: load_model(options.model, torch.device("cpu"))), ("q_proj", "v_proj")
    base = freeze(make(), tokenizer)
    base.cast(dtype)
    modules = tuple(n for n in base.linears if n.endswith(names))
    return make().to(dtype).eval(), attached(base, modules)


def attached(base: Base, modules: tuple[str, ...]) -> Base:
    """Attach an adapter that does nothing yet (B zero), so that both models answer the same."""
    base.adapted([Lane(modules, 4, 4.0, 1e-3, 0.0, 0)]).__enter__()
    return base


def by_generate(
    model: PreTrainedModel, tokenizer: Any, trees: Sequence[Tree], batch: int
) -> Tokens:
    """Answer prompts in left-padded batches, longest first."""
    prompts = [prompt for prompt, _ in questions(trees)]
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    answers: Tokens = [()] * len(prompts)
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        width = len(prompts[group[0]])
        ids = torch.tensor([[0] * (width - len(prompts[i])) + list(prompts[i]) for i in group])
        seen = torch.tensor(
            [[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in group]
        )
        found = model.generate(
            input_ids=ids, attention_mask=seen, max_new_tokens=NUM_NEW, do_sample=False,
            pad_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        for i, row in zip(group, found[:, width:].tolist(), strict=True):
            answers[i] = tuple(row)
    return answers


def by_trees(base: Base, trees: Sequence[Tree]) -> Tokens:
    """Answer with ours, in the questions' order."""
    groups = decode_greedy(Prompts(base, trees, 1, MICRO_TOKENS), NUM_NEW)
    found = {a.question_id: a.token_ids for group in groups for a in group[0]}
    return [found[b.question_id] for tree in trees for b in tree.branches]


def timed(answer: Callable[[], Tokens]) -> tuple[Tokens, float]:
    """Return answers, and seconds per question."""
    started = time.perf_counter()
    with torch.inference_mode():
        found = answer()
    return found, (time.perf_counter() - started) / len(found)


def equal_share(base: Base, ours: Tokens, theirs: Tokens) -> float:
    """Return the share of answers with the same tokens up to where ours stopped."""
    stopped = base.end_id
    same = [
        a == b[: len(a)] and (len(a) == len(b) or b[len(a)] == stopped or base.breaks_line(a[-1]))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return sum(same) / len(same)


def prompt_tokens(trees: Sequence[Tree]) -> str:
    """Say how many prompt tokens a question has, and how many are left where contexts are shared.

    Their ratio bounds what sharing can gain where a token costs the same everywhere.
    """
    prompts = [prompt for prompt, _ in questions(trees)]
    shared = sum(prompts_of(tree).num_tokens for tree in trees)
    return (
        f"prompts of {sum(map(len, prompts)) / len(prompts):.0f} tokens, "
        f"{shared / len(prompts):.0f} a question with the context shared"
    )


def main() -> None:
    """Measure, print the table, and keep both as files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", choices=list(DTYPES), default="fp32")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    keep_freed_memory()
    model, base = load_both(options)
    data = load([str(SHARED / "data" / "squad" / "dev-a.json")])
    paragraphs = sample(data.groups, options.questions, seed=0, unit="paragraph")
    trees = TreeBuilder(base.tokenizer, PROMPT, 1024, NUM_NEW).build(paragraphs).trees
    ways = {
        "lorasweep": lambda: by_trees(base, trees),
        "generate, batches of 32": lambda: by_generate(model, base.tokenizer, trees, BATCH),
        "generate, one by one": lambda: by_generate(model, base.tokenizer, trees, 1),
    }
    found = {name: timed(way) for name, way in ways.items()}
    ours, seconds = found["lorasweep"]
    lines = [
        f"{describe()}; {options.model.name if options.model else 'GPT-2 124M, random weights'}, "
        f"{options.precision}, {len(ours)} questions, up to {NUM_NEW} tokens; "
        f"{prompt_tokens(trees)}",
        "",
        "| contender | ms a question | times ours | same tokens as ours |",
        "|---|---|---|---|",
    ]
    for name, (answers, s) in found.items():
        same = 100 * equal_share(base, ours, answers)
        lines.append(f"| {name} | {1000 * s:.0f} | {s / seconds:.1f}x | {same:.1f} % |")
    options.out.mkdir(parents=True, exist_ok=True)
    kept = {"machine": describe(), "questions": len(ours), "precision": options.precision,
            "seconds_per_question": {name: s for name, (_, s) in found.items()}}  # fmt: skip
    (options.out / "decoding.json").write_text(json.dumps(kept, indent=1) + "\n")
    (options.out / "decoding.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
