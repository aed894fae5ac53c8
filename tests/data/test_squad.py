"""Reading questions: every kind of source, and every mistake that reading can find."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asked import Placed, question_of
from lorasweep.data.examples import Dataset, Group, fingerprint_of
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError

CONTEXT = "Ada wrote to Bob. Bob answered Ada."
Write = Callable[..., str]


def squad_question(question_id: str = "q1", **changes: Any) -> dict[str, Any]:
    """A question on CONTEXT in SQuAD's form."""
    answer = {"text": "Ada", "answer_start": 0}
    return {"id": question_id, "question": "Who wrote?", "answers": [answer], **changes}


def squad_file(*questions: dict[str, Any], title: str = "Letters") -> dict[str, Any]:
    """A SQuAD file of one paragraph."""
    paragraph = {"context": CONTEXT, "qas": list(questions)}
    return {"version": "1.1", "data": [{"title": title, "paragraphs": [paragraph]}]}


def row(**changes: Any) -> dict[str, Any]:
    """A row on CONTEXT; a key whose value is None is left out."""
    fields = {"context": CONTEXT, "question": "Who wrote?", "answers": "Bob", **changes}
    return {key: value for key, value in fields.items() if value is not None}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write JSON, or JSON lines for several objects, or text as it is; return the path."""

    def write(name: str, *contents: Any) -> str:
        lines = [c if isinstance(c, str) else json.dumps(c) for c in contents]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")
        return str(path)

    return write


def test_squad_file(write: Write) -> None:
    source = write("own.json", squad_file(squad_question(start_is_unique=True)))
    question = question_of("q1", "Who wrote?", (Placed("Ada", 0),))
    paragraph = Group("Letters/0", "Letters", CONTEXT, (question,))
    assert load([source]) == Dataset((source,), (paragraph,))


def test_a_context_that_is_repeated_for_each_question_is_one_paragraph(write: Write) -> None:
    file = squad_file(squad_question())
    (article,) = file["data"]
    (paragraph,) = article["paragraphs"]
    again = {**paragraph, "qas": [squad_question("q2")]}
    file["data"] = [article, {**article, "paragraphs": [again]}]
    (found,) = load([write("own.json", file)]).groups
    assert found.id == "Letters/0"
    assert [question.id for question in found.examples] == ["q1", "q2"]


def test_byte_order_mark_and_missing_title(write: Write) -> None:
    file = squad_file(squad_question())
    del file["data"][0]["title"]
    (paragraph,) = load([write("own.json", "\ufeff" + json.dumps(file))]).groups
    assert (paragraph.source, paragraph.id) == ("own", "own/0")


def test_unanswerable_questions_are_counted_and_left_out(write: Write) -> None:
    file = squad_file(
        squad_question(is_impossible=False),
        squad_question("q2", answers=[], is_impossible=True, plausible_answers=[]),
        squad_question("q3", is_impossible=True),
        squad_question("q4", answers=[]),
    )
    file["data"][0]["paragraphs"].append({"context": "Nobody asks.", "qas": []})
    dataset = load([write("v2.json", file)])
    assert [q.id for p in dataset.groups for q in p.examples] == ["q1"]
    assert (dataset.unanswerable, dataset.num_examples) == (3, 1)


def test_rows_in_every_form_of_answers(write: Write) -> None:
    rows = [
        row(id="a"),
        row(answers=["Bob", "nobody"]),
        row(answers={"text": ["Bob"], "answer_start": [18]}, id=7),
        row(answers={"text": ["Bob"]}),
        row(answers=[]),
        "",
        row(title="Other", answers={"text": [], "answer_start": []}),
        row(title="Other", context="Bob", extra=1),
    ]
    letters, other = (dataset := load([write("own.jsonl", *rows)])).groups
    assert [q.id for q in letters.examples] == ["a", "own-2", "7", "own-4"]
    assert [list(q.starts) for q in letters.examples] == [[13], [13, -1], [18], [13]]
    assert (letters.id, letters.source) == ("own/0", "own")
    assert (other.id, other.examples[0].id) == ("Other/1", "own-8")
    assert dataset.unanswerable == 2


def test_equal_titles_of_two_files_do_not_depend_on_their_order(write: Write) -> None:
    one = write("one.json", squad_file(squad_question("q1")))
    two = write("two.json", squad_file(squad_question("q#2")))
    ids = {p.id for p in load([one, two]).groups}
    assert ids == {"Letters/0@q1", "Letters/0@q%232"} == {p.id for p in load([two, one]).groups}


def test_source_id_is_the_paragraph_of_a_question_drawn_alone(write: Write) -> None:
    (paragraph,) = load([write("c.json", squad_file(squad_question(), title="C#"))]).groups
    assert (paragraph.id, paragraph.source) == ("C%23/0", "C#")
    assert paragraph.cluster_id == paragraph.id
    assert Group("A/0#q#1", "A", CONTEXT, ()).cluster_id == "A/0"


def test_bundled_corpus() -> None:
    dataset = load(["bundled"])
    assert dataset.num_examples > 0
    assert dataset.sources == ("bundled",)


def test_fingerprint_is_of_the_content(write: Write) -> None:
    same = [load([write(f"{n}.json", squad_file(squad_question()))]) for n in ("one", "two")]
    assert fingerprint_of(same[0]) == fingerprint_of(same[1])
    bob = {"text": "Bob", "answer_start": 13}
    changes: list[dict[str, Any]] = [{"id": "q2"}, {"question": "Who?"}, {"answers": [bob]}]
    others = [load([write("x.json", squad_file(squad_question() | c))]) for c in changes]
    assert len({fingerprint_of(dataset) for dataset in [same[0], *others]}) == 4


@pytest.mark.parametrize(
    ("name", "num_articles", "num_paragraphs", "num_questions"),
    [
        ("train-44-articles", 44, 2429, 11877),
        ("dev-a", 24, 1154, 5609),
        ("train-extra-paragraphs", 1, 4089, 7891),
    ],
)
def test_real_squad(
    shared: Path, name: str, num_articles: int, num_paragraphs: int, num_questions: int
) -> None:
    dataset = load([str(shared / "data" / "squad" / f"{name}.json")])
    assert len({p.source for p in dataset.groups}) == num_articles
    assert len({p.id for p in dataset.groups}) == len(dataset.groups) == num_paragraphs
    assert (dataset.num_examples, dataset.unanswerable) == (num_questions, 0)


def without(key: str) -> dict[str, Any]:
    """A SQuAD file whose question lacks a key."""
    question = squad_question()
    del question[key]
    return squad_file(question)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.json", " \n", "the file is empty"),
        ("empty.jsonl", "", "the file is empty"),
        ("cut.json", '{"data": [', "Invalid JSON"),
        ("list.json", "[]", "no answerable question (0 unanswerable)"),
        ("text.json", '"Ada"', 'text.json: "Ada" stands where an object is expected'),
        ("other.json", {"rows": []}, "'data' is missing (found: rows)"),
        ("nothing.json", {}, "'data' is missing (found: nothing)"),
        ("none.json", {"data": []}, "no answerable question (0 unanswerable)"),
        ("v2.json", squad_file(squad_question(answers=[])), "answerable question (1 unanswerable)"),
        (
            "qas.json",
            {"data": [{"title": "A", "paragraphs": [{"context": "c"}]}]},
            "data[0].paragraphs[0]: 'qas' is missing (found: context)",
        ),
        (
            "question.json",
            without("question"),
            "data[0].paragraphs[0].qas[0]: 'question' is missing (found: id, answers)",
        ),
        ("id.json", without("id"), "qas[0]: 'id' is missing"),
        (
            "type.json",
            squad_file(squad_question(question=3)),
            "data[0].paragraphs[0].qas[0].question: 3 is not a text",
        ),
        (
            "start.json",
            squad_file(squad_question(answers=[{"text": "Bob", "answer_start": 17}])),
            "question 'q1': answer_start 17 does not match 'Bob': ' Bo' stands there; "
            "it starts at 18",
        ),
        (
            "negative.json",
            squad_file(squad_question(answers=[{"text": "Ada", "answer_start": -4}])),
            "answer_start -4 does not match 'Ada': nothing stands there; it starts at 0",
        ),
        (
            "absent.json",
            squad_file(squad_question(answers=[{"text": "Eve", "answer_start": 0}])),
            "'Ada' stands there; the context does not hold it",
        ),
        (
            "blank.json",
            squad_file(squad_question(answers=[{"text": " ", "answer_start": 3}])),
            "question 'q1': an answer is empty",
        ),
        (
            "twice.json",
            squad_file(squad_question(), squad_question()),
            "twice.json (Letters/0): question id 'q1' occurs twice; first in",
        ),
        ("line.jsonl", f"{json.dumps(row())}\nAda", "line.jsonl:2: Invalid JSON"),
        (
            "field.jsonl",
            row(answers=None, answer="Bob"),
            "field.jsonl:1: 'answers' is missing (found: context, question, answer)",
        ),
        ("kind.jsonl", row(answers=["Bob", True]), "kind.jsonl:1: answers[1]: true is not a text"),
        (
            "starts.jsonl",
            row(answers={"text": ["Bob"], "answer_start": [13, 18]}),
            "starts.jsonl:1: answers: 1 text but 2 answer_start",
        ),
        (
            "moved.jsonl",
            row(answers={"text": ["Bob"], "answer_start": [12]}),
            "moved.jsonl:1: question 'moved-1': answer_start 12 does not match 'Bob'",
        ),
    ],
)
def test_mistakes_in_a_file(write: Write, name: str, content: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        load([write(name, content)])
    assert name in str(raised.value)
    assert message in str(raised.value)


def ids(dataset: Dataset) -> list[str]:
    return [question.id for paragraph in dataset.groups for question in paragraph.examples]


def test_question_ids_that_two_files_share_get_the_files_name(write: Write) -> None:
    one = write("xquad.en.json", squad_file(squad_question(), squad_question("own")))
    two = write("xquad.de.json", squad_file(squad_question(), squad_question("q2", answers=[])))
    three = write("rows.jsonl", row(id="q2"), row(id="q3"))
    dataset = load([one, two, three])
    assert ids(dataset) == ["xquad.en/q1", "own", "xquad.de/q1", "rows/q2", "q3"]
    assert dataset.unanswerable_ids == {"xquad.de/q2"}
    assert sorted(ids(load([three, two, one]))) == sorted(ids(dataset))


def test_files_of_one_name_are_told_apart_by_their_folders(write: Write) -> None:
    sources = [write(f"{name}/train.json", squad_file(squad_question())) for name in ("en", "de")]
    assert ids(load(sources)) == [f"{source}/q1" for source in sources]


def test_a_source_that_is_named_twice(write: Write) -> None:
    one = write("one.json", squad_file(squad_question()))
    with pytest.raises(UserError, match=r"data source '.*one\.json' is named twice"):
        load([one, one])


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b"\xe9")
    with pytest.raises(UserError, match=r"latin\.json: not a text file in UTF-8"):
        load([str(tmp_path / "latin.json")])


def test_missing_file(write: Write, tmp_path: Path) -> None:
    write("train.json", squad_file(squad_question()))
    with pytest.raises(UserError, match=r"no file .*trian\.json; did you mean 'train\.json'\?"):
        load([str(tmp_path / "trian.json")])
    with pytest.raises(UserError, match=r"no file .*; there is no folder .*nowhere"):
        load([str(tmp_path / "nowhere" / "train.json")])


@pytest.mark.parametrize("source", ["bundeld", "train.doc", "hub:own/set", "hub:", "hub:a:b:c:d"])
def test_unknown_kind_of_source(source: str) -> None:
    with pytest.raises(UserError, match=f'data source {source!r} is none of "bundled", "hub:'):
        load([source])
