"""Templates of the user's own, and what templates add."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chats import ASKED

from lorasweep.data.chat.encoding import ChatEncoder
from lorasweep.data.chat.templates import changes_by_day, inserted_text, set_template
from lorasweep.errors import UserError

TEMPLATES = Path(__file__).parent / "templates"


def test_a_file_becomes_the_tokenizers_template(chat_tokenizer: Any) -> None:
    tokenizer = copy.copy(chat_tokenizer)
    set_template(tokenizer, TEMPLATES / "chatml.jinja")
    assert ChatEncoder.of(tokenizer).prompt([ASKED])


def test_a_template_that_only_refuses_turns_is_one(chat_tokenizer: Any) -> None:
    set_template(copy.copy(chat_tokenizer), TEMPLATES / "needs_tools.jinja")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{% for m in messages %}\n{{ m.content }\n{% endfor %}", "line 2: not a Jinja template"),
        ("{% for m in messages %}", "line 1: not a Jinja template"),
        (" \n", "is empty"),
    ],
)
def test_a_file_that_is_no_template(
    chat_tokenizer: Any, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(text)
    tokenizer = copy.copy(chat_tokenizer)
    with pytest.raises(UserError, match=r"own\.jinja") as refused:
        set_template(tokenizer, file)
    assert told in str(refused.value)
    assert tokenizer.chat_template is None


def test_a_file_that_is_not_there(chat_tokenizer: Any) -> None:
    with pytest.raises(UserError, match=r"did you mean 'chatml\.jinja'"):
        set_template(chat_tokenizer, TEMPLATES / "chatm.jinja")


def test_what_a_template_puts_before_a_chat_without_a_system_turn(
    encoder_of: Callable[..., ChatEncoder],
) -> None:
    text = inserted_text(encoder_of("inserts_a_system_text").tokenizer)
    assert text.startswith("You are kind.\nToday: ")
    for name in ("chatml", "trimmed", "system_moves", "parts", "needs_tools"):
        assert inserted_text(encoder_of(name).tokenizer) == ""


def test_whether_a_prompt_is_another_tomorrow(encoder_of: Callable[..., ChatEncoder]) -> None:
    assert changes_by_day(encoder_of("inserts_a_system_text").tokenizer)
    assert not changes_by_day(encoder_of("chatml").tokenizer)
    assert not changes_by_day(encoder_of("needs_tools").tokenizer)
