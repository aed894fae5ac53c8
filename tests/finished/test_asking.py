"""Asking the runs of a finished study any question about any text."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from calling import assert_refused, call
from lorasweep import Results
from lorasweep.errors import UserError
from lorasweep.finished.asking import BASE_NAME, Panel
from lorasweep.folder.files import write_json
from lorasweep.folder.store import Store

CONTEXT = "Red clay is found north of the river; blue clay, which is dearer, on the island of Tamm."
QUESTION = "Where is the blue clay?"


@pytest.fixture(scope="module")
def panel(gpt2_study: Path) -> Panel:
    return Panel(gpt2_study)


def test_every_run_answers_as_it_was_scored(panel: Panel, results: Results) -> None:
    """The study's own questions, asked one by one, get the answers of its predictions."""
    from lorasweep.analysis.questions import questions_of

    paragraphs = questions_of(panel.lock, results.data["eval"])
    runs = [run.id for run in results.runs]
    places = [panel.store.of_base, *map(panel.store.of_run, runs)]
    stored = [
        {row.id: row.prediction for row in files.read_predictions("greedy")} for files in places
    ]
    for paragraph in paragraphs:
        for question in (q for q in paragraph.examples if q.id in stored[0]):
            replies = panel.answer(paragraph.context, question.prompt, runs)
            assert [r.text for r in replies] == [answers[question.id] for answers in stored]
    assert stored[0] != stored[1] != stored[2]


def test_tokens_have_the_probabilities_of_their_own_run(panel: Panel, results: Results) -> None:
    runs = [run.id for run in results.runs]
    together = panel.answer(CONTEXT, QUESTION, runs)
    for name, reply in zip([None, *runs], together, strict=True):
        alone = panel.answer(CONTEXT, QUESTION, [name] if name else [])[-1]
        assert (alone.who, alone.text) == (reply.who, reply.text)
        assert len(reply.tokens) == len(alone.tokens) > 0
        for one, other in zip(reply.tokens, alone.tokens, strict=True):
            assert one.text == other.text
            assert one.probability == pytest.approx(other.probability, rel=1e-3)


@torch.no_grad()
def test_probabilities_are_those_of_transformers_own_forward(panel: Panel) -> None:
    from lorasweep.model.base import load_model

    (reply,) = panel.answer(CONTEXT, QUESTION, [])
    model = load_model(panel.folder, torch.device("cpu"))
    prompt = panel.study.data.prompt.format(context=CONTEXT, question=QUESTION)
    ids = panel.base.tokenizer(prompt)["input_ids"]
    for token in reply.tokens:
        shares = model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
        likeliest = int(shares.argmax())
        assert panel.base.text([likeliest]) == token.text
        assert float(shares[likeliest]) == pytest.approx(token.probability, rel=1e-3)
        ids.append(likeliest)


@pytest.mark.parametrize(("decoder", "answers"), [("span", 1), ("beam-2", 1), ("top-k-3", 5)])
def test_other_decoders_answer(panel: Panel, results: Results, decoder: str, answers: int) -> None:
    replies = panel.answer(CONTEXT, QUESTION, [results.runs[0].label], decoder)
    assert [r.who for r in replies] == [BASE_NAME] * answers + [results.runs[0].label] * answers
    assert all(0 <= t.probability <= 1 for r in replies for t in r.tokens)
    if decoder == "span":
        assert all(reply.text in CONTEXT for reply in replies)


@pytest.mark.parametrize(
    ("context", "question", "runs", "decoder", "said"),
    [
        (" ", QUESTION, [], "greedy", "the text is empty"),
        (CONTEXT, " ", [], "greedy", "the question is empty"),
        ("clay " * 600, QUESTION, [], "greedy", "there is room for 512 in all"),
        (CONTEXT, QUESTION, ["r4 lr5e-2 atn"], "greedy", "did you mean 'r4 lr5e-2 attn'?"),
        (CONTEXT, QUESTION, ["../base"], "greedy", "no run '../base' in tiny"),
        (CONTEXT, QUESTION, [], "beam", "no decoder 'beam'; did you mean"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    panel: Panel, context: str, question: str, runs: list[str], decoder: str, said: str
) -> None:
    with pytest.raises(UserError) as refused:
        panel.answer(context, question, runs, decoder)
    assert said in str(refused.value)


def test_other_weights_than_the_studys_are_refused(copied_study: Path) -> None:
    store = Store(copied_study)
    lock = store.read_lock()
    assert lock is not None
    facts = {**lock.facts, "model.base (its files)": "of another day"}
    store.write_lock(lock.model_copy(update={"facts": facts}))
    with pytest.raises(UserError, match="not the weights that the runs trained on"):
        Panel(copied_study)


def test_the_terminal_shows_runs_side_by_side(
    gpt2_study: Path, results: Results, tmp_path: Path
) -> None:
    file = tmp_path / "clay.txt"
    file.write_text(CONTEXT)
    words = ["ask", gpt2_study, "--question", QUESTION]
    both = [word for run in results.runs for word in ("--run", run.id)]
    ended = call(*words, "--context", file, *both)
    assert ended.code == 0
    assert all(name in ended.out for name in (BASE_NAME, *results.names.values()))
    answers = json.loads(call(*words, "--context", CONTEXT, "--json").out)
    assert [answer["who"] for answer in answers] == [BASE_NAME, results.names[results.chosen or ""]]
    assert all(math.isfinite(t["probability"]) for a in answers for t in a["tokens"])


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ("clay.txt", "no file clay.txt"),
        ("notes on clay.txt", "no file notes on clay.txt"),
        (".", ".: a folder, where a text or its file is expected"),
        ("", "--context: the text is empty"),
        (" \n", "the text is empty"),
    ],
)
def test_what_is_no_text(gpt2_study: Path, context: str, said: str) -> None:
    ended = call("ask", gpt2_study, "--question", QUESTION, "--context", context)
    assert_refused(ended, said)


def test_the_base_model_and_the_best_may_be_named(panel: Panel, results: Results) -> None:
    best = results.names[results.chosen or ""]
    replies = panel.answer(CONTEXT, QUESTION, ["base", "BEST", best.upper()])
    assert [reply.who for reply in replies] == [BASE_NAME, best]


def test_a_failed_run_does_not_answer(copied_study: Path, results: Results) -> None:
    file = Store(copied_study).results_file
    runs = [{**run.model_dump(mode="json"), "state": "failed"} for run in results.runs]
    write_json(file, {**json.loads(file.read_text()), "runs": runs})
    ended = call("ask", copied_study, "--question", QUESTION, "--context", CONTEXT,
                 "--run", results.runs[0].id)  # fmt: skip
    assert_refused(ended, "has failed: it left nothing to use")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    ended = call("ask", tmp_path / "x", "--question", QUESTION, "--context", CONTEXT)
    assert_refused(ended, "no results in")
