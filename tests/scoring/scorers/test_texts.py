"""exact_match, f1, contains, number, regex, json, bits per byte: by hand and by properties."""

import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import example, pairs

from lorasweep.errors import UserError
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers.bits import bits_per_byte, combine, statistics
from lorasweep.scoring.scorers.listed import parse_scorer
from lorasweep.scoring.scorers.numbers import number_in

RULES = parse_rules("squad-v1.1")


def score(name: str, answer: str, *references: str, rules: str = "squad-v1.1") -> float:
    return parse_scorer(name, parse_rules(rules)).score(answer, example(*references))


@pytest.mark.parametrize("rules", ["squad-v1.1", "squad-v2", "mlqa:zh", "folded:fa", "jaquad"])
def test_exact_match_and_f1_go_by_the_rules(rules: str) -> None:
    by = parse_rules(rules)
    for answer, each in pairs(300, seed=3):
        for name in ("exact_match", "f1"):
            expected = getattr(by, name)(answer, each.references)
            assert parse_scorer(name, by).score(answer, each) == expected


def test_without_references_nothing_is_right() -> None:
    assert score("exact_match", "") == 1
    assert score("exact_match", "mill") == 0
    assert score("f1", "", rules="squad-v2") == 1


@pytest.mark.parametrize(
    ("rules", "answer", "references", "expected"),
    [
        ("squad-v1.1", "It was the Red Mill, I think.", ["red mill"], 1),
        ("squad-v1.1", "It was red.", ["red mill", "mill"], 0),
        ("squad-v1.1", "", ["the"], 1),
        ("squad-v1.1", "mill", ["the"], 0),
        ("folded:fa", "در كتاب‌ها", ["کتاب ها"], 1),
        ("mlqa:zh", "是红水车。", ["水车"], 1),
    ],
)
def test_contains(rules: str, answer: str, references: list[str], expected: float) -> None:
    assert score("contains", answer, *references, rules=rules) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So 3 and 4 make 7.", "7"),
        ("12 + 30 = 42\n#### 42", "42"),
        ("#### 1,234 apples, 5 pears", "1234"),
        ("8 of 9 #### none", "9"),
        ("It costs $1,234.50.", "1234.50"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("€ 12", "12"),
        ("50%", "50"),
        ("12,34,567", "1234567"),
        ("1, 2", "2"),
        ("1,23", "23"),
        ("10-5", "5"),
        ("-7", "-7"),
        ("(−7)", "-7"),
        ("10 - 5", "5"),
        ("2024-05-12", "12"),
        (".5", "0.5"),
        ("v1.2", "1.2"),
        ("1.5e3", "1500"),
        ("6e", "6"),
        ("۱۲٬۳۴۵٫۶ تومان", "12345.6"),
        ("١٢٣", "123"),
        ("๔๒", "42"),
        ("１，２３４", "1234"),
        ("1\u202f000", "1000"),
        ("1'000'000", "1000000"),
        ("The end: 5.", "5"),
    ],
)
def test_the_number_of_a_text(text: str, expected: str) -> None:
    assert number_in(text) == Decimal(expected)


def test_numbers_are_compared_by_value() -> None:
    assert score("number", "It is 1,000.", "#### 1000.0") == 1
    assert score("number", "1001", "1000", "1001") == 1
    assert score("number", "99", "100") == 0
    assert score("number", "none", "100") == 0
    assert score("number", " none ", "none") == 1, "a reference without a number is a text"
    assert score("number", "0", "-0") == 1


@given(st.integers(-(10**12), 10**12), st.integers(0, 3))
def test_a_number_is_found_however_it_is_written(value: int, places: int) -> None:
    text = f"{value / 10**places:,.{places}f}"
    persian = text.translate(str.maketrans("0123456789.,", "۰۱۲۳۴۵۶۷۸۹٫٬"))
    expected = Decimal(text.replace(",", ""))
    for written in (text, persian, f"about 5, or {text}%", f"#### {text} of 7"):
        assert number_in(written) == expected


@given(st.text(max_size=30))
def test_any_text_comes_to_a_number_or_itself(text: str) -> None:
    found = number_in(text)
    assert found == text.strip() or isinstance(found, Decimal)
    assert score("number", text, text) == 1


@pytest.mark.parametrize(
    ("name", "answer", "reference", "expected"),
    [
        ("regex:[A-D]", "I say B.", "B", 1),
        ("regex:[A-D]", "I say B, not C", "Answer: C", 0),
        (r"regex:answer is (\w+)", "the answer is mill", "mill", 1),
        (r"regex:answer is (\w+)", "mill", "mill", 0),
        (r"regex:answer is (\w+)", "answer is mill", "The answer is mill!", 1),
        (r"regex:(\d+)|none", "none", "none", 1),
        (r"regex:(?i)yes|no", "Yes", "yes", 0),
        (r"regex:\d+: \d+", "3: 4", "3: 4", 1),
    ],
)
def test_regex(name: str, answer: str, reference: str, expected: float) -> None:
    assert score(name, answer, reference) == expected
    assert parse_scorer(name, RULES).name == name


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ('{"a": 1, "b": [1, 2]}', '{"b": [1, 2], "a": 1.0}', 1),
        ('{"a": 1, "b": [1, 3]}', '{"a": 1, "b": [1, 2]}', 2 / 3),
        ('{"a": 1}', '{"a": 1, "b": {"c": 2}}', 1 / 2),
        ('{"a": 1, "x": 2}', '{"a": 1}', 1 / 2),
        ('{"a": true}', '{"a": 1}', 0),
        ('{"a": []}', '{"a": {}}', 0),
        ('{"a": null}', '{"a": null}', 1),
        ("{}", "{}", 1),
        ("[]", "{}", 0),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 1),
        ('The answer: {"a": 1}', '{"a": 1}', 0),
        ('{"a": NaN}', '{"a": 1}', 0),
        ('{"a": 1', '{"a": 1}', 0),
        ("", '{"a": 1}', 0),
        ("3", "3.0", 1),
        ('{"شهر": "تهران"}', '{"\\u0634\\u0647\\u0631": "تهران"}', 1),
        ("not json ", "not json", 1),
        ('{"a": {"b": 1}}', '{"a.b": 1}', 0),
    ],
)
def test_json_fields(answer: str, reference: str, expected: float) -> None:
    assert score("json", answer, reference) == pytest.approx(expected)


def test_json_takes_the_nearest_reference_and_no_depth_breaks_it() -> None:
    assert score("json", '{"a": 2}', '{"a": 1}', '{"a": 2}') == 1
    deep = "[" * 100_000 + "]" * 100_000
    assert score("json", deep, "[1]") == 0
    assert score("json", "1" * 5000, "1") == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_json_is_whole_for_equal_values_alone(one: Any, other: Any) -> None:
    first, second = json.dumps(one), json.dumps(other)
    assert score("json", json.dumps(one, indent=2), first) == 1
    assert score("json", first, second) == score("json", second, first)
    assert (score("json", first, second) == 1) == (json.dumps(one, sort_keys=True) == json.dumps(
        other, sort_keys=True))  # fmt: skip


def test_bits_per_byte() -> None:
    assert float(bits_per_byte(8 * math.log(2), 4)) == pytest.approx(2)
    rows = np.stack([statistics(3.0, "آب"), statistics(5.0, "mill")])
    assert rows[:, 1].tolist() == [4, 4]
    assert float(combine(rows.sum(axis=0))) == pytest.approx(8 / math.log(2) / 8)
    assert combine(np.stack([rows, 2 * rows])).shape == (2, 2)
    scorer = parse_scorer("bits_per_byte", RULES)
    assert (scorer.low, scorer.high, scorer.higher_is_better) == (0, None, False)
    assert not scorer.is_share
    with pytest.raises(ValueError):
        bits_per_byte(1.0, 0)
    with pytest.raises(TypeError, match="off the losses"):
        scorer.score("mill", example("mill"))


def test_an_unknown_name_is_said_with_the_field() -> None:
    with pytest.raises(UserError, match=r"evaluate.scorers: no scorer 'rouge'; did you mean"):
        parse_scorer("rouge", RULES)
