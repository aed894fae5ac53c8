"""Decoders that join a finished study: only they are computed, and everything else stays."""

import json
from pathlib import Path

import pandas
import pytest
from folders import files_of, results_of

import tiny
from lorasweep import Study, UserError, run
from lorasweep.console.progress import Silent
from lorasweep.folder.scores import Scores, scores_of
from lorasweep.running import driver
from lorasweep.running.worker.examine import Examiner

NEW = ["beam-2", "nucleus-0.9", "span"]
OF_DRAWS = ("best_of_n_f1", "best_of_n_exact_match", "distinct_answers", "agreement")


class Listening(Silent):
    """Hears what is computed."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def start(self, job: str, total: int) -> None:
        self.jobs.append(job)


@pytest.fixture
def no_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("an evaluation loss is computed anew")

    monkeypatch.setattr(Examiner, "losses", refuse)


@pytest.mark.usefixtures("no_report", "no_losses")
def test_only_the_new_decoders_answer(out: Path, packs_run: list[set[str]]) -> None:
    files, before = files_of(out), results_of(out)
    heard = Listening()
    results = driver.decode(out, NEW, heard)
    assert packs_run == []
    # Runs answer together, as many as a pack has lanes.
    names = ["base model", "2 runs", "2 runs"]
    assert sorted(heard.jobs) == sorted(f"{name}: answer, {d}" for name in names for d in NEW)
    assert results == results_of(out)
    for old, new in zip([before.base, *before.runs], [results.base, *results.runs], strict=True):
        assert new.model_copy(update={"metrics": old.metrics, "files": old.files}) == old
        assert new.files | old.files == new.files
        assert {name: new.metrics[name] for name in old.metrics} == old.metrics
        assert set(new.metrics) == {*old.metrics, *NEW}
    after = files_of(out)
    kept = {n for n in files if n.endswith((".safetensors", ".jsonl")) or "/greedy." in n}
    assert kept
    assert {n: after[n] for n in kept} == {n: files[n] for n in kept}
    folders = ["base", *(f"runs/{one.id}" for one in before.runs)]
    assert set(after) - set(files) == {
        f"{folder}/predictions/{d}.{kind}" for folder in folders for d in NEW
        for kind in ("json", "parquet")
    }  # fmt: skip


@pytest.mark.usefixtures("no_report")
def test_scores_and_predictions_of_each_kind(out: Path) -> None:
    results = driver.decode(out, NEW)
    for scored, folder in [(results.base, "base"),
                           *((one, f"runs/{one.id}") for one in results.runs)]:  # fmt: skip
        for decoder in ("greedy", *NEW):
            scores = scores_of(scored.metrics, decoder)
            assert isinstance(scores, Scores)
            draws = 5 if decoder == "nucleus-0.9" else 1
            table = pandas.read_parquet(out / folder / "predictions" / f"{decoder}.parquet")
            answers = json.loads((out / folder / "predictions" / f"{decoder}.json").read_text())
            assert len(table) == draws * scores.num_questions == draws * len(answers)
            first = table[table["draw"] == 0]
            assert dict(zip(first["id"], first["prediction"], strict=True)) == answers
            assert scores.answer_tokens == pytest.approx(table["num_tokens"].mean())
            written = scores.model_dump()
            assert all((written[f] is None) == (draws == 1) for f in OF_DRAWS)


@pytest.mark.usefixtures("no_report")
def test_a_decoder_in_the_study_file_does_the_same(
    file: Path, out: Path, packs_run: list[set[str]]
) -> None:
    by_command = driver.decode(out, ["top-k-3"])
    again = tiny.load(file, 'evaluate.decoders=["greedy", "top-k-3"]')
    assert run(again, out).runs == by_command.runs
    assert packs_run == []


@pytest.mark.usefixtures("no_report")
def test_answers_with_training_are_those_afterwards(file: Path, out: Path, tmp_path: Path) -> None:
    together = run(
        tiny.load(file, 'evaluate.decoders=["greedy", "top-k-3", "beam-2", "span"]'),
        tmp_path / "together",
    )
    driver.decode(out, ["top-k-3", "beam-2", "span"])
    assert len(together.runs) == 4
    for one in together.runs:
        for name in ("top-k-3", "beam-2", "span"):
            place = Path("runs", one.id, "predictions", f"{name}.json")
            assert json.loads((out / place).read_text()) == json.loads(
                (tmp_path / "together" / place).read_text()
            )


@pytest.mark.usefixtures("no_worker", "no_report")
def test_a_decoder_that_has_answered_is_not_asked_again(out: Path) -> None:
    before = results_of(out)
    assert driver.decode(out, ["greedy"]) == before


@pytest.mark.usefixtures("no_report")
def test_draws_and_seed_are_facts_once_a_decoder_samples(file: Path, out: Path) -> None:
    sampling = 'evaluate.decoders=["greedy", "temperature-1"]'
    few = run(tiny.load(file, sampling, "evaluate.draws=2", "evaluate.seed=7"), out)
    assert few.chosen == results_of(out).chosen
    for override, said in (("evaluate.draws=3", "evaluate.draws: 2, now 3"),
                           ("evaluate.seed=8", "evaluate.seed: 7, now 8")):  # fmt: skip
        overrides = {"evaluate.draws": "2", "evaluate.seed": "7"} | dict([override.split("=")])
        study = tiny.load(file, sampling, *(f"{k}={v}" for k, v in overrides.items()))
        with pytest.raises(UserError, match=f"made with another {said}"):
            run(study, out)
    # Without a decoder that samples they decide nothing.
    assert run(tiny.load(file, "evaluate.draws=9"), out).runs == few.runs


@pytest.mark.usefixtures("no_worker", "no_report")
def test_what_cannot_be_decoded_is_said(study: Study, out: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no decoder 'beam\(2\)'; did you mean 'beam-2'\?"):
        driver.decode(out, ["beam(2)"])
    with pytest.raises(UserError, match=r"no study in .*/nothing: run `lorasweep run STUDY --out"):
        driver.decode(tmp_path / "nothing", ["span"])
    assert not (tmp_path / "nothing").exists()
    lost = results_of(out).runs[0].id
    (out / "runs" / lost / "record.json").unlink()
    files = files_of(out)
    with pytest.raises(UserError, match="has runs that are not finished: `lorasweep run"):
        driver.decode(out, ["span"])
    assert files_of(out) == files
