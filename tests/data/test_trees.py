"""Facts 2 and 5 on the side of the tokens: what a tree holds, supervises and lets be seen."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from asked import Placed, question_of
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.examples import Group
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import PADDING, TRUNK, Branch, Forest, Tree, lay_out, separate_rows
from lorasweep.errors import UserError
from lorasweep.model.base import load_tokenizer
from lorasweep.study.forms import PROMPT

END = 0


def build(tokenizer: Any, *paragraphs: Group, **changes: Any) -> Forest:
    too_long = changes.pop("too_long", "error")
    settings_ = {"prompt": PROMPT, "max_tokens": 2048, **changes}
    return TreeBuilder(tokenizer, **settings_).build(paragraphs, too_long)


def ask(context: str, *pairs: tuple[str, str]) -> Group:
    """A paragraph of (question, answer) pairs, with ids q0, q1, ..."""
    asked = (question_of(f"q{i}", q, (Placed(a, 0),)) for i, (q, a) in enumerate(pairs))
    return Group("a/0", "a", context, tuple(asked))


TOWN = ask("Orrin is a town. It has a mill.", ("Who is it?", "Orrin"), ("What is there?", "a mill"))


def assert_joined(tokenizer: Any, paragraph: Group, tree: Tree, prompt: str = PROMPT) -> None:
    """Trunk, prompt and answer tokens are those of each question's whole text."""
    texts = {q.id: (q.prompt.strip(), q.references[0].strip()) for q in paragraph.examples}
    for branch in tree.branches:
        asked, answer = texts[branch.question_id]
        text = prompt.replace("{question}", asked).replace("{context}", paragraph.context)
        ids = [*tree.trunk_ids, *branch.prompt_ids]
        assert ids == tokenizer(text, verbose=False)["input_ids"]
        whole = tokenizer(f"{text} {answer}", verbose=False)["input_ids"]
        assert [*ids, *branch.answer_ids] == [*whole, tokenizer.eos_token_id]


def test_gpt2s_own_tokenizer_gives_trees_of_squad_that_join_to_the_whole_text(shared: Path) -> None:
    folder, data = shared / "models" / "gpt2-tokenizer", shared / "data" / "squad" / "dev-a.json"
    if not (folder.is_dir() and data.is_file()):
        pytest.skip("needs GPT-2's tokenizer and SQuAD's text in ../shared")
    tokenizer, paragraphs = load_tokenizer(folder), load([str(data)]).groups[::10]
    forest = build(tokenizer, *paragraphs)
    assert len(forest.trees) == len(paragraphs)
    assert forest.num_questions == sum(len(p.examples) for p in paragraphs) > 500
    for paragraph, tree in zip(paragraphs, forest.trees, strict=True):
        assert_joined(tokenizer, paragraph, tree)
        # The trunk is a text of its own too: nothing is lost by computing it once.
        trunk = f"Context: {paragraph.context}\n\nQuestion:"
        assert list(tree.trunk_ids) == tokenizer(trunk)["input_ids"]


WORDS = st.text(min_size=1, max_size=30).filter(lambda text: text.strip())


@given(context=WORDS, pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3))
@settings(max_examples=60)
def test_any_text_becomes_one_tree_that_joins_to_the_whole_text(
    tokenizer: Any, context: str, pairs: list[tuple[str, str]]
) -> None:
    paragraph = ask(context, *pairs)
    (tree,) = build(tokenizer, paragraph).trees
    assert len(tree.branches) == len(pairs)
    assert_joined(tokenizer, paragraph, tree)


def with_special_tokens(tokenizer: Any, template: str) -> Any:
    """A copy of the tokenizer that frames a text by a template such as "<|end|> $A"."""
    changed = copy.deepcopy(tokenizer)
    frame = processors.TemplateProcessing(single=template, special_tokens=[("<|end|>", END)])
    bytes_ = processors.ByteLevel(trim_offsets=True)
    changed.backend_tokenizer.post_processor = processors.Sequence([bytes_, frame])
    return changed


@pytest.mark.parametrize(("template", "num_before"), [("<|end|> $A", 1), ("$A <|end|>", 0),
                                                      ("<|end|> $A <|end|>", 1)])  # fmt: skip
def test_special_tokens_that_a_tokenizer_adds(
    tokenizer: Any, template: str, num_before: int
) -> None:
    framing = with_special_tokens(tokenizer, template)
    assert END in (framing("x")["input_ids"][0], framing("x")["input_ids"][-1])
    (plain,), (framed,) = build(tokenizer, TOWN).trees, build(framing, TOWN).trees
    assert framed.trunk_ids == (END,) * num_before + plain.trunk_ids
    assert framed.branches == plain.branches
    assert all(branch.answer_ids.count(END) == 1 for branch in framed.branches)


def with_merged(tokenizer: Any, token: str) -> Any:
    """A copy of the tokenizer in which a piece of text is always one token."""
    changed = copy.deepcopy(tokenizer)
    changed.add_tokens([token])
    return changed


TIGHT = "{context}\n\nQuestion:{question}\n\nAnswer:"


@pytest.mark.parametrize(("merged", "prompt"), [(": W", PROMPT), (": Who", PROMPT), (":W", TIGHT)])
def test_a_token_across_the_trunks_end_makes_separate_rows(
    tokenizer: Any, merged: str, prompt: str
) -> None:
    merging = with_merged(tokenizer, merged)
    forest = build(merging, TOWN, prompt=prompt)
    assert [tree.id for tree in forest.trees] == ["a/0#q0", "a/0#q1"]
    for tree in forest.trees:
        assert_joined(merging, TOWN, tree, prompt)


# The offsets of ": " leave its space out, so that the token seems to end with the prompt.
@pytest.mark.parametrize("merged", [": Orr", ": "])
def test_a_token_across_the_answers_beginning_is_an_error(tokenizer: Any, merged: str) -> None:
    with pytest.raises(UserError, match=r"'q0'.*end data\.prompt with another character"):
        build(with_merged(tokenizer, merged), TOWN)


@pytest.mark.parametrize("answer", ["", " ", "\n"])
def test_an_answer_without_text_is_an_error(tokenizer: Any, answer: str) -> None:
    with pytest.raises(UserError, match=r"'q0'.*no token to learn"):
        build(tokenizer, ask("Some town.", ("Who?", answer)))


def test_a_question_without_answers_is_an_error(tokenizer: Any) -> None:
    paragraph = Group("a/0", "a", "Some town.", (question_of("q0", "Who?", ()),))
    with pytest.raises(UserError, match=r"'q0'.*no token to learn"):
        build(tokenizer, paragraph)


def test_too_long_questions_are_an_error_or_skipped_and_counted(tokenizer: Any) -> None:
    (tree,) = build(tokenizer, TOWN).trees
    sizes = [len(tree.trunk_ids + b.prompt_ids + b.answer_ids) for b in tree.branches]
    limit = min(sizes)
    assert limit < max(sizes)
    with pytest.raises(UserError, match=rf"data\.max_tokens = {limit} .*1 of the questions.*'q1'"):
        build(tokenizer, TOWN, max_tokens=limit)
    forest = build(tokenizer, TOWN, max_tokens=limit, too_long="skip")
    assert (forest.num_questions, forest.too_long) == (1, ("q1",))
    assert build(tokenizer, TOWN, max_tokens=limit - 1, too_long="skip") == Forest((), ("q0", "q1"))
    assert build(tokenizer, TOWN, max_tokens=max(sizes)).too_long == ()


def test_room_for_answers_to_come_counts(tokenizer: Any) -> None:
    (tree,) = build(tokenizer, TOWN).trees
    longest = max(len(tree.trunk_ids + branch.prompt_ids) for branch in tree.branches)
    assert build(tokenizer, TOWN, max_tokens=longest + 20, answer_room=20).too_long == ()
    forest = build(tokenizer, TOWN, max_tokens=longest + 19, answer_room=20, too_long="skip")
    assert forest.too_long


def test_the_first_label_is_the_first_answer_token_and_the_end_comes_once(
    tokenizer: Any, trees: tuple[Tree, ...]
) -> None:
    rows = lay_out(trees)
    labels = iter(rows.labels_N.tolist())
    flat = rows.input_ids_RT.flatten()
    index = iter(rows.answer_index_N.tolist())
    for tree in trees:
        for branch in tree.branches:
            assert next(labels) == branch.answer_ids[0]
            # The first label is predicted by the last token of the prompt, a colon.
            assert tokenizer.decode(flat[next(index)]) == ":"
            rest = [next(labels) for _ in branch.answer_ids[1:]]
            assert [*rest].count(END) == 1
            assert rest[-1] == END
            assert [int(flat[next(index)]) for _ in rest] == list(branch.answer_ids[:-1])
    assert next(labels, None) is None


def test_labels_go_by_position_where_texts_hold_the_end_token(tokenizer: Any) -> None:
    paragraph = ask("One <|end|> two <|end|>.", ("What<|end|>?", "a<|end|>b"), ("Who?", "<|end|>"))
    (tree,) = build(tokenizer, paragraph).trees
    assert tree.trunk_ids.count(END) == 2
    first, second = (tokenizer(text)["input_ids"] for text in (" a<|end|>b", " <|end|>"))
    assert [b.answer_ids for b in tree.branches] == [(*first, END), (*second, END)]
    assert lay_out([tree]).labels_N.tolist() == [*first, END, *second, END]


@st.composite
def forests(draw: st.DrawFn) -> list[Tree]:
    """Trees of any small shape, no two tokens alike."""
    token = iter(range(1, 10_000))

    def tokens(low: int, high: int) -> tuple[int, ...]:
        return tuple(next(token) for _ in range(draw(st.integers(low, high))))

    return [
        Tree(
            f"t{r}",
            tokens(1, 4),
            tuple(
                Branch(f"q{r}.{b}", tokens(1, 3), tokens(1, 3))
                for b in range(draw(st.integers(1, 3)))
            ),
        )
        for r in range(draw(st.integers(1, 3)))
    ]


def visible_pairs(tree: Tree) -> set[tuple[int, int]]:
    """(token, token that it sees), from each question's plain causal row."""
    rows = [tree.trunk_ids + branch.input_ids for branch in tree.branches]
    return {(query, key) for row in rows for i, query in enumerate(row) for key in row[: i + 1]}


@given(forests())
@settings(max_examples=40)
def test_a_token_sees_what_it_sees_in_its_questions_own_row(trees: list[Tree]) -> None:
    rows = lay_out(trees)
    for tree, ids, owner, mask in zip(
        trees, rows.input_ids_RT.tolist(), rows.owner_RT, rows.mask_R1TT[:, 0], strict=True
    ):
        real = int((owner != PADDING).sum())
        assert real == tree.num_tokens
        pairs = {(ids[q], ids[k]) for q, k in mask[:real].nonzero().tolist()}
        assert pairs == visible_pairs(tree)
        # Padding is seen by no one else, and sees itself, so that no softmax is empty.
        assert mask.diagonal().all()
        assert not (mask & ~torch.eye(len(ids), dtype=torch.bool))[:, real:].any()


@given(forests())
@settings(max_examples=40)
def test_positions_and_labels_are_those_of_the_questions_own_row(trees: list[Tree]) -> None:
    rows = lay_out(trees)
    position = dict(
        zip(rows.input_ids_RT.flatten().tolist(), rows.position_ids_RT.flatten().tolist(),
            strict=True)
    )  # fmt: skip
    predicted_from = rows.input_ids_RT.flatten()[rows.answer_index_N].tolist()
    expected = []
    for tree in trees:
        for branch in tree.branches:
            row = tree.trunk_ids + branch.prompt_ids + branch.answer_ids
            assert [position[token] for token in row[:-1]] == list(range(len(row) - 1))
            start = len(row) - len(branch.answer_ids)
            expected += list(zip(row[start - 1 : -1], row[start:], strict=True))
    assert list(zip(predicted_from, rows.labels_N.tolist(), strict=True)) == expected


@given(forests())
@settings(max_examples=20)
def test_separate_rows_hold_the_same_questions(trees: list[Tree]) -> None:
    apart = separate_rows(trees)
    assert [t.branches for t in apart] == [(b,) for tree in trees for b in tree.branches]
    assert [t.trunk_ids for t in apart] == [t.trunk_ids for t in trees for _ in t.branches]
    assert len({tree.id for tree in apart}) == len(apart)
    assert (lay_out(trees).owner_RT == TRUNK).sum() == sum(len(t.trunk_ids) for t in trees)


def test_a_one_token_answer_with_its_end_is_two_labels() -> None:
    branch = Branch("q", (7, 8), (9, END))
    assert branch.input_ids == (7, 8, 9)
    assert Tree("t", (5, 6), (branch, replace(branch, question_id="p"))).num_tokens == 8
