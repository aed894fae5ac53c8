"""The templates of real models, on real tokenizers: none is known by its name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chats import CALL, SYSTEM, TOOL, TURNS, said
from transformers import AddedToken, AutoTokenizer

from lorasweep.data.chat.encoding import ChatEncoder, EncodedTurn
from lorasweep.errors import UserError

TOKENIZERS = ("llama-3", "qwen2", "phi-3")
# What templates write as single tokens.
MARK = re.compile(r"<[|｜]?[A-Za-z_|▁/]+[|｜]?>|\[/?[A-Z_]+\]")
ANSWERS = ("Blue.", "e", " Blue, and deep. ", "\nBlue\n\nand 🌊", "👩‍👩‍👧", "Which colour is it?")
THOUGHTFUL = (
    said("<think>\nTwo.\n</think>\n\nBlue."),
    said("<think>\n\n</think>\n\nBlue."),
    said("Blue.", reasoning_content="Two."),
)
CHATS: tuple[tuple[Any, ...], ...] = (TURNS, TURNS[:1], (SYSTEM, *TURNS), (SYSTEM, TURNS[0]))


@pytest.fixture(scope="module")
def templates(shared: Path) -> list[Path]:
    """The files of real templates."""
    files = sorted((shared / "data/templates").glob("*.jinja"))
    if not files:
        pytest.skip("needs the real templates in ../shared/data/templates")
    return files


@pytest.fixture(scope="module", params=TOKENIZERS)
def real_tokenizer(request: pytest.FixtureRequest, shared: Path) -> Any:
    """A real tokenizer, which learns the marks of each template."""
    folder = shared / "models/tokenizers" / request.param
    if not folder.is_dir():
        pytest.skip("needs the real tokenizers in ../shared/models/tokenizers")
    return AutoTokenizer.from_pretrained(folder)


def encoders(tokenizer: Any, files: list[Path]) -> Iterator[tuple[str, ChatEncoder]]:
    """Give the tokenizer each template, and the marks in it as special tokens."""
    for file in files:
        template = file.read_text()
        marks = [AddedToken(mark, special=True) for mark in sorted(set(MARK.findall(template)))]
        tokenizer.add_tokens([mark for mark in marks if "think" not in mark.content.lower()])
        tokenizer.chat_template = template
        yield file.stem, ChatEncoder.of(tokenizer)


def encoded(encoder: ChatEncoder, *turn: Any) -> EncodedTurn | str:
    try:
        return encoder.encode(*turn)
    except UserError as refused:
        return str(refused)


def test_prompts_are_a_servers_and_answers_end_once(
    real_tokenizer: Any, templates: list[Path]
) -> None:
    for name, encoder in encoders(real_tokenizer, templates):
        for history in CHATS:
            for turn in (*map(said, ANSWERS), *THOUGHTFUL):
                found = encoded(encoder, history, turn)
                if isinstance(found, EncodedTurn):
                    check(name, encoder, found, history, turn)


def check(
    name: str, encoder: ChatEncoder, found: EncodedTurn, history: Any, turn: Any, tools: Any = None
) -> None:
    """The prompt is a server's; the ids are the answer and its end, and nothing else."""
    tokenizer = encoder.tokenizer
    told = (name, history, turn, tokenizer.decode(found.answer_ids))
    sent = tokenizer.apply_chat_template(
        list(history), tools=tools, add_generation_prompt=True, return_dict=False
    )
    assert list(found.prompt_ids) == list(sent), told
    assert found.answer_ids[-1] in encoder.stop_ids, told
    assert not encoder.eos_ids & set(found.answer_ids[:-1]), told
    learned = tokenizer.decode(found.answer_ids, clean_up_tokenization_spaces=False)
    body, end = found.answer_text, tokenizer.decode(found.answer_ids[-1:])
    assert learned.endswith(end), told
    assert learned.lstrip().startswith(body.strip()), told
    between = learned[learned.index(body.strip()) + len(body.strip()) : -len(end)]
    closers = [mark for mark in MARK.findall(between) if "start" not in mark.lower()]
    assert re.sub(MARK, "", between).strip() == "", told
    assert len(closers) <= 2, told
    content = turn["content"].split("</think>")[-1].strip()
    assert content in body, told


def test_calls_of_tools_are_learned_as_the_template_writes_them(
    real_tokenizer: Any, templates: list[Path]
) -> None:
    call = {**CALL["tool_calls"][0], "type": "function", "id": "a1b2c3d4e"}
    turn = {**CALL, "tool_calls": [call]}
    tool = {**TOOL["function"], "parameters": {"required": ["what"], "type": "object",
            "properties": {"what": {"type": "string", "description": "What."}}}}  # fmt: skip
    learned = 0
    for name, encoder in encoders(real_tokenizer, templates):
        tools = [{"type": "function", "function": tool}]
        found = encoded(encoder, TURNS, turn, tools)
        if isinstance(found, EncodedTurn):
            check(name, encoder, found, TURNS, turn, tools)
            assert "find" in found.answer_text, name
            assert "sea" in found.answer_text, name
            learned += 1
        else:
            assert "template" in found or "thought" in found, (name, found)
    assert learned >= 40


# Of the templates here; the others write every chat.
OPEN_THOUGHTS = {
    "Apriel-1.6-15b-Thinker-fixed", "Cohere2MoE", "MiniMax-M2", "NVIDIA-Nemotron-Nano-v2",
    "llama-cpp-deepseek-r1", "stock-deepseek_r1_distill", "stock-nemotron_3_5_lightning",
}  # fmt: skip
WITHOUT_TOOLS = {
    "CohereForAI-c4ai-command-r-plus-tool_use", "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "fireworks-ai-llama-3-firefunction-v2",
}  # fmt: skip
WITHOUT_SYSTEM = {"google-gemma-2-2b-it", "stock-gemma"}


def test_what_is_refused_and_that_its_advice_helps(
    real_tokenizer: Any, templates: list[Path]
) -> None:
    refused: dict[str, set[str]] = {}
    for name, encoder in encoders(real_tokenizer, templates):
        for history in CHATS:
            for turn in map(said, ANSWERS):
                found = encoded(encoder, history, turn)
                if isinstance(found, str):
                    refused.setdefault(found.partition(" (")[0], set()).add(name)
                    assert advised(encoder, found, history, turn), (name, found)
    assert refused == {
        "the prompt opens a thought": OPEN_THOUGHTS,
        "the chat template does not take these turns": WITHOUT_TOOLS | WITHOUT_SYSTEM,
    }


def advised(encoder: ChatEncoder, refusal: str, history: Any, turn: Any) -> bool:
    """Do what a refusal advises, and say whether that was enough."""
    ways: list[Any] = []
    if "enable_thinking = false" in refusal:
        switched = ChatEncoder.of(encoder.tokenizer, template_args={"enable_thinking": False})
        ways.append(encoded(switched, history, turn))
    if field := re.search(r'"(\w+)" beside "content"', refusal):
        ways.append(encoded(encoder, history, {**turn, field[1]: "Two."}))
    if marks := re.search(r"\((\S+)\.\.\.(\S+) before the answer\)", refusal):
        thought = f"{marks[1]}\nTwo.\n{marks[2]}\n\n"
        ways.append(encoded(encoder, history, said(thought + turn["content"])))
    if "it takes no system turn" in refusal:
        ways.append(encoded(encoder, history[1:], turn))
    if "it needs tools" in refusal:
        ways.append(encoded(encoder, history, turn, [TOOL]))
    if "{functions = ...}" in refusal:
        args = {"functions": "[]", "datetime": "today"}
        given = ChatEncoder.of(encoder.tokenizer, template_args=args)
        ways.append(encoded(given, history, turn))
    return bool(ways) and all(isinstance(way, EncodedTurn) for way in ways)
