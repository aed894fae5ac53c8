"""The forms that people's data have: each is read as what it says, or refused by its own value."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from asked import Placed
from lorasweep.data.examples import Dataset
from lorasweep.data.squad.offsets import unplaced_warning
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError

CONTEXT = "The Lune runs through Velmora."
LUNE, VELMORA = Placed("The Lune", 0), Placed("Velmora", 22)
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text; return the path."""

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def row(**changes: Any) -> dict[str, Any]:
    return {"context": CONTEXT, "question": "What runs?", "answers": "The Lune", **changes}


def nested(**changes: Any) -> dict[str, Any]:
    """A SQuAD file of one question."""
    answers = [{"text": "The Lune", "answer_start": 0}]
    question = {"id": "q", "question": "What runs?", "answers": answers, **changes}
    return {"data": [{"title": "A", "paragraphs": [{"context": CONTEXT, "qas": [question]}]}]}


def lines(*rows: dict[str, Any]) -> str:
    return "\n".join(json.dumps(each) for each in rows)


def answers_of(dataset: Dataset) -> list[tuple[Placed, ...]]:
    return [question.placed for p in dataset.groups for question in p.examples]


def ids_of(dataset: Dataset) -> list[str]:
    return [question.id for p in dataset.groups for question in p.examples]


def refusal(source: str) -> str:
    with pytest.raises(UserError) as raised:
        load([source])
    assert "Input should be" not in str(raised.value)
    assert len(str(raised.value)) < 600
    return str(raised.value)


PAIR = {"text": ["The Lune", "Velmora"], "answer_start": [0, 22]}
ANSWERS: list[tuple[Any, tuple[Placed, ...]]] = [
    ("Velmora", (VELMORA,)),
    (["The Lune", "Velmora"], (LUNE, VELMORA)),
    (PAIR, (LUNE, VELMORA)),
    ({"text": "Velmora", "answer_start": 22}, (VELMORA,)),
    ({"text": ["Velmora"], "answer_start": None}, (VELMORA,)),
    ([{"text": "Velmora", "answer_start": 22}], (VELMORA,)),
    ([{"text": "Velmora"}, {"text": "The Lune", "answer_start": ""}], (VELMORA, LUNE)),
    ([{"text": "Velmora", "answer_start": "22"}], (VELMORA,)),
    ([{"text": "Velmora", "answer_start": 22.0}], (VELMORA,)),
    (1711, (Placed("1711", -1),)),
    (str(PAIR), (LUNE, VELMORA)),
    (json.dumps(PAIR), (LUNE, VELMORA)),
    ("['Velmora']", (VELMORA,)),
    (str([{"text": "Velmora", "answer_start": 22}]), (VELMORA,)),
    ("[sic]", (Placed("[sic]", -1),)),
]


@pytest.mark.parametrize(("answers", "read"), ANSWERS, ids=[str(a)[:40] for a, _ in ANSWERS])
def test_answers_in_every_form_mean_the_same_in_rows_and_in_files(
    write: Write, answers: Any, read: tuple[Placed, ...]
) -> None:
    assert answers_of(load([write("r.jsonl", lines(row(answers=answers)))])) == [read]
    assert answers_of(load([write("f.json", json.dumps(nested(answers=answers)))])) == [read]


NO_ANSWERS = [[], None, "[]", {"text": [], "answer_start": []}, "{'text': [], 'answer_start': []}"]


@pytest.mark.parametrize("answers", NO_ANSWERS, ids=str)
def test_no_answer_in_every_form(write: Write, answers: Any) -> None:
    dataset = load([write("r.jsonl", lines(row(answers=answers), row(question="Why?")))])
    assert (dataset.unanswerable, dataset.num_examples) == (1, 1)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"texts": ["A"]}, "answers: 'text' is missing (found: texts)"),
        ([{"answer_start": 0}], "answers[0]: 'text' is missing (found: answer_start)"),
        (1711.0, "answers: 1711.0 is a number, not a text"),
        ([["A"]], 'answers[0]: ["A"] is not a text'),
        (True, "answers: true is not a text"),
        ({"text": ["Velmora"], "answer_start": ["x"]}, 'answer_start: "x" is not a whole number'),
        ({"text": ["Velmora"], "answer_start": [0.5]}, "answer_start: 0.5 is not a whole number"),
        ("{'text': array(['A'], dtype=object)}", "looks like an object or a list"),
        ("['The Lune' 'Velmora']", "looks like an object or a list"),
        (["\ud800"], "half a character"),
    ],
    ids=str,
)
def test_answers_that_are_none(write: Write, answers: Any, said: str) -> None:
    assert said in refusal(write("r.jsonl", lines(row(answers=answers))))
    assert said in refusal(write("f.json", json.dumps(nested(answers=answers))))


def test_a_text_that_stands_in_its_context_is_a_text_whatever_it_looks_like(write: Write) -> None:
    text = "['Velmora']"
    one = row(context=f"It prints {text}.", answers=text)
    assert answers_of(load([write("r.jsonl", lines(one))])) == [(Placed(text, 10),)]


@pytest.mark.parametrize("flag", [True, "true", "True", 1, "1", 1.0])
def test_impossible_questions_have_no_answer_in_rows_as_in_files(write: Write, flag: Any) -> None:
    plausible = {"is_impossible": flag, "plausible_answers": ["Velmora"]}
    rows = lines(row(), row(question="Who burnt it?", **plausible))
    dataset = load([write("klue.jsonl", rows)])
    assert (ids_of(dataset), dataset.unanswerable_ids) == (["klue-1"], {"klue-2"})
    assert "no answerable question (1" in refusal(write("f.json", json.dumps(nested(**plausible))))


@pytest.mark.parametrize("flag", [False, "false", "", None, 0, "0"])
def test_possible_questions(write: Write, flag: Any) -> None:
    assert load([write("r.jsonl", lines(row(is_impossible=flag)))]).num_examples == 1
    assert load([write("f.json", json.dumps(nested(is_impossible=flag)))]).num_examples == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_impossible": 2}, "is_impossible: 2 is neither true nor false"),
        ({"is_impossible": "maybe"}, 'is_impossible: "maybe" is neither true nor false'),
        ({"isImpossible": True}, "unknown key 'isImpossible'; did you mean 'is_impossible'?"),
        ({"question": " "}, 'question: " " asks nothing'),
        ({"question": None}, "question: null is not a text"),
        ({"id": " "}, 'id: " " is empty'),
        ({"id": ""}, 'id: "" is empty'),
        ({"id": ["a"]}, 'id: ["a"] is not a text'),
        ({"id": True}, "id: true is not a text"),
    ],
    ids=str,
)
def test_fields_that_are_wrong(write: Write, changes: dict[str, Any], said: str) -> None:
    assert said in refusal(write("r.jsonl", lines(row(**changes))))
    assert said in refusal(write("f.json", json.dumps(nested(**changes))))


def test_ids_and_titles_as_tools_write_them(write: Write) -> None:
    rows = [row(guid="g1"), row(id=None), row(id=7), row(id="a", guid="b"), row(title=1984)]
    dataset = load([write("own.jsonl", lines(*rows, row(title=None, id="n"), row(title="")))])
    assert ids_of(dataset) == ["g1", "own-2", "7", "a", "n", "own-7", "own-5"]
    assert [p.source for p in dataset.groups] == ["own", "1984"]
    question = nested()
    asked = question["data"][0]["paragraphs"][0]["qas"][0]
    asked["guid"] = asked.pop("id")
    question["data"][0]["title"] = 1984
    (paragraph,) = load([write("g.json", json.dumps(question))]).groups
    assert (paragraph.source, paragraph.examples[0].id) == ("1984", "q")


def test_entries_without_a_title_are_articles_of_their_own(write: Write) -> None:
    entries = [nested(id=f"q{n}")["data"][0] for n in range(3)]
    for n, entry in enumerate(entries[:2]):
        entry.pop("title")
        entry["paragraphs"][0]["context"] = f"{CONTEXT} {n}"
    dataset = load([write("own.json", json.dumps({"data": entries}))])
    assert [p.source for p in dataset.groups] == ["own/0", "own/1", "A"]
    # as they were when all were one article: studies of then are known again
    assert [p.id for p in dataset.groups] == ["own/0", "own/1", "A/0"]
    assert [p.untitled_file for p in dataset.groups] == ["own", "own", ""]


@pytest.mark.parametrize("form", ["list", "indented list", "lines"])
@pytest.mark.parametrize("name", ["own.json", "own.jsonl", "own.JSON", "own.JsonL"])
def test_rows_are_read_whatever_the_suffix_says_of_them(write: Write, name: str, form: str) -> None:
    rows = [row(), row(question="Where?", answers="Velmora")]
    text = {"list": json.dumps(rows), "indented list": json.dumps(rows, indent=1)}
    dataset = load([write(name, text.get(form, lines(*rows)))])
    assert ids_of(dataset) == ["own-1", "own-2"]
    assert answers_of(dataset) == [(LUNE,), (VELMORA,)]


CSV = f"""\ufeffid,context,question,answers
a,{CONTEXT},What runs?,"{{'text': ['The Lune'], 'answer_start': [0]}}"
b,{CONTEXT},Where?,Velmora
c,{CONTEXT},When?,
d,"It is 1711.
NA is sodium.",When?,1711
e,"It is 1711.
NA is sodium.",What?,NA
"""


def test_tables_of_text(write: Write) -> None:
    expected = [(LUNE,), (VELMORA,), (Placed("1711", 6),), (Placed("NA", 12),)]
    for dataset in (load([write("own.csv", CSV)]), load([write("own.tsv", tsv(CSV))])):
        assert answers_of(dataset) == expected
        assert ids_of(dataset) == ["a", "b", "d", "e"]
        assert dataset.unanswerable_ids == {"c"}


def tsv(text: str) -> str:
    """The same table with tabs; none of its cells holds a comma but the serialised one."""
    return text.replace("], 'ans", "]; 'ans").replace(",", "\t").replace("]; 'ans", "], 'ans")


def test_packed_files_are_read_as_what_they_hold(tmp_path: Path) -> None:
    texts = {"own.csv.gz": CSV, "own.json.GZ": json.dumps(nested()), "own.jsonl.gz": lines(row())}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert load([str(tmp_path / name)]).groups[0].context == CONTEXT
    assert ids_of(load([str(tmp_path / "own.jsonl.gz")])) == ["own-1"]
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-9])
    assert "cut.csv.gz: cannot be read" in refusal(str(tmp_path / "cut.csv.gz"))


def test_parquet_files(tmp_path: Path) -> None:
    rows = [row(answers=PAIR, id="a"), row(answers={"text": [], "answer_start": []}, id="b")]
    path = tmp_path / "own.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    dataset = load([str(path)])
    assert (answers_of(dataset), dataset.unanswerable_ids) == ([(LUNE, VELMORA)], {"b"})
    path.write_bytes(path.read_bytes()[:40])
    assert "own.parquet: " in refusal(str(path))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "context;question;answers\na;b;c", "seem to be parted by ';'"),
        ("a.csv", "context,context,question,answers\na,b,c,d", "column 'context' occurs twice"),
        ("a.csv", "context,question,answers\na,b", "Expected 3 columns, got 2"),
        ("a.csv", "passage,question,answers\na,b,c", "did you mean 'context' by 'passage'?"),
        ("a.csv", "context,question,answer\na,b,c", "did you mean 'answers' by 'answer'?"),
        ("a.csv", "context,question,answers\n,,x", "row 1: context: null is not a text"),
        ("a.jsonl", '{"context": "a", "context": "b"}', "a.jsonl:1: 'context' occurs twice"),
        ("a.json", '{"data": [], "data": []}', "a.json: 'data' occurs twice"),
        ("a.json", json.dumps({f"id{n}": "an answer" for n in range(10570)}), "10,570 predictions"),
        ("a.json", json.dumps({f"k{n}": n for n in range(900)}), "k7 and 892 more)"),
        ("a.jsonl", json.dumps(nested()), "call it .json"),
        ("a.jsonl", '{"instruction": "a", "output": "b"}', "trains on questions about a text"),
        ("a.jsonl", "[1, 2]", "row 1: 1 stands where an object is expected"),
        ("a.jsonl", "[{]", "a .jsonl file has one object a line"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"data": 3}', "data: 3 stands where a list is expected"),
    ],
)  # fmt: skip
def test_files_that_are_none_of_these(write: Write, name: str, text: str, said: str) -> None:
    assert said in refusal(write(name, text))


@pytest.mark.parametrize(
    ("unit", "context", "starts"),
    [
        ("in UTF-16 units", "😀😀 The Lune, Velmora", (5, 15)),
        ("in bytes", "é The Lune, Velmora", (3, 13)),
        ("from the first character that is no space", "  The Lune, Velmora", (0, 10)),
        ("from 1", "The Lune, Velmora", (1, 11)),
    ],
)
def test_the_unit_that_would_fit_all_offsets_is_named(
    write: Write, unit: str, context: str, starts: tuple[int, int]
) -> None:
    one = row(context=context, answers={"text": ["The Lune", "Velmora"], "answer_start": starts})
    said = refusal(write("r.jsonl", lines(one)))
    assert f"2 of 2 offsets are wrong; counted {unit}, all fit" in said


def test_wrong_offsets_are_counted(write: Write) -> None:
    answers = {"text": ["The Lune", "Velmora", "Velmora"], "answer_start": [0, 3, 5]}
    said = refusal(write("r.jsonl", lines(row(answers=answers))))
    assert "answer_start 3 does not match 'Velmora'" in said
    assert said.endswith("; 2 of 3 offsets are wrong")


@pytest.mark.parametrize(
    ("text", "there", "points"),
    [("Zu\u0308rich", "Z\u00fcrich", ("00FC", "0075")), ("علي", "علی", ("06CC", "064A"))],
)
def test_texts_that_differ_in_their_unicode_form_alone(
    write: Write, text: str, there: str, points: tuple[str, str]
) -> None:
    right, wrong = points
    form = f"it stands at 4 in another Unicode form: U+{right} there, U+{wrong} in the answer"
    one = row(context=f"Aus {there}.", answers={"text": [text], "answer_start": [4]})
    assert form in refusal(write("r.jsonl", lines(one)))
    free = row(context=one["context"], answers=text)
    (said,) = unplaced_warning(load([write("f.jsonl", lines(free))]), "train ")
    assert said.startswith("1 of 1 train answers do not stand in their contexts")
    assert form in said


def test_a_home_folder_is_found(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("own.jsonl", lines(row()))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(["~/own.jsonl"]).num_examples == 1
    assert "~nobody-here/x.json" in refusal("~nobody-here/x.json")


def test_where_a_file_was_looked_for_is_said(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("train.csv", CSV)
    os.mkdir(tmp_path / "empty")
    monkeypatch.chdir(tmp_path)
    said = refusal("trian.csv")
    assert said == f"no file trian.csv; did you mean 'train.csv'? (looked for in {tmp_path})"
    monkeypatch.chdir(tmp_path / "empty")
    assert refusal("train.csv") == f"no file train.csv (looked for in {tmp_path / 'empty'})"
    assert "a folder is read as hub:" in refusal(str(tmp_path))
    assert "too long" in refusal("x" * 5000 + ".json")
