"""Decoding: all questions of trees answered together, by any of the decoders.

`rows` grow by a token per slot; `stepwise` (greedy), `sampling` and `span` choose tokens one by
one, and `beam` searches; `answers` reads what was generated.
"""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from lorasweep.base import Base
from lorasweep.decode.answers import Answer, lanes_answers, read_answer
from lorasweep.decode.beam import search
from lorasweep.decode.rows import GrowingRows, growing_rows, prompts_of
from lorasweep.decode.sampling import sampler
from lorasweep.decode.span import SpanChooser, Vocabulary, at_words_end
from lorasweep.decode.stepwise import grow_until_stopped, likeliest
from lorasweep.decoders import Decoder
from lorasweep.study import Evaluate
from lorasweep.trees import Tree

__all__ = [
    "Answer",
    "GrowingRows",
    "decode",
    "decode_beam",
    "decode_greedy",
    "decode_samples",
    "decode_span",
    "prompts_of",
    "read_answer",
]

Answers = Iterator[list[list[Answer]]]


def decode(
    base: Base,
    trees: Sequence[Tree],
    num_lanes: int,
    decoder: Decoder,
    how: Evaluate,
    max_tokens: int,
    contexts: Mapping[str, str],
) -> Answers:
    """Answer the trees' questions by a decoder; yields a micro-batch's answers per lane.

    A question stops at the end token, at the first token whose text holds a line break, or after
    `how.max_new_tokens`. `max_tokens` bounds a micro-batch (all lanes, with padding); it decides
    no result. `contexts` holds the context of each question, by its id.
    """
    if decoder.samples:
        return decode_samples(base, trees, num_lanes, decoder, how, max_tokens)
    if decoder.kind == "beam":
        num_beams = int(decoder.number)
        return decode_beam(base, trees, num_lanes, num_beams, how.max_new_tokens, max_tokens)
    if decoder.kind == "span":
        return decode_span(base, trees, num_lanes, contexts, how.max_new_tokens, max_tokens)
    return decode_greedy(base, trees, num_lanes, how.max_new_tokens, max_tokens)


def decode_greedy(
    base: Base, trees: Sequence[Tree], num_lanes: int, max_new_tokens: int, max_tokens: int
) -> Answers:
    """Answer by the likeliest token at every step.

    In fp32 the tokens are those of transformers' generate(do_sample=False), one question at a time.
    """
    for rows in growing_rows(base, trees, num_lanes, max_tokens):
        yield lanes_answers(base, rows.trees, grow_until_stopped(rows, likeliest, max_new_tokens))


def decode_samples(
    base: Base, trees: Sequence[Tree], num_lanes: int, decoder: Decoder, how: Evaluate,
    max_tokens: int,
) -> Answers:  # fmt: skip
    """Answer every question `how.draws` times by random tokens; its draws share its prompt."""
    for rows in growing_rows(base, trees, num_lanes, max_tokens, how.draws):
        choose = sampler(rows, decoder, how.seed, how.max_new_tokens)
        tokens_KRSN = grow_until_stopped(rows, choose, how.max_new_tokens)
        yield lanes_answers(base, rows.trees, tokens_KRSN, how.draws)


def decode_beam(
    base: Base, trees: Sequence[Tree], num_lanes: int, num_beams: int, max_new_tokens: int,
    max_tokens: int,
) -> Answers:  # fmt: skip
    """Answer by beam search; a line break ends a beam as the end token does."""
    for rows in growing_rows(base, trees, num_lanes, max_tokens, num_beams):
        yield lanes_answers(base, rows.trees, search(rows, max_new_tokens))


def decode_span(
    base: Base, trees: Sequence[Tree], num_lanes: int, contexts: Mapping[str, str],
    max_new_tokens: int, max_tokens: int,
) -> Answers:  # fmt: skip
    """Answer greedily by spans of the contexts, whole words each."""
    vocabulary = Vocabulary(base)
    for rows in growing_rows(base, trees, num_lanes, max_tokens):
        choose = SpanChooser(rows, vocabulary, contexts)
        tokens_KRSN: Tensor = grow_until_stopped(rows, choose, max_new_tokens)
        yield [
            [at_words_end(answer, contexts[answer.question_id]) for answer in lane]
            for lane in lanes_answers(base, rows.trees, tokens_KRSN)
        ]
