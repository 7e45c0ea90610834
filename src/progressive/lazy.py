"""Names of a package that are imported when they are first asked for (PEP 562).

A package with many names says where each is, and a script pays for those that it uses::

    if TYPE_CHECKING:
        from .canary import Canary
    else:
        __getattr__, __dir__ = lazily(__name__, {".canary": "Canary"})

Type checkers and editors read the first half, and so know every name and refuse any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazily"]


def lazily(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package.

    ``names``: those of each module, with blanks between them; the module is relative to the
    package. The folders and files below the package that have them can be asked for too: a folder
    comes with those of its modules.

    A name is kept once it is there, so this is asked for it once. No module of the package may have
    one of its names: importing it would put it in that place.
    """
    module_of = {name: module for module, listed in names.items() for name in listed.split()}
    below = {module.split(".")[1] for module in names}

    def getattr_(name: str) -> object:
        if name in module_of:
            # As ``from module import name`` does: what is asked for may be a module itself.
            value = getattr(__import__(package + module_of[name], fromlist=[name]), name)
        elif name in below:
            for module in names:
                if module.split(".")[1] == name:
                    import_module(module, package)
            value = sys.modules[f"{package}.{name}"]
        else:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}",
                name=name,
                obj=sys.modules[package],
            )
        vars(sys.modules[package])[name] = value
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of, *below})

    return getattr_, dir_
