"""The app's door: requests for other hosts, requests that are too large, and the report."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra app")
from lorasweep.app.door import MOST_BYTES, Door, is_meant


def answered(report: Path, path: str = "/", host: str = "127.0.0.1", **headers: str) -> int:
    """Return the status of a request; 200 is the app's own."""
    statuses = []
    sent = {"host": f"{host}:7860", **headers}
    scope = {
        "type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()],
    }  # fmt: skip

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        await asyncio.Event().wait()  # nothing more comes, and nobody leaves

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    asyncio.run(Door(app, host, report)(scope, receive, send))
    return int(statuses[0])


def test_only_requests_that_are_meant_for_it_reach_the_app(tmp_path: Path) -> None:
    assert answered(tmp_path) == 200
    assert answered(tmp_path, host="elsewhere.example") == 200, "its own name"
    assert answered(tmp_path, host="127.0.0.1", x_forwarded_host="elsewhere.example") == 200


@pytest.mark.parametrize(
    ("asked", "host", "meant"),
    [
        ("127.0.0.1:7860", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("[::1]:7860", "127.0.0.1", True),
        ("elsewhere.example:7860", "127.0.0.1", False),
        ("127.0.0.1.elsewhere.example", "127.0.0.1", False),
        ("192.168.1.5:7860", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("192.168.1.5:7860", "0.0.0.0", True),
        ("[fe80::1]:7860", "0.0.0.0", True),
        ("elsewhere.example", "0.0.0.0", False),
        ("mine.example:80", "mine.example", True),
    ],
)
def test_whose_host_is_meant(asked: str, host: str, meant: bool) -> None:
    assert is_meant(asked, host) == meant


def test_large_requests_are_refused(tmp_path: Path) -> None:
    assert answered(tmp_path, content_length=str(MOST_BYTES)) == 200
    assert answered(tmp_path, content_length=str(MOST_BYTES + 1)) == 413
    assert answered(tmp_path, content_length="-1") == 413
    assert answered(tmp_path, transfer_encoding="chunked") == 413


def test_the_report_is_served_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("page")
    (tmp_path / "secret").write_text("secret")
    report = tmp_path / "report"
    assert answered(report, "/report/index.html") == 200
    for path in ("/report/../secret", "/report/none.html", "/report//etc/passwd"):
        assert answered(report, path) == 404
