"""What people call runs."""

from pathlib import Path

import pytest

import tiny
from lorasweep.analysis.naming import id_called, run_ids_called
from lorasweep.errors import UserError
from lorasweep.folder.store import Store

NAMES = {
    "27aa": "r16 lr2e-3 attn",
    "27bb": "r16 lr2e-3 attn_mlp",
    "31cc": "r4 lr2e-3 attn",
    "40dd": "r40 lr2e-3 attn",
    "ba5e": "imported friend",
}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("31cc", "31cc"),
        ("3", "31cc"),
        ("31CC", "31cc"),
        ("r16 lr2e-3 attn", "27aa"),
        ("R16 LR2E-3 Attn", "27aa"),
        ("r16  lr2e-3 attn ", "27aa"),
        ("r16 lr2e-3 attn_", "27bb"),
        ("r4", "31cc"),
        ("r40", "40dd"),
        ("imp", "ba5e"),
        ("best", "31cc"),
        ("Best", "31cc"),
    ],
)
def test_a_name_means_one_run(name: str, meant: str) -> None:
    assert id_called(name, NAMES, "tiny", best="31cc") == meant


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("27", "'27' in tiny may be 'r16 lr2e-3 attn' (27aa), 'r16 lr2e-3 attn_mlp' (27bb): say"),
        ("r16", "'r16' in tiny may be 'r16 lr2e-3 attn' (27aa), 'r16"),
        ("r16 lr2e-3 atn", "no run 'r16 lr2e-3 atn' in tiny; did you mean 'r16 lr2e-3 attn'?"),
        ("", "no run '' in tiny; known: "),
        ("best", "tiny has no best run: none is done"),
        ("base", "'base' is the base model, which no run of tiny trained; choose a run, or 'best'"),
    ],
)
def test_a_name_that_means_none_or_several(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        id_called(name, NAMES, "tiny")
    assert str(caught.value).startswith(said)


def test_many_that_may_be_meant_are_counted() -> None:
    names = {f"id{n}": f"r{n} attn" for n in range(30)}
    with pytest.raises(UserError, match=r"may be 'r0 attn' \(id0\).* and 24 more: say more"):
        id_called("r", names, "tiny")


def test_a_folder_that_is_not_finished_knows_its_runs_by_their_ids(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_lock(tiny.make_lock("27aa", "27bb"))
    assert run_ids_called(store, ["27a", "27BB"]) == ["27aa", "27bb"]
    with pytest.raises(UserError, match=r"may be '27aa' \(27aa\), '27bb'"):
        run_ids_called(store, ["27"])
