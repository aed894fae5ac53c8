import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from lorasweep.errors import UserError
from lorasweep.running.prepare import Prepared, prepare, run_ids
from lorasweep.running.reach import unreachable_warnings


def ids(file: Path, *overrides: str, precision: str = "fp32") -> list[str]:
    found = prepare(tiny.load(file, *overrides))
    return run_ids(found.plan, found.facts, precision)


def refusal(file: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        prepare(tiny.load(file, *overrides))
    return str(caught.value)


def write_squad(path: Path, num_articles: int = 2) -> Path:
    articles = [
        {
            "title": f"A{n}",
            "paragraphs": [
                {
                    "context": f"Bo lives in town {n}.",
                    "qas": [
                        {
                            "id": f"a{n}",
                            "question": "Who lives there?",
                            "answers": [{"text": "Bo", "answer_start": 0}],
                        }
                    ],
                }
            ],
        }
        for n in range(num_articles)
    ]
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return path


def test_train_and_evaluation_questions_have_trees_and_cards(prepared: Prepared) -> None:
    assert set(prepared.cards) == {"train", "eval"}
    for role, card in prepared.cards.items():
        trees = prepared.sets[role].forest.trees
        assert card.questions == sum(len(tree.branches) for tree in trees) > 0
        assert card.trunk_tokens == sum(len(tree.trunk_ids) for tree in trees)
        assert card.answer_tokens == sum(tree.num_answer_tokens for tree in trees)
        assert max(len(t.trunk_ids) + len(b.input_ids) for t in trees for b in t.branches) <= 512
        whole = (len(t.trunk_ids + b.prompt_ids + b.answer_ids) for t in trees for b in t.branches)
        assert card.longest_tokens == max(whole)
    assert prepared.folder.is_dir()


def test_contexts_that_are_trained_on_too_are_counted(prepared: Prepared, file: Path) -> None:
    assert prepared.cards["train"].shared_contexts is None
    assert prepared.cards["eval"].shared_contexts == 0
    leaking = prepare(tiny.load(file, "data.split=question", "data.num_train=200"))
    assert (leaking.cards["eval"].shared_contexts or 0) > 0


def test_no_article_is_trained_and_scored_on(prepared: Prepared) -> None:
    train, evaluation = (
        {p.source for p in prepared.sets[role].data.groups} for role in ("train", "eval")
    )
    assert not train & evaluation


def test_room_is_kept_for_the_answers_that_are_generated(file: Path, prepared: Prepared) -> None:
    longer = prepare(tiny.load(file, "evaluate.max_new_tokens=20"))
    assert longer.cards["eval"].too_long > prepared.cards["eval"].too_long
    assert longer.cards["train"] == prepared.cards["train"]
    assert any("eval questions are longer than 512 tokens" in w for w in longer.warnings)


def test_test_questions_are_prepared_where_there_are_sources(file: Path, tmp_path: Path) -> None:
    source = write_squad(tmp_path / "test.json")
    found = prepare(tiny.load(file, f"data.test={source}"))
    assert found.cards["test"].questions == 2
    assert found.cards["test"].sources == [str(source)]


@pytest.mark.parametrize(
    "override",
    [
        "name=another", "pack.lanes=1", "pack.lanes=4", "evaluate.max_new_tokens=2",
        'data.too_long="skip"', "recipe.micro_batch=64", 'model.precision="auto"',
        "data.num_eval=5",
    ],
)  # fmt: skip
def test_run_ids_stay_where_results_of_training_do(file: Path, override: str) -> None:
    assert ids(file, override) == ids(file)


def test_run_ids_do_not_depend_on_the_names_of_target_sets(file: Path) -> None:
    named = ids(file, 'targets.mine=["attn.c_proj", "attn.c_attn"]', "grid.targets=mine")
    assert named == ids(file)


def test_run_ids_do_not_depend_on_how_alpha_is_written(file: Path) -> None:
    assert ids(file, "grid.rank=4", "grid.alpha=8") == ids(file, "grid.rank=4", 'grid.alpha="2r"')


@pytest.mark.parametrize(
    "override",
    [
        "recipe.epochs=2", "recipe.batch_size=4", "recipe.warmup=0.1", "recipe.weight_decay=0.0",
        "recipe.max_grad_norm=2.0", 'recipe.schedule="constant"', "data.seed=1",
        "data.num_train=40", 'data.prompt="{context} {question} Answer:"', "data.max_tokens=500",
        "grid.targets=mlp", "grid.rank=[3, 5]", "grid.lr=[1e-4, 2e-4]", 'grid.alpha="3r"',
        "grid.dropout=0.1", "grid.seed=1", "grid.lr_ratio=16", 'grid.scaling="rslora"',
    ],
)  # fmt: skip
def test_run_ids_change_with_all_that_decides_a_result(file: Path, override: str) -> None:
    changed = ids(file, override)
    assert len(set(changed)) == 4
    assert not set(changed) & set(ids(file))


def test_run_ids_change_with_precision(file: Path) -> None:
    assert not set(ids(file, precision="bf16")) & set(ids(file))


def test_run_ids_change_with_the_models_files(
    file: Path, tmp_path: Path, make_model: Callable[..., Any], tokenizer: Any
) -> None:
    other = tiny.write_study(tmp_path, make_model("gpt2", n_layer=1), tokenizer)
    assert not set(ids(other)) & set(ids(file))
    same = tmp_path / "same"
    same.mkdir()
    assert ids(tiny.write_study(same, make_model("gpt2"), tokenizer)) == ids(file)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.max_tokens=1024", "data.max_tokens = 1024: .*model knows 512 positions"),
        ("data.max_tokens=20", "data.train: no question fits data.max_tokens = 20"),
        ("evaluate.max_new_tokens=512", "data.eval: no question fits data.max_tokens = 512"),
        ('data.too_long="error"', r'longer than data.max_tokens = 512 .*data.too_long = "skip"'),
        ("grid.targets=q_proj", "targets 'q_proj': no linear module .* attn.c_attn, attn.c_proj"),
        ("data.train=nothing.json", "no file nothing.json"),
        ("data.train=nothing", "data source 'nothing' is none of"),
        ("model.base=nothing", "no model 'nothing': no such folder or alias"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(file: Path, override: str, said: str) -> None:
    text = refusal(file, override)
    assert re.search(said, text)
    assert "\n" not in text


def test_as_many_training_questions_as_evaluation_ones_are_kept_to_measure_losses_on(
    file: Path, prepared: Prepared
) -> None:
    for few in (prepared, prepare(tiny.load(file, "data.num_eval=3", "data.num_train=40"))):
        train, evaluation = few.sets["train"].forest, few.sets["eval"].forest
        again = few.sets["train_sample"].forest
        most = max(len(tree.branches) for tree in train.trees)
        assert set(again.trees) <= set(train.trees)
        wanted = min(evaluation.num_questions, train.num_questions)
        assert wanted <= again.num_questions < wanted + most or again.trees == train.trees


def test_questions_drawn_one_by_one_are_sampled_one_by_one(file: Path) -> None:
    sets = prepare(tiny.load(file, "data.sample=question", "data.num_eval=3")).sets
    again, evaluation = sets["train_sample"].forest, sets["eval"].forest
    assert again.num_questions == evaluation.num_questions


def write_rows(path: Path, *rows: tuple[str, str]) -> str:
    """Write a context with an answer each; return the path."""
    lines = [json.dumps({"context": c, "question": "What?", "answers": a}) for c, a in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return json.dumps(str(path))


def test_references_that_no_answer_can_equal_are_counted(file: Path, tmp_path: Path) -> None:
    long, broken = "one two three four five six", "Take one.\nStir."
    train = write_rows(tmp_path / "train.jsonl", ("Bo is here.", "Bo"))
    rows = [("Bo.", "Bo"), (f"It is {long}.", long), (broken, broken)]
    evaluation = write_rows(tmp_path / "eval.jsonl", *rows)
    sources = [f"data.train={train}", f"data.eval={evaluation}", f"data.test={evaluation}"]
    warnings = prepare(tiny.load(file, *sources)).warnings
    for role in ("eval", "test"):
        assert (
            f"1 of 3 {role} references hold a line break, where an answer ends: no answer equals "
            f"them (such as {json.dumps(broken)})"
        ) in warnings
        (cut,) = (w for w in warnings if re.match(f"1 of 3 {role} .* take more", w))
        assert re.search(
            r"more than evaluate\.max_new_tokens = 3 tokens, .* longest takes \d+$", cut
        )
    assert not [warning for warning in warnings if "train references" in warning]
    assert not [w for w in prepare(tiny.load(file)).warnings if "line break" in w]


class WordsOf:
    """A tokenizer that knows few words and gives [UNK] for others."""

    def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [[int(word == "Bo") for word in text.split()] for text in texts]}

    def decode(self, ids: list[int], clean_up_tokenization_spaces: bool) -> str:
        return " ".join(("[UNK]", "Bo")[number] for number in ids)


def test_characters_that_a_tokenizer_lacks_are_counted(file: Path, tmp_path: Path) -> None:
    rows = [("Bo and Żak.", "Bo"), ("Bo and Żak.", "Żak")]
    source = write_rows(tmp_path / "rows.jsonl", *rows)
    sets = prepare(tiny.load(file, f"data.train={source}", f"data.eval={source}")).sets
    (said,) = unreachable_warnings(sets, WordsOf(), 3)
    assert said.startswith("1 of 2 eval references hold characters that the model's tokenizer")
    assert said.endswith('(such as "Żak")')


def test_a_study_knows_how_its_data_were_split(file: Path, tmp_path: Path) -> None:
    assert prepare(tiny.load(file)).study.data.split == "article"
    rows = write_rows(tmp_path / "rows.jsonl", *[(f"Bo {n}.", "Bo") for n in range(4)])
    assert prepare(tiny.load(file, f"data.train={rows}")).study.data.split == "paragraph"
    own = prepare(tiny.load(file, f"data.train={rows}", f"data.eval={rows}"))
    assert own.study.data.split == "auto"


def test_clusters_by_article_need_several(file: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", *[(f"Bo {n}.", "Bo") for n in range(4)])
    flags = [f"data.train={rows}", "evaluate.clusters=article"]
    said = [w for w in prepare(tiny.load(file, *flags)).warnings if "evaluate.clusters" in w]
    assert len(said) == 1
    flags = ["evaluate.clusters=article", "data.num_eval=60"]
    assert not [w for w in prepare(tiny.load(file, *flags)).warnings if "evaluate.clusters" in w]


@pytest.mark.parametrize("added", ["a word", "the end"])
def test_a_token_that_the_model_has_no_row_for_is_named(
    tmp_path: Path, make_model: Callable[..., Any], tokenizer: Any, added: str
) -> None:
    """As after add_tokens or a new end token without resize_token_embeddings."""
    wider = copy.deepcopy(tokenizer)
    if added == "a word":
        wider.add_tokens(["Velmora"])
    else:
        wider.add_special_tokens({"eos_token": "Velmora"})
    file = tiny.write_study(tmp_path, make_model("gpt2"), wider)
    train = write_rows(tmp_path / "own.jsonl", ("A town is Velmora.", "Velmora"))
    with pytest.raises(UserError, match=r"token 'Velmora' is 600, and the model has 600 rows"):
        prepare(tiny.load(file, f"data.train={train}", f"data.eval={train}"))
