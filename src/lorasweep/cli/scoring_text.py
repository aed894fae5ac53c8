"""What `score` and `compare` print for people."""

from collections.abc import Iterator

from rich.table import Table

from lorasweep.console.printing import print_lines, wide_console
from lorasweep.scoring.prediction_files import Comparison, Score, bounds
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.stats.intervals import Interval
from lorasweep.scoring.stats.paired import Difference
from lorasweep.scoring.stats.power import Power
from lorasweep.study.scorers import DEFAULT_RULES


def print_score(score: Score) -> None:
    """Print EM and F1 with their intervals, what they rest on, and the warnings."""
    table = _table(f"{score.name}: {_basis(score.f1, score.unit)}", "metric", "score",
                   _level(score.f1), "design effect")  # fmt: skip
    for metric, interval in (("EM", score.exact_match), ("F1", score.f1)):
        table.add_row(metric, f"{interval.mean:.2f}", _ends(interval), _effect(interval))
    console = wide_console()
    console.print(table)
    low, high = score.wilson
    print_lines(
        console,
        [
            f"intervals by resampling {score.unit}s; as a check, EM taking questions for "
            f"independent (Wilson): {low:.2f} to {high:.2f}",
            *_rules_lines(score),
            *(f"warning: {warning}" for warning in score.warnings),
        ],
    )


def print_comparison(comparison: Comparison) -> None:
    """Print the differences with their tests, a sentence for each, the power, the warnings."""
    console = wide_console()
    console.print(_difference_table(comparison))
    print_lines(
        console,
        [
            *(f"{sentence}." for sentence in comparison.sentences),
            *_by_rules(comparison.a),
            f"As a check, McNemar's exact test of EM, which takes questions for independent: "
            f"p = {comparison.mcnemar_p_value:.2g}.",
            _power_sentence("F1", comparison.f1_power),
            _power_sentence("EM", comparison.exact_match_power),
            *(f"warning: {warning}" for warning in comparison.warnings),
        ],
    )


def _rules_lines(score: Score) -> Iterator[str]:
    """Say by what rules, unless by the default ones, and how both kinds of question went."""
    yield from _by_rules(score)
    for name, what in (("HasAns", "with an answer"), ("NoAns", "without one")):
        if f"{name}_total" in score.parts:
            em, f1, total = (score.parts[f"{name}_{key}"] for key in ("exact", "f1", "total"))
            yield f"of {total:,} questions {what}: EM {em:.2f}, F1 {f1:.2f}"


def _by_rules(score: Score) -> Iterator[str]:
    if score.rules != DEFAULT_RULES:
        yield f"by the rules {score.rules}: {parse_rules(score.rules).description}"


def _difference_table(comparison: Comparison) -> Table:
    a, b = comparison.a, comparison.b
    title = f"A = {a.name}, B = {b.name}: {_basis(comparison.f1, a.unit)}"
    table = _table(title, "metric", "A", "B", "A - B", _level(comparison.f1), "p", "p (Holm)")
    rows = (
        ("F1", a.f1, b.f1, comparison.f1),
        ("EM", a.exact_match, b.exact_match, comparison.exact_match),
    )
    for metric, of_a, of_b, difference in rows:
        table.add_row(metric, f"{of_a.mean:.2f}", f"{of_b.mean:.2f}", f"{difference.mean:+.2f}",
                      _ends(difference), f"{difference.p_value:.2g}",
                      _adjusted(difference))  # fmt: skip
    return table


def _power_sentence(metric: str, power: Power) -> str:
    if power.smallest_difference is None:
        return f"{metric}: what these questions could settle is not known, for want of spread."
    share = f"{100 * power.power:g} %"
    can = (
        f"{metric}: these questions settle a difference of {power.smallest_difference:.1f} "
        f"with a chance of {share}"
    )
    if power.num_questions is None:
        return f"{can}."
    return f"{can}; one of {power.difference:g} takes about {power.num_questions:,} questions."


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    return table


def _basis(interval: Interval, unit: str) -> str:
    plural = "" if interval.num_clusters == 1 else "s"
    return f"{interval.num_questions:,} questions in {interval.num_clusters:,} {unit}{plural}"


def _level(interval: Interval) -> str:
    return f"{100 * interval.level:g} % interval"


def _ends(interval: Interval) -> str:
    ends = bounds(interval)
    return "none" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"


def _effect(interval: Interval) -> str:
    return "none" if interval.design_effect is None else f"{interval.design_effect:.2f}"


def _adjusted(difference: Difference) -> str:
    p_value = difference.adjusted_p_value
    return "" if p_value is None else f"{p_value:.2g}"
