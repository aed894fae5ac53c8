"""The lanes of a pack in training: their numbers, their optimizer, and which of them go on.

Shapes: K lanes, P numbers of a lane.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lorasweep.model.lora import Lane, TreeDropout
from lorasweep.training.loss_scaling import LossScaling
from lorasweep.training.optimizer import LaneAdamW


class Trainable(Protocol):
    """What a pack trains: numbers of K lanes in one buffer [K, P], and their gradients."""

    lanes: tuple[Lane, ...]
    dropout: TreeDropout | None
    values_KP: Tensor
    gradients_KP: Tensor

    def learning_rates(self) -> Tensor:
        """Return the learning rates [K, P], or [K, 1] for one per lane."""
        ...

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of a scalar loss to `gradients_KP`."""
        ...

    def keep(self, kept: Sequence[int]) -> None:
        """Let go of all lanes but these."""
        ...

    def numbers_of(self, k: int) -> Tensor | slice:
        """Return where lane k's own numbers are in its row, as in a pack of this lane alone."""
        ...


class Lanes:
    """The lanes of a pack that are still there, with their optimizer.

    `places` tells each lane's place in the pack as it was planned; `live_K` which lanes learn;
    `scaling` is there where products are made in fp16.
    """

    def __init__(
        self, adapters: Trainable, weight_decay: float, scaling: LossScaling | None = None
    ) -> None:
        self.adapters, self.weight_decay, self.scaling = adapters, weight_decay, scaling
        self.places = list(range(len(adapters.lanes)))
        self._start()

    def _start(self) -> None:
        values_KP = self.adapters.values_KP
        self.optimizer = LaneAdamW(values_KP, self.adapters.learning_rates(), self.weight_decay)
        # Asked for several times a step: on a card that would wait for it.
        self.live_K = torch.ones(len(values_KP), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.places)

    def live(self) -> list[int]:
        """Return the lanes that learn."""
        return [k for k, live in enumerate(self.live_K.tolist()) if live]

    def step(self, factor: float) -> None:
        """Let the lanes that learn step along their gradients, at `factor` times their rates."""
        self.optimizer.step(self.adapters.gradients_KP, factor, self._live_there())

    def _live_there(self) -> Tensor:
        """Return `live_K` where the adapters are."""
        return self.live_K.to(self.adapters.values_KP.device, non_blocking=True)

    @torch.no_grad()
    def scaled_step(self, scaling: LossScaling, factor: float, overflowed_K: Tensor) -> None:
        """Let lanes step as `step` does, but leave those that overflowed as they are."""
        if overflowed_K.all():
            self.optimizer.num_steps += 1
            return
        skipping = overflowed_K.nonzero()[:, 0].tolist()
        before = [(rows, rows[skipping]) for rows in self._buffers().values()]
        gradients_KP, taken = self.adapters.gradients_KP, scaling.steps_taken
        gradients_KP[skipping] = 0
        num_steps = taken(self.optimizer.num_steps + 1)
        self.optimizer.step(gradients_KP, factor, self._live_there(), num_steps)
        for rows, kept in before:
            rows[skipping] = kept

    @torch.no_grad()
    def silence(self, k: int) -> None:
        """Stop a lane where it is: its numbers become zero, the others go on."""
        self.live_K[k] = False
        for rows in (*self._buffers().values(), self.adapters.gradients_KP):
            rows[k] = 0

    @torch.no_grad()
    def keep(self, kept: Sequence[int]) -> None:
        """Let go of all lanes but these, which go on as they are."""
        num_steps, buffers = self.optimizer.num_steps, self._buffers()
        moments = [
            {name: buffers[name][k, self.adapters.numbers_of(k)] for name in ("mean", "square")}
            for k in kept
        ]
        live_K = self.live_K[list(kept)]
        self.adapters.keep(kept)
        self.places = [self.places[k] for k in kept]
        if self.scaling:
            self.scaling.keep(kept)
        self._start()
        self.optimizer.num_steps, self.live_K = num_steps, live_K
        for k, own in enumerate(moments):
            for name, values in own.items():
                self._buffers()[name][k, self.adapters.numbers_of(k)] = values

    def state(self) -> dict[str, Tensor]:
        """Return all that training changes, to be saved."""
        scaling = self.scaling.state() if self.scaling else {}
        return {**self._buffers(), "live": self.live_K, **scaling}

    def state_of(self, k: int) -> dict[str, Tensor]:
        """Return one lane's part of the state as that of a pack of this lane alone."""
        places = self.adapters.numbers_of(k)
        own = {name: rows[k, places][None] for name, rows in self._buffers().items()}
        scaling = self.scaling.state_of(k) if self.scaling else {}
        return {**own, "live": torch.ones_like(self.live_K[:1]), **scaling}

    def restore(self, places: Sequence[int], num_steps: int, state: Mapping[str, Tensor]) -> None:
        """Take up a saved state that holds these places of the pack."""
        if list(places) != self.places:
            self.keep(places)
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.optimizer.num_steps = num_steps

    def _buffers(self) -> dict[str, Tensor]:
        return {
            "values": self.adapters.values_KP,
            "mean": self.optimizer.mean_KP,
            "square": self.optimizer.square_KP,
        }
