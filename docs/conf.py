"""How the documentation is built: ``nox -s docs``, warnings are errors."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import abilities  # noqa: E402
import house  # noqa: E402 - they stand beside this file
import landing  # noqa: E402
from diagram import lifecycle_svg  # noqa: E402

project = "progressive"
author = "the authors of progressive"
copyright = "2026, the authors of progressive"
release = metadata.version("progressive-delivery")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.viewcode"]
intersphinx_mapping: dict[
    str, tuple[str, None]
] = {}  # links to other projects need a network; pages must build without one
source_suffix = {".md": "markdown"}
exclude_patterns = ["examples", "_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.xref_missing"
]  # links from these pages into the repository: tests, examples

default_role = "py:obj"
nitpicky = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_class_signature = "mixed"

html_theme = "furo"
html_title = "progressive"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_show_sphinx = False

READABLE = (
    (r"datetime\.timedelta\(0\)", "timedelta()"),
    (r"datetime\.timedelta\(days=(\d+)\)", r"timedelta(days=\1)"),
    (r"datetime\.timedelta\(seconds=(\d+)\)", r"seconds(\1)"),
    (r"<(\w+\.\w+): [^>]+>", r"\1"),
)
"""How defaults are shown: as a user would write them."""


MADE = re.compile(r"(\w+)(: [^=]*?)? = NOTHING")
"""A parameter whose default is made for each value, as attrs shows it."""


def _made(obj: object, signature: str) -> str:
    """The signature of an attrs class with the defaults that are made: their values, or dots where
    they are made of the other parameters.
    """
    factories = {
        field.alias: field.default
        for field in (attrs.fields(obj) if isinstance(obj, type) and attrs.has(obj) else ())
        if isinstance(field.default, attrs.Factory)
    }

    def shown(found: re.Match[str]) -> str:
        factory = factories.get(found[1])
        known = factory is not None and not factory.takes_self
        value = repr(factory.factory()) if known else "..."
        return f"{found[1]}{found[2] or ''} = {value}"

    return MADE.sub(shown, signature)


def readable(
    app: object,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> Any:
    """For `autodoc-process-signature`."""
    if signature is not None:
        signature = _made(obj, signature)
    for pattern, shown in READABLE:
        signature = None if signature is None else re.sub(pattern, shown, signature)
    return signature, returned


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("autodoc-process-signature", readable)


(HERE / "_static").mkdir(exist_ok=True)
(HERE / "_static" / "lifecycle.svg").write_text(lifecycle_svg(), encoding="utf-8")
house.write(HERE / "_static")
landing.write(HERE / "_static")
abilities.write(HERE / "_static")
