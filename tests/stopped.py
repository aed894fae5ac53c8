"""Studies that are stopped, and what they must leave all the same."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

TIMES = {"seconds", "train_seconds", "peak_memory_bytes", "seconds_per_question", "lane_seconds"}


def files(out: Path) -> dict[str, Any]:
    """Return all that a study leaves and that must not depend on interruptions."""
    kept = [p for p in sorted(out.rglob("*")) if p.is_file() and "report" not in p.parts]
    return {str(p.relative_to(out)): _content(p) for p in kept if p.name != "results.json"}


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.parent.parent.name == "checkpoints":
        with safe_open(path, framework="np") as saved:
            tensors = {name: saved.get_tensor(name).tobytes() for name in saved.keys()}  # noqa: SIM118
            return tensors, _without_times(json.loads(saved.metadata()["progress"]))
    return path.read_bytes()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in TIMES}
    return [_without_times(v) for v in value] if isinstance(value, list) else value
