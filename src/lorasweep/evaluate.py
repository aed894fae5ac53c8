"""Scoring: evaluation loss by teacher forcing, answers by generation, EM and F1 with intervals."""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lorasweep.base import Base
from lorasweep.decode import Answer, decode
from lorasweep.decoders import Decoder
from lorasweep.metrics import exact_match, f1, normalise
from lorasweep.race import ParagraphLosses
from lorasweep.records import Prediction, Scores
from lorasweep.squad import Paragraph
from lorasweep.stats import Clusters, Interval, bootstrap_interval
from lorasweep.study import Evaluate
from lorasweep.train import answer_losses
from lorasweep.trees import Tree, lay_out, micro_batches


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
    losses = []
    for group in micro_batches(trees, max(1, micro_tokens // num_lanes)):
        loss_KN = answer_losses(base, lay_out(group, base.device), num_lanes).double().cpu()
        parts = torch.split(loss_KN, [tree.num_answer_tokens for tree in group], dim=1)
        losses += [part.sum(1) for part in parts]
    names = [paragraph_of[tree.branches[0].question_id] for tree in trees]
    paragraphs = {name: number for number, name in enumerate(dict.fromkeys(names))}
    index = [paragraphs[name] for name in names]
    tokens = np.bincount(index, [tree.num_answer_tokens for tree in trees]).astype(int)
    by_tree_KR = torch.stack(losses, dim=1).numpy()
    sums_KG = np.array([np.bincount(index, row) for row in by_tree_KR], dtype=np.float64)
    return ParagraphLosses(tuple(paragraphs), tuple(tokens.tolist()), sums_KG)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answers of every lane by one decoder, and the seconds that a lane's share took."""

    answers_by_lane: list[list[Answer]]
    seconds_per_question: float


def decode_all(
    base: Base,
    trees: Sequence[Tree],
    num_lanes: int,
    decoder: Decoder,
    how: Evaluate,
    micro_tokens: int,
    contexts: Mapping[str, str],
    on_questions: Callable[[int], None],
) -> Decoded:
    """Answer all questions for every lane; `on_questions` hears of progress.

    `contexts` holds the context of each question, by its id.
    """
    started = time.perf_counter()
    answers: list[list[Answer]] = [[] for _ in range(num_lanes)]
    for group in decode(base, trees, num_lanes, decoder, how, micro_tokens, contexts):
        for lane, found in zip(answers, group, strict=True):
            lane.extend(found)
        on_questions(sum(answer.draw == 0 for answer in group[0]))
    seconds = time.perf_counter() - started
    num_questions = sum(len(tree.branches) for tree in trees)
    return Decoded(answers, seconds / max(1, num_lanes * num_questions))


def predictions_of(paragraphs: Sequence[Paragraph], answers: Sequence[Answer]) -> list[Prediction]:
    """Join answers with their questions and score each, in the paragraphs' order and the draws'."""
    by_id: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda each: each.draw):
        by_id.setdefault(answer.question_id, []).append(answer)
    return [
        _prediction(paragraph, number, answer)
        for paragraph in paragraphs
        for number, question in enumerate(paragraph.questions)
        for answer in by_id.get(question.id, ())
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
        draw=answer.draw,
    )


def scores_of(
    predictions: Sequence[Prediction], seconds_per_question: float | None, samples: bool = False
) -> Scores:
    """Return mean EM and F1 in 0 to 100, with 95 % intervals by resampling paragraphs.

    A question's draws count as one score, their mean; `samples` says that answers were drawn.
    """
    questions = _by_question(predictions)
    clusters = Clusters.of([draws[0].paragraph for draws in questions])
    em = bootstrap_interval([100 * _mean(p.exact_match for p in q) for q in questions], clusters)
    f1_ = bootstrap_interval([100 * _mean(p.f1 for p in q) for q in questions], clusters)
    return Scores(
        exact_match=em.mean,
        f1=f1_.mean,
        exact_match_interval=_bounds(em, clusters),
        f1_interval=_bounds(f1_, clusters),
        num_questions=len(questions),
        ended_share=_mean(p.ended for p in predictions),
        seconds_per_question=seconds_per_question,
        answer_tokens=_mean(p.num_tokens for p in predictions),
        **(_of_draws(questions) if samples else {}),
    )


def _by_question(predictions: Sequence[Prediction]) -> list[list[Prediction]]:
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.id, []).append(prediction)
    return list(found.values())


def _of_draws(questions: Sequence[Sequence[Prediction]]) -> dict[str, float | None]:
    """Return what only several draws of a question can show."""
    texts = [[normalise(p.prediction) for p in draws] for draws in questions]
    pairs = [a == b for draws in texts for a, b in itertools.combinations(draws, 2)]
    return {
        "best_of_n_exact_match": 100 * _mean(max(p.exact_match for p in q) for q in questions),
        "best_of_n_f1": 100 * _mean(max(p.f1 for p in q) for q in questions),
        "distinct_answers": _mean(len(set(draws)) for draws in texts),
        "agreement": _mean(pairs) if pairs else None,
    }


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _bounds(interval: Interval, clusters: Clusters) -> tuple[float, float] | None:
    """Return the ends; without any spread they meet in the mean, and one paragraph has none."""
    if interval.low is not None and interval.high is not None:
        return interval.low, interval.high
    return (interval.mean, interval.mean) if clusters.num_clusters > 1 else None
