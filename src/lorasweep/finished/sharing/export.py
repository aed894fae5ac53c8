"""Export a run: a folder that PEFT or transformers loads, with a card, and on to the Hub."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lorasweep.analysis.results import run_called
from lorasweep.data.trees import TreeBuilder
from lorasweep.errors import UserError
from lorasweep.finished.sharing.card import card
from lorasweep.finished.sharing.merging import merged_model
from lorasweep.folder.files import remove_aside, replaced_folder
from lorasweep.folder.holding import holding
from lorasweep.folder.records import Lock, Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.hub.models import CARD, HUB_ID, NOTE_FILE, hub_id_of, licence_of, locate
from lorasweep.model.base import UNBOUNDED, load_tokenizer
from lorasweep.model.peft_format import (
    CONFIG,
    UNQUANTISED,
    WEIGHTS,
    SavedAdapter,
    TrainedOn,
    load_adapter,
)
from lorasweep.running.selfcheck import bundled_trees, probe_of
from lorasweep.study.study import Study


def export(out: Path, name: str, target: Path | None = None, is_merged: bool = False) -> Path:
    """Write a run's adapter, its merged weights or its fully trained model, with a card.

    `target` is by default the folder exports/<run id> in the study's. Raises UserError for a
    target that holds files, and for merged weights whose logits drift; then nothing is written.
    """
    store = Store(out)
    results, lock = store.read_results(), store.read_lock()
    if lock is None:
        raise UserError(f"no {store.lock_file}, which says what the runs were trained on")
    run = run_called(results, name)
    is_full = run.configuration.method == "full"
    if is_full and is_merged:
        raise UserError(f"{run.label}: trained in full, there is nothing to merge; leave --merged")
    if target is not None and target.exists() and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target}: not empty; choose another folder with --out")
    place = target or store.out / "exports" / (f"{run.id}-merged" if is_merged else run.id)
    base = Study.parse(lock.study, str(store.lock_file)).model.base
    with _cleared(store, target), replaced_folder(place) as aside:
        files = store.of_run(run.id)
        weights = files.sound(files.model_folder if is_full else files.adapter_folder)
        adapter = None if is_full else load_adapter(weights)
        if adapter is None:
            shutil.copytree(weights, aside, dirs_exist_ok=True)
        elif is_merged:
            _write_merged(aside, lock, locate(base), adapter)
        else:
            _copy_adapter(weights, aside, public_name(base))
        _write_note(aside, results, run, base)
        text = card(results, run, public_name(base), _licence(base), adapter, is_merged)
        (aside / CARD).write_text(text, "utf-8")
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


def public_name(base: str) -> str:
    """Return what others may call a base model: its id on the Hub, or the name of its folder."""
    return hub_id_of(base) or Path(base).name


def _licence(base: str) -> str | None:
    """Return the base model's licence, as far as it is known without loading anything."""
    try:
        return licence_of(base, locate(base))
    except UserError:  # the base model is no longer on this machine
        return None


def _copy_adapter(source: Path, folder: Path, base: str) -> None:
    shutil.copy(source / WEIGHTS, folder / WEIGHTS)
    config = json.loads((source / CONFIG).read_text("utf-8"))
    named = {**config, "base_model_name_or_path": base}
    (folder / CONFIG).write_text(json.dumps(named, indent=2) + "\n", "utf-8")


def _write_note(folder: Path, results: Results, run: RunRecord, base: str) -> None:
    quantisation = results.base.note or UNQUANTISED
    trained_on = TrainedOn(public_name(base), run.precision, quantisation)
    (folder / NOTE_FILE).write_text(json.dumps(asdict(trained_on), indent=2) + "\n", "utf-8")


def _write_merged(folder: Path, lock: Lock, base: Path, adapter: SavedAdapter) -> None:
    tokenizer = load_tokenizer(base)
    known = lock.facts.get("data.max_tokens", UNBOUNDED)
    prompt = lock.study["data"]["prompt"]
    probe = probe_of(bundled_trees(TreeBuilder(tokenizer, prompt, known)))
    merged_model(base, adapter, probe).save_pretrained(folder)
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
