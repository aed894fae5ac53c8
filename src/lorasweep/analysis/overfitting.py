"""Overfitting: the gap between the losses on evaluation questions and on training questions."""

from collections.abc import Mapping, Sequence

import numpy as np

from lorasweep.analysis.ablation import Tables, points_of
from lorasweep.analysis.comparisons import bounds, names_in_line
from lorasweep.folder.findings import BASE, LevelGap, LossGap, Overfitting, Value
from lorasweep.folder.records import FinalLosses, LossesByParagraph, Results
from lorasweep.folder.store import Store
from lorasweep.scoring.stats.ablation import level_weights, varied_axes
from lorasweep.scoring.stats.clusters import Clusters, Floats
from lorasweep.scoring.stats.gap import Gap, gap_intervals
from lorasweep.study.sections import Unit

UNKNOWN = "No finished run has left its losses by paragraph; `lorasweep run` measures them."


def overfitting(store: Store, results: Results, unit: Unit) -> Overfitting:
    """Return the gaps of the finished runs that left their losses, by paragraph or by article."""
    done = [run.id for run in results.runs if run.state == "done"]
    losses = {run_id: store.of_run(run_id).read_losses() for run_id in done}
    found = _on_the_same_questions({run_id: each for run_id, each in losses.items() if each})
    if not found:
        return Overfitting(notes=[UNKNOWN] if done else [])
    base = store.of_base.read_losses()
    some = next(iter(found.values()))
    return Overfitting(
        runs=_run_gaps(found, unit),
        base=_run_gaps({BASE: base}, unit)[0] if base else None,
        levels=_levels(found, results.configurations, unit),
        num_eval_paragraphs=len(some.eval.paragraphs),
        num_train_paragraphs=len(some.train.paragraphs),
        notes=_notes([results.names[run_id] for run_id in done if run_id not in found]),
    )


def _on_the_same_questions(losses: Mapping[str, FinalLosses]) -> dict[str, FinalLosses]:
    """Return the losses on the questions that most runs were measured on."""
    asked = {run_id: _questions(each) for run_id, each in losses.items()}
    most = max(asked.values(), key=list(asked.values()).count, default=None)
    return {run_id: each for run_id, each in losses.items() if asked[run_id] == most}


def _questions(losses: FinalLosses) -> list[tuple[list[str], list[int]]]:
    return [(part.paragraphs, part.num_answer_tokens) for part in (losses.eval, losses.train)]


def _run_gaps(losses: Mapping[str, FinalLosses], unit: Unit) -> list[LossGap]:
    gaps = _gaps(list(losses.values()), np.eye(len(losses)), unit)
    return [
        LossGap(
            run=run_id,
            eval_loss=each.eval.mean,
            train_loss=each.train.mean,
            gap=gap.mean,
            interval=bounds(gap.low, gap.high),
        )
        for (run_id, each), gap in zip(losses.items(), gaps, strict=True)
    ]


def _levels(
    losses: Mapping[str, FinalLosses], configurations: Tables, unit: Unit
) -> list[LevelGap]:
    """Return the mean gap at each value of the axes that vary."""
    points, rows = points_of(list(losses), configurations)
    if not points:
        return []
    runs = list(losses.values())
    return [
        level
        for axis in varied_axes(points)
        for level in _levels_of(axis, points, [runs[row] for row in rows], unit)
    ]


def _levels_of(
    axis: str, points: Sequence[dict[str, Value]], losses: Sequence[FinalLosses], unit: Unit
) -> list[LevelGap]:
    weights = level_weights(points, axis)
    if not weights:
        return []
    gaps = _gaps(losses, np.array(list(weights.values())), unit)
    return [
        LevelGap(axis=axis, value=_value(value), gap=gap.mean, interval=bounds(gap.low, gap.high))
        for value, gap in zip(weights, gaps, strict=True)
    ]


def _gaps(losses: Sequence[FinalLosses], weights: Floats, unit: Unit) -> list[Gap]:
    """Return the gaps of means over runs, one for each row of weights [means, runs]."""
    evaluation, train = [each.eval for each in losses], [each.train for each in losses]
    return gap_intervals(
        weights @ _by_token(evaluation), _clusters(evaluation[0], unit),
        weights @ _by_token(train), _clusters(train[0], unit),
    )  # fmt: skip


def _by_token(losses: Sequence[LossesByParagraph]) -> Floats:
    """Return losses [runs, answer tokens]; those of a paragraph are its mean each.

    The unit of a loss is the token, and resampling paragraphs sees no more than their sums.
    """
    tokens = np.asarray(losses[0].num_answer_tokens)
    return np.repeat(np.array([each.losses for each in losses]) / tokens, tokens, axis=1)


def _clusters(losses: LossesByParagraph, unit: Unit) -> Clusters:
    labels = losses.paragraphs if unit == "paragraph" else losses.articles
    return Clusters.of(np.repeat(labels, losses.num_answer_tokens))


def _notes(missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    names = names_in_line(missing)
    return [f"Losses on the same questions are not known for {len(missing)} runs: {names}."]


def _value(value: object) -> Value:
    return value if isinstance(value, int | float | str) else str(value)
