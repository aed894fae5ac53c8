"""Texts of others as a terminal, a file or a chart may have them: nothing in them acts."""

import re

# Control characters but for line breaks and tabs, marks that turn the direction of what follows,
# halves of characters, and what no file of XML may hold.
ACTING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff\ufffe\uffff"
# These turn a direction too; but pages set them themselves, around what is written the other way.
ISOLATES = "\u2066-\u2069"
ON_PAGES = re.compile(f"[{ACTING}]")
IN_TERMINALS = re.compile(f"[{ACTING}{ISOLATES}]")


def visible(text: str) -> str:
    """Return a text for a terminal, with escapes such as \\x1b in place of characters that act."""
    return IN_TERMINALS.sub(_escape, text)


def visible_on_page(text: str) -> str:
    """Return a text for a page likewise; isolates stay."""
    return ON_PAGES.sub(_escape, text)


def without_acting(text: str) -> str:
    """Return a text without characters that act, for what can show neither them nor escapes."""
    return ON_PAGES.sub("", text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
