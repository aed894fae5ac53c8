"""Forms of data: how rows become examples, and what a study need not say for each form."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["qa", "completion", "choice", "chat", "text"]

PROMPT = "Context: {context}\n\nQuestion: {question}\n\nAnswer:"
# An answer of these forms ends with its closing token alone, or where `evaluate.stop` says so.
SEVERAL_LINES = 256


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a form takes where the study says nothing.

    `prompt` and `answer` may name any column in braces; `max_new_tokens` bounds an answer.
    """

    prompt: str
    answer: str
    scorers: tuple[str, ...]
    rank_by: str
    stop: tuple[str, ...]
    max_new_tokens: int


DEFAULTS: dict[Form, Defaults] = {
    "qa": Defaults(PROMPT, " {answer}", ("exact_match", "f1"), "f1", ("\n",), 32),
    "completion": Defaults(
        "{prompt}", " {completion}", ("exact_match", "chrf"), "chrf", (), SEVERAL_LINES
    ),
    "choice": Defaults("{text}\n\nAnswer:", " {choice}", ("choice",), "choice", (), 1),
    "chat": Defaults("", "", ("exact_match", "chrf"), "chrf", (), SEVERAL_LINES),
    "text": Defaults("", "{text}", ("bits_per_byte",), "bits_per_byte", (), 1),
}
