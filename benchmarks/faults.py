"""Try files that are nearly right: data, predictions and studies with a few random changes.

    python benchmarks/faults.py [--number 10000] [--first 0]

Nothing but a refusal in words may come of them, and nothing may be accepted that is wrong. Prints
how many were refused and accepted, the kinds of refusal, and each mutant of which neither is true,
by its number; `--first N --number 1` makes that one again in the folder that is printed.
"""

import argparse
import re
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from mutants import tried


def kind_of(message: str) -> str:
    """Return a refusal without its file, its values and its numbers."""
    return re.sub(r"('[^']*'|\"[^\"]*\"|\d+|/\S*)", "_", message)[:70]


def main() -> None:
    """Try the mutants; exit code 1 where one was neither refused in words nor read rightly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    kinds: Counter[str] = Counter()
    failed: list[int] = []
    for seed in range(asked.first, asked.first + asked.number):
        try:
            said = tried(folder, seed)
        except Exception:
            failed.append(seed)
            print(f"mutant {seed}:\n{traceback.format_exc(limit=-3)}")
        else:
            kinds[said if said == "accepted" else kind_of(said)] += 1
    for kind, count in kinds.most_common(40):
        print(f"{count:6,}  {kind}")
    accepted, refused = kinds["accepted"], kinds.total() - kinds["accepted"]
    print(f"{asked.number:,} mutants in {folder}: {accepted:,} accepted, {refused:,} refused")
    print(f"neither: {len(failed)} {failed[:20]}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
