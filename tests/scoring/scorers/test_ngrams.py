"""chrF and BLEU: sacrebleu's figures of sentences and of whole sets, and formulas written anew."""

import math
from collections import Counter

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from written import example, pairs

from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers.listed import parse_scorer
from lorasweep.scoring.scorers.scorer import Scorer, statistics_of

RULES = parse_rules("squad-v1.1")
PAIRS = list(pairs(1500, seed=1))
METRICS = {"chrf": CHRF(), "bleu": BLEU()}
OF_SENTENCES = {"chrf": CHRF(), "bleu": BLEU(effective_order=True)}


def statistics(scorer: Scorer) -> np.ndarray:
    assert scorer.corpus is not None
    answers, examples = zip(*PAIRS, strict=True)
    return statistics_of(scorer.name, scorer.corpus, answers, examples)


def by_sacrebleu(name: str, chosen: list[int]) -> float:
    """Return sacrebleu's figure, 0 to 100; missing references are None there."""
    answers = [PAIRS[number][0] for number in chosen]
    references = [
        [dict(enumerate(PAIRS[number][1].references)).get(place) for number in chosen]
        for place in range(3)
    ]
    return float(METRICS[name].corpus_score(answers, references).score)


@pytest.mark.parametrize("name", METRICS)
def test_sums_of_statistics_give_the_score_of_the_whole_set(name: str) -> None:
    scorer = parse_scorer(name, RULES)
    assert scorer.corpus is not None
    counts = statistics(scorer)
    rng = np.random.default_rng(0)
    sizes = [1, 1, 2, 3, 5, 20, len(PAIRS)]
    draws = [rng.integers(len(PAIRS), size=size).tolist() for size in sizes * 6]
    sums = np.stack([counts[draw].sum(axis=0) for draw in draws])
    found = 100 * scorer.corpus.combine(sums)
    expected = [by_sacrebleu(name, draw) for draw in draws]
    assert found == pytest.approx(expected, rel=0, abs=1e-9)
    cube = scorer.corpus.combine(sums.reshape(2, -1, sums.shape[-1]))
    assert cube.shape == (2, len(draws) // 2)
    assert np.array_equal(100 * cube.ravel(), found)


@pytest.mark.parametrize("name", METRICS)
def test_an_example_has_the_score_of_its_sentence(name: str) -> None:
    scorer = parse_scorer(name, RULES)
    scores = []
    for answer, each in PAIRS:
        expected = OF_SENTENCES[name].sentence_score(answer, each.references).score / 100
        assert scorer.score(answer, each) == pytest.approx(expected, abs=1e-12)
        scores.append(expected)
    assert 0.2 < sum(scores) / len(scores) < 0.95, "right, wrong and between"


def test_chrf_written_anew() -> None:
    scorer = parse_scorer("chrf", RULES)
    for answer, each in PAIRS[:300]:
        expected = max(plain_chrf(answer, reference) for reference in each.references)
        assert scorer.score(answer, each) == pytest.approx(expected, abs=1e-12)


def plain_chrf(answer: str, reference: str) -> float:
    """Return chrF by lists of n-grams that are struck out."""
    one, other = "".join(answer.split()), "".join(reference.split())
    precisions, recalls = [], []
    for n in range(1, 7):
        mine = [one[i : i + n] for i in range(len(one) - n + 1)]
        theirs = [other[i : i + n] for i in range(len(other) - n + 1)]
        if mine and theirs:
            shared = sum((Counter(mine) & Counter(theirs)).values())
            precisions.append(shared / len(mine))
            recalls.append(shared / len(theirs))
    if not precisions or not sum(precisions):
        return 0.0
    p, r = (sum(each) / len(each) for each in (precisions, recalls))
    return 5 * p * r / (4 * p + r)


def test_bleu_by_hand() -> None:
    scorer = parse_scorer("bleu", RULES)
    assert scorer.corpus is not None
    sums = scorer.corpus.statistics("the red mill burned", example("the red mill at Orrin burned"))
    assert sums.tolist() == [4, 6, 4, 2, 1, 0, 4, 3, 2, 1]
    logs = math.log(4 / 4) + math.log(2 / 3) + math.log(1 / 2) + math.log(1 / 2 / 1)
    assert float(scorer.corpus.combine(sums)) == pytest.approx(math.exp(1 - 6 / 4 + logs / 4))


@pytest.mark.parametrize("name", METRICS)
def test_nothing_and_everything(name: str) -> None:
    scorer = parse_scorer(name, RULES)
    assert scorer.corpus is not None
    sentence = "the red mill at Orrin"
    cases = ("", [sentence], 0), ("", [], 0), ("x", [], 0), (sentence, ["other", sentence], 1)
    for answer, references, expected in cases:
        each = example(*references)
        assert scorer.score(answer, each) == pytest.approx(expected)
        found = scorer.corpus.combine(scorer.corpus.statistics(answer, each))
        assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "said"), [("chrf", "nc:6|nw:0|space:no"), ("bleu", "tok:13a|smooth:exp")]
)
def test_the_signature_is_sacrebleus(name: str, said: str) -> None:
    scorer = parse_scorer(name, RULES)
    assert said in scorer.signature
    assert "nrefs:var" in scorer.signature
    assert "version:" in scorer.signature
    assert scorer.is_share
