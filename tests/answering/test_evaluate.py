"""Evaluation: the loss by teacher forcing, answers by generation, and their scores."""

import math
from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from asked import Placed, question_of
from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.strategies import decode_greedy
from lorasweep.answering.evaluate import decode_all, paragraph_losses, predictions_of
from lorasweep.data.examples import Example, Group
from lorasweep.data.trees import Tree, separate_rows
from lorasweep.folder.scores import Prediction
from lorasweep.model.base import Base
from lorasweep.scoring.answer_scores import scores_of
from lorasweep.scoring.scorers.listed import scorers_of
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import bootstrap_interval
from lorasweep.study.decoders import Decoder, parse_decoder
from lorasweep.study.sections import Evaluate
from reference import evaluation_loss, exact_norms, mixed_lanes, own_loss, randomise_B, with_peft

ALL_AT_ONCE = 100_000


def test_the_loss_is_the_models_own_however_it_is_cut(
    architecture: str,
    make_model: Callable[..., PreTrainedModel],
    exact_base: Base,
    trees: tuple[Tree, ...],
) -> None:
    lanes = mixed_lanes(exact_base)
    with exact_base.adapted(lanes) as adapters:
        randomise_B(adapters)
        found = evaluation_loss(exact_base, trees, len(lanes), ALL_AT_ONCE)
        for cut in (1, 500):
            assert evaluation_loss(exact_base, trees, len(lanes), cut) == pytest.approx(
                found, rel=1e-9
            )
        weights = [adapters.weights_of(k) for k in range(len(lanes))]
    for loss, lane, pairs in zip(found, lanes, weights, strict=True):
        tuned = with_peft(exact_norms(make_model(architecture).double()), lane, pairs)
        with torch.no_grad():
            assert loss == pytest.approx(float(own_loss(tuned, trees)), rel=1e-9)


def test_each_paragraph_has_its_own_loss_and_tokens(
    exact_base: Base, trees: tuple[Tree, ...]
) -> None:
    """Micro-batches go by length; two trees of one paragraph count together."""
    lanes = mixed_lanes(exact_base)
    owner_of = {tree.id: f"paragraph {number // 2}" for number, tree in enumerate(trees)}
    owners = {b.question_id: owner_of[tree.id] for tree in trees for b in tree.branches}
    with exact_base.adapted(lanes) as adapters:
        randomise_B(adapters)
        alone = [
            paragraph_losses(exact_base, [tree], len(lanes), ALL_AT_ONCE, owners) for tree in trees
        ]
        for cut in (1, 500, ALL_AT_ONCE):
            found = paragraph_losses(exact_base, trees, len(lanes), cut, owners)
            assert found.paragraphs == tuple(dict.fromkeys(owner_of.values()))
            for g, name in enumerate(found.paragraphs):
                own = [losses for losses in alone if losses.paragraphs == (name,)]
                assert found.num_answer_tokens[g] == sum(o.num_answer_tokens[0] for o in own)
                expected = sum(o.losses_KG[:, 0] for o in own)
                assert found.losses_KG[:, g] == pytest.approx(expected, rel=1e-9)


def test_all_questions_are_answered_and_progress_is_told(
    exact_base: Base, trees: tuple[Tree, ...]
) -> None:
    lanes = mixed_lanes(exact_base)
    heard: list[int] = []
    with exact_base.adapted(lanes):
        prompts = Prompts(exact_base, trees, len(lanes), 900)
        how = Evaluate(max_new_tokens=3)
        decoded = decode_all(prompts, Decoder("greedy"), how, {}, heard.append)
        groups = list(decode_greedy(prompts, 3))
    assert len(heard) == len(groups) > 1
    assert sum(heard) == sum(len(tree.branches) for tree in trees)
    assert decoded.seconds_per_question > 0
    for k, answers in enumerate(decoded.answers_by_lane):
        assert answers == [answer for group in groups for answer in group[k]]
        ids = sorted(answer.question_id for answer in answers)
        assert ids == sorted(b.question_id for t in separate_rows(trees) for b in t.branches)


def asked(question_id: str, *answers: str) -> Example:
    return question_of(question_id, f"{question_id}?", tuple(Placed(a, 0) for a in answers))


SCORERS = scorers_of(Evaluate())
PARAGRAPHS = (
    Group("town/0", "town", "...", (asked("a", "The Mill", "an old mill"), asked("b", "1841"))),
    # Drawn alone, so the paragraph's id names the question too.
    Group("town/1#c", "town", "...", (asked("c", "blue clay"),)),
    Group("town/1#d", "town", "...", (asked("d", "red"),)),
)


def answer(question_id: str, text: str, ended: bool = True) -> Answer:
    return Answer(question_id, text, ended, (1, 2, 3))


def predictions() -> list[Prediction]:
    answers = [
        answer("c", "red clay"),
        answer("b", "1856", ended=False),
        answer("a", "old mill."),
    ]
    return predictions_of(PARAGRAPHS, answers, SCORERS)


def test_predictions_come_in_the_paragraphs_order_with_their_best_scores() -> None:
    found = predictions()
    # "d" was left out (too long): it has no answer and no score.
    assert [p.id for p in found] == ["a", "b", "c"]
    assert [p.scores["exact_match"] for p in found] == [1.0, 0.0, 0.0]
    assert [p.scores["f1"] for p in found] == [1.0, 0.0, 0.5]
    assert [p.paragraph for p in found] == ["town/0", "town/0", "town/1"]
    first = found[0]
    assert first.answers == ["The Mill", "an old mill"]
    assert (first.question, first.prediction, first.article) == ("a?", "old mill.", "town")
    assert (first.ended, first.num_tokens) == (True, 3)


def test_scores_are_means_in_percent_with_intervals_by_paragraph() -> None:
    scores = scores_of(predictions(), seconds_per_question=0.5)
    assert scores.scores["exact_match"].mean == pytest.approx(100 / 3)
    assert scores.rank.mean == pytest.approx(50.0)
    assert scores.num_questions == 3
    assert scores.ended_share == pytest.approx(2 / 3)
    assert scores.seconds_per_question == 0.5
    for interval, mean in (
        (scores.scores["exact_match"].interval, scores.scores["exact_match"].mean),
        (scores.rank.interval, scores.rank.mean),
    ):
        if interval is not None:
            low, high = interval
            assert 0 <= low <= mean <= high <= 100


def test_one_paragraph_gives_a_score_without_an_interval() -> None:
    scores = scores_of(predictions()[:2], None)
    assert (scores.scores["exact_match"].mean, scores.scores["exact_match"].interval) == (
        50.0,
        None,
    )
    assert math.isfinite(scores.rank.mean)


def drawn(question_id: str, *texts: str) -> list[Answer]:
    return [Answer(question_id, text, True, (1,) * n, n) for n, text in enumerate(texts)]


def test_draws_come_in_order_and_count_as_one_score() -> None:
    answers = [*drawn("b", "1841", "in 1841", "The 1841.", "1856"), *drawn("c", *["red"] * 4)]
    rows = predictions_of(PARAGRAPHS, answers[::-1], SCORERS)
    assert [(row.id, row.draw) for row in rows] == [(q, n) for q in "bc" for n in range(4)]
    scores = scores_of(rows, None, samples=True)
    assert scores.num_questions == 2
    assert scores.scores["exact_match"].mean == pytest.approx(100 * (2 / 4 + 0) / 2)
    assert scores.rank.mean == pytest.approx(100 * (1 + 2 / 3 + 1 + 0) / 4 / 2)
    assert (scores.scores["exact_match"].best_of_n, scores.rank.best_of_n) == (50.0, 50.0)
    assert scores.distinct_answers == (3 + 1) / 2
    # Of the six pairs of each question one agrees, and all do.
    assert scores.agreement == pytest.approx((1 + 6) / 12)
    assert scores.answer_tokens == 1.5


def test_intervals_are_those_of_the_questions_means() -> None:
    answers = [
        *drawn("a", "old stone mill", "mill"),
        *drawn("b", "1841", "1"),
        *drawn("c", "x", "y"),
    ]
    given = predictions_of(PARAGRAPHS, answers, SCORERS)
    rows = [
        row.model_copy(update={"id": f"{row.id}{k}", "paragraph": f"{row.paragraph}{k}"})
        for k in range(3)
        for row in given
    ]
    scores = scores_of(rows, None, samples=True)
    means = [100 * (4 / 5 + 1) / 2, 50.0, 0.0] * 3
    paragraphs = [f"town/{i}{k}" for k in range(3) for i in (0, 0, 1)]
    expected = bootstrap_interval(means, Clusters.of(paragraphs))
    assert scores.rank.mean == pytest.approx(expected.mean)
    assert scores.rank.interval == pytest.approx((expected.low, expected.high))


def test_intervals_of_two_paragraphs_stay_between_0_and_100() -> None:
    answers = [*drawn("a", "mill", "1"), *drawn("b", "1841", "1"), *drawn("c", "x", "y")]
    scores = scores_of(predictions_of(PARAGRAPHS, answers, SCORERS), None, samples=True)
    assert scores.rank.interval == (0.0, 100.0)


def test_one_draw_has_no_pairs_and_one_answer_nothing_of_draws() -> None:
    rows = predictions_of(PARAGRAPHS, drawn("b", "1841"), SCORERS)
    assert scores_of(rows, None, samples=True).agreement is None
    assert scores_of(rows, None, samples=True).distinct_answers == 1
    plain = scores_of(rows, None)
    found = (plain.rank.best_of_n, plain.scores["exact_match"].best_of_n, plain.distinct_answers,
             plain.agreement)  # fmt: skip
    assert found == (None, None, None, None)
    assert plain.answer_tokens == 0


def test_every_decoder_answers_every_question(
    exact_base: Base, trees: tuple[Tree, ...], paragraphs: tuple[Group, ...]
) -> None:
    contexts = {q.id: p.context for p in paragraphs for q in p.examples}
    how, heard = Evaluate(max_new_tokens=3, draws=2), list[int]()
    for name in ("greedy", "span", "beam-2", "top-k-3", "nucleus-0.5", "temperature-2"):
        decoder = parse_decoder(name)
        heard.clear()
        prompts = Prompts(exact_base, trees, 2, 900)
        decoded = decode_all(prompts, decoder, how, contexts, heard.append)
        assert sum(heard) == len(contexts)
        draws = how.draws if decoder.samples else 1
        for answers in decoded.answers_by_lane:
            rows = predictions_of(paragraphs, answers, SCORERS)
            ids = [q.id for p in paragraphs for q in p.examples]
            assert [(r.id, r.draw) for r in rows] == [(i, n) for i in ids for n in range(draws)]


def test_where_all_is_wrong_the_interval_knows_how_many_paragraphs_there_were() -> None:
    wrong = predictions()[0].model_copy(update={"scores": {"exact_match": 0.0, "f1": 0.0}})
    rows = [wrong.model_copy(update={"id": f"q{i}", "paragraph": f"p{i}"}) for i in range(12)]
    scores = scores_of(rows, None)
    assert (
        scores.rank.interval
        == scores.scores["exact_match"].interval
        == pytest.approx((0, 24.2), abs=0.05)
    )
    halves = [row.model_copy(update={"scores": row.scores | {"f1": 0.5}}) for row in rows]
    assert scores_of(halves, None).rank.interval is None
