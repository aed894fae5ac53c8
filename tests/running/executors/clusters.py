"""A real Ray cluster on this machine."""

import time
from pathlib import Path

import pytest


class LocalCluster:
    """Two Ray nodes on this machine, of one processor each."""

    def __init__(self) -> None:
        cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs lorasweep[ray]")
        self.cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.add_node()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose_node(self) -> None:
        """Kill all processes of the second node."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def add_node(self) -> None:
        # Ray's own wait of 30 s is short for a machine that others use as well.
        self.second = self.cluster.add_node(num_cpus=1, wait=False)
        self.cluster.wait_for_nodes(timeout=300)

    def worker_processes(self) -> list[int]:
        """Return the process ids of lorasweep's workers on both nodes."""
        raylets = {
            info.process.pid
            for node in (self.cluster.head_node, self.second)
            for info in node.all_processes["raylet"]
        }
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in found if _parent(pid) in raylets and "RemoteWorker" in _title(pid)]

    def wait_until_no_worker_is_left(self) -> None:
        """Give Ray time to end workers that were told to."""
        for _ in range(1200):
            if not self.worker_processes():
                return
            time.sleep(0.1)
        raise AssertionError(f"workers are left: {self.worker_processes()}")


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
