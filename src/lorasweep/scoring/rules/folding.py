"""One way to write a letter, a digit or a mark where people have several: texts in, texts out."""

import unicodedata
from collections.abc import Callable

# Marks that are written otherwise in a script, as the ASCII mark of their meaning. Full-width forms
# (，！？：；（）％ and letters and digits), "…" and half-width kana need no row: NFKC has them.
MARKS = {
    "،": ",",  # Arabic comma
    "؛": ";",  # Arabic semicolon
    "؟": "?",  # Arabic question mark
    "۔": ".",  # Urdu full stop
    "٪": "%",  # Arabic percent sign
    "٫": ".",  # Arabic decimal separator
    "٬": ",",  # Arabic thousands separator
    "٭": "*",  # Arabic star
    "«": '"',  # guillemets
    "»": '"',
    "‹": '"',
    "›": '"',
    "“": '"',  # curly quotes
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "‚": "'",
    "‐": "-",  # hyphen
    "‑": "-",  # hyphen that does not break
    "–": "-",  # en dash
    "—": "-",  # em dash
    "−": "-",  # minus
    "、": ",",  # ideographic comma
    "。": ".",  # ideographic full stop
    "「": '"',  # CJK quotes and brackets
    "」": '"',
    "『": '"',
    "』": '"',
    "《": '"',
    "》": '"',
    "〈": '"',
    "〉": '"',
    "【": "[",
    "】": "]",
    "〜": "~",  # wave dash
    "・": " ",  # katakana middle dot, which parts words
    "·": " ",  # middle dot, which parts a name's words in Chinese
    "।": ".",  # danda
}
# Letters of the Arabic script that look alike and are typed for each other.
ARABIC_LETTERS = {
    "ي": "ی",  # Arabic yeh -> Farsi yeh
    "ى": "ی",  # alef maksura
    "ك": "ک",  # Arabic kaf -> keheh
    "ۀ": "ه",  # heh with yeh above
    "ە": "ه",  # ae
    "ہ": "ه",  # heh goal
    "ھ": "ه",  # heh doachashmee
    "ـ": "",  # tatweel, which only stretches a word
    "\u0670": "",  # superscript alef
    "\u0654": "",  # hamza above, as a mark of its own
    "\u200c": " ",  # zero-width non-joiner: a space as often
}
# Fathatan to sukun: vowel marks, which are mostly left out.
ARABIC_VOWELS = dict.fromkeys(map(chr, range(0x064B, 0x0653)), "")
ARABIC_SCRIPT = ("ar", "fa", "ur")


def folding_of(language: str) -> Callable[[str], str]:
    """Return what folds a text of a language.

    In every language: compatibility forms are composed (NFKC), digits of any script are ASCII, the
    marks of `MARKS` are too, and characters that cannot be seen are dropped. In languages of the
    Arabic script also its letters and vowel marks.
    """
    letters = ARABIC_LETTERS | ARABIC_VOWELS if language in ARABIC_SCRIPT else {}
    table = MARKS | letters

    def fold(text: str) -> str:
        # Composed first: a hamza above its yeh is a letter, alone it is a mark.
        composed = unicodedata.normalize("NFKC", text)
        return "".join(table[c] if c in table else _plain(c) for c in composed)

    return fold


def _plain(character: str) -> str:
    if unicodedata.category(character) == "Cf":
        return ""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
