"""The folder that the app shows, read anew whenever it is asked, and its runs ready to answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path
from typing import Any

from lorasweep.analysis.failures import classified
from lorasweep.analysis.questions import questions_of
from lorasweep.analysis.results import ranked, run_called
from lorasweep.app import views
from lorasweep.data.examples import Group
from lorasweep.errors import UserError
from lorasweep.finished.asking import Panel
from lorasweep.folder.records import Results
from lorasweep.folder.store import Store
from lorasweep.forecast.status import status_of
from lorasweep.scoring.failures.classes import FailureClass

MOST_CONTEXT, MOST_QUESTION, MOST_RUNS = 20_000, 500, 8
MOST_PICKED = 200
SECONDS_BETWEEN_WORDS = 1.0
DECODERS = ("greedy", "span", "beam-4", "top-k-10", "nucleus-0.9", "temperature-0.7")
ALL = "all classes"
CLASSES = [ALL, *FailureClass]


class ShownStudy:
    """A study's folder; raises UserError where there is none."""

    def __init__(self, out: Path) -> None:
        self.store = Store(out)
        if self.store.read_lock() is None:
            raise UserError(f"no study in {out}: run `lorasweep run STUDY --out {out}` first")

        self._asked: tuple[str, threading.Event] | None = None

    @property
    def name(self) -> str:
        """What the study is called."""
        lock = self.store.read_lock()
        return str(lock.study["name"]) if lock else self.store.out.resolve().name

    @property
    def has_report(self) -> bool:
        """Whether a report has been written."""
        return (self.store.out / "report" / "index.html").is_file()

    @property
    def results(self) -> Results | None:
        """The results so far; None before the first pack is finished."""
        return self.store.read_results() if self.store.results_file.is_file() else None

    @property
    def runs(self) -> list[str]:
        """What the finished runs are called, the best first."""
        found = self.results
        return [found.names[run.id] for run in ranked(found)] if found else []

    @property
    def decoders(self) -> list[str]:
        """The decoders that have scores."""
        found = self.results
        return (
            [n for n, v in found.base.metrics.items() if not isinstance(v, float)] if found else []
        )

    @cached_property
    def panel(self) -> Panel:
        """The base model and its runs, loaded with the first question."""
        return Panel(self.store.out)

    @cached_property
    def paragraphs(self) -> tuple[Group, ...]:
        """The evaluation questions with their contexts."""
        lock, results = self.store.read_lock(), self.results
        if lock is None or results is None:
            raise UserError("no run is finished yet")
        return questions_of(lock, results.data.get("eval"))

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Evaluation questions to pick, with their ids; none where the data cannot be read."""
        try:
            found = [
                (str(q.prompt), q.id) for paragraph in self.paragraphs for q in paragraph.examples
            ]
        except UserError:
            return []
        return found[:MOST_PICKED]

    def picked(self, question: str) -> tuple[str, str]:
        """Return the text and the words of an evaluation question."""
        return next((paragraph.context, str(q.prompt)) for paragraph in self.paragraphs
                    for q in paragraph.examples if q.id == question)  # fmt: skip

    def leaderboard(self, decoder: str) -> str:
        """Return the leaderboard, as HTML."""
        return views.leaderboard(self.results, decoder)

    def work(self) -> str:
        """Return how far the study is, as HTML."""
        return views.work(status_of(self.store.out))

    def asking(self, visitor: str, *asked: Any) -> Iterator[str]:
        """Yield what a visitor sees while a question is answered, and then the answers.

        The work is stopped when the visitor cancels, or leaves.
        """
        stop, began = threading.Event(), time.monotonic()
        self._asked = (visitor, stop)
        is_first = "panel" not in vars(self)
        with ThreadPoolExecutor(1) as worker:
            answer = worker.submit(self._heeding, stop, *asked)
            try:
                while not answer.done():
                    yield views.wait(time.monotonic() - began, is_first, stop.is_set())
                    wait([answer], SECONDS_BETWEEN_WORDS)
            finally:
                stop.set()
        try:
            yield answer.result()
        except UserError as error:
            yield views.mistake(error)

    def cancel(self, visitor: str) -> None:
        """Stop answering a visitor's question; those of others go on."""
        if self._asked and self._asked[0] == visitor:
            self._asked[1].set()

    def _heeding(self, stop: threading.Event, *asked: Any) -> str:
        """Answer, and look before every layer of the model whether to go on."""

        def look(*_: Any) -> None:
            if stop.is_set():
                raise UserError("cancelled")

        self._refuse(*asked[:3])
        hooks = [layer.register_forward_pre_hook(look) for layer in self.panel.base.model.modules()]
        try:
            return self.ask(*asked)
        finally:
            for hook in hooks:
                hook.remove()

    def ask(self, context: str, question: str, runs: list[str], decoder: str) -> str:
        """Return the answers of the base model and of runs, as HTML.

        Raises UserError for more than one visitor may ask for at once.
        """
        self._refuse(context, question, runs)
        self.panel.results = self.results or self.panel.results
        return views.replies(context.strip(), self.panel.answer(context, question, runs, decoder))

    def _refuse(self, context: str, question: str, runs: list[str]) -> None:
        for what, text, most in (
            ("text", context, MOST_CONTEXT), ("question", question, MOST_QUESTION),
        ):  # fmt: skip
            if len(text) > most:
                raise UserError(f"the {what} has {len(text)} characters; at most {most} are read")
        if len(runs) > MOST_RUNS:
            raise UserError(f"{len(runs)} runs are chosen; at most {MOST_RUNS} answer at once")
        if not context.strip():
            raise UserError("the text is empty")
        if not question.strip():
            raise UserError("the question is empty")

    def failures(self, run: str, decoder: str, kind: str) -> str:
        """Return a run's wrong answers of a class, as HTML."""
        results = self.results
        if results is None:
            raise UserError("no run is finished yet")
        found = run_called(results, run)
        predictions = self.store.of_run(found.id).read_predictions(decoder)
        contexts = {q.id: p.context for p in self.paragraphs for q in p.examples}
        rows = classified([p for p in predictions if p.draw == 0], self.paragraphs)
        return views.failures(rows, contexts, "" if kind == ALL else kind)
