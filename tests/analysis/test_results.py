import pytest

from lorasweep.analysis.results import failed_step, ranked, summarise
from lorasweep.folder.records import Failure, Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.study.plan import Plan, make_plan
from lorasweep.study.study import Study
from tiny import make_base, make_card, make_lock, make_record


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("out"))
    store.write_base(make_base())
    return store


@pytest.fixture
def plan() -> Plan:
    """Four configurations, the third a repeat of the first, of GPT-2."""
    tables = {"name": "small", "model": {"base": "gpt2"}, "data": {"train": "bundled"},
              "targets": {"same": ["attn.c_attn", "attn.c_proj"]},
              "grid": [{"targets": ["attn", "same"], "rank": [4, 8]}]}  # fmt: skip
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 16}
    return make_plan(Study.parse(tables), config)


def summary(store: Store, plan: Plan, *records: RunRecord) -> Results:
    for record in records:
        store.write_run(record)
    return summarise(store, make_lock("a", "b"), plan, ["a", "b"], {"train": make_card()}, ["w"])


def test_configurations_point_to_the_runs_that_do_their_work(store: Store, plan: Plan) -> None:
    results = summary(store, plan, make_record("a", 20.0), make_record("b", 30.0))
    assert [c["run"] for c in results.configurations] == ["a", "b", "a", "b"]
    assert [c["targets"] for c in results.configurations] == ["attn", "attn", "same", "same"]
    assert set(results.configurations[0]) == {
        "method", "targets", "rank", "lr", "alpha", "dropout", "seed", "scaling",
        "lr_ratio", "run",
    }  # fmt: skip


def test_the_highest_f1_is_chosen_and_ranked_first(store: Store, plan: Plan) -> None:
    results = summary(store, plan, make_record("a", 20.0), make_record("b", 30.0))
    assert results.chosen == "b"
    assert [run.id for run in ranked(results)] == ["b", "a"]
    assert ranked(results, "beam") == []


def test_runs_go_by_the_plans_labels_and_unfinished_ones_are_left_out(
    store: Store, plan: Plan
) -> None:
    results = summary(store, plan, make_record("b", 30.0, label="an older label"))
    assert [(run.id, run.label) for run in results.runs] == [("b", "r8 lr1e-3 attn")]
    assert results.study == "small"
    assert results.recipe["epochs"] == 3


def test_failed_runs_stay_in_the_results_with_a_warning(store: Store, plan: Plan) -> None:
    failed = make_record(
        "a", None, state="failed", failure=Failure(step=3, quantity="loss", value="nan")
    )
    results = summary(store, plan, failed)
    assert results.chosen is None
    assert ranked(results) == []
    assert results.warnings == ["w", "r4 lr1e-3 attn failed: its loss was nan at step 4"]
    results = summary(store, plan, make_record("b", 0.0))
    assert results.chosen == "b"


def test_before_the_first_run_there_is_the_base_alone(store: Store, plan: Plan) -> None:
    results = summary(store, plan)
    assert (results.runs, results.chosen) == ([], None)
    assert results.base == make_base()


def test_a_step_is_counted_from_1_and_an_evaluation_comes_after_as_many() -> None:
    assert failed_step(Failure(step=0, quantity="gradient norm", value="inf")) == 1
    assert failed_step(Failure(step=3, quantity="evaluation loss", value="nan")) == 3


def test_a_run_that_failed_after_it_was_scored_takes_nothing_from_the_others(
    store: Store, plan: Plan
) -> None:
    """As an adapter from elsewhere does whose files are gone."""
    failed = make_record("b", 30.0).model_copy(update={"state": "failed"})
    results = summary(store, plan, make_record("a", 20.0), failed)
    assert results.chosen == "a"
    assert [run.id for run in ranked(results)] == ["a"]
