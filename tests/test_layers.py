"""The house: rooms in the order that data takes, which import only rooms above themselves."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lorasweep

PACKAGE = Path(lorasweep.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Rooms from the top: a room imports those above it. Modules that are still loose in the root are
# named with the room that they go to.
ROOMS = {
    "errors": (),
    "console": (),
    "hub": (),
    "study": (),
    "data": (),
    "folder": (),
    "model": (),
    "scoring": (),
    "training": (),
    "answering": (),
    "analysis": (),
    "forecast": (),
    "report": (),
    "running": (),
    "finished": (),
    "app": (),
    "cli": (),
}  # fmt: skip
FACES = ("__init__", "__main__")  # of the package: they import what they show
PLACES = {
    part: place for place, (room, loose) in enumerate(ROOMS.items()) for part in (room, *loose)
} | dict.fromkeys(FACES, len(ROOMS))
# Rooms that `--help`, `plan` and `status` open: nothing slow is imported there, but by what only
# training needs.
QUICK = ("errors", "console", "hub", "study", "data", "folder", "scoring", "analysis", "forecast",
         "cli")  # fmt: skip
WITH_TORCH = {"trees", "cuts"}
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


def room_of(module: str) -> str:
    part = part_of(module)
    return next((room for room, loose in ROOMS.items() if part in (room, *loose)), part)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield the full names that a file imports, wherever the statement stands.

    Imports inside functions and under TYPE_CHECKING count: a name that is needed there is
    knowledge of the room below as much as one at the top.
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


def test_every_module_is_in_a_room() -> None:
    assert {part_of(module) for module in MODULES} <= set(PLACES)


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_rooms_above_it(module: str) -> None:
    place = PLACES[part_of(module)]
    below = {other for other in IMPORTS[module] if PLACES[part_of(other)] > place}
    assert not below, f"{module} imports {sorted(below)}, which stand below it"


def test_there_are_no_cycles() -> None:
    list(TopologicalSorter(IMPORTS).static_order())


def test_a_report_needs_no_model() -> None:
    """It is made from what is on disk, on any machine."""
    inside = [module for module in MODULES if room_of(module) == "report"]
    rooms = {room_of(other) for module in inside for other in IMPORTS[module]}
    assert not rooms & {"model", "training", "answering", "running"}


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
    "module",
    [m for m in MODULES if room_of(m) in QUICK and m.rpartition(".")[2] not in WITH_TORCH],
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
