"""Encoding: the examples of a group as tokens, each prompt cut from its answer.

A prompt and its answer are tokenized as one string and cut by character offsets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lorasweep.data.examples import Example, Group
from lorasweep.data.trees import Branch, Forest, Tree
from lorasweep.errors import UserError


@dataclass(frozen=True, slots=True)
class TreeBuilder:
    """Tokenizes paragraphs into trees.

    `max_tokens` bounds trunk, question and answer together (the model's positions);
    `answer_room` reserves positions for answers that are yet to be generated.
    """

    tokenizer: Any
    prompt: str
    max_tokens: int
    answer_room: int = 0

    def build(self, paragraphs: Iterable[Group], too_long: str = "error") -> Forest:
        """Return the trees of all paragraphs; too long questions are skipped or an error."""
        trees: list[Tree] = []
        skipped: list[_Row] = []
        for paragraph in paragraphs:
            rows = [self._encode(paragraph, question) for question in paragraph.examples]
            kept = [row for row in rows if self._fits(row)]
            skipped.extend(row for row in rows if not self._fits(row))
            trees.extend(_join(paragraph.id, kept, len(self._trunk(paragraph))))
        ids = tuple(row.question.id for row in skipped)
        if ids and too_long == "error":
            raise UserError(
                f"longer than data.max_tokens = {self.max_tokens} tokens"
                f"{self._room()}: {len(ids)} of the questions, the first {ids[0]!r}; "
                'set data.too_long = "skip" to leave them out'
            )
        return Forest(tuple(trees), ids)

    def unanswered(self, context: str, question: str) -> Tree:
        """Return the tree of one question whose answer is yet to be generated.

        Raises UserError where it leaves no room for an answer.
        """
        prompt_ids, _ = self._tokens(self._prompt(context, question))
        if len(prompt_ids) + self.answer_room > self.max_tokens:
            raise UserError(
                f"text and question take {len(prompt_ids)} tokens, and an answer up to "
                f"{self.answer_room}; there is room for {self.max_tokens} in all"
            )
        # The label is no input: it stands for whatever comes.
        branch = Branch("asked", prompt_ids[-1:], (self.tokenizer.eos_token_id,))
        return Tree("asked", prompt_ids[:-1], (branch,))

    def _room(self) -> str:
        return f" with {self.answer_room} for the answer" if self.answer_room else ""

    def _trunk(self, paragraph: Group) -> str:
        head, _ = self.prompt.split("{question}")
        return head.replace("{context}", paragraph.context).rstrip()

    def _prompt(self, context: str, question: str) -> str:
        head, tail = self.prompt.split("{question}")
        return head.replace("{context}", context) + question.strip() + tail

    def _encode(self, paragraph: Group, question: Example) -> "_Row":
        """Tokenize prompt and answer as one string, and cut it where the answer begins."""
        answer = question.references[0].strip() if question.references else ""
        prompt = self._prompt(paragraph.context, str(question.prompt))
        prompt_ids, offsets = self._tokens(prompt)
        full_ids, full_offsets = self._tokens(f"{prompt} {answer}")
        cut = _cut(full_offsets, len(prompt))
        if cut is None or full_ids[:cut] != prompt_ids:
            raise UserError(
                f"question {question.id!r}: the tokenizer joins the end of the prompt and the "
                "beginning of the answer in one token; end data.prompt with another character"
            )
        answer_ids = (*full_ids[cut:], self.tokenizer.eos_token_id)
        # Without a text, the space before it may still be a token.
        if not answer or len(answer_ids) < 2:
            raise UserError(f"question {question.id!r}: its answer has no token to learn from")
        return _Row(question, prompt_ids, offsets, answer_ids)

    def _tokens(self, text: str) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
        """Return token ids and character offsets, without an end token that the tokenizer adds."""
        encoded = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
        ids, offsets = tuple(encoded["input_ids"]), [tuple(o) for o in encoded["offset_mapping"]]
        while len(ids) > 1 and offsets[-1] == (0, 0):
            ids, offsets = ids[:-1], offsets[:-1]
        return ids, offsets

    def _fits(self, row: "_Row") -> bool:
        return len(row.prompt_ids) + max(len(row.answer_ids), self.answer_room) <= self.max_tokens


@dataclass(frozen=True, slots=True)
class _Row:
    question: Example
    prompt_ids: tuple[int, ...]
    offsets: list[tuple[int, int]]
    answer_ids: tuple[int, ...]


def _cut(offsets: Sequence[tuple[int, int]], place: int) -> int | None:
    """Return how many tokens lie before a character, or None if the place is inside a token.

    A token's offsets may or may not count the space before its word, so a token that starts at the
    place or behind it is behind the cut.
    """
    count = sum(1 for start, _ in offsets if start < place)
    inside = any(start < place < end for start, end in offsets)
    return None if inside else count


def _join(paragraph_id: str, rows: list[_Row], trunk_end: int) -> list[Tree]:
    """Return one tree for rows that share a trunk, or else a tree for each row."""
    if not rows:
        return []
    cuts = [_cut(row.offsets, trunk_end) for row in rows]
    trunks = {row.prompt_ids[:cut] for row, cut in zip(rows, cuts, strict=True)}
    if None in cuts or len(trunks) > 1 or not all(trunks):
        return [_tree(f"{paragraph_id}#{row.question.id}", [row], 1) for row in rows]
    return [_tree(paragraph_id, rows, len(trunks.pop()))]


def _tree(tree_id: str, rows: list[_Row], cut: int) -> Tree:
    branches = tuple(Branch(r.question.id, r.prompt_ids[cut:], r.answer_ids) for r in rows)
    return Tree(tree_id, rows[0].prompt_ids[:cut], branches)
