"""Send finished runs to an experiment tracker, through the tracker's own client.

A run is sent when it is finished, with its whole history: nothing twice after a resume, and the
same whatever executor trained it. A tracker that fails is left alone; the study goes on.
"""

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.errors import UserError, how_to_install, nearest
from lorasweep.folder.records import EvalEntry, RunRecord, StepEntry
from lorasweep.folder.scores import Scores

History = Sequence[StepEntry | EvalEntry]
FOLDER = "trackers"


@dataclass(frozen=True)
class Sent:
    """What a tracker is told of a run: its settings, numbers by step, and final numbers."""

    study: str
    label: str
    run_id: str
    folder: Path
    settings: dict[str, Any]
    by_step: list[tuple[int, dict[str, float]]]
    final: dict[str, float]


def _send_to_tensorboard(client: Any, sent: Sent) -> None:
    writer = client.SummaryWriter(str(sent.folder / "tensorboard" / sent.run_id))
    writer.add_text("run", json.dumps({"label": sent.label, **sent.settings}))
    last = sent.by_step[-1][0] if sent.by_step else 0
    for step, values in [*sent.by_step, (last, sent.final)]:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
    writer.close()


def _send_to_mlflow(client: Any, sent: Sent) -> None:
    client.set_experiment(sent.study)
    with client.start_run(run_name=sent.label):
        client.log_params({"run": sent.run_id, **sent.settings})
        for step, values in sent.by_step:
            client.log_metrics(values, step=step)
        client.log_metrics(sent.final)


def _send_to_wandb(client: Any, sent: Sent) -> None:
    sent.folder.mkdir(exist_ok=True)
    settings = {"run": sent.run_id, **sent.settings}
    run = client.init(
        project=sent.study, name=sent.label, config=settings, dir=str(sent.folder.resolve()),
        reinit="finish_previous",
    )  # fmt: skip
    for step, values in sent.by_step:
        run.log(values, step=step)
    run.summary.update(sent.final)
    run.finish()


def _send_to_trackio(client: Any, sent: Sent) -> None:
    settings = {"run": sent.run_id, **sent.settings}
    run = client.init(project=sent.study, name=sent.label, config=settings)
    for step, values in sent.by_step:
        run.log(values, step=step)
    run.log(sent.final)
    run.finish()


# By the name that --track takes: the client's module, and how a run is sent through it.
TRACKERS: Mapping[str, tuple[str, Callable[[Any, Sent], None]]] = {
    "tensorboard": ("torch.utils.tensorboard", _send_to_tensorboard),
    "mlflow": ("mlflow", _send_to_mlflow),
    "wandb": ("wandb", _send_to_wandb),
    "trackio": ("trackio", _send_to_trackio),
}


class Trackers:
    """The trackers of one call; `note` hears of those that fail.

    Raises UserError for a name that is not known, and for a tracker that is not installed.
    """

    def __init__(self, names: Sequence[str], out: Path, note: Callable[[str], None]) -> None:
        self.folder, self.note = out / FOLDER, note
        self.clients = {name: _client(name) for name in dict.fromkeys(names)}

    def send(self, study: str, record: RunRecord, history: History) -> None:
        """Send a finished run; a tracker that fails is not asked again."""
        sent = _sent(study, record, history, self.folder)
        for name, client in list(self.clients.items()):
            try:
                # What a client prints must not mix with results on standard output.
                with redirect_stdout(sys.stderr):
                    TRACKERS[name][1](client, sent)
            except Exception as error:  # whatever it is, training goes on
                del self.clients[name]
                reason = " ".join(str(error).split()) or type(error).__name__
                self.note(f"warning: {name} failed and is left alone from here on: {reason}")


def _client(name: str) -> Any:
    if name not in TRACKERS:
        raise UserError(f"no tracker {name!r}{nearest(name, TRACKERS)}")
    try:
        return importlib.import_module(TRACKERS[name][0])
    except ImportError as error:
        raise UserError(f"--track {name}: {error}; to install it, {how_to_install(name)}") from None


def _sent(study: str, record: RunRecord, history: History, folder: Path) -> Sent:
    metrics = {
        f"{decoder}/{name}": score.mean
        for decoder, found in record.metrics.items()
        if isinstance(found, Scores)
        for name, score in found.scores.items()
    }
    return Sent(
        study=study,
        label=record.label,
        run_id=record.id,
        folder=folder,
        settings={
            **record.configuration.model_dump(),
            "state": record.state,
            "modules": ", ".join(record.modules),
            "trainable_parameters": record.trainable_parameters,
            "precision": record.precision,
        },
        by_step=[(entry.step, _values(entry)) for entry in history],
        final={**metrics, "train_seconds": record.train_seconds},
    )


def _values(entry: StepEntry | EvalEntry) -> dict[str, float]:
    if isinstance(entry, EvalEntry):
        return {"eval/loss": entry.eval_loss}
    norm = {} if entry.grad_norm is None else {"train/grad_norm": entry.grad_norm}
    return {"train/loss": entry.loss, **norm, "train/lr": entry.lr}
