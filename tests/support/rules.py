"""Which promise a test holds: ``@rule("R4")``. The list rule → test is made from these (see
`docs/explanation/promises.md`).
"""

import pytest


def rule(*names: str) -> pytest.MarkDecorator:
    """Marks a test with the rules that it would break without."""
    return pytest.mark.rule(*names)
