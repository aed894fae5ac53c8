"""The design's table of layers: import only from the same or a lower one, no cycles."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lorasweep

PACKAGE = Path(lorasweep.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Part of the package (a module, or a package with all that is in it): its level.
LEVELS = {
    part: level
    for level, parts in {
        0: ("decoders", "errors", "findings", "overrides", "records", "stored", "study"),
        1: (
            "analysis", "answer_scores", "architectures", "estimate", "failures", "forecast",
            "heartbeat", "metrics", "models", "plan", "progress", "race", "scoring", "squad",
            "stats", "status", "stopping", "store", "targets", "trackers", "weights",
        ),
        2: (
            "base", "checkpoint", "cuts", "full", "lanes", "lora", "loss_scaling", "machine",
            "ops", "optimizer", "peft_format", "pull", "trees",
        ),
        3: ("decode", "evaluate", "hooks", "prepare", "selfcheck", "train"),
        4: (
            "app", "asking", "calibration", "driver", "examine", "executors", "fitting", "halving",
            "jobs", "locking", "notebook", "report", "results", "sharing", "worker",
            "wrong_answers",
        ),
        5: ("__init__", "__main__", "cli", "console", "failures_text", "scoring_text", "terminal"),
    }.items()
    for part in parts
}  # fmt: skip
HIGHEST_OF_REPORT = 1  # a report is made from what is on disk, on any machine
SLOW_TO_IMPORT = {"altair", "datasets", "pandas", "peft", "pyarrow", "scipy", "torch",
                  "transformers"}  # fmt: skip
MAX_LINES = 350


def module_of(file: Path) -> str:
    """Return the dotted name below the package: "report.page", "report" for its __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def part_of(module: str) -> str:
    return module.partition(".")[0]


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield the full names that a file imports, wherever the statement stands.

    Imports inside functions and under TYPE_CHECKING count: a name that is needed there is
    knowledge of the layer above as much as one at the top.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(file: Path) -> set[str]:
    """Return the modules of the package that a file imports."""
    found = set()
    for name in imported_names(ast.parse(file.read_text())):
        first, _, below = name.partition(".")
        if first == "lorasweep":
            found.add(below if below in MODULES else below.rpartition(".")[0] or "__init__")
    return found


IMPORTS = {module: own_imports(file) for module, file in MODULES.items()}


def test_every_module_has_a_level() -> None:
    assert {part_of(module) for module in MODULES} == set(LEVELS)


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_from_their_own_level_or_a_lower_one(module: str) -> None:
    level = LEVELS[part_of(module)]
    higher = {other for other in IMPORTS[module] if LEVELS[part_of(other)] > level}
    assert not higher, f"{module} (level {level}) imports {sorted(higher)}"


def test_the_report_imports_levels_0_and_1_alone() -> None:
    inside = [module for module in MODULES if part_of(module) == "report"]
    others = {other for module in inside for other in IMPORTS[module]} - set(inside)
    assert {other for other in others if LEVELS[part_of(other)] > HIGHEST_OF_REPORT} == set()


def test_there_are_no_cycles() -> None:
    order = list(TopologicalSorter(IMPORTS).static_order())
    assert order.index("study") < order.index("plan") < order.index("driver")


def top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported: no function bodies, nothing for checkers alone."""
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for block in ("body", "orelse", "finalbody"):
            yield from top_level(getattr(node, block, []))


@pytest.mark.parametrize(
    "module", [m for m in MODULES if LEVELS.get(part_of(m), 9) <= 1 or part_of(m) == "cli"]
)
def test_what_plan_and_help_need_imports_nothing_slow_at_the_top(module: str) -> None:
    body = top_level(ast.parse(MODULES[module].read_text()).body)
    names = {name for statement in body for name in _direct_imports(statement)}
    assert not {name.partition(".")[0] for name in names} & SLOW_TO_IMPORT


def _direct_imports(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from imported_names(statement)


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= MAX_LINES


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {file.stem for file in FILES}
    assert not names & {"common", "helpers", "misc", "util", "utils"}
