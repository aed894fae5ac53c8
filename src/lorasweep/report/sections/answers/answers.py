"""Sample predictions: answers of the best run, picked by a rule and never by hand."""

import hashlib

from lorasweep.folder.scores import Prediction
from lorasweep.report.blocks import Block, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, standing
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings

NUM_EACH = 5


def answers(outcome: Outcome, say: Strings) -> Section:
    """Show right and wrong answers of the best run beside the base model's."""
    found = standing(outcome.results)
    predictions = outcome.predictions(found.best.run, DECODER) if found else []
    if found is None or not predictions:
        blocks: list[Block] = [Notice(say("answers.none"))]
    else:
        blocks = _blocks(outcome, outcome.names[found.best.run.id], predictions, say)
    return Section("answers", say("answers.title"), blocks)


def pick(predictions: list[Prediction], right: bool) -> list[Prediction]:
    """Return the five right or wrong answers whose question ids have the smallest SHA-256."""
    of_kind = [each for each in predictions if is_right(each) == right]
    return sorted(of_kind, key=lambda each: hashlib.sha256(each.id.encode()).hexdigest())[:NUM_EACH]


def is_right(prediction: Prediction) -> bool:
    """Say whether the answer equals one of the references, by the official rules."""
    return prediction.scores["exact_match"] > 0


def _blocks(
    outcome: Outcome, name: str, predictions: list[Prediction], say: Strings
) -> list[Block]:
    right, wrong = pick(predictions, right=True), pick(predictions, right=False)
    base = {each.id: each for each in outcome.base_predictions(DECODER)}
    blocks: list[Block] = [Paragraph(say("answers.rule", name=name, number=say.integer(NUM_EACH)))]
    for key, chosen in (("answers.few_right", right), ("answers.few_wrong", wrong)):
        if len(chosen) < NUM_EACH:
            blocks.append(Notice(say.count(key, len(chosen))))
    if not base:
        blocks.append(Notice(say("answers.no_base")))
    blocks.append(_table(name, right + wrong, base, say))
    return blocks


def _table(name: str, chosen: list[Prediction], base: dict[str, Prediction], say: Strings) -> Table:
    columns = [
        Column("question", say("column.question"), kind="long"),
        Column("article", say("column.article")),
        Column("outcome", say("column.outcome")),
        Column("prediction", say("column.prediction"), kind="long"),
        Column("answers", say("column.answers"), kind="long"),
        Column("base_prediction", say("column.base_prediction"), kind="long"),
        Column("f1", say("column.f1"), say.decimal, "number"),
        Column("id", say("column.id")),
    ]
    rows = [_row(each, base.get(each.id), say) for each in chosen]
    return Table("sample_predictions", say("answers.caption", name=name), columns, rows)


def _row(prediction: Prediction, base: Prediction | None, say: Strings) -> list[Cell]:
    return [
        prediction.question,
        prediction.article,
        say("answers.right" if is_right(prediction) else "answers.wrong"),
        prediction.prediction or say("answers.empty"),
        " · ".join(dict.fromkeys(prediction.answers)),
        None if base is None else base.prediction or say("answers.empty"),
        100 * prediction.scores["f1"],
        prediction.id,
    ]
