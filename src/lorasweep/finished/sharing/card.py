"""The card of an exported run, made from its record: scores, use, data, recipe, licence."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from lorasweep.console.plain_text import visible_on_page
from lorasweep.data.corpus.bundled import is_named
from lorasweep.data.sources.hub import HUB
from lorasweep.finished.sharing.importing import hub_name
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.scores import Scores, eval_loss_of
from lorasweep.hub.architectures import module_kinds
from lorasweep.hub.models import HUB_ID, SMOLLM2, hub_id_of
from lorasweep.model.peft_format import SavedAdapter
from lorasweep.study.sections import Evaluate

TEMPLATE = resources.files("lorasweep.finished.sharing") / "card.md"
MERGED = "A LoRA adapter merged into the weights of its base model in fp32"
KINDS = {"full": "A model whose weights were all trained", "lora": "A LoRA adapter"}
ROUNDED = (
    "It was trained on weights rounded to {precision}: on others it answers slightly differently."
)
EXACT = "It was trained on the base model's weights as their files hold them."
FOREIGN = "What weights it was trained on is not known; it was scored on those of this study."
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
# What Markdown, and the HTML in it, would read as marks.
MARKS = re.compile(r"([\\`*_\[\]<>|~#])")


@dataclass(frozen=True)
class Shared:
    """A run as it is given to others; `base` is the study's model.base.

    `adapter` is None for a model that was trained in full.
    """

    results: Results
    run: RunRecord
    base: str
    licence: str | None
    adapter: SavedAdapter | None
    is_merged: bool
    evaluate: Evaluate

    @property
    def kind(self) -> str:
        """What it is, in a few words."""
        return MERGED if self.is_merged else KINDS["lora" if self.adapter else "full"]

    @property
    def needs_base(self) -> bool:
        """Say whether it is loaded on top of a base model."""
        return self.adapter is not None and not self.is_merged

    @property
    def base_id(self) -> str | None:
        """The Hub's id of the base model that it was trained on, as far as that is known."""
        if self.run.imported_from and self.adapter and not self.is_merged:
            return hub_name(self.adapter.base)
        return hub_id_of(self.base)


def card(shared: Shared) -> str:
    """Return the text of README.md."""
    results, run = shared.results, shared.run
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["inline"] = inline
    analysis = results.analysis.decoders.get("greedy") if results.analysis else None
    text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        metadata=_metadata(shared),
        study=results.study,
        run=run,
        shared=shared,
        base=base_in_words(shared.base),
        quantisation=results.base.note or "none that is known",
        adapter=shared.adapter,
        modules=module_kinds(run.modules),
        weights_note=_weights_note(results, run),
        scored=results.data["eval"],
        trained=results.data["train"],
        eval_sources=names_of(results.data["eval"].sources),
        train_sources=names_of(results.data["train"].sources),
        scores=[*_rows("this run", run.metrics), *_rows("base model", results.base.metrics)],
        selection_bias=analysis.selection_bias if analysis and analysis.best == run.id else "",
        recipe=json.dumps({**results.recipe, **run.configuration.model_dump()}, indent=1),
        prompt=results.prompt,
        prompt_code=repr(results.prompt),
        fence="`" * max(3, 1 + max(map(len, re.findall("`+", results.prompt)), default=0)),
        dtype=DTYPES[run.precision] if shared.needs_base else "float32",
        pulled=SMOLLM2 if shared.base == SMOLLM2 else None,
        loaded=repr(hub_id_of(shared.base) or "the folder of the base model"),
    )
    return visible_on_page(text)


def inline(text: object) -> str:
    """Return words of others on one line, with no letter that Markdown would read as a mark."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return MARKS.sub(r"\\\1", " ".join(line.split()))


def base_in_words(base: str) -> str:
    """Return a base model's id on the Hub, or the name of its folder with a word of warning."""
    if known := hub_id_of(base):
        return known
    folder = inline(Path(base).expanduser().resolve().name)
    return f"a local folder called {folder} (which need not be a model of that name on the Hub)"


def _weights_note(results: Results, run: RunRecord) -> str:
    if run.imported_from:
        return FOREIGN
    is_exact = run.precision == "fp32" and not results.base.note
    return EXACT if is_exact else ROUNDED.format(precision=run.precision)


def _metadata(shared: Shared) -> str:
    """Return the front matter that the Hub reads."""
    results, run = shared.results, shared.run
    sources = results.data["eval"].sources
    data = ModelCardData(
        base_model=shared.base_id,
        library_name="peft" if shared.needs_base else "transformers",
        license=shared.licence or "unknown",
        pipeline_tag="text-generation",
        tags=["lora", "question-answering", *([] if run.imported_from else ["lorasweep"])],
        model_name=f"{results.study}: {run.label}",
        eval_results=[
            EvalResult(
                task_type="question-answering",
                dataset_type=dataset_type(sources),
                dataset_name=", ".join(names_of(sources)),
                metric_type=metric,
                metric_name=f"{metric} ({decoder})",
                metric_value=round(found.scores[metric].mean, 2),
            )
            for decoder, found in run.metrics.items()
            if isinstance(found, Scores)
            for metric in ("exact_match", "f1")
        ],
    )
    return str(data.to_yaml())


def dataset_type(sources: list[str]) -> str:
    """Return what the Hub takes for a data set's id: one of its own only where it is that set."""
    (first, *others) = {_hub_set(source) for source in sources}
    if first and not others:
        return first
    ours = all(source == "bundled" or is_named(source) for source in sources)
    return "bundled-with-lorasweep" if ours else "own-files"


def _hub_set(source: str) -> str | None:
    found = HUB.fullmatch(source)
    is_there = found and HUB_ID.fullmatch(found["name"]) and not Path(found["name"]).is_dir()
    return found["name"] if found and is_there else None


def _rows(who: str, metrics: Mapping[str, Scores | float]) -> list[list[str]]:
    loss = eval_loss_of(dict(metrics))
    return [
        [
            *(who, decoder, f"{found.scores['exact_match'].mean:.1f}", f"{found.rank.mean:.1f}"),
            _interval(found.rank.interval),
            "" if loss is None else f"{loss:.3f}",
        ]
        for decoder, found in metrics.items()
        if isinstance(found, Scores)
    ]


def _interval(interval: Any) -> str:
    return f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "none"


def names_of(sources: list[str]) -> list[str]:
    """Name sources for others: a file or folder by its name, without those of this machine."""
    return [s if s.startswith("hub:") and _hub_set(s) else _last(s) for s in sources]


def _last(source: str) -> str:
    found = HUB.fullmatch(source)
    return f"hub:{Path(found['name']).name}:{found['split']}" if found else Path(source).name
