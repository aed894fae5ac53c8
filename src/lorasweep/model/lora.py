"""Stacked adapters: the lanes of a pack side by side, one batched product for all of them.

Shapes: K lanes, L tokens of a lane (all rows), r the pack's largest rank, P numbers of a lane.
A [K, r, in] and B [K, out, r]. A lane of a smaller rank, or one that does not adapt a module,
holds zeros there: these get exactly zero gradients, so they stay zero and add nothing.

Reference: Hu et al. 2021, arXiv:2106.09685; delta W = scale B A.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lorasweep.hub.architectures import outputs_of, whole_of
from lorasweep.model.ops.frozen import FrozenLinear
from lorasweep.model.ops.noise import Gap, noise_of
from lorasweep.study.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Lane:
    """What one run asks of its place in the pack; B learns at `lr_ratio` times A's rate `lr`."""

    modules: tuple[str, ...]
    rank: int
    scale: float
    lr: float
    dropout: float
    seed: int
    lr_ratio: float = 1.0


class Adapters:
    """The adapters of a pack as views into one flat buffer of values and one of gradients.

    `values_KP` and `gradients_KP` hold every lane's numbers in a row of its own, so that the
    optimizer and the clipping are a few operations for the whole pack.
    """

    def __init__(
        self, lanes: Sequence[Lane], linears: Mapping[str, FrozenLinear], device: torch.device
    ) -> None:
        self.dropout: TreeDropout | None = None
        self._device = device
        self._allocate(lanes, linears)
        self._initialise()

    def _allocate(self, lanes: Sequence[Lane], linears: Mapping[str, FrozenLinear]) -> None:
        """Make buffers of zeros for these lanes; `linears` are by the names of whole modules."""
        self.lanes = tuple(lanes)
        used = {name for lane in lanes for name in lane.modules}
        self._linears = {
            name: linear
            for whole, linear in linears.items()
            for name in sorted(used)
            if whole_of(name) == whole
        }
        ranks = {name: self._rank_of(name) for name in self._linears}
        width = sum(r * sum(self._features(name)) for name, r in ranks.items())
        self.product_dtype = next(iter(self._linears.values())).weight.dtype
        # Values, gradients and moments have at least fp32's digits.
        dtype = torch.promote_types(self.product_dtype, torch.float32)
        self.values_KP = torch.zeros(len(lanes), width, dtype=dtype, device=self._device)
        self.gradients_KP = torch.zeros_like(self.values_KP)
        self.scale_K = torch.tensor(
            [lane.scale for lane in lanes], dtype=dtype, device=self._device
        )
        self.gradient_views: dict[nn.Parameter, Tensor] = {}
        self.stacks = self._cut(ranks)

    def _rank_of(self, name: str) -> int:
        return max(lane.rank for lane in self.lanes if name in lane.modules)

    def _features(self, name: str) -> tuple[int, int]:
        """Return the widths of the input and the output of a module, or of a part of one."""
        linear = self._linears[name]
        outputs = outputs_of(name, linear.out_features)
        return linear.in_features, outputs.stop - outputs.start

    def _cut(self, ranks: Mapping[str, int]) -> dict[str, "Stack"]:
        stacks, place = {}, 0
        for name, rank in ranks.items():
            in_features, out_features = self._features(name)
            A, place = self._view(place, rank, in_features)
            B, place = self._view(place, out_features, rank)
            outputs = outputs_of(name, self._linears[name].out_features)
            stacks[name] = Stack(self, name, A, B, outputs)
        return stacks

    def _view(self, place: int, rows: int, columns: int) -> tuple[nn.Parameter, int]:
        """Make a parameter of the next rows x columns numbers of every lane."""
        end = place + rows * columns
        shape = (len(self.lanes), rows, columns)
        parameter = nn.Parameter(self.values_KP[:, place:end].view(shape))
        self.gradient_views[parameter] = self.gradients_KP[:, place:end].view(shape)
        return parameter, end

    def learning_rates(self) -> Tensor:
        """Return the learning rate of every number [K, P], or [K, 1] where A's and B's are equal.

        Reference for unlike ones: Hayou et al. 2024, arXiv:2402.12354 (LoRA+).
        """
        lr_K1 = self.values_KP.new_tensor([[lane.lr] for lane in self.lanes])
        if all(lane.lr_ratio == 1 for lane in self.lanes):
            return lr_K1
        ratio_K1 = self.values_KP.new_tensor([[lane.lr_ratio] for lane in self.lanes])
        is_B_P = torch.cat(
            [
                torch.arange(A[0].numel() + B[0].numel(), device=lr_K1.device) >= A[0].numel()
                for A, B in ((stack.A, stack.B) for stack in self.stacks.values())
            ]
        )
        return torch.where(is_B_P, lr_K1 * ratio_K1, lr_K1)

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of a scalar loss to `gradients_KP`."""
        stacks, views = list(self.stacks.values()), self.gradient_views
        factors = [factor for stack in stacks for factor in stack.factors()]
        gradients = torch.autograd.grad(loss, factors)
        for stack, of_A, of_B in zip(stacks, gradients[::2], gradients[1::2], strict=True):
            views[stack.A] += of_A
            views[stack.B] += of_B * self.scale_K[:, None, None]

    @torch.no_grad()
    def _initialise(self) -> None:
        """Initialise as PEFT does (A Kaiming-uniform, B zero), from the run's seed and module name.

        Neither the lane's neighbours nor its place in the pack change its numbers.
        """
        for name, stack in self.stacks.items():
            for k, lane in enumerate(self.lanes):
                if name in lane.modules:
                    stack.A[k, : lane.rank] = initial_A(lane, name, stack.A.shape[2])

    def attach(self) -> None:
        """Put every stack on its frozen linear map."""
        for name, stack in self.stacks.items():
            self._linears[name].adapters += (stack,)

    def detach(self) -> None:
        """Take every stack off again."""
        for name in self.stacks:
            self._linears[name].adapters = ()

    @torch.no_grad()
    def keep(self, kept: Sequence[int]) -> None:
        """Let go of all attached lanes but these, in their order; gradients are zero then."""
        before = [(self.values_KP[k], self.numbers_of(k)) for k in kept]
        self.detach()
        wholes = {whole_of(name): linear for name, linear in self._linears.items()}
        self._allocate([self.lanes[k] for k in kept], wholes)
        for k, (values_P, places) in enumerate(before):
            self.values_KP[k, self.numbers_of(k)] = values_P[places]
        self.attach()

    def numbers_of(self, k: int) -> Tensor:
        """Return where lane k's own numbers are in its row of a buffer, without padding.

        They come in the order of the row of a pack of this lane alone.
        """
        lane, place, found = self.lanes[k], 0, []
        for name, stack in self.stacks.items():
            for shape, own in (
                (stack.A.shape[1:], (slice(lane.rank), slice(None))),
                (stack.B.shape[1:], (slice(None), slice(lane.rank))),
            ):
                end = place + shape.numel()
                if name in lane.modules:
                    found.append(torch.arange(place, end).view(shape)[own].flatten())
                place = end
        return torch.cat(found).to(self.values_KP.device)

    def weights_of(self, k: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return lane k's own A [rank, in] and B [out, rank] per module, without padding."""
        lane = self.lanes[k]
        return {
            name: (stack.A[k, : lane.rank].detach(), stack.B[k, :, : lane.rank].detach())
            for name, stack in self.stacks.items()
            if name in lane.modules
        }

    @torch.no_grad()
    def put(self, k: int, weights: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Set lane k's A and B per module."""
        for name, (A, B) in weights.items():
            self.stacks[name].A[k, : A.shape[0]] = A
            self.stacks[name].B[k, :, : B.shape[1]] = B


class Stack:
    """The lanes' adapters of one linear map, or of a part: some of its outputs.

    `key` stands for the name in random keys. What is multiplied is A and scale B in the base's
    precision, made anew only when the values have changed: passes are many between two steps.
    """

    def __init__(
        self, adapters: Adapters, name: str, A: nn.Parameter, B: nn.Parameter, outputs: slice
    ) -> None:
        self.adapters, self.A, self.B, self.outputs = adapters, A, B, outputs
        self.key = int(fingerprint(name), 16)
        self._factors: tuple[Tensor, Tensor] | None = None
        self._version = -1

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return A and scale B as they are multiplied; gradients are taken of these."""
        version = self.adapters.values_KP._version
        if self._factors is None or self._version != version:
            self._factors, self._version = self._made(), version
        return self._factors

    # Answers are made in inference mode, whose tensors training could not use.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _made(self) -> tuple[Tensor, Tensor]:
        A, B = self.A.detach(), self.adapters.scale_K[:, None, None] * self.B
        dtype = self.adapters.product_dtype
        return A.to(dtype).requires_grad_(), B.to(dtype).requires_grad_()

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y + scale B A x for every lane; x [K * R, T, in], y [K * R, T, out]."""
        x_KLi = x.reshape(self.A.shape[0], -1, x.shape[-1])
        if self.adapters.dropout is not None:
            x_KLi = self.adapters.dropout.apply(x_KLi, self.key)
        added: Tensor = _Added.apply(y, x_KLi, *self.factors(), self.outputs)  # type: ignore[no-untyped-call]
        return added


class _Added(torch.autograd.Function):
    """y + scale B A x, written into y: it was made for this, and is nobody else's."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, x_KLi: Tensor, A: Tensor, scaled_B: Tensor, outputs: slice
    ) -> Tensor:
        h_KLr = torch.bmm(x_KLi, A.transpose(1, 2))
        y.view(len(A), -1, y.shape[-1])[..., outputs].baddbmm_(h_KLr, scaled_B.transpose(1, 2))
        ctx.mark_dirty(y)
        ctx.save_for_backward(x_KLi, h_KLr, A, scaled_B)
        ctx.outputs = outputs
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_KLi, h_KLr, A, scaled_B = ctx.saved_tensors
        dy = gradients[0]
        dy_KLo = dy.reshape(len(A), -1, dy.shape[-1])[..., ctx.outputs]
        dh_KLr = torch.bmm(dy_KLo, scaled_B)
        dA, dB = torch.bmm(dh_KLr.transpose(1, 2), x_KLi), torch.bmm(dy_KLo.transpose(1, 2), h_KLr)
        dx_KLi = torch.bmm(dh_KLr, A) if ctx.needs_input_grad[1] else None
        return dy, dx_KLi, dA, dB, None


class TreeDropout:
    """Dropout of the adapters' inputs in one micro-batch, keyed by (seed, step, module, tree).

    The noise of a tree does not depend on the batch that it is computed in, nor on its padding, nor
    on the lanes beside it: lanes share the noise and differ in the share that they drop. Where
    trees are parts, `gaps` says what of the whole each leaves out. `read_N` are the tokens whose
    output is read, of which the last block's MLP computes no others. Noise has 16 bits, so a rate
    is met to within 1 / 65,536, and kept values are scaled by what is really kept.
    """

    def __init__(self, lanes: Sequence[Lane], tree_ids: Sequence[str], num_tokens: Sequence[int],
                 step: int, width: int, read_N: Tensor,
                 gaps: Sequence[Gap] = ()) -> None:  # fmt: skip
        self._seed, self._step, self._width = lanes[0].seed, step, width
        self._read_N, self._gaps = read_N, gaps
        self._trees, self._num_tokens = [int(fingerprint(i), 16) for i in tree_ids], num_tokens
        self._dropped = [min(round(lane.dropout * 65536), 65535) for lane in lanes]

    def apply(self, x_KLi: Tensor, module: int) -> Tensor:
        """Drop and rescale; x_KLi [K, R * T, in], or [K, N, in] of the tokens that are read."""
        noise_Li = self._noise(module, x_KLi.shape[-1], x_KLi.device)
        if len(noise_Li) != x_KLi.shape[1]:
            noise_Li = noise_Li[self._read_N]
        # One mask for all lanes where they drop the same share.
        shares = self._dropped if len(set(self._dropped)) > 1 else self._dropped[:1]
        kept = [(noise_Li >= d - 32768).to(x_KLi.dtype).mul_(65536 / (65536 - d)) for d in shares]
        return x_KLi * torch.stack(kept) if len(kept) > 1 else x_KLi * kept[0]

    def _noise(self, module: int, features: int, device: torch.device) -> Tensor:
        """Return 16 random bits for every number, as whole numbers from -32,768."""
        keys = [(self._seed % 2**64, self._step, module, tree) for tree in self._trees]
        sizes, gaps = self._num_tokens, self._gaps
        return noise_of(keys, sizes, self._width, features, device, gaps).flatten(0, 1)


def initial_A(lane: Lane, name: str, in_features: int) -> Tensor:
    """Return PEFT's initial A [rank, in]: Kaiming-uniform with a = sqrt 5, U(-1/sqrt(in), ...)."""
    seed = int(fingerprint({"seed": lane.seed, "module": name, "what": "A"}), 16)
    generator = torch.Generator().manual_seed(seed)
    bound = 1 / math.sqrt(in_features)
    return (torch.rand(lane.rank, in_features, generator=generator) * 2 - 1) * bound
