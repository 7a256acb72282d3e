"""Memory that was freed, given back to the operating system.

glibc keeps what threads free, in an arena for each of them, for later use. After a bundle is
replaced that is the old bundle's weights, tokenizer and vocabulary: 30 to 100 MB of the starter at
each reload, because the new bundle was loaded in other threads.
"""

import ctypes


def return_freed_memory() -> bool:
    """Return whether anything was given back. Takes some milliseconds; nothing happens where the C
    library is not glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
