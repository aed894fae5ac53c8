"""Scoring and comparing prediction files: a second implementation, and every kind of bad file."""

import json
import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asked import Placed, question_of
from lorasweep.data.examples import Dataset, Group
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError
from lorasweep.scoring.prediction_files import (
    Predictions,
    compare,
    compare_files,
    read_predictions,
    score,
    score_file,
)
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.stats.paired import holm, mcnemar_exact

VOCABULARY = ["the", "A", "an", "Cat", "cat.", "dog", "U.S.", "1,000", "co-op", "it's", "é", "–",
              "$5", "(x)", "New", "York"]  # fmt: skip


def texts(least: int) -> st.SearchStrategy[str]:
    words = st.lists(st.sampled_from(VOCABULARY), min_size=least, max_size=5)
    return words.map(" ".join)


def dataset_of(answers: dict[str, list[str]], per_paragraph: int = 3) -> Dataset:
    """Questions with the given answers, some to a paragraph."""
    ids = list(answers)
    groups = [ids[i : i + per_paragraph] for i in range(0, len(ids), per_paragraph)]
    paragraphs = tuple(
        Group(f"a/{number}", "a", "context", tuple(
            question_of(i, "what?", tuple(Placed(text, -1) for text in answers[i])) for i in group))
        for number, group in enumerate(groups)
    )  # fmt: skip
    return Dataset(("data",), paragraphs)


def plain_scores(predictions: dict[str, str], answers: dict[str, list[str]]) -> tuple[float, float]:
    """EM and F1 written anew, character by character and with sorted lists."""

    def words(text: str) -> list[str]:
        kept = "".join(c for c in text.lower() if c not in string.punctuation)
        return [word for word in re.sub(r"\b(?:the|an|a)\b", " ", kept).split() if word]

    def overlap(one: list[str], other: list[str]) -> float:
        left, common = list(other), 0
        for word in one:
            if word in left:
                left.remove(word)
                common += 1
        if common == 0:
            return 0.0
        precision, recall = common / len(one), common / len(other)
        return 2 * precision * recall / (precision + recall)

    em = f1 = 0.0
    for question_id, references in answers.items():
        if question_id in predictions:
            found = words(predictions[question_id])
            em += any(found == words(reference) for reference in references)
            f1 += max(overlap(found, words(reference)) for reference in references)
    return 100 * em / len(answers), 100 * f1 / len(answers)


def test_agrees_with_a_second_implementation_on_twelve_thousand_predictions() -> None:
    rng = random.Random(5)

    def text(least: int) -> str:
        return " ".join(rng.choices(VOCABULARY, k=rng.randint(least, 4)))

    for _ in range(6):
        answers = {str(i): [text(1) for _ in range(rng.randint(1, 3))] for i in range(2_000)}
        predictions = {i: text(0) for i in answers if rng.random() < 0.95}
        scored = score(Predictions("p", predictions), dataset_of(answers), draws=10)
        found = scored.exact_match.mean, scored.f1.mean
        assert found == pytest.approx(plain_scores(predictions, answers), abs=1e-9)
        assert set(scored.missing) == set(answers) - set(predictions)


@settings(max_examples=60)
@given(st.data())
def test_agrees_with_a_second_implementation_on_small_sets(data: st.DataObject) -> None:
    ids = st.sampled_from([str(i) for i in range(8)])
    references = st.lists(texts(1), min_size=1, max_size=3)
    answers = data.draw(st.dictionaries(ids, references, min_size=1))
    predictions = data.draw(st.dictionaries(ids, texts(0), min_size=1))
    system, dataset = Predictions("p", predictions), dataset_of(answers, 2)
    if not answers.keys() & predictions.keys():
        with pytest.raises(UserError, match="none of its ids"):
            score(system, dataset)
        return
    scored = score(system, dataset, draws=20)
    found = scored.exact_match.mean, scored.f1.mean
    assert found == pytest.approx(plain_scores(predictions, answers), abs=1e-9)
    assert set(scored.unknown) == predictions.keys() - answers.keys()


def half_right(num_questions: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    answers = {f"q{i}": ["cat"] for i in range(num_questions)}
    return answers, {q: "cat" if i % 4 < 2 else "dog" for i, q in enumerate(answers)}


def test_a_missing_prediction_is_wrong_even_where_the_reference_normalises_to_nothing() -> None:
    dataset = dataset_of({"a": ["the"], "b": ["cat"]}, 1)
    assert score(Predictions("p", {"b": "cat"}), dataset).exact_match.mean == 50
    assert score(Predictions("p", {"a": "", "b": "cat"}), dataset).exact_match.mean == 100


def test_missing_and_unknown_ids_are_listed_and_warned_of() -> None:
    answers, predictions = half_right(12)
    del predictions["q3"]
    scored = score(Predictions("p", {**predictions, "zz": "cat"}), dataset_of(answers))
    assert scored.missing == ("q3",)
    assert scored.unknown == ("zz",)
    assert scored.warnings == (
        "p: no prediction for 1 of 12 questions, counted as wrong ('q3')",
        "p: predictions for ids that data does not hold, left out: 1 ('zz')",
    )


def test_the_interval_holds_the_mean_and_clusters_are_paragraphs() -> None:
    answers, predictions = half_right(40)
    scored = score(Predictions("p", predictions), dataset_of(answers, 4))
    assert scored.f1.num_clusters == 10
    assert scored.exact_match.low is None, "each paragraph has two right of four: no spread"
    scored = score(Predictions("p", predictions), dataset_of(answers, 3))
    json_ = scored.as_json()
    low, high = json_["exact_match_interval"]
    assert low < json_["exact_match"] == 50 < high
    assert json_["exact_match_wilson_interval"] == pytest.approx([35.2, 64.8], abs=0.05)


def test_one_paragraph_gives_no_interval_and_says_why() -> None:
    answers, predictions = half_right(6)
    scored = score(Predictions("p", predictions), dataset_of(answers, 6))
    assert scored.as_json()["f1_interval"] is None
    assert any("one cluster" in warning for warning in scored.warnings)
    compared = compare(
        Predictions("a", predictions), Predictions("b", {**predictions, "q0": "dog"}),
        dataset_of(answers, 6),
    )  # fmt: skip
    assert compared.as_json()["f1_interval"] is None
    assert "one cluster" in compared.sentences[0]
    assert compared.f1_power.smallest_difference is None
    json.dumps(compared.as_json(), allow_nan=False)


def test_unanswerable_questions_are_reported(tmp_path: Path) -> None:
    question = {"id": "a", "question": "?", "answers": [{"text": "cat", "answer_start": 0}]}
    impossible = {"id": "b", "question": "?", "answers": [], "is_impossible": True}
    data = {"data": [{"paragraphs": [{"context": "cat", "qas": [question, impossible]}]}]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    (tmp_path / "p.json").write_text('{"a": "cat", "b": ""}')
    scored = score_file(tmp_path / "p.json", str(tmp_path / "data.json"))
    assert scored.exact_match.mean == 100
    assert scored.unknown == ()
    assert any("unanswerable questions left out: 1" in warning for warning in scored.warnings)


def test_predictions_for_unanswerable_questions_alone_are_no_answers(tmp_path: Path) -> None:
    question = {"id": "a", "question": "?", "answers": [{"text": "cat", "answer_start": 0}]}
    impossible = {"id": "b", "question": "?", "answers": [], "is_impossible": True}
    data = {"data": [{"paragraphs": [{"context": "cat", "qas": [question, impossible]}]}]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    (tmp_path / "p.json").write_text('{"b": ""}')
    with pytest.raises(UserError, match=r"none of its ids has an answer in .*'b' beside 'a'"):
        score_file(tmp_path / "p.json", str(tmp_path / "data.json"))


def test_a_comparison_is_a_minus_b_with_every_test() -> None:
    answers, b = half_right(120)
    a = {q: "cat" if i % 12 < 8 or b[q] == "cat" else "dog" for i, q in enumerate(answers)}
    compared = compare(Predictions("A", a), Predictions("B", b), dataset_of(answers, 5))
    swapped = compare(Predictions("B", b), Predictions("A", a), dataset_of(answers, 5))
    em_a, em_b = plain_scores(a, answers)[0], plain_scores(b, answers)[0]
    assert compared.exact_match.mean == pytest.approx(em_a - em_b)
    assert swapped.exact_match.mean == pytest.approx(em_b - em_a)
    assert compared.exact_match.p_value == swapped.exact_match.p_value
    right = [[float(p[q] == "cat") for q in answers] for p in (a, b)]
    assert compared.mcnemar_p_value == mcnemar_exact(*right)
    raw = [compared.exact_match.p_value, compared.f1.p_value]
    adjusted = [compared.exact_match.adjusted_p_value, compared.f1.adjusted_p_value]
    assert adjusted == pytest.approx(holm(raw))
    assert compared.sentences[1].startswith("A is ")
    assert "EM better than B" in compared.sentences[1]
    assert compared.exact_match_power.smallest_difference
    assert compared.f1.num_questions == 120
    assert compared.f1.num_clusters == 24


def test_equal_systems_are_not_shown_to_differ() -> None:
    answers, predictions = half_right(30)
    compared = compare(
        Predictions("A", predictions), Predictions("B", predictions), dataset_of(answers, 5)
    )
    assert compared.f1.mean == 0
    assert compared.f1.p_value == 1
    assert compared.mcnemar_p_value == 1
    assert "not shown to differ" in compared.sentences[0]


def test_systems_on_different_questions_are_refused_and_partly_so_warned_of() -> None:
    answers, predictions = half_right(12)
    first = {q: predictions[q] for q in list(answers)[:7]}
    last = {q: predictions[q] for q in list(answers)[6:]}
    compared = compare(Predictions("A", first), Predictions("B", last), dataset_of(answers))
    assert [warning[:20] for warning in compared.warnings[:2]] == [
        "A: no prediction for", "B: no prediction for",
    ]  # fmt: skip
    del first["q6"]
    with pytest.raises(UserError, match="A and B answer no question of data in common"):
        compare(Predictions("A", first), Predictions("B", last), dataset_of(answers))


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    ids = [q.id for paragraph in load(["bundled"]).groups for q in paragraph.examples]
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "greedy.json").write_text(json.dumps(dict.fromkeys(ids, "1958")))
    (tmp_path / "other.json").write_text(json.dumps(dict.fromkeys(ids, "1958")))
    x, y, other = (tmp_path / name for name in ("x/greedy.json", "y/greedy.json", "other.json"))
    same = compare_files(x, y, "bundled", draws=10)
    assert (same.a.name, same.b.name) == (str(x), str(y))
    assert compare_files(x, other, "bundled", draws=10).a.name == "greedy"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a list"),
        ('"x"', "not a string"),
        ("null", "not null"),
        ("{}", "no predictions"),
        ('{"a": null}', "the answer of 'a' is null, not a string"),
        ('{"a": "x", "b": 3}', "the answer of 'b' is 3, not a string"),
        ('{"a": true}', "is true"),
        ('{"a": NaN}', "is NaN"),
        ('{"a": ["x"]}', "is a list"),
        ('{"data": {}}', "is an object"),
        ('{"a": "x", "a": "y"}', "'a' occurs twice"),
    ],
)
def test_bad_predictions_are_one_clear_message(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "no file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b'{"a": "\xff"}'), "not a text file in UTF-8"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, prepare: Callable[[Path], Any], message: str
) -> None:
    prepare(tmp_path / "p.json")
    with pytest.raises(UserError, match=message):
        read_predictions(tmp_path / "p.json")


def test_a_mistyped_file_name_gets_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "greedy.json").write_text("{}")
    with pytest.raises(UserError, match=r"did you mean 'greedy\.json'"):
        read_predictions(tmp_path / "gredy.json")


def test_a_byte_order_mark_is_no_part_of_the_predictions(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('\ufeff{"a": "x"}', encoding="utf-8")
    assert read_predictions(tmp_path / "p.json") == {"a": "x"}


def test_rows_that_are_impossible_are_left_out_and_answers_out_of_place_counted(
    tmp_path: Path,
) -> None:
    context = "The Lune runs through Velmora."
    rows = [
        {"answers": {"text": ["The Lune"], "answer_start": [0]}, "is_impossible": False},
        {"answers": {"text": ["Velmora"], "answer_start": [22]}, "is_impossible": True},
        {"answers": "a town"},
    ]
    lines = (json.dumps({"context": context, "question": "What?", **row}) for row in rows)
    data, predictions = tmp_path / "klue.jsonl", tmp_path / "p.json"
    data.write_text("\n".join(lines), encoding="utf-8")
    predictions.write_text('{"klue-1": "The Lune", "klue-2": "", "klue-3": "a town"}')
    scored = score_file(predictions, str(data))
    assert (scored.exact_match.mean, scored.exact_match.num_questions) == (100.0, 2)
    unplaced = f'{data}: 1 of 2 answers do not stand in their contexts, such as "a town"'
    assert f"{data}: unanswerable questions left out: 1" in scored.warnings
    assert unplaced in scored.warnings
    assert unplaced in compare_files(predictions, predictions, str(data)).warnings


@pytest.mark.parametrize(("answer", "ends"), [("dog", (0, 24.2)), ("cat", (75.8, 100))])
def test_all_wrong_or_all_right_has_an_interval_by_paragraph(
    answer: str, ends: tuple[float, float]
) -> None:
    answers = {f"q{i}": ["cat"] for i in range(36)}
    scored = score(Predictions("p", dict.fromkeys(answers, answer)), dataset_of(answers, 3))
    for metric in ("exact_match", "f1"):
        assert scored.as_json()[f"{metric}_interval"] == pytest.approx(ends, abs=0.05)
    assert scored.warnings == ()


def asked(number: int, *answers: str) -> dict[str, Any]:
    written = [{"text": text, "answer_start": "cat dog bird".index(text)} for text in answers]
    return {"id": f"q{number}", "question": "?", "answers": written, "is_impossible": not answers}


@pytest.fixture
def with_impossible(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and data: two questions with an answer, two without; half of each are right."""
    questions = [asked(0, "cat"), asked(1, "dog bird"), asked(2), asked(3)]
    paragraphs = [{"context": "cat dog bird", "qas": questions[:2]},
                  {"context": "bird cat", "qas": questions[2:]}]  # fmt: skip
    (tmp_path / "data.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    answers = {"q0": "the cat", "q1": "dog", "q2": "", "q3": " cat"}
    (tmp_path / "p.json").write_text(json.dumps(answers))
    return tmp_path / "p.json", tmp_path / "data.json"


def test_questions_without_an_answer_are_kept_by_rules_that_score_them(
    with_impossible: tuple[Path, Path],
) -> None:
    predictions, data = with_impossible
    scored = score_file(predictions, str(data), rules=parse_rules("squad-v2")).as_json()
    assert (scored["rules"], scored["total"]) == ("squad-v2", 4)
    assert not any("left out" in warning for warning in scored["warnings"])
    assert scored["exact_match"] == 50
    assert scored["f1"] == pytest.approx(100 * (1 + 2 / 3 + 1) / 4)
    parts = {key: value for key, value in scored.items() if "Ans_" in key}
    assert parts == {
        "HasAns_exact": 50, "HasAns_f1": pytest.approx(100 * 5 / 6), "HasAns_total": 2,
        "NoAns_exact": 50, "NoAns_f1": 50, "NoAns_total": 2,
    }  # fmt: skip
    by_characters = score_file(predictions, str(data), rules=parse_rules("persianqa-chars"))
    assert by_characters.parts["NoAns_f1"] == 0
    plain = score_file(predictions, str(data)).as_json()
    assert plain["total"] == 2
    assert not plain.keys() & {"rules", *parts}


def test_without_a_prediction_no_answer_is_wrong_too(with_impossible: tuple[Path, Path]) -> None:
    predictions, data = with_impossible
    predictions.write_text('{"q0": "cat"}')
    scored = score_file(predictions, str(data), rules=parse_rules("squad-v2"))
    assert scored.missing == ("q1", "q2", "q3")
    assert scored.parts["NoAns_exact"] == 0


def test_a_set_of_questions_without_any_answer_has_a_score(tmp_path: Path) -> None:
    data = {"data": [{"paragraphs": [{"context": "cat", "qas": [asked(0), asked(1)]}]}]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    (tmp_path / "p.json").write_text('{"q0": "", "q1": "cat"}')
    scored = score_file(tmp_path / "p.json", str(tmp_path / "data.json"),
                        rules=parse_rules("squad-v2"))  # fmt: skip
    assert scored.exact_match.mean == 50
    with pytest.raises(UserError, match="no answerable question"):
        score_file(tmp_path / "p.json", str(tmp_path / "data.json"))


def test_rules_decide_a_comparison(tmp_path: Path) -> None:
    answers = {f"q{i}": ["Mühle"] for i in range(12)}
    dataset = dataset_of(answers, 2)
    plain, article = (dict.fromkeys(answers, text) for text in ("Mühle", "die Mühle"))
    system = Predictions("a", plain), Predictions("b", article)
    assert compare(*system, dataset, draws=50).exact_match.mean == 100
    by_language = compare(*system, dataset, draws=50, rules=parse_rules("mlqa:de"))
    assert by_language.exact_match.mean == 0
    assert by_language.as_json()["a"]["rules"] == "mlqa:de"
