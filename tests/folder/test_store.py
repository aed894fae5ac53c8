import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from lorasweep.errors import UserError
from lorasweep.folder.files import replaced_file, replaced_folder, write_json, write_text
from lorasweep.folder.holding import holding, is_held
from lorasweep.folder.records import EvalEntry, Results, StepEntry
from lorasweep.folder.scores import Prediction
from lorasweep.folder.store import Store
from tiny import make_base, make_lock, make_record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def files_of(folder: Path) -> set[str]:
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


def test_a_new_folder_holds_nothing_and_reading_makes_nothing(store: Store) -> None:
    assert store.read_lock() is None
    assert store.read_run("a") is None
    assert store.read_base() is None
    assert store.of_run("a").read_history() == []
    assert store.of_run("a").read_predictions("greedy") == []
    assert not store.out.exists()


def test_what_is_written_is_read_back(store: Store) -> None:
    record, base, lock = make_record("a", 12.5), make_base(), make_lock("a")
    store.write_run(record)
    store.write_base(base)
    store.write_lock(lock)
    assert store.read_run("a") == record
    assert store.read_base() == base
    assert store.read_lock() == lock
    assert files_of(store.out) == {"base/record.json", "runs/a/record.json", "study.lock.json"}


def test_history_is_a_line_per_entry(store: Store) -> None:
    entries: list[StepEntry | EvalEntry] = [
        StepEntry(step=0, epoch=0, loss=1.5, grad_norm=0.5, lr=1e-3, num_questions=8,
                  num_answer_tokens=30),
        EvalEntry(step=1, epoch=0, eval_loss=2.5),
    ]  # fmt: skip
    store.of_run("a").write_history(entries)
    lines = (store.run_folder("a") / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["step", "eval"]
    assert store.of_run("a").read_history() == entries


def test_predictions_are_parquet_and_json_in_squads_form(store: Store) -> None:
    rows = [
        Prediction(id=f"q{i}", article="A", paragraph="A/0", question="Who?", prediction=text,
                   answers=["Ann", "Änn\n"], ended=True, num_tokens=2, exact_match=0.0, f1=0.5)
        for i, text in enumerate(["Änn", 'a "b"\n'])
    ]  # fmt: skip
    files = store.of_run("a")
    files.write_predictions("greedy", rows)
    assert files.read_predictions("greedy") == rows
    text = (files.folder / "predictions" / "greedy.json").read_text("utf-8")
    assert json.loads(text) == {"q0": "Änn", "q1": 'a "b"\n'}
    assert "Änn" in text
    assert files_of(files.folder) == {"predictions/greedy.json", "predictions/greedy.parquet"}


def test_results_that_are_not_there_name_the_command(store: Store) -> None:
    with pytest.raises(UserError, match=f"no results in {store.out}: run `lorasweep run STUDY"):
        store.read_results()


def test_results_round_trip(store: Store) -> None:
    results = Results(
        study="tiny", base=make_base(), runs=[make_record("a", 1.0)], configurations=[{"run": "a"}],
        warnings=["w"], data={}, recipe={"epochs": 1}, prompt="p", versions={},
    )  # fmt: skip
    store.write_results(results)
    assert json.loads(store.results_file.read_text())["schema"] == 2
    assert store.read_results() == results


@pytest.mark.parametrize(
    ("content", "said"),
    [('{"id": 3}', "not readable as RunRecord: id"), ("{", "not readable as RunRecord")],
)
def test_a_damaged_record_names_its_file(store: Store, content: str, said: str) -> None:
    place = store.run_folder("a") / "record.json"
    write_text(place, content)
    with pytest.raises(UserError, match=said) as caught:
        store.read_run("a")
    assert str(place) in str(caught.value)


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"{tmp_path / 'file'}: this is a file"):
        Store(tmp_path / "file").read_lock()


def test_numbers_that_json_does_not_have_are_refused_and_leave_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "x.json"
    write_json(place, 1)
    with pytest.raises(ValueError):
        write_json(place, float("nan"))
    assert place.read_text() == "1\n"
    assert files_of(tmp_path) == {"x.json"}


def write_half_a_file(place: Path) -> None:
    with replaced_file(place) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt


def write_half_a_folder(place: Path) -> None:
    with replaced_folder(place) as aside:
        (aside / "half").write_text("")
        raise KeyboardInterrupt


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "x"
    with replaced_file(place) as aside:
        aside.write_text("new")
        assert not place.exists()
        assert aside.parent == place.parent
    assert place.read_text() == "new"
    with pytest.raises(KeyboardInterrupt):
        write_half_a_file(place)
    assert place.read_text() == "new"
    assert files_of(tmp_path) == {"deep/x"}


def test_a_folder_appears_only_when_it_is_whole_and_takes_the_olds_place(tmp_path: Path) -> None:
    place = tmp_path / "adapter"
    for content in ("old", "new"):
        with replaced_folder(place) as aside:
            (aside / content).write_text("")
            assert not (place / content).exists()
    assert files_of(tmp_path) == {"adapter/new"}
    with pytest.raises(KeyboardInterrupt):
        write_half_a_folder(place)
    assert files_of(tmp_path) == {"adapter/new"}


def test_a_stop_while_a_folder_takes_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, replace = tmp_path / "report", os.replace
    place.mkdir()
    (place / "old").touch()

    def stopped(source: Path, target: Path) -> None:
        if target == place and not (source / "old").exists():
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt), replaced_folder(place) as aside:
        (aside / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["report", "old"]


def test_folders_may_be_read_by_those_who_may_read_their_parent(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with replaced_folder(tmp_path / "adapter"):
        pass
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "adapter")}
    assert len(modes) == 1


def test_only_what_was_written_aside_is_removed(tmp_path: Path) -> None:
    """A user's own files stay, whatever they are called and wherever the folder is."""
    theirs = [".thesis.part", "movies/.film.mkv.part", "runs/.notes.12.part"]
    ours = [".results.json.7.lorasweep.part", "runs/a/.record.json.7.lorasweep.part"]
    for name in (*theirs, *ours):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "runs" / ".adapter.7.lorasweep.part").mkdir()
    Store(tmp_path).remove_leftovers()
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == sorted(theirs)
    assert not (tmp_path / "runs" / ".adapter.7.lorasweep.part").exists()


def test_checkpoints_of_finished_packs_are_removed_and_of_stopped_runs_kept(store: Store) -> None:
    store.write_lock(make_lock("done", "waiting", "stopped", "resumed"))
    for name, state in (("done", "done"), ("stopped", "stopped"), ("resumed", "done")):
        store.write_run(make_record(name, None, state=state))
    for name in ("pack-0", "pack-1", "pack-2", "pack-3", "run-stopped", "run-resumed", "own"):
        (store.checkpoints_folder / name).mkdir(parents=True)
    (store.out / "exports").mkdir()
    (store.out / "exports" / ".a.7.lorasweep.part").mkdir()
    store.remove_leftovers()
    left = {folder.name for folder in store.checkpoints_folder.iterdir()}
    assert left == {"pack-1", "run-stopped", "own"}
    assert not any((store.out / "exports").iterdir())


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_held_folder_that_is_gone_is_said_and_not_made_anew(
    store: Store, is_moved: bool, is_made_anew: bool
) -> None:
    with holding(store.out):
        store.write_run(make_record("a", None))
        store.out.rename(store.out.with_name("aside")) if is_moved else shutil.rmtree(store.out)
        if is_made_anew:
            store.out.mkdir()
            (store.out / ".busy").touch()
        calls = (store.read_lock, lambda: store.write_run(make_record("a", None)),
                 lambda: store.of_run("a").write_adapter(lambda folder: None))  # fmt: skip
        for call in calls:
            with pytest.raises(UserError, match=f"{store.out}: the folder is gone"):
                call()
    assert store.out.exists() == is_made_anew
    assert not (store.out / "runs").exists()


def test_what_must_last_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda opened: (told.append("disk"), fsync(opened))[1])
    monkeypatch.setattr(os, "replace", lambda *paths: (told.append("name"), replace(*paths))[1])
    write_text(tmp_path / "record.json", "1")
    assert told == ["disk", "name", "disk"]
    told.clear()
    write_text(tmp_path / "heartbeat.json", "1", must_last=False)
    assert told == ["name"]


def test_a_folder_in_which_nothing_was_written_is_removed_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), holding(tmp_path / "new"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(RuntimeError), holding(tmp_path / "old"):
        raise RuntimeError
    assert (tmp_path / "old").exists()


def test_the_mark_of_a_process_at_work_goes_with_it(store: Store) -> None:
    assert not is_held(store.out)
    with holding(store.out):
        store.write_lock(make_lock("a"))
        assert is_held(store.out)
    assert files_of(store.out) == {"study.lock.json"}
    (store.out / ".busy").touch()
    assert not is_held(store.out), "a killed process leaves its mark"
