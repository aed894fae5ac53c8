import json
import re
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lorasweep.errors import UserError, nearest
from lorasweep.hub.models import read_config
from lorasweep.study.faults import SECTIONS, shown
from lorasweep.study.fingerprint import canonical_json, fingerprint
from lorasweep.study.forms import PROMPT
from lorasweep.study.grid import resolve_alpha
from lorasweep.study.plan import make_plan, plan_json
from lorasweep.study.study import Study, shipped_studies
from lorasweep.study.synonyms import SYNONYMS

SMALL = """
name = "small"
[model]
base = "gpt2"
[data]
train = "bundled"
[[grid]]
"""
TWO_GRIDS = SMALL + "rank = 4\n[[grid]]\nrank = 8\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def message(source: str | Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        Study.load(source, overrides)
    return str(caught.value)


def test_defaults_are_those_of_the_schema(file: Path) -> None:
    study = Study.load(file)
    assert study.data.prompt == PROMPT
    assert study.data.train == ["bundled"]
    assert study.evaluate.decoders == ["greedy"]
    (point,) = study.configurations()
    assert point.model_dump() == {
        "method": "lora", "targets": "attn", "rank": 8, "lr": 1e-3, "alpha": 16.0,
        "dropout": 0.0, "seed": 0, "scaling": "standard", "lr_ratio": 1.0,
    }  # fmt: skip


def test_a_study_is_written_back_without_a_warning_and_read_as_the_same(file: Path) -> None:
    study = Study.load(file)
    dumped = study.model_dump(mode="json")
    assert Study.parse(json.loads(canonical_json(dumped))) == study


def test_configurations_are_the_product_of_the_axes_table_by_table(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(SMALL + 'rank = [2, 4]\nlr = [1e-4, 1e-3]\n[[grid]]\ntargets = "mlp"\n')
    points = Study.load(path).configurations()
    assert [(p.targets, p.rank, p.lr) for p in points] == [
        ("attn", 2, 1e-4), ("attn", 2, 1e-3), ("attn", 4, 1e-4), ("attn", 4, 1e-3),
        ("mlp", 8, 1e-3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("nme=1", "unknown key 'nme'; did you mean 'name'?"),
        ("grid.rnk=4", "unknown key 'grid.0.rnk'; did you mean 'rank'?"),
        ("recipe.epoch=4", "unknown key 'recipe.epoch'; did you mean 'epochs'?"),
        ("pack.zzz=4", "unknown key 'pack.zzz'; known: "),
        ('grid.rank="4"', "grid.0.rank.0 = '4': expected a whole number above 0; a number"),
        ("grid.rank=4.0", "grid.0.rank.0 = 4.0: expected a whole number above 0"),
        ("grid.rank=true", "grid.0.rank.0 = true: expected a whole number above 0"),
        ("grid.rank=0", "grid.0.rank.0 = 0: expected a whole number above 0"),
        ("grid.rank=[]", "grid.0.rank = []: expected at least one value: a whole number"),
        ("grid.rank=[4, 8, 4]", "grid.0.rank = [4, 8, 4]: a value occurs twice"),
        ("grid.alpha=[16, 16.0]", "a value occurs twice"),
        ("grid.lr=0", "grid.0.lr.0 = 0: expected a number above 0"),
        ("grid.lr=inf", "grid.0.lr.0 = inf: expected a number above 0"),
        ("grid.dropout=1.0", "grid.0.dropout.0 = 1.0: expected a share from 0 to below 1"),
        ("grid.scaling=dora", "grid.0.scaling.0 = 'dora': expected \"standard\" or \"rslora\""),
        ("grid.lr_ratio=0", "grid.0.lr_ratio.0 = 0: expected a number above 0"),
        ("grid.method=dora", "grid.0.method = 'dora': expected \"lora\" or \"full\""),
        ("grid=5", "grid = 5: expected a table [[grid]], or several"),
        ("grid=[]", "grid = []: expected at least one value: a table [[grid]]"),
        ("data.train=[]", "data.train = []: expected at least one value: files, "),
        ("data.seed=1999-01-01", "data.seed = 1999-01-01: expected a whole number"),
        ("recipe.warmup=1.0", "recipe.warmup = 1.0: expected a share of the steps, from 0"),
        ("recipe.micro_batch=many", 'recipe.micro_batch = \'many\': expected a whole number'),
        ("pack.lanes=0", 'pack.lanes = 0: expected a whole number above 0, or "auto"'),
        ("evaluate.decoders=[]", "evaluate.decoders = []: expected at least one value: decoders"),
        ("evaluate.decoders=[\"beam\"]", "decoders = ['beam']: no decoder 'beam'; did you mean '"),
        ("evaluate.decoders=[\"top_k(10)\"]", "no decoder 'top_k(10)'; did you mean 'top-k-10'?"),
        ("evaluate.decoders=[\"span\"]", '"greedy" cannot be left out: runs are ranked by it'),
        ("evaluate.decoders=[\"greedy\", \"span\", \"span\"]", "a value occurs twice"),
        ("evaluate.draws=0", "evaluate.draws = 0: expected a whole number above 0"),
        ("targets.mine=[]", "targets.mine = []: expected at least one value: modules' names"),
        ('name="a b"', "such as \"a-b\""),
        ('name=".."', "such as \"my-study\""),
        ('data.prompt="{context}"', "the prompt needs {question} exactly once"),
        ('data.prompt="{question}{question}{context}"', "the prompt needs {question} exactly once"),
        ('data.prompt="{question} {context}"', "the prompt has the context after the question"),
        ('data.prompt="{context} {question} "', "the prompt ends in white space"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_message_with_its_place(file: Path, override: str, said: str) -> None:
    text = message(file, override)
    assert text.startswith(f"{file}: ")
    assert said in text
    assert "\n" not in text


def test_full_fine_tuning_has_no_axes_of_lora(tmp_path: Path) -> None:
    path = tmp_path / "full.toml"
    path.write_text(SMALL + 'rank = 4\n[[grid]]\nmethod = "full"\nseed = [0, 1]\n')
    study = Study.load(path)
    _, *points = study.configurations()
    nothing = dict.fromkeys(("targets", "rank", "alpha", "dropout", "scaling", "lr_ratio"))
    assert [p.model_dump() for p in points] == [
        {"method": "full", "lr": 2e-5, "seed": seed, **nothing} for seed in (0, 1)
    ]
    assert Study.parse(json.loads(canonical_json(study.model_dump(mode="json")))) == study
    for key in nothing:
        text = message(path, f"grid.1.{key}=1")
        assert text == f"{path}: grid.1.{key} = 1: full fine-tuning has no {key}"


@pytest.mark.parametrize("alpha", ['"3x"', '"0r"', '"2r "', '"-1r"', '"2r\\n"', "0", "-16", "nan",
                                   "inf", "true", '"1' + "0" * 400 + 'r"'])  # fmt: skip
def test_alpha_is_positive_and_a_number_or_a_multiple_of_the_rank(file: Path, alpha: str) -> None:
    text = message(file, f"grid.alpha={alpha}")
    assert 'alpha is a number above 0, or a multiple of the rank such as "2r"' in text
    assert "grid.0.alpha.0" in text


@pytest.mark.parametrize("section", ["model", "data", "grid"])
def test_a_missing_section_is_named(tmp_path: Path, section: str) -> None:
    kept = [part for part in SMALL.strip().split("\n[") if not part.strip("[").startswith(section)]
    path = tmp_path / "lacking.toml"
    path.write_text("\n[".join(kept))
    assert message(path) == f"{path}: {section!r} is missing"


def test_all_errors_are_told_at_once(file: Path) -> None:
    lines = message(file, "grid.rnk=4", "recipe.epochs=0").splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{file}: ") for line in lines)


def test_the_file_itself_may_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("name = ")
    assert "x.toml: not valid TOML" in message(path)
    path.write_bytes(b"\xff\xfe")
    assert "x.toml: not a text file in UTF-8" in message(path)
    assert "did you mean 'quickstart'?" in message("quikstart")
    assert "known: full-vs-lora, quickstart" in message(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("grid.rank=[2, 4]", ("grid", 0, "rank"), [2, 4]),
        ("grid.0.rank=2", ("grid", 0, "rank"), [2]),
        ("grid.targets=attn.c_attn", ("grid", 0, "targets"), ["attn.c_attn"]),
        ("data.train=my file.json", ("data", "train"), ["my file.json"]),
        ("data.num_train=7", ("data", "num_train"), 7),
        ("recipe.epochs=2", ("recipe", "epochs"), 2),
        ("name=other", ("name",), "other"),
        ('targets.mine=["c_fc"]', ("targets", "mine"), ["c_fc"]),
    ],
)
def test_overrides_replace_or_add_one_value(
    file: Path, override: str, path: tuple[Any, ...], value: Any
) -> None:
    found: Any = Study.load(file, [override]).model_dump()
    for key in path:
        found = found[key]
    assert found == value


def test_later_overrides_win(file: Path) -> None:
    assert Study.load(file, ["grid.rank=2", "grid.rank=3"]).grid[0].rank == [3]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("foo", "--set foo: expected section.key=value"),
        ("name.x=1", "--set name.x=1: 'name' is a value, not a table"),
        ("grid.rank.x=1", "--set grid.rank.x=1: 'rank' is a value, not a table"),
        ("targets.mine.0=x", "--set targets.mine.0=x: 'mine' is a value, not a table"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(
    tmp_path: Path, override: str, said: str
) -> None:
    path = tmp_path / "lists.toml"
    path.write_text(SMALL + 'rank = [4]\n[targets]\nmine = ["c_fc"]\n')
    assert message(path, override) == said


def test_with_several_grid_tables_the_override_says_which(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(TWO_GRIDS)
    assert "there are 2 [[grid]] tables; say which: grid.0.key to grid.1.key" in message(
        path, "grid.rank=2"
    )
    assert [g.rank for g in Study.load(path, ["grid.1.rank=2"]).grid] == [[4], [2]]
    assert "there are 2 [[grid]] tables" in message(path, "grid.2.rank=2")


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_decodes_and_plans(name: str) -> None:
    study = Study.load(name)
    plan = make_plan(study, read_config(study.model.base))
    assert study.name == name
    assert plan.runs
    assert json.loads(json.dumps(plan_json(plan), allow_nan=False))["study"] == name


def test_canonical_json_does_not_depend_on_order_and_refuses_nan() -> None:
    assert canonical_json({"b": [1, 0.001], "a": "é"}) == '{"a":"\\u00e9","b":[1,0.001]}'
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_fingerprints_do_not_change_between_versions() -> None:
    assert fingerprint({"a": 1, "b": [1e-3, None, "x"]}) == "54937e441645"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=50)
@given(json_values)
def test_canonical_json_round_trips(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def axis(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3, unique=True)


positive = st.floats(min_value=1e-8, max_value=1e3)
grids = st.fixed_dictionaries(
    {},
    optional={
        "targets": axis(st.sampled_from(["attn", "mlp", "c_fc"])),
        "rank": axis(st.integers(1, 512)),
        "lr": axis(positive),
        "alpha": axis(st.sampled_from(["r", "2r", "0.5r"])) | axis(positive),
        "dropout": axis(st.floats(min_value=0, max_value=0.9)),
        "seed": axis(st.integers(-5, 5)),
    },
)


@settings(max_examples=60)
@given(st.lists(grids, min_size=1, max_size=2))
@example([{"alpha": 16}])
@example([{"alpha": [16, "2r"]}])
def test_any_grid_round_trips_through_json(tables: list[dict[str, Any]]) -> None:
    study = Study.parse(
        {"name": "g", "model": {"base": "gpt2"}, "data": {"train": "bundled"}, "grid": tables}
    )
    again = Study.parse(json.loads(canonical_json(study.model_dump(mode="json"))))
    assert again == study
    assert again.configurations() == study.configurations()
    assert len(study.configurations()) == sum(
        len(g.targets) * len(g.rank) * len(g.lr) * len(g.alpha) * len(g.dropout) * len(g.seed)
        for g in study.grid
    )
    assert all(resolve_alpha(p.alpha, p.rank) > 0 for p in study.configurations())


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20))
def test_a_model_name_is_taken_as_a_string_or_as_the_toml_that_it_is(text: str) -> None:
    override = f"model.base={text}"
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if isinstance(value, str):
        assert Study.load("quickstart", [override]).model.base == value
    else:
        assert "model.base = " in message("quickstart", override)


def test_resolve_alpha() -> None:
    assert resolve_alpha(16, 4) == 16.0
    assert resolve_alpha("r", 4) == 4.0
    assert resolve_alpha("2r", 4) == 8.0
    assert resolve_alpha("0.5r", 4) == 2.0


def test_nearest_says_what_is_meant_or_what_is_known() -> None:
    assert nearest("rnk", ["rank", "lr"]) == "; did you mean 'rank'?"
    assert nearest("zzz", ["rank", "lr"]) == "; known: lr, rank"
    assert nearest("zzz", []) == ""


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipe.learning_rate=1e-3", "unknown key 'recipe.learning_rate'; here that is lr in [[g"),
        ("grid.r=8", "unknown key 'grid.0.r'; here that is rank in [[grid]]"),
        ("grid.lora_alpha=8", "; here that is alpha in [[grid]]"),
        ("grid.lora_dropout=0.1", "; here that is dropout in [[grid]]"),
        ("grid.target_modules=q_proj", "; here that is targets in [[grid]]"),
        ("recipe.num_train_epochs=8", "; here that is epochs in [recipe]"),
        ("recipe.per_device_train_batch_size=8", "; here that is batch_size: of all devices in"),
        ("recipe.gradient_accumulation_steps=8", "; here that is micro_batch"),
        ("recipe.warmup-ratio=0.1", "; here that is warmup in [recipe]"),
        ("recipe.lr_scheduler_type=cosine", "; here that is schedule in [recipe]"),
        ("data.max_seq_length=512", "; here that is max_tokens in [data]"),
        ("recipe.output_dir=x", "; here that is the folder of the command line's --out"),
        ("recipe.lr=1e-3", "unknown key 'recipe.lr'; it belongs to [[grid]]"),
        ("seed=1", "unknown key 'seed'; it belongs to [data] or [[grid]] or [evaluate]"),
        ("data.num_train=all", "= 'all': expected a whole number above 0; left out, all examples"),
        ("grid.rank=4,8", "; several values are a list, such as [1, 2]"),
        ("model.precision=bf61", "; did you mean 'bf16'?"),
        ("grid.rank=1" + "0" * 30, "expected a whole number above 0 and below 2,147,483,648"),
        ("recipe.epochs=10000000", "expected a whole number from 1 to 100,000"),
        ('name="my study"', 'no spaces, at most 100; such as "my-study"'),
        ("grid.3.rank=4", "there is one [[grid]] table"),
        ("=4", "--set =4: expected section.key=value"),
        ("data.num_test=4", "data: num_test is given, but there is no test set"),
    ],
)
def test_a_message_says_what_is_meant(file: Path, override: str, said: str) -> None:
    text = message(file, override)
    assert said in text
    assert "\n" not in text


def test_one_value_stands_for_a_list_of_one(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text(
        SMALL.replace("[[grid]]", "[grid]\nrank = 2\n[race]\nrungs = 0.5\n[evaluate]\n")
        + 'decoders = "greedy"\n[targets]\nmine = "attn.c_attn"\n'
    )
    study = Study.load(path, ["grid.0.lr=1e-4", "grid.seed=1"])
    (point,) = study.configurations()
    assert (point.rank, point.lr, point.seed) == (2, 1e-4, 1)
    assert study.evaluate.decoders == ["greedy"]
    assert study.race is not None
    assert study.race.rungs == [0.5]
    assert study.targets == {"mine": ["attn.c_attn"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: my-study\nmodel:\n  base: gpt2\n", "this is YAML, and a study is TOML"),
        ("# a study\n---\n- name: x\n", "this is YAML"),
        ('{"name": "x"}\n{"name": "y"}\n', "this is JSON, and a study is TOML"),
        ("[{}]", "this is JSON"),
        ("name = ", "not valid TOML"),
        ("[model\n", "not valid TOML"),
    ],
)
def test_a_file_in_another_language_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(content)
    assert f"{path}: {said}" in message(path)


def test_a_byte_order_mark_is_read(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert Study.load(path).name == "small"


def test_a_study_beside_is_named(tmp_path: Path, file: Path) -> None:
    assert "did you mean 'small.toml'?" in message(tmp_path / "smal.toml")
    assert "did you mean 'small.toml'?" in message(tmp_path / "small")
    assert "a folder, where a study's file is expected" in message(tmp_path)


@pytest.mark.parametrize(
    "name", ["\x1bset", "a\nb", "a\x00", "\u202eset", "\ufffe", " ", "x" * 101]
)
def test_what_a_set_cannot_be_called(name: str) -> None:
    with pytest.raises(UserError, match="a set's name has"):
        Study.parse(smallest({"targets": {name: ["c_fc"]}}))
    assert Study.parse(smallest({"targets": {"توجه‌ها ۱": ["c_fc"]}})).targets


def smallest(tables: dict[str, Any]) -> dict[str, Any]:
    return {"name": "s", "model": {"base": "gpt2"}, "data": {"train": "x"}, "grid": [{}], **tables}


WRONG = (
    5,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    10**40,
    True,
    "",
    "all",
    "\x1b[31m",
    "x" * 999,
    [],
    [None],
    [[]],
    {},
    {"a": 1},
    date(2000, 1, 1),
    datetime(2000, 1, 1),
    time(1),
    None,
)
FIELDS = [
    (name, key)
    for name, section in [("", Study), *SECTIONS.items()]
    for key in section.model_fields
]  # fmt: skip
NOT_OURS = re.compile(
    r"[Ii]nput should|[Vv]alid|Extra inputs|https?:|pydantic|\bshould\b|instance|dictionary|None"
)


@pytest.mark.parametrize(("section", "key"), FIELDS)
def test_whatever_is_wrong_is_said_in_our_own_words(section: str, key: str) -> None:
    """One line a fault, which names the place, and nothing of the library that finds it."""
    required = {"data": {"train": "x"}, "model": {"base": "gpt2"}}.get(section, {})
    for value in WRONG:
        table = {section: {**required, key: value}} if section else {key: value}
        for line in faults_of(smallest(table)):
            assert re.match(r"x\.toml: ('?[\w.]|unknown key)", line)
            said = line.replace(f" = {shown(value)}", "").replace(" = None", "")
            assert not NOT_OURS.search(said), line
            assert len(line) < 400
            assert line.isprintable()


def faults_of(tables: dict[str, Any]) -> list[str]:
    try:
        Study.parse(tables, "x.toml")
    except UserError as error:
        return str(error).splitlines()
    return []


def test_every_field_says_what_it_expects() -> None:
    models = [Study, *SECTIONS.values()]
    assert all(field.description for model in models for field in model.model_fields.values())


def test_every_synonym_names_a_key_that_there_is() -> None:
    for theirs, ours in SYNONYMS.items():
        section, _, key = ours.split(":")[0].split(",")[0].partition(".")
        assert section not in SECTIONS or key in SECTIONS[section].model_fields, theirs
        known = SECTIONS.get(section, Study).model_fields
        assert theirs not in known, f"{theirs} is a key of ours"
