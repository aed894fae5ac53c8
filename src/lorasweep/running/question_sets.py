"""The question sets of a study, a role each: paragraphs, their rows, and what cards say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.examples import Dataset, fingerprint_of
from lorasweep.data.selection import Selection, sample
from lorasweep.data.trees import Forest
from lorasweep.errors import UserError
from lorasweep.folder.records import DataCard
from lorasweep.study.study import Study

# The role of the training questions on which losses are measured after training.
TRAIN_SAMPLE = "train_sample"


@dataclass(frozen=True)
class QuestionSet:
    """The paragraphs of one role (train, eval, test or train_sample) and their trees."""

    data: Dataset
    forest: Forest


def question_sets(
    study: Study, selection: Selection, tokenizer: Any, max_tokens: int
) -> dict[str, QuestionSet]:
    """Build the trees of each role; where answers are generated, room is kept for them."""
    roles = {"train": selection.train, "eval": selection.eval, "test": selection.test}
    sets = {}
    for role, data in roles.items():
        if data is None:
            continue
        room = 0 if role == "train" else study.evaluate.max_new_tokens
        builder = TreeBuilder(tokenizer, study.data.prompt, max_tokens, room)
        forest = builder.build(data.groups, study.data.too_long)
        if not forest.trees:
            beside = f" beside evaluate.max_new_tokens = {room}" if room else ""
            raise UserError(f"data.{role}: no question fits data.max_tokens = {max_tokens}{beside}")
        sets[role] = QuestionSet(data, forest)
    return sets


def train_sample(sets: dict[str, QuestionSet], seed: int) -> QuestionSet:
    """Return about as many training questions as there are to evaluate on, in whole paragraphs."""
    train, wanted = sets["train"], sets["eval"].forest.num_questions
    data = replace(train.data, groups=sample(train.data.groups, wanted, f"again/{seed}"))
    ids = {question.id for paragraph in data.groups for question in paragraph.examples}
    trees = [tree for tree in train.forest.trees if tree.branches[0].question_id in ids]
    return QuestionSet(data, Forest(tuple(trees) or train.forest.trees[:1]))


def card_of(role: str, sets: Mapping[str, QuestionSet]) -> DataCard:
    """Return what records say of the questions of a role, beside those of training."""
    data, forest = sets[role].data, sets[role].forest
    contexts, trained = (
        {paragraph.context for paragraph in sets[name].data.groups} for name in (role, "train")
    )
    return DataCard(
        sources=list(data.sources),
        articles=len({paragraph.source for paragraph in data.groups}),
        paragraphs=len({paragraph.cluster_id for paragraph in data.groups}),
        questions=forest.num_questions,
        unanswerable=data.unanswerable,
        too_long=len(forest.too_long),
        trunk_tokens=sum(len(tree.trunk_ids) for tree in forest.trees),
        branch_tokens=sum(len(b.input_ids) for tree in forest.trees for b in tree.branches),
        answer_tokens=sum(tree.num_answer_tokens for tree in forest.trees),
        longest_tokens=max(
            len(tree.trunk_ids) + len(b.prompt_ids) + len(b.answer_ids)
            for tree in forest.trees
            for b in tree.branches
        ),
        shared_contexts=None if role == "train" else len(contexts & trained),
        fingerprint=fingerprint_of(data),
    )


def warnings_of(cards: Mapping[str, DataCard], max_tokens: int) -> list[str]:
    """Return what people are told of questions that were left out."""
    return [*_unanswerable_warnings(cards), *_too_long_warnings(cards, max_tokens)]


def _unanswerable_warnings(cards: Mapping[str, DataCard]) -> list[str]:
    left_out = {tuple(card.sources): card.unanswerable for card in cards.values()}
    return [
        f"{count} questions of {', '.join(sources)} have no answer and are left out"
        for sources, count in left_out.items()
        if count
    ]


def _too_long_warnings(cards: Mapping[str, DataCard], max_tokens: int) -> list[str]:
    return [
        f"{card.too_long} {name} questions are longer than {max_tokens} tokens and are left out"
        for name, card in cards.items()
        if card.too_long
    ]
