"""The app's door: whom it answers, how much it reads, and the study's report behind it."""

import ipaddress
import platform
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]

REPORT = "/report"
# A text of the greatest length that is read, several times over.
MOST_BYTES = 1_000_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Door:
    """Lets requests through that are meant for this app and are not too large.

    A page from elsewhere may point a name of its own at this machine (DNS rebinding): its
    requests come with that name as their host, and are refused.
    """

    def __init__(self, app: Asgi, host: str, report: Path) -> None:
        from starlette.staticfiles import StaticFiles

        self.app, self.host = app, host
        self.report: Asgi = StaticFiles(directory=report, html=True, check_dir=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        if not is_meant(headers.get("host", ""), self.host):
            await _refuse(send, 421, f"This app is at {self.host}, not at the host asked for.")
        elif "transfer-encoding" in headers or _length(headers) > MOST_BYTES:
            await _refuse(send, 413, f"At most {MOST_BYTES} bytes are read.")
        elif scope["path"].startswith(f"{REPORT}/"):
            await self._show(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _show(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a file of the report; nothing that lies beside its folder is found."""
        from starlette.exceptions import HTTPException

        below = {**scope, "path": scope["path"].removeprefix(REPORT)}
        try:
            await self.report(below, receive, send)
        except HTTPException as error:
            await _refuse(send, error.status_code, "No such file in the report.")


def is_meant(asked: str, host: str) -> bool:
    """Say whether a request's host is the one that the app listens at.

    An app that is open to the network is reached by many addresses, but by no name but the
    machine's own.
    """
    name = asked.rpartition("]")[0].strip("[") or asked.partition(":")[0]
    if host in LOOPBACK:
        return name in LOOPBACK
    return name in (host, platform.node(), *LOOPBACK) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _length(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else MOST_BYTES + 1


async def _refuse(send: Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})
