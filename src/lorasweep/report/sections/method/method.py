"""Method: what was trained and how it was scored, in words and as the values of the study."""

import json
from collections.abc import Iterator
from typing import Any

from lorasweep.report.blocks import Block, Code, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.tables import Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.study import Study

# A finished study says what "auto" came to; one that was never prepared has titles, as most do.
SPLITS = {"auto": "method.by_article", "article": "method.by_article",
          "paragraph": "method.by_paragraph", "question": "method.by_question"}  # fmt: skip


def method(outcome: Outcome, say: Strings) -> Section:
    """Write the method from the study, and list its values."""
    results, study = outcome.results, outcome.study
    blocks: list[Block] = [
        Paragraph(_questions(study, say)),
        Code(say("method.prompt"), results.prompt),
    ]
    blocks.append(Paragraph(_training(outcome, say)))
    blocks += (
        [Paragraph(_scoring(study, say)), Paragraph(say("method.statistics"))] if study else []
    )
    values = _values(outcome)
    blocks.append(
        pairs("hyperparameters", values, say("method.hyperparameters"), say)
        if values
        else Notice(say("method.no_recipe"))
    )
    return Section("method", say("method.title"), blocks)


def pairs(id: str, values: dict[str, Any], caption: str, say: Strings) -> Table:
    """Return a table of names and values."""
    columns = [
        Column("name", say("column.name")),
        Column("value", say("column.value"), kind="long"),
    ]
    return Table(id, caption, columns, [[name, _text(value)] for name, value in values.items()])


def _questions(study: Study | None, say: Strings) -> str:
    """Say which questions were drawn and what of a question's text is learned."""
    masking = say("method.masking")
    if study is None:
        return masking
    data = study.data
    split = say("method.own_files") if data.eval else say(SPLITS[data.split])
    unit = say("method.drawn_alone" if data.sample == "question" else "method.drawn_whole")
    seed = say("method.data_seed", seed=data.seed)
    return " ".join([split, unit, seed, masking])


def _training(outcome: Outcome, say: Strings) -> str:
    results = outcome.results
    methods = {run.configuration.method for run in results.runs}
    sentences = [
        say("method.base", base=results.base.name, precision=results.base.precision,
            parameters=say.integer(results.base.num_parameters))
    ]  # fmt: skip
    sentences += [say("method.lora")] if "lora" in methods else []
    sentences += [say("method.full")] if "full" in methods else []
    sentences += [_recipe(outcome.study, say)] if outcome.study else []
    if lanes := max((run.pack.lanes for run in results.runs), default=0):
        sentences.append(say.count("method.packs", lanes))
    return " ".join(sentences)


def _recipe(study: Study, say: Strings) -> str:
    """Say how long and by what steps runs train; the schedule is constant, linear or cosine."""
    recipe = study.recipe
    return say(
        "method.recipe", epochs=say.count("method.epochs", recipe.epochs),
        batch=say.integer(recipe.batch_size), schedule=say(f"method.{recipe.schedule}"),
        warmup=say.percent(recipe.warmup), decay=say.plain(recipe.weight_decay),
        norm=say.plain(recipe.max_grad_norm),
    )  # fmt: skip


def _scoring(study: Study, say: Strings) -> str:
    evaluate = study.evaluate
    sentences = [
        say("method.scoring", tokens=say.integer(evaluate.max_new_tokens),
            decoders=say.list(evaluate.decoders))
    ]  # fmt: skip
    if any(parse_decoder(name).samples for name in evaluate.decoders):
        sentences.append(say.count("method.draws", evaluate.draws))
    return " ".join(sentences)


def _values(outcome: Outcome) -> dict[str, Any]:
    """Return the study's values by their names in its file, without the grid."""
    study, lock = outcome.study, outcome.lock
    if study is None or lock is None:
        return {f"recipe.{name}": value for name, value in outcome.results.recipe.items()}
    tables = study.model_dump(mode="json", exclude={"name", "grid", "targets"})
    del tables["data"]["prompt"]
    decided = {"device": lock.device, "precision": lock.precision, "threads": lock.threads,
               "micro_tokens": lock.micro_tokens}  # fmt: skip
    return dict(_flat(tables)) | dict(_flat({"decided": decided}))


def _flat(tables: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
