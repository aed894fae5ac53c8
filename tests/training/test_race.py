"""The rule of a race: who leads, who is stopped, and how seldom that is wrong."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from lorasweep.errors import UserError
from lorasweep.folder.records import Rung
from lorasweep.study.sections import Race as Rule
from lorasweep.study.study import Study
from lorasweep.training.race import ParagraphLosses, Race, excess, mean_loss, stop_sentence

STUDY = {"name": "s", "model": {"base": "m"}, "data": {"train": "bundled"}, "grid": [{}]}


def losses_of(lanes: Sequence[Sequence[float]] | NDArray[np.float64]) -> ParagraphLosses:
    """Losses per token of every lane on paragraphs of one to five tokens."""
    losses_KG = np.asarray(lanes, dtype=np.float64)
    tokens = tuple(1 + g % 5 for g in range(losses_KG.shape[1]))
    names = tuple(f"p{g}" for g in range(losses_KG.shape[1]))
    return ParagraphLosses(names, tokens, losses_KG * tokens)


def rungs_of(lanes: NDArray[np.float64], fraction: float = 0.5) -> dict[int, Rung]:
    found = losses_of(lanes)
    return {k: found.rung(k, fraction, 3) for k in range(len(lanes))}


def race_of(num_lanes: int, rule: Rule | None = None, **changes: object) -> Race:
    values = {
        "rule": rule or Rule(rungs=[0.5]), "runs": [f"run{k}" for k in range(num_lanes)],
        "rivals": {}, "names": {"run0": "the first"}, "num_runs": num_lanes,
    }  # fmt: skip
    return Race(**{**values, **changes})  # type: ignore[arg-type]


def drawn(num_lanes: int, num_paragraphs: int, seed: int) -> NDArray[np.float64]:
    """Skewed losses of equally good runs that share what makes a paragraph hard."""
    rng = np.random.default_rng(seed)
    shared = rng.gamma(1.0, 1.0, size=num_paragraphs)
    return shared * rng.lognormal(0.0, 0.5, size=(num_lanes, num_paragraphs))


@pytest.mark.parametrize("num_paragraphs", [5, 40])
def test_equal_runs_are_seldom_stopped(num_paragraphs: int) -> None:
    # Two rungs drawn anew, which gives the race more chances to err than one training has.
    rule, num_races, wrong = Rule(rungs=[0.25, 0.5], level=0.9), 250, 0
    for number in range(num_races):
        race = race_of(5, rule)
        fields = [drawn(5, num_paragraphs, 2 * number + rung) for rung in range(2)]
        wrong += any(race.judge(rungs_of(field), 8) for field in fields)
    # 10 % may be wrong; three standard errors of 250 races are 6 %.
    assert wrong / num_races <= 0.16


@pytest.mark.parametrize("num_runs", [3, 75])
def test_a_much_worse_run_is_stopped_and_the_others_go_on(num_runs: int) -> None:
    lanes = drawn(3, 40, seed=1)
    lanes[2] += 2
    race = race_of(3, num_runs=num_runs)
    stops = race.judge(rungs_of(lanes), num_steps=8)
    assert set(stops) == {2}
    stop, means = stops[2], losses_of(lanes).means()
    assert stop.leader == f"run{int(np.argmin(means))}"
    assert stop.difference == pytest.approx(means[2] - min(means))
    assert 0 < stop.at_least < stop.difference
    assert stop.num_comparisons == num_runs * (num_runs - 1)
    assert stop.adjusted_p_value == pytest.approx(stop.p_value * stop.num_comparisons)
    assert "step 3 of 8" in stop_sentence(stop)
    assert "n = 40 paragraphs" in stop_sentence(stop)


def test_runs_of_earlier_packs_are_met_at_the_same_rung() -> None:
    best, worse = drawn(2, 30, seed=2)
    rung, later = (rungs_of(best[None], fraction)[0] for fraction in (0.5, 0.75))
    mine = rungs_of((worse + 2)[None])
    alone = {"num_runs": 2, "names": {"other": "r8"}}
    (stop,) = race_of(1, rivals={"other": [rung, later]}, **alone).judge(mine, 8).values()
    assert (stop.leader, stop.leader_label) == ("other", "r8")
    assert race_of(1, rivals={"other": [later]}, **alone).judge(mine, 8) == {}
    elsewhere = rung.model_copy(update={"paragraphs": ["q"] * 30})
    assert race_of(1, rivals={"other": [elsewhere]}, **alone).judge(mine, 8) == {}


def test_the_test_is_a_paired_t_test_where_paragraphs_are_alike() -> None:
    one, other = drawn(2, 25, seed=3)
    rungs = [
        Rung(fraction=0.5, step=1, paragraphs=["p"] * 25, num_answer_tokens=[1] * 25, losses=each)
        for each in ((one + 0.3).tolist(), other.tolist())
    ]
    expected = ttest_1samp(one + 0.3 - other, 0, alternative="greater")
    found = excess(*rungs, error=0.05)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.at_least == pytest.approx(expected.confidence_interval(0.95).low)
    assert found.difference == pytest.approx(mean_loss(rungs[0]) - mean_loss(rungs[1]))
    edge = excess(*rungs, error=found.p_value)
    assert edge.at_least == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("lanes", [[[1.0], [9.0]], [[1.0, 1.0, 1.0], [9.0, 9.0, 9.0]]])
def test_what_shows_no_spread_stops_nobody(lanes: list[list[float]]) -> None:
    assert race_of(2).judge(rungs_of(np.array(lanes)), 8) == {}


def test_nobody_left_is_no_race() -> None:
    assert race_of(2).judge({}, 8) == {}


@pytest.mark.parametrize(
    ("num_steps", "steps"), [(8, {2: 0.25, 4: 0.5, 7: 0.9}), (2, {1: 0.5}), (1, {})]
)
def test_rungs_lie_between_the_first_and_the_last_step(
    num_steps: int, steps: dict[int, float]
) -> None:
    assert race_of(2, Rule(rungs=[0.25, 0.5, 0.9])).fractions(num_steps) == steps


def test_there_is_no_race_unless_the_study_asks_for_one() -> None:
    assert Study.parse(STUDY).race is None
    assert Study.parse({**STUDY, "race": {}}).race == Rule()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"rungs": []}, "race.rungs"),
        ({"rungs": [0.5, 0.5]}, "each larger than the one before"),
        ({"rungs": [1.0]}, "race.rungs.0"),
        ({"level": 0.2}, "race.level"),
        ({"levels": 0.9}, "did you mean 'level'"),
    ],
)
def test_a_wrong_race_is_refused(table: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Study.parse({**STUDY, "race": table})
