"""How to reproduce the study: command, machine, versions, hashes."""

import json
from typing import Any

from lorasweep.report.blocks import Block, Code, Items, Notice, Section
from lorasweep.report.load import Outcome
from lorasweep.report.tables import Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.study.study import Study, shipped_studies

# What the records know of the machine, beside the versions of what was installed.
MACHINE = ("processor", "card", "system")


def reproduce(outcome: Outcome, say: Strings) -> Section:
    """Show the command, the machine, the versions, and the facts that must agree."""
    versions = {name: value for name, value in outcome.results.versions.items()
                if name not in MACHINE}  # fmt: skip
    study, command = _command(outcome)
    steps = [say(f"reproduce.{key}") for key in ("install", study, "check")]
    blocks: list[Block] = [
        Items(say("reproduce.steps"), steps),
        Code(say("reproduce.command"), command),
        _pairs("machine", _machine(outcome, say), say("reproduce.machine"), say),
        _pairs("versions", versions, say("reproduce.versions"), say)
        if versions
        else Notice(say("reproduce.no_versions")),
    ]
    if outcome.lock and outcome.lock.facts:
        blocks.append(_pairs("facts", outcome.lock.facts, say("reproduce.facts"), say))
    return Section("reproduce", say("reproduce.title"), blocks)


def _command(outcome: Outcome) -> tuple[str, str]:
    """Return the name of the step that says where the study is, and the command that runs it."""
    folder = outcome.store.out.resolve().name or "OUT"
    if outcome.study is None:
        return "run", f"lorasweep run STUDY --out {folder}"
    if _is_shipped(outcome.study):
        return "run_shipped", f"lorasweep run {outcome.study.name} --out {folder}"
    return "run_file", f"lorasweep run study.toml --out {folder}"


def _is_shipped(study: Study) -> bool:
    if study.name not in shipped_studies():
        return False
    return Study.load(study.name).model_copy(update={"report": study.report}) == study


def _machine(outcome: Outcome, say: Strings) -> dict[str, Any]:
    """Return what is known of where the runs were trained, and for how long."""
    runs, versions, lock = outcome.results.runs, outcome.results.versions, outcome.lock
    packs = {run.pack.id: run.pack.seconds for run in runs}
    known = {name: versions[name] for name in MACHINE if name in versions}
    decided = {"device": lock.device, "threads": say.integer(lock.threads)} if lock else {}
    minutes = say.decimal(sum(packs.values()) / 60)
    named = {**known, **decided, "precision": outcome.results.base.precision, "minutes": minutes}
    return {say(f"machine.{name}"): value for name, value in named.items()}


def _pairs(id: str, values: dict[str, Any], caption: str, say: Strings) -> Table:
    """Return a table of names and values."""
    columns = [
        Column("name", say("column.name")),
        Column("value", say("column.value"), kind="long"),
    ]
    rows = [[name, _text(value)] for name, value in values.items() if value is not None]
    return Table(id, caption, columns, rows)


def _text(value: Any) -> str:
    """Return a value in words: what a table of settings holds as "name value, name value"."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
