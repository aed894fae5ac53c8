"""Base models: an alias, a local folder or a Hub id, to a config and to a folder of weights."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from lorasweep.errors import UserError, nearest
from lorasweep.hub.checked_config import CONFIG, checked_config
from lorasweep.hub.checksums import sha256_of

SMOLLM2 = "smollm2-135m"
HUB_ID_OF_ALIAS = {"gpt2": "openai-community/gpt2"}
SMOLLM2_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENCES = {"openai-community/gpt2": "mit", SMOLLM2_ON_HUB: "apache-2.0"}
SHIPPED_CONFIGS = {
    "gpt2": "openai-community__gpt2.json",
    "openai-community/gpt2": "openai-community__gpt2.json",
    SMOLLM2: "smollm2-135m.json",
    SMOLLM2_ON_HUB: "smollm2-135m.json",
}
ALIASES = (SMOLLM2, *HUB_ID_OF_ALIAS)

NOTE_FILE = "lorasweep.json"
CHECKSUMS = "SHA256SUMS"
CARD = "README.md"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
# "model*": some repositories hold the same weights a second time under another name
HUB_PATTERNS = [CONFIG, CARD, "generation_config.json", *TOKENIZER_FILES, "model*.safetensors*"]
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

State = Literal["pulled", "not pulled", "in the Hub cache"]


@dataclass(frozen=True)
class ModelInfo:
    """One base model that is known here: its state, its folder if there is one, and a note."""

    name: str
    state: State
    folder: Path | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the plain values of `models list --json`."""
        return asdict(self) | {"folder": None if self.folder is None else str(self.folder)}


def home() -> Path:
    """Return lorasweep's own folder: LORASWEEP_HOME, else one in the user's cache directory.

    Models that are pulled lie in it, and what calibrations have measured.
    """
    if chosen := os.environ.get("LORASWEEP_HOME"):
        return expanded(chosen, "LORASWEEP_HOME")
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return expanded(cache, "XDG_CACHE_HOME") / "lorasweep"
    return expanded("~/.cache/lorasweep", "LORASWEEP_HOME is not set, and HOME")


def expanded(path: str, what: str) -> Path:
    """Return a path with its ~ replaced; UserError that says `what` it is where nobody has it."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        who = path.partition("/")[0]
        raise UserError(
            f"{what}: the home folder of {who!r} is not known here; write the whole path"
        ) from None


def folder_of(alias: str) -> Path:
    """Return where `lorasweep models pull` puts a model."""
    return home() / "models" / alias


def read_config(base: str) -> dict[str, Any]:
    """Return a base model's config.json without its weights.

    Raises UserError for an unknown name, no network, or a model that brings its own code.
    """
    if _is_path(base):
        return checked_config(_config_file(_folder(base)).read_bytes(), base)
    if base in SHIPPED_CONFIGS:
        shipped = resources.files("lorasweep.hub") / "configs" / SHIPPED_CONFIGS[base]
        return checked_config(shipped.read_bytes(), base)
    return checked_config(_hub_config(base).read_bytes(), base)


def locate(base: str) -> Path:
    """Return the folder that transformers loads; a Hub id is downloaded into the Hub's cache.

    Raises UserError as read_config does, and for a folder without weights in safetensors.
    """
    if _is_path(base):
        folder = _folder(base)
    elif base == SMOLLM2:
        folder = _pulled(base)
    else:
        read_config(base)  # refuse before gigabytes are downloaded
        folder = _snapshot(HUB_ID_OF_ALIAS.get(base, base))
    checked_config(_config_file(folder).read_bytes(), base)
    weight_files(folder)
    if (folder / ADAPTER_CONFIG).exists():
        raise UserError(
            f"{folder}: beside the model lies an adapter ({ADAPTER_CONFIG}); transformers would "
            "load both; move it out, or bring it in with `lorasweep import`"
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder; UserError where one is missing."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / WEIGHTS_INDEX).is_file():
        raise UserError(f"{folder}: no {WEIGHTS}{_why_not_pickle(folder)}")
    try:
        index = json.loads((folder / WEIGHTS_INDEX).read_text("utf-8"))
        files = [folder / name for name in sorted(set(index["weight_map"].values()))]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder / WEIGHTS_INDEX}: not an index of safetensors files") from None
    for file in files:
        if file.parent != folder:
            raise UserError(f"{folder / WEIGHTS_INDEX}: {file.name} is not in this folder")
        if not file.is_file():
            raise UserError(f"{folder}: {file.name} is missing, which {WEIGHTS_INDEX} names")
    return files


def fingerprint_of(folder: Path) -> str:
    """Return a SHA-256 over the config, the tokenizer's files and the weights' bytes."""
    tokenizer = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    files = [folder / CONFIG, *tokenizer, *weight_files(folder)]
    return hashlib.sha256(checksum_lines(files).encode()).hexdigest()


def checksum_lines(files: Iterable[Path]) -> str:
    """Return the lines of a SHA256SUMS file, as `sha256sum` writes them."""
    return "".join(f"{sha256_of(file)}  {file.name}\n" for file in sorted(files))


def is_whole(folder: Path) -> bool:
    """Tell whether a pulled folder holds exactly what its checksum file says."""
    sums = folder / CHECKSUMS
    if not sums.is_file():
        return False
    files = [folder / line.split("  ", 1)[-1] for line in sums.read_text("utf-8").splitlines()]
    if not files or not all(file.is_file() for file in files):
        return False
    return checksum_lines(files) == sums.read_text("utf-8")


def note_of(folder: Path) -> str:
    """Return what a reader of scores must know about these weights; "" where nothing is noted."""
    try:
        noted = json.loads((folder / NOTE_FILE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return ""
    return str(noted.get("note", "")) if isinstance(noted, dict) else ""


def hub_id_of(base: str) -> str | None:
    """Return what the Hub calls a base model; None for a folder, whose name says nothing there."""
    if _is_path(base):
        return None
    return SMOLLM2_ON_HUB if base == SMOLLM2 else HUB_ID_OF_ALIAS.get(base, base)


def licence_of(base: str, folder: Path) -> str | None:
    """Return a base model's licence as the Hub writes it; None where its card does not say."""
    from huggingface_hub import metadata_load

    if known := LICENCES.get(hub_id_of(base) or ""):
        return known
    said = metadata_load(folder / CARD) if (folder / CARD).is_file() else None
    licence = (said or {}).get("license")
    return licence if isinstance(licence, str) else None


def list_models() -> list[ModelInfo]:
    """Return the aliases and the models in the Hub's cache, each with its state."""
    folder = folder_of(SMOLLM2)
    cached = _cached_models()
    pulled = folder.is_dir()
    models = [
        ModelInfo(SMOLLM2, "pulled" if pulled else "not pulled", folder if pulled else None,
                  note_of(folder))
    ]  # fmt: skip
    for alias, hub_id in HUB_ID_OF_ALIAS.items():
        if hub_id not in cached:
            models.append(ModelInfo(alias, "not pulled", None, f"{hub_id} on the Hub"))
    return models + [ModelInfo(name, "in the Hub cache", path) for name, path in cached.items()]


def _is_path(base: str) -> bool:
    return _folder(base).is_dir() or not (base in ALIASES or HUB_ID.fullmatch(base))


def _folder(base: str) -> Path:
    if not base.strip():
        raise UserError("model.base is empty: give an alias, a local folder, or a Hub id")
    return expanded(base, "model.base")


def _config_file(folder: Path) -> Path:
    if not folder.is_dir():
        hint = nearest(folder.name, ALIASES)
        raise UserError(f"no model {str(folder)!r}: no such folder or alias, nor OWNER/NAME{hint}")
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder}: no {CONFIG}, so this is no model folder")
    return folder / CONFIG


def _why_not_pickle(folder: Path) -> str:
    if not any(folder.glob("pytorch_model*.bin")):
        return f" nor {WEIGHTS_INDEX}, so there are no weights to load"
    return (
        "; pytorch_model.bin is a pickle, which can run code when it is loaded, "
        "so lorasweep reads safetensors only: save the model with save_pretrained()"
    )


def _pulled(alias: str) -> Path:
    folder = folder_of(alias)
    if is_whole(folder):
        return folder
    state = "its files do not match their checksums" if folder.is_dir() else "not pulled yet"
    raise UserError(f"{alias}: {state}; run: lorasweep models pull {alias}")


def _hub_config(hub_id: str) -> Path:
    from huggingface_hub import hf_hub_download

    return _from_hub(hub_id, lambda: hf_hub_download(hub_id, CONFIG))


def _snapshot(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    return _from_hub(hub_id, lambda: snapshot_download(hub_id, allow_patterns=HUB_PATTERNS))


def _from_hub(hub_id: str, download: Callable[[], str]) -> Path:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(download())
    except LocalEntryNotFoundError:
        raise UserError(_offline(hub_id)) from None
    except EntryNotFoundError:
        raise UserError(f"{hub_id}: no {CONFIG} there, so this is no model") from None
    except Exception as error:  # the client lets its transport's own errors through
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"no model {hub_id!r}: {reason}{nearest(hub_id, SHIPPED_CONFIGS)}"
        ) from None


def _offline(hub_id: str) -> str:
    return (
        f"{hub_id}: not in the Hub's cache, and the Hub cannot be reached; without a network: "
        "set HF_HUB_OFFLINE=1 with the model in the cache, give a local folder, "
        f"or use {SMOLLM2} (lorasweep models pull {SMOLLM2})"
    )


def _cached_models() -> dict[str, Path]:
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return {}
    found = {
        repo.repo_id: revision.snapshot_path
        for repo in repos
        if repo.repo_type == "model"
        for revision in sorted(repo.revisions, key=lambda revision: revision.last_modified)
        if _has_weights(revision.snapshot_path)
    }
    return dict(sorted(found.items()))


def _has_weights(folder: Path) -> bool:
    """Say whether a model could be loaded; of models that were only planned, configs are here."""
    return (folder / CONFIG).is_file() and any(
        (folder / name).is_file() for name in (WEIGHTS, WEIGHTS_INDEX)
    )
