"""Encodings: the bytes of a text that is not in UTF-8 come in; what it seems to be goes out."""

import codecs

# Longer texts say no more of their encoding.
LOOKED_AT = 100_000
# By their byte order marks; that of UTF-32 begins with that of UTF-16.
MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
         codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}  # fmt: skip
# Encodings of scripts of their own, and what is written in them but for ASCII. Every Arabic text is
# a Cyrillic one in Windows-1251, not the other way round.
SCRIPTS = {
    "Shift_JIS": ("\u3000", "\u30ff"), "EUC-KR": ("\uac00", "\ud7a3"),
    "GB18030": ("\u4e00", "\u9fff"), "Windows-1256": ("\u0600", "\u06ff"),
    "Windows-1251": ("\u0400", "\u04ff"),
}  # fmt: skip
# Where a script has letters of its own, most letters are; accents of Latin are rare.
OWN_SCRIPT, MOSTLY = 0.3, 0.9


def likely_encoding(data: bytes) -> str:
    """Return the name of the encoding that a text which is not in UTF-8 is likely to be in."""
    data = data[:LOOKED_AT]
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), "")
    if marked:
        return marked
    if data.count(0) > len(data) / 8:
        return "UTF-16"
    letters = [byte for byte in data if byte > 127 or chr(byte).isalpha()]
    if sum(byte > 127 for byte in letters) > OWN_SCRIPT * len(letters):
        for name, (first, last) in SCRIPTS.items():
            if _share_between(data, name, first, last) >= MOSTLY:
                return name
    return "Windows-1252"


def _share_between(data: bytes, encoding: str, first: str, last: str) -> float:
    text = data.decode(encoding, errors="replace")
    others = [character for character in text if not character.isascii()]
    return sum(first <= character <= last for character in others) / max(1, len(others))
