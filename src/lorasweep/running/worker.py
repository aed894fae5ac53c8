"""A worker: one process's copy of the base model and the data, which trains and scores packs.

`Worker.run_pack` is the seam that executors share: a pack goes in, finished runs come out, and
the driver alone writes them to disk.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from lorasweep.console.progress import Reporter, labels_line
from lorasweep.console.stopping import StopSwitch
from lorasweep.data.trees import Tree, separate_rows
from lorasweep.folder.heartbeat import Pulse, beating, has_checkpoint
from lorasweep.folder.records import BaseRecord, LockedPack, RunRecord
from lorasweep.hub.architectures import whole_of
from lorasweep.model.base import DTYPES, Base, load_model, load_tokenizer, unfreeze
from lorasweep.model.full import FullWeights, SavedModel
from lorasweep.model.lora import Adapters, Lane
from lorasweep.model.machine import (
    peak_memory_bytes,
    reset_peak_memory,
    versions,
)
from lorasweep.model.ops.allocator import (
    give_back_freed_memory,
    keep_few_kernels,
    keep_freed_memory,
)
from lorasweep.model.peft_format import (
    UNQUANTISED,
    SavedAdapter,
    TrainedOn,
    answering_lane,
    load_adapter,
)
from lorasweep.running.examine import Examiner
from lorasweep.running.fitting import refuse_too_large
from lorasweep.running.jobs import FinishedRun, Job, Scored, lane_of, race_of, records_of
from lorasweep.running.selfcheck import load_checked
from lorasweep.study.fingerprint import fingerprint
from lorasweep.training.checkpoint import Checkpoint, Checkpoints
from lorasweep.training.hooks import Hooks, RaceHooks, StepEvent, Trained
from lorasweep.training.lanes import Trainable
from lorasweep.training.race import ParagraphLosses
from lorasweep.training.train import train_pack

# A pass without a backward one keeps no activations, so it may have this many times the tokens.
FORWARD_SHARE = 4
# Of an automatic micro-batch: 16 bytes a weight take the room.
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
        self.latest: ParagraphLosses | None = None  # of the pack in training, on evaluation
        torch.set_num_threads(job.threads)
        keep_few_kernels()
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

    def score_base(self, missing: Sequence[str], role: str) -> Iterator[Scored]:
        """Score the untuned base model on the evaluation or test set, metric after metric."""
        return self._examiner.score(missing, role, "base model")

    def score_adapter(
        self, run: RunRecord, adapter: Path, missing: Sequence[str], role: str
    ) -> Iterator[Scored]:
        """Score an adapter from disk on the evaluation or test set, metric after metric."""
        saved = load_adapter(adapter)
        with self.base.adapted([answering_lane(saved)]) as adapters:
            adapters.put(0, saved.weights)
            yield from self._examiner.score(missing, role, run.id)

    @property
    def _examiner(self) -> Examiner:
        """Who scores the model as it stands."""
        tokens = FORWARD_SHARE * self.micro_tokens
        return Examiner(self.base, self.job, self.trees, tokens, self.reporter, self.stop)

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
    ) -> Iterator[Scored]:
        """Score a fully trained model from disk on the evaluation or test set."""
        with self._in_full(folder):
            yield from self._examiner.score(missing, role, run.id)

    def run_pack(self, pack: LockedPack, labels: Sequence[str]) -> list[FinishedRun]:
        """Train a pack's runs in lockstep, then score them.

        Raises what `machine.is_out_of_memory` knows where memory does not hold the pack.
        """
        self.micro_tokens = max(1, self.job.micro_tokens >> len(pack.cuts))
        self.latest = None
        # What earlier packs have freed would count in this one's peak.
        self.let_go()
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
            scored = self._score_lanes(1, lanes, pack.id)
            base.model.zero_grad()  # lets the buffer of gradients go
            model = SavedModel(base.model, base.tokenizer) if lanes else None
        (finished,) = self._finished(pack, labels, trained, peak, scored, {})
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
            scored = self._score_lanes(len(adapters.lanes), lanes, pack.id)
            saved = {place: self._saved(adapters, k) for place, k in lanes.items()}
        return self._finished(pack, labels, trained, peak, scored, saved)

    def _score_lanes(self, num_lanes: int, lanes: Mapping[int, int], who: str) -> dict[int, Scored]:
        """Return what the runs score that came to the end, by their places."""
        if not lanes:
            return {}
        # A pack resumed behind its last step has not evaluated in this process.
        known = self.latest or self._examiner.losses(num_lanes, "eval")
        decoders = self.job.evaluate.decoders
        found = self._examiner.score_lanes(num_lanes, decoders, "eval", who, known)
        return {place: found[k] for place, k in lanes.items()}

    def _finished(
        self,
        pack: LockedPack,
        labels: Sequence[str],
        trained: Trained,
        peak: int,
        scored: Mapping[int, Scored],
        saved: Mapping[int, SavedAdapter],
    ) -> list[FinishedRun]:
        records = records_of(self.job, pack, labels, trained, peak, scored)
        return [
            FinishedRun(
                record,
                trained.histories[place],
                saved.get(place),
                None,
                scored[place].predictions if place in scored else {},
                trained.rungs[place],
                scored[place].losses if place in scored else None,
            )
            for place, record in enumerate(records)
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
            self.latest = self._examiner.losses(len(trained.lanes), "eval")
            return self.latest

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
            self._checkpoints(LockedPack.alone(pack.runs[place])).set_aside(checkpoint)

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
