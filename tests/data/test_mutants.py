"""Files that are nearly right are refused in words, or read as what they say: a small sample.

`benchmarks/faults.py` tries as many as one likes.
"""

from pathlib import Path

import pytest

from mutants import tried


@pytest.mark.parametrize("part", range(4))
def test_nearly_right_files_are_refused_in_words_or_read_rightly(tmp_path: Path, part: int) -> None:
    said = [tried(tmp_path, seed) for seed in range(100 * part, 100 * (part + 1))]
    refused = [message for message in said if message != "accepted"]
    assert 10 < len(refused) < 100
    of_data = [message for message in refused if not message.startswith("study.toml")]
    assert not [message for message in of_data if "Input should be" in message]
    assert max(map(len, refused)) < 1500
