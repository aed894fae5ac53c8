"""A turn's ids: the prompt that a server sends, the answer and its end, learned once."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from chats import ASKED, CALL, SYSTEM, TOOL, TURNS, said
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from lorasweep.data.chat.encoding import ChatEncoder, EncodedTurn
from lorasweep.errors import UserError

EncoderOf = Callable[..., ChatEncoder]
THOUGHT = "<think>\nTwo.\n</think>\n\nBlue."


def read(encoder: ChatEncoder, ids: tuple[int, ...]) -> str:
    return str(encoder.tokenizer.decode(list(ids)))


def sent(encoder: ChatEncoder, history: Any, tools: Any = ()) -> str:
    """What transformers renders for a server."""
    return str(
        encoder.tokenizer.apply_chat_template(
            list(history), tools=list(tools) or None, tokenize=False, add_generation_prompt=True,
            **encoder.template_args,
        )
    )  # fmt: skip


LEARNED = {
    "chatml": "Blue.<|im_end|>",
    "trimmed": "Blue.<end_of_turn>",
    "two_ends": "Blue.<|end|>\n<|eos|>",
    "empty_thought_learned": "<think>\n\n</think>\n\nBlue.<|im_end|>",
    "closed_thought": "Blue.<|im_end|>",
    "channel_thought": "Blue.<turn|>",
    "closed_by_the_answer": "\n</think>\n\nBlue.<|im_end|>",
    "system_moves": "Blue.<|eos|>",
    "nothing_closes": "Blue.<|eos|>",
    "closed_otherwise_later": "<|channel|>final<|message|>Blue.<|return|>",
    "inserts_a_system_text": "Blue.<|im_end|>",
}


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("history", [TURNS, TURNS[-1:], (SYSTEM, *TURNS)], ids=len)
def test_the_prompt_is_what_a_server_sends_and_the_answer_is_learned_with_its_end(
    encoder_of: EncoderOf, name: str, history: Any
) -> None:
    encoder = encoder_of(name)
    if name == "trimmed" and history[0] == SYSTEM:
        pytest.skip("takes no system turn")
    turn = encoder.encode(history, said("Blue."))
    assert read(encoder, turn.prompt_ids) == sent(encoder, history)
    assert turn.prompt_ids == encoder.prompt(history)
    assert read(encoder, turn.answer_ids) == LEARNED[name]
    assert turn.answer_ids[-1] in encoder.stop_ids


def test_the_first_token_that_ends_generation_is_the_last_one(encoder_of: EncoderOf) -> None:
    encoder = encoder_of("two_ends", ends=("<|end|>",))
    turn = encoder.encode(TURNS, said("Blue."))
    assert read(encoder, turn.answer_ids) == "Blue.<|end|>"
    assert turn.answer_text == "Blue."


def test_one_beginning_token(encoder_of: EncoderOf) -> None:
    encoder = encoder_of("trimmed")
    turn = encoder.encode(TURNS, said("Blue."))
    assert [turn.prompt_ids.count(encoder.tokenizer.bos_token_id), turn.prompt_ids[0]] == [
        1,
        encoder.tokenizer.bos_token_id,
    ]


def test_the_system_text_stands_where_a_server_puts_it(encoder_of: EncoderOf) -> None:
    turn = encoder_of("system_moves").encode((SYSTEM, *TURNS), said("Blue."))
    assert not turn.follows
    assert encoder_of("system_moves").encode(TURNS, said("Blue.")).follows


def test_an_argument_of_the_template_moves_the_thought_into_the_prompt(
    encoder_of: EncoderOf,
) -> None:
    encoder = encoder_of("empty_thought_learned", enable_thinking=False)
    turn = encoder.encode(TURNS, said("Blue."))
    assert read(encoder, turn.prompt_ids).endswith("<think>\n\n</think>\n\n")
    assert read(encoder, turn.answer_ids) == "Blue.<|im_end|>"


def test_a_thought_behind_one_that_the_prompt_closed_is_learned_whole(
    encoder_of: EncoderOf,
) -> None:
    encoder = encoder_of("empty_thought_learned", enable_thinking=False)
    turn = encoder.encode(TURNS, said(THOUGHT))
    assert turn.answer_text == THOUGHT


WITH_A_THOUGHT = [
    ("empty_thought_learned", said(THOUGHT), THOUGHT),
    ("empty_thought_learned", said("Blue.", reasoning_content="Two."), THOUGHT),
    ("open_thought_switch", said("Blue.", reasoning_content="Two."), "Two.\n</think>Blue."),
    ("open_thought_dropped", said(THOUGHT), "Two.\n</think>\n\nBlue."),
    ("open_thought_dropped", said("<think>Two.</think>Blue."), "Two.</think>Blue."),
    ("open_thought_dropped", said("Two.</think>Blue."), "Two.</think>Blue."),
    ("never_closed", said("Two.\n</think>\n\nBlue."), "Two.\n</think>\n\nBlue."),
    ("closed_by_the_answer", said("Blue.", reasoning_content="Two."), "Two.\n</think>\n\nBlue."),
    ("reasons_in_words", said("Blue.", thought="Two."), "Two.\n[BEGIN FINAL RESPONSE]\nBlue."),
    ("closed_thought", said(THOUGHT), THOUGHT),
    (
        "closed_otherwise_later",
        said("Blue.", thinking="Two."),
        "<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>final<|message|>"
        "Blue.",
    ),
]


@pytest.mark.parametrize(("name", "turn", "learned"), WITH_A_THOUGHT)
def test_an_answer_that_brings_its_thought(
    encoder_of: EncoderOf, name: str, turn: Any, learned: str
) -> None:
    encoder = encoder_of(name)
    encoded = encoder.encode(TURNS, turn)
    assert read(encoder, encoded.prompt_ids) == sent(encoder, TURNS)
    assert encoded.answer_text == learned
    assert read(encoder, encoded.answer_ids[:-1]) == learned


def test_ids_of_the_prompt_stay_where_a_line_break_would_melt_with_the_next(
    encoder_of: EncoderOf,
) -> None:
    encoder = encoder_of("closed_by_the_answer")
    merging = replace(encoder, tokenizer=_melting_line_breaks(encoder.tokenizer))
    turn = merging.encode(TURNS, said("Blue."))
    tokens = merging.tokenizer.convert_ids_to_tokens(list(turn.prompt_ids + turn.answer_ids))
    assert turn.prompt_ids == merging.prompt(TURNS)
    assert "ĊĊ" in merging.tokenizer.tokenize("a\n\nb")
    assert tokens[len(turn.prompt_ids) - 1 : len(turn.prompt_ids) + 1] == ["Ċ", "Ċ"]


def _melting_line_breaks(tokenizer: Any) -> Any:
    """The tokenizer with a token for two line breaks."""
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    made["pre_tokenizer"]["use_regex"] = False
    made["model"]["vocab"]["ĊĊ"] = 5000
    made["model"]["merges"].insert(0, ["Ċ", "Ċ"])
    other = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(made)), eos_token="<|eos|>",
        bos_token="<|begin|>",
    )  # fmt: skip
    other.chat_template = tokenizer.chat_template
    return other


def test_a_call_of_a_tool_is_learned_and_what_it_returned_is_not(encoder_of: EncoderOf) -> None:
    encoder = encoder_of("chatml")
    called = encoder.encode(TURNS, CALL, [TOOL])
    assert called.answer_text == '<tool_call>find {"what": "sea"}</tool_call>'
    returned = {"role": "tool", "content": "deep"}
    answered = encoder.encode((*TURNS, CALL, returned), said("Deep."), [TOOL])
    assert answered.answer_text == "Deep."
    assert "Tools:" in read(encoder, answered.prompt_ids)
    assert "deep" in read(encoder, answered.prompt_ids)


def test_a_call_may_end_otherwise_than_an_answer(encoder_of: EncoderOf) -> None:
    encoder = encoder_of("closed_otherwise_later", ends=("<|return|>", "<|call|>"))
    for one in (encoder, encoder_of("closed_otherwise_later")):
        called = one.encode(TURNS, CALL, [TOOL])
        assert read(one, called.answer_ids) == ' to=find<|message|>{"what": "sea"}<|call|>'
        assert called.answer_ids[-1] in one.stop_ids


def test_arguments_come_as_a_template_takes_them(encoder_of: EncoderOf) -> None:
    as_text = {"function": {"name": "find", "arguments": '{"what": "sea"}'}}
    for name in ("chatml", "needs_tools"):
        of_text = encoder_of(name).encode(TURNS, {**CALL, "tool_calls": [as_text]}, [TOOL])
        assert of_text == encoder_of(name).encode(TURNS, CALL, [TOOL])


def test_history_is_rendered_as_at_that_turn(encoder_of: EncoderOf) -> None:
    encoder = encoder_of("closed_otherwise_later")
    first = encoder.encode(TURNS[:1], said("Salt.", thinking="Taste."))
    last = encoder.encode((TURNS[0], said("Salt.", thinking="Taste."), ASKED), said("Blue."))
    assert read(encoder, first.answer_ids).endswith("Salt.<|return|>")
    assert "Salt.<|end|>" in read(encoder, last.prompt_ids)
    assert "Taste" not in read(encoder, last.prompt_ids)


# Marks are no text of an answer, and neither are what only a tokenizer's normalisation keeps.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Co", "Cc"), exclude_characters="<[|"),
    min_size=1,
)
SPACED = st.tuples(
    st.sampled_from(["", " ", "\n", " \n\n", "\t"]),
    TEXTS | st.sampled_from(["e", "im_end", "a", "Blue.", "👩‍👩‍👧", "Which?"]),
    st.sampled_from(["", " ", "\n", "\n\n ", "👍"]),
).map("".join)


@given(SPACED)
def test_any_answer_is_learned_as_the_template_has_it(encoder_of: EncoderOf, answer: str) -> None:
    for name in ("chatml", "closed_thought", "two_ends"):
        encoder = encoder_of(name)
        turn = encoder.encode(TURNS, said(answer))
        assert turn.answer_text == answer
        assert read(encoder, turn.answer_ids).startswith(answer)
        assert turn.prompt_ids == encoder.prompt(TURNS)
        assert turn.spaced == (answer != answer.strip())


@given(SPACED.filter(str.strip))
def test_spaces_that_a_template_strips_are_not_learned(encoder_of: EncoderOf, answer: str) -> None:
    for name in ("trimmed", "nothing_closes", "channel_thought"):
        turn: EncodedTurn = encoder_of(name).encode(TURNS, said(answer))
        assert turn.answer_text == answer.strip()
        assert not turn.spaced


def test_a_kept_day_gives_the_same_prompt_on_another_one(encoder_of: EncoderOf) -> None:
    encoder = replace(encoder_of("inserts_a_system_text"), day=date(2024, 7, 26))
    assert "Today: 26 July 2024" in read(encoder, encoder.prompt(TURNS))


@pytest.mark.parametrize("name", ["chatml", "system_moves"])
def test_an_end_within_an_answer_is_refused(encoder_of: EncoderOf, name: str) -> None:
    encoder = encoder_of(name, ends=("<|im_end|>",))
    with pytest.raises(UserError, match=r"ends generation, before or within 'Say <\|"):
        encoder.encode(TURNS, said("Say <|im_end|> and stop."))
