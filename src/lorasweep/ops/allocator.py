"""glibc's allocator: let the process keep the memory that it frees.

By default every large tensor is mapped from the system, faulted in page by page, and unmapped.
"""

import ctypes
import platform

# <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30


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
