"""Commands on prediction files of any system: score one, compare two."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lorasweep.cli.options import CLUSTERS_HELP, JsonOption, Unit
from lorasweep.console.outputs import print_json
from lorasweep.study.scorers import DEFAULT_RULES

PredictionsArgument = Annotated[
    Path, typer.Argument(help="Predictions in SQuAD's form: {id: answer}.")
]
ClustersOption = Annotated[Unit, typer.Option(help=f"{CLUSTERS_HELP}.")]
RulesOption = Annotated[
    str, typer.Option(help="Score as a data set does: squad-v2, mlqa:LANG, korquad, ...")
]
DATA_HELP = "A .json, .jsonl, .csv, .tsv or .parquet file, bundled, or hub:NAME:SPLIT."


def score(
    predictions: PredictionsArgument,
    data: Annotated[str, typer.Argument(help=DATA_HELP)],
    clusters: ClustersOption = "paragraph",
    rules: RulesOption = DEFAULT_RULES,
    as_json: JsonOption = False,
) -> None:
    """Score any system's predictions: EM and F1 with intervals."""
    from lorasweep.scoring.prediction_files import score_file
    from lorasweep.scoring.rules.listed import parse_rules

    by = parse_rules(rules, "--rules")
    scored = score_file(predictions, data, unit=clusters, rules=by)
    if as_json:
        print_json(json.dumps(scored.as_json(), indent=1))
        return
    from lorasweep.cli.scoring_text import print_score

    print_score(scored)


def compare(
    a: PredictionsArgument,
    b: PredictionsArgument,
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    clusters: ClustersOption = "paragraph",
    settle: Annotated[
        float,
        typer.Option(min=0.01, max=100, help="Say how many questions settle such a difference."),
    ] = 1.0,
    rules: RulesOption = DEFAULT_RULES,
    as_json: JsonOption = False,
) -> None:
    """Say which of two systems' predictions is better.

    Both have answered the same questions.
    """
    from lorasweep.scoring.prediction_files import compare_files
    from lorasweep.scoring.rules.listed import parse_rules

    by = parse_rules(rules, "--rules")
    compared = compare_files(a, b, data, unit=clusters, settle=settle, rules=by)
    if as_json:
        print_json(json.dumps(compared.as_json(), indent=1))
        return
    from lorasweep.cli.scoring_text import print_comparison

    print_comparison(compared)
