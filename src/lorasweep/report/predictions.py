"""Which answers the page holds: of which questions and of which runs, by a stated rule."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lorasweep.data.examples import Group
from lorasweep.folder.scores import Prediction
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, scored_runs

MAX_QUESTIONS = 3_000
# In UTF-8, so that both, with the charts and the program that draws them, stay below 6 MB.
MAX_QUESTION_BYTES = 1_400_000
MAX_ANSWER_BYTES = 1_400_000
# What an answer takes beside its text: its F1, its class, and its place in the list of a run.
BYTES_PER_TEXT = 12
BYTES_PER_ANSWER = 3


@dataclass(frozen=True)
class Answerer:
    """Who answered: a run, or the base model; the answers by question."""

    name: str
    is_run: bool
    answers: Mapping[str, Prediction]


@dataclass(frozen=True)
class Held:
    """What the page holds of the `num_questions` questions and `num_runs` scored runs there are.

    `questions` are answers of the first answerer, for what they tell of their questions;
    `paragraphs` are the questions' paragraphs by question, as far as they could be read.
    """

    questions: list[Prediction]
    paragraphs: Mapping[str, Group]
    answerers: list[Answerer]
    num_questions: int
    num_held_runs: int
    num_runs: int


def hold(outcome: Outcome, base_name: str) -> Held | None:
    """Choose what the page holds; None where no scored run has left answers.

    Questions are taken by the SHA-256 of their ids, the smallest first, while they and their
    contexts fit; then the answers of the best run, of the base model and of the other runs by F1
    while those fit.
    """
    answerers = _answerers(outcome, base_name)
    best = next(answerers, None)
    if best is None:
        return None
    paragraphs = {q.id: paragraph for paragraph in outcome.paragraphs for q in paragraph.examples}
    questions = _fitting_questions(best, paragraphs)
    held = [best, *_fitting_answerers(questions, best, answerers)]
    num_held, num_runs = sum(each.is_run for each in held), len(scored_runs(outcome.results))
    return Held(questions, paragraphs, held, len(best.answers), num_held, num_runs)


def _answerers(outcome: Outcome, base_name: str) -> Iterator[Answerer]:
    """Yield who left answers, read when asked for: the best run, the base model, other runs."""
    is_first = True
    for scored in scored_runs(outcome.results):
        if answers := outcome.predictions(scored.run, DECODER):
            yield Answerer(outcome.names[scored.run.id], True, {each.id: each for each in answers})
            if is_first and (of_base := outcome.base_predictions(DECODER)):
                yield Answerer(base_name, False, {each.id: each for each in of_base})
            is_first = False


def _fitting_questions(best: Answerer, paragraphs: Mapping[str, Group]) -> list[Prediction]:
    """Return the questions that fit, in the order of the evaluation set."""
    fitting, contexts, size = set(), set(), 0
    for each in sorted(best.answers.values(), key=_by_hash)[:MAX_QUESTIONS]:
        size += _size(each.id, each.question, *each.answers)
        if (paragraph := paragraphs.get(each.id)) and paragraph.context not in contexts:
            contexts.add(paragraph.context)
            size += _size(paragraph.context)
        if size > MAX_QUESTION_BYTES:
            break
        fitting.add(each.id)
    return [each for each in best.answers.values() if each.id in fitting]


def _fitting_answerers(
    questions: list[Prediction], best: Answerer, others: Iterator[Answerer]
) -> Iterator[Answerer]:
    """Yield the others as long as they fit beside the best run; an equal text is held once."""
    texts = {(each.id, each.prediction) for each in questions}
    size = _size_of_texts(texts) + BYTES_PER_ANSWER * len(questions)
    for other in others:
        given = [other.answers[each.id] for each in questions if each.id in other.answers]
        new = {(each.id, each.prediction) for each in given} - texts
        size += _size_of_texts(new) + BYTES_PER_ANSWER * len(questions)
        if size > MAX_ANSWER_BYTES:
            return
        texts |= new
        yield other


def _by_hash(prediction: Prediction) -> str:
    return hashlib.sha256(prediction.id.encode()).hexdigest()


def _size_of_texts(texts: set[tuple[str, str]]) -> int:
    return sum(_size(text) + BYTES_PER_TEXT for _, text in texts)


def _size(*texts: str) -> int:
    return sum(len(text.encode()) for text in texts)
