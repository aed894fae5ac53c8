"""The base model and the data in one process's memory, and the room that they leave."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch

from lorasweep.data.trees import Tree, separate_rows
from lorasweep.model.base import DTYPES, Base, load_model, load_tokenizer, unfreeze
from lorasweep.model.ops.allocator import (
    give_back_freed_memory,
    keep_few_kernels,
    keep_freed_memory,
)
from lorasweep.running.selfcheck import load_checked
from lorasweep.running.worker.jobs import Job


class Loaded:
    """A job's base model, loaded once for all packs of adapters, and its questions as rows."""

    def __init__(self, job: Job) -> None:
        self.job = job
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

    def _layout(self, trees: Sequence[Tree]) -> tuple[Tree, ...]:
        return tuple(trees) if self.base.shares_trunks else separate_rows(trees)

    def release(self) -> None:
        """Let the base model leave memory until it is next asked for."""
        self.__dict__.pop("base", None)

    @contextmanager
    def in_full(self, folder: Path) -> Iterator[Base]:
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

    def give_back(self) -> None:
        """Hand memory that nothing uses back, on the processor and on the card."""
        give_back_freed_memory()
        if self.job.device == "cuda":
            torch.cuda.empty_cache()
