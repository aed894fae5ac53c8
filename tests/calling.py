"""The command line called in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lorasweep.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: Any
    out: str
    err: str


def call(*arguments: str | Path) -> Ended:
    """Run `lorasweep ARGUMENTS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["lorasweep", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            return Ended(ended.code, out.getvalue(), err.getvalue())
    raise AssertionError("main always exits")


def settings(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def assert_refused(ended: Ended, *said: str) -> None:
    """Check for exit code 2 and one line that says what is wrong."""
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert all(part in ended.err for part in said), ended.err
