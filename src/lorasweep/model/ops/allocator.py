"""What the process keeps: memory that it frees, and few of oneDNN's compiled products.

By default glibc maps every large tensor from the system, faults it in page by page, and unmaps it;
and oneDNN keeps the code of 1,024 products, one for each number of rows, which grows to a gigabyte
and more.
"""

import ctypes
import os
import platform

# <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30
# Those of some micro-batches; more are hardly ever asked for again.
NUM_KERNELS = 64


def keep_few_kernels() -> None:
    """Bound oneDNN's cache, if the user has not; it looks once, at its first product."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(NUM_KERNELS))


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds for this process; return whether that could be done."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGEST) and libc.mallopt(M_TRIM_THRESHOLD, LARGEST))


def give_back_freed_memory() -> None:
    """Hand what glibc keeps back to the system, so that the resident set is what is in use."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
