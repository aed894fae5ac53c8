"""Evaluation: loss by teacher forcing, and answers by generation, each scored by EM and F1."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.strategies import decode
from lorasweep.data.cuts import micro_batches, parts
from lorasweep.data.examples import Example, Group
from lorasweep.data.trees import Tree, lay_out
from lorasweep.folder.scores import Prediction
from lorasweep.model.base import Base
from lorasweep.scoring.scorers.scorer import Scorer
from lorasweep.study.decoders import Decoder
from lorasweep.study.sections import Evaluate
from lorasweep.training.loss import answer_losses
from lorasweep.training.race import ParagraphLosses


@torch.no_grad()
def paragraph_losses(
    base: Base,
    trees: Sequence[Tree],
    num_lanes: int,
    micro_tokens: int,
    paragraph_of: Mapping[str, str],
) -> ParagraphLosses:
    """Return each lane's negative log-likelihood by paragraph, in nats.

    `paragraph_of` maps the ids of questions to the paragraphs that they are on.
    """
    cut = parts(trees, micro_tokens, num_lanes)
    groups = micro_batches(cut, micro_tokens, num_lanes, base.device)
    by_tree_KR = torch.cat([_tree_losses(base, group, num_lanes) for group in groups], dim=1)
    paragraphs = dict.fromkeys(_paragraph(tree, paragraph_of) for tree in trees)
    number = {name: n for n, name in enumerate(paragraphs)}
    # Micro-batches go by length: names and counts of tokens are taken in their order.
    ordered = [tree for group in groups for tree in group]
    index = [number[_paragraph(tree, paragraph_of)] for tree in ordered]
    tokens = np.bincount(index, [tree.num_answer_tokens for tree in ordered]).astype(int)
    sums_KG = np.array([np.bincount(index, row) for row in by_tree_KR.numpy()], dtype=np.float64)
    return ParagraphLosses(tuple(paragraphs), tuple(tokens.tolist()), sums_KG)


def _tree_losses(base: Base, group: Sequence[Tree], num_lanes: int) -> Tensor:
    """Return [K, R]: each lane's loss summed over each tree's answer tokens."""
    loss_KN = answer_losses(base, lay_out(group, base.device), num_lanes).double().cpu()
    parts = torch.split(loss_KN, [tree.num_answer_tokens for tree in group], dim=1)
    return torch.stack([part.sum(1) for part in parts], dim=1)


def _paragraph(tree: Tree, paragraph_of: Mapping[str, str]) -> str:
    return paragraph_of[tree.branches[0].question_id]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answers of every lane by one decoder, and the seconds that a lane's share takes.

    Those of a decoder alone: prompts that were known already count with what they took.
    """

    answers_by_lane: list[list[Answer]]
    seconds_per_question: float


def decode_all(
    prompts: Prompts,
    decoder: Decoder,
    how: Evaluate,
    contexts: Mapping[str, str],
    on_questions: Callable[[int], None],
) -> Decoded:
    """Answer all questions for every lane; `on_questions` hears of progress.

    `contexts` holds the context of each question, by its id.
    """
    started = time.perf_counter() + prompts.seconds_saved
    answers: list[list[Answer]] = [[] for _ in range(prompts.num_lanes)]
    for group in decode(prompts, decoder, how, contexts):
        for lane, found in zip(answers, group, strict=True):
            lane.extend(found)
        on_questions(sum(answer.draw == 0 for answer in group[0]))
    seconds = time.perf_counter() - started + prompts.seconds_saved
    num_questions = sum(len(tree.branches) for tree in prompts.trees)
    return Decoded(answers, seconds / max(1, prompts.num_lanes * num_questions))


def predictions_of(
    groups: Sequence[Group], answers: Sequence[Answer], scorers: Sequence[Scorer]
) -> list[Prediction]:
    """Join answers with their examples and score each, in the groups' order and the draws'."""
    by_id: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda each: each.draw):
        by_id.setdefault(answer.question_id, []).append(answer)
    return [
        _prediction(group, example, answer, scorers)
        for group in groups
        for example in group.examples
        for answer in by_id.get(example.id, ())
    ]


def _prediction(
    group: Group, example: Example, answer: Answer, scorers: Sequence[Scorer]
) -> Prediction:
    return Prediction(
        id=example.id,
        article=group.source,
        paragraph=group.cluster_id,
        question=example.asked,
        prediction=answer.text,
        answers=list(example.references),
        ended=answer.ended,
        num_tokens=len(answer.token_ids),
        scores={scorer.name: scorer.score(answer.text, example) for scorer in scorers},
        draw=answer.draw,
    )
