"""What several test files share: a tokenizer, tiny models, short paragraphs, finished studies."""

import json
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import tiny
from asked import Placed, question_of
from lorasweep import Results, Study, run
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.examples import Group
from lorasweep.data.trees import Tree
from lorasweep.folder.store import Store
from lorasweep.model.base import Base, freeze
from lorasweep.running import session
from lorasweep.running.prepare import Prepared, prepare
from lorasweep.study.forms import PROMPT

SHARED = Path(__file__).parents[2] / "shared"
# Milliseconds that a browser may take on a machine that others use as well.
PATIENCE = 300_000
ARCHITECTURES = ("gpt2", "llama")

# The machines are shared: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Headless Chromium; Playwright's own browsers are never fetched.

    For one module: its event loop must not stand in the way of other tests' own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # CI runs as root in a container, where Chromium has no sandbox of its own
        browser = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data in ../shared")
    return SHARED


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 600 tokens, learnt from the bundled corpus."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus_texts(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>")


def _corpus_texts() -> list[str]:
    folder = resources.files("lorasweep.data") / "corpus"
    files = [f for f in folder.iterdir() if f.name.endswith(".json")]
    return [
        paragraph["context"]
        for file in sorted(files, key=lambda f: f.name)
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
    ]


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the report out, which is half of a tiny study's time."""
    monkeypatch.setattr(session, "write_report", lambda out, **_: None)


@pytest.fixture(scope="module")
def no_reports() -> Iterator[None]:
    """Leave the reports of a whole module out, of its fixtures too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_report", lambda out, **_: None)
        yield


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """The tiny study's file, beside its model; tests only read both."""
    return tiny.write_study(tmp_path_factory.mktemp("tiny"), tiny_model("gpt2"), tokenizer)


@pytest.fixture(scope="session")
def prepared(file: Path) -> Prepared:
    """The tiny study with its questions and trees."""
    return prepare(tiny.load(file))


COMMON_SIZES = {"vocab_size": 600, "bos_token_id": 0, "eos_token_id": 0}
GPT2_SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, **COMMON_SIZES}
LLAMA_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    **COMMON_SIZES,
}


def tiny_model(architecture: str, **changes: Any) -> PreTrainedModel:
    """A random model of two layers; its weights are larger than usual so that tokens matter."""
    torch.manual_seed(0)
    if architecture == "gpt2":
        config = GPT2Config(**{**GPT2_SIZES, **changes})
        model: PreTrainedModel = GPT2LMHeadModel(config)
    else:
        model = LlamaForCausalLM(LlamaConfig(**{**LLAMA_SIZES, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.15)
    model.set_attn_implementation("sdpa")
    return model.eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., PreTrainedModel]:
    """Build a fresh tiny random model: `make_model("gpt2")`."""
    return tiny_model


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each of the two families in turn."""
    return str(request.param)


@pytest.fixture
def make_base(
    architecture: str, tokenizer: PreTrainedTokenizerFast
) -> Callable[[torch.dtype], Base]:
    """Freeze a fresh tiny model of the architecture at a precision."""
    return lambda dtype: freeze(tiny_model(architecture).to(dtype), tokenizer)


@pytest.fixture
def exact_base(make_base: Callable[[torch.dtype], Base]) -> Base:
    """A frozen tiny model in float64."""
    return make_base(torch.float64)


def eager_to_stop(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Make the end token and the line break likely, so that random models stop now and then."""
    with torch.no_grad():
        for token in (tokenizer.eos_token_id, *tokenizer("\n")["input_ids"]):
            model.get_output_embeddings().weight[token] *= 2.5
    return model


@pytest.fixture
def make_stopping(
    architecture: str,
    make_model: Callable[..., PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
) -> Callable[[], PreTrainedModel]:
    """Build a fresh tiny model that stops now and then."""
    return lambda: eager_to_stop(make_model(architecture, tie_word_embeddings=False), tokenizer)


@pytest.fixture
def stopping_base(
    make_stopping: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerFast
) -> Base:
    """A frozen tiny model that stops now and then."""
    return freeze(make_stopping(), tokenizer)


PASSAGES = (
    ("The mill at Orrin burned twice.", "How often did it burn?", "twice"),
    ("Ada Lunt drew the first chart of the bay in 1841, and the second, larger one in 1856, after "
     "the lighthouse was built.",
     "Who drew the chart?", "Ada Lunt", "When was the second?", "1856"),
    ("Red clay is found north of the river; blue clay, which is dearer, on the island of Tamm.",
     "Where is blue clay?", "the island of Tamm", "Which clay is dearer?", "blue clay",
     "What lies north of the river?", "Red clay"),
    ("The choir has ninety members.", "How many members has the choir?", "ninety", "Who sings?",
     "The choir"),
    ("In winter the ferry runs once a day, at noon.", "When does it run in winter?", "at noon"),
    ("Three bells hang in the tower. The oldest, cast in Leth in 1604, is rung at weddings; the "
     "others mark the hours and the tides, and nobody knows who made them.",
     "How many bells are there?", "Three", "Where was the oldest cast?", "Leth",
     "What do the others mark?", "the hours and the tides"),
    ("Salt was taxed until 1790, wool until 1802.", "Until when was wool taxed?", "1802",
     "What was taxed until 1790?", "Salt"),
    ("A stone bridge replaced the ford.", "What replaced the ford?", "A stone bridge"),
)  # fmt: skip


@pytest.fixture(scope="session")
def paragraphs() -> tuple[Group, ...]:
    """Eight short paragraphs of one to three questions, 15 in all."""
    return tuple(
        Group(
            f"passages/{number}",
            "passages",
            context,
            tuple(
                question_of(f"q{number}.{i}", asked, (Placed(answer, context.index(answer)),))
                for i, (asked, answer) in enumerate(zip(rest[::2], rest[1::2], strict=True))
            ),
        )
        for number, (context, *rest) in enumerate(PASSAGES)
    )


@pytest.fixture(scope="session")
def trees(tokenizer: PreTrainedTokenizerFast, paragraphs: tuple[Group, ...]) -> tuple[Tree, ...]:
    """The trees of the short paragraphs."""
    return TreeBuilder(tokenizer, PROMPT, max_tokens=512).build(paragraphs).trees


# Finished studies: their adapters were trained hard enough to answer in their own way.
GRID = 'rank = [2, 4]\nlr = [1e-3, 3e-3]\nalpha = "2r"\n'
OF_ARCHITECTURE = {
    "gpt2": 'targets = ["attn", "queries_and_values"]\nrank = [4]\nlr = [0.05]\n'
    '[targets]\nqueries_and_values = ["attn.c_attn:q", "attn.c_attn:v"]\n',
    "llama": 'targets = ["all-linear"]\nrank = [4]\nlr = [0.05]\n',
}


@pytest.fixture(scope="session")
def finished_study(
    tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any], tokenizer: Any
) -> Callable[[str], Path]:
    """Return the folder of a finished study of an architecture; tests only read it."""
    made: dict[str, Path] = {}

    def of(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            file = tiny.write_study(folder, make_model(architecture), tokenizer)
            text = file.read_text().replace(GRID, OF_ARCHITECTURE[architecture])
            file.write_text(text.replace("max_new_tokens = 3", "max_new_tokens = 6"))
            run(Study.load(file), folder / "out")
            made[architecture] = folder / "out"
        return made[architecture]

    return of


@pytest.fixture(scope="session")
def gpt2_study(finished_study: Callable[[str], Path]) -> Path:
    """The folder of a finished study of GPT-2; tests only read it."""
    return finished_study("gpt2")


@pytest.fixture
def copied_study(gpt2_study: Path, tmp_path: Path) -> Path:
    """A finished folder that a test may change."""
    return Path(shutil.copytree(gpt2_study, tmp_path / "out"))


@pytest.fixture(scope="session")
def results(gpt2_study: Path) -> Results:
    return Store(gpt2_study).read_results()
