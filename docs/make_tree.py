"""Write the file tree into README.md, a phrase a file from each module's docstring: `make docs`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, PACKAGE = ROOT / "README.md", ROOT / "src" / "lorasweep"
BEGIN, END = "<!-- tree -->\n", "<!-- end of tree -->"
FOLDERS = {
    "src/lorasweep/data/corpus/": "five paragraphs on each of twelve invented subjects, 300 questions",
    "src/lorasweep/study/shipped/": "the shipped studies",
    "src/lorasweep/hub/configs/": "config.json of GPT-2 and SmolLM2, for `plan` without a model",
    "benchmarks/": "speed against PEFT, the time of a report, and the study of real data",
    "docs/": "the study file, the design, the commands, what was measured",
    "tests/": "a file a module; reference.py and tiny.py are what they share",
}


def tree() -> str:
    """Return the lines of the tree: modules in the order of their names, then other folders."""
    files = sorted(PACKAGE.rglob("*.py"))
    lines = [f"src/lorasweep/{file.relative_to(PACKAGE)}: {_phrase(file)}" for file in files]
    lines += [f"{folder}: {phrase}" for folder, phrase in FOLDERS.items()]
    return "```\n" + "\n".join(lines) + "\n```\n"


def _phrase(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def page() -> str:
    """Return README.md with the present tree."""
    text = README.read_text("utf-8")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}{tree()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(page(), encoding="utf-8")
