"""The page on one's own data says what is read: each of its files loads, each refusal is one."""

import re
import tomllib
from pathlib import Path

import pytest

from asked import Placed
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError
from lorasweep.study.study import Study

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
# A paragraph that begins with a file's name and ends in a colon, and what is fenced behind it.
FILE = re.compile(r"^`([\w.]+)`(?:(?!\n\n|```).)*:\n```\w+\n(.*?)```", re.MULTILINE | re.DOTALL)
FILES = dict(FILE.findall(PAGE))
REFUSED = re.findall(r"^\| `(\{.*\})` \| `(.*)` \|$", PAGE, re.MULTILINE)


def test_the_page_shows_every_form() -> None:
    assert set(FILES) == {"own.jsonl", "titled.jsonl", "own.csv", "answers.jsonl", "squad.json"}
    assert PAGE.count("```") == 2 * (len(FILES) + 1)
    assert len(REFUSED) == 10


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_page_loads(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    dataset = load([str(tmp_path / name)])
    assert dataset.num_examples + dataset.unanswerable >= 2
    answers = [Placed(*q.placed[0]) for p in dataset.groups for q in p.examples]
    assert all(answer.start >= 0 for answer in answers)
    if name == "answers.jsonl":
        assert {answer.text for answer in answers} == {"Velmora"}


@pytest.mark.parametrize(("row", "said"), REFUSED)
def test_every_refusal_of_the_page_is_one(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "own.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(said)):
        load([str(tmp_path / "own.jsonl")])


def test_the_pages_table_is_a_studys() -> None:
    (table,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = f'name = "own"\n[model]\nbase = "gpt2"\n{table}\n[[grid]]\nrank = 2\n'
    assert Study.parse(tomllib.loads(file)).data.train == ["train.jsonl"]
