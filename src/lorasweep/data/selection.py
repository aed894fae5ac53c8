"""Which questions are trained on, evaluated on and tested on: splits and samples.

Every order comes from a hash of the seed and an id, so that it does not depend on the order of
the files, and a larger sample holds the smaller one of the same seed.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from lorasweep.data.examples import Dataset, Group
from lorasweep.data.sources.reading import is_local
from lorasweep.data.squad.offsets import unplaced_warning
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError
from lorasweep.study.data_section import Data
from lorasweep.study.fingerprint import fingerprint

EVAL_SHARE = 0.2
# What else there is where a pool is one article, or one paragraph.
OTHER_FILES = "name other files in data.eval"
BY_PARAGRAPH = 'set data.split = "paragraph", which puts whole paragraphs on one side'
BY_QUESTION = (
    'set data.split = "question", which puts questions on the same paragraph on both sides and so '
    "flatters the scores"
)
LEAKING_SPLIT = (
    'data.split = "question": paragraphs stand on both the train and the eval side, '
    "so evaluation scores are higher than on unseen paragraphs"
)
Role = Literal["train", "eval", "test"]
Unit = Literal["paragraph", "question"]
Split = Literal["article", "paragraph", "question"]
T = TypeVar("T")


@dataclass(frozen=True)
class Selection:
    """The questions of a study, in the order in which they were drawn, and what is odd about them.

    `eval` is what runs are compared on; `test` is there if the study names test sources. `split`
    is how the train sources were split, None where they were not.
    """

    train: Dataset
    eval: Dataset
    test: Dataset | None
    warnings: tuple[str, ...]
    split: Split | None = None

    @property
    def sets(self) -> dict[Role, Dataset]:
        """The data set of each role that there is."""
        found: dict[Role, Dataset] = {"train": self.train, "eval": self.eval}
        return found | ({"test": self.test} if self.test else {})


def look(data: Data) -> Selection | None:
    """Select as `select` does where all sources are on this machine, else None.

    Files are read all the same beside sources of the Hub, whose client is slow to import. Raises
    UserError as `select` does.
    """
    roles = [data.train, data.eval, data.test]
    if all(is_local(source) for sources in roles for source in sources):
        return select(data)
    for sources in roles:
        if sources and all(map(is_local, sources)):
            load(sources)
    return None


def select(data: Data) -> Selection:
    """Load a study's sources, split the train sources if there are no others, and sample.

    `data.seed` alone decides. Evaluation and test questions are drawn by whole paragraphs.
    Raises UserError where a source is wrong or cannot be split.
    """
    loaded = load(data.train)
    split = None if data.eval else _split_of(loaded, data)
    train, evaluation = _split(loaded, data, split) if split else (loaded, load(data.eval))
    pools: dict[Role, Dataset] = {"train": train, "eval": evaluation}
    if data.test:
        pools["test"] = load(data.test)
    drawn = {role: _draw(role, pool, data) for role, pool in pools.items()}
    warnings = (*_shortages(drawn, data), *_leaks(drawn, split), *_unplaced(drawn))
    return Selection(drawn["train"], drawn["eval"], drawn.get("test"), warnings, split)


def sample(
    paragraphs: Iterable[Group],
    num_questions: int | None,
    seed: int | str,
    unit: Unit = "paragraph",
) -> tuple[Group, ...]:
    """Return paragraphs in an order shuffled by the seed, until `num_questions` are reached.

    With unit "paragraph" whole ones are taken, so there may be a few questions more; with unit
    "question" each question is a paragraph of its own, so the number is exact. None takes all.
    """
    units = paragraphs if unit == "paragraph" else _alone(paragraphs)
    ordered = _shuffled(units, seed, key=lambda paragraph: paragraph.id)
    wanted = math.inf if num_questions is None else num_questions
    taken: list[Group] = []
    num_taken = 0
    for paragraph in ordered:
        if num_taken >= wanted:
            break
        taken.append(paragraph)
        num_taken += len(paragraph.examples)
    return tuple(taken)


def _shuffled(items: Iterable[T], seed: int | str, key: Callable[[T], str]) -> list[T]:
    return sorted(items, key=lambda item: (fingerprint(f"{seed}/{key(item)}"), key(item)))


def _alone(paragraphs: Iterable[Group]) -> Iterator[Group]:
    for paragraph in paragraphs:
        for question in paragraph.examples:
            yield replace(
                paragraph, id=f"{paragraph.cluster_id}#{question.id}", examples=(question,)
            )


def _draw(role: Role, pool: Dataset, data: Data) -> Dataset:
    unit = data.sample if role == "train" else "paragraph"
    # the role is part of the seed: files with the same ids must not be drawn alike for two roles
    drawn = sample(pool.groups, _num_wanted(role, data), f"{role}/{data.seed}", unit)
    return replace(pool, groups=drawn)


def _num_wanted(role: Role, data: Data) -> int | None:
    return {"train": data.num_train, "eval": data.num_eval, "test": data.num_test}[role]


def _split_of(loaded: Dataset, data: Data) -> Split:
    """Return how the train sources are split: where there are no titles, "auto" is by paragraph."""
    if data.split != "auto":
        return data.split
    articles = {paragraph.source for paragraph in loaded.groups}
    untitled = all(paragraph.untitled_file for paragraph in loaded.groups)
    return "paragraph" if len(articles) == 1 and untitled else "article"


def _split(loaded: Dataset, data: Data, split: Split) -> tuple[Dataset, Dataset]:
    """Return what is trained on and what is evaluated on."""
    if split == "question":
        chosen = _hold_out_questions(loaded, data)
    else:
        keys = _articles(loaded) if split == "article" else [p.context for p in loaded.groups]
        chosen = _hold_out(loaded, data, keys, split)
    held_out = _question_ids(chosen)
    stay = _question_ids(loaded.groups) - held_out
    return _restrict(loaded, stay), _restrict(loaded, held_out)


def _articles(loaded: Dataset) -> list[str]:
    """Return each paragraph's article; a file without titles is one where there is another.

    Studies were split so before entries without a title were told apart.
    """
    by_file = [paragraph.untitled_file or paragraph.source for paragraph in loaded.groups]
    return by_file if len(set(by_file)) > 1 else [p.source for p in loaded.groups]


def _hold_out(loaded: Dataset, data: Data, keys: Sequence[str], split: Split) -> list[Group]:
    """Choose whole articles or contexts, by `keys`, for evaluation; one at least stays."""
    groups: dict[str, list[Group]] = defaultdict(list)
    for key, paragraph in zip(keys, loaded.groups, strict=True):
        groups[key].append(paragraph)
    if len(groups) < 2:
        raise UserError(_cannot_be_split(loaded, split))
    held_out: list[Group] = []
    for key in _shuffled(groups, f"split/{data.seed}", key=str)[:-1]:
        if len(_question_ids(held_out)) >= _num_held_out(loaded, data):
            break
        held_out += groups[key]
    return held_out


def _cannot_be_split(loaded: Dataset, split: Split) -> str:
    """Say that there is one article, or one paragraph, and what else can be done."""
    name = loaded.groups[0].source if split == "article" else loaded.groups[0].id
    options = [OTHER_FILES, BY_QUESTION]
    if len({paragraph.context for paragraph in loaded.groups}) > 1:
        options.insert(1, BY_PARAGRAPH)
    return (
        f"data.train holds one {split}, {name!r}, which cannot be split by {split}; "
        f"{', '.join(options[:-1])}, or {options[-1]}"
    )


def _hold_out_questions(loaded: Dataset, data: Data) -> Sequence[Group]:
    """Choose questions for evaluation, whatever their paragraphs; at least one stays."""
    if loaded.num_examples < 2:
        raise UserError(
            "data.train holds one question, which cannot be split; name other files in data.eval"
        )
    wanted = min(_num_held_out(loaded, data), loaded.num_examples - 1)
    return sample(loaded.groups, wanted, f"split/{data.seed}", "question")


def _num_held_out(loaded: Dataset, data: Data) -> int:
    return data.num_eval or math.ceil(EVAL_SHARE * loaded.num_examples)


def _question_ids(paragraphs: Iterable[Group]) -> set[str]:
    return {question.id for paragraph in paragraphs for question in paragraph.examples}


def _restrict(dataset: Dataset, question_ids: set[str]) -> Dataset:
    restricted = (
        replace(paragraph, examples=tuple(q for q in paragraph.examples if q.id in question_ids))
        for paragraph in dataset.groups
    )
    return replace(dataset, groups=tuple(p for p in restricted if p.examples))


def _shortages(drawn: Mapping[Role, Dataset], data: Data) -> Iterator[str]:
    for role, dataset in drawn.items():
        wanted = _num_wanted(role, data)
        if wanted and dataset.num_examples < wanted:
            yield (
                f"data.num_{role} = {wanted}, but there are only {dataset.num_examples} "
                f"{role} questions: all are taken"
            )


def _unplaced(drawn: Mapping[Role, Dataset]) -> Iterator[str]:
    """Count answers that are not in their texts: `span` and the analysis have no place for them."""
    for role, dataset in drawn.items():
        yield from unplaced_warning(dataset, f"{role} ")


def _leaks(drawn: Mapping[Role, Dataset], split: Split | None) -> Iterator[str]:
    """Name the contexts that stand in two roles; a split by question does so by design."""
    by_question = split == "question"
    if by_question:
        yield LEAKING_SPLIT
    contexts = {role: {p.context for p in dataset.groups} for role, dataset in drawn.items()}
    for one, other in itertools.combinations(drawn, 2):
        num_shared = len(contexts[one] & contexts[other])
        if num_shared and not (by_question and (one, other) == ("train", "eval")):
            yield f"contexts that stand in both the {one} and the {other} questions: {num_shared}"
