"""Damaged or missing files: one clear message, or nothing where nothing is expected."""

import json
from pathlib import Path

import pytest
from invented import make_results, make_run, write_results

from lorasweep.errors import UserError
from lorasweep.report.load import load_outcome
from lorasweep.report.page import write_report


def test_missing_results_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results in .*: run `lorasweep run STUDY --out "):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}'])
def test_unreadable_results_name_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match=r"results\.json"):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()


def test_another_schema_is_refused(tmp_path: Path) -> None:
    write_results(tmp_path, make_results([]))
    tables = json.loads((tmp_path / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(tables | {"schema": 3}))
    with pytest.raises(UserError, match="schema 3, but this version reads schema 2"):
        load_outcome(tmp_path)


@pytest.mark.parametrize("name", ["history.jsonl", "predictions/greedy.parquet"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str) -> None:
    run = make_run(0, 50.0)
    write_results(tmp_path, make_results([run]))
    path = tmp_path / "runs" / run.id / name
    path.parent.mkdir(parents=True)
    path.write_text("{torn")
    with pytest.raises(UserError, match=name):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()


def test_runs_of_one_label_are_told_apart_by_id(tmp_path: Path) -> None:
    runs = [
        make_run(0, 50.0, label="r4"),
        make_run(0x10, 51.0, label="r4"),
        make_run(1, 52.0, label="r8"),
    ]
    runs[1] = runs[1].model_copy(update={"id": "abcdef012345"})
    write_results(tmp_path, make_results(runs))
    assert list(load_outcome(tmp_path).names.values()) == ["r4 (000000)", "r4 (abcdef)", "r8"]
