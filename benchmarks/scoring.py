"""How long `lorasweep score` takes on as many questions as SQuAD's development set has.

python benchmarks/scoring.py

The predictions are invented: 10,570 questions in 2,067 paragraphs, two thirds of them right, scored
with the command's own 10,000 bootstrap draws. What is timed is the whole command, its start
included.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUM_QUESTIONS, NUM_PARAGRAPHS = 10_570, 2_067
NUM_CALLS = 3
WORDS = ["north", "harbour", "seventeen", "silver", "mill", "Ada", "1841", "the", "of", "Tamm"]


def main() -> None:
    """Time three calls and print the seconds of each."""
    with tempfile.TemporaryDirectory() as name:
        data, predictions = write_files(Path(name), random.Random(0))
        for _ in range(NUM_CALLS):
            started = time.perf_counter()
            command = [sys.executable, "-m", "lorasweep", "score", predictions, data, "--json"]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds, scored = time.perf_counter() - started, json.loads(printed)
            print(
                f"{seconds:.2f} s: {scored['total']:,} questions in "
                f"{scored['num_paragraphs']:,} paragraphs, F1 {scored['f1']:.1f}"
            )


def write_files(folder: Path, rng: random.Random) -> tuple[str, str]:
    """Write invented data and predictions; return their paths."""
    context = " ".join(WORDS)
    paragraphs: list[dict[str, object]] = [
        {"context": f"{context} {number}", "qas": []} for number in range(NUM_PARAGRAPHS)
    ]
    predictions = {}
    for number in range(NUM_QUESTIONS):
        answers = [{"text": rng.choice(WORDS), "answer_start": 0} for _ in range(3)]
        question = {"id": f"q{number}", "question": "What?", "answers": answers}
        paragraphs[number % NUM_PARAGRAPHS]["qas"].append(question)  # type: ignore[attr-defined]
        right = rng.random() < 2 / 3
        predictions[f"q{number}"] = answers[0]["text"] if right else " ".join(rng.sample(WORDS, 3))
    for paragraph in paragraphs:
        for question in paragraph["qas"]:  # type: ignore[attr-defined]
            for answer in question["answers"]:
                answer["answer_start"] = context.index(answer["text"])
    data_file, predictions_file = folder / "data.json", folder / "predictions.json"
    articles = [{"title": "Invented", "paragraphs": paragraphs}]
    data_file.write_text(json.dumps({"version": "1.1", "data": articles}))
    predictions_file.write_text(json.dumps(predictions))
    return str(data_file), str(predictions_file)


if __name__ == "__main__":
    main()
