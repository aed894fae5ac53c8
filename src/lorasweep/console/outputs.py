"""What leaves by standard output, whatever its encoding is."""

import json
import sys


def print_json(text: str) -> None:
    """Print a JSON text; what standard output cannot encode is escaped as JSON does it."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=1)
    print(text)


def never_fail_to_print() -> None:
    """Let both outputs write what their encoding lacks as escapes, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
