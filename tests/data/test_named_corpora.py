"""Checks on the bundled corpora that have names of their own: what each holds, judged by rule."""

import ast
import csv
import json
import operator
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from alike import most_alike, question_form
from lorasweep.data.corpus.bundled import bundled_file, bundled_names
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError

Row = dict[str, Any]
LABELS = {"complaint", "question", "report", "booking"}
MAX_BYTES = 150_000
OPERATIONS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def rows_of(name: str) -> list[Row]:
    """Return the rows of a corpus; of a Persian paragraph's questions each is one."""
    file = bundled_file(f"bundled:{name}")
    text = file.read_text("utf-8")
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if file.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    return [
        {"source": article["title"], "context": paragraph["context"], **question}
        for article in json.loads(text)["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def turns_of(row: Row, role: str) -> list[str]:
    return [turn["content"] for turn in row["messages"] if turn["role"] == role]


def asked(name: str, row: Row) -> str:
    """Return what a row asks, without what all rows of its task have."""
    match name:
        case "completion":
            return str(row["prompt"]).partition(": ")[2].rpartition("\n")[0]
        case "chat":
            return " ".join(turns_of(row, "user"))
        case "choice":
            return str(row["text"])
    return str(row["question"])


def value_of(expression: str) -> float:
    """Return the value of sums and products of whole numbers."""

    def walk(node: ast.expr) -> float:
        if isinstance(node, ast.BinOp):
            return OPERATIONS[type(node.op)](walk(node.left), walk(node.right))
        assert isinstance(node, ast.Constant)
        assert isinstance(node.value, int)
        return node.value

    return walk(ast.parse(expression, mode="eval").body)


@pytest.mark.parametrize(
    ("name", "num_rows", "num_sources"),
    [
        ("completion", 224, 16),
        ("chat", 200, 20),
        ("choice", 320, 20),
        ("numbers", 210, 30),
        ("persian", 236, 12),
    ],
)
def test_sizes(name: str, num_rows: int, num_sources: int) -> None:
    """Sizes are as their README says; ids are unique, and a source never dominates."""
    rows = rows_of(name)
    sources = Counter(row["source"] for row in rows)
    assert (len(rows), len(sources)) == (num_rows, num_sources)
    assert len({row["id"] for row in rows}) == len(rows)
    assert max(sources.values()) <= 20
    assert bundled_file(f"bundled:{name}").stat().st_size < MAX_BYTES


@pytest.mark.parametrize("name", bundled_names())
def test_no_two_rows_are_alike(name: str) -> None:
    texts = [asked(name.partition(":")[2], row) for row in rows_of(name.partition(":")[2])]
    assert most_alike(texts) == []
    forms = Counter(question_form(text) for text in texts)
    assert {form: count for form, count in forms.items() if count > 3} == {}


@pytest.mark.parametrize("name", bundled_names())
def test_texts_have_no_stray_space(name: str) -> None:
    text = bundled_file(name).read_text("utf-8")
    strings = [value for row in rows_of(name.partition(":")[2]) for value in row.values()]
    assert "\r" not in text
    assert all(value == value.strip() for value in strings if isinstance(value, str))
    assert not [value for value in strings if isinstance(value, str) and "  " in value]


def test_completions_are_by_rule() -> None:
    """Each task's completions have its form, and their words are the prompt's own."""
    counts = Counter(row["task"] for row in rows_of("completion"))
    assert counts == {"deadline": 48, "record": 48, "past": 48, "sort": 32, "slip": 48}
    for row in rows_of("completion"):
        assert fits(row["task"], asked("completion", row), row["completion"]), row["id"]


def fits(task: str, text: str, completion: str) -> bool:
    match task:
        case "deadline":
            return completion in text
        case "record":
            who, what, when = completion.split(" | ")
            return who in text and bool(what) and re.fullmatch(r"\d{1,2}:\d\d", when) is not None
        case "sort":
            return completion == ", ".join(sorted(text.split(", "))) != text
        case "slip":
            whom, _, things = completion.partition(": ")
            return whom.lower() in text.lower() and all(
                re.fullmatch(r"[a-z -]+ \d+", thing) for thing in things.split(", ")
            )
    return task == "past" and completion != text and completion[-1] == text[-1] == "."


def test_chats_alternate_behind_one_system_text() -> None:
    for row in rows_of("chat"):
        roles = [turn["role"] for turn in row["messages"]]
        assert roles[0] == "system"
        assert roles[1:] == ["user", "assistant"] * (len(roles) // 2), row["id"]
        assert 5 <= len(roles) <= 9, row["id"]
    assert len({text for row in rows_of("chat") for text in turns_of(row, "system")}) == 1


def test_answers_of_chats_are_short_and_of_known_forms() -> None:
    """Times, fares, lengths, piers, islands, yes, no, counts, or that it is not known."""
    form = re.compile(
        r"\d{1,2}:\d\d|1 crown|\d+ crowns|\d+ minutes|pier [12]|yes|no|free|\d+|I do not know|"
        r"Skarv|Bell Island|Skarv and Bell Island|adult|child|car|bicycle"
    )
    answers = [text for row in rows_of("chat") for text in turns_of(row, "assistant")]
    assert [answer for answer in answers if not form.fullmatch(answer)] == []
    assert max(Counter(answers).values()) < len(answers) / 8


def test_every_label_is_known_and_as_frequent_in_every_source() -> None:
    counts = Counter((row["source"], row["label"]) for row in rows_of("choice"))
    assert {label for _, label in counts} == LABELS
    assert set(counts.values()) == {4}


def test_numbers_are_what_their_expressions_give() -> None:
    """The number behind the mark is the expression's, and every worked line is right."""
    for row in rows_of("numbers"):
        *lines, last = row["answer"].split("\n")
        assert last == f"#### {int(value_of(row['expression']))}", row["id"]
        assert value_of(row["expression"]) % 1 == 0, row["id"]
        worked = [re.fullmatch(r"(.+) = (\d+) .+", line) for line in lines]
        assert all(found and value_of(found[1]) == int(found[2]) for found in worked), row["id"]
        assert worked[-1] is not None
        assert worked[-1][2] == last.removeprefix("#### "), row["id"]


def test_numbers_are_of_many_stories() -> None:
    by_source = Counter(row["source"] for row in rows_of("numbers"))
    assert len(by_source) >= 25
    assert set(by_source.values()) == {7}


def test_persian_answers_stand_at_their_offsets() -> None:
    for row in rows_of("persian"):
        assert row["answers"], row["id"]
        for answer in row["answers"]:
            start, text = answer["answer_start"], answer["text"]
            assert row["context"][start : start + len(text)] == text, row["id"]


def test_persian_is_written_with_persian_characters() -> None:
    """No Arabic yeh, kaf or digits; zero-width non-joiners stand between two letters alone."""
    text = bundled_file("bundled:persian").read_text("utf-8")
    contents = "\n".join(
        value for row in rows_of("persian") for value in (row["context"], row["question"])
    )
    assert not re.search("[\u064a\u0643\u0649\u0660-\u0669\u200d\u200e\u200f]", text)
    assert not re.search("[0-9A-Za-z,;?]", contents)
    letter = "[\u0621-\u064a\u0654\u067e\u0686\u0698\u06a9\u06af\u06cc]"
    joined = re.findall(f"(?<={letter})\u200c(?={letter})", contents)
    assert len(joined) == contents.count("\u200c") > 500


def test_persian_paragraphs_differ() -> None:
    """Paragraphs are of moderate length, and no five words in a row occur in two of them."""
    contexts = {row["context"] for row in rows_of("persian")}
    assert len(contexts) == 60
    assert all(60 <= len(context.split()) <= 120 for context in contexts)
    runs = Counter(run for context in contexts for run in set(runs_of_five(context)))
    assert [run for run, count in runs.items() if count > 1] == []


def runs_of_five(text: str) -> list[str]:
    words = re.findall(r"[\w\u200c]+", text)
    return [" ".join(words[start : start + 5]) for start in range(len(words) - 4)]


@pytest.mark.parametrize(
    "kind", ["چه کسی|چه کسانی|کیست", "کجا", "کی|چه زمانی", "چند", "چرا", "چگونه", "کدام", "چیست"]
)
def test_every_kind_of_persian_question_occurs(kind: str) -> None:
    pattern = re.compile(rf"(?<!\w)({kind})(?!\w)")
    assert sum(1 for row in rows_of("persian") if pattern.search(row["question"])) >= 5


def test_persian_questions_are_read_by_name() -> None:
    dataset = load(["bundled:persian"])
    assert dataset.num_examples == 236
    assert len({group.source for group in dataset.groups}) == 12


def test_names_are_in_order_and_a_wrong_one_meets_the_nearest() -> None:
    assert all(first < second for first, second in pairwise(bundled_names()))
    for wrong, right in (("bundled:chats", "chat"), ("bundled:persan", "persian")):
        with pytest.raises(UserError, match=f"no bundled corpus '{wrong}'; did you mean") as told:
            load([wrong])
        assert str(told.value).endswith(f"did you mean 'bundled:{right}'?")
