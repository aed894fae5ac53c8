"""Spans: every answer is whole words of its context, whatever the model would rather say."""

import random
import re
import unicodedata
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from asked import Placed, question_of
from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.rows import GrowingRows, prompts_of
from lorasweep.answering.decode.span import Said, Spans, Vocabulary, allowed, at_words_end, say
from lorasweep.answering.decode.strategies import decode_span
from lorasweep.answering.decode.token_bytes import token_bytes
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.examples import Group
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import separate_rows
from lorasweep.model.base import Base, freeze
from lorasweep.study.forms import PROMPT
from reference import mixed_lanes, randomise_B

ALL_AT_ONCE = 100_000
NUM_NEW = 8


@pytest.fixture(scope="module")
def bases(
    make_model: Callable[..., PreTrainedModel], tokenizer: PreTrainedTokenizerFast
) -> list[Base]:
    """Two random models; the end token of the second is likely enough to come early."""
    eager = make_model("gpt2", tie_word_embeddings=False)
    with torch.no_grad():
        eager.get_output_embeddings().weight[tokenizer.eos_token_id] *= 4
    return [freeze(model, tokenizer) for model in (make_model("llama"), eager)]


@pytest.fixture(scope="module")
def vocabulary(bases: list[Base]) -> Vocabulary:
    return Vocabulary(bases[0])


def of_a_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def opening(before: str) -> str:
    """What stands between an answer and the white space before it."""
    return re.split(r"\s", before)[-1]


def is_span(answer: str, context: str) -> bool:
    """Look for the answer as whole words, by another way than the decoder's."""
    if not any(map(of_a_word, answer)) or answer != answer.strip() or "\n" in answer:
        return False
    at = context.find(answer)
    while at >= 0:
        before, after = context[:at][-1:], context[at + len(answer) :][:1]
        inside = [
            pair for pair in (before + answer[0], answer[-1] + after)
            if len(pair) == 2 and all(map(of_a_word, pair))
        ]  # fmt: skip
        opens = of_a_word(answer[0]) or not any(map(of_a_word, opening(context[:at])))
        if not inside and opens:
            return True
        at = context.find(answer, at + 1)
    return False


def paragraph_of(context: str) -> Group:
    question = question_of("q", "What?", (Placed("x", -1),))
    return Group("p/0", "p", context, (question,))


def ask(base: Base, context: str, max_new_tokens: int = NUM_NEW) -> Answer:
    trees = TreeBuilder(base.tokenizer, PROMPT, 512).build([paragraph_of(context)]).trees
    (group,) = decode_span(Prompts(base, trees, 1, ALL_AT_ONCE), {"q": context}, max_new_tokens)
    return group[0][0]


WORDS = st.sampled_from(
    ["mill", "1841", "caf\u00e9", "cafe\u0301", "(a)", "e\u00b2", "\u6771\u4eac", "\U0001f600",
     "U.S.", "don't", "a-b", "$5", "the", "_x_"]
)  # fmt: skip
GAPS = st.sampled_from([" ", "  ", "\n", " \n", "\t", "\u00a0", ", ", "\u2014", "\r\n", "/"])
# A context of signs alone, such as an emoji, has no span, which a test of its own looks at.
CONTEXTS = st.one_of(
    st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=12).map(
        lambda pairs: "".join(word + gap for word, gap in pairs)
    ),
    st.text(min_size=1, max_size=40),
).filter(lambda text: any(map(of_a_word, text)))


@settings(max_examples=40)
@given(context=CONTEXTS, which=st.integers(0, 1))
def test_every_answer_is_whole_words_of_its_context(
    bases: list[Base], context: str, which: int
) -> None:
    answer = ask(bases[which], context)
    whole = is_span(answer.text, context)
    # Where the allowance ends inside the first word, nothing is left of it.
    assert whole or (not answer.text and not answer.ended and len(answer.token_ids) == NUM_NEW)
    assert whole or not answer.ended


def test_a_context_without_a_word_has_no_spans(bases: list[Base]) -> None:
    assert Spans("?! \u2014\n ...").starts == ()
    assert {ask(base, "?! \u2014\n ...").text for base in bases} == {""}
    assert {ask(base, "\U0001f600 ").text for base in bases} == {""}


def test_endings_of_both_kinds_occur(bases: list[Base]) -> None:
    context = "Ada Lunt drew the first chart of the bay in 1841, and the second in 1856."
    answers = [ask(base, context, n) for base in bases for n in range(1, 12)]
    assert {answer.ended for answer in answers} == {False, True}
    assert len({answer.text for answer in answers}) > 3
    assert all(answer.text == "" or is_span(answer.text, context) for answer in answers)


def spellings(vocabulary: Vocabulary, spans: Spans, said: Said, left: bytes) -> bool:
    """Say whether the rest of an answer can be said, by allowed tokens, and then ended."""
    tokens = allowed(vocabulary, spans, said)
    if not left:
        return vocabulary.end_id in tokens
    return any(
        spellings(vocabulary, spans, say(vocabulary, spans, said, token), left[len(text) :])
        for token in tokens
        if token != vocabulary.end_id and left.startswith(text := vocabulary.bytes_of[token])
    )


def can_say(vocabulary: Vocabulary, context: str, answer: str) -> bool:
    spans = Spans(context)
    return spellings(vocabulary, spans, Said(b"", spans.starts), f" {answer}".encode())


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("It was (Orrin) in 1841-42.", "Orrin"),
        ("It was (Orrin) in 1841-42.", "1841"),
        ("It was (Orrin) in 1841-42.", "42"),
        ("It was (Orrin) in 1841-42.", "(Orrin) in 1841-42."),
        ("It cost $5, then.", "$5"),
        ("It cost $5, then.", "5"),
        ("So (\u201cAda\u201d) said.", "(\u201cAda\u201d"),
        ("So (\u201cAda\u201d) said.", "\u201cAda\u201d"),
        ("A co-op here.", "op"),
        ("Ren\u00e9e ate.", "Ren\u00e9e"),
        ("One\nTwo three", "Two three"),
    ],
)
def test_an_answer_that_is_no_run_of_the_contexts_tokens_can_be_said(
    vocabulary: Vocabulary, context: str, answer: str
) -> None:
    assert can_say(vocabulary, context, answer)


def test_some_of_these_are_no_run_of_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    context = tokenizer("It was (Orrin) in 1841-42.")["input_ids"]
    answer = tokenizer(" Orrin")["input_ids"]
    assert not any(context[i : i + len(answer)] == answer for i in range(len(context)))


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("The mill burned.", "mil"),
        ("The mill burned.", "he mill"),
        ("The mill burned.", "mill  burned"),
        ("The mill burned.", "mill "),
        ("The mill burned.", " mill"),
        ("The mill burned.", "mill burned twice"),
        ("One\nTwo three", "One\nTwo"),
        ("caf\u00e9", "caf"),
        ("cafe\u0301", "cafe"),
        ("The mill burned.", ""),
        ("The mill burned.", "."),
        ("A co-op (small).", "-op"),
        ("A co-op (small).", ")."),
        ("A co-op (small).", "("),
        ("A co-op, $3 a share.", ", $3"),
        ("On \u2014 off", "\u2014"),
    ],
)
def test_what_is_no_piece_of_the_context_cannot_be_said(
    vocabulary: Vocabulary, context: str, answer: str
) -> None:
    assert not can_say(vocabulary, context, answer)


def test_the_bundled_answers_can_be_said(vocabulary: Vocabulary) -> None:
    paragraphs = load(["bundled"]).groups[:6]
    pairs = {(p.context, text) for p in paragraphs for q in p.examples for text in q.references}
    assert len(pairs) > 15
    assert all(can_say(vocabulary, context, answer) for context, answer in pairs)


def begins_a_piece(text: bytes, context: str) -> bool:
    """Say whether bytes, without their leading space, begin words of a line: by trying all."""
    text = text.removeprefix(b" ")
    for line in context.split("\n"):
        line = line.rstrip()
        for i, character in enumerate(line):
            if of_a_word(character):
                is_start = i == 0 or not of_a_word(line[i - 1])
            else:
                is_start = not any(map(of_a_word, opening(line[:i])))
                is_start = is_start and any(map(of_a_word, line[i:]))
            if is_start and not character.isspace() and line[i:].encode().startswith(text):
                return True
    return False


@settings(max_examples=30)
@given(context=CONTEXTS, seed=st.integers(0, 2**32))
def test_allowed_are_exactly_the_tokens_that_lead_on(
    vocabulary: Vocabulary, context: str, seed: int
) -> None:
    pick = random.Random(seed)
    spans = Spans(context)
    said = Said(b"", spans.starts)
    for _ in range(6):
        tokens = set(allowed(vocabulary, spans, said))
        leading = {
            token
            for token, text in vocabulary.bytes_of.items()
            if b"\n" not in text and begins_a_piece(said.text + text, context)
        }
        assert tokens - {vocabulary.end_id} == leading
        text = said.text.removeprefix(b" ").decode(errors="replace")
        assert (vocabulary.end_id in tokens) == is_span(text, context)
        if not leading:
            break
        said = say(vocabulary, spans, said, pick.choice(sorted(leading)))


def test_the_likeliest_allowed_token_is_chosen(bases: list[Base]) -> None:
    context = "Red clay is found north of the river; blue clay on the island."
    trees = TreeBuilder(bases[0].tokenizer, PROMPT, 512).build([paragraph_of(context)]).trees
    for base in bases:
        rows = GrowingRows(base, [prompts_of(tree) for tree in trees], 1)
        with torch.inference_mode():
            ranked = rows.prefill()[0].argsort(descending=True).tolist()
        spans = Spans(context)
        may = allowed(Vocabulary(base), spans, Said(b"", spans.starts))
        assert ranked[0] not in may
        (expected,) = [token for token in ranked if token in may][:1]
        assert ask(base, context).token_ids[0] == expected


def test_answers_do_not_depend_on_cut_order_or_lanes(
    bases: list[Base], paragraphs: tuple[Group, ...]
) -> None:
    base = bases[0]
    trees = TreeBuilder(base.tokenizer, PROMPT, 512).build(paragraphs).trees
    contexts = {q.id: p.context for p in paragraphs for q in p.examples}
    lanes = mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)

        def answers(trees: object, max_tokens: int) -> list[dict[str, Answer]]:
            groups = list(decode_span(Prompts(base, trees, 3, max_tokens), contexts, NUM_NEW))  # type: ignore[arg-type]
            return [{a.question_id: a for g in groups for a in g[k]} for k in range(3)]

        whole = answers(trees, ALL_AT_ONCE)
        assert answers(trees[::-1], 1) == whole
        assert answers(separate_rows(trees), 2000) == whole
    assert all(
        is_span(a.text, contexts[a.question_id]) for lane in whole for a in lane.values() if a.text
    )
    assert len({tuple(a.text for a in lane.values()) for lane in whole}) == 3


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("the mill bur", "the mill"),
        ("the mi", "the"),
        ("the mill", "the mill"),
        ("bur", ""),
        ("caf\ufffd", ""),
        ("twice caf\ufffd", "twice"),
    ],
)
def test_an_unfinished_word_is_left_out(said: str, kept: str) -> None:
    answer = Answer("q", said, False, (1, 2))
    context = "When the mill burned, twice caf\u00e9s burned."
    assert at_words_end(answer, context) == Answer("q", kept, False, (1, 2))
    assert at_words_end(Answer("q", said, True, (1,)), context).text == said


TEXT = "Caf\u00e9  na\u00efve \u6771\u4eac, \U0001f600 1841!"


def test_tokens_are_bytes_of_byte_level_tokenizers(tokenizer: PreTrainedTokenizerFast) -> None:
    found = token_bytes(tokenizer)
    ids = tokenizer(TEXT)["input_ids"]
    assert b"".join(found[token] for token in ids) == TEXT.encode()
    assert tokenizer.eos_token_id not in found


def test_tokens_are_bytes_of_tokenizers_that_mark_spaces() -> None:
    words = ["<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "Caf", "\u00e9"]
    bpe = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[],
                               byte_fallback=True, unk_token="<s>"))  # fmt: skip
    bpe.normalizer = normalizers.Replace(" ", "\u2581")
    bpe.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                     decoders.Fuse()])  # fmt: skip
    marked = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>", bos_token="<s>")
    found = token_bytes(marked)
    ids = marked(TEXT)["input_ids"]
    assert b"".join(found[token] for token in ids) == TEXT.encode() == marked.decode(ids).encode()
    assert (found[words.index("Caf")], found[words.index("\u2581")]) == (b"Caf", b" ")
