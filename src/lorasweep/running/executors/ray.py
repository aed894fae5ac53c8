"""The Ray executor: packs on the nodes of a Ray cluster, or on a Ray of this machine alone."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from lorasweep.errors import UserError, how_to_install
from lorasweep.folder.records import Lock, LockedPack
from lorasweep.running.executors.executor import Halve
from lorasweep.running.executors.remote import Place, place_here
from lorasweep.running.executors.sizing import sized
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker
from lorasweep.study.plan import Pack

SECONDS_TO_ANSWER = 5.0


@contextmanager
def connected(address: str | None) -> Iterator["RayExecutor"]:
    """Give an executor on the cluster at an address, or on a Ray started here for this call.

    Raises UserError where Ray is not installed, and where no cluster answers.
    """
    if find_spec("ray") is None:
        raise UserError(f"--executor ray needs Ray; {how_to_install('ray')}")
    # Set before Ray is imported: it reports its use to its makers unless told not to, and warns of
    # what it will do with cards that an actor did not ask for.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if address not in (None, "auto"):
        _reach(str(address))
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"--address {address}: no Ray cluster to be had there: {first}") from None
    try:
        yield RayExecutor()
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise UserError where nobody listens: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--address {address}: should be auto or HOST:PORT, such as 10.0.0.1:6379")
    if "//" in host:
        raise UserError(
            f"--address {address}: Ray's client is not supported; call lorasweep on a node of the "
            "cluster, with --address auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--address {address}: no answer: {error}") from None


class RayExecutor:
    """Runs packs on the connected cluster: one worker for each pack, as far as there is room."""

    in_order = False

    def sized(self, packs: Sequence[Pack], lock: Lock, lanes: int | str) -> list[Pack]:
        """Return packs cut so that every worker has one that fits it; given lanes are kept."""
        places = self._places(lock.device, lock.threads) if lanes == "auto" else []
        return sized(packs, [place.memory_bytes for place in places]) if places else list(packs)

    def run_packs(
        self,
        worker: Worker,
        packs: Sequence[LockedPack],
        labels: Mapping[str, str],
        halve: Halve,
    ) -> Iterator[list[FinishedRun]]:
        """Yield each pack's finished runs as soon as they are there."""
        from lorasweep.running.executors.pool import Pool

        job = worker.job
        resources = _resources(job.device, job.threads)
        num_workers = sum(_room(node, resources) for node in _nodes())
        if not num_workers:
            raise UserError(_too_small(job.device, job.threads))
        worker.reporter.note(f"{len(packs)} packs on Ray, room for {num_workers} workers")
        # A worker of the cluster may need the memory on this very machine.
        worker.loaded.release()
        yield from Pool(worker, packs, labels, halve, resources).run()

    def _places(self, device: str, threads: int) -> list[Place]:
        """Return a place for each worker that the cluster has room for."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        resources = _resources(device, threads)
        rooms = {node["NodeID"]: _room(node, resources) for node in _nodes()}
        probe = ray.remote(place_here)
        places = [
            probe.options(
                **resources, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(device, threads)
            for node, room in rooms.items()
            for _ in range(min(room, 1))
        ]
        found: list[Place] = ray.get(places)
        counts = [room for room in rooms.values() if room]
        return [place for place, room in zip(found, counts, strict=True) for _ in range(room)]


def _resources(device: str, threads: int) -> dict[str, float]:
    """Return what a worker asks of Ray: a card, or as many processors as the study has threads."""
    return {"num_gpus": 1, "num_cpus": 1} if device == "cuda" else {"num_cpus": threads}


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _room(node: Mapping[str, Any], resources: Mapping[str, float]) -> int:
    """Return how many workers a node holds."""
    has = node["Resources"]
    return int(min(has.get(n.removeprefix("num_").removesuffix("s").upper(), 0) // wanted
                   for n, wanted in resources.items()))  # fmt: skip


def _too_small(device: str, threads: int) -> str:
    most = max((node["Resources"].get("CPU", 0) for node in _nodes()), default=0)
    if device == "cuda":
        return "the study trains on a GPU, and no node of the Ray cluster offers one"
    return (
        f"the study was locked with {threads} threads, and no node of the Ray cluster offers as "
        f"many processors (the largest: {most:g}); choose another folder with --out and set "
        "OMP_NUM_THREADS to what every node has"
    )
