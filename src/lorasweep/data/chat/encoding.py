"""A chat's turn as tokens: what a server sends, and what is learned behind it.

The ids of the prompt alone, then those of what follows: as one text the prompt's last characters
and the answer's first could melt into a token that no server ever sends.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from lorasweep.data.chat.refusals import (
    call_left_out,
    check_history,
    ends_within,
    left_out,
    no_template,
    not_rendered,
    thought_left_open,
)
from lorasweep.data.chat.rendering import Message, NotRenderedError, Renderer
from lorasweep.data.chat.thoughts import WrittenThought, written_thought
from lorasweep.data.chat.turns import LeftOutError, WrittenTurn, write_turn
from lorasweep.errors import UserError

# Turns that show what a template closes answers with.
_ASKED = {"role": "user", "content": "Which?"}
_ANSWERED = {"role": "assistant", "content": "This."}
_CALL = {"type": "function", "id": "a1b2c3d4e", "function": {"name": "lookup", "arguments": {}}}
_TOOL = {
    "type": "function",
    "function": {
        "name": "lookup", "description": "Looks up.",
        "parameters": {"type": "object", "properties": {}},
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncodedTurn:
    """A turn's tokens: `answer_ids` are learned and end generation, once, by their last.

    `answer_text` is what they say before that end. `spaced` says that the answer begins or ends in
    spaces, and that the template keeps them; `follows`, that F begins with P.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    answer_text: str
    spaced: bool = False
    follows: bool = True


@dataclass(frozen=True)
class ChatEncoder:
    """Encodes turns by a tokenizer's chat template.

    `eos_ids` end generation. `template_args` and `day` are a Renderer's.
    """

    tokenizer: Any
    eos_ids: frozenset[int]
    template_args: Mapping[str, Any] = field(default_factory=dict)
    day: date | None = None

    @classmethod
    def of(
        cls,
        tokenizer: Any,
        generation_eos: int | Iterable[int] | None = None,
        template_args: Mapping[str, Any] | None = None,
        day: date | None = None,
    ) -> "ChatEncoder":
        """Return an encoder whose answers end by the tokenizer's or generation_config's ids.

        Raises UserError where the tokenizer has no chat template.
        """
        if not tokenizer.chat_template:
            raise no_template()
        more = [generation_eos] if isinstance(generation_eos, int) else generation_eos or []
        ids = frozenset({tokenizer.eos_token_id, *more} - {None})
        return cls(tokenizer, ids, template_args or {}, day)

    def prompt(self, history: Sequence[Message], tools: Sequence[Message] = ()) -> tuple[int, ...]:
        """Return the ids that a server sends for the turn behind a history.

        Raises UserError where the template does not take these turns.
        """
        check_history(history)
        try:
            return self._tokens(self._render.prompt(history, tools)).ids
        except NotRenderedError as error:
            raise not_rendered(self._render, error, history, tools) from None

    def encode(
        self, history: Sequence[Message], turn: Message, tools: Sequence[Message] = ()
    ) -> EncodedTurn:
        """Return the ids of a turn's prompt and of what is learned behind it.

        Raises UserError where the template does not take these turns or leaves the answer out,
        where the answer has a token that ends generation, and where it would be learned inside a
        thought that the prompt opens.
        """
        check_history(history)
        written = self._written(history, turn, tools)
        if written.opened is not None:
            raise thought_left_open(
                written.opened, self._render, self._written_thought, history, turn, tools
            )
        return self._encoded(written, turn)

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """The ids that answering stops at: those that end generation, and those learned as ends."""
        return self.eos_ids.union(
            self._last_id([_ASKED], _ANSWERED, ()),
            self._last_id([_ASKED], {**_ANSWERED, "content": "", "tool_calls": [_CALL]}, (_TOOL,)),
        )

    def _last_id(
        self, history: Sequence[Message], turn: Message, tools: Sequence[Message]
    ) -> set[int]:
        try:
            return {self._encoded(self._written(history, turn, tools), turn).answer_ids[-1]}
        except UserError:
            return set()

    @cached_property
    def _render(self) -> Renderer:
        return Renderer(self.tokenizer, self.template_args, self.day)

    @cached_property
    def _written_thought(self) -> WrittenThought | None:
        return written_thought(self._render)

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        added = self.tokenizer.added_tokens_decoder
        return frozenset(self.tokenizer.all_special_ids).union(
            id_ for id_, token in added.items() if token.special
        )

    def _written(
        self, history: Sequence[Message], turn: Message, tools: Sequence[Message]
    ) -> WrittenTurn:
        try:
            return write_turn(self._render, history, turn, tools, self._written_thought)
        except NotRenderedError as error:
            raise not_rendered(self._render, error, [*history, turn], tools) from None
        except LeftOutError:
            raise left_out(self._render, history, turn, tools) from None

    def _encoded(self, written: WrittenTurn, turn: Message) -> EncodedTurn:
        prompt = self._tokens(written.prompt)
        ids, text = self._learned(written, self._last_words(prompt))
        if len(text) < len(written.body) and (lost := _lost(turn, text)):
            raise ends_within(lost, self.tokenizer.decode(ids[-1:]))
        if lost := _lost({**turn, "content": ""}, text):
            raise call_left_out(lost)
        spaced = written.kept != written.kept.strip()
        return EncodedTurn(prompt.ids, ids, text, spaced, written.follows)

    def _learned(self, written: WrittenTurn, last_words: "_Tokens") -> tuple[tuple[int, ...], str]:
        """Return the ids up to and with the one that ends generation, and their text before it."""
        body = written.body
        found = self._behind(last_words, body + written.closing)
        ids, ends = found.ids, [end for _, end in found.offsets]
        last = next((i for i, id_ in enumerate(ids) if id_ in self.eos_ids), None)
        if last is None:
            behind = (i for i, end in enumerate(ends) if end > len(body))
            last = next((i for i in behind if ids[i] in self._special_ids), None)
        if last is None:
            return (*self._behind(last_words, body).ids, self.tokenizer.eos_token_id), body
        within = last > 0 and ends[last] <= len(body)
        return ids[: last + 1], body[: ends[last - 1]] if within else body

    def _last_words(self, tokens: "_Tokens") -> "_Tokens":
        """Return a prompt from its last special token on: nothing before that can melt or change.

        Prompts are long, and this is what is tokenized once more with what follows.
        """
        places = (i for i in reversed(range(len(tokens.ids))) if tokens.ids[i] in self._special_ids)
        first = next(places, 0)
        start = tokens.offsets[first][0] if first else 0
        return _Tokens(tokens.text[start:], tokens.ids[first:], tokens.offsets[first:])

    def _behind(self, last_words: "_Tokens", text: str) -> "_Tokens":
        """Return the tokens of a text behind a prompt's last words, with their places in the text.

        They are tokenized behind these where that leaves their ids alone. Else behind an end token,
        with which nothing melts, or behind a line break where the tokenizer would put a space
        behind an end token.
        """
        found = self._split(last_words, text)
        if found is not None:
            return found
        for before in map(self._tokens, (self.tokenizer.eos_token, "\n")):
            found = self._split(before, text)
            if found is not None and self._reads(before.ids + found.ids) == before.text + text:
                return found
        return self._tokens(text)

    def _split(self, before: "_Tokens", text: str) -> "_Tokens | None":
        """Return the tokens of a text behind another, None where the other's become others."""
        both = self._tokens(before.text + text)
        count, shift = len(before.ids), len(before.text)
        if both.ids[:count] != before.ids:
            return None
        offsets = [(start - shift, end - shift) for start, end in both.offsets[count:]]
        return _Tokens(text, both.ids[count:], offsets)

    def _reads(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def _tokens(self, text: str) -> "_Tokens":
        """Tokenize a rendered text, which brings its own beginning."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return _Tokens(text, tuple(encoded["input_ids"]), encoded["offset_mapping"])


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A text's tokens, and where each begins and ends in it."""

    text: str
    ids: tuple[int, ...]
    offsets: Sequence[tuple[int, int]]


def _lost(turn: Message, learned: str) -> str:
    """Return what of a turn's own text is not learned: its content, or the name of a call."""
    content = turn.get("content")
    calls = [call.get("function", call) for call in turn.get("tool_calls") or ()]
    own = [content.strip() if isinstance(content, str) else "", *(call["name"] for call in calls)]
    return next((text for text in own if text not in learned), "")
