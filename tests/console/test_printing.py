"""Texts of others in a terminal: shown, never obeyed."""

import io
import json
import sys

import pytest
from rich.table import Table

from lorasweep.console.outputs import never_fail_to_print, print_json
from lorasweep.console.plain_text import visible, visible_on_page, without_acting
from lorasweep.console.printing import PlainConsole, print_lines

HOSTILE = (
    "a\x1b[31mred\x07\x1b]0;title\x9b \u202eturned\u2066 \r[bold]b[/] q[/] :smile: \ud800\ufffe"
)


def test_nothing_in_a_text_acts() -> None:
    console = PlainConsole(file=io.StringIO(), force_terminal=True, color_system=None, width=200)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    print_lines(console, [HOSTILE])
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert visible(written) == written
    assert written.count(r"\x1b[31mred") == 4
    assert written.count("[bold]b[/] q[/] :smile:") == 4
    assert r"\u202eturned\u2066" in written


def test_what_is_shown_removed_and_left() -> None:
    assert visible("\x1b\u2068é\n\tx") == "\\x1b\\u2068é\n\tx"
    assert visible_on_page("\x1b\u2068é\u202e") == "\\x1b\u2068é\\u202e"
    assert without_acting("\x00a\ufffe\u200cb\x1b") == "a\u200cb"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    never_fail_to_print()
    values = {"answer": "é\ufffd \U0001f600 توجه"}
    print_json(json.dumps(values, ensure_ascii=False))
    sys.stdout.flush()
    assert json.loads(written.getvalue().decode(encoding)) == values
    print("é\ufffd\U0001f600", flush=True)
    assert (
        written.getvalue()
        .decode(encoding)
        .splitlines()[-1]
        .endswith("\U0001f600" if encoding == "utf-8" else r"\U0001f600")
    )


def test_half_a_character_in_json_is_escaped_as_json_does_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json(json.dumps({"id": "\ud800"}, ensure_ascii=False))
    assert capsys.readouterr().out == '{\n "id": "\\ud800"\n}\n'
