"""A worker: one process's copy of the base model and the data, which trains and scores packs.

`Worker.run_pack` is the seam that executors share: a pack goes in, finished runs come out, and
the driver alone writes them to disk.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch

from lorasweep.answer_scores import scores_of
from lorasweep.architectures import whole_of
from lorasweep.base import DTYPES, Base, load_model, load_tokenizer, unfreeze
from lorasweep.checkpoint import Checkpoints
from lorasweep.decoders import parse_decoder
from lorasweep.errors import UserError
from lorasweep.evaluate import decode_all, evaluation_loss, predictions_of
from lorasweep.fitting import refuse_too_large
from lorasweep.full import FullWeights, SavedModel
from lorasweep.heartbeat import Pulse, beating
from lorasweep.jobs import FinishedRun, Job, Scored, lane_of
from lorasweep.lora import Adapters, Lane
from lorasweep.machine import (
    peak_memory_bytes,
    reset_peak_memory,
    versions,
)
from lorasweep.ops.allocator import give_back_freed_memory, keep_freed_memory
from lorasweep.peft_format import SavedAdapter, load_adapter
from lorasweep.progress import Reporter, labels_line
from lorasweep.records import (
    EVAL_LOSS,
    BaseRecord,
    LockedPack,
    LockedRun,
    PackInfo,
    Prediction,
    RunRecord,
    Scores,
)
from lorasweep.selfcheck import freeze_checked, probe_of, round_checked
from lorasweep.stopping import StopSwitch
from lorasweep.study import fingerprint
from lorasweep.train import (
    Hooks,
    StepEvent,
    Trainable,
    Trained,
    last_epoch_loss,
    last_eval_loss,
    train_pack,
)
from lorasweep.trees import Tree, separate_rows

FORWARD_SHARE = 4
# Of an automatic micro-batch, beside 16 bytes a weight: GPT-2 small trains in 3.5 GB on a CPU.
FULL_SHARE = 4


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
        model = load_model(self.job.folder, torch.device(self.job.device))
        tokenizer = load_tokenizer(self.job.folder)
        trees = [tree for role in ("eval", "train") for tree in self.job.sets[role].forest.trees]
        probe = probe_of(trees)
        base = freeze_checked(model, tokenizer, probe)
        round_checked(base, DTYPES[self.job.precision], probe)
        return base

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
        self, run: LockedRun, adapter: Path, missing: Sequence[str], role: str
    ) -> Scored:
        """Score an adapter from disk on the evaluation or test set, by the missing metrics."""
        saved = load_adapter(adapter)
        # On disk, parts of a fused module are one adapter of a larger rank than the run's.
        rank = max(A.shape[0] for A, _ in saved.weights.values())
        lane = Lane(tuple(saved.weights), rank, saved.scale, 0.0, 0.0, run.configuration.seed)
        with self.base.adapted([lane]) as adapters:
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
        self, run: LockedRun, folder: Path, missing: Sequence[str], role: str
    ) -> Scored:
        """Score a fully trained model from disk on the evaluation or test set."""
        with self._in_full(folder):
            return self._score(missing, role, run.id, self._loss(missing, role))

    def _loss(self, missing: Sequence[str], role: str) -> float | None:
        """Return the evaluation loss of the model as it stands, if it is missing."""
        return self._losses(1, role)[0] if EVAL_LOSS in missing else None

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
            decoders = self.job.evaluate.decoders if trained.failures[0] is None else []
            scores, predictions = self._answer(1, decoders, "eval", pack.id)
            base.model.zero_grad()  # lets the buffer of gradients go
            model = SavedModel(base.model, base.tokenizer)
        (record,) = self._records(pack, labels, trained, peak, scores)
        if record.failure is not None:
            return FinishedRun(record, trained.histories[0])
        return FinishedRun(record, trained.histories[0], None, model, predictions[0])

    def _run_adapters(
        self, pack: LockedPack, labels: Sequence[str], pulse: Pulse
    ) -> list[FinishedRun]:
        if self.job.device == "cpu" and not self._checkpoints(pack).any():
            refuse_too_large(self.base, self.trees["train"], pack, self.micro_tokens)
        with self.base.adapted([lane_of(run) for run in pack.runs]) as adapters:
            reset_peak_memory()
            trained = self._train(adapters, pack, labels, self.micro_tokens, pulse)
            peak = max(trained.peak_memory_bytes, peak_memory_bytes())
            lives = any(failure is None for failure in trained.failures)
            decoders = self.job.evaluate.decoders if lives else []
            scores, predictions = self._answer(len(pack.runs), decoders, "eval", pack.id)
            saved = [self._saved(adapters, k) for k in range(len(pack.runs))]
        records = self._records(pack, labels, trained, peak, scores)
        return [
            FinishedRun(record, history, adapter, None, rows)
            if record.failure is None
            else FinishedRun(record, history)
            for record, history, adapter, rows in zip(
                records, trained.histories, saved, predictions, strict=True
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
        job, lanes = self.job, len(pack.runs)
        total = job.recipe.epochs * job.sets["train"].forest.num_questions
        self.reporter.start(f"{pack.id}: train {labels_line(labels)}", total)

        hooks = Hooks(
            evaluate=lambda: self._losses(lanes, "eval"),
            on_step=lambda event: self._tell(event, pulse),
            stop_requested=self.stop.ask,
        )
        outcome = train_pack(
            self.base, trained, self.trees["train"], job.recipe, micro_tokens, hooks,
            self._checkpoints(pack),
        )  # fmt: skip
        self.reporter.finish()
        return outcome

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

    def _losses(self, num_lanes: int, role: str) -> list[float]:
        return evaluation_loss(self.base, self.trees[role], num_lanes, self._forward_tokens)

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
        return SavedAdapter(
            weights, lane.rank, lane.scale, lane.dropout, self.job.base, stored == {True}
        )

    def _records(
        self,
        pack: LockedPack,
        labels: Sequence[str],
        trained: Trained,
        peak: int,
        scores: Sequence[dict[str, Scores]],
    ) -> list[RunRecord]:
        """Return the record of each lane's run; a failed lane has no metrics."""
        info = PackInfo(id=pack.id, lanes=len(pack.runs), seconds=trained.seconds)
        return [
            RunRecord(
                **run.model_dump(exclude={"configuration"}),
                configuration=run.configuration,
                label=label,
                state="failed" if failure else "done",
                num_train_questions=self.job.sets["train"].forest.num_questions,
                num_epochs=self.job.recipe.epochs,
                num_steps=trained.num_steps,
                pack=info,
                train_seconds=info.seconds / info.lanes,
                peak_memory_bytes=peak,
                train_loss=last_epoch_loss(history),
                metrics={} if failure else {**found, EVAL_LOSS: last_eval_loss(history)},
                failure=failure,
                precision=self.job.precision,
                versions=versions(),
            )
            for run, label, failure, history, found in zip(
                pack.runs, labels, trained.failures, trained.histories, scores, strict=True
            )
        ]


def _loss_line(event: StepEvent) -> str:
    finite = [loss for loss in event.losses if loss == loss]
    return f"loss {min(finite):.3f} to {max(finite):.3f}" if finite else "no finite loss"
