"""A study written as a file is read as the same study."""

from pathlib import Path

import pytest

from lorasweep.study.as_file import as_file
from lorasweep.study.study import Study, shipped_studies

FULL = {
    "name": "s", "model": {"base": "a\\b \"c\" 𝒳"}, "recipe": {"weight_decay": 1e-05},
    "data": {"train": "a.json", "prompt": "{context}\x7f\t\n{question}'''"},
    "race": {"rungs": [0.5]}, "targets": {"q v": ["q_proj"], "attention": ["é"]},
    "grid": [{"rank": [2, 4], "alpha": ["2r", 16.0]}, {"method": "full", "lr": 2e-5}],
    "report": {"language": "fa", "author": "Ada \"A.\" Lunt"},
}  # fmt: skip


@pytest.mark.parametrize("study", [Study.parse(FULL), *map(Study.load, shipped_studies())])
def test_a_study_comes_back_as_it_was(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(as_file(study), "utf-8")
    assert Study.load(file) == study
