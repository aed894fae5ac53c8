"""Decoding: all questions of trees answered together, by any of the decoders.

`prompts` are computed once, in a `cache` with room; `rows` grow by a token per slot; `stepwise`
(greedy), `sampling` and `span` choose tokens one by one, and `beam` searches; `answers` reads what
was generated.
"""

from collections.abc import Iterator, Mapping

from lorasweep.answering.decode.answers import Answer, lanes_answers, read_answer
from lorasweep.answering.decode.beam import search
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import GrowingRows, prompts_of
from lorasweep.answering.decode.sampling import sampler
from lorasweep.answering.decode.span import SpanChooser, Vocabulary, at_words_end
from lorasweep.answering.decode.stepwise import grow_until_stopped, likeliest
from lorasweep.study.decoders import Decoder
from lorasweep.study.sections import Evaluate

__all__ = [
    "Answer",
    "GrowingRows",
    "Prompts",
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
    prompts: Prompts, decoder: Decoder, how: Evaluate, contexts: Mapping[str, str]
) -> Answers:
    """Answer the prompts' questions by a decoder; yields a micro-batch's answers per lane.

    A question stops at the end token, at the first token whose text holds a line break, or after
    `how.max_new_tokens`. `contexts` holds the context of each question, by its id.
    """
    if decoder.samples:
        return decode_samples(prompts, decoder, how)
    if decoder.kind == "beam":
        return decode_beam(prompts, int(decoder.number), how.max_new_tokens)
    if decoder.kind == "span":
        return decode_span(prompts, contexts, how.max_new_tokens)
    return decode_greedy(prompts, how.max_new_tokens)


def decode_greedy(prompts: Prompts, max_new_tokens: int) -> Answers:
    """Answer by the likeliest token at every step.

    In fp32 the tokens are those of transformers' generate(do_sample=False), one question at a time.
    """
    for rows in prompts.rows():
        tokens_KRSN = grow_until_stopped(rows, likeliest, max_new_tokens)
        yield lanes_answers(prompts.base, rows.trees, tokens_KRSN)


def decode_samples(prompts: Prompts, decoder: Decoder, how: Evaluate) -> Answers:
    """Answer every question `how.draws` times by random tokens; its draws share its prompt."""
    for rows in prompts.rows(how.draws):
        choose = sampler(rows, decoder, how.seed, how.max_new_tokens)
        tokens_KRSN = grow_until_stopped(rows, choose, how.max_new_tokens)
        yield lanes_answers(prompts.base, rows.trees, tokens_KRSN, how.draws)


def decode_beam(prompts: Prompts, num_beams: int, max_new_tokens: int) -> Answers:
    """Answer by beam search; a line break ends a beam as the end token does."""
    for rows in prompts.rows(num_beams):
        yield lanes_answers(prompts.base, rows.trees, search(rows, max_new_tokens))


def decode_span(prompts: Prompts, contexts: Mapping[str, str], max_new_tokens: int) -> Answers:
    """Answer greedily by spans of the contexts, whole words each."""
    vocabulary = Vocabulary(prompts.base)
    for rows in prompts.rows():
        choose = SpanChooser(rows, vocabulary, contexts)
        tokens_KRSN = grow_until_stopped(rows, choose, max_new_tokens)
        yield [
            [at_words_end(answer, contexts[answer.question_id]) for answer in lane]
            for lane in lanes_answers(prompts.base, rows.trees, tokens_KRSN)
        ]
