"""The card of an exported run, made from its record: scores, data, recipe, the base's licence."""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from lorasweep.console.plain_text import visible_on_page
from lorasweep.folder.records import Results, RunRecord, Scores, eval_loss_of
from lorasweep.model.peft_format import SavedAdapter

TEMPLATE = resources.files("lorasweep.finished.sharing") / "card.md"
MERGED = "A LoRA adapter merged into the weights of its base model in fp32"
KINDS = {"full": "A model whose weights were all trained", "lora": "A LoRA adapter"}
ROUNDED = (
    "It was trained on weights rounded to {precision}: on others it answers slightly differently."
)
EXACT = "It was trained on the base model's weights as their files hold them."


def card(
    results: Results,
    run: RunRecord,
    base: str,
    licence: str | None,
    adapter: SavedAdapter | None,
    is_merged: bool,
) -> str:
    """Return the text of README.md; `adapter` is None for a model that was trained in full."""
    quantisation = results.base.note or "none that is known"
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    is_exact = run.precision == "fp32" and not results.base.note
    analysis = results.analysis.decoders.get("greedy") if results.analysis else None
    text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        metadata=_metadata(results, run, base, licence, adapter is not None and not is_merged),
        study=results.study,
        run=run,
        kind=MERGED if is_merged else KINDS["lora" if adapter else "full"],
        base=base,
        licence=licence,
        quantisation=quantisation,
        adapter=adapter,
        weights_note=EXACT if is_exact else ROUNDED.format(precision=run.precision),
        scored=results.data["eval"],
        trained=results.data["train"],
        eval_sources=_names(results.data["eval"].sources),
        train_sources=_names(results.data["train"].sources),
        scores=[*_rows("this run", run.metrics), *_rows("base model", results.base.metrics)],
        selection_bias=analysis.selection_bias if analysis and analysis.best == run.id else "",
        recipe=json.dumps({**results.recipe, **run.configuration.model_dump()}, indent=1),
        prompt=results.prompt,
    )
    return visible_on_page(text)


def _metadata(
    results: Results, run: RunRecord, base: str, licence: str | None, is_adapter: bool
) -> str:
    """Return the front matter that the Hub reads."""
    scores = [(name, s) for name, s in run.metrics.items() if isinstance(s, Scores)]
    data = ModelCardData(
        base_model=base if "/" in base else None,
        library_name="peft" if is_adapter else "transformers",
        license=licence or "unknown",
        pipeline_tag="text-generation",
        tags=["lora", "question-answering", "lorasweep"],
        model_name=f"{results.study}: {run.label}",
        eval_results=[
            EvalResult(
                task_type="question-answering",
                dataset_type="squad",
                dataset_name=", ".join(_names(results.data["eval"].sources)),
                metric_type=metric,
                metric_name=f"{metric} ({decoder})",
                metric_value=round(getattr(found, metric), 2),
            )
            for decoder, found in scores
            for metric in ("exact_match", "f1")
        ],
    )
    return str(data.to_yaml())


def _rows(who: str, metrics: Mapping[str, Scores | float]) -> list[list[str]]:
    loss = eval_loss_of(dict(metrics))
    return [
        [
            *(who, decoder, f"{found.exact_match:.1f}", f"{found.f1:.1f}"),
            _interval(found.f1_interval),
            "" if loss is None else f"{loss:.3f}",
        ]
        for decoder, found in metrics.items()
        if isinstance(found, Scores)
    ]


def _interval(interval: Any) -> str:
    return f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "none"


def _names(sources: list[str]) -> list[str]:
    """Name sources for others: a file by its name, without the folders of this machine."""
    return [s if s.startswith("hub:") else Path(s).name for s in sources]
