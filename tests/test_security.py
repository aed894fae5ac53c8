"""What comes from elsewhere runs no code, leaves no folder, and learns no secret."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import lorasweep
import tiny
from lorasweep import Study, UserError, run
from lorasweep.folder.files import write_json
from lorasweep.folder.records import BaseRecord, LockedPack, LockedRun, RunRecord
from lorasweep.folder.store import Store
from lorasweep.hub.models import WEIGHTS, WEIGHTS_INDEX, locate
from lorasweep.model.base import load_tokenizer

SOURCES = sorted(Path(lorasweep.__file__).parent.rglob("*.py"))
OUTSIDE = ["../elsewhere", "a/../../b", "..", "/etc/passwd", "..\\b", ".hidden", ""]


def nodes(*kinds: type[ast.AST]) -> list[Any]:
    """All nodes of these kinds in the package."""
    trees = [ast.parse(file.read_text()) for file in SOURCES]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


def test_nothing_is_read_from_a_pickle() -> None:
    imported = {
        name
        for node in nodes(ast.Import, ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
    }
    assert not imported & {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
    for call in nodes(ast.Call):
        if ast.unparse(call.func) == "torch.load":
            assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True"
                       for k in call.keywords)  # fmt: skip


def test_no_model_may_bring_code() -> None:
    allowed = [k.value for call in nodes(ast.Call) for k in call.keywords
               if k.arg == "trust_remote_code"]  # fmt: skip
    assert allowed
    assert {ast.unparse(value) for value in allowed} == {"False"}


def test_a_model_that_brings_code_is_refused(tmp_path: Path, make_model: Any) -> None:
    make_model("gpt2").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, "auto_map": {"AutoModel": "evil.Model"}})
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    with pytest.raises(UserError, match="lorasweep runs no code from a model"):
        locate(str(tmp_path))


def test_a_tokenizer_that_brings_code_is_refused(tmp_path: Path) -> None:
    maps = {"AutoTokenizer": ["evil.Slow", "evil.Fast"]}
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "Evil", "auto_map": maps})
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    with pytest.raises(UserError, match="the tokenizer brings its own Python code"):
        load_tokenizer(tmp_path)


def test_weights_in_pickles_are_refused(tmp_path: Path, make_model: Any) -> None:
    make_model("gpt2").save_pretrained(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="lorasweep reads safetensors only"):
        locate(str(tmp_path))


@pytest.mark.parametrize("name", ["../other/model.safetensors", "/etc/passwd"])
def test_an_index_of_weights_stays_in_its_folder(
    tmp_path: Path, name: str, make_model: Any
) -> None:
    folder = tmp_path / "model"
    make_model("gpt2").save_pretrained(folder)
    (folder / WEIGHTS).rename(tmp_path / WEIGHTS)
    write_json(folder / WEIGHTS_INDEX, {"weight_map": {"wte": name}})
    with pytest.raises(UserError, match="is not in this folder"):
        locate(str(folder))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_studys_folder_from_elsewhere_names_nothing_outside_itself(name: str) -> None:
    record, base = tiny.make_record("run", 50.0), tiny.make_base()
    locked = tiny.make_lock("run").packs[0]
    for kind, value in (
        (RunRecord, {**record.model_dump(), "id": name}),
        (RunRecord, {**record.model_dump(), "metrics": {name: tiny.make_scores(1.0).model_dump()}}),
        (BaseRecord, {**base.model_dump(), "metrics": {name: 1.0}}),
        (LockedPack, {**locked.model_dump(), "id": name}),
        (LockedRun, {**locked.runs[0].model_dump(), "id": name}),
    ):
        with pytest.raises(ValidationError):
            kind.model_validate(value)


def test_a_lock_that_points_outside_deletes_nothing(tmp_path: Path) -> None:
    store, victim = Store(tmp_path / "out"), tmp_path / "victim"
    victim.mkdir()
    lock = tiny.make_lock("run").model_dump(mode="json")
    lock["packs"][0]["id"] = "../../victim"
    write_json(store.lock_file, lock)
    with pytest.raises(UserError, match="not readable as Lock"):
        store.read_lock()
    assert victim.is_dir()


@pytest.mark.parametrize("name", [*OUTSIDE, "a b", "-x"])
def test_a_study_cannot_be_called_like_a_path(name: str) -> None:
    tables = {"name": name, "model": {"base": "gpt2"}, "data": {"train": "bundled"}, "grid": [{}]}
    with pytest.raises(UserError, match="name"):
        Study.parse(tables)


def test_no_secret_of_the_environment_is_written(
    tmp_path: Path, make_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("HF_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY")
    secrets = {name: f"s3cret-{name.lower()}" for name in names}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    file = tiny.write_study(tmp_path, make_model("gpt2"), tokenizer)
    run(tiny.load(file, "pack.lanes=4"), tmp_path / "out")
    written = [f for f in (tmp_path / "out").rglob("*") if f.is_file()]
    assert any(f.name == "index.html" for f in written)
    for content in (f.read_bytes() for f in written):
        assert not any(value.encode() in content for value in secrets.values())
