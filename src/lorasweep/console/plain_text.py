"""Texts of others as a terminal, a file or a chart may have them: nothing in them acts."""

import re

# Control characters but for line breaks and tabs, marks that turn the direction of what follows,
# halves of characters, and what no file of XML may hold.
ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: str) -> str:
    """Return a text with escapes, such as \\x1b, in place of characters that act."""
    return ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def without_acting(text: str) -> str:
    """Return a text without characters that act, for what shows neither them nor escapes."""
    return ACTING.sub("", text)
