"""Users' mistakes with --executor and --address: none needs Ray to be told."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from calling import assert_refused, call
from lorasweep.running.executors import ray as ray_executor

ON_RAY = ("run", "quickstart", "--executor", "ray")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray be found, without importing it."""
    monkeypatch.setattr(ray_executor, "find_spec", lambda name: object())


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_executor, "find_spec", lambda name: None)
    ended = call(*ON_RAY, "--out", tmp_path / "out")
    assert_refused(ended, "pip install -e '.[ray]'")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("found")
def test_an_address_where_nobody_answers(closed_port: int) -> None:
    assert_refused(call(*ON_RAY, "--address", f"127.0.0.1:{closed_port}"), "no answer")


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("address", ["nonsense", "host:", ":", "host:port"])
def test_an_address_that_is_none(address: str) -> None:
    assert_refused(call(*ON_RAY, "--address", address), "should be auto or HOST:PORT")


@pytest.mark.usefixtures("found")
def test_rays_client_is_refused() -> None:
    assert_refused(call(*ON_RAY, "--address", "ray://here:10001"), "--address auto")


def test_an_address_without_ray() -> None:
    assert_refused(call("run", "quickstart", "--address", "auto"), "--executor ray")
