"""Write the rooms into README.md, the modules into docs/design.md, a phrase each: `make docs`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, DESIGN = ROOT / "README.md", ROOT / "docs" / "design.md"
PACKAGE = ROOT / "src" / "lorasweep"
# In the order that data takes; tests/test_layers.py holds it.
ROOMS = (
    "errors.py", "console", "hub", "study", "data", "folder", "model", "scoring", "training",
    "answering", "analysis", "forecast", "report", "running", "finished", "app", "cli",
)  # fmt: skip
FOLDERS = {
    "benchmarks/": "speed against PEFT, the time of a report, and the studies of real data",
    "docs/": "the study file, the design, the commands, what was measured",
    "tests/": "a folder a room; reference.py and tiny.py are what they share",
}
OTHER_FILES = {
    "data/corpus/": "five paragraphs on each of twelve invented subjects, 300 questions",
    "data/corpus/named/": "a small corpus for each form of data, and questions in Persian",
    "hub/configs/": "config.json of GPT-2 and SmolLM2, for `plan` without a model",
    "report/fonts/": "Vazirmatn, for Persian pages and pictures",
    "report/templates/": "the page and its scripts",
    "report/words/strings/": "the report's words, a file a language",
    "study/shipped/": "the shipped studies",
}


def tree() -> str:
    """Return a line a room, in the order that data takes, and a line for each other folder."""
    lines = [(name if name.endswith(".py") else f"{name}/", _phrase(_of(name))) for name in ROOMS]
    width = max(len(name) for name, _ in lines) + 2
    rooms = [f"  {name:{width}}{phrase}" for name, phrase in lines]
    others = [f"{name:{width + 2}}{phrase}" for name, phrase in FOLDERS.items()]
    return "\n".join(["```", "src/lorasweep/", *rooms, *others, "```\n"])


def modules() -> str:
    """Return a table of the rooms' modules, rooms within after their room."""
    files = [_of(name) for name in ROOMS]
    rows = [row for file in files for row in _rows(file)]
    rows += [f"| `{folder}` | {phrase} |" for folder, phrase in OTHER_FILES.items()]
    return "\n".join(["| module | what it holds |", "|---|---|", *rows, ""])


def _rows(file: Path) -> list[str]:
    """Return a room's own row, then those of its modules, then those of the rooms within."""
    is_room = file.name == "__init__.py"
    name = f"{file.parent.relative_to(PACKAGE)}/" if is_room else str(file.relative_to(PACKAGE))
    own = (
        f"| **`{name}`** | **{_phrase(file)}** |" if is_room else f"| `{name}` | {_phrase(file)} |"
    )
    if not is_room:
        return [own]
    modules = [each for each in sorted(file.parent.glob("*.py")) if each != file]
    within = sorted(file.parent.glob("*/__init__.py"))
    return [own, *(row for each in [*modules, *within] for row in _rows(each))]


def _of(name: str) -> Path:
    return PACKAGE / name if name.endswith(".py") else PACKAGE / name / "__init__.py"


def _phrase(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def filled(page: Path, name: str, content: str) -> str:
    """Return a page's text with the part between its two marks made anew."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, rest = page.read_text("utf-8").split(begin)
    return f"{head}{begin}{content}{end}{rest.split(end)[1]}"


def pages() -> dict[Path, str]:
    """Return both pages with what the package holds now."""
    return {
        README: filled(README, "tree", tree()),
        DESIGN: filled(DESIGN, "modules", modules()),
    }


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
