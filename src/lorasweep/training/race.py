"""Racing: at rungs of training, runs that are shown to be worse than the leader are stopped.

The rule. A run's loss at a rung is its mean loss per answer token on the evaluation paragraphs. The
leader is the run with the smallest loss among those of the pack that still train and those of
earlier packs that were at the same rung. Every other run of the pack is held against it by a
one-sided paired t test of the difference, clustered by paragraph: the linearised ratio estimator
(Cochran 1977, section 6.3) on G - 1 degrees of freedom. It is stopped where p times the number of
comparisons is at most 1 - level. The leader is picked by the same losses, so all ordered pairs of
runs count, at every rung, whether they meet or not (Bonferroni): what is decided does not depend
on the order of packs, and with probability `level` no run is stopped that is not worse.

Shapes: K lanes, G paragraphs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorasweep.folder.records import Rung, Stop
from lorasweep.scoring.stats.clusters import Floats
from lorasweep.study import sections


@dataclass(frozen=True, eq=False, slots=True)
class ParagraphLosses:
    """Losses [K, G] of each lane summed over each paragraph's answer tokens, in nats."""

    paragraphs: tuple[str, ...]
    num_answer_tokens: tuple[int, ...]
    losses_KG: Floats

    def means(self) -> list[float]:
        """Return each lane's loss per answer token."""
        return [float(v) for v in self.losses_KG.sum(axis=1) / sum(self.num_answer_tokens)]

    def rung(self, lane: int, fraction: float, step: int) -> Rung:
        """Return one lane's losses as what is kept of them."""
        return Rung(
            fraction=fraction,
            step=step,
            paragraphs=list(self.paragraphs),
            num_answer_tokens=list(self.num_answer_tokens),
            losses=[float(v) for v in self.losses_KG[lane]],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Excess:
    """How much larger a loss is than another, per answer token, and how surely (one-sided)."""

    difference: float
    at_least: float
    p_value: float


@dataclass(frozen=True)
class Race:
    """The race of one pack: its rule, whom it meets, and how many runs the whole study has.

    `runs` are the ids of the pack's lanes; `rivals` maps the ids of earlier packs' runs to their
    rungs; `names` maps ids to what people call them.
    """

    rule: sections.Race
    runs: Sequence[str]
    rivals: Mapping[str, Sequence[Rung]]
    names: Mapping[str, str]
    num_runs: int

    @property
    def num_comparisons(self) -> int:
        """All ordered pairs of runs, at every rung."""
        return max(1, len(self.rule.rungs) * self.num_runs * (self.num_runs - 1))

    def fractions(self, num_steps: int) -> dict[int, float]:
        """Map the numbers of steps after which runs are compared to their shares of training."""
        steps = {max(1, round(fraction * num_steps)): fraction for fraction in self.rule.rungs}
        return {step: fraction for step, fraction in steps.items() if step < num_steps}

    def judge(self, rungs: Mapping[int, Rung], num_steps: int) -> dict[int, Stop]:
        """Return who is stopped, and why, of the lanes that came to a rung."""
        if not rungs:
            return {}
        own = {self.runs[lane]: rung for lane, rung in rungs.items()}
        field = self._met(next(iter(own.values()))) | own
        leader = min(field, key=lambda run: (mean_loss(field[run]), run))
        stops = {
            lane: self._stop(rung, leader, field[leader], num_steps)
            for lane, rung in rungs.items()
            if self.runs[lane] != leader
        }
        error = 1 - self.rule.level
        return {lane: stop for lane, stop in stops.items() if stop.adjusted_p_value <= error}

    def _met(self, rung: Rung) -> dict[str, Rung]:
        """Return earlier packs' rungs at the same share of training, on the same questions."""
        return {
            run: other
            for run, rungs in self.rivals.items()
            for other in rungs
            if other.fraction == rung.fraction
            and other.paragraphs == rung.paragraphs
            and other.num_answer_tokens == rung.num_answer_tokens
        }

    def _stop(self, rung: Rung, leader: str, best: Rung, num_steps: int) -> Stop:
        found = excess(rung, best, (1 - self.rule.level) / self.num_comparisons)
        return Stop(
            fraction=rung.fraction,
            step=rung.step,
            num_steps=num_steps,
            leader=leader,
            leader_label=self.names.get(leader, leader),
            eval_loss=mean_loss(rung),
            leader_eval_loss=mean_loss(best),
            difference=found.difference,
            at_least=found.at_least,
            p_value=found.p_value,
            adjusted_p_value=min(1.0, found.p_value * self.num_comparisons),
            level=self.rule.level,
            num_comparisons=self.num_comparisons,
            num_paragraphs=len(rung.paragraphs),
        )


def mean_loss(rung: Rung) -> float:
    """Return the loss per answer token."""
    return math.fsum(rung.losses) / sum(rung.num_answer_tokens)


def excess(one: Rung, other: Rung, error: float) -> Excess:
    """Return how much larger one's loss is than the other's on the same paragraphs.

    `at_least` is the lower end of the one-sided interval that errs with probability `error`. With
    one paragraph, or where all differ alike, nothing can be said: p is 1.
    """
    # scipy is slow to import, and plans need none of it.
    from scipy.stats import t

    difference_G = np.subtract(one.losses, other.losses)
    tokens_G = np.asarray(one.num_answer_tokens, dtype=np.float64)
    num_paragraphs, num_tokens = len(difference_G), tokens_G.sum()
    mean = float(difference_G.sum() / num_tokens)
    spread = float(np.square(difference_G - mean * tokens_G).sum())
    if num_paragraphs < 2 or spread == 0:
        return Excess(difference=mean, at_least=min(mean, 0.0), p_value=1.0)
    freedom = num_paragraphs - 1
    deviation = math.sqrt(num_paragraphs / freedom * spread) / num_tokens
    return Excess(
        difference=mean,
        at_least=float(mean + t.ppf(error, freedom) * deviation),
        p_value=float(t.sf(mean / deviation, freedom)),
    )


def stop_sentence(stop: Stop) -> str:
    """Say when a run was stopped, and why; the run's name goes before it."""
    return (
        f"was stopped at step {stop.step} of {stop.num_steps}: its evaluation loss "
        f"{stop.eval_loss:.3f} was {stop.difference:.3f} above that of {stop.leader_label} there, "
        f"{stop.at_least:.3f} or more at the {100 * stop.level:g} % level, "
        f"p = {stop.adjusted_p_value:.2g} after correction for {stop.num_comparisons:,} "
        f"comparisons; n = {stop.num_paragraphs:,} paragraphs"
    )
