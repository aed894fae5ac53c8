"""Examples, their groups and data sets: what every form of data is read as."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorasweep.study.fingerprint import fingerprint

# A turn as a chat template gets it: a role, a content, and what else the row says (tool calls).
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to answer; `id` is unique in a data set.

    `prompt` is the text before the answer, or the turns before it; of the form qa it is the
    question alone, as its group has the context. `references` are what answers are compared with,
    none where a question has no answer; `starts` are their places in the context in characters,
    -1 where they have none. `answer` is what is learned: the exact text behind a prompt, or an
    assistant's turn; None stands for the first reference behind a space. `choices` are the texts
    to choose from, `tools` the JSON schemas that a chat template is handed, and `fields` the row's
    own columns, for scorers and the report.
    """

    id: str
    prompt: str | tuple[Message, ...]
    references: tuple[str, ...]
    starts: tuple[int, ...] = ()
    answer: str | Message | None = None
    choices: tuple[str, ...] = ()
    tools: tuple[Message, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Return a hash of the id: turns and columns have none."""
        return hash(self.id)

    @property
    def asked(self) -> str:
        """What people are shown of the prompt: the text itself, or its last turn."""
        if isinstance(self.prompt, str):
            return self.prompt
        return str(self.prompt[-1].get("content") or "") if self.prompt else ""

    @property
    def placed(self) -> tuple[tuple[str, int], ...]:
        """The references with their places in the context, -1 where they have none."""
        return tuple(zip(self.references, self.starts, strict=True))


@dataclass(frozen=True, slots=True)
class Group:
    """Examples that share what they are about: drawn whole, and one cluster of the statistics.

    A paragraph with its questions, or a conversation's turns. `source` is what splits keep whole,
    such as an article; `context` is a paragraph's text. `id` is unique in a data set; an example
    that was drawn alone stands in a group of its own, "group's id#example's id". `untitled_file`
    names the file of a group that has no source there.
    """

    id: str
    source: str
    context: str
    examples: tuple[Example, ...]
    untitled_file: str = ""

    @property
    def cluster_id(self) -> str:
        """The id of the group that an example was drawn from, for statistics by group."""
        return self.id.partition("#")[0]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The examples of some files; `unanswerable_ids` are of questions left out."""

    sources: tuple[str, ...]
    groups: tuple[Group, ...]
    unanswerable_ids: frozenset[str] = frozenset()

    @property
    def unanswerable(self) -> int:
        """How many questions were left out because they have no answer."""
        return len(self.unanswerable_ids)

    @property
    def num_examples(self) -> int:
        """How many examples there are."""
        return sum(len(group.examples) for group in self.groups)

    @property
    def counts(self) -> dict[str, int]:
        """How many questions, paragraphs and articles there are, and what was left out."""
        return {
            "questions": self.num_examples,
            "paragraphs": len({group.cluster_id for group in self.groups}),
            "articles": len({group.source for group in self.groups}),
            "unanswerable": self.unanswerable,
        }


def fingerprint_of(dataset: Dataset) -> str:
    """Return 12 hexadecimal digits for the ids, contexts, prompts and references, in order.

    All groups of a file without titles go by its name there, so that studies of when they were one
    article are known again; and what a question of a paragraph has not is left out.
    """
    return fingerprint(
        [
            (g.id, g.untitled_file or g.source, g.context, [_deciding(e) for e in g.examples])
            for g in dataset.groups
        ]
    )


def _deciding(example: Example) -> Sequence[Any]:
    """Return what of an example decides what is learned and scored."""
    placed = example.placed if example.starts else example.references
    further = {
        "answer": example.answer,
        "choices": example.choices,
        "tools": example.tools,
        "fields": dict(example.fields),
    }
    given = {name: value for name, value in further.items() if value}
    return (example.id, example.prompt, placed, *([given] if given else []))
