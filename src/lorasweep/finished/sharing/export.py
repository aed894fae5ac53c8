"""Export a run: a folder that PEFT or transformers loads, with a card, and on to the Hub."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lorasweep.analysis.results import run_called
from lorasweep.data.encoding import TreeBuilder
from lorasweep.errors import UserError
from lorasweep.finished.sharing.card import Shared, card
from lorasweep.finished.sharing.merging import merged_model
from lorasweep.folder.files import remove_aside, replaced_folder
from lorasweep.folder.holding import holding
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.hub import models
from lorasweep.hub.checked_config import CONFIG as CONFIG_OF_MODEL
from lorasweep.hub.models import CARD, HUB_ID, NOTE_FILE, hub_id_of, licence_of, locate
from lorasweep.model.base import UNBOUNDED, load_tokenizer
from lorasweep.model.generation import answer_as_scored, answering_config
from lorasweep.model.peft_format import (
    CONFIG,
    UNQUANTISED,
    WEIGHTS,
    SavedAdapter,
    TrainedOn,
    load_adapter,
)
from lorasweep.running.kept import KeptStudy
from lorasweep.running.selfcheck import bundled_trees, probe_of

# What a folder of a fully trained model may hold beside its weights.
MODEL_FILES = (
    *(CONFIG_OF_MODEL, models.WEIGHTS_INDEX, "chat_template.jinja", "chat_template.json"),
    *models.TOKENIZER_FILES,
)


def export(out: Path, name: str, target: Path | None = None, is_merged: bool = False) -> Path:
    """Write a run's adapter, its merged weights or its fully trained model, with a card.

    `target` is by default the folder exports/<run id> in the study's. Raises UserError for a
    target that holds files, for links among the run's files, and, with merged weights, for a base
    model other than the study's and for logits that drift; then nothing is written.
    """
    results, kept = Store(out).read_results(), KeptStudy.of(out)
    run = run_called(results, name)
    is_full = run.configuration.method == "full"
    if is_full and is_merged:
        raise UserError(f"{run.label}: trained in full, there is nothing to merge; leave --merged")
    if target is not None and target.exists() and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target}: not empty; choose another folder with --out")
    place = target or out / "exports" / (f"{run.id}-merged" if is_merged else run.id)
    files = kept.store.of_run(run.id)
    source = files.model_folder if is_full else files.adapter_folder
    refuse_links([kept.store.run_folder(run.id), source, *_entries(source)])
    with _cleared(kept.store, target), replaced_folder(place) as aside:
        files.sound(source)
        adapter = None if is_full else load_adapter(source)
        if adapter is None:
            _copy_model(source, aside, kept.study.evaluate.max_new_tokens)
        elif is_merged:
            _write_merged(aside, kept, adapter)
        else:
            _copy_adapter(source, aside, run, kept.study.model.base)
        _write_note(aside, results, run, adapter, kept.study.model.base)
        base = kept.study.model.base
        shared = Shared(results, run, base, _licence(base), adapter, is_merged, kept.study.evaluate)
        (aside / CARD).write_text(card(shared), "utf-8")
    return place


@contextmanager
def _cleared(store: Store, target: Path | None) -> Iterator[None]:
    """Remove what a killed export left; the study's folder is held where it is written to."""
    if target is not None:
        remove_aside(target)
        yield
        return
    with holding(store.out):
        store.remove_leftovers()
        yield


def refuse_links(places: Iterable[Path]) -> None:
    """Raise UserError for a link: a folder from elsewhere must not bring out what lies outside."""
    for place in places:
        if place.is_symlink():
            raise UserError(f"{place}: a link, which is not exported; put the file itself there")


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def public_name(base: str) -> str:
    """Return what others may call a base model: its id on the Hub, or "./" and its folder's name.

    A folder called gpt2 would else be taken for the Hub's model of that name.
    """
    return hub_id_of(base) or f"./{Path(base).expanduser().resolve().name}"


def _licence(base: str) -> str | None:
    """Return the base model's licence, as far as it is known without loading anything."""
    try:
        return licence_of(base, locate(base))
    except UserError:  # the base model is no longer on this machine
        return None


def _copy_model(source: Path, folder: Path, max_new_tokens: int) -> None:
    """Copy the files that a model has; how it answers is written anew, as it was scored."""
    known = [source / name for name in MODEL_FILES if (source / name).is_file()]
    for file in [*known, *models.weight_files(source)]:
        shutil.copyfile(file, folder / file.name)
    answering_config(load_tokenizer(source), max_new_tokens).save_pretrained(folder)


def _copy_adapter(source: Path, folder: Path, run: RunRecord, base: str) -> None:
    """Copy an adapter; of ours the config names the base as others may call it."""
    shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
    if run.imported_from:
        shutil.copyfile(source / CONFIG, folder / CONFIG)
        return
    config = json.loads((source / CONFIG).read_text("utf-8"))
    named = {**config, "base_model_name_or_path": public_name(base)}
    (folder / CONFIG).write_text(json.dumps(named, indent=2) + "\n", "utf-8")


def _write_note(
    folder: Path, results: Results, run: RunRecord, adapter: SavedAdapter | None, base: str
) -> None:
    """Write what is known of the base weights that a run was trained on, if anything is."""
    quantisation = results.base.note or UNQUANTISED
    trained_on: TrainedOn | None = TrainedOn(public_name(base), run.precision, quantisation)
    if run.imported_from:
        trained_on = adapter.trained_on if adapter else None
    if trained_on:
        text = json.dumps(asdict(trained_on), indent=2)
        (folder / NOTE_FILE).write_text(f"{text}\n", "utf-8")


def _write_merged(folder: Path, kept: KeptStudy, adapter: SavedAdapter) -> None:
    base, _ = kept.base
    tokenizer = load_tokenizer(base)
    known = kept.lock.facts.get("data.max_tokens", UNBOUNDED)
    probe = probe_of(bundled_trees(TreeBuilder(tokenizer, kept.study.data.prompt, known)))
    model = merged_model(base, adapter, probe)
    answer_as_scored(model, tokenizer, kept.study.evaluate.max_new_tokens)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def push(folder: Path, repository: str) -> str:
    """Upload an exported folder to a model repository of the Hub; return its address.

    Who pushes is known to huggingface_hub alone (`hf auth login`, or HF_TOKEN). Raises UserError
    with the Hub's reason.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(repository, repo_type="model", exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="From lorasweep")
    except Exception as error:  # the client lets its transport's own errors through
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"not pushed to {repository!r}: {reason}; {folder} is kept") from None
    return str(address)


def check_repository(repository: str) -> None:
    """Raise UserError for what cannot be a repository's name, before anything is written."""
    if not HUB_ID.fullmatch(repository):
        raise UserError(f"--push {repository!r}: a repository is called OWNER/NAME")
