"""Compiled functions that are made of compiled functions in other files, and a cache that notices when those change."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def cached(*modules: ModuleType) -> Callable[[F], F]:
    """Compile a function, cached on disk until its own file or one of `modules` changes.

    numba's cache looks at the function's own file alone: after an edit of a file it calls into, it would go on running the old
    code.  So the stamp in its index is replaced by a digest of all of them, and the functions called are not cached themselves.
    """

    def decorate(function: F) -> F:
        compiled = njit(cache=True, nogil=True)(function)
        index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
        if index is None or not hasattr(index, "_source_stamp"):  # another numba, or compiling is switched off: rather slow than stale
            return cast(F, njit(nogil=True)(function))
        index._source_stamp = digest(function.__code__.co_filename, *(str(module.__file__) for module in modules))
        return cast(F, compiled)

    return decorate


def digest(*paths: str) -> str:
    """SHA-256 of the files' content."""
    return hashlib.sha256(b"\0".join(Path(path).read_bytes() for path in paths)).hexdigest()
