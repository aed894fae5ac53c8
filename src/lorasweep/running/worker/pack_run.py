"""One pack at work: its lanes are trained in lockstep, scored, and come out as finished runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lorasweep.console.progress import Reporter
from lorasweep.console.stopping import StopSwitch
from lorasweep.folder.heartbeat import Pulse, has_checkpoint
from lorasweep.folder.records import LockedPack
from lorasweep.hub.architectures import whole_of
from lorasweep.hub.models import hub_id_of
from lorasweep.model.full import FullWeights, SavedModel
from lorasweep.model.lora import Adapters, Lane
from lorasweep.model.machine import peak_memory_bytes, reset_peak_memory
from lorasweep.model.peft_config import short_targets
from lorasweep.model.peft_format import UNQUANTISED, SavedAdapter, TrainedOn
from lorasweep.running.worker.examine import Examiner
from lorasweep.running.worker.fitting import refuse_too_large
from lorasweep.running.worker.jobs import (
    FinishedRun,
    Scored,
    lane_of,
    race_of,
    records_of,
    title_of,
)
from lorasweep.running.worker.loaded import Loaded
from lorasweep.study.fingerprint import fingerprint
from lorasweep.training.checkpoint import Checkpoint, Checkpoints
from lorasweep.training.hooks import Hooks, RaceHooks, StepEvent, Trained
from lorasweep.training.lanes import Trainable
from lorasweep.training.race import ParagraphLosses
from lorasweep.training.train import train_pack

# Of an automatic micro-batch: 16 bytes a weight take the room.
FULL_SHARE = 4


class PackRun:
    """A pack from its lock to its finished runs; a pack that was cut has smaller micro-batches."""

    def __init__(
        self,
        loaded: Loaded,
        pack: LockedPack,
        labels: Sequence[str],
        reporter: Reporter,
        stop: StopSwitch,
        on_checkpoint: Callable[[Path], None],
        pulse: Pulse,
    ) -> None:
        self.loaded, self.job = loaded, loaded.job
        self.pack, self.labels = pack, labels
        self.title = title_of(pack, labels, self.job)
        self.reporter, self.stop = reporter, stop
        self.on_checkpoint, self.pulse = on_checkpoint, pulse
        self.micro_tokens = max(1, self.job.micro_tokens >> len(pack.cuts))
        self.latest: ParagraphLosses | None = None  # on evaluation, during training

    def run(self) -> list[FinishedRun]:
        """Train and score; raises what `machine.is_out_of_memory` knows where it does not fit."""
        if self.pack.runs[0].configuration.method == "full":
            return [self._in_full()]
        return self._adapters()

    def _in_full(self) -> FinishedRun:
        point = self.pack.runs[0].configuration
        reset_peak_memory()
        with self.loaded.in_full(self.job.folder) as base:
            weights = FullWeights(Lane((), 0, 1.0, point.lr, 0.0, point.seed), base.model)
            trained = self._train(weights, self._full_tokens)
            peak = max(trained.peak_memory_bytes, peak_memory_bytes())
            lanes = trained.ended()
            scored = self._score_lanes(1, lanes)
            base.model.zero_grad()  # lets the buffer of gradients go
            room = self.job.evaluate.max_new_tokens
            model = SavedModel(base.model, base.tokenizer, room) if lanes else None
        (finished,) = self._finished(trained, peak, scored, {})
        return replace(finished, model=model)

    @property
    def _full_tokens(self) -> int:
        """Tokens of a micro-batch of full fine-tuning, whose weights need the memory."""
        share = FULL_SHARE if self.job.recipe.micro_batch == "auto" else 1
        return self.micro_tokens // share

    def _adapters(self) -> list[FinishedRun]:
        base, pack = self.loaded.base, self.pack
        if self.job.device == "cpu" and not has_checkpoint(self.job.checkpoints / pack.id):
            refuse_too_large(base, self.loaded.trees["train"], pack, self.micro_tokens)
        with base.adapted([lane_of(run) for run in pack.runs]) as adapters:
            reset_peak_memory()
            trained = self._train(adapters, self.micro_tokens)
            peak = max(trained.peak_memory_bytes, peak_memory_bytes())
            lanes = trained.ended()
            scored = self._score_lanes(len(adapters.lanes), lanes)
            saved = {place: self._saved(adapters, k) for place, k in lanes.items()}
        return self._finished(trained, peak, scored, saved)

    def _saved(self, adapters: Adapters, k: int) -> SavedAdapter:
        lane, job = adapters.lanes[k], self.job
        weights = {m: (A.clone(), B.clone()) for m, (A, B) in adapters.weights_of(k).items()}
        base = self.loaded.base
        stored = {base.linears[whole_of(module)].stored_transposed for module in weights}
        trained_on = TrainedOn(job.base, job.precision, job.note or UNQUANTISED)
        name = hub_id_of(job.base) or job.base
        targets = short_targets(
            map(whole_of, weights), (name for name, _ in base.model.named_modules())
        )
        return SavedAdapter(
            weights,
            lane.rank,
            lane.scale,
            lane.dropout,
            name,
            stored == {True},
            trained_on,
            targets,
        )

    @property
    def _examiner(self) -> Examiner:
        return Examiner.of(self.loaded, self.micro_tokens, self.reporter, self.stop)

    def _score_lanes(self, num_lanes: int, lanes: Mapping[int, int]) -> dict[int, Scored]:
        """Return what the runs score that came to the end, by their places."""
        if not lanes:
            return {}
        # A pack resumed behind its last step has not evaluated in this process.
        with self.stop.at_once("the losses"):
            known = self.latest or self._examiner.losses(num_lanes, "eval")
        decoders = self.job.evaluate.decoders
        found = self._examiner.score_lanes(num_lanes, decoders, "eval", self.title, known)
        return {place: found[k] for place, k in lanes.items()}

    def _finished(
        self,
        trained: Trained,
        peak: int,
        scored: Mapping[int, Scored],
        saved: Mapping[int, SavedAdapter],
    ) -> list[FinishedRun]:
        records = records_of(self.job, self.pack, self.labels, trained, peak, scored)
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

    def _train(self, trained: Trainable, micro_tokens: int) -> Trained:
        total = self.job.recipe.epochs * self.job.sets["train"].forest.num_questions
        what = self.labels[0] if len(self.labels) == 1 else f"{len(self.labels)} runs"
        self.reporter.start(f"{self.title}: train {what}", total)
        with self.stop.until("this step"):
            outcome = train_pack(
                self.loaded.base, trained, self.loaded.trees["train"], self.job.recipe,
                micro_tokens, self._hooks(trained), self._checkpoints(self.pack),
            )  # fmt: skip
        self.reporter.finish()
        return outcome

    def _hooks(self, trained: Trainable) -> Hooks:
        def losses() -> ParagraphLosses:
            with self.stop.until("this evaluation"):
                self.latest = self._examiner.losses(len(trained.lanes), "eval")
            return self.latest

        return Hooks(
            evaluate=lambda: losses().means(),
            on_step=self._tell,
            stop_requested=self.stop.ask,
            race=self._race(losses),
        )

    def _race(self, losses: Callable[[], ParagraphLosses]) -> RaceHooks | None:
        """Return the pack's race, in which it meets all runs that earlier packs have finished."""
        job, pack = self.job.race, self.pack
        if job is None:
            return None

        def set_aside(place: int, checkpoint: Checkpoint) -> None:
            self.reporter.note(
                f"{job.names[pack.runs[place].id]} is stopped: it is behind the leader"
            )
            self._checkpoints(LockedPack.alone(pack.runs[place])).set_aside(checkpoint)

        return RaceHooks(race_of(job, pack), losses, set_aside)

    def _tell(self, event: StepEvent) -> None:
        self.pulse.step(event.step, event.num_steps, event.is_resumed)
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


def _loss_line(event: StepEvent) -> str:
    finite = [loss for loss in event.losses if loss == loss]
    return f"loss {min(finite):.3f} to {max(finite):.3f}" if finite else "no finite loss"
