"""Folders of invented answers: scores by question are given, and all else follows from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asked import Placed, question_of
from lorasweep.data.examples import Group
from lorasweep.folder.records import DataCard, Results, RunRecord
from lorasweep.folder.scores import Prediction
from lorasweep.folder.store import Store
from lorasweep.study.grid import Configuration
from tiny import make_base, make_lock, make_record

PER_PARAGRAPH = 4
CONTEXT = "The ship was built by Ada in 1871 and sank near Rome."


def paragraphs(num_questions: int) -> list[Group]:
    """Return paragraphs of four questions, each answered by "Ada"."""
    questions = [
        question_of(f"q{i}", f"Who built ship {i}?", (Placed("Ada", CONTEXT.index("Ada")),))
        for i in range(num_questions)
    ]
    return [
        Group(f"Ships/{start}", "Ships", CONTEXT, tuple(questions[start : start + 4]))
        for start in range(0, num_questions, PER_PARAGRAPH)
    ]


def predictions(right: Sequence[bool], per_paragraph: int = PER_PARAGRAPH) -> list[Prediction]:
    return [
        Prediction(
            id=f"q{i}", article="Ships", paragraph=f"Ships/{i // per_paragraph}",
            question=f"Who built ship {i}?", prediction="Ada" if is_right else "Rome",
            answers=["Ada"], ended=True, num_tokens=2, exact_match=float(is_right),
            f1=float(is_right),
        )
        for i, is_right in enumerate(right)
    ]  # fmt: skip


def make_run(index: int, **changes: Any) -> RunRecord:
    """Return a run of the grid rank 2, 4 by lr 1e-3, 2e-3 by seed 0, 1, ..."""
    point = Configuration(
        method="lora", targets="attn", rank=(2, 4)[index % 2], lr=(1e-3, 2e-3)[index // 2 % 2],
        alpha=16.0, dropout=0.0, seed=index // 4,
    )  # fmt: skip
    label = f"r{point.rank} lr{point.lr:g} seed{point.seed}"
    values = {"label": label, "configuration": point, "trainable_parameters": point.rank}
    return make_record(f"run{index}", 50.0, **{**values, **changes})


def write(
    out: Path, runs: Sequence[RunRecord], answers: dict[str, list[Prediction]], **changes: Any
) -> Store:
    """Write results and the predictions of runs and "base"; return the folder."""
    store = Store(out)
    for run_id, rows in answers.items():
        files = store.of_base if run_id == "base" else store.of_run(run_id)
        files.write_predictions("greedy", rows)
    values: dict[str, Any] = {
        "schema": 1, "study": "invented", "base": make_base(), "runs": list(runs),
        "configurations": [{**run.configuration.model_dump(), "run": run.id} for run in runs],
        "warnings": [], "data": {"eval": make_card()}, "recipe": {}, "prompt": "", "versions": {},
    }  # fmt: skip
    store.write_results(Results(**{**values, **changes}))
    grid = {"rank": [2, 4], "lr": [1e-3, 2e-3], "alpha": [16.0], "dropout": [0.0],
            "targets": ["attn"], "seed": [0]}  # fmt: skip
    lock = make_lock(*(run.id for run in runs))
    store.write_lock(lock.model_copy(update={"study": {"grid": [grid]}}))
    return store


def make_card() -> DataCard:
    return DataCard(
        sources=["x"], articles=1, paragraphs=1, questions=1, unanswerable=0, too_long=0,
        fingerprint="f",
    )  # fmt: skip


def shares_right(shares: Sequence[float], num_questions: int = 80) -> list[list[bool]]:
    """Return right or wrong answers of runs; what a better run adds, no worse one has right."""
    difficulty = np.random.default_rng(0).permutation(num_questions) / num_questions
    return [(difficulty < share).tolist() for share in shares]
