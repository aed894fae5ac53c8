import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from pydantic import BaseModel

from lorasweep.errors import UserError
from lorasweep.hub import models
from lorasweep.hub.architectures import architecture, linear_modules
from lorasweep.study.grid import resolve_alpha
from lorasweep.study.plan import Plan, make_plan, plan_json
from lorasweep.study.study import Study, shipped_studies
from lorasweep.study.targets import resolve_targets

GPT2 = models.read_config("gpt2")
SMOLLM2 = models.read_config("smollm2-135m")


# Configurations and runs of each shipped study.
SIZES = {
    "full-vs-lora": (6, 6),
    "quickstart": (4, 4),
    "qv": (18, 18),
    "report75": (75, 50),
    "report75-faithful": (75, 50),
}


def study(
    *grids: dict[str, Any], lanes: int | str = "auto", targets: dict[str, list[str]] | None = None
) -> Study:
    return Study.parse(
        {
            "name": "test",
            "model": {"base": "gpt2"},
            "data": {"train": "bundled"},
            "grid": list(grids) or [{}],
            "pack": {"lanes": lanes},
            "targets": targets or {},
        }
    )


def resolve(
    name: str, config: dict[str, Any] = GPT2, **study_targets: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return resolve_targets(name, study_targets, architecture(config).sets, linear_modules(config))


@pytest.fixture
def report75(tmp_path: Path) -> Plan:
    """The shipped study, with a folder that holds nothing but GPT-2's config as its model."""
    (tmp_path / "config.json").write_text(json.dumps(GPT2))
    loaded = Study.load("report75", [f"model.base={tmp_path}"])
    return make_plan(loaded, models.read_config(loaded.model.base))


def test_report75_has_75_configurations_and_50_runs(report75: Plan) -> None:
    assert len(report75.configurations) == 75
    assert len(report75.runs) == 50
    assert len({run.label for run in report75.runs}) == 50


def test_report75_counts_parameters_and_scales(report75: Plan) -> None:
    runs = {run.label: run for run in report75.runs}
    assert runs["r4 lr7e-5 attn"].trainable_parameters == 221_184
    assert runs["r16 lr1e-3 attn_mlp"].trainable_parameters == 2_359_296
    assert runs["r4 lr7e-5 attn"].scale == 4.0
    assert runs["r64 lr2e-4 attn"].scale == 0.25


def test_report75_warns_of_the_modules_that_gpt2_does_not_have(report75: Plan) -> None:
    first, repeats, alpha = report75.warnings
    assert "'attn_qv'" in first
    assert "q_proj, v_proj" in first
    assert "the set is attn.c_attn, attn.c_proj, the same as 'attn'" in first
    assert repeats.startswith("25 of 75 configurations")
    assert "alpha is fixed at 16" in alpha
    assert "from 4 to 0.25" in alpha


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_is_planned_from_a_config_alone(name: str, tmp_path: Path) -> None:
    base = Study.load(name).model.base
    (tmp_path / "config.json").write_text(json.dumps(models.read_config(base)))
    loaded = Study.load(name, [f"model.base={tmp_path}"])
    plan = make_plan(loaded, models.read_config(loaded.model.base))
    assert loaded.name == name
    assert (len(plan.configurations), len(plan.runs)) == SIZES[name]
    assert bool(plan.warnings) is name.startswith("report75")


def test_the_faithful_study_differs_from_report75_in_what_its_comments_say() -> None:
    ours, theirs = (Study.load(name) for name in ("report75", "report75-faithful"))
    assert ours.grid == theirs.grid
    assert ours.targets == theirs.targets
    assert changes(ours.recipe, theirs.recipe) == {"batch_size": 64}
    assert changes(ours.data, theirs.data) == {
        "num_eval": 200, "sample": "question", "max_tokens": 256,
    }  # fmt: skip


def changes(one: BaseModel, other: BaseModel) -> dict[str, Any]:
    before = one.model_dump()
    return {key: value for key, value in other.model_dump().items() if value != before[key]}


def test_parts_of_a_fused_module_are_targets_of_their_own_size() -> None:
    modules, unmatched = resolve("qv")
    assert (len(modules), unmatched) == (24, ())
    assert modules[:2] == ("transformer.h.0.attn.c_attn:q", "transformer.h.0.attn.c_attn:v")
    assert resolve("transformer.h.3.attn.c_attn:k")[0] == ("transformer.h.3.attn.c_attn:k",)
    (one,) = make_plan(study({"targets": "qv", "rank": 4}), GPT2).runs
    assert one.trainable_parameters == 24 * 4 * (768 + 768)
    assert len(make_plan(Study.load("qv"), GPT2).runs) == 18


@pytest.mark.parametrize("name", ["attn.c_attn:w", "c_proj:q", "attn.c_attn:", "q"])
def test_parts_that_do_not_exist_are_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(UserError, match=r"parts: attn.c_attn:q, attn.c_attn:k, attn.c_attn:v"):
        resolve(name)
    with pytest.raises(UserError, match="no linear module"):
        resolve("q_proj:q", SMOLLM2)


def test_a_module_beside_its_own_part_is_refused() -> None:
    with pytest.raises(UserError, match=r"attn\.c_attn:q is named beside all of attn\.c_attn"):
        resolve("mine", mine=["c_attn", "attn.c_attn:q"])


def test_a_set_of_the_study_comes_before_a_built_in_one() -> None:
    modules, unmatched = resolve("attn", attn=["c_proj"])
    assert unmatched == ()
    assert len(modules) == 24


def test_modules_come_in_the_models_order() -> None:
    modules, _ = resolve("mine", mine=["mlp.c_fc", "transformer.h.0.attn.c_attn"])
    assert modules[:2] == ("transformer.h.0.attn.c_attn", "transformer.h.0.mlp.c_fc")
    assert len(modules) == 13


def test_all_linear_is_every_module() -> None:
    assert len(resolve("all-linear")[0]) == 48
    assert len(resolve("all-linear", SMOLLM2)[0]) == 210


def test_a_module_name_is_a_target() -> None:
    assert len(resolve("q_proj", SMOLLM2)[0]) == 30
    assert resolve("transformer.h.3.mlp.c_fc")[0] == ("transformer.h.3.mlp.c_fc",)


@pytest.mark.parametrize("name", ["attn.c_atn", "nothing", "proj", "wte"])
def test_no_module_at_all_names_those_that_exist(name: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(name)
    assert f"targets '{name}'" in str(error.value)
    assert "attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj" in str(error.value)
    assert "all-linear" in str(error.value)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(UserError, match=r"did you mean 'attn\.c_attn'"):
        resolve("attn.c_atn")


PARTS = st.sampled_from(["attn", "mlp", "c_attn", "c_proj", "c_fc", "0", "1", "h", "transformer"])
NAMES = st.lists(PARTS, min_size=1, max_size=5).map(".".join)


@settings(max_examples=100)
@given(st.lists(NAMES, min_size=1, max_size=3))
def test_names_match_as_in_peft(names: list[str]) -> None:
    peft = LoraConfig(target_modules=names)
    modules = linear_modules(GPT2)
    expected = tuple(m.name for m in modules if check_target_module_exists(peft, m.name))
    if expected:
        assert resolve("mine", mine=names)[0] == expected
    else:
        with pytest.raises(UserError):
            resolve("mine", mine=names)


def test_the_same_work_is_one_run() -> None:
    plan = make_plan(study({"rank": [8, 16], "alpha": [16, "2r", "r"]}), GPT2)
    assert plan.run_of == [0, 0, 1, 2, 3, 2]
    assert [run.label for run in plan.runs] == [
        *("r8 lr1e-3 attn alpha16", "r8 lr1e-3 attn alpha8"),
        *("r16 lr1e-3 attn alpha16", "r16 lr1e-3 attn alpha32"),
    ]
    assert "2 of 6 configurations share another's run" in plan.warnings[0]


def test_labels_name_the_other_axes_where_they_vary() -> None:
    grid = {"lr": [2.5e-4, 7e-5], "dropout": [0.0, 0.1], "seed": [0, 1], "alpha": [8, 16]}
    labels = [run.label for run in make_plan(study(grid), GPT2).runs]
    assert "r8 lr2.5e-4 attn alpha16 drop0.1 seed1" in labels
    assert "r8 lr7e-5 attn alpha8 drop0 seed0" in labels
    assert [run.label for run in make_plan(study({"lr": 1.0}), GPT2).runs] == ["r8 lr1 attn"]


def test_scalings_and_ratios_are_labelled_where_they_vary() -> None:
    grid = {"rank": [4, 16], "alpha": 8, "scaling": ["standard", "rslora"], "lr_ratio": [1.0, 16.0]}
    runs = {run.label: run for run in make_plan(study(grid), GPT2).runs}
    assert len(runs) == 8
    assert runs["r16 lr1e-3 attn rslora ratio16"].scale == 2.0
    assert runs["r16 lr1e-3 attn standard ratio1"].scale == 0.5
    (one,) = make_plan(study({"rank": 16, "alpha": 8, "scaling": "rslora"}), GPT2).runs
    assert (one.label, one.scale) == ("r16 lr1e-3 attn", 2.0)


def test_runs_of_one_scale_are_one_run_however_it_is_written() -> None:
    grids = {"rank": 16, "alpha": 16}, {"rank": 16, "alpha": 4, "scaling": "rslora"}
    plan = make_plan(study(*grids), GPT2)
    assert (plan.run_of, plan.runs[0].scale) == ([0, 0], 1.0)
    assert make_plan(study({"rank": 1, "scaling": ["standard", "rslora"]}), GPT2).run_of == [0, 0]


def test_full_fine_tunings_are_packs_of_their_own() -> None:
    grids = {"rank": [4, 8], "alpha": "2r"}, {"method": "full", "lr": [1e-5, 2e-5, 1e-3]}
    plan = make_plan(study(*grids, {"method": "full", "lr": 1e-5}), GPT2)
    assert [run.label for run in plan.runs] == [
        *("r4 lr1e-3 attn", "r8 lr1e-3 attn"),
        *("full lr1e-5", "full lr2e-5", "full lr1e-3"),
    ]
    assert plan.run_of == [0, 1, 2, 3, 4, 2]
    assert [len(pack.runs) for pack in plan.packs] == [2, 1, 1, 1]
    one = plan.runs[2]
    assert (one.modules, one.trainable_parameters, one.scale) == ((), 124_439_808, None)
    repeats, rates = plan.warnings
    assert (
        repeats == "1 of 6 configurations share another's run: 1 of targets 'full' repeat "
        "runs of 'full'"
    )
    assert rates.endswith("1e-6 to 2e-4, where full fine-tuning usually trains well: 1e-3")
    json.dumps(plan_json(plan))


def test_packs_hold_one_seed_and_alike_runs() -> None:
    grid = {"rank": [4, 64], "targets": ["attn", "mlp"], "seed": [0, 1], "lr": [1e-3, 2e-3]}
    packs = make_plan(study(grid, lanes=3), GPT2).packs
    assert [pack.id for pack in packs] == [f"pack-{i}" for i in range(6)]
    assert [len(pack.runs) for pack in packs] == [2, 3, 3, 2, 3, 3]
    assert all(len({run.configuration.seed for run in pack.runs}) == 1 for pack in packs)
    order = [(run.configuration.targets, run.configuration.rank) for run in packs[1].runs]
    assert order == [("attn", 64), ("attn", 64), ("mlp", 4)]


def test_a_card_trains_more_lanes_at_once() -> None:
    loaded = study({"rank": [4, 8], "lr": [n * 1e-5 for n in range(1, 26)]})
    assert [len(pack.runs) for pack in make_plan(loaded, GPT2, "cuda").packs] == [25, 25]
    assert len(make_plan(loaded, GPT2).packs) == 13


@settings(max_examples=50)
@given(
    rank=st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
    lr=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=3, unique=True),
    targets=st.lists(
        st.sampled_from(["attn", "mlp", "attn_mlp", "c_proj", "twin"]),
        min_size=1, max_size=3, unique=True,
    ),
    alpha=st.lists(
        st.sampled_from([1.0, 16, 0.1234567, 12345678.5, "r", "2r"]),
        min_size=1, max_size=3, unique=True,
    ),
    seed=st.lists(st.integers(-1, 2), min_size=1, max_size=2, unique=True),
    lanes=st.one_of(st.just("auto"), st.integers(1, 5)),
)  # fmt: skip
def test_every_configuration_has_its_run_in_one_pack(
    rank: list[int],
    lr: list[float],
    targets: list[str],
    alpha: list[float | str],
    seed: list[int],
    lanes: int | str,
) -> None:
    grid = {"rank": rank, "lr": lr, "targets": targets, "alpha": alpha, "seed": seed}
    plan = make_plan(study(grid, lanes=lanes, targets={"twin": ["attn.c_attn", "c_proj"]}), GPT2)
    packed = [run for pack in plan.packs for run in pack.runs]
    assert sorted(r.label for r in packed) == sorted({r.label for r in plan.runs})
    assert len(packed) == len(plan.runs)
    limit = 4 if lanes == "auto" else lanes
    assert all(1 <= len(pack.runs) <= limit for pack in plan.packs)
    for point, index in zip(plan.configurations, plan.run_of, strict=True):
        run = plan.runs[index]
        assert (point.rank, point.lr) == (run.configuration.rank, run.configuration.lr)
        assert resolve_alpha(point.alpha, point.rank) == run.configuration.alpha
        assert run.modules == resolve(point.targets, twin=["attn.c_attn", "c_proj"])[0]


def test_a_rank_ablation_with_a_fixed_scale_is_not_warned_of() -> None:
    assert make_plan(study({"rank": [4, 8], "alpha": "2r"}), GPT2).warnings == []
    assert make_plan(study({"rank": 4, "alpha": 8}, {"rank": 8, "alpha": 16}), GPT2).warnings == []


def test_unusual_learning_rates_are_warned_of() -> None:
    (warning,) = make_plan(study({"lr": [1e-5, 5e-3, 0.1, 2e-6]}), GPT2).warnings
    assert warning.endswith("2e-6, 1e-1")


def test_plan_json_names_each_configurations_run(report75: Plan) -> None:
    out = json.loads(json.dumps(plan_json(report75)))
    assert out["study"] == "report75"
    assert [len(out[key]) for key in ("configurations", "runs", "packs")] == [75, 50, 13]
    assert out["warnings"] == report75.warnings
    attn_qv = next(c for c in out["configurations"] if c["targets"] == "attn_qv")
    assert attn_qv["run"] == "r4 lr7e-5 attn"
    labels = [label for pack in out["packs"] for label in pack["runs"]]
    assert sorted(labels) == sorted(run["label"] for run in out["runs"])
    assert all(run["pack"] in {pack["id"] for pack in out["packs"]} for run in out["runs"])


def test_alpha_is_as_written_in_configurations_and_a_number_in_runs() -> None:
    out = plan_json(make_plan(study({"rank": 4, "alpha": "2r"}), GPT2))
    assert out["configurations"][0]["alpha"] == "2r"
    assert out["runs"][0]["configuration"]["alpha"] == 8.0
    assert out["runs"][0]["scale"] == 2.0


def test_planning_imports_neither_torch_nor_transformers() -> None:
    code = """
import sys
from lorasweep.study import plan
from lorasweep.hub import models
from lorasweep.study.study import Study
for name in ("report75", "full-vs-lora"):
    study = Study.load(name)
    plan.plan_json(plan.make_plan(study, models.read_config(study.model.base)))
print([m for m in ("torch", "transformers", "pandas", "scipy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
