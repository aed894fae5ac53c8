"""The card of an export says what is known, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import metadata_load

from calling import call
from lorasweep import Results
from lorasweep.finished.sharing.card import Shared, card, dataset_type, inline, names_of
from lorasweep.folder.store import Store
from lorasweep.hub.models import NOTE_FILE, SMOLLM2
from lorasweep.model.peft_format import CONFIG, SavedAdapter, load_adapter
from lorasweep.study.sections import Evaluate

THEIRS = {"base": "friend/model", "precision": "bf16", "quantisation": "nf4"}


@pytest.fixture
def adapter(copied_study: Path, results: Results) -> SavedAdapter:
    return load_adapter(Store(copied_study).of_run(results.runs[0].id).adapter_folder)


@pytest.fixture
def theirs(copied_study: Path, results: Results, tmp_path: Path, no_report: None) -> Path:
    """An adapter from elsewhere, as files."""
    folder = tmp_path / "theirs"
    assert call("export", copied_study, "--run", results.runs[0].id, "--out", folder).code == 0
    config = json.loads((folder / CONFIG).read_text())
    named = {**config, "base_model_name_or_path": "friend/model", "lora_dropout": 0.2}
    (folder / CONFIG).write_text(json.dumps(named))
    (folder / NOTE_FILE).unlink()
    return folder


def exported(out: Path, adapter: Path, *words: str) -> Path:
    """Import an adapter, and export it again."""
    ended = call("import", adapter, "--study", out, "--name", "fr|end", "--quiet")
    assert ended.code == 0, ended.err
    run = Store(out).read_results().runs[-1].id
    return Path(call("export", out, "--run", run, *words).out.strip())


def test_of_an_imported_adapter_only_what_is_known_is_said(
    copied_study: Path, theirs: Path
) -> None:
    folder = exported(copied_study, theirs)
    text = (folder / "README.md").read_text()
    front = metadata_load(folder / "README.md")
    assert front is not None
    assert "trained elsewhere: by whom, with what and on what is" in text
    assert "| base model that its own config names | friend/model |" in text
    assert "| base model that it was scored on | a local folder called model" in text
    for claimed in (
        "trained with lorasweep",
        "precision of the base model in training",
        "as their",
    ):
        assert claimed not in text
    assert "lorasweep" not in front["tags"]
    assert front["base_model"] == "friend/model"
    assert (folder / CONFIG).read_bytes() == (theirs / CONFIG).read_bytes()
    assert not (folder / NOTE_FILE).exists()


def test_an_imported_adapters_own_note_goes_on_with_it(copied_study: Path, theirs: Path) -> None:
    (theirs / NOTE_FILE).write_text(json.dumps(THEIRS))
    folder = exported(copied_study, theirs)
    assert json.loads((folder / NOTE_FILE).read_text()) == THEIRS
    assert "by the adapter's own note | bf16 |" in (folder / "README.md").read_text()
    merged = exported(copied_study, theirs, "--merged")
    text = (merged / "README.md").read_text()
    assert "| base model that it was merged into | a local folder called model" in text
    assert "base_model" not in (metadata_load(merged / "README.md") or {})


def shared(results: Results, adapter: SavedAdapter | None, **changes: Any) -> Shared:
    values: dict[str, Any] = {
        "results": results,
        "run": results.runs[0],
        "base": results.base.name,
        "licence": None,
        "adapter": adapter,
        "is_merged": False,
        "evaluate": Evaluate(),
    }
    return Shared(**{**values, **changes})


def test_modules_are_named_by_their_kinds(results: Results, adapter: SavedAdapter) -> None:
    text = card(shared(results, adapter))
    assert "| adapted modules | transformer.h.\\*.attn.c\\_attn × 2" in text


def test_it_says_how_to_get_the_very_weights(results: Results, adapter: SavedAdapter) -> None:
    text = card(shared(results, adapter, base=SMOLLM2))
    assert f"`lorasweep models path {SMOLLM2}` prints their" in text
    assert "base, adapter = 'HuggingFaceTB/SmolLM2-135M-Instruct', \".\"" in text
    assert "models path" not in card(shared(results, adapter))
    assert "without the base model's chat template" in text


def test_words_of_others_are_no_marks(results: Results, adapter: SavedAdapter) -> None:
    hostile = "a | b\n# c <img src=x> [d](e) \x1b[31m `f`"
    assert inline(hostile) == r"a \| b \# c \<img src=x\> \[d\](e) \[31m \`f\`"
    run = results.runs[0].model_copy(update={"label": hostile})
    prompt = "```\n# {context}\n````\n{question}"
    told = results.model_copy(update={"study": hostile, "prompt": prompt})
    text = card(shared(told, adapter, run=run, licence=hostile))
    body = text.split("\n---\n")[1]
    assert "<img" not in body.replace("\\<img", "")
    assert "\x1b" not in text
    assert f"`````\n{prompt}\n`````" in text


@pytest.mark.parametrize(
    ("sources", "kind", "names"),
    [
        (["bundled"], "bundled-with-lorasweep", ["bundled"]),
        (["bundled", "bundled:chat"], "bundled-with-lorasweep", ["bundled", "bundled:chat"]),
        (["/home/me/mine.json", "bundled"], "own-files", ["mine.json", "bundled"]),
        (["hub:rajpurkar/squad:validation"], "rajpurkar/squad", ["hub:rajpurkar/squad:validation"]),
        (["hub:/home/me/mydata:train"], "own-files", ["hub:mydata:train"]),
        (["hub:o/a:train", "hub:o/b:train"], "own-files", ["hub:o/a:train", "hub:o/b:train"]),
    ],
)
def test_a_data_set_is_the_hubs_only_where_it_is(
    sources: list[str], kind: str, names: list[str]
) -> None:
    assert dataset_type(sources) == kind
    assert names_of(sources) == names
