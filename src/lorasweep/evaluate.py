"""Scoring: evaluation loss by teacher forcing, answers by generation, EM and F1 with intervals."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lorasweep.base import Base
from lorasweep.decode import Answer, decode_greedy
from lorasweep.metrics import exact_match, f1
from lorasweep.records import Prediction, Scores
from lorasweep.squad import Paragraph
from lorasweep.stats import Clusters, Interval, bootstrap_interval
from lorasweep.train import answer_loss
from lorasweep.trees import Tree, lay_out, micro_batches


@torch.no_grad()
def evaluation_loss(
    base: Base, trees: Sequence[Tree], num_lanes: int, micro_tokens: int
) -> list[float]:
    """Return each lane's mean negative log-likelihood per answer token, in nats."""
    total_K = torch.zeros(num_lanes, dtype=torch.float64)
    for group in micro_batches(trees, max(1, micro_tokens // num_lanes)):
        rows = lay_out(group, base.device)
        total_K += answer_loss(base, rows, num_lanes).double().cpu()
    return [float(v) for v in total_K / sum(tree.num_answer_tokens for tree in trees)]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answers of every lane by one decoder, and the seconds that a lane's share took."""

    answers_by_lane: list[list[Answer]]
    seconds_per_question: float


def decode_all(
    base: Base,
    trees: Sequence[Tree],
    num_lanes: int,
    max_new_tokens: int,
    micro_tokens: int,
    on_questions: Callable[[int], None],
) -> Decoded:
    """Answer all questions greedily for every lane; `on_questions` hears of progress."""
    started = time.perf_counter()
    answers: list[list[Answer]] = [[] for _ in range(num_lanes)]
    for group in decode_greedy(base, trees, num_lanes, max_new_tokens, micro_tokens):
        for lane, found in zip(answers, group, strict=True):
            lane.extend(found)
        on_questions(len(group[0]))
    seconds = time.perf_counter() - started
    return Decoded(answers, seconds / max(1, num_lanes * len(answers[0])))


def predictions_of(paragraphs: Sequence[Paragraph], answers: Sequence[Answer]) -> list[Prediction]:
    """Join answers with their questions and score each, in the paragraphs' order."""
    by_id = {answer.question_id: answer for answer in answers}
    return [
        _prediction(paragraph, number, by_id[question.id])
        for paragraph in paragraphs
        for number, question in enumerate(paragraph.questions)
        if question.id in by_id
    ]


def _prediction(paragraph: Paragraph, number: int, answer: Answer) -> Prediction:
    question = paragraph.questions[number]
    references = [reference.text for reference in question.answers]
    return Prediction(
        id=question.id,
        article=paragraph.article,
        paragraph=paragraph.source_id,
        question=question.text,
        prediction=answer.text,
        answers=references,
        ended=answer.ended,
        num_tokens=len(answer.token_ids),
        exact_match=exact_match(answer.text, references),
        f1=f1(answer.text, references),
    )


def scores_of(predictions: Sequence[Prediction], seconds_per_question: float | None) -> Scores:
    """Return mean EM and F1 in 0 to 100, with 95 % intervals by resampling paragraphs."""
    clusters = Clusters.of([prediction.paragraph for prediction in predictions])
    em = bootstrap_interval([100 * p.exact_match for p in predictions], clusters)
    f1_ = bootstrap_interval([100 * p.f1 for p in predictions], clusters)
    return Scores(
        exact_match=em.mean,
        f1=f1_.mean,
        exact_match_interval=_bounds(em, clusters),
        f1_interval=_bounds(f1_, clusters),
        num_questions=len(predictions),
        ended_share=sum(p.ended for p in predictions) / len(predictions),
        seconds_per_question=seconds_per_question,
    )


def _bounds(interval: Interval, clusters: Clusters) -> tuple[float, float] | None:
    """Return the ends; without any spread they meet in the mean, and one paragraph has none."""
    if interval.low is not None and interval.high is not None:
        return interval.low, interval.high
    return (interval.mean, interval.mean) if clusters.num_clusters > 1 else None
