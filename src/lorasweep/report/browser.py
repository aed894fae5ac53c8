"""The answers that the page holds, in the compact form that templates/browser.js reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lorasweep.data.examples import Group
from lorasweep.folder.scores import Prediction
from lorasweep.report.predictions import Answerer, Held
from lorasweep.report.words.language import Strings
from lorasweep.report.words.terms import term
from lorasweep.scoring.failures.breakdown import rows_of
from lorasweep.scoring.failures.classes import FailureClass

NOWHERE = -1
RIGHT, WRONG = 0, 1
CLASSES = list(FailureClass)

# The different answers to one question: an equal text may have been ended or cut short.
Pool = dict[tuple[str, bool], Prediction]


@dataclass(frozen=True)
class Browsable:
    """What the page's table of predictions shows; `outcomes` and `names` are for its menus.

    `data` holds "questions" as [id, article, context or -1, text, references, answers] with
    references as [text, start in UTF-16 units or -1] and answers as [text, F1 from 0 to 100,
    outcome]; "given" has for each answerer the place of its answer to every question, or -1.
    Articles, contexts and outcomes are places in their lists.
    """

    data: dict[str, Any]
    names: list[str]
    outcomes: list[tuple[int, str]]


def browsable(held: Held, say: Strings) -> Browsable:
    """Return what is held with every text in it once."""
    pools = [_pool(each.id, held.answerers) for each in held.questions]
    outcomes = _outcomes(pools, held)
    articles, contexts = _Texts(), _Texts()
    questions = [
        [*_question(each, held.paragraphs.get(each.id), articles, contexts), _answers(pool, of)]
        for each, pool, of in zip(held.questions, pools, outcomes, strict=True)
    ]
    words = [say("browser.right"), say("browser.wrong"), *(term(each, say) for each in CLASSES)]
    names = [one.name for one in held.answerers]
    data = {
        "articles": articles.all,
        "contexts": contexts.all,
        "questions": questions,
        "given": [_given(held.questions, one, pools) for one in held.answerers],
        "names": names,
        "outcomes": words,
    }
    occurring = sorted({outcome for of in outcomes for outcome in of} - {RIGHT, WRONG})
    return Browsable(data, names, [(outcome, words[outcome]) for outcome in occurring])


class _Texts:
    """Texts in the order in which they were first seen."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))

    @property
    def all(self) -> list[str]:
        return list(self.places)


def _pool(question: str, answerers: Iterable[Answerer]) -> Pool:
    given = (one.answers[question] for one in answerers if question in one.answers)
    return {(each.prediction, each.ended): each for each in given}


def _outcomes(pools: Sequence[Pool], held: Held) -> list[list[int]]:
    """Return for every answer of every pool whether it is right, or else the place of its class."""
    known = [each for pool in pools for each in pool.values() if each.id in held.paragraphs]
    rows = iter(rows_of(known, set(held.paragraphs.values())))
    classes = {(row.id, row.prediction, each.ended): row.failure
               for row, each in zip(rows, known, strict=True)}  # fmt: skip
    return [[_outcome(each, classes) for each in pool.values()] for pool in pools]


def _outcome(each: Prediction, classes: dict[tuple[str, str, bool], FailureClass | None]) -> int:
    if each.scores["exact_match"] > 0:
        return RIGHT
    failure = classes.get((each.id, each.prediction, each.ended))
    return WRONG if failure is None else WRONG + 1 + CLASSES.index(failure)


def _question(
    each: Prediction, paragraph: Group | None, articles: _Texts, contexts: _Texts
) -> list[Any]:
    article = articles.place(each.article)
    if paragraph is None:
        references: dict[str, int] = dict.fromkeys(each.answers, NOWHERE)
        return [each.id, article, NOWHERE, each.question, list(references.items())]
    asked = next(question for question in paragraph.examples if question.id == each.id)
    places = {(text, _utf16(paragraph.context, start)): None for text, start in asked.placed}
    context = contexts.place(paragraph.context)
    return [each.id, article, context, each.question, list(places)]


def _utf16(context: str, start: int) -> int:
    """Return where a character stands as JavaScript counts."""
    return start if start < 0 else len(context[:start].encode("utf-16-le")) // 2


def _answers(pool: Pool, outcomes: Iterable[int]) -> list[list[Any]]:
    return [
        [each.prediction, round(100 * each.scores["f1"]), outcome]
        for each, outcome in zip(pool.values(), outcomes, strict=True)
    ]


def _given(questions: Iterable[Prediction], one: Answerer, pools: Iterable[Pool]) -> list[int]:
    return [
        list(pool).index((given.prediction, given.ended)) if given else NOWHERE
        for given, pool in (
            (one.answers.get(each.id), pool)
            for each, pool in zip(questions, pools, strict=True)
        )
    ]  # fmt: skip
