"""What a question asks for and what a text looks like, by rules on words alone."""

import re
from enum import StrEnum


class QuestionKind(StrEnum):
    """The word that a question asks with."""

    WHO = "who"
    WHEN = "when"
    WHERE = "where"
    WHAT = "what"
    WHICH = "which"
    HOW_MANY = "how many/much"
    HOW = "how"
    WHY = "why"
    OTHER = "other"


class AnswerType(StrEnum):
    """The type of answer that a question expects."""

    PERSON = "person"
    PLACE = "place"
    DATE = "date"
    NUMBER = "number"
    OTHER = "other"


class TextType(StrEnum):
    """The type that a text looks like; rules cannot tell persons from places, so both are names."""

    NAME = "name"
    DATE = "date"
    NUMBER = "number"
    OTHER = "other"


LOOKS_LIKE = {
    AnswerType.PERSON: TextType.NAME,
    AnswerType.PLACE: TextType.NAME,
    AnswerType.DATE: TextType.DATE,
    AnswerType.NUMBER: TextType.NUMBER,
}

KIND_OF_WORD = {
    "who": QuestionKind.WHO, "whom": QuestionKind.WHO, "whose": QuestionKind.WHO,
    "when": QuestionKind.WHEN, "where": QuestionKind.WHERE, "what": QuestionKind.WHAT,
    "which": QuestionKind.WHICH, "how": QuestionKind.HOW, "why": QuestionKind.WHY,
    "how many": QuestionKind.HOW_MANY, "how much": QuestionKind.HOW_MANY,
}  # fmt: skip
ASKING = r"how (?:many|much)|who|whom|whose|when|where|what|which|how|why"
AUXILIARY = r"is|are|was|were|did|do|does|has|have|had|will|would|can|could|should|may|might|must"
# "When Luther died, what ...": a clause, not the question.
ASKED = rf"(?!(?:when|where) (?!(?:{AUXILIARY})\b)\w)(?P<word>{ASKING})\b"
# The asking word opens the question or a part of it; "a player who ..." does not ask.
LEADING = re.compile(rf"(?:^|[,;:]) ?(?:and |but )?(?:\w+ (?:of )?)?{ASKED}")
CLOSING = re.compile(rf"\b(?P<word>{ASKING})(?: \w+)?\W*$")
ANYWHERE = re.compile(rf"\b(?P<word>{ASKING})\b")

NUMBER_NOUNS = (
    r"number|numbers|percentage|percent|proportion|fraction|share|amount|quantity|population|"
    r"distance|height|length|width|depth|weight|mass|age|price|cost|rate|speed|temperature|value|"
    r"score|ratio|frequency"
)
DATE_NOUNS = (
    r"years?|dates?|days?|nights?|months?|seasons?|decades?|century|centuries|time frame|"
    r"time period|time|period|era"
)
PERSON_NOUNS = (
    r"person|people|man|woman|king|queen|emperor|empress|ruler|president|leader|"
    r"general|player|quarterback|coach|actor|actress|singer|artist|author|writer|poet|composer|"
    r"painter|architect|engineer|inventor|scientist|mathematician|physicist|chemist|philosopher|"
    r"economist|historian|bishop|pope|director|producer|founder|explorer"
)
PLACE_NOUNS = (
    r"city|cities|town|village|country|countries|nation|state|states|county|province|region|"
    r"continent|place|location|island|river|lake|sea|ocean|mountain|street|district|"
    r"neighborhood|neighbourhood|stadium|airport"
)
# "What was the name of the first city", "which two cities", "what is the total population".
UP_TO_NOUN = (
    r"\b(?:what|which)(?: (?:is|was|are|were|the|a|an|name|names|of|other|first|second|last|"
    r"total|exact|average|minimum|maximum|only|current|two|three|four|former|\w+est|\w+'s))* "
)
MEASURES = r"many|much|long|far|old|tall|high|deep|fast|large|big|wide|heavy|hot|cold|often|late"
EXPECTED = (
    (AnswerType.NUMBER, re.compile(rf"\bhow (?:{MEASURES})\b")),
    (AnswerType.NUMBER, re.compile(rf"{UP_TO_NOUN}(?:{NUMBER_NOUNS})\b")),
    (AnswerType.DATE, re.compile(rf"{UP_TO_NOUN}(?:{DATE_NOUNS})\b")),
    (AnswerType.PERSON, re.compile(rf"{UP_TO_NOUN}(?:{PERSON_NOUNS})\b")),
    (AnswerType.PLACE, re.compile(rf"{UP_TO_NOUN}(?:{PLACE_NOUNS})\b")),
)
EXPECTED_OF_KIND = {
    QuestionKind.WHO: AnswerType.PERSON,
    QuestionKind.WHERE: AnswerType.PLACE,
    QuestionKind.WHEN: AnswerType.DATE,
}

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
YEAR = r"c?(?:1\d{3}|20\d{2})(?:['’]?s)?"
CENTURY = r"\S+(?:-| )(?:century|centuries|decade|millennium)"
TIME = r"\d{1,2}(?::\d\d)? ?[ap]\.?m\b\.?"
ERA = r"\d{1,5} ?(?:bc|bce|ad|ce)\b\.?|(?:ad|ce) ?\d{1,5}"
DATE_WORDS = (
    r"in|on|by|from|to|and|or|of|the|until|till|since|between|before|after|around|about|circa|c|onwards?|"
    r"early|mid|middle|late|later|spring|summer|autumn|fall|winter|at|end|beginning|season|"
    r"bc|bce|ad|ce|century|centuries"
)
# Each part is settled once it is found: "10 bc 10 bc ..." can be read in many ways.
DATE = re.compile(
    rf"(?>(?:{MONTH}|{DAY}|{YEAR}|{ERA}|{CENTURY}|{TIME}|\d{{1,2}}(?:st|nd|rd|th)?|{DATE_WORDS})"
    rf"(?:[\s,./–—-]+|$))++"
)
DATED = re.compile(rf"\b(?:{MONTH}|{DAY}|{YEAR}|{ERA}|{CENTURY}|{TIME})(?!\w)")
APPROXIMATELY = (
    r"(?:(?:about|around|over|under|nearly|almost|approximately|roughly|some|up|to|more|less|than|"
    r"at|least|most|only|an?|the|estimated|between|just|well|c|circa|fewer|no|all)\b\W*)*"
)
NUMBER_WORD = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
    r"fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    r"ninety|hundreds?|thousands?|millions?|billions?|trillions?|half|twice|once|dozens?|third|"
    r"quarter|none)\b"
)
NUMBER = re.compile(rf"{APPROXIMATELY}(?:[$€£¥]|us\$)? ?[-+]?(?:[.]?\d|{NUMBER_WORD})")
DIGIT = re.compile(r"\d")
CAPITAL = re.compile(r"[A-Z]")
WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "and",
        "or",
        "in",
        "on",
        "at",
        "for",
        "to",
        "by",
        "from",
        "with",
        "de",
        "la",
        "le",
        "du",
        "von",
        "van",
        "der",
        "al",
        "bin",
        "ibn",
    ]
)


def kind_of(question: str) -> QuestionKind:
    """Return the word that a question asks with.

    The first that opens the question or a part of it, after one word at most ("In which city");
    else the one that closes it; else the first there is.
    """
    text = _plain(question)
    found = LEADING.search(text) or CLOSING.search(text) or ANYWHERE.search(text)
    return KIND_OF_WORD[found["word"]] if found else QuestionKind.OTHER


def expected_type(question: str) -> AnswerType:
    """Return the type of answer a question expects, by the first rule of EXPECTED, or its kind."""
    text = _plain(question)
    by_noun = (answer_type for answer_type, rule in EXPECTED if rule.search(text))
    return next(by_noun, EXPECTED_OF_KIND.get(kind_of(question), AnswerType.OTHER))


def text_type(text: str) -> TextType:
    """Return what a text looks like.

    A date: nothing but parts of a date, with a month, weekday, year, era or century among them.
    A number: opens with digits or a number word, after words such as "about", or holds digits and
    no capital. A name: all words but small ones begin with a capital or digit. Else other.
    """
    plain = _plain(text).strip("\"'“”‘’()[].,;: ")
    if DATED.search(plain) and DATE.fullmatch(plain):
        return TextType.DATE
    if NUMBER.match(plain) or (DIGIT.search(text) and not CAPITAL.search(text)):
        return TextType.NUMBER
    words = [word for word in WORD.findall(text) if word.lower() not in SMALL_WORDS]
    is_name = bool(words) and all(word[0].isupper() or word[0].isdigit() for word in words)
    return TextType.NAME if is_name else TextType.OTHER


def is_of_expected_type(text: str, question: str, answers: tuple[str, ...]) -> bool:
    """Say whether a text looks like what the question expects.

    Where it expects no type in particular, or no reference answer looks like that type ("Who
    attends?" "girls"), the text must look like one of the references.
    """
    found = {text_type(answer) for answer in answers}
    expected = LOOKS_LIKE.get(expected_type(question))
    return text_type(text) in ({expected} if expected in found else found)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
