"""adapter_config.json as others write it: what is used of it is checked before it is used."""

import json
import re
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import regex
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorasweep.errors import UserError

V = TypeVar("V", int, float)

# Settings of PEFT's LoraConfig under which the same two matrices mean something else, or are not
# the whole adapter.
OTHER_KINDS = (
    *("use_dora", "lora_bias", "modules_to_save"),
    *("trainable_token_indices", "target_parameters", "layer_replication", "use_qalora"),
    *("alora_invocation_tokens", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config"),
)
# Other ways to initialise (PiSSA, OLoRA, CorDA, ...) change the base model's weights too.
KEEPING_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")
MOST_SHOWN = 80
MOST_OF_A_KEY = 500
# A regular expression of few letters can take for ever; PEFT itself would hang.
SECONDS_TO_MATCH = 5.0

Rank = Annotated[int, Field(strict=True, ge=1, le=2**20)]
Alpha = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]
Dropout = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Key = Annotated[str, Field(min_length=1, max_length=MOST_OF_A_KEY)]
Switch = Annotated[bool, Field(strict=True)]
WANTED = {
    "r": "a whole number from 1 to 1048576",
    "lora_alpha": "a number from -1000000 to 1000000",
    "lora_dropout": "a number from 0 to 1",
    "use_rslora": "true or false",
    "fan_in_fan_out": "true or false",
    "rank_pattern": "an object of names, of 1 to 500 letters, with ranks from 1 to 1048576",
    "alpha_pattern": "an object of names, of 1 to 500 letters, with numbers up to 1000000",
    "base_model_name_or_path": "a name",
}


class AdapterConfig(BaseModel):
    """What we use of PEFT's LoraConfig; a key of a pattern is a regular expression for names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    r: Rank
    lora_alpha: Alpha
    lora_dropout: Dropout = 0.0
    use_rslora: Switch | None = False
    fan_in_fan_out: Switch | None = False
    rank_pattern: dict[Key, Rank] | None = None
    alpha_pattern: dict[Key, Alpha] | None = None
    base_model_name_or_path: str | None = None


def read_adapter_config(file: Path) -> AdapterConfig:
    """Read an adapter's config.

    Raises UserError, with field and value, for what is no config of plain LoRA.
    """
    config = read_object(file)
    _refuse_other_kinds(file, config)
    try:
        return AdapterConfig.model_validate(config)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        found = f"{name} = {shown(config[name])}" if name in config else f"{name} is missing"
        raise UserError(f"{file}: not a PEFT config: {found}, wanted {WANTED[name]}") from None


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; FileNotFoundError where there is no file."""
    refuse_no_file(file)
    try:
        found = json.loads(file.read_text("utf-8-sig"))
    except RecursionError:
        raise UserError(f"{file}: not a PEFT config: nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{file}: not a PEFT config: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: not a PEFT config: expected a JSON object")
    return found


def refuse_no_file(file: Path) -> None:
    """Raise UserError for a pipe, a device or a folder in a file's place; to read one may hang."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise UserError(f"{file}: not a file that can be read")


def _refuse_other_kinds(file: Path, config: Mapping[str, Any]) -> None:
    found = [key for key in OTHER_KINDS if config.get(key)]
    if config.get("peft_type") != "LORA":
        found.append("peft_type")
    if config.get("bias", "none") != "none":
        found.append("bias")
    if config.get("init_lora_weights", True) not in KEEPING_THE_BASE:
        found.append("init_lora_weights")
    if found:
        value = shown(config[found[0]]) if found[0] in config else "nothing"
        raise UserError(f"{file}: only plain LoRA is read; this one sets {found[0]} to {value}")


def by_module(
    patterns: Mapping[str, V] | None, modules: Iterable[str], default: V, place: str
) -> dict[str, V]:
    """Return each module's value: that of the first key which fits the end of its name.

    Keys are regular expressions, as for PEFT. Raises UserError, which names the `place`, for one
    that is none, and where matching takes longer than SECONDS_TO_MATCH.
    """
    compiled = [(_compiled(key, place), value) for key, value in (patterns or {}).items()]
    until = time.monotonic() + SECONDS_TO_MATCH
    try:
        return {
            module: next((v for key, v in compiled if _fits(key, module, until)), default)
            for module in modules
        }
    except TimeoutError:
        raise UserError(
            f"{place}: its regular expressions take too long to match; write out the names"
        ) from None


def _compiled(key: str, place: str) -> Any:
    text = rf"(.*\.)?({key})$"
    try:
        re.compile(text)  # what PEFT does with it
        return regex.compile(text)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise UserError(f"{place}: {shown(key)} is no regular expression: {error}") from None


def _fits(pattern: Any, module: str, until: float) -> bool:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return pattern.match(module, timeout=left) is not None


def short_targets(modules: Iterable[str], all_modules: Iterable[str]) -> tuple[str, ...]:
    """Return the shortest ends of names by which PEFT finds these modules of a model, and no other.

    A bare c_proj, say, would mean GPT-2's MLP too: "attn.c_proj" does not. All ends have as many
    parts; where none will do, they are the full names.
    """
    wanted, known = set(modules), set(all_modules)
    parts = max(name.count(".") + 1 for name in wanted)
    for length in range(1, parts):
        ends = {".".join(name.split(".")[-length:]) for name in wanted}
        dotted = tuple(f".{end}" for end in ends)
        if {name for name in known if name in ends or name.endswith(dotted)} == wanted:
            return tuple(sorted(ends))
    return tuple(sorted(wanted))


def shown(value: Any) -> str:
    """Return a value of others for a message: on one line, without control characters, short."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    text = f"{text!r}" if text is value else text
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text)} characters)"
