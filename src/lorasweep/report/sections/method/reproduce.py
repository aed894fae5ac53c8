"""How to reproduce the study: command, versions, hashes."""

from typing import Any

from lorasweep.report.blocks import Block, Code, Items, Notice, Section
from lorasweep.report.load import Outcome
from lorasweep.report.sections.method.method import pairs
from lorasweep.report.words.language import Strings


def reproduce(outcome: Outcome, say: Strings) -> Section:
    """Show the command, the versions, and the facts that must agree."""
    results, facts = outcome.results, _facts(outcome)
    steps = [say(f"reproduce.{key}") for key in ("install", "run", "check")]
    blocks: list[Block] = [
        Items(say("reproduce.steps"), steps),
        Code(
            say("reproduce.command"), f"lorasweep run STUDY --out {outcome.store.out.name or 'OUT'}"
        ),
        pairs("versions", results.versions, say("reproduce.versions"), say)
        if results.versions
        else Notice(say("reproduce.no_versions")),
    ]
    if facts:
        blocks.append(pairs("facts", facts, say("reproduce.facts"), say))
    return Section("reproduce", say("reproduce.title"), blocks)


def _facts(outcome: Outcome) -> dict[str, Any]:
    """Return what decides the results, from the lock: hashes of files and questions, settings."""
    return {} if outcome.lock is None else outcome.lock.facts
