"""Files that records claim and the disk lacks: who is left out is said, and `run` makes them."""

import hashlib
import json
from pathlib import Path

import pytest
from folders import files_of, results_of

import tiny
from calling import assert_refused, call
from lorasweep import Study, run
from lorasweep.analysis.gaps import GONE
from lorasweep.analysis.results import analyse_folder
from lorasweep.folder.store import Store
from lorasweep.running import session
from lorasweep.running.driver import decode
from lorasweep.running.missing_scores import MissingScores

pytestmark = pytest.mark.usefixtures("no_report")


def left_out(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if warning.startswith(GONE)]


def test_the_best_run_without_answers_is_named_and_answers_again(out: Path, study: Study) -> None:
    before, files = results_of(out), files_of(out)
    best = next(each for each in before.runs if each.id == before.chosen)
    Store(out).of_run(best.id).predictions_file("greedy").unlink()
    (warning,) = left_out(analyse_folder(out).warnings)
    assert best.label in warning
    assert "predictions/greedy.parquet is gone" in warning
    assert left_out(analyse_folder(out).warnings) == [warning], "said once"
    said = f"{best.id}/predictions/greedy.parquet: the answers are gone"
    refused = call("failures", out, "--run", best.id)
    assert_refused(refused, said, f"`lorasweep run STUDY --out {out}` makes it again")
    again = run(study, out)
    assert left_out(again.warnings) == []
    assert tiny.outcomes(again) == tiny.outcomes(before)
    assert again.analysis == before.analysis
    assert files_of(out).keys() == files.keys()


@pytest.mark.parametrize("name", ["predictions/greedy.parquet", "losses.json"])
@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "damaged"])
def test_what_the_base_model_and_runs_lack_is_made_again(
    out: Path, study: Study, name: str, is_gone: bool
) -> None:
    before = results_of(out)
    folders = [out / "base", out / "runs" / before.runs[0].id]
    for folder in folders:
        (folder / name).unlink() if is_gone else (folder / name).write_bytes(b"\xff")
    if is_gone:
        (warning,) = left_out(analyse_folder(out).warnings)
        assert f"{name} is gone: the base model, {before.runs[0].label}" in warning
    again = run(study, out)
    assert left_out(again.warnings) == []
    assert again.analysis is not None
    assert before.analysis is not None
    assert again.analysis.decoders == before.analysis.decoders
    for folder, record in zip(folders, [again.base, again.runs[0]], strict=True):
        assert record.files[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_decoders_that_joined_answer_again_too(out: Path, study: Study) -> None:
    (run_id, *_) = [each.id for each in decode(out, ["top-k-3"]).runs]
    place = Store(out).of_run(run_id).predictions_file("top-k-3")
    rows = Store(out).of_run(run_id).read_predictions("top-k-3")
    place.unlink()
    run(study.model_copy(update={"evaluate": study.evaluate.model_copy(update={"draws": 2})}), out)
    again = Store(out).of_run(run_id).read_predictions("top-k-3")
    assert [(row.id, row.draw) for row in again] == [(row.id, row.draw) for row in rows]


def test_answers_on_the_test_set_are_made_again(file: Path, tmp_path: Path) -> None:
    context = "The mill at Orrin burned twice."
    row = {"id": "t", "context": context, "question": "How often?", "answers": "twice"}
    source, out = tmp_path / "test.jsonl", tmp_path / "out"
    source.write_text(json.dumps(row))
    study = tiny.load(file, f"data.test={source}")
    before = run(study, out)
    places = [Store(out).of_base, Store(out).of_run(before.chosen or "")]
    for files in places:
        files.predictions_file("greedy", "test").unlink()
    (warning,) = left_out(analyse_folder(out).warnings)
    assert "test-predictions/greedy.parquet" in warning
    assert left_out(run(study, out).warnings) == []
    assert all(files.read_predictions("greedy", "test") for files in places)


def test_a_kill_while_answers_are_written_again_leaves_nothing_that_passes(
    out: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Store(out).of_run(results_of(out).runs[0].id)
    files.predictions_file("greedy").unlink()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lorasweep.running.missing_scores.with_metrics", killed)
        with pytest.raises(KeyboardInterrupt):
            run(study, out)
    assert files.predictions_file("greedy").is_file()
    assert not files.has_predictions("greedy", "eval")
    run(study, out)
    assert files.has_predictions("greedy", "eval")


def test_runs_answer_in_lockstep_as_each_does_alone(
    out: Path, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders, alone = ["span", "beam-2"], tmp_path / "alone"
    decode(out, decoders)
    run(tiny.load(file), alone)

    def of_one(*words: object) -> MissingScores:
        return MissingScores(*words[:3], 1)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "MissingScores", of_one)
    decode(alone, decoders)
    for each in results_of(out).runs:
        for decoder in decoders:
            ours, theirs = (
                Store(f).of_run(each.id).read_predictions(decoder) for f in (out, alone)
            )
            assert ours == theirs
