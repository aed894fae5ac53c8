"""The machine: its device, what precision it is fast in, memory used, and versions."""

import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from torch.nn import functional as F

Precision = Literal["fp32", "bf16", "fp16"]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# The gain for which digits are given up; and products timed, the first of which prepares itself.
WORTHWHILE, NUM_TRIALS = 1.2, 6
MEMINFO, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def default_device() -> str:
    """Return "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_precision(setting: Precision | Literal["auto"], device: str) -> Precision:
    """Return the precision of the base model's products: "auto" is the one that is fast there.

    That is bf16 where it is multiplied natively, else fp16 on a card and fp32 on a processor.
    """
    if setting != "auto":
        return setting
    if multiplies_bf16_fast(device):
        return "bf16"
    return "fp16" if device == "cuda" else "fp32"


def multiplies_bf16_fast(device: str) -> bool:
    """Say whether bf16 products pay: a device has instructions for them, a processor's are used.

    oneDNN may be held to older instructions (ONEDNN_MAX_CPU_ISA), which only a measurement shows.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(known) and _gain_of_bf16() > WORTHWHILE


@cache
def _gain_of_bf16() -> float:
    """Return how many times as fast as fp32's the processor's bf16 products are."""
    fp32, bf16 = (_product_seconds(dtype) for dtype in (torch.float32, torch.bfloat16))
    return fp32 / bf16


def _product_seconds(dtype: torch.dtype) -> float:
    """Return the seconds of a product as large as a layer's: the fastest of some."""
    x, w = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    seconds = []
    for _ in range(NUM_TRIALS):
        started = time.perf_counter()
        F.linear(x, w)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


@contextmanager
def callers_threads() -> Iterator[None]:
    """Give torch the caller's number of threads back after work by that of a folder's lock."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def versions() -> dict[str, str]:
    """Return the versions that results may depend on, and the machine, on which they do too."""
    packages = ("lorasweep", "torch", "transformers", "tokenizers", "numpy")
    card = {"card": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "processor": _processor(),
        **card,
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe() -> str:
    """Return one line about the machine: processor or card, cores, memory."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    cores, capability = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return f"{_processor()}, {cores} threads, {capability}, torch {torch.__version__}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


class TooLargeError(RuntimeError):
    """A pack will not fit into the memory that is free."""


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that memory ran out, or will."""
    if isinstance(error, TooLargeError | torch.OutOfMemoryError | MemoryError):
        return True
    # The allocator for the processor has no exception of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def free_memory_bytes() -> int | None:
    """Return what the system and this process's group still have; None where neither tells."""
    found = [_system_free(), _group_free()]
    return min((value for value in found if value is not None), default=None)


def _system_free() -> int | None:
    if not MEMINFO.is_file():
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text())
    return int(found[1]) * 1024 if found else None


def _group_free() -> int | None:
    """Return what a control group (version 2), such as a container's, leaves below its limit."""
    try:
        limit, used = ((GROUP / name).read_text() for name in ("memory.max", "memory.current"))
        cache = re.search(r"^inactive_file (\d+)$", (GROUP / "memory.stat").read_text(), re.M)
    except OSError:
        return None
    if not limit.strip().isdigit():
        return None
    return int(limit) - int(used) + (int(cache[1]) if cache else 0)


def resident_bytes() -> int:
    """Return the process's present resident set; 0 where the system does not tell."""
    found = re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text()) if STATUS.is_file() else None
    return int(found[1]) * 1024 if found else 0


def reset_peak_memory() -> None:
    """Start measuring peak memory anew, where the system allows it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        CLEAR.write_text("5")
    except OSError:
        return  # The peak then counts from the start of the process.


def device_memory_bytes(device: str, threads: int) -> int:
    """Return the card's memory, or the share of the machine's that goes with so many cores."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory * threads // max(threads, os.cpu_count() or 1)


def peak_memory_bytes() -> int:
    """Return the peak of the card's memory on CUDA, else of the process's resident set.

    0 where the system does not tell.
    """
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if STATUS.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())):
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
