"""Splits and samples: whole paragraphs, nested, the same whatever the order of the files."""

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asked import Placed, question_of
from lorasweep.data.examples import Dataset, Group, fingerprint_of
from lorasweep.data.selection import sample, select
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError
from lorasweep.study.data_section import Data

Write = Callable[..., str]


def paragraph(article: str, index: int, num_questions: int) -> Group:
    """A made-up paragraph with a context of its own."""
    prefix = f"{article}/{index}"
    questions = (
        question_of(f"{prefix}-q{n}", f"Which {n}?", (Placed("one", 0),))
        for n in range(num_questions)
    )
    return Group(prefix, article, f"one {prefix}", tuple(questions))


PARAGRAPHS = st.lists(st.integers(1, 5), min_size=1, max_size=12).map(
    lambda sizes: [paragraph(f"T{n % 3}", n, size) for n, size in enumerate(sizes)]
)


def question_ids(paragraphs: Dataset | tuple[Group, ...]) -> list[str]:
    """The ids of the questions in order."""
    if isinstance(paragraphs, Dataset):
        paragraphs = paragraphs.groups
    return [question.id for paragraph in paragraphs for question in paragraph.examples]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a SQuAD file of `num_articles` articles with 3 paragraphs of 2 questions each."""

    def write(name: str, num_articles: int, prefix: str = "") -> str:
        prefix = prefix or name
        articles = [_article(f"{prefix}-{n}") for n in range(num_articles)]
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
        return str(tmp_path / f"{name}.json")

    return write


def _article(title: str) -> dict[str, Any]:
    paragraphs = [_paragraph(p) for p in (paragraph(title, index, 2) for index in range(3))]
    return {"title": title, "paragraphs": paragraphs}


def _paragraph(made: Group) -> dict[str, Any]:
    answers = [{"text": "one", "answer_start": 0}]
    qas = [{"id": q.id, "question": q.prompt, "answers": answers} for q in made.examples]
    return {"context": made.context, "qas": qas}


@settings(max_examples=60)
@given(PARAGRAPHS, st.integers(0, 40), st.integers(0, 5), st.randoms(use_true_random=False))
def test_sample_of_whole_paragraphs(
    paragraphs: list[Group], num_questions: int, seed: int, random: Any
) -> None:
    drawn = sample(paragraphs, num_questions, seed)
    total = sum(len(p.examples) for p in paragraphs)
    reached = len(question_ids(drawn))
    assert set(drawn) <= set(paragraphs)
    assert reached >= min(num_questions, total)
    assert not drawn or len(question_ids(drawn[:-1])) < num_questions
    assert sample(paragraphs, None, seed)[: len(drawn)] == drawn
    random.shuffle(paragraphs)
    assert sample(paragraphs, num_questions, seed) == drawn


@settings(max_examples=60)
@given(PARAGRAPHS, st.integers(0, 40), st.integers(0, 5), st.randoms(use_true_random=False))
def test_sample_of_single_questions(
    paragraphs: list[Group], num_questions: int, seed: int, random: Any
) -> None:
    drawn = sample(paragraphs, num_questions, seed, "question")
    total = sum(len(p.examples) for p in paragraphs)
    assert len(set(question_ids(drawn))) == len(drawn) == min(num_questions, total)
    by_id = {p.id: p for p in paragraphs}
    for alone in drawn:
        (question,) = alone.examples
        assert alone.id == f"{alone.cluster_id}#{question.id}"
        assert question in by_id[alone.cluster_id].examples
        assert alone.context == by_id[alone.cluster_id].context
    assert sample(paragraphs, None, seed, "question")[: len(drawn)] == drawn
    random.shuffle(paragraphs)
    assert sample(paragraphs, num_questions, seed, "question") == drawn


def test_seeds_draw_differently() -> None:
    paragraphs = [paragraph("T", n, 1) for n in range(20)]
    orders = {sample(paragraphs, None, seed) for seed in (0, 1, "train/0", "eval/0")}
    assert len(orders) == 4


def test_split_by_article_by_default(write: Write) -> None:
    train_file = write("train", 10)
    selection = select(Data(train=[train_file]))
    train = {p.source for p in selection.train.groups}
    evaluation = {p.source for p in selection.eval.groups}
    assert (len(train), len(evaluation), len(train | evaluation)) == (8, 2, 10)
    assert (selection.test, selection.warnings) == (None, ())
    other = select(Data(train=[train_file], seed=1)).eval
    assert {p.source for p in other.groups} != evaluation


def test_the_bundled_questions_are_split_as_ever() -> None:
    """Run ids hash what was drawn: a study of before must find its own runs again."""
    by_article = select(Data(train=["bundled"], num_train=100, num_eval=60, seed=3))
    by_question = select(Data(train=["bundled"], split="question"))
    found = [
        fingerprint_of(s) for both in (by_article, by_question) for s in (both.train, both.eval)
    ]
    assert found == ["24b1f7257411", "8a384a7d9928", "5d9be415d2b1", "70f17e6a92ef"]


def test_split_by_article_holds_num_eval_questions(write: Write) -> None:
    selection = select(Data(train=[write("train", 10)], num_eval=13, num_train=7))
    assert (selection.train.num_examples, selection.eval.num_examples) == (8, 14)
    assert len({p.source for p in selection.eval.groups}) == 3
    assert selection.warnings == ()


def test_one_article_stays_for_training(write: Write) -> None:
    selection = select(Data(train=[write("train", 3)], num_eval=100))
    assert (selection.train.num_examples, selection.eval.num_examples) == (6, 12)
    assert selection.warnings == (
        "data.num_eval = 100, but there are only 12 eval questions: all are taken",
    )


def test_one_article_cannot_be_split(write: Write) -> None:
    source = write("train", 1)
    with pytest.raises(UserError, match=r"one article, 'train-0', .*data\.eval.*data\.split"):
        select(Data(train=[source]))


def untitled(tmp_path: Path, contexts: list[str], name: str = "own") -> str:
    """Write rows without titles, two questions on each context; return the path."""
    rows = [
        {"context": context, "question": question, "answers": "one"}
        for context in contexts
        for question in ("Which?", "What?")
    ]
    path = tmp_path / f"{name}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def test_data_without_titles_are_split_by_paragraph(tmp_path: Path) -> None:
    source = untitled(tmp_path, [f"one {n}" for n in range(10)])
    selection = select(Data(train=[source]))
    train, evaluation = ({p.context for p in d.groups} for d in (selection.train, selection.eval))
    assert (len(train), len(evaluation), len(train | evaluation)) == (8, 2, 10)
    assert (selection.split, selection.warnings) == ("paragraph", ())
    assert select(Data(train=[source], split="paragraph")) == selection
    with pytest.raises(UserError, match=r"one article, 'own', .*\"paragraph\", .*\"question\""):
        select(Data(train=[source], split="article"))


def test_two_files_without_titles_are_two_articles_as_before(tmp_path: Path) -> None:
    sources = [untitled(tmp_path, [f"one {name}"], name) for name in ("a", "b")]
    selection = select(Data(train=sources))
    assert (selection.split, len(selection.eval.groups)) == ("article", 1)


def test_entries_without_titles_are_split_as_articles(tmp_path: Path) -> None:
    entries = [{"paragraphs": [_paragraph(paragraph(f"T{n}", 0, 2))]} for n in range(5)]
    (tmp_path / "own.json").write_text(json.dumps({"data": entries}), encoding="utf-8")
    selection = select(Data(train=[str(tmp_path / "own.json")]))
    assert selection.split == "article"
    articles = {p.source for d in (selection.train, selection.eval) for p in d.groups}
    assert articles == {f"own/{n}" for n in range(5)}


def test_several_files_of_entries_without_titles_are_split_by_file_as_before(
    tmp_path: Path,
) -> None:
    sources = []
    for name in ("a", "b"):
        entries = [{"paragraphs": [_paragraph(paragraph(f"{name}{n}", 0, 2))]} for n in range(5)]
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": entries}), encoding="utf-8")
        sources.append(str(tmp_path / f"{name}.json"))
    selection = select(Data(train=sources))
    assert len({p.untitled_file for p in selection.eval.groups}) == 1
    assert len(selection.eval.groups) == len(selection.train.groups) == 5


def test_equal_contexts_stay_on_one_side_of_a_split_by_paragraph(write: Write) -> None:
    """Two titles of one text are two paragraphs, and one text all the same."""
    source = write("train", 1)
    file = json.loads(Path(source).read_text(encoding="utf-8"))
    again = json.loads(json.dumps(file["data"][0]).replace("-q", "-again"))
    file["data"].append({**again, "title": "again"})
    Path(source).write_text(json.dumps(file), encoding="utf-8")
    for seed in range(5):
        selection = select(Data(train=[source], split="paragraph", seed=seed))
        assert selection.warnings == ()
        assert (selection.train.num_examples, selection.eval.num_examples) == (8, 4)


def test_one_paragraph_cannot_be_split(tmp_path: Path) -> None:
    source = untitled(tmp_path, ["one"])
    with pytest.raises(UserError, match=r"one paragraph, 'own/0', which .*\.eval, or .*question"):
        select(Data(train=[source]))


def test_answers_that_do_not_stand_in_their_contexts_are_counted(tmp_path: Path) -> None:
    source = untitled(tmp_path, ["one", "two", "two two", "three"])
    warnings = select(Data(train=[source], eval=[untitled(tmp_path, ["one"], "eval")])).warnings
    assert warnings[-1] == ('6 of 8 train answers do not stand in their contexts, such as "one"')


def test_split_by_question_is_flagged(write: Write) -> None:
    data = Data(train=[write("train", 1)], split="question", num_eval=2)
    selection = select(data)
    assert (selection.train.num_examples, selection.eval.num_examples) == (4, 2)
    assert not set(question_ids(selection.train)) & set(question_ids(selection.eval))
    (warning,) = selection.warnings
    assert 'data.split = "question"' in warning
    greedy = select(Data(train=[write("train", 1)], split="question", num_eval=6))
    assert (greedy.train.num_examples, greedy.eval.num_examples) == (1, 5)


def test_one_question_cannot_be_split(tmp_path: Path) -> None:
    line = {"context": "one", "question": "Which?", "answers": "one"}
    (tmp_path / "own.jsonl").write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(UserError, match="one question, which cannot be split"):
        select(Data(train=[str(tmp_path / "own.jsonl")], split="question"))


def test_given_files_are_not_split(write: Write) -> None:
    data = Data(train=[write("train", 2)], eval=[write("eval", 1)], test=[write("test", 1)])
    selection = select(data)
    assert selection.test is not None
    sizes = [d.num_examples for d in (selection.train, selection.eval, selection.test)]
    assert sizes == [12, 6, 6]
    assert selection.warnings == ()


def test_shared_contexts_are_flagged(write: Write) -> None:
    train, same = write("train", 2), write("same", 1, "train")
    warnings = select(Data(train=[train], eval=[same], test=[write("test", 1)])).warnings
    assert warnings == ("contexts that stand in both the train and the eval questions: 3",)
    warnings = select(Data(train=[train], eval=[write("eval", 1)], test=[same])).warnings
    assert warnings == ("contexts that stand in both the train and the test questions: 3",)


def test_roles_are_drawn_in_orders_of_their_own(write: Write) -> None:
    source = write("train", 6)
    selection = select(Data(train=[source], eval=[source], test=[source]))
    assert selection.test is not None
    drawn = (selection.train, selection.eval, selection.test)
    assert len({tuple(question_ids(dataset)) for dataset in drawn}) == 3


def test_only_training_questions_are_drawn_alone(write: Write) -> None:
    data = Data(train=[write("train", 2)], eval=[write("eval", 1)], sample="question", num_train=5)
    selection = select(data)
    assert [len(p.examples) for p in selection.train.groups] == [1] * 5
    assert [len(p.examples) for p in selection.eval.groups] == [2] * 3


@pytest.mark.parametrize("options", [{}, {"split": "question"}, {"sample": "question"}])
def test_order_of_files_does_not_matter(write: Write, options: dict[str, Any]) -> None:
    files = [write(name, 2) for name in ("one", "two", "three")]
    selections = [
        select(Data(train=list(order), num_train=9, num_eval=5, **options))
        for order in permutations(files)
    ]
    for part in ("train", "eval"):
        assert len({getattr(selection, part).groups for selection in selections}) == 1


def test_larger_training_set_contains_the_smaller(shared: Path) -> None:
    squad = shared / "data" / "squad"
    options: dict[str, Any] = {"train": [str(squad / "train-44-articles.json")], "seed": 3}
    evaluate = {"eval": [str(squad / "dev-a.json")], "num_eval": 200}
    small, large = (select(Data(**options, **evaluate, num_train=n)) for n in (500, 1000))
    assert large.train.groups[: len(small.train.groups)] == small.train.groups
    assert small.eval == large.eval
    assert 500 <= small.train.num_examples < 530
    assert small.warnings == ()
    assert small.train.sources == load(options["train"]).sources
