"""The checks of equivax, each in an environment of its own: `nox -l` lists them."""

import pathlib

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "examples", "tests"]
nox.options.error_on_missing_interpreters = True

CPU = {"JAX_PLATFORMS": "cpu"}

# The lower bounds that pyproject.toml declares, all at once.
OLDEST = (
    "jax==0.6.0",
    "jaxlib==0.6.0",
    "equinox==0.12.0",
    "jaxtyping==0.2.36",
    "numpy==1.26.*",
    "scipy==1.11.1",
)

# Between the lower bounds and what is newest.
MIDDLE = ("jax==0.8.3", "jaxlib==0.8.3")

# What an oracle's environment holds beside equivax and pytest: the requirements that pip resolves,
# and those installed as they are. escnn and symm-learning are among the latter, since some of
# escnn's dependencies need a Fortran compiler and are not used by what is compared.
ESCNN_NEEDS = ("torch==2.13.0", "numpy<2", "scipy", "joblib", "requests")
ESCNN_ALONE = ("escnn==1.0.11", "lie_learn==0.0.2")
ORACLES = {
    "escnn": (ESCNN_NEEDS, ESCNN_ALONE),
    "symm_learning": (ESCNN_NEEDS, (*ESCNN_ALONE, "symm-learning==0.8.1")),
    "ginjax": (("torch==2.13.0", "ginjax==0.1.8"), ()),
}

# Libraries that give objects to equivax or take models, in one environment with it.
BESIDE = (
    *(
        "ase>=3.23",
        "e3nn-jax>=0.20.6",
        "gymnasium>=1.0",
        "mujoco>=3.2",
        "spglib>=2.5",
        "sympy>=1.12",
    ),
    *("jax2onnx>=0.17.1", "onnxruntime>=1.31"),
)


def scripts(folder: str) -> list[str]:
    return [str(path) for path in sorted(pathlib.Path(folder).glob("*.py"))]


def run_pytest(session: nox.Session, *arguments: str) -> None:
    session.run("pytest", *(session.posargs or ("-n", "2")), *arguments, env=CPU)


@nox.session
def tests(session: nox.Session) -> None:
    """What a change needs, with the newest JAX that this Python admits."""
    session.install("-e", ".[dev]")
    run_pytest(session)


@nox.session
def tests_slow(session: nox.Session) -> None:
    """The other tests: laws on further types, examples, pages of the guide."""
    session.install("-e", ".[dev]")
    run_pytest(session, "-m", "slow")


@nox.session
def tests_middle(session: nox.Session) -> None:
    """What a change needs, with a JAX between the oldest and the newest."""
    session.install("-e", ".[dev]", *MIDDLE)
    run_pytest(session)


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """What a change needs, with the lowest versions that pyproject.toml declares."""
    session.install("-e", ".[dev]", *OLDEST)
    run_pytest(session)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    session.install("-e", ".[dev]")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with nothing but its extra; a warning is an error. Then its tests."""
    session.install("-e", ".[docs]")
    # Without Material's advertisement of its successor, which concerns no page.
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", "--site-dir", session.create_tmp(), env=quiet)
    session.install("-e", ".[dev,docs]")
    session.run("pytest", "tests/habits/test_api_pages.py", "tests/habits/test_site.py", env=CPU)


@nox.session
def browser(session: nox.Session) -> None:
    """The site in a browser: that of the system, or `playwright install chromium` beforehand."""
    session.install("-e", ".[dev,docs]", "playwright==1.65.2")
    session.run("pytest", "-m", "slow", "-rs", "tests/habits/test_browser.py", env=CPU)


@nox.session
def docs_next(session: nox.Session) -> None:
    """The site with Zensical, which reads the same mkdocs.yml: see docs/decisions.md."""
    session.install("-e", ".[docs]", "zensical")
    session.run("zensical", "build", "--strict", "--clean")


@nox.session
def examples(session: nox.Session) -> None:
    """Every example, at its smallest size."""
    session.install("-e", ".[examples]")
    for script in scripts("examples"):
        session.run("python", script, "--smoke", env=CPU | {"MPLBACKEND": "agg"})


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark; on the default device of this machine."""
    session.install("-e", ".[dev]")
    for script in scripts("benchmarks"):
        session.run("python", script, *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """What layers become on a GPU, by XLA's compiler for a described one; needs no GPU."""
    session.install("-e", ".[dev]")
    show = "import jax; print(jax.__version__)"
    version = str(session.run("python", "-c", show, silent=True, env=CPU)).strip()
    plugins = [f"{name}=={version}" for name in ("jax-cuda12-plugin", "jax-cuda12-pjrt")]
    session.install("--no-deps", *plugins)  # without CUDA's libraries, which only run programs
    session.run("python", "benchmarks/kernels.py", *(session.posargs or ("--all",)), env=CPU)


@nox.session
def tpu(session: nox.Session) -> None:
    """What the compiler of a TPU expects of layers; needs no TPU."""
    session.install("-e", ".[dev]", "jax[tpu]")
    session.run("python", "benchmarks/tpu.py", *session.posargs, env=CPU)


@nox.session
def interop(session: nox.Session) -> None:
    """Objects from and programs for libraries beside equivax; and the example with a robot."""
    session.install("-e", ".[dev]", *BESIDE)
    every = ("-m", "slow or not slow", "-rs")
    session.run("pytest", *every, "tests/interop", *session.posargs, env=CPU)
    example = ("-k", "robot_dynamics", "tests/habits/test_examples.py")
    session.run("pytest", *every, *example, env=CPU)


@nox.session
@nox.parametrize("peer", list(ORACLES), ids=list(ORACLES))
def oracles(session: nox.Session, peer: str) -> None:
    """Comparison with another library that does the same job."""
    resolved, alone = ORACLES[peer]
    test_tools = ("pytest", "pytest-xdist", "hypothesis", "beartype")
    session.install("-e", ".", "jax==0.6.2", *test_tools, *resolved)
    if alone:
        session.install("--no-deps", *alone)
    # The warnings of the other library are not our errors.
    files = sorted(map(str, pathlib.Path("tests/oracles").glob(f"test_{peer}*.py")))
    session.run("pytest", "-m", "oracle", "-W", "default", *files, *session.posargs, env=CPU)
