"""From a study to what a worker needs: model folder, questions, trees, and the facts of both."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorasweep.data.selection import Selection, select
from lorasweep.errors import UserError
from lorasweep.folder.records import DataCard
from lorasweep.hub import models
from lorasweep.model.base import UNBOUNDED, load_config, load_tokenizer
from lorasweep.model.machine import default_device
from lorasweep.running.kept import MODEL_FACT
from lorasweep.running.question_sets import (
    TRAIN_SAMPLE,
    QuestionSet,
    card_of,
    question_sets,
    train_sample,
    warnings_of,
)
from lorasweep.running.reach import unreachable_warnings
from lorasweep.study.data_section import refuse_what_is_not_trained_yet
from lorasweep.study.decoders import Decoder, parse_decoder
from lorasweep.study.fingerprint import fingerprint
from lorasweep.study.plan import Plan, make_plan
from lorasweep.study.study import Study

# The kind of layer that a model with a window has where it does not list its kinds.
WINDOWED = ("sliding_attention",)
# Facts that all runs of a folder share and that decide how runs are scored, not what they learn.
SCORING_FACTS = (
    "name",
    "data.eval (the questions)",
    "data.test (the questions)",
    "evaluate.max_new_tokens",
    "evaluate.draws",
    "evaluate.seed",
)


@dataclass(frozen=True)
class Prepared:
    """A study's plan, model folder, and question sets by role.

    `facts` decide the results of every run, by the names that messages use.
    """

    plan: Plan
    folder: Path
    note: str
    sets: dict[str, QuestionSet]
    cards: dict[str, DataCard]
    facts: dict[str, Any]
    warnings: list[str]

    @property
    def study(self) -> Study:
        """The study that was prepared."""
        return self.plan.study


def prepare(
    study: Study, selection: Selection | None = None, model_files: str | None = None
) -> Prepared:
    """Find the model, choose the questions and build their trees.

    `selection` is the study's where it was made already, `model_files` the fingerprint of the
    model's files where that is known. The study of what is returned says how its data were split.
    Raises UserError for anything that the study names and that cannot be had.
    """
    config = models.read_config(study.model.base)
    refuse_what_is_not_trained_yet(study.model, study.data, study.evaluate)
    plan = make_plan(study, config, default_device())
    folder = models.locate(study.model.base)
    max_tokens = _max_tokens(study, folder)
    selection = selection or select(study.data)
    study = _with_split(study, selection)
    tokenizer = load_tokenizer(folder)
    sets = question_sets(study, selection, tokenizer, max_tokens)
    _refuse_unknown_tokens(study, config, tokenizer, sets)
    _refuse_narrow_window(study, config, sets)
    cards = {role: card_of(role, sets) for role in sets}
    unreachable = unreachable_warnings(sets, tokenizer, study.evaluate.max_new_tokens)
    sets[TRAIN_SAMPLE] = train_sample(sets, study.data.seed)
    return Prepared(
        replace(plan, study=study),
        folder,
        models.note_of(folder),
        sets,
        cards,
        _facts(study, model_files or models.fingerprint_of(folder), max_tokens, cards),
        [
            *plan.warnings,
            *selection.warnings,
            *warnings_of(cards, max_tokens),
            *unreachable,
            *_cluster_warnings(study, cards),
        ],
    )


def _cluster_warnings(study: Study, cards: dict[str, DataCard]) -> list[str]:
    if study.evaluate.clusters != "article" or cards["eval"].articles > 1:
        return []
    return [
        'evaluate.clusters = "article", but all evaluation questions are of one article: there '
        'will be no intervals and no tests; "paragraph" gives some'
    ]


def _with_split(study: Study, selection: Selection) -> Study:
    if selection.split is None:
        return study
    data = study.data.model_copy(update={"split": selection.split})
    return study.model_copy(update={"data": data})


def _max_tokens(study: Study, folder: Path) -> int:
    """Return the positions that a question may take: the study's, or all that the model knows."""
    known = getattr(load_config(folder), "max_position_embeddings", None)
    wanted = study.data.max_tokens
    if known and wanted and wanted > known:
        raise UserError(f"data.max_tokens = {wanted}: {study.model.base} knows {known} positions")
    return wanted or known or UNBOUNDED


def _refuse_unknown_tokens(
    study: Study, config: dict[str, Any], tokenizer: Any, sets: dict[str, QuestionSet]
) -> None:
    """Raise UserError for a token that the model has no embedding of."""
    rows = config.get("vocab_size")
    trees = (tree for questions in sets.values() for tree in questions.forest.trees)
    used = {tokenizer.eos_token_id}
    used.update(
        max(ids)
        for tree in trees
        for ids in (tree.trunk_ids, *(branch.input_ids for branch in tree.branches))
        if ids
    )
    if isinstance(rows, int) and (largest := max(used)) >= rows:
        token = tokenizer.convert_ids_to_tokens(largest)
        raise UserError(
            f"{study.model.base}: the tokenizer's token {token!r} is {largest}, and the model has "
            f"{rows} rows (0 to {rows - 1}); resize_token_embeddings of transformers makes room"
        )


def _refuse_narrow_window(
    study: Study, config: dict[str, Any], sets: dict[str, QuestionSet]
) -> None:
    """Raise UserError where a row is longer than a model's sliding window: rows see all before."""
    window = _window_of(config)
    if not window:
        return
    trees = [tree for questions in sets.values() for tree in questions.forest.trees]
    copies = max(decoder.copies(study.evaluate.draws) for decoder in _decoders(study))
    room = copies * study.evaluate.max_new_tokens
    longest = max(tree.num_tokens + len(tree.branches) * room for tree in trees)
    if longest > window:
        raise UserError(
            f"{study.model.base} attends within a window of {window} tokens, and a paragraph with "
            f"its questions takes {longest}; lower data.max_tokens or choose another model"
        )


def _window_of(config: dict[str, Any]) -> int | None:
    """Return how far back some layer sees, or None where all see everything."""
    if config["model_type"] == "gpt_neo":
        is_local = "local" in json.dumps(config.get("attention_types", "global and local"))
        return config.get("window_size", 256) if is_local else None
    slides = config.get("use_sliding_window", True)
    if not slides or "sliding_attention" not in (config.get("layer_types") or WINDOWED):
        return None
    return config.get("sliding_window")


def _facts(
    study: Study, model_files: str, max_tokens: int, cards: dict[str, DataCard]
) -> dict[str, Any]:
    samples = any(decoder.samples for decoder in _decoders(study))
    return {
        "name": study.name,
        MODEL_FACT: model_files,
        "data.train (the questions)": cards["train"].fingerprint,
        "data.eval (the questions)": cards["eval"].fingerprint,
        "data.test (the questions)": cards["test"].fingerprint if "test" in cards else None,
        "data.prompt": study.data.prompt,
        "data.max_tokens": max_tokens,
        "recipe": study.recipe.model_dump(exclude={"micro_batch"}),
        "evaluate.max_new_tokens": study.evaluate.max_new_tokens,
        "evaluate.draws": study.evaluate.draws if samples else None,
        "evaluate.seed": study.evaluate.seed if samples else None,
    }


def _decoders(study: Study) -> list[Decoder]:
    return [parse_decoder(name) for name in study.evaluate.decoders]


def run_ids(plan: Plan, facts: dict[str, Any], precision: str) -> list[str]:
    """Return the id of each planned run: a hash of all that decides its result.

    Names do not: neither the study's nor that of a set of targets.
    """
    deciding = {name: value for name, value in facts.items() if name not in SCORING_FACTS}
    return [
        fingerprint({"facts": deciding, "precision": precision, **run.work}) for run in plan.runs
    ]
