"""Which test holds which promise: read from the ``@rule`` marks of the suite, written to
docs/explanation/promises.md.

``python tests/promises.py`` writes the page anew; `test_promises.py` fails while it is not what the
suite says.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "explanation" / "promises.md"

RULES = {
    "R1": "The candidate never gets more than the highest step that the stored state has entered.",
    "R2": "After an abort, nothing that any driver does raises it.",
    "R3": "Commands are absolute; done twice is done once.",
    "R4": "Persist, then act: a crash at any point loses nothing.",
    "R5": "Nothing counts as done before it was read back; no answer is neither done nor failed.",
    "R6": "More traffic is given only to what can carry it, and a stable that can't carry the "
    "way back is said so at once.",
    "R7": "A router whose parts disagree is not done, and counts by its highest share.",
    "R8": "Drift is noticed, also edited-and-put-back, and acted on by a policy that ends.",
    "R9": "A version that runs something else than the release says learns and earns nothing.",
    "R10": "The way back is captured before the first write and never changes.",
    "R11": "An abort needs the router only.",
    "R12": "Weights are exact; what a router can't hold is refused, never rounded.",
    "R13": "Missing is not good: empty, NaN, too few.",
    "R14": "A metrics system that is down waits for a bounded time, and then goes back (at full "
    "traffic: holds).",
    "R15": "Without a measurement at this weight, nothing is raised or promoted.",
    "R16": "Comparisons with what is not a number never pass.",
    "R17": "A failing verdict can't get lost on its way to the router.",
    "R18": "A measurement belongs to the traffic that it was taken in.",
    "R19": "No error of an adapter kills or fools the engine.",
    "R20": "Stable is asked too: silence on both is something else than silence on the candidate.",
    "R21": "A lost compare-and-set has no effect.",
    "R22": "A driver that was away can't write over what came later, where the router can compare "
    "and set.",
    "R23": "An abort writes; it is not content with seeing 0 %.",
    "R24": "A final phase absorbs everything.",
    "R25": "A store that fails half-way leaves the old state or the new one.",
    "R26": "Interrupted or cancelled anywhere, what is stored can be resumed.",
    "R27": "People's words are idempotent, fenced, taken or clearly refused; an abort beats an "
    "approval.",
    "R28": "Clocks that jump gain nothing and freeze nothing.",
    "R29": "A bake begins at verification; the last one is at 100 %.",
    "R30": "Every wait has an end.",
    "R31": "Times have a zone.",
    "R32": "Stored and read again is the same, and decides the same.",
    "R33": "A state is refused if it makes no sense, not only if it has no shape.",
    "R34": "Whatever is wrong with stored bytes is one clear error with a path.",
    "R35": "What an older version wrote is read for ever.",
    "R36": "The same state and events give the same bytes, everywhere.",
    "R37": "A secret never shows.",
    "R38": "TLS is on, and there is no switch to turn it off; credentials do not go over plain "
    "http.",
    "R39": "Redirects are not followed.",
    "R40": "Every request ends at a total deadline, however slowly its answer drips.",
    "R41": "An answer is cut off at its limit, and never unpacked.",
    "R42": "A hostile name stays a name: in queries, paths and headers.",
    "R43": "A description is data: strict keys, strict types, nothing coerced.",
    "R44": "Nothing goes where the operator has not sent it: no proxy of the environment, no "
    "program, no key left in a file.",
    "R45": "Before the first per cent: the router obeys, the metrics answer, everything is bound.",
    "R46": "Every decision explains itself, and nobody who is told can disturb it.",
}


def marked() -> Iterator[tuple[str, str, str]]:
    """Rule, file and test of every ``@rule`` in the suite."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for mark in node.decorator_list:
                if (
                    isinstance(mark, ast.Call)
                    and isinstance(mark.func, ast.Name)
                    and mark.func.id == "rule"
                ):
                    for name in mark.args:
                        assert isinstance(name, ast.Constant)
                        yield str(name.value), file.relative_to(TESTS.parent).as_posix(), node.name


def page() -> str:
    """The page, from the marks."""
    found: dict[str, list[str]] = {name: [] for name in RULES}
    for name, file, test in marked():
        found[name].append(f"[{test.removeprefix('test_').replace('_', ' ')}](../../{file})")
    lines = [
        "# What is promised, and which test holds it",
        "",
        "Made from the suite by `python tests/promises.py`; each test breaks if its promise does.",
        (
            "The tests of the tests are the [seeded "
            "faults](../../tests/engine/test_seeded_faults.py): faults put into the engine on "
            "purpose,"
        ),
        "each of which must be caught, every time.",
        "",
    ]
    for name, text in RULES.items():
        lines += [f"**{name}.** {text}", "", *(f"- {test}" for test in found[name]), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
