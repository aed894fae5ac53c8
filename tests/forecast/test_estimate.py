"""What packs are estimated to take: the model by hand, and against what was measured."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from lorasweep.folder.records import PackInfo, RunRecord
from lorasweep.forecast.estimate import Costs, MethodCost, Size, Work, costs_of, estimate

BILLION = 10**9
SIZE = Size(num_train=100, num_eval=10, epochs=3)


def records(pack: str, seconds: float, *trained: int, **changes: object) -> list[RunRecord]:
    """Return the records of a finished pack: 3 training questions, 7 evaluation questions."""
    scores = tiny.make_scores(50.0).model_copy(update={"seconds_per_question": 0.5})
    return [
        tiny.make_record(
            f"{pack}-{number}",
            None,
            pack=PackInfo(id=pack, lanes=len(trained), seconds=seconds),
            train_seconds=seconds / len(trained),
            trainable_parameters=numbers,
            metrics={"greedy": scores, "span": scores, "eval_loss": 1.0},
            **changes,
        )
        for number, numbers in enumerate(trained)
    ]


BASE = tiny.make_base(num_parameters=BILLION)


def test_the_model_by_hand() -> None:
    cost = MethodCost(seconds=0.01, peak_memory_bytes=5000, trained=BILLION)
    costs = Costs(
        num_weights=BILLION, methods={"lora": cost}, seconds_per_answer=2.0, num_train=1, num_eval=1
    )
    found = estimate(Work("p", "lora", (BILLION, 2 * BILLION)), SIZE, costs)
    assert found is not None
    training = 100 * ((4 + 6) + (4 + 12))
    evaluation = 10 * 2 * ((1 + 1) + (1 + 2))
    assert found.train_seconds == pytest.approx(0.01 * 3 * (training + evaluation))
    assert found.answer_seconds == pytest.approx(2.0 * 10 * 2)
    assert found.peak_memory_bytes == 5000 + 16 * 2 * BILLION
    assert estimate(Work("p", "full", (BILLION,)), SIZE, costs) is None


def test_answers_by_all_decoders_count() -> None:
    costs = costs_of(records("a", 6.0, 5, 5), BASE)
    assert costs is not None
    assert costs.seconds_per_answer == 1.0
    assert (costs.num_train, costs.num_eval) == (3, 7)


def test_full_fine_tuning_has_a_rate_of_its_own() -> None:
    point = tiny.CONFIGURATION.model_copy(update={"method": "full"})
    both = [*records("a", 6.0, 5, 5), *records("b", 60.0, BILLION, configuration=point)]
    costs = costs_of(both, BASE)
    assert costs is not None
    assert set(costs.methods) == {"lora", "full"}
    assert costs.methods["full"].seconds == pytest.approx(60 / (3 * 6))


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(1, BILLION), min_size=1, max_size=4), min_size=1, max_size=3),
    st.floats(0.1, 1e4),
)
def test_what_was_measured_is_estimated_as_it_was(packs: list[list[int]], seconds: float) -> None:
    """The packs of one machine at one pace: their sum comes out as it went in."""
    done = [records(f"p{i}", seconds, *trained) for i, trained in enumerate(packs)]
    costs = costs_of([record for pack in done for record in pack], BASE)
    assert costs is not None
    size = Size(num_train=3, num_eval=0, epochs=1)
    again = [estimate(Work("p", "lora", tuple(trained)), size, costs) for trained in packs]
    total = sum(found.train_seconds for found in again if found)
    assert total == pytest.approx(seconds * len(packs))


def stopped(step: int, num_steps: int) -> dict[str, object]:
    stop = tiny.make_stop(step, num_steps)
    return {"state": "stopped", "stop": stop, "num_steps": num_steps}


def test_of_a_run_that_lost_a_race_the_trained_part_counts() -> None:
    """Two lanes for the first quarter, one for the rest: a quarter of the work of the other."""
    winner, loser = records("a", 6.0, 5, 5)
    winner = winner.model_copy(update={"train_seconds": 4.8})
    loser = loser.model_copy(update={"train_seconds": 1.2, **stopped(1, 4)})
    alone, both = costs_of([winner], BASE), costs_of([winner, loser], BASE)
    assert alone is not None
    assert both is not None
    assert both.methods["lora"].seconds == pytest.approx(alone.methods["lora"].seconds)
    assert both.seconds_per_answer == 1.0
    assert both.methods["lora"].trained == alone.methods["lora"].trained == 10


def test_without_a_run_that_came_to_its_end_nothing_is_known() -> None:
    assert costs_of([], BASE) is None
    assert costs_of(records("a", 6.0, 5, **stopped(1, 4)), BASE) is None
