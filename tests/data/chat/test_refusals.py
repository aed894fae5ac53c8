"""Turns that cannot be encoded: one sentence each, with what helps."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from chats import ASKED, CALL, SYSTEM, TOOL, TURNS, said

from lorasweep.data.chat.encoding import ChatEncoder
from lorasweep.errors import UserError

EncoderOf = Callable[..., ChatEncoder]


def refusal(encoder: ChatEncoder, history: Any = TURNS, turn: Any = None, tools: Any = ()) -> str:
    with pytest.raises(UserError) as refused:
        encoder.encode(history, turn or said("Blue."), tools)
    return str(refused.value)


def test_a_tokenizer_without_a_template(tokenizer: Any) -> None:
    with pytest.raises(UserError, match=r'model\.chat_template = "file\.jinja"'):
        ChatEncoder.of(tokenizer)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "open_thought_switch",
            "data.template_args = {enable_thinking = false}, or answers that bring their thought "
            '("reasoning_content" beside "content")',
        ),
        (
            "open_thought_dropped",
            "answers that bring their thought (<think>...</think> before the answer)",
        ),
        ("never_closed", "answers that bring their thought (<think>...</think> before the answer)"),
        ("reasons_in_words", 'answers that bring their thought ("thought" beside "content")'),
    ],
)
def test_a_thought_that_the_answer_never_closes(
    encoder_of: EncoderOf, name: str, advice: str
) -> None:
    told = refusal(encoder_of(name))
    assert told.startswith("the prompt opens a thought (")
    assert told.endswith(f"what helps: {advice}")


def test_the_advice_helps(encoder_of: EncoderOf) -> None:
    switched = encoder_of("open_thought_switch", enable_thinking=False)
    assert switched.encode(TURNS, said("Blue.")).answer_text == "Blue."


@pytest.mark.parametrize(
    ("name", "turns", "told", "advice"),
    [
        ("trimmed", (SYSTEM, *TURNS), "(System role not supported)", "takes no system turn"),
        ("trimmed", (TURNS[0], *TURNS), "(Roles must alternate)", "join turns of the same"),
        ("trimmed", (said("Hello."), *TURNS), "(Roles must alternate)", "begin with a user's"),
        ("needs_tools", TURNS, "(UndefinedError: 'tools' is undefined)", "it needs tools"),
        ("needs_tools", TURNS, "undefined", "the model's template without them"),
    ],
)  # fmt: skip
def test_turns_that_a_template_does_not_take(
    encoder_of: EncoderOf, name: str, turns: Any, told: str, advice: str
) -> None:
    for text in (refusal(encoder_of(name), turns), _of_prompt(encoder_of(name), turns)):
        assert told in text or "not iterable" in text
        assert advice in text


def _of_prompt(encoder: ChatEncoder, turns: Any) -> str:
    with pytest.raises(UserError) as refused:
        encoder.prompt(turns)
    return str(refused.value)


def test_a_template_that_leaves_plain_texts_out(encoder_of: EncoderOf) -> None:
    told = refusal(encoder_of("parts"))
    assert told.startswith("the chat template leaves the text of the answer out; it takes")
    assert '[{"type": "text", "text": ...}]' in told


def test_a_template_that_leaves_calls_of_tools_out(encoder_of: EncoderOf) -> None:
    told = refusal(encoder_of("trimmed"), turn=CALL, tools=[TOOL])
    assert "leaves the call of the tool 'find' out" in told


def test_an_answer_with_nothing_before_it(encoder_of: EncoderOf) -> None:
    assert "no turn before it" in refusal(encoder_of("chatml"), history=())
    assert "no turn before it" in _of_prompt(encoder_of("chatml"), ())


def test_a_value_that_a_template_misses(encoder_of: EncoderOf) -> None:
    encoder = encoder_of("chatml")
    tokenizer = copy.copy(encoder.tokenizer)
    tokenizer.chat_template = "{{ functions.length }}{{ raise_exception('no') }}"
    told = refusal(ChatEncoder.of(tokenizer), [ASKED])
    assert "('functions' is undefined)" in told.replace("UndefinedError: ", "")
    assert "data.template_args = {functions = ...}" in told
