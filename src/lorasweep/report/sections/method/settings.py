"""The values of a study in words: what each is called, and what values that are no numbers say."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lorasweep.report.load import Outcome
from lorasweep.report.tables import Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.study import Study

# Settings by their names in a study file, and what they are called among the strings.
SETTINGS = {
    "model.base": "base", "model.precision": "asked_precision",
    "data.train": "train", "data.eval": "eval", "data.test": "test",
    "data.num_train": "num_train", "data.num_eval": "num_eval", "data.num_test": "num_test",
    "data.seed": "data_seed", "data.max_tokens": "max_tokens", "data.too_long": "too_long",
    "data.sample": "sample", "data.split": "split",
    "recipe.epochs": "epochs", "recipe.batch_size": "batch_size",
    "recipe.micro_batch": "micro_batch", "recipe.warmup": "warmup",
    "recipe.weight_decay": "weight_decay", "recipe.max_grad_norm": "max_grad_norm",
    "recipe.schedule": "schedule",
    "pack.lanes": "lanes", "pack.checkpoint_minutes": "checkpoint_minutes",
    "race.rungs": "rungs", "race.level": "level",
    "evaluate.decoders": "decoders", "evaluate.max_new_tokens": "max_new_tokens",
    "evaluate.draws": "draws", "evaluate.seed": "draws_seed", "evaluate.clusters": "clusters",
    "decided.device": "device", "decided.precision": "precision", "decided.threads": "threads",
    "decided.micro_tokens": "micro_tokens",
}  # fmt: skip
# What values that are no numbers say; those of other settings stay as they are.
CHOICES = {
    ("data.eval", "[]"): "of_train", ("data.test", "[]"): "none",
    ("data.num_train", "null"): "all", ("data.num_eval", "null"): "no_limit",
    ("data.max_tokens", "null"): "of_model",
    ("data.too_long", "error"): "refused", ("data.too_long", "skip"): "left_out",
    ("data.sample", "paragraph"): "whole_paragraphs", ("data.sample", "question"): "one_by_one",
    ("data.split", "article"): "whole_articles", ("data.split", "question"): "one_by_one",
    ("data.split", "paragraph"): "whole_paragraphs",
    ("recipe.schedule", "constant"): "constant", ("recipe.schedule", "linear"): "linear",
    ("recipe.schedule", "cosine"): "cosine",
    ("evaluate.clusters", "paragraph"): "paragraphs", ("evaluate.clusters", "article"): "articles",
}  # fmt: skip
# What a form decides by itself.
OF_FORM = (
    "model.chat_template", "data.columns", "data.answer", "data.choices", "data.label",
    "data.group", "data.source", "data.template", "data.system", "data.learn", "data.unanswerable",
    "data.null_answer", "evaluate.stop", "evaluate.scorers", "evaluate.rank_by", "evaluate.rules",
)  # fmt: skip
OF_SAMPLING = ("evaluate.draws", "evaluate.seed")
# Not of the training: the grid and the prompt stand elsewhere.
ELSEWHERE: dict[str, Any] = {
    "name": True,
    "grid": True,
    "targets": True,
    "report": True,
    "data": {"prompt"},
}


def settings(outcome: Outcome, say: Strings) -> Table | None:
    """Return the study's values without the grid; None where nothing is known of them."""
    rows = [
        [_named(path, say), _shown(path, value, say), path]
        for path, value in _values(outcome).items()
    ]
    columns = [
        Column("setting", say("column.setting")),
        Column("value", say("column.value"), kind="long"),
        Column("name", say("column.study_key")),
    ]
    return Table("hyperparameters", say("method.hyperparameters"), columns, rows) if rows else None


def _values(outcome: Outcome) -> dict[str, Any]:
    """Map names in a study file to values, those that have no part in the study left out."""
    study, lock = outcome.study, outcome.lock
    if study is None or lock is None:
        return {f"recipe.{name}": value for name, value in outcome.results.recipe.items()}
    decided = {"device": lock.device, "precision": lock.precision, "threads": lock.threads,
               "micro_tokens": lock.micro_tokens}  # fmt: skip
    values = dict(_flat(study.model_dump(mode="json", exclude=ELSEWHERE) | {"decided": decided}))
    samples = any(parse_decoder(name).samples for name in study.evaluate.decoders)
    idle = {"race", *(() if study.data.form != "qa" else ("data.form",)),
            *(() if study.data.test else ("data.num_test",)),
            *(() if samples else OF_SAMPLING)}  # fmt: skip
    usual = _usual(study)
    return {
        name: value
        for name, value in values.items()
        if name not in idle and (name not in usual or value != usual[name])
    }


def _usual(study: Study) -> dict[str, Any]:
    """Return what the form of the data takes where a study says nothing: worth no row."""
    least: dict[str, Any] = {"name": "usual", "model": {"base": "any"}, "grid": {}}
    least["data"] = {"train": "any", "form": study.data.form}
    found = dict(_flat(Study.model_validate(least).model_dump(mode="json")))
    return {name: found[name] for name in OF_FORM if name in found}


def _flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _named(path: str, say: Strings) -> str:
    return say(f"setting.{SETTINGS[path]}") if path in SETTINGS else path


def _shown(path: str, value: Any, say: Strings) -> str:
    """Return a value as people read it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if choice := CHOICES.get((path, text)) or {"auto": "auto", "null": "unset"}.get(text):
        return say(f"choice.{choice}")
    if isinstance(value, list):
        return say.list([say.figures(str(each)) for each in value], most=len(value))
    return say.plain(value) if isinstance(value, int | float) else str(value)
