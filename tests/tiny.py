"""A study that runs in a second: a random model of two layers on the bundled questions."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from lorasweep.console.progress import Silent
from lorasweep.folder.records import (
    BaseRecord,
    DataCard,
    Lock,
    LockedPack,
    LockedRun,
    PackInfo,
    RunRecord,
    Stop,
)
from lorasweep.folder.scores import Scores
from lorasweep.study.grid import Configuration
from lorasweep.study.study import Study

TOML = """
name = "tiny"
[model]
base = {base}
precision = "fp32"
[data]
train = "bundled"
num_train = 12
num_eval = 20
max_tokens = 512
too_long = "skip"
[recipe]
epochs = 1
batch_size = 8
[pack]
lanes = 2
[evaluate]
max_new_tokens = 3
[[grid]]
rank = [2, 4]
lr = [1e-3, 3e-3]
alpha = "2r"
"""


def write_study(folder: Path, model: Any, tokenizer: Any) -> Path:
    """Save a model folder and a study of four runs in two packs; return the study's file."""
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    file = folder / "tiny.toml"
    file.write_text(TOML.format(base=json.dumps(str(folder / "model"))))
    return file


def load(file: Path, *overrides: str) -> Study:
    """Read the tiny study with some values changed."""
    return Study.load(file, overrides)


class StopAfter(Silent):
    """Sends this process SIGTERM when it has heard of progress `count` times."""

    def __init__(self, count: int) -> None:
        self.count = count

    def advance(self, amount: int, detail: str = "") -> None:
        self.count -= 1
        if self.count == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def outcomes(results: Any) -> dict[str, Any]:
    """Return what two undisturbed executions must agree on, by run id: all but times and memory."""
    return {
        run.id: (run.state, run.train_loss, run.failure, *map(_numbers, run.metrics.values()))
        for run in results.runs
    }


def _numbers(metric: Scores | float) -> Any:
    return (
        metric.model_dump(exclude={"seconds_per_question"})
        if isinstance(metric, Scores)
        else metric
    )


CONFIGURATION = Configuration(
    method="lora", targets="attn", rank=2, lr=1e-3, alpha=4.0, dropout=0.0, seed=0
)
MODULES = ["h.0.attn.c_attn"]


def make_scores(f1: float) -> Scores:
    return Scores(
        exact_match=f1 / 2, f1=f1, f1_interval=(f1 - 1, f1 + 1), num_questions=7, ended_share=1.0
    )


def make_record(run_id: str, f1: float | None, **changes: Any) -> RunRecord:
    """Return the record of an invented run; without an F1 it has no metrics."""
    metrics: dict[str, Any] = {} if f1 is None else {"greedy": make_scores(f1), "eval_loss": 2.0}
    values: dict[str, Any] = {
        "id": run_id, "state": "done", "label": run_id, "configuration": CONFIGURATION,
        "modules": MODULES, "trainable_parameters": 8, "scale": 2.0, "num_train_questions": 3,
        "num_epochs": 1, "num_steps": 2, "pack": PackInfo(id="pack-0", lanes=1, seconds=1.0),
        "train_seconds": 1.0, "peak_memory_bytes": 5, "train_loss": 1.5, "metrics": metrics,
        "precision": "fp32", "versions": {"torch": "0"},
    }  # fmt: skip
    return RunRecord(**{**values, **changes})


def make_stop(step: int, num_steps: int) -> Stop:
    """Return the stop of an invented run that lost a race."""
    return Stop(
        fraction=step / num_steps, step=step, num_steps=num_steps, leader="a-0", leader_label="a",
        eval_loss=2.0, leader_eval_loss=1.0, difference=1.0, at_least=0.5, p_value=1e-6,
        adjusted_p_value=1e-3, level=0.95, num_comparisons=12, num_paragraphs=9,
    )  # fmt: skip


def make_base(**changes: Any) -> BaseRecord:
    values: dict[str, Any] = {
        "name": "model",
        "num_parameters": 9,
        "precision": "fp32",
        "metrics": {"greedy": make_scores(3.0), "eval_loss": 4.0},
        "versions": {},
    }
    return BaseRecord(**{**values, **changes})


def make_lock(*run_ids: str) -> Lock:
    """Return an invented lock with a pack for each run."""
    locked = {"configuration": CONFIGURATION, "modules": MODULES, "trainable_parameters": 8}
    packs = [
        LockedPack(id=f"pack-{i}", runs=[LockedRun(id=run_id, scale=2.0, **locked)])  # type: ignore[arg-type]
        for i, run_id in enumerate(run_ids)
    ]
    return Lock(
        study={}, facts={"name": "tiny"}, precision="fp32", device="cpu", threads=1,
        micro_tokens=64, versions={"torch": "0"}, packs=packs,
    )  # fmt: skip


def make_card() -> DataCard:
    return DataCard(
        sources=["x"], articles=1, paragraphs=1, questions=1, unanswerable=0, too_long=0,
        fingerprint="f",
    )  # fmt: skip
