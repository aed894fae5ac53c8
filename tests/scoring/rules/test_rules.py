"""Rules by data set: pairs marked by hand, the official scripts' own marks, and wrong names."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorasweep.errors import UserError
from lorasweep.scoring.metrics import exact_match, f1
from lorasweep.scoring.rules.listed import OF_LANGUAGE, PLAIN, parse_rules
from lorasweep.study.scorers import PLAIN_RULES, RULES_OF_LANGUAGE

# Rules, prediction, references, match, F1: reckoned by hand from what each script does.
MARKED: list[tuple[str, str, list[str], float, float]] = [
    ("squad-v1.1", "the Red Mill!", ["red mill"], 1, 1),
    ("squad-v1.1", "a mill", ["the old mill"], 0, 2 / 3),
    ("squad-v1.1", "", ["the"], 1, 0),
    ("squad-v1.1", "«آسیاب»", ["آسیاب"], 0, 0),
    ("xquad", "水车旁", ["水车"], 0, 0),
    ("xquad", "โรงสี เก่า", ["โรงสี"], 0, 2 / 3),
    ("squad-v2", "the Red Mill!", ["red mill"], 1, 1),
    ("squad-v2", "", [], 1, 1),
    ("squad-v2", "the", [], 1, 1),
    ("squad-v2", "mill", [], 0, 0),
    ("squad-v2", "", ["mill"], 0, 0),
    ("squad-v2", "", ["the", "mill"], 0, 0),
    ("squad-v2", "", ["the"], 1, 1),
    ("squad-v2", "?!", ["..."], 1, 1),
    ("squad-v2", "old mill", ["mill", "old red mill"], 0, 4 / 5),
    ("mlqa:en", "“The mill”, at noon…", ["mill at noon"], 1, 1),
    ("mlqa:en", "el mill", ["mill"], 0, 2 / 3),
    ("mlqa:en", "$5", ["5"], 1, 1),
    ("mlqa:en", "£5", ["5"], 0, 0),
    ("mlqa:es", "¿El molino rojo?", ["molino rojo"], 1, 1),
    ("mlqa:es", "unas casas", ["las casas"], 1, 1),
    ("mlqa:es", "the molino", ["molino"], 0, 2 / 3),
    ("mlqa:de", "die alte Mühle", ["Mühle, alte"], 0, 1),
    ("mlqa:de", "einer der Müller", ["MÜLLER"], 1, 1),
    ("mlqa:de", "dieser Müller", ["Müller"], 0, 2 / 3),
    ("mlqa:vi", "cái cối xay", ["cối xay"], 1, 1),
    ("mlqa:vi", "những ngôi nhà của làng", ["ngôi nhà làng"], 1, 1),
    ("mlqa:hi", "लाल चक्की।", ["लाल चक्की"], 1, 1),
    ("mlqa:hi", "the चक्की", ["चक्की"], 0, 2 / 3),
    ("mlqa:ar", "الطاحونة الحمراء", ["طاحونة حمراء"], 1, 1),
    ("mlqa:ar", "مقالات", ["مق ات"], 1, 1),  # the article goes inside words too
    ("mlqa:ar", "الطاحونة، القديمة", ["طاحونة"], 0, 2 / 3),
    ("mlqa:zh", "红水车", ["水车"], 0, 4 / 5),
    ("mlqa:zh", "《水车》", ["水 车"], 1, 1),
    ("mlqa:zh", "1856年建", ["1856 年"], 0, 4 / 5),
    ("mlqa:zh", "Orrin水车", ["orrin 水车"], 1, 1),
    ("mlqa:zh", "㐀㐁", ["㐀"], 0, 0),  # beyond the script's range: one word
    ("mlqa:zh", "", ["水车"], 0, 0),
    ("korquad", "'붉은 물레방아'", ["붉은 물레방아"], 1, 1),
    ("korquad", "《물레방아》(1856)", ["물레방아 1856"], 1, 1),
    ("korquad", "물레 방아", ["물레방아"], 0, 1),
    ("korquad", "붉은 물레", ["물레방아"], 0, 1 / 2),
    ("korquad", "1,856", ["1856"], 1, 1),
    ("korquad", "The Mill", ["mill"], 0, 8 / 11),
    ("korquad", "“물레”", ["물레"], 0, 2 / 3),  # these quotes are not in its list
    ("korquad", "", ["물레"], 0, 0),
    ("korquad", "방아", ["물레", "방아"], 1, 1),
    ("jaquad", "赤い水車", ["赤い水車"], 1, 1),
    ("jaquad", "水車 赤い", ["赤い水車"], 1, 1),  # an anagram is a match
    ("jaquad", "水車", ["赤い水車"], 0, 2 / 3),
    ("jaquad", "水車。", ["水車"], 0, 4 / 5),
    ("jaquad", "水車", ["赤い", "水車"], 0, 0),  # the first reference alone
    ("jaquad", "", ["水車"], 0, 0),
    ("jaquad", "Mill", ["mill"], 0, 3 / 4),
    ("persianqa", "آسیاب‌های سرخ", ["آسیاب های سرخ"], 1, 1),
    ("persianqa", "the آسیاب", ["آسیاب"], 1, 1),
    ("persianqa", "«آسیاب»", ["آسیاب"], 0, 0),
    ("persianqa", "", [], 1, 1),
    ("persianqa", "\u200c", [], 1, 1),
    ("persianqa", "آسیاب سرخ", ["آسیاب"], 0, 2 / 3),
    ("persianqa-chars", "آسیاب‌های سرخ", [" آسیاب های سرخ "], 1, 1),
    ("persianqa-chars", "", [], 1, 0),  # a right "no answer" has an F1 of 0
    ("persianqa-chars", "آب", [], 0, 0),
    ("persianqa-chars", "آب", ["آسیاب"], 0, 4 / 7),
    ("persianqa-chars", "نان و آب", ["آب و نان"], 0, 1),
    ("persianqa-chars", "Mill", ["mill"], 0, 3 / 4),
    ("folded:fa", "كتاب‌هاي آسيا", ["کتاب های آسیا"], 1, 1),
    ("folded:fa", "سال ۱۳۵۷", ["سال ١٣٥٧"], 1, 1),
    ("folded:fa", "«آسیـــاب»، سرخ؟", ["آسیاب سرخ"], 1, 1),
    ("folded:fa", "۱۲٬۳۴۵", ["12,345"], 1, 1),
    ("folded:ar", "مُحَمَّدٌ", ["محمد"], 1, 1),
    ("folded:ar", "المدينة", ["مدينة"], 0, 0),
    ("folded:zh", "（水车）！", ["水车"], 1, 1),
    ("folded:ja", "「ＡＢＣ」１２", ["abc 12"], 0, 0),
    ("folded:ja", "カタカナ。", ["ｶﾀｶﾅ"], 1, 1),
    ("folded:th", "ปี ๒๕๖๐", ["ปี 2560"], 1, 1),
    ("folded:ko", "‘물레’", ["물레"], 1, 1),
    ("folded:en", "“The mill” — ½", ["mill 1⁄2"], 1, 1),
]


@pytest.mark.parametrize(("name", "prediction", "references", "match", "shared_words"), MARKED)
def test_marks_by_hand(
    name: str, prediction: str, references: list[str], match: float, shared_words: float
) -> None:
    rules = parse_rules(name)
    assert rules.exact_match(prediction, references) == match
    assert rules.f1(prediction, references) == pytest.approx(shared_words, rel=1e-12)


def test_every_name_has_rules_and_every_rule_is_marked_by_hand() -> None:
    assert set(PLAIN) == set(PLAIN_RULES)
    assert set(OF_LANGUAGE) == set(RULES_OF_LANGUAGE)
    names = [
        *PLAIN,
        *(f"{kind}:{each}" for kind in OF_LANGUAGE for each in RULES_OF_LANGUAGE[kind]),
    ]
    assert [parse_rules(name).name for name in names] == names
    assert all(parse_rules(name).description for name in names)
    marked = {name for name, *_ in MARKED}
    assert marked >= {*PLAIN, *(f"mlqa:{each}" for each in RULES_OF_LANGUAGE["mlqa"])}


# File, its rules where they do not stand in its lines, and whether the last digit is the script's:
# F1 of v1.1 is reckoned as it always was here, 2 * shared / all, which rounds otherwise.
OFFICIAL = [
    ("squad-v1.1", "squad-v1.1", False),
    ("squad-v1.1", "xquad", False),
    ("squad-v2", "squad-v2", True),
    ("mlqa", None, True),
    ("korquad", "korquad", True),
    ("jaquad", "jaquad", True),
    ("persianqa-chars", "persianqa-chars", True),
    ("persianqa-squad2", "persianqa", True),
]


@pytest.mark.parametrize(("file", "name", "to_the_last_digit"), OFFICIAL)
def test_official_scripts_agree(
    shared: Path, file: str, name: str | None, to_the_last_digit: bool
) -> None:
    for pair in rows_of(shared, f"{file}.jsonl"):
        rules = parse_rules(name or f"mlqa:{pair['language']}")
        given = pair["prediction"], pair["references"]
        assert rules.exact_match(*given) == pair["exact_match"], pair
        off = 0 if to_the_last_digit else 1e-15
        assert rules.f1(*given) == pytest.approx(pair["f1"], rel=0, abs=off), pair


def rows_of(shared: Path, name: str) -> list[dict[str, Any]]:
    file = shared / "data" / "qa-rules" / name
    if not file.is_file():
        pytest.skip("needs the official scripts' marks in ../shared/data/qa-rules")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


TEXTS = st.text("aA نهال‌ال،。水車물레's \t1۱", max_size=12)


@settings(max_examples=60)
@given(
    st.sampled_from([*PLAIN, "mlqa:ar", "mlqa:zh", "folded:fa"]),
    TEXTS,
    st.lists(TEXTS, min_size=1, max_size=3),
)
def test_properties(name: str, prediction: str, references: list[str]) -> None:
    rules = parse_rules(name)
    match, shared_words = (
        rules.exact_match(prediction, references),
        rules.f1(prediction, references),
    )
    assert match in (0, 1)
    assert 0 <= shared_words <= 1
    assert match <= rules.exact_match(prediction, [prediction])
    if name != "jaquad":
        assert shared_words == max(rules.f1(prediction, [each]) for each in references) or (
            rules.unanswerable
        )


def test_rules_that_know_no_unanswerable_question_refuse_one() -> None:
    for name in PLAIN:
        rules = parse_rules(name)
        if rules.unanswerable:
            assert rules.exact_match("", []) == 1
        else:
            for mark in (rules.exact_match, rules.f1):
                with pytest.raises(ValueError):
                    mark("", [])


def test_version_one_is_what_it_was() -> None:
    rules = parse_rules("squad-v1.1")
    assert (rules.exact_match, rules.f1) == (exact_match, f1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("squad2", "evaluate.rules: no rules 'squad2'; did you mean 'squad-v2'?"),
        ("SQuAD-v1.1", "did you mean 'squad-v1.1'?"),
        ("mlqa", "evaluate.rules: mlqa needs a language behind it, as mlqa:ar; it knows ar, de"),
        ("mlqa:fa", "mlqa knows no answers in 'fa', as mlqa:ar; it knows ar, de, en"),
        ("folded:", "folded knows no answers in ''"),
        ("korquad:ko", "did you mean 'korquad'?"),
        ("", "known: folded:LANG, jaquad"),
    ],
)
def test_a_wrong_name_gets_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_rules(name)
    assert message in str(error.value)
