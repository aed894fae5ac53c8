"""The machine: its device, what precision it is fast in, memory used, and versions."""

import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def default_device() -> str:
    """Return "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_precision(setting: str, device: str) -> Precision:
    """Return the precision of the base model's products: "auto" is bf16 where that is fast."""
    if setting == "fp32":
        return "fp32"
    if setting == "bf16" or multiplies_bf16_fast(device):
        return "bf16"
    return "fp32"


def multiplies_bf16_fast(device: str) -> bool:
    """Say whether the device has instructions for bf16 products."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def versions() -> dict[str, str]:
    """Return the versions that results may depend on."""
    packages = ("lorasweep", "torch", "transformers", "tokenizers", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


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


def reset_peak_memory() -> None:
    """Start measuring peak memory anew, where the system allows it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        CLEAR.write_text("5")
    except OSError:
        return  # The peak then counts from the start of the process.


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
