"""What a pack costs by lanes and questions, and what a Ray cluster of this machine's nodes adds.

A GPT-2 of two layers with random weights on the bundled questions, one thread. Packs are timed in
processor seconds, which other work on the machine changes little; the cluster in seconds of the
clock, which it does change.

    python benchmarks/scaling.py [--nodes 1 2]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from lorasweep import Study
from lorasweep.console.progress import Silent
from lorasweep.folder.records import LockedPack
from lorasweep.model.machine import describe
from lorasweep.running import driver, session
from lorasweep.running.executors.executor import Halve, labels_of
from lorasweep.running.executors.local import LocalExecutor
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker

TOKENIZER = Path(__file__).parents[2] / "shared" / "models" / "gpt2-tokenizer"
RATES = [1e-4, 2e-4, 3e-4, 5e-4, 7e-4, 1e-3, 2e-3, 3e-3]
STUDY = """
name = "scaling"
[model]
base = {base}
precision = "fp32"
[data]
train = "bundled"
num_train = {questions}
num_eval = 8
[recipe]
epochs = 1
batch_size = 8
[pack]
lanes = {lanes}
[evaluate]
max_new_tokens = 1
[[grid]]
rank = 4
lr = {rates}
"""


def write_model(folder: Path) -> Path:
    """Save a GPT-2 of two layers and 3.4 million weights, with GPT-2's own tokenizer."""
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_embd=64, n_layer=2, n_head=4)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)
    return folder


def study_of(model: Path, runs: int, lanes: int, questions: int) -> Study:
    """Return a study of so many runs and questions, in packs of so many lanes."""
    text = STUDY.format(
        base=json.dumps(str(model)), questions=questions, lanes=lanes, rates=RATES[:runs]
    )
    file = model / "study.toml"
    file.write_text(text)
    return Study.load(file)


class Timed(LocalExecutor):
    """The local executor; keeps the processor seconds of every pack."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def run_packs(
        self,
        worker: Worker,
        packs: Sequence[LockedPack],
        labels: Mapping[str, str],
        halve: Halve,
    ) -> Iterator[list[FinishedRun]]:
        for pack in packs:
            began = time.process_time()
            finished = worker.run_pack(pack, labels_of(pack, labels))
            self.seconds.append(time.process_time() - began)
            yield finished


class FirstStep(Silent):
    """Notes when the first pack told of progress."""

    def __init__(self) -> None:
        self.packs_began = self.first = 0.0

    def start(self, job: str, total: int) -> None:
        self.packs_began = time.monotonic()
        self.first = 0.0

    def advance(self, amount: int, detail: str = "") -> None:
        self.first = self.first or time.monotonic()


def time_packs(model: Path, out: Path) -> None:
    """Print the processor seconds of the last of two packs, by lanes and by questions."""
    print("| lanes | training questions | processor s a pack | a run |\n|---|---|---|---|")
    cases = [(1, 32), (2, 32), (4, 32), (4, 64), (4, 128)]
    for lanes, questions in cases:
        executor = Timed()
        study = study_of(model, 2 * lanes, lanes, questions)
        driver.run(study, out / f"{lanes}-{questions}", executor=executor)
        # The first pack also warms up whatever torch prepares once.
        seconds = executor.seconds[-1]
        print(f"| {lanes} | {questions} | {seconds:.2f} | {seconds / lanes:.2f} |", flush=True)


def time_cluster(model: Path, out: Path, num_nodes: int) -> None:
    """Print the seconds until the first step, and to the end, on nodes of one processor each."""
    from ray.cluster_utils import Cluster

    from lorasweep.running.executors.ray import connected

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(num_nodes - 1):
        cluster.add_node(num_cpus=1)
    heard = FirstStep()
    with connected(cluster.address) as executor:
        study = study_of(model, 8, 2, 128)
        driver.run(study, out / f"nodes-{num_nodes}", heard, executor=executor)
    ended = time.monotonic()
    cluster.shutdown()
    print(f"| {num_nodes} | {heard.first - heard.packs_began:.1f} | {ended - heard.first:.1f} |",
          flush=True)  # fmt: skip


def main() -> None:
    """Print both tables, and what the machine was."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 2])
    nodes = parser.parse_args().nodes
    torch.set_num_threads(1)
    session.write_report = lambda out, **_: None  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as scratch:
        model = write_model(Path(scratch) / "model")
        print(f"{describe()}; load before: {os.getloadavg()[0]:.1f}\n")
        time_packs(model, Path(scratch))
        if nodes:
            print("\n| nodes | s to the first step | s from there to the end |\n|---|---|---|")
        for num_nodes in nodes:
            time_cluster(model, Path(scratch), num_nodes)


if __name__ == "__main__":
    main()
