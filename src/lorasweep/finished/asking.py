"""Ask the runs of a finished study any question about any text: all of them in one pass.

The base model and the adapters of the chosen runs are the lanes of one pack: the base model's lane
adapts nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch.nn import functional as F

from lorasweep.analysis.naming import is_base
from lorasweep.analysis.results import run_called
from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.strategies import decode
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.trees import Branch, Tree, lay_out, separate_rows
from lorasweep.errors import UserError
from lorasweep.folder.records import RunRecord
from lorasweep.folder.store import Store
from lorasweep.model.base import DTYPES, UNBOUNDED, Base, load_model, load_tokenizer, unfreeze
from lorasweep.model.lora import Lane
from lorasweep.model.machine import default_device
from lorasweep.model.peft_format import answering_lane, load_adapter
from lorasweep.running.kept import KeptStudy
from lorasweep.running.selfcheck import bundled_trees, load_checked
from lorasweep.study.decoders import parse_decoder

BASE_NAME = "base model"
UNADAPTED = Lane((), 1, 1.0, 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer and the probability that the run gives it, 0 to 1."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a run, or the base model, answers; the end token is the last of `tokens` if it came."""

    who: str
    text: str
    ended: bool
    tokens: tuple[Token, ...]


class Panel:
    """The base model of a finished study with its runs, ready to answer.

    Raises UserError for a folder without results, and for base weights other than the study's.
    """

    def __init__(self, out: Path) -> None:
        self.results = Store(out).read_results()
        kept = KeptStudy.of(out)
        self.store, self.lock, self.study = kept.store, kept.lock, kept.study
        self.folder, _ = kept.base

    @cached_property
    def base(self) -> Base:
        """The base model in the study's precision, checked on paragraphs of the bundled corpus."""
        trees = bundled_trees(self._builder(load_tokenizer(self.folder)))
        return load_checked(self.folder, default_device(), DTYPES[self.lock.precision], trees)

    def _builder(self, tokenizer: object) -> TreeBuilder:
        known = self.lock.facts.get("data.max_tokens", UNBOUNDED)
        room = self.study.evaluate.max_new_tokens
        return TreeBuilder(tokenizer, self.study.data.prompt, known, room)

    def answer(
        self, context: str, question: str, runs: Sequence[str], decoder: str = "greedy"
    ) -> list[Reply]:
        """Return the base model's answers, then each run's, with the probabilities of their tokens.

        `runs` are ids, labels, beginnings of them, "best", or "base"; a decoder that samples gives
        several answers.
        """
        if not context.strip():
            raise UserError("the text is empty")
        chosen = [run_called(self.results, name) for name in runs if not is_base(name)]
        parse_decoder(decoder)
        if not question.strip():
            raise UserError("the question is empty")
        adapted = [run for run in chosen if run.configuration.method != "full"]
        tree = self._builder(self.base.tokenizer).unanswered(context.strip(), question)
        with self._lanes(adapted) as num_lanes:
            lanes = self._replies(self.base, tree, num_lanes, decoder, context)
        by_name = dict(zip([BASE_NAME, *(run.id for run in adapted)], lanes, strict=True))
        for run in chosen:
            if run.id not in by_name:
                by_name[run.id] = self._from_full_model(run, tree, decoder, context)
        names = {BASE_NAME: BASE_NAME, **self.results.names}
        return [
            Reply(names[who], answer.text, answer.ended, tokens)
            for who in dict.fromkeys([BASE_NAME, *(run.id for run in chosen)])
            for answer, tokens in by_name[who]
        ]

    @contextmanager
    def _lanes(self, runs: Sequence[RunRecord]) -> Iterator[int]:
        """Attach a lane that adapts nothing and one for each run; give their number."""
        if not runs:
            yield 1
            return
        saved = [load_adapter(self.store.sound_weights(run)) for run in runs]
        with self.base.adapted([UNADAPTED, *map(answering_lane, saved)]) as adapters:
            for k, adapter in enumerate(saved, 1):
                adapters.put(k, adapter.weights)
            yield 1 + len(saved)

    def _from_full_model(
        self, run: RunRecord, tree: Tree, decoder: str, context: str
    ) -> list[tuple[Answer, tuple[Token, ...]]]:
        folder = self.store.sound_weights(run)
        model = load_model(folder, self.base.device)
        base = unfreeze(model, load_tokenizer(folder), self.lock.precision)
        return self._replies(base, tree, 1, decoder, context)[0]

    def _replies(
        self, base: Base, tree: Tree, num_lanes: int, decoder: str, context: str
    ) -> list[list[tuple[Answer, tuple[Token, ...]]]]:
        """Return each lane's answers with their tokens."""
        texts = {branch.question_id: context.strip() for branch in tree.branches}
        prompts = Prompts(base, [tree], num_lanes, self.lock.micro_tokens)
        (lanes,) = decode(prompts, parse_decoder(decoder), self.study.evaluate, texts)
        tokens = iter(tokens_of(base, tree, lanes))
        return [[(answer, next(tokens)) for answer in answers] for answers in lanes]


@torch.no_grad()
def tokens_of(base: Base, tree: Tree, lanes: Sequence[Sequence[Answer]]) -> list[tuple[Token, ...]]:
    """Return every answer's tokens with their probabilities, lane after lane, in one pass.

    The answers of all lanes are branches of one tree; each is read from its own lane.
    """
    (asked,) = tree.branches
    said = [
        (k, a.token_ids + ((base.end_id,) if a.ended else ())) for k, lane in enumerate(lanes)
        for a in lane
    ]  # fmt: skip
    branches = tuple(
        Branch(f"{n}", asked.prompt_ids, ids) for n, (_, ids) in enumerate(said) if ids
    )
    if not branches:
        return [() for _ in said]
    shared = [Tree(tree.id, tree.trunk_ids, branches)]
    rows = lay_out(shared if base.shares_trunks else separate_rows(shared), base.device)
    lane_N = torch.tensor([k for k, ids in said for _ in ids], device=base.device)
    hidden_KNd = base.hidden_at_answers(rows, len(lanes))
    logits_NV = base.head(hidden_KNd[lane_N, torch.arange(len(lane_N), device=base.device)])
    found_N1 = F.softmax(logits_NV.float(), dim=-1).gather(1, rows.labels_N[:, None])
    probabilities = iter(found_N1[:, 0].tolist())
    return [tuple(Token(base.text([i]), next(probabilities)) for i in ids) for _, ids in said]
