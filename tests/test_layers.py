"""The house: rooms in the order that data takes; a room imports only rooms above itself."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lorasweep

PACKAGE = Path(lorasweep.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

ROOMS = (
    "errors", "console", "hub", "study", "data", "folder", "model", "scoring", "training",
    "answering", "analysis", "forecast", "report", "running", "finished", "app", "cli",
)  # fmt: skip
DOORS = ("__init__", "__main__")  # of the package: they open what they show
# Rooms that `--help`, `plan` and `status` enter: nothing slow is imported there, but by what only
# training needs.
QUICK = ("errors", "console", "hub", "study", "data", "folder", "scoring", "analysis", "forecast",
         "cli")  # fmt: skip
WITH_TORCH = ("data.trees", "data.cuts")
SLOW_TO_IMPORT = {"altair", "datasets", "pandas", "peft", "pyarrow", "rapidfuzz", "rouge_score",
                  "sacrebleu", "scipy", "torch", "transformers"}  # fmt: skip
MAX_LINES = 350
MAX_MODULES = 14
MAX_MODULES_OF_THE_ROOT = 6


def module_of(file: Path) -> str:
    """Return the dotted name below the package: "report.page", "report" for its __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}
FOLDERS = {name: file.parent for name, file in MODULES.items()
           if file.name == "__init__.py" and name != "__init__"}  # fmt: skip
PLACES = {room: place for place, room in enumerate(ROOMS)} | dict.fromkeys(DOORS, len(ROOMS))


def room_of(module: str) -> str:
    return module.partition(".")[0]


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


def face_of(folder: str) -> list[str]:
    """Return the modules that a room names for others, from its __init__."""
    for node in ast.parse(MODULES[folder].read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


FACES = {folder: face_of(folder) for folder in FOLDERS}


def doors_between(module: str, other: str) -> Iterator[tuple[str, str]]:
    """Yield each room that an import enters, and the part of it that is asked for there."""
    parts = other.split(".")
    for depth in range(1, len(parts)):
        folder = ".".join(parts[:depth])
        if not f"{module}.".startswith(f"{folder}."):
            yield folder, parts[depth]


def test_every_module_is_in_a_room() -> None:
    assert {room_of(module) for module in MODULES} == set(PLACES)


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_rooms_above_it(module: str) -> None:
    place = PLACES[room_of(module)]
    below = {other for other in IMPORTS[module] if PLACES[room_of(other)] > place}
    assert not below, f"{module} imports {sorted(below)}, which stand below it"


@pytest.mark.parametrize("module", MODULES)
def test_others_import_what_a_rooms_face_names(module: str) -> None:
    """All import named modules, the rooms' faces themselves never: one way everywhere."""
    assert not IMPORTS[module] & set(FOLDERS)
    doors = {door for other in IMPORTS[module] for door in doors_between(module, other)}
    closed = {f"{folder}.{part}" for folder, part in doors if part not in FACES[folder]}
    assert not closed, f"{module} imports {sorted(closed)}, which the room keeps to itself"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_face_is_a_sentence_and_names(folder: str) -> None:
    tree = ast.parse(MODULES[folder].read_text())
    sentence = ast.get_docstring(tree) or ""
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(tree.body) == 1 + bool(FACES[folder]), "a face imports and defines nothing"
    assert FACES[folder] == sorted(FACES[folder])
    assert {f"{folder}.{part}" for part in FACES[folder]} <= set(MODULES)


@pytest.mark.parametrize("folder", FOLDERS)
def test_rooms_are_small(folder: str) -> None:
    modules = [file for file in FOLDERS[folder].glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= MAX_MODULES, "part it: a room within"


def test_the_root_is_smaller() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_MODULES_OF_THE_ROOT


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
    "module", [m for m in MODULES if room_of(m) in QUICK and m not in WITH_TORCH]
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
