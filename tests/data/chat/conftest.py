"""Encoders of the small templates beside this file, on a tiny tokenizer that knows their marks."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorasweep.data.chat.encoding import ChatEncoder

TEMPLATES = Path(__file__).parent / "templates"
MARK = re.compile(r"<\|\w+\|?>|<\w+\|>|<\w+_of_\w+>")
MARKS = sorted(
    {"<|user|>", "<|assistant|>", "<|system|>"}.union(
        *(MARK.findall(file.read_text()) for file in TEMPLATES.glob("*.jinja"))
    )
)


@pytest.fixture(scope="session")
def chat_tokenizer(tokenizer: Any) -> Any:
    """The tiny tokenizer with the marks of all templates; tests only read it."""
    own = copy.deepcopy(tokenizer)
    own.add_special_tokens({"bos_token": "<|begin|>", "eos_token": "<|eos|>"})
    own.add_special_tokens({"additional_special_tokens": MARKS}, replace_extra_special_tokens=False)
    return own


@pytest.fixture(scope="session")
def encoder_of(chat_tokenizer: Any) -> Callable[..., ChatEncoder]:
    """Return an encoder by a template's name; `ends` are texts of tokens that end generation."""

    def of(name: str, ends: tuple[str, ...] = (), **template_args: Any) -> ChatEncoder:
        own = copy.copy(chat_tokenizer)
        own.chat_template = (TEMPLATES / f"{name}.jinja").read_text()
        return ChatEncoder.of(own, own.convert_tokens_to_ids(list(ends)), template_args)

    return of
