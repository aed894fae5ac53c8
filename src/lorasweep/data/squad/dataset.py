"""Answers, questions, paragraphs and data sets, as they are after reading."""

from dataclasses import astuple, dataclass

from lorasweep.study.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Answer:
    """A reference answer; `start` is its offset in the context in characters, -1 if no span."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its reference answers; `id` is unique in a data set."""

    id: str
    text: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A context with its questions; `id` is "article/index", unique in a data set.

    A question that was drawn alone stands in a paragraph of its own: "article/index#question id".
    `untitled_file` names the file of a paragraph that has no title there.
    """

    id: str
    article: str
    context: str
    questions: tuple[Question, ...]
    untitled_file: str = ""

    @property
    def source_id(self) -> str:
        """The id of the paragraph that a question was drawn from, for statistics by paragraph."""
        return self.id.partition("#")[0]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The answerable questions of some sources; `unanswerable_ids` are of those left out."""

    sources: tuple[str, ...]
    paragraphs: tuple[Paragraph, ...]
    unanswerable_ids: frozenset[str] = frozenset()

    @property
    def unanswerable(self) -> int:
        """How many questions were left out because they have no answer."""
        return len(self.unanswerable_ids)

    @property
    def num_questions(self) -> int:
        """How many questions there are."""
        return sum(len(paragraph.questions) for paragraph in self.paragraphs)

    @property
    def counts(self) -> dict[str, int]:
        """How many questions, paragraphs and articles there are, and what was left out."""
        return {
            "questions": self.num_questions,
            "paragraphs": len({paragraph.source_id for paragraph in self.paragraphs}),
            "articles": len({paragraph.article for paragraph in self.paragraphs}),
            "unanswerable": self.unanswerable,
        }


def fingerprint_of(dataset: Dataset) -> str:
    """Return 12 hexadecimal digits for the ids, contexts, questions and answers, in order.

    All paragraphs of a file without titles go by its name there, so that studies of when they were
    one article are known again.
    """
    return fingerprint(
        [
            (p.id, p.untitled_file or p.article, p.context, [astuple(q) for q in p.questions])
            for p in dataset.paragraphs
        ]
    )
