"""Sections: samples by their rule, and lines that take the colour of what differs."""

import hashlib
from pathlib import Path

from invented import make_predictions, make_results, make_run, make_scores, write_history

from lorasweep.folder.records import StepEntry, Stop
from lorasweep.folder.scores import Scores
from lorasweep.folder.store import Store
from lorasweep.report.blocks import Code, Figure, Items, Notice, Paragraph
from lorasweep.report.load import Outcome
from lorasweep.report.sections.answers.answers import pick
from lorasweep.report.sections.results.decoding import decoding
from lorasweep.report.sections.training.health import health
from lorasweep.report.sections.training.losses import losses
from lorasweep.report.sections.training.race import race
from lorasweep.report.words.language import Strings
from lorasweep.study.grid import Configuration
from lorasweep.study.sections import Race

SAY = Strings.load("en")


def test_samples_are_those_with_the_smallest_hash_whatever_the_order() -> None:
    predictions = make_predictions(24)
    chosen = pick(predictions, right=True)
    assert chosen == pick(predictions[::-1], right=True)
    hashes = sorted(hashlib.sha256(f"q{i}".encode()).hexdigest() for i in range(24))
    assert [hashlib.sha256(each.id.encode()).hexdigest() for each in chosen] == hashes[:5]
    assert all(each.scores["exact_match"] == 0 for each in pick(predictions, right=False))


def figures(out: Path, num_runs: int) -> list[Figure]:
    """Return the loss curves of runs that differ in rank alone."""
    runs = []
    for rank in range(1, num_runs + 1):
        point = Configuration(
            method="lora", targets="attn", rank=rank % 3 + 1, lr=1e-3, alpha=16, dropout=0.0, seed=0
        )
        runs.append(make_run(rank, 50.0, label=f"run {rank}", configuration=point))
        write_history(out, runs[-1], 40)
    return losses(Outcome(Store(out), make_results(runs)), SAY).figures()


def test_few_runs_have_a_colour_each(tmp_path: Path) -> None:
    training, evaluation = figures(tmp_path, 3)
    assert {row["group"] for row in training.spec["datasets"]["points"]} == {
        "run 1",
        "run 2",
        "run 3",
    }
    assert "run 1 4.80 to 0.90" in training.alternative
    assert [row["x"] for row in evaluation.spec["datasets"]["points"]] == [1, 2] * 3
    steps = [row["x"] for row in training.spec["datasets"]["points"]]
    assert (min(steps), max(steps)) == (1, 40)


def test_many_runs_take_the_colour_of_the_axis_that_differs(tmp_path: Path) -> None:
    training, _ = figures(tmp_path, 8)
    rows = training.spec["datasets"]["points"]
    assert {row["group"] for row in rows} == {"1", "2", "3"}
    assert len({row["name"] for row in rows}) == 8


def test_steps_that_were_skipped_in_fp16_are_told_and_have_no_norm(tmp_path: Path) -> None:
    runs = [make_run(0, 60.0), make_run(1, 50.0), make_run(2, 40.0)]
    store = Store(tmp_path)
    for run, norms in zip(runs, ([None, 2.0, 0.5], [0.5] * 3, [None] * 2), strict=True):
        store.of_run(run.id).write_history(
            StepEntry(step=step, epoch=0, loss=3.0 - step, grad_norm=norm, lr=1e-3,
                      num_questions=8, num_answer_tokens=20)
            for step, norm in enumerate(norms)
        )  # fmt: skip
    results = make_results(runs).model_copy(update={"recipe": {"max_grad_norm": 1.0}})
    section = health(Outcome(store, results), SAY)
    (items,) = [block for block in section.blocks if isinstance(block, Items)]
    assert items.items == [f"{runs[0].label}: 1 step of 3.", f"{runs[2].label}: 2 steps of 2."]
    (table,) = section.tables()
    assert [row[5:] for row in table.rows] == [[2.0, 0.5], [0.5, 0.0], [None, None]]
    (figure,) = section.figures()
    points = [(p["x"], p["y"]) for p in figure.spec["datasets"]["points"]]
    assert sorted(points) == [(1, 0.5), (2, 0.5), (2, 2.0), (3, 0.5), (3, 0.5)]


def test_the_decoding_table_has_the_best_run_and_the_base_model_by_every_decoder(
    tmp_path: Path,
) -> None:
    drawn = Scores.model_validate(
        make_scores(55.0).model_dump() | {"best_of_n_f1": 66.0, "agreement": 0.5}
    )
    best = make_run(0, 60.0)
    best = best.model_copy(update={"metrics": {**best.metrics, "nucleus-0.9": drawn}})
    results = make_results([make_run(1, 50.0), best])
    (table,) = decoding(Outcome(Store(tmp_path), results), SAY).tables()
    keys = [column.key for column in table.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    assert [(row["decoder"], row["f1"], row["base_f1"]) for row in rows] == [
        ("greedy", 60.0, 21.0),
        ("nucleus-0.9", 55.0, None),
    ]
    assert [row["best_of_n_f1"] for row in rows] == [None, 66.0]
    assert rows[1]["agreement"] == 0.5


STOP = Stop(
    fraction=0.25, step=15, num_steps=60, leader=f"{0:012x}", leader_label="the leader then",
    eval_loss=3.0, leader_eval_loss=1.5, difference=1.5, at_least=1.2, p_value=1e-9,
    adjusted_p_value=4e-9, level=0.995, num_comparisons=4, num_paragraphs=20,
)  # fmt: skip


def test_a_race_says_who_was_stopped_and_how_to_go_on() -> None:
    leader = make_run(0, 60.0)
    waiting = make_run(1, None, state="stopped", stop=STOP, metrics={})
    resumed = make_run(2, 40.0, stop=STOP.model_copy(update={"leader": "gone"}))
    results = make_results([leader, waiting, resumed], race=Race(rungs=[0.125], level=0.995))
    section = race(Outcome(Store(Path("out")), results), SAY)
    (table,) = section.tables()
    assert [row[:5] for row in table.rows] == [
        [waiting.label, "stopped", 15, 60, leader.label],
        [resumed.label, "done, resumed", 15, 60, "the leader then"],
    ]
    texts = [block.text for block in section.blocks if isinstance(block, Paragraph | Code)]
    assert "12.5 %" in texts[1]
    assert "99.5 %" in texts[1]
    assert texts[2] == f"lorasweep resume out --run {waiting.id}"


def test_a_study_without_a_race_says_so() -> None:
    section = race(Outcome(Store(Path("out")), make_results([make_run(0, 60.0)])), SAY)
    assert section.blocks == [Notice(SAY("race.none"))]
    raced = make_results([make_run(0, 60.0)], race=Race())
    section = race(Outcome(Store(Path("out")), raced), SAY)
    assert section.blocks[-1] == Notice(SAY("race.all_ended"))
