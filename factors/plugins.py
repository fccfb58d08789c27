"""Users' own factors: modules that the config names, and those that installed packages offer under the entry point kestrel.factors.

Such a module defines factors as the library does, with @factor("my_family"); importing it registers them.
"""

import os
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from traceback import extract_tb
from types import ModuleType
from typing import TypeVar

from data.errors import KestrelError

T = TypeVar("T")

GROUP = "kestrel.factors"


def extend(modules: Iterable[str]) -> None:
    """Register the factors of these modules and of the installed packages.

    A module is looked for as Python looks for it, and in the working folder last, so that no folder there hides a package.
    Raises KestrelError naming the module that can't be found or fails, with the line where it does.
    """
    for name in modules:
        guarded(f"factors.modules: {name}", partial(module_named, name))
    _installed()


def module_named(name: str) -> ModuleType:
    """The module, found as `extend` says."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return import_module(name)


@cache
def _installed() -> None:
    for entry in entry_points(group=GROUP):
        guarded(f"The installed factors {entry.name} ({entry.value})", entry.load)


def guarded(what: str, load: Callable[[], T]) -> T:
    """What `load` gives; whatever a user's own code raises becomes one message that names the line."""
    try:
        return load()
    except KestrelError as error:
        raise KestrelError(f"{what}: {error}") from None
    except ModuleNotFoundError as error:
        where = f" It is looked for in {os.getcwd()} and in the environment." if error.name is not None and error.name in what else ""
        raise KestrelError(f"{what} can't be imported: {error}.{where}") from None
    except SyntaxError as error:
        raise KestrelError(f"{what} isn't Python: {error.msg} ({error.filename}, line {error.lineno}).") from None
    except (Exception, SystemExit) as error:
        line = extract_tb(error.__traceback__)[-1]
        raise KestrelError(f"{what} fails: {type(error).__name__}: {error} ({line.filename}, line {line.lineno}).") from error
