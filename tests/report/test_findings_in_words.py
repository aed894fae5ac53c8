"""Sections say what is missing, and claim what the tests support and no more."""

from pathlib import Path
from typing import Any

import pytest
from invented import (
    make_analysis,
    make_results,
    make_run,
    make_scores,
    write_analysis,
    write_history,
    write_results,
)
from safetensors.numpy import save_file

from lorasweep.folder.findings import BASE, Comparison, Difference
from lorasweep.folder.records import PackInfo, Results, RunRecord
from lorasweep.folder.scores import Scores
from lorasweep.folder.store import Store
from lorasweep.report.blocks import Block, Items, Section
from lorasweep.report.load import Outcome
from lorasweep.report.page import make_sections
from lorasweep.report.sections.conclusions.limitations import limitations
from lorasweep.report.sections.method.grid import grid, module_kinds
from lorasweep.report.sections.method.lora import lora
from lorasweep.report.sections.order import SECTIONS
from lorasweep.report.sections.results.ablation import _rounded
from lorasweep.report.sections.results.cost import cost
from lorasweep.report.sections.results.decoding import decoding
from lorasweep.report.sections.results.full import full
from lorasweep.report.sections.results.heat import heat_maps
from lorasweep.report.sections.results.scores import leaderboard
from lorasweep.report.sections.training.losses import losses
from lorasweep.report.tables import Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import f1_sentence
from lorasweep.study.grid import Configuration

SAY = Strings.load("en")
FULL = Configuration(
    method="full", targets=None, rank=None, lr=2e-5, alpha=None, dropout=None, seed=0,
    scaling=None, lr_ratio=None,
)  # fmt: skip


def outcome_of(folder: Path, runs: list[RunRecord], **changes: Any) -> Outcome:
    return Outcome(Store(folder), make_results(runs, **changes))


def words(blocks: list[Block] | Section) -> str:
    found = blocks.blocks if isinstance(blocks, Section) else blocks
    texts = [getattr(block, "text", "") for block in found]
    return " ".join([*texts, *(item for b in found if isinstance(b, Items) for item in b.items)])


def table(section: Section, id: str) -> Table:
    return next(table for table in section.tables() if table.id == id)


def test_one_run_without_anything_else_has_every_section(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, [make_run(0, 50.0)])
    sections = {section.id: section for section in (make(outcome, SAY) for make in SECTIONS)}
    assert "nothing to compare it with" in words(sections["decoding"])
    assert "are not compared" in words(sections["full"])
    assert "The runs have not been compared by tests" in words(sections["limitations"])
    assert "nothing to conclude" in words(sections["conclusion"])
    assert sections["ablation"].figures() == []


def difference(mean: float, interval: tuple[float, float] | None, is_shown: bool) -> Difference:
    return Difference(
        mean=mean, interval=interval, p_value=0.2, adjusted_p_value=0.4, is_shown=is_shown,
        sentence="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (difference(-9, (-12, -6), True),
         "a is 9.0 F1 better than the base model, 95 % interval 6.0 – 12.0."),
        (difference(-9, (-19, 1), False),
         "The base model and a are not shown to differ in F1: the difference is −9.0, 95 % "
         "interval −19.0 to +1.0, p 0.400 after correction for all comparisons."),
        (difference(-9, None, False),
         "The base model and a are not shown to differ in F1: these questions give no interval for "
         "their difference."),
    ],
)  # fmt: skip
def test_a_difference_is_claimed_where_it_is_shown_alone(found: Difference, sentence: str) -> None:
    run = make_run(0, 50.0, label="a")
    each = Comparison(
        run=BASE, against=run.id, scores={"f1": found, "exact_match": found}, mcnemar_p_value=0.1
    )
    assert f1_sentence(each, make_results([run]), SAY) == sentence


def test_decoders_stand_beside_each_other(tmp_path: Path) -> None:
    more = {"best_of_n_f1": 60.0, "distinct_answers": 2.25, "agreement": 0.5}
    sampled = Scores.model_validate(make_scores(44.0).model_dump() | more)
    metrics = {"greedy": make_scores(50.0), "top-k-10": sampled, "eval_loss": 1.0}
    section = decoding(outcome_of(tmp_path, [make_run(0, 50.0, metrics=metrics)]), SAY)
    assert [row[0] for row in table(section, "decoding").rows] == ["greedy", "top-k-10"]
    (figure,) = section.figures()
    assert [row["x"] for row in figure.spec["datasets"]["points"]] == [1.0, 2.25]
    assert "would give F1 60.0 in place of 44.0" in words(section)
    assert "Differences between decoders are not tested" in words(section)


def full_and_lora() -> list[RunRecord]:
    trained = make_run(
        1, 55.0, configuration=FULL, label="full", trainable_parameters=10_000_000,
        pack=PackInfo(id="p1", lanes=1, seconds=60.0), train_seconds=60.0,
    )  # fmt: skip
    return [make_run(0, 50.0, trainable_parameters=100_000), trained]


def test_full_fine_tuning_and_lora_are_compared_by_a_test_alone(tmp_path: Path) -> None:
    section = full(outcome_of(tmp_path, full_and_lora()), SAY)
    assert "have not been tested against each other" in words(section)
    assert "trains 1.00 % as many parameters" in words(section)
    found = table(section, "full_vs_lora")
    assert [row[0] for row in found.rows] == ["full", "r4 lr0.001 attn"]
    lanes = [column.key for column in found.columns].index("lanes")
    assert [row[lanes] for row in found.rows] == [1, 4]


def test_costs_that_lie_far_apart_take_a_logarithm(tmp_path: Path) -> None:
    parameters, seconds = cost(outcome_of(tmp_path, full_and_lora()), SAY).figures()
    scales = [each.spec["layer"][-1]["encoding"]["x"]["scale"] for each in (parameters, seconds)]
    assert [scale.get("type") for scale in scales] == ["log", None]


def test_heat_maps_have_a_cell_for_each_scored_pair_and_one_range_of_shades() -> None:
    runs = [make_run(i, f1) for i, f1 in enumerate((40.0, 50.0, 60.0, None))]
    (figure,) = heat_maps(make_results(runs), SAY)
    cells = {(row["y"], row["x"]): row["f1"] for row in figure.spec["datasets"]["points"]}
    assert cells == {("4", "1e-3"): 40.0, ("16", "1e-3"): 50.0, ("4", "3e-4"): 60.0}
    assert figure.spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [40.0, 60.0]
    assert heat_maps(make_results(runs[:2]), SAY) == []


def test_configurations_that_share_a_run_are_listed(tmp_path: Path) -> None:
    run = make_run(0, 50.0)
    point = {**run.configuration.model_dump(), "run": run.id}
    outcome = outcome_of(tmp_path, [run], configurations=[point, {**point, "targets": "attn_qv"}])
    ((written, shared),) = table(grid(outcome, SAY), "repeated_configurations").rows
    assert "targets attn_qv" in str(written)
    assert shared == "r4 lr0.001 attn"
    assert module_kinds(["h.0.attn.c_attn", "h.11.attn.c_attn"]) == "h.*.attn.c_attn × 2"


def test_the_reduction_comes_from_the_adapter_on_disk(tmp_path: Path) -> None:
    import numpy as np

    run = make_run(0, 50.0, trainable_parameters=2 * 4 * (10 + 30))
    folder = tmp_path / "runs" / run.id / "adapter"
    folder.mkdir(parents=True)
    tensors = {}
    for layer in range(2):
        tensors[f"h.{layer}.lora_A.weight"] = np.zeros((4, 10), np.float32)
        tensors[f"h.{layer}.lora_B.weight"] = np.zeros((30, 4), np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    section = lora(outcome_of(tmp_path, [run]), SAY)
    assert table(section, "reduction").rows == [[30, 10, 2, 600, 320, 160 / 300]]
    assert "d · k = 300 weights; its adapter trains r (d + k) = 160" in words(section)
    parts = run.model_copy(update={"modules": ["h.0.attn.c_attn:q"]})
    assert lora(outcome_of(tmp_path, [parts]), SAY).tables() == []


def with_card(results: Results, **changes: Any) -> Results:
    card = results.data["eval"].model_copy(update=changes)
    return results.model_copy(update={"data": {**results.data, "eval": card}})


def test_limitations_are_those_of_the_facts(tmp_path: Path) -> None:
    runs = [make_run(0, 50.0), make_run(1, None, state="failed", metrics={})]
    results = make_results(runs, analysis=make_analysis({runs[0].id: 1.0}))
    text = words(limitations(Outcome(Store(tmp_path), results), SAY))
    assert "stand on 20 paragraphs only" in text
    assert "1 run failed and has no score" in text
    assert "was run with one seed" in text
    assert "Full fine-tuning was not part of the study" in text
    assert "4 questions were left out because they are too long" in text
    assert "chosen and scored on the same questions" in text
    many = with_card(results, paragraphs=500, shared_contexts=3)
    text = words(limitations(Outcome(Store(tmp_path), many), SAY))
    assert "paragraphs only" not in text
    assert "3 contexts of the evaluation set stand among the training questions" in text


def test_runs_that_are_not_trained_yet_are_counted_as_such(tmp_path: Path) -> None:
    runs = [make_run(i, 50.0) for i in range(3)]
    whole = make_results(runs)
    outcome = Outcome(Store(tmp_path), whole.model_copy(update={"runs": runs[:1]}))
    text = " ".join(words(section) for section in (make(outcome, SAY) for make in SECTIONS))
    assert "2 runs of the grid are not trained yet." in text
    assert "2 runs of the grid are not trained yet; what is said" in text
    assert "3 configurations, which come to 3 distinct runs" in text
    assert SAY("summary.shared") not in text
    assert "not trained yet" not in words(limitations(Outcome(Store(tmp_path), whole), SAY))


def test_a_study_without_a_lock_is_analysed_and_reported(tmp_path: Path) -> None:
    write_results(tmp_path, make_results([]))
    write_analysis(tmp_path)
    outcome = Outcome(Store(tmp_path), Store(tmp_path).read_results())
    assert outcome.study is None
    assert all(make(outcome, SAY).blocks for make in SECTIONS)


def test_shares_of_variance_add_up_as_they_are_written() -> None:
    written = _rounded({"a": 0.33349, "b": 0.33349, "c": 0.33302, "d": 0.0})
    assert written == {"a": 0.334, "b": 0.333, "c": 0.333, "d": 0.0}
    assert sum(round(1000 * share) for share in written.values()) == 1000


def test_a_cost_that_all_runs_share_is_said_and_not_drawn(tmp_path: Path) -> None:
    section = cost(outcome_of(tmp_path, [make_run(0, 50.0), make_run(1, 60.0)]), SAY)
    assert [figure.id for figure in section.figures()] == ["f1_parameters"]
    assert "Training time (s): 30 for every scored run, so F1 is not drawn against it." in words(
        section
    )


def test_what_is_empty_is_left_out_of_the_report(tmp_path: Path) -> None:
    few, many = (
        {section.id for section in make_sections(outcome_of(tmp_path / str(n), runs), SAY)}
        for n, runs in ((4, runs_of(4)), (11, runs_of(11)))
    )
    assert many - few == {"top"}
    assert not {"race", "full", "decoding"} & many
    assert "comes first by evaluation loss and by F1" in words(
        leaderboard(outcome_of(tmp_path, runs_of(4)), SAY)
    )


def runs_of(number: int) -> list[RunRecord]:
    return [make_run(index, 60.0 - index) for index in range(number)]


def test_decoders_that_do_not_sample_are_a_table_without_a_chart(tmp_path: Path) -> None:
    metrics = {"greedy": make_scores(50.0), "span": make_scores(44.0), "eval_loss": 1.0}
    section = decoding(outcome_of(tmp_path, [make_run(0, 50.0, metrics=metrics)]), SAY)
    assert (len(section.tables()), section.figures()) == (1, [])


def test_losses_of_one_epoch_are_no_line(tmp_path: Path) -> None:
    run = make_run(0, 50.0)
    write_history(tmp_path, run, 20)
    section = losses(outcome_of(tmp_path, [run]), SAY)
    assert [figure.id for figure in section.figures()] == ["train_loss"]
    assert "after one epoch alone" in words(section)
