"""Turns that the tests of chat templates share."""

from typing import Any

SYSTEM = {"role": "system", "content": "Be short."}
ASKED = {"role": "user", "content": "Which colour is it?"}
TURNS: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "What is in the sea?"},
    {"role": "assistant", "content": "Salt."},
    ASKED,
)
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find", "description": "Finds.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    },
}  # fmt: skip
CALL: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "find", "arguments": {"what": "sea"}}}],
}


def said(content: str, **more: str) -> dict[str, Any]:
    """An assistant's turn."""
    return {"role": "assistant", "content": content, **more}
