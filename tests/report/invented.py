"""Invented records of a study: four runs, one failed, and the base model."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from asked import Placed, question_of
from lorasweep.analysis.analyse import analyse
from lorasweep.data.examples import Example, Group
from lorasweep.folder.findings import Analysis, DecoderAnalysis, TiedBest
from lorasweep.folder.records import (
    BaseRecord,
    DataCard,
    EvalEntry,
    Failure,
    FinalLosses,
    LossesByParagraph,
    PackInfo,
    Prediction,
    Results,
    RunRecord,
    Scores,
    StepEntry,
)
from lorasweep.folder.store import Store
from lorasweep.study.forms import PROMPT
from lorasweep.study.grid import Configuration

HOSTILE = "</script><script>alert(1)</script>"
RIGHT_TO_LEFT = "\u202eevil\u202c سلام"
NUM_QUESTIONS = 40
VERSIONS = {"lorasweep": "0.1.0", "torch": "2.9.0"}


def make_scores(f1: float, half_width: float | None = 3.0) -> Scores:
    interval = None if half_width is None else (f1 - half_width, f1 + half_width)
    return Scores(
        exact_match=f1 - 10, f1=f1, f1_interval=interval, num_questions=NUM_QUESTIONS,
        ended_share=0.9,
    )  # fmt: skip


def make_run(index: int, f1: float | None, **changes: Any) -> RunRecord:
    """Return a run; without an F1 it has no scores."""
    rank, lr = (4, 16)[index % 2], (1e-3, 3e-4)[index // 2 % 2]
    metrics: dict[str, Scores | float] = {"eval_loss": 1.2 + index / 10}
    if f1 is not None:
        metrics["greedy"] = make_scores(f1)
    values: dict[str, Any] = {
        "id": f"{index:012x}", "state": "done", "label": f"r{rank} lr{lr:g} attn",
        "configuration": Configuration(
            method="lora", targets="attn", rank=rank, lr=lr, alpha="2r", dropout=0.0, seed=0
        ),
        "modules": ["c_attn"], "trainable_parameters": 147_456 * rank, "scale": 2.0,
        "num_train_questions": 2000, "num_epochs": 3, "num_steps": 60,
        "pack": PackInfo(id="p0", lanes=4, seconds=120.0), "train_seconds": 30.0,
        "peak_memory_bytes": 3 * 2**30, "train_loss": 0.9, "metrics": metrics,
        "precision": "fp32", "versions": VERSIONS,
    }  # fmt: skip
    return RunRecord.model_validate(values | changes)


def make_results(runs: list[RunRecord], **changes: Any) -> Results:
    base = BaseRecord(
        name="gpt2", num_parameters=124_439_808, precision="fp32",
        note="weights dequantised from 4 bits", versions=VERSIONS,
        metrics={"greedy": make_scores(21.0), "eval_loss": 3.1},
    )  # fmt: skip
    card = DataCard(
        sources=["train.json"], articles=3, paragraphs=20, questions=2000, unanswerable=0,
        too_long=2, trunk_tokens=3000, branch_tokens=900, answer_tokens=200,
        fingerprint="0123456789ab",
    )  # fmt: skip
    values: dict[str, Any] = {
        "study": "small-grid", "base": base, "runs": runs, "prompt": PROMPT,
        "configurations": [{**run.configuration.model_dump(), "run": run.id} for run in runs],
        "warnings": [f"the target mlp names no module {HOSTILE}"], "versions": VERSIONS,
        "data": {"train": card, "eval": card},
        "recipe": {"epochs": 3, "batch_size": 32, "schedule": "linear"},
    }  # fmt: skip
    return Results.model_validate(values | changes)


def make_predictions(num_right: int) -> list[Prediction]:
    return [
        Prediction(
            id=f"q{i}", article="Grace_Hopper & co", paragraph=f"p{i // 4}",
            question=f"What did {RIGHT_TO_LEFT} say in {1900 + i}? {HOSTILE}",
            prediction="a ship" if i < num_right else f"100 % of | {HOSTILE}",
            answers=["a ship", "the ship", "a ship"], ended=True, num_tokens=3,
            exact_match=float(i < num_right), f1=1.0 if i < num_right else 0.125,
        )
        for i in range(NUM_QUESTIONS)
    ]  # fmt: skip


def write_history(out: Path, run: RunRecord, num_steps: int, scale: float = 1.0) -> None:
    folder = out / "runs" / run.id
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        StepEntry(
            step=step, epoch=step // 20, loss=scale * (0.8 + 4 / (step + 1)), grad_norm=1.0,
            lr=1e-3, num_questions=32, num_answer_tokens=160,
        ).model_dump_json()
        for step in range(num_steps)
    ]  # fmt: skip
    lines += [
        EvalEntry(
            step=20 * (epoch + 1), epoch=epoch, eval_loss=scale * (1.1 + 1 / (epoch + 1))
        ).model_dump_json()
        for epoch in range(num_steps // 20)
    ]
    (folder / "history.jsonl").write_text("".join(f"{line}\n" for line in lines))


def write_predictions(folder: Path, predictions: list[Prediction]) -> None:
    (folder / "predictions").mkdir(parents=True)
    table = pyarrow.Table.from_pylist([each.model_dump() for each in predictions])
    pyarrow.parquet.write_table(table, folder / "predictions" / "greedy.parquet")


def make_losses(train: float, evaluation: float) -> FinalLosses:
    """Return losses per answer token, a little different in each of ten paragraphs."""

    def part(role: str, mean: float) -> LossesByParagraph:
        losses = [5 * mean * (1 + (i - 4.5) / 50) for i in range(10)]
        names = [f"{role}/{i}" for i in range(10)]
        return LossesByParagraph(
            paragraphs=names, articles=[role] * 10, num_answer_tokens=[5] * 10, losses=losses
        )

    return FinalLosses(eval=part("eval", evaluation), train=part("train", train))


def write_losses(out: Path, runs: list[RunRecord]) -> None:
    """Let every finished run do better on what it was trained on; the base model does not."""
    store = Store(out)
    for index, run in enumerate(each for each in runs if each.state == "done"):
        store.of_run(run.id).write_losses(make_losses(0.5, 0.6 + index / 10))
    store.of_base.write_losses(make_losses(3.0, 3.0))


def write_results(out: Path, results: Results) -> None:
    text = json.dumps(results.model_dump(mode="json", by_alias=True))
    (out / "results.json").write_text(text)


def make_paragraphs() -> list[Group]:
    """Return the paragraphs that the invented predictions are about, four questions each."""
    by_paragraph: dict[str, list[Example]] = {}
    for each in make_predictions(0):
        answers = tuple(Placed(text, -1) for text in each.answers)
        question = question_of(each.id, each.question, answers)
        by_paragraph.setdefault(each.paragraph, []).append(question)
    context = f"She named the ship {HOSTILE} after a moth."
    return [
        Group(id, "Grace_Hopper & co", context, tuple(questions))
        for id, questions in by_paragraph.items()
    ]


def make_analysis(p_values: dict[str, float]) -> Analysis:
    """Return an analysis that says which runs are tied for best, and nothing else."""
    members = [run_id for run_id, p in p_values.items() if p >= 0.05]
    tied = TiedBest(members=members, p_values=p_values, level=0.95, sentence="Tied.")
    best = max(p_values, key=p_values.__getitem__)
    return Analysis(decoders={"greedy": DecoderAnalysis(best=best, tied_best=tied)})


def write_analysis(out: Path) -> None:
    """Put the analysis of what a folder holds into its results.json."""
    store = Store(out)
    analysis = analyse(store, make_paragraphs())
    store.write_results(store.read_results().model_copy(update={"analysis": analysis}))


def write_outcome(out: Path) -> None:
    failure = Failure(step=7, quantity="gradient", value="nan")
    runs = [
        make_run(0, 62.0),
        make_run(1, 60.5),
        make_run(2, 48.0),
        make_run(3, None, state="failed", failure=failure, train_loss=None, metrics={}),
    ]
    write_results(out, make_results(runs))
    for index, run in enumerate(runs):
        write_history(out, run, 60 if run.state == "done" else 6, 1 + index / 5)
        if run.state == "done":
            write_predictions(out / "runs" / run.id, make_predictions((36, 32, 0)[index]))
    write_predictions(out / "base", make_predictions(3))
    write_losses(out, runs)
    write_analysis(out)
