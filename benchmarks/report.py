"""Seconds that the report of a large study takes: 50 runs that answered 1,000 questions each.

The runs are invented: the grid of the shipped study report75 with full fine-tuning beside it,
answers to the bundled questions (each under several ids) that are right more often the better a
configuration is thought to be, one lane that failed, other decoders for some runs. The
analysis is made before the clock starts.

    python benchmarks/report.py [--questions 1000] [--out DIR]
"""

import argparse
import json
import math
import random
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lorasweep.analysis.analyse import analyse
from lorasweep.data.examples import Dataset, Group, fingerprint_of
from lorasweep.data.selection import select
from lorasweep.data.squad.sources import load
from lorasweep.folder.records import (
    BaseRecord,
    DataCard,
    EvalEntry,
    Failure,
    Lock,
    PackInfo,
    Results,
    RunRecord,
    StepEntry,
)
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.scores import Prediction, Scores
from lorasweep.folder.store import Store
from lorasweep.hub.models import read_config
from lorasweep.report.page import write_report
from lorasweep.scoring.answer_scores import scores_of
from lorasweep.scoring.metrics import exact_match, f1
from lorasweep.study.plan import Plan, PlannedRun, make_plan
from lorasweep.study.study import Study

NUM_STEPS, NUM_EPOCHS = 310, 5
FAILED = 3  # the number of the run whose lane fails
WITH_DECODERS = (32, 1e-3)  # rank and learning rate of the runs that answer by all decoders
DECODERS = ("beam-4", "top-k-10", "nucleus-0.9")
DRAWS = 3
VERSIONS = {"lorasweep": "0.1.0", "torch": "invented"}


def make_study(questions: Path) -> Study:
    """Return report75 with two full fine-tunings, more decoders, and questions from a file."""
    file = resources.files("lorasweep") / "studies" / "report75.toml"
    tables = tomllib.loads(file.read_text("utf-8"))
    tables["grid"].append({"method": "full", "lr": [1e-5, 2e-5]})
    tables["data"] = {"train": "bundled", "eval": str(questions)}
    tables["evaluate"] = {"decoders": ["greedy", *DECODERS], "draws": DRAWS}
    return Study.parse(tables)


def write_questions(file: Path, num_questions: int) -> None:
    """Write the bundled paragraphs again and again, under new ids, until there are enough."""
    bundled = load(["bundled"]).groups
    copies = -(-num_questions // sum(len(paragraph.examples) for paragraph in bundled))
    articles = [
        {"title": f"{one.source} {copy}", "paragraphs": [_as_squad(one, copy)]}
        for copy in range(copies)
        for one in bundled
    ]
    file.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")


def _as_squad(paragraph: Group, copy: int) -> dict[str, object]:
    asked = [
        {
            "id": f"{question.id}-{copy}",
            "question": question.prompt,
            "answers": [{"text": text, "answer_start": start} for text, start in question.placed],
        }
        for question in paragraph.examples
    ]
    return {"context": paragraph.context, "qas": asked}


def skill_of(run: PlannedRun) -> float:
    """Return the share of right answers that an invented run gives."""
    point = run.configuration
    if point.method == "full":
        return 0.55 if point.lr < 2e-5 else 0.6
    rank, mlp = math.log2(point.rank or 1), 0.03 * (point.targets == "attn_mlp")
    return 0.3 + 0.1 * math.log10(point.lr / 7e-5) + 0.02 * rank + mlp


def answers(
    paragraphs: Sequence[Group], skill: float, seed: str, draws: int = 1
) -> Iterator[Prediction]:
    """Yield answers: right, a piece of the context near the reference, another piece, or a loop."""
    chance = random.Random(seed)
    for paragraph in paragraphs:
        for question in paragraph.examples:
            references = list(question.references)
            hardness = random.Random(question.id).random()
            for draw in range(draws):
                p = min(0.97, max(0.02, skill + 0.9 * (0.5 - hardness)))
                text = _answer(paragraph.context, references[0], p, chance)
                yield Prediction(
                    id=question.id, article=paragraph.source, paragraph=paragraph.id,
                    question=question.prompt, prediction=text, answers=references,
                    ended=len(text.split()) < 12, num_tokens=1 + len(text) // 4,
                    exact_match=exact_match(text, references), f1=f1(text, references), draw=draw,
                )  # fmt: skip


def _answer(context: str, reference: str, p_right: float, chance: random.Random) -> str:
    if chance.random() < p_right:
        return reference
    words, start = context.split(), context.find(reference)
    kind = chance.random()
    if kind < 0.35 and start >= 0:
        return context[max(0, start - chance.randint(3, 20)) : start + len(reference)].strip()
    if kind < 0.8:
        first = chance.randrange(len(words))
        return " ".join(words[first : first + chance.randint(1, 5)])
    return "the the the the the the the the the the the the" if kind < 0.9 else ""


@dataclass(frozen=True)
class Invented:
    """An invented study and the folder that its records are written to."""

    store: Store
    plan: Plan
    questions: Dataset

    @property
    def paragraphs(self) -> Sequence[Group]:
        """The paragraphs that are answered."""
        return self.questions.groups

    def write(self) -> None:
        """Write lock, base, runs, results and their analysis."""
        ids = [f"{index:012x}" for index in range(len(self.plan.runs))]
        base = self._base()
        runs = [self._run(*one) for one in zip(ids, self.plan.runs, strict=True)]
        self.store.write_lock(
            Lock(
                study=self.plan.study.model_dump(mode="json"), facts={"name": "report75"},
                precision="bf16", device="cpu", threads=2, micro_tokens=1024, versions=VERSIONS,
            )
        )  # fmt: skip
        results = self._results(ids, base, runs)
        self.store.write_results(results)
        analysis = analyse(self.store, self.paragraphs)
        self.store.write_results(results.model_copy(update={"analysis": analysis}))

    def _results(self, ids: Sequence[str], base: BaseRecord, runs: list[RunRecord]) -> Results:
        plan, study = self.plan, self.plan.study
        cards = {
            role: DataCard(
                sources=["bundled"], articles=12, paragraphs=len(self.paragraphs), questions=count,
                unanswerable=0, too_long=0, trunk_tokens=140 * len(self.paragraphs),
                branch_tokens=22 * count, answer_tokens=5 * count,
                fingerprint=fingerprint_of(self.questions),
            )
            for role, count in (("train", 2000), ("eval", self.questions.num_questions))
        }  # fmt: skip
        return Results(
            schema=1, study="invented-report75", base=base, runs=runs,
            configurations=[
                {**point.model_dump(), "run": ids[index]}
                for point, index in zip(plan.configurations, plan.run_of, strict=True)
            ],
            chosen=None, warnings=plan.warnings, data=cards, prompt=study.data.prompt,
            recipe=study.recipe.model_dump(mode="json"), versions=VERSIONS,
        )  # fmt: skip

    def _base(self) -> BaseRecord:
        scores = self._score(self.store.base_folder, "base", 0.05, ["greedy", *DECODERS])
        return BaseRecord(
            name="openai-community/gpt2", num_parameters=124_439_808, precision="bf16",
            metrics={**scores, "eval_loss": 3.2}, versions=VERSIONS,
        )  # fmt: skip

    def _run(self, run_id: str, run: PlannedRun) -> RunRecord:
        number = int(run_id, 16)
        failed, skill, point = number == FAILED, skill_of(run), run.configuration
        decoders = ["greedy", *(DECODERS if (point.rank, point.lr) == WITH_DECODERS else ())]
        metrics: dict[str, Scores | float] = {}
        if not failed:
            folder = self.store.run_folder(run_id)
            metrics = {
                **self._score(folder, run_id, skill, decoders),
                "eval_loss": 2.2 - 1.6 * skill + 0.05 * random.Random(run_id).random(),
            }
        self._write_history(run_id, skill, 40 if failed else NUM_STEPS)
        lanes = 1 if point.method == "full" else 4
        return RunRecord(
            id=run_id, state="failed" if failed else "done", label=run.label,
            configuration=run.configuration, modules=list(run.modules),
            trainable_parameters=run.trainable_parameters, scale=run.scale,
            num_train_questions=2000, num_epochs=NUM_EPOCHS, num_steps=NUM_STEPS,
            pack=PackInfo(id=f"pack-{number // 4}", lanes=lanes, seconds=4000.0),
            train_seconds=4000 / lanes + number, peak_memory_bytes=(2 + lanes) * 2**30,
            train_loss=None if failed else 1.9 - 1.6 * skill, metrics=metrics,
            failure=Failure(step=41, quantity="gradient", value="inf") if failed else None,
            warnings=list(run.warnings), precision="bf16", versions=VERSIONS,
        )  # fmt: skip

    def _score(
        self, folder: Path, seed: str, skill: float, decoders: Sequence[str]
    ) -> dict[str, Scores | float]:
        found: dict[str, Scores | float] = {}
        for decoder in decoders:
            draws = DRAWS if decoder.startswith(("top", "nucleus")) else 1
            worse = skill - 0.05 * (draws > 1)
            rows = list(answers(self.paragraphs, worse, f"{seed}/{decoder}", draws))
            RunFiles(folder).write_predictions(decoder, rows)
            found[decoder] = scores_of(rows, 0.02 * (1 + draws), samples=draws > 1)
        return found

    def _write_history(self, run_id: str, skill: float, num_steps: int) -> None:
        chance = random.Random(run_id)
        per_epoch = NUM_STEPS // NUM_EPOCHS
        entries: list[StepEntry | EvalEntry] = []
        for step in range(1, num_steps + 1):
            loss = 1.9 - 1.6 * skill + 3 * math.exp(-step / 30) + chance.gauss(0, 0.08)
            entries.append(
                StepEntry(
                    step=step, epoch=1 + (step - 1) // per_epoch, loss=loss,
                    grad_norm=0.5 + chance.expovariate(2), lr=1e-3 * (1 - step / (NUM_STEPS + 1)),
                    num_questions=32, num_answer_tokens=160,
                )
            )  # fmt: skip
            if step % per_epoch == 0:
                epoch = step // per_epoch
                loss = 2.2 - 1.6 * skill + 1 / epoch
                entries.append(EvalEntry(step=step, epoch=epoch, eval_loss=loss))
        self.store.of_run(run_id).write_history(entries)


def main() -> None:
    """Invent the study, write its report, and print the seconds and the size of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=None, help="default: a folder that is removed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out, file = options.out or Path(temporary), Path(temporary) / "questions.json"
        write_questions(file, options.questions)
        study = make_study(file)
        plan = make_plan(study, read_config(study.model.base))
        Invented(Store(out), plan, select(study.data).eval).write()
        begun, used = time.perf_counter(), time.process_time()
        page = write_report(out)
        seconds, busy = time.perf_counter() - begun, time.process_time() - used
        size = page.stat().st_size / 1e6
        print(
            f"{len(plan.runs)} runs, {options.questions} questions: {seconds:.1f} s "
            f"({busy:.1f} s of processor time), page of {size:.1f} MB"
        )


if __name__ == "__main__":
    main()
