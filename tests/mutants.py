"""Files that are nearly right: data, predictions and studies, each with a few random changes.

What reads them may refuse them by UserError, or read what they say; `tried` holds it to that.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from lorasweep.data.examples import Dataset
from lorasweep.data.selection import look
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError
from lorasweep.hub.models import read_config
from lorasweep.scoring.prediction_files import Predictions, read_predictions, score
from lorasweep.study.plan import make_plan
from lorasweep.study.study import Study

CONTEXT = "The Lune runs through Zürich 😀 and Velmora."
ROWS = [
    {"id": "a", "title": "T", "context": CONTEXT, "question": "What runs?", "answers": "The Lune"},
    {"id": "b", "context": CONTEXT, "question": "Where?", "is_impossible": False,
     "answers": {"text": ["Velmora", "Zürich"], "answer_start": [35, 22]}},
    {"id": "c", "context": CONTEXT, "question": "Who burnt it?", "is_impossible": True,
     "answers": [{"text": "Velmora", "answer_start": 35}]},
    {"guid": "d", "context": "It is 1711.", "question": "When?", "answers": ["1711", "in 1711"]},
]  # fmt: skip
NESTED = {"version": "2.0", "data": [
    {"title": "T", "paragraphs": [{"context": CONTEXT, "qas": [
        {"id": "a", "question": "What runs?", "answers": [{"text": "The Lune", "answer_start": 0}]},
        {"id": "c", "question": "Who burnt it?", "is_impossible": True, "plausible_answers": [],
         "answers": [{"text": "Velmora", "answer_start": 35}]}]}]},
    {"paragraphs": [{"context": "It is 1711.", "qas": [
        {"id": "d", "question": "When?", "answers": [{"text": "1711", "answer_start": 6}]}]}]},
]}  # fmt: skip
PREDICTIONS = {"a": "The Lune", "b": "Velmora", "d": "in 1711"}
STUDY = """name = "own"
[model]
base = "gpt2"
[data]
train = ["bundled"]
num_train = 20
split = "auto"
prompt = "{context} {question} Answer:"
[recipe]
epochs = 2
warmup = 0.1
[race]
rungs = [0.25, 0.5]
[[grid]]
targets = ["attn", "mlp"]
rank = [2, 4]
lr = 1e-3
alpha = "2r"
dropout = 0.1
seed = [0, 1]
[evaluate]
decoders = ["greedy", "beam-2"]
max_new_tokens = 8
"""
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 2, 10**30, 0.5, 1e308, "", " ", "\u0000", "\ufeff", "\ud800", "a/b",
    "null", "NaN", [], {}, [[]], [None], [1], ["x", None], {"text": "x"}, {"text": ["x"]}, "[]",
    "['x']", "{'text': ['Velmora'], 'answer_start': [35]}", "{'text': array(['x'])}", "٢",
    "x" * 999,
]  # fmt: skip
PIECES = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\x00", b"\xff", b"\\u", b"null", b"-",
          b"\t", b"=", b"'", b"1e999", b"\xef\xbb\xbf", b"\r", b"#", b"."]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of everything in a decoded value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def changed_value(value: Any, rng: random.Random) -> Any:
    """Return a copy in which something is replaced, removed, renamed or there twice."""
    changed = copy.deepcopy(value)
    container, key = rng.choice(list(places(changed)))
    how = rng.choice(["replace", "replace", "replace", "remove", "other"])
    if how == "remove":
        del container[key]
    elif how == "replace":
        container[key] = rng.choice(HOSTILE)
    elif isinstance(container, dict):
        name = rng.choice([key[:-1], key.upper(), f"{key}s", f"_{key}", "text", "id", ""])
        container[name] = container.pop(key)
    else:
        container.append(copy.deepcopy(container[key]))
    return changed


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes in which some are removed, replaced, put in or there twice."""
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.choice([1, 1, 2, 5, 40]))
    piece = rng.choice([b"", rng.choice(PIECES), data[start:end] * 2, rng.randbytes(2)])
    return data[:start] + piece + data[rng.choice([start, end]) :]


def json_lines(rows: list[Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def table(rows: list[Any], delimiter: str) -> bytes:
    """Return rows as pandas writes them."""
    columns = ["id", "context", "question", "answers", "is_impossible"]
    cells = ([str(row.get(name, "")) for name in columns] for row in rows if isinstance(row, dict))
    quoted = ([f'"{cell}"' if delimiter in cell else cell for cell in row] for row in cells)
    text = "\n".join(delimiter.join(row) for row in [columns, *quoted])
    return text.encode("utf-8", "surrogatepass")


def packed(rows: list[Any]) -> bytes:
    """Return rows as a Parquet file, or nothing where pyarrow takes them for none."""
    buffer = BytesIO()
    try:
        parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    except Exception:  # values of unlike types are no column: not what is tried here
        return b""
    return buffer.getvalue()


DATA: dict[str, tuple[Any, Callable[[Any], bytes]]] = {
    "own.jsonl": (ROWS, json_lines),
    "own.json": (NESTED, lambda value: json.dumps(value, indent=1).encode()),
    "list.json": (ROWS, lambda value: json.dumps(value).encode()),
    "own.csv": (ROWS, lambda rows: table(rows, ",")),
    "own.tsv": (ROWS, lambda rows: table(rows, "\t")),
    "own.parquet": (ROWS[1:2] * 2, packed),
}


def mutant(value: Any, write: Callable[[Any], bytes], rng: random.Random) -> bytes:
    """Return the file of a value with one to three changes of the value or of the bytes."""
    kinds = [rng.random() < 0.6 for _ in range(rng.randint(1, 3))]
    for _ in range(sum(kinds)):
        if value:
            value = changed_value(value, rng)
    data = write(value)
    for _ in range(len(kinds) - sum(kinds)):
        data = changed_bytes(data, rng)
    return data


def assert_sound(dataset: Dataset) -> None:
    """Check all that holds of questions, whatever file they came from."""
    ids = [q.id for p in dataset.groups for q in p.examples]
    assert len(set(ids)) == len(ids) > 0
    assert not set(ids) & dataset.unanswerable_ids
    assert len({p.id for p in dataset.groups}) == len(dataset.groups)
    for paragraph in dataset.groups:
        paragraph.context.encode()
        for question in paragraph.examples:
            assert question.prompt.strip()
            assert question.id.strip()
            assert question.references
            question.prompt.encode()
            for text, start in question.placed:
                assert text.strip()
                where = paragraph.context.find(text)
                if start < 0:
                    assert where < 0
                else:
                    assert paragraph.context.startswith(text, start)
                is_packed = text.lstrip().startswith(("{'text'", '{"text"', "['"))
                assert not is_packed or text in paragraph.context


def impossible_ids(value: Any) -> Iterator[str]:
    """Yield the ids of questions that a decoded file calls impossible."""
    if isinstance(value, dict):
        if value.get("is_impossible") in (True, "true", "True") and value.get("id"):
            yield str(value["id"])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from impossible_ids(inner)


def read_data(path: Path) -> None:
    """Read a data file; what is accepted must be sound."""
    dataset = load([str(path)])
    assert_sound(dataset)
    if path.suffix == ".json":
        impossible = set(impossible_ids(json.loads(path.read_bytes().decode("utf-8-sig"))))
        assert not impossible & {q.id for p in dataset.groups for q in p.examples}


def read_scored(path: Path) -> None:
    """Read predictions and score them on the rows of this module."""
    answers = read_predictions(path)
    assert all(isinstance(answer, str) for answer in answers.values())
    data = path.with_name("good.jsonl")
    data.write_bytes(json_lines(ROWS))
    scored = score(Predictions("it", answers), load([str(data)]), draws=20)
    assert 0 <= scored.exact_match.mean <= scored.f1.mean <= 100


def read_study(path: Path) -> None:
    """Read a study, plan it, and read its data if they are local files."""
    study = Study.load(path)
    if len(study.grid) < 9 and len(study.configurations()) < 999:
        make_plan(study, read_config("gpt2"))
    look(study.data)


def tried(folder: Path, seed: int) -> str:
    """Make one mutant and have it read: return "accepted", or the refusal's message.

    Anything else than a UserError passes through, and so does an acceptance of what is wrong.
    """
    rng = random.Random(seed)
    name = rng.choice([*DATA, *DATA, "predictions.json", "study.toml"])
    path = folder / name
    if name in DATA:
        path.write_bytes(mutant(*DATA[name], rng))
        reads = read_data
    elif name == "study.toml":
        data = changed_bytes(STUDY.encode(), rng)
        path.write_bytes(changed_bytes(data, rng) if rng.random() < 0.5 else data)
        reads = read_study
    else:
        path.write_bytes(mutant(PREDICTIONS, lambda v: json.dumps(v).encode(), rng))
        reads = read_scored
    try:
        reads(path)
    except UserError as error:
        return f"{name}: {error}"
    return "accepted"
