"""A worker: one process's copy of the base model and the data, which trains and scores packs.

`Worker.run_pack` is the seam that executors share: a pack goes in, finished runs come out, and
the driver alone writes them to disk.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from lorasweep.answer_scores import scores_of
from lorasweep.architectures import whole_of
from lorasweep.base import DTYPES, Base, load_model, load_tokenizer, unfreeze
from lorasweep.checkpoint import Checkpoint, Checkpoints
from lorasweep.decoders import parse_decoder
from lorasweep.errors import UserError
from lorasweep.evaluate import decode_all, paragraph_losses, predictions_of
from lorasweep.fitting import refuse_too_large
from lorasweep.full import FullWeights, SavedModel
from lorasweep.heartbeat import Pulse, beating, has_checkpoint
from lorasweep.hooks import Hooks, RaceHooks, StepEvent, Trained
from lorasweep.jobs import FinishedRun, Job, Scored, alone, lane_of, race_of, records_of
from lorasweep.lanes import Trainable
from lorasweep.lora import Adapters, Lane
from lorasweep.machine import (
    peak_memory_bytes,
    reset_peak_memory,
    versions,
)
from lorasweep.ops.allocator import give_back_freed_memory, keep_freed_memory
from lorasweep.peft_format import UNQUANTISED, SavedAdapter, TrainedOn, answering_lane, load_adapter
from lorasweep.progress import Reporter, labels_line
from lorasweep.race import ParagraphLosses
from lorasweep.records import (
    EVAL_LOSS,
    BaseRecord,
    LockedPack,
    Prediction,
    RunRecord,
    Scores,
)
from lorasweep.selfcheck import load_checked
from lorasweep.stopping import StopSwitch
from lorasweep.study import fingerprint
from lorasweep.train import train_pack
from lorasweep.trees import Tree, separate_rows

FORWARD_SHARE = 4
# Of an automatic micro-batch: 16 bytes a weight take the room.
FULL_SHARE = 4

# Scores and predictions by decoder, for the place of each run in its pack.
Answered = dict[int, tuple[dict[str, Scores], dict[str, list[Prediction]]]]


class Worker:
    """Loads the base model once and keeps it for all its packs of adapters."""

    def __init__(
        self, job: Job, reporter: Reporter, stop: StopSwitch,
        on_checkpoint: Callable[[Path], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.job, self.reporter, self.stop = job, reporter, stop
        self.micro_tokens = job.micro_tokens
        self.on_checkpoint = on_checkpoint
        torch.set_num_threads(job.threads)
        keep_freed_memory()
        self.trees = {role: self._layout(q.forest.trees) for role, q in job.sets.items()}

    @cached_property
    def base(self) -> Base:
        """The base model: our way through it is checked, and it is rounded to the precision.

        While a model is trained or scored in full, it is that one, and this one is let go.
        """
        job = self.job
        trees = [tree for role in ("eval", "train") for tree in job.sets[role].forest.trees]
        return load_checked(job.folder, job.device, DTYPES[job.precision], trees)

    def release(self) -> None:
        """Let the base model leave memory until it is next asked for."""
        self.__dict__.pop("base", None)

    def _layout(self, trees: Sequence[Tree]) -> tuple[Tree, ...]:
        return tuple(trees) if self.base.shares_trunks else separate_rows(trees)

    def base_record(self) -> BaseRecord:
        """Return the base model's record, without metrics."""
        return BaseRecord(
            name=self.job.base,
            num_parameters=self.base.model.num_parameters(),
            precision=self.job.precision,
            note=self.job.note,
            versions=versions(),
        )

    def score_base(self, missing: Sequence[str], role: str) -> Scored:
        """Score the untuned base model on the evaluation or test set, by the missing metrics."""
        loss = self._loss(missing, role)
        if loss is not None and not math.isfinite(loss):
            raise UserError(
                f"{self.job.base}: its loss on the {role} questions is {loss} in "
                f"{self.job.precision}; its weights may be damaged, or need another precision"
            )
        return self._score(missing, role, "base model", loss)

    def score_adapter(
        self, run: RunRecord, adapter: Path, missing: Sequence[str], role: str
    ) -> Scored:
        """Score an adapter from disk on the evaluation or test set, by the missing metrics."""
        saved = load_adapter(adapter)
        with self.base.adapted([answering_lane(saved)]) as adapters:
            adapters.put(0, saved.weights)
            return self._score(missing, role, run.id, self._loss(missing, role))

    @contextmanager
    def _in_full(self, folder: Path) -> Iterator[Base]:
        """Put a model of plain trainable weights in the base's place; two might not fit.

        The base is loaded anew when it is next asked for.
        """
        self.release()
        model = load_model(folder, torch.device(self.job.device))
        self.base = unfreeze(model, load_tokenizer(folder), self.job.precision)
        try:
            yield self.base
        finally:
            del self.base

    def score_model(
        self, run: RunRecord, folder: Path, missing: Sequence[str], role: str
    ) -> Scored:
        """Score a fully trained model from disk on the evaluation or test set."""
        with self._in_full(folder):
            return self._score(missing, role, run.id, self._loss(missing, role))

    def _loss(self, missing: Sequence[str], role: str) -> float | None:
        """Return the evaluation loss of the model as it stands, if it is missing."""
        return self._losses(1, role).means()[0] if EVAL_LOSS in missing else None

    def _score(self, missing: Sequence[str], role: str, who: str, loss: float | None) -> Scored:
        """Answer by the missing decoders, and join the loss where it was missing."""
        decoders = [name for name in missing if name != EVAL_LOSS]
        scores, predictions = self._answer(1, decoders, role, who)
        losses = {} if loss is None else {EVAL_LOSS: loss}
        return Scored({**scores[0], **losses}, predictions[0])

    def run_pack(self, pack: LockedPack, labels: Sequence[str]) -> list[FinishedRun]:
        """Train a pack's runs in lockstep, then score them.

        Raises what `machine.is_out_of_memory` knows where memory does not hold the pack.
        """
        self.micro_tokens = max(1, self.job.micro_tokens >> len(pack.cuts))
        try:
            with beating(self.job.checkpoints / pack.id) as pulse:
                if pack.runs[0].configuration.method == "full":
                    return [self._run_in_full(pack, labels, pulse)]
                return self._run_adapters(pack, labels, pulse)
        finally:
            self.micro_tokens = self.job.micro_tokens

    def let_go(self) -> None:
        """Hand memory that nothing uses back, on the processor and on the card."""
        give_back_freed_memory()
        if self.job.device == "cuda":
            torch.cuda.empty_cache()

    def _run_in_full(self, pack: LockedPack, labels: Sequence[str], pulse: Pulse) -> FinishedRun:
        point = pack.runs[0].configuration
        reset_peak_memory()
        with self._in_full(self.job.folder) as base:
            weights = FullWeights(Lane((), 0, 1.0, point.lr, 0.0, point.seed), base.model)
            trained = self._train(weights, pack, labels, self._full_tokens, pulse)
            peak = max(trained.peak_memory_bytes, peak_memory_bytes())
            lanes = trained.ended()
            answered = self._answer_lanes(1, lanes, pack.id)
            base.model.zero_grad()  # lets the buffer of gradients go
            model = SavedModel(base.model, base.tokenizer) if lanes else None
        (finished,) = self._finished(pack, labels, trained, peak, answered, {})
        return replace(finished, model=model)

    def _run_adapters(
        self, pack: LockedPack, labels: Sequence[str], pulse: Pulse
    ) -> list[FinishedRun]:
        if self.job.device == "cpu" and not has_checkpoint(self.job.checkpoints / pack.id):
            refuse_too_large(self.base, self.trees["train"], pack, self.micro_tokens)
        with self.base.adapted([lane_of(run) for run in pack.runs]) as adapters:
            reset_peak_memory()
            trained = self._train(adapters, pack, labels, self.micro_tokens, pulse)
            peak = max(trained.peak_memory_bytes, peak_memory_bytes())
            lanes = trained.ended()
            answered = self._answer_lanes(len(adapters.lanes), lanes, pack.id)
            saved = {place: self._saved(adapters, k) for place, k in lanes.items()}
        return self._finished(pack, labels, trained, peak, answered, saved)

    def _answer_lanes(self, num_lanes: int, lanes: Mapping[int, int], who: str) -> Answered:
        """Return scores and predictions of the runs that came to the end, by their places."""
        decoders = self.job.evaluate.decoders if lanes else []
        scores, predictions = self._answer(num_lanes, decoders, "eval", who)
        return {place: (scores[k], predictions[k]) for place, k in lanes.items()}

    def _finished(
        self,
        pack: LockedPack,
        labels: Sequence[str],
        trained: Trained,
        peak: int,
        answered: Answered,
        saved: Mapping[int, SavedAdapter],
    ) -> list[FinishedRun]:
        scores = {place: found for place, (found, _) in answered.items()}
        return [
            FinishedRun(
                record,
                trained.histories[place],
                saved.get(place),
                None,
                answered[place][1] if place in answered else {},
                trained.rungs[place],
            )
            for place, record in enumerate(
                records_of(self.job, pack, labels, trained, peak, scores)
            )
        ]

    def _train(
        self,
        trained: Trainable,
        pack: LockedPack,
        labels: Sequence[str],
        micro_tokens: int,
        pulse: Pulse,
    ) -> Trained:
        job = self.job
        total = job.recipe.epochs * job.sets["train"].forest.num_questions
        self.reporter.start(f"{pack.id}: train {labels_line(labels)}", total)

        def losses() -> ParagraphLosses:
            return self._losses(len(trained.lanes), "eval")

        hooks = Hooks(
            evaluate=lambda: losses().means(),
            on_step=lambda event: self._tell(event, pulse),
            stop_requested=self.stop.ask,
            race=self._race(pack, losses),
        )
        outcome = train_pack(
            self.base, trained, self.trees["train"], job.recipe, micro_tokens, hooks,
            self._checkpoints(pack),
        )  # fmt: skip
        self.reporter.finish()
        return outcome

    def _race(self, pack: LockedPack, losses: Callable[[], ParagraphLosses]) -> RaceHooks | None:
        """Return the pack's race, in which it meets all runs that earlier packs have finished."""
        job = self.job.race
        if job is None:
            return None

        def set_aside(place: int, checkpoint: Checkpoint) -> None:
            self.reporter.note(
                f"{job.names[pack.runs[place].id]} is stopped: it is behind the leader"
            )
            self._checkpoints(alone(pack.runs[place])).set_aside(checkpoint)

        return RaceHooks(race_of(job, pack), losses, set_aside)

    def _tell(self, event: StepEvent, pulse: Pulse) -> None:
        pulse.step(event.step, event.num_steps, event.is_resumed)
        if event.is_resumed:
            self.reporter.skip(event.num_questions)
        else:
            self.reporter.advance(event.num_questions, _loss_line(event))

    def _checkpoints(self, pack: LockedPack) -> Checkpoints:
        return Checkpoints(
            self.job.checkpoints / pack.id,
            fingerprint([run.id for run in pack.runs]),
            self.job.checkpoint_minutes,
            self.reporter.note,
            self.on_checkpoint,
        )

    @property
    def _full_tokens(self) -> int:
        """Tokens of a micro-batch of full fine-tuning, whose weights need the memory."""
        share = FULL_SHARE if self.job.recipe.micro_batch == "auto" else 1
        return self.micro_tokens // share

    @property
    def _forward_tokens(self) -> int:
        """Tokens of a pass without a backward one, which keeps no activations."""
        return FORWARD_SHARE * self.micro_tokens

    def _losses(self, num_lanes: int, role: str) -> ParagraphLosses:
        data, trees = self.job.sets[role].data, self.trees[role]
        owners = {q.id: p.source_id for p in data.paragraphs for q in p.questions}
        return paragraph_losses(self.base, trees, num_lanes, self._forward_tokens, owners)

    def _answer(
        self, num_lanes: int, decoders: Sequence[str], role: str, who: str
    ) -> tuple[list[dict[str, Scores]], list[dict[str, list[Prediction]]]]:
        """Return scores and predictions by decoder, for every lane."""
        questions, job = self.job.sets[role], self.job
        contexts = {q.id: p.context for p in questions.data.paragraphs for q in p.questions}
        scores: list[dict[str, Scores]] = [{} for _ in range(num_lanes)]
        predictions: list[dict[str, list[Prediction]]] = [{} for _ in range(num_lanes)]
        for decoder in decoders:
            self.reporter.start(f"{who}: answer, {decoder}", questions.forest.num_questions)
            way = parse_decoder(decoder)
            decoded = decode_all(
                self.base, self.trees[role], num_lanes, way, job.evaluate, self._forward_tokens,
                contexts, self._advance,
            )  # fmt: skip
            self.reporter.finish()
            for k, answers in enumerate(decoded.answers_by_lane):
                rows = predictions_of(questions.data.paragraphs, answers)
                predictions[k][decoder] = rows
                scores[k][decoder] = scores_of(
                    rows, decoded.seconds_per_question, way.samples, job.evaluate.clusters
                )
        return scores, predictions

    def _advance(self, num_questions: int) -> None:
        self.reporter.advance(num_questions)
        if self.stop.requested:
            raise KeyboardInterrupt

    def _saved(self, adapters: Adapters, k: int) -> SavedAdapter:
        lane = adapters.lanes[k]
        weights = {m: (A.clone(), B.clone()) for m, (A, B) in adapters.weights_of(k).items()}
        stored = {self.base.linears[whole_of(module)].stored_transposed for module in weights}
        job = self.job
        trained_on = TrainedOn(job.base, job.precision, job.note or UNQUANTISED)
        return SavedAdapter(
            weights, lane.rank, lane.scale, lane.dropout, job.base, stored == {True}, trained_on
        )


def _loss_line(event: StepEvent) -> str:
    finite = [loss for loss in event.losses if loss == loss]
    return f"loss {min(finite):.3f} to {max(finite):.3f}" if finite else "no finite loss"
