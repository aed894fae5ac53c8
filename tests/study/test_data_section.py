"""What a study may say and no run is trained or scored by: refused before anything is read."""

from pathlib import Path

import pytest

from calling import assert_refused, call

STUDY = """
name = "asked"
model.base = "gpt2"
[data]
train = "bundled"
{data}
[evaluate]
{evaluate}
[[grid]]
lr = 1e-3
"""


@pytest.mark.parametrize(
    ("data", "evaluate", "said"),
    [
        ('form = "chat"', "", 'data.form = "chat"'),
        ('unanswerable = "learn"', "", "data.unanswerable"),
        ("", 'scorers = ["f1", "contains"]', "evaluate.scorers"),
        ("", 'rank_by = "exact_match"', "evaluate.scorers"),
        ("", 'rules = "mlqa:ar"', 'evaluate.rules = "mlqa:ar"'),
        ('columns = {context = "passage"}', "", "data.columns"),
        ('answer = " {reply}"', "", "data.answer"),
        ('template = "chat"', "", "data.template"),
        ('group = "document"', "", "data.group"),
        ('source = "book"', "", "data.source"),
        ("", 'stop = ["."]', "evaluate.stop"),
    ],
)
def test_what_no_run_is_trained_by_is_refused(
    tmp_path: Path, data: str, evaluate: str, said: str
) -> None:
    study = tmp_path / "asked.toml"
    study.write_text(STUDY.format(data=data, evaluate=evaluate))
    assert_refused(call("plan", str(study)), said)
