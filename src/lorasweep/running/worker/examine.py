"""Examine a model as it stands: its losses by teacher forcing, its answers by every decoder."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.evaluate import decode_all, paragraph_losses, predictions_of
from lorasweep.console.progress import Reporter
from lorasweep.console.stopping import StopSwitch
from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.folder.records import FinalLosses, LossesByParagraph
from lorasweep.folder.scores import EVAL_LOSS
from lorasweep.model.base import Base
from lorasweep.model.machine import free_memory_bytes
from lorasweep.running.question_sets import TRAIN_SAMPLE
from lorasweep.running.worker.jobs import Job, Scored
from lorasweep.running.worker.loaded import Loaded
from lorasweep.scoring.answer_scores import Scoring, scores_of
from lorasweep.scoring.scorers.listed import scorers_of
from lorasweep.study.decoders import parse_decoder
from lorasweep.training.race import ParagraphLosses

# Of free memory, what the prompts' keys and values may take between two decoders.
SHARE_FOR_PROMPTS = 3
# A pass without a backward one keeps no activations, so it may have this many times the tokens.
FORWARD_SHARE = 4


@dataclass(frozen=True)
class Examiner:
    """Scores the lanes that are attached to a base model on the questions of a role.

    `trees` holds each role's questions; `micro_tokens` bounds a pass of all lanes together.
    """

    base: Base
    job: Job
    trees: Mapping[str, Sequence[Tree]]
    micro_tokens: int
    reporter: Reporter
    stop: StopSwitch

    @classmethod
    def of(cls, loaded: Loaded, micro_tokens: int, reporter: Reporter, stop: StopSwitch) -> Self:
        """Return who scores the model as it stands; a training pass has `micro_tokens`."""
        tokens = FORWARD_SHARE * micro_tokens
        return cls(loaded.base, loaded.job, loaded.trees, tokens, reporter, stop)

    def losses(self, num_lanes: int, role: str) -> ParagraphLosses:
        """Return each lane's losses by paragraph."""
        data = self.job.sets[role].data
        owners = {q.id: p.cluster_id for p in data.groups for q in p.examples}
        return paragraph_losses(self.base, self.trees[role], num_lanes, self.micro_tokens, owners)

    def score(
        self, metrics: Sequence[str], role: str, names: Sequence[str], sources: Sequence[str]
    ) -> Iterator[list[Scored]]:
        """Yield some metrics of lanes, or of the model without: a loss, then each decoder.

        Raises UserError where a loss is not finite, which names the source of the weights; `names`
        are who losses are of.
        """
        if EVAL_LOSS in metrics:
            yield self._score_loss(role, names, sources)
        decoders = [name for name in metrics if name != EVAL_LOSS]
        who = names[0] if len(names) == 1 else f"{len(names)} runs"
        yield from self._answered(len(names), decoders, role, who)

    def _score_loss(self, role: str, names: Sequence[str], sources: Sequence[str]) -> list[Scored]:
        with self.stop.at_once("the losses"):
            known = self.losses(len(names), role)
        for source, who, loss in zip(sources, names, known.means(), strict=True):
            if not math.isfinite(loss):
                raise UserError(
                    f"{source}: the loss of {who} on the {role} questions is {loss} in "
                    f"{self.job.precision}; weights may be damaged, or need another precision"
                )
        return self.score_lanes(len(names), (), role, "", known)

    def score_lanes(
        self,
        num_lanes: int,
        decoders: Sequence[str],
        role: str,
        who: str,
        known: ParagraphLosses | None,
    ) -> list[Scored]:
        """Return each lane's scores by some decoders, and its losses where they are `known`.

        With losses on the evaluation set come those on training questions.
        """
        with self.stop.at_once("the losses"):
            again = self.losses(num_lanes, TRAIN_SAMPLE) if known and role == "eval" else None
        scored = [Scored({}, {}) for _ in range(num_lanes)]
        for answered in self._answered(num_lanes, decoders, role, who):
            for whole, found in zip(scored, answered, strict=True):
                whole.metrics.update(found.metrics)
                whole.predictions.update(found.predictions)
        return [
            Scored(
                each.metrics | ({EVAL_LOSS: known.means()[k]} if known else {}),
                each.predictions,
                self._final(known, again, k) if known and again else None,
            )
            for k, each in enumerate(scored)
        ]

    def _final(self, known: ParagraphLosses, again: ParagraphLosses, k: int) -> FinalLosses | None:
        """Return one lane's losses as they are kept; none of a lane that failed."""
        if not (math.isfinite(known.means()[k]) and math.isfinite(again.means()[k])):
            return None
        return FinalLosses(eval=self._kept(known, "eval", k), train=self._kept(again, "train", k))

    def _kept(self, found: ParagraphLosses, role: str, k: int) -> LossesByParagraph:
        articles = {p.cluster_id: p.source for p in self.job.sets[role].data.groups}
        return LossesByParagraph(
            paragraphs=list(found.paragraphs),
            articles=[articles[paragraph] for paragraph in found.paragraphs],
            num_answer_tokens=list(found.num_answer_tokens),
            losses=[float(loss) for loss in found.losses_KG[k]],
        )

    def _answered(
        self, num_lanes: int, decoders: Sequence[str], role: str, who: str
    ) -> Iterator[list[Scored]]:
        """Yield what every lane scores by each decoder in turn; prompts are computed for all."""
        prompts = self._prompts(num_lanes, role, len(decoders))
        for decoder in decoders:
            yield self._answer(prompts, decoder, role, who)

    def _prompts(self, num_lanes: int, role: str, num_decoders: int) -> Prompts:
        """Return a role's prompts; where several decoders answer them they may be kept."""
        free = free_memory_bytes() if num_decoders > 1 and self.job.device == "cpu" else None
        room_bytes = (free or 0) // SHARE_FOR_PROMPTS
        return Prompts(self.base, self.trees[role], num_lanes, self.micro_tokens, room_bytes)

    def _answer(self, prompts: Prompts, decoder: str, role: str, who: str) -> list[Scored]:
        """Let every lane answer by one decoder; return each lane's scores and predictions."""
        questions, job = self.job.sets[role], self.job
        contexts = {q.id: p.context for p in questions.data.groups for q in p.examples}
        self.reporter.start(f"{who}: answer, {decoder}", questions.forest.num_questions)
        way, scorers = parse_decoder(decoder), scorers_of(job.evaluate)
        with self.stop.at_once(f"the answers by {decoder}"):
            decoded = decode_all(prompts, way, job.evaluate, contexts, self._advance)
        self.reporter.finish()
        lanes = [
            predictions_of(questions.data.groups, found, scorers)
            for found in decoded.answers_by_lane
        ]
        seconds, how = decoded.seconds_per_question, Scoring.of(job.evaluate)
        return [
            Scored({decoder: scores_of(rows, seconds, way.samples, how)}, {decoder: rows})
            for rows in lanes
        ]

    def _advance(self, num_questions: int) -> None:
        self.reporter.advance(num_questions)
        if self.stop.requested:
            raise KeyboardInterrupt
