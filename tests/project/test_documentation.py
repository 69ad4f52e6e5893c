"""README and the pages of the site: their programs run, and what they say of the code is so."""

import contextlib
import importlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from inspect import getmembers, isfunction, signature
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pytest
from fastmlp_cli.fit import fit
from fastmlp_cli.main import main
from sklearn.utils._param_validation import StrOptions
from warm import warm

import fastmlp
from fastmlp import demos, exceptions, plotting, schedules
from fastmlp.estimators.parameters import ACTIVATIONS, SOLVERS
from fastmlp.network.plan import Activation
from fastmlp.network.weights import INITIALISERS
from fastmlp.schedules import SCHEDULES

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
# Where the programs of this environment are.
INSTALLED = Path(sys.executable).parent

# Blocks that cannot run here, by the reason in the comment above them.
NOT_RUN = {
    "test command": 1,
    "not run: needs a GPU": 2,
    "not run: these are the tests themselves": 2,
    "not run: installs packages and builds the site": 1,
    "not run: it serves until a signal ends it": 3,
    "not run: needs a server": 1,
    "not run: needs a cluster": 3,
}
# Lines of the table that the pages train on.
N_ROWS = 301
# A small table for calls that are refused.
X, Y = np.random.RandomState(0).normal(size=(60, 4)), np.arange(60) % 3
ROOMS = (
    "network|engines|training|estimators|tabular|search|streaming|cluster|export|reports|serving"
    "|tools|demos|playground|plotting"
)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    code: str
    line: int
    comment: str | None


def blocks(page):
    text = page.read_text()
    pattern = r"(?:^<!-- ([^\n]*) -->\n)?^```([^\n]*)\n(.*?)^```$"
    return [
        Block(found[2], found[3], text[: found.start(3)].count("\n"), found[1])
        for found in re.finditer(pattern, text, re.DOTALL | re.MULTILINE)
    ]


def running(page, language):
    return [b for b in blocks(page) if b.language == language and b.comment not in NOT_RUN]


def script(page):
    """The commands of a page, but for installation, which is what runs this."""
    install = re.compile(r"^python -m pip install .*?( && |$)", re.MULTILINE)
    return install.sub("", "".join(block.code for block in running(page, "bash"))).strip()


def program(page):
    """The programs of a page, which go on from one another, at the lines that they have there."""
    text = ""
    for block in running(page, "python"):
        text += "\n" * (block.line - text.count("\n")) + block.code
    return text


def documented(name):
    """A module of the folder of pages."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """What the pages do, in folders of their own; two of them run at a time, since most wait."""

    def run(test, page):
        folder = tmp_path_factory.mktemp(page.stem)
        copy_data(folder)
        first = INSTALLED if page == README else programs
        path = os.pathsep.join(map(str, (first, INSTALLED, os.environ["PATH"])))
        return COMMANDS[test](page, folder, {**os.environ, "PATH": path})

    with programs_of_pages(tmp_path_factory) as programs, ThreadPoolExecutor(2) as pool:
        found = {}
        for item in request.session.items:
            if item.module is request.module and item.originalname in COMMANDS:
                key = item.originalname, item.callspec.params["page"]
                found[key] = pool.submit(run, *key)
        yield found
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def programs_of_pages(tmp_path_factory):
    """The folder of the program ``fastmlp`` of all pages but README, whose is the installed one."""
    if sys.platform != "linux":
        yield INSTALLED
        return
    folder = tmp_path_factory.mktemp("programs")
    path = os.pathsep.join((str(INSTALLED), os.environ["PATH"]))
    with warm(shutil.which("fastmlp", path=path), folder):
        yield folder


def copy_data(folder):
    """Copy the files that the pages name; a shorter table is trained on in less time."""
    shutil.copytree(ROOT / "tests" / "data", folder / "tests" / "data")
    table = folder / "tests" / "data" / "concrete.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:N_ROWS]))


def commands_of_a_page(page, folder, environment):
    """The result of its commands in one shell."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # A server that a command has left running where another one has failed.
    code = f"trap 'kill $(jobs -p) 2> {os.devnull} || true' EXIT\n" + script(page)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code.replace("8000", str(port))],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip


def programs_of_a_page(page, folder, environment):
    """The result of one process that runs all of a page; tracebacks have its line numbers."""
    path = folder / f"{page.stem}.py"
    path.write_text(program(page))
    return subprocess.run(
        [sys.executable, path.name], cwd=folder, env={**environment, "MPLBACKEND": "agg"},
        capture_output=True, text=True,
    )  # fmt: skip


COMMANDS = {
    "test_commands_of_a_page": commands_of_a_page,
    "test_programs_of_a_page": programs_of_a_page,
}


def succeeds(run):
    """Wait for the end of what a page does; a test that fails shows what was printed."""
    result = run.result()
    print(result.stdout, result.stderr, sep="\n")
    assert result.returncode == 0
    return result


def test_every_block_runs_or_says_why_not():
    found = [block for page in PAGES for block in blocks(page)]
    # What begins with a brace is no program, but a directive of the site.
    assert {b.language for b in found if not b.language.startswith("{")} == {"bash", "python"}
    reasons = Counter(block.comment for block in found)
    assert reasons.pop(None) > 15
    assert reasons == NOT_RUN
    fences = sum(page.read_text().count("\n```") for page in PAGES)
    assert fences == 2 * len(found), "a fence that is not at the start of its line, or not closed"


@pytest.mark.parametrize("page", filter(script, PAGES), ids=lambda page: page.stem)
def test_commands_of_a_page(page, runs):
    if "\ncurl " in script(page) and shutil.which("curl") is None:
        pytest.skip("the page needs curl")
    result = succeeds(runs["test_commands_of_a_page", page])
    if page.stem == "tutorial":  # its server has answered at last
        assert result.stdout.splitlines()[-1].startswith('{"predictions":[{"target":')


@pytest.mark.parametrize("page", filter(program, PAGES), ids=lambda page: page.stem)
def test_programs_of_a_page(page, runs):
    succeeds(runs["test_programs_of_a_page", page])


def test_readme_is_short():
    assert README.stat().st_size <= 7 * 1024


def test_speed_table_is_the_measured_one():
    measured = _table((ROOT / "benchmarks" / "results" / "cpu-training.md").read_text())
    shown = _table(README.read_text())
    assert len(shown) == len(measured) == 9
    columns = [measured[0].index(name) for name in shown[0]]
    assert len(columns) >= 5
    assert shown == [[row[k] for k in columns] for row in measured]


def test_quality_table_is_the_measured_one():
    measured = _table((ROOT / "benchmarks" / "results" / "quality.md").read_text())
    shown = _table(README.read_text().partition("all with their defaults:")[2])
    columns = [measured[0].index(name) for name in shown[0]]
    assert len(columns) >= 5 and len(shown) == len(measured) >= 8
    assert shown == [[row[k] for k in columns] for row in measured]


def _table(text):
    """Cells of the first table of a page, without the line below its header."""
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def _losses(estimator):
    options = estimator._parameter_constraints["loss"]
    return set().union(*(option.options for option in options if isinstance(option, StrOptions)))


@pytest.mark.parametrize(
    "names",
    [
        ACTIVATIONS,
        SOLVERS,
        INITIALISERS,
        set(SCHEDULES),
        _losses(fastmlp.MLPClassifier),
        _losses(fastmlp.MLPRegressor),
    ],
    ids=["activations", "solvers", "init", "schedules", "classifier losses", "regressor losses"],
)
def test_every_choice_has_its_formula(names):
    tables = [line for line in (DOCS / "options.md").read_text().splitlines() if line[:1] == "|"]
    with_formula = {name for line in tables for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert len(names) > 1 and names <= with_formula


@pytest.mark.parametrize(
    "names",
    [ACTIVATIONS, _losses(fastmlp.MLPClassifier), _losses(fastmlp.MLPRegressor)],
    ids=["activations", "classifier losses", "regressor losses"],
)
def test_every_formula_is_derived_and_checked_on_the_page_of_mathematics(names):
    text = (DOCS / "mathematics.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line[:1] == "|"]
    derived = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    # The block on the page compares each with differences, and the tests run it.
    (block, *_) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    checked = set(re.findall(r'^    "(\w+)": \(', block, re.MULTILINE))
    assert names <= derived and names <= checked


def test_every_parameter_is_on_the_page_of_options():
    text = (DOCS / "options.md").read_text()
    # These are no options of the mathematics; their places are other pages and the reference.
    elsewhere = {"device", "n_jobs", "verbose", "warm_start", "random_state", "max_fun"}
    for estimator in (fastmlp.MLPClassifier, fastmlp.MLPRegressor):
        for name in set(signature(estimator).parameters) - elsewhere:
            assert re.search(rf"`{name}\b", text), name


def _items(page, heading):
    """The items of the first list below a heading of a page, each on one line."""
    section = (DOCS / page).read_text().split(f"\n## {heading}\n")[1]
    found = re.search(r"(?:^- .*\n(?:  .*\n)*)+", section, re.MULTILINE)[0]
    return [" ".join(item.split()) for item in re.split(r"^- ", found, flags=re.MULTILINE)[1:]]


def _fitting(estimator=fastmlp.MLPClassifier, y=Y, **options):
    return lambda: estimator(max_iter=2, **options).fit(X, y)


def _continuing(**options):
    return lambda: fastmlp.MLPClassifier(**options).partial_fit(X, Y, classes=[0, 1, 2])


NOT_COMBINED = {
    "`swa_start` with `early_stopping=True` or with `solver='lbfgs'`": [
        _fitting(swa_start=1, early_stopping=True),
        _fitting(swa_start=1, solver="lbfgs"),
    ],
    "`solver='lbfgs'` with `dropout`, `l1`, `weight_decay`, `max_norm`, `clip_value`, `clip_norm` "
    "or `lr_schedule`": [
        *(
            _fitting(solver="lbfgs", **{name: 0.1})
            for name in ("dropout", "l1", "weight_decay", "max_norm", "clip_value", "clip_norm")
        ),
        _fitting(solver="lbfgs", lr_schedule="cosine"),
    ],
    "`solver='gd'` with a `batch_size`, since each of its steps takes all rows": [
        _fitting(solver="gd", batch_size=10)
    ],
    "`lr_schedule` with `learning_rate='invscaling'` or `'adaptive'`, since both are schedules": [
        _fitting(lr_schedule="cosine", solver="sgd", learning_rate=name)
        for name in ("invscaling", "adaptive")
    ],
    "`loss='margin'` with `label_smoothing`": [_fitting(loss="margin", label_smoothing=0.1)],
    "`scoring` without rows to score, which are those of `early_stopping=True` or of an "
    "`eval_set`": [_fitting(scoring="accuracy")],
    "several `quantiles` with a `y` of several columns": [
        _fitting(fastmlp.MLPRegressor, X[:, :2], loss="quantile", quantiles=(0.1, 0.9))
    ],
    "`partial_fit` with `early_stopping=True`, `scoring` or `swa_start`": [
        _continuing(early_stopping=True),
        _continuing(scoring="accuracy"),
        _continuing(swa_start=1),
    ],
    "`activation='step'` with training, which has no gradient to go by": [
        _fitting(activation="step"),
        _continuing(activation=["relu", "step"], hidden_layer_sizes=(3, 2)),
    ],
}


def test_what_cannot_be_combined_is_listed():
    assert _items("options.md", "What cannot be combined") == list(NOT_COMBINED)


@pytest.mark.parametrize("line", NOT_COMBINED)
def test_what_cannot_be_combined_is_refused(line):
    named = set(re.findall(r"`(\w+)", line.split(", since")[0])) - {"y", "eval_set"}
    for call in NOT_COMBINED[line]:
        with pytest.raises(ValueError) as caught:
            call()
        # The message names what is in the way, and is not about something else.
        assert any(re.search(rf"\b{name}\b", str(caught.value)) for name in named), caught.value


def test_parameters_with_a_flag_are_named():
    shown = re.search(r"parameters have flags: (.*?)\.\n", (DOCS / "tables.md").read_text(), re.S)
    parameters = set().union(
        *(signature(e).parameters for e in (fastmlp.TabularClassifier, fastmlp.TabularRegressor))
    )
    flags = {max(o.opts, key=len) for o in fit.params if o.name in parameters}
    assert set(re.findall(r"`(--[\w-]+)`", shown[1])) == flags
    of_networks = set(signature(fastmlp.MLPClassifier).parameters)
    assert of_networks - parameters == {"verbose", "warm_start"}


@pytest.mark.parametrize("activation", Activation, ids=lambda activation: activation.name)
def test_every_activation_is_in_the_help(activation):
    (option,) = (option for option in fit.params if option.name == "activation")
    text = fastmlp.MLPClassifier.__doc__
    listed = re.search(r"    activation : .*?\n(.*?)\n    \w+ : ", text, re.DOTALL)[1]
    name = activation.name.lower()
    assert f"'{name}'" in listed
    # The command trains.
    assert bool(re.search(rf"\b{name}\b", option.help)) is activation.is_trainable


def test_every_table_of_speed_says_where_it_was_measured():
    page = (ROOT / "docs/speed.md").read_text()
    included = re.findall(r"\.\./(benchmarks/results/\S+)\n(.*)", page)
    assert {path for path, _ in included} >= {"benchmarks/results/cpu-training.md"}
    for path, option in included:
        assert option == ":start-line: 2"
        assert re.search(
            r"\d+ cores.*; 2026-\d\d-\d\d\.", (ROOT / path).read_text().splitlines()[2]
        )


def test_every_command_is_in_the_reference():
    """It is written from the commands themselves, all of them, in the order of the help."""
    found = re.findall(
        r"^\.\. click:: fastmlp_cli\.\w+:(\w+)\n   :prog: fastmlp (\w+)$",
        (DOCS / "tables.md").read_text(),
        re.MULTILINE,
    )
    listed = main.list_commands(click.Context(main))
    assert found == [(name, name) for name in listed] and set(listed) == set(main.commands)


def test_every_public_name_is_in_the_reference():
    found, module = set(), None
    for line in (DOCS / "api.md").read_text().splitlines():
        if line.startswith(".. currentmodule::"):
            module = line.split()[-1]
        elif re.fullmatch(r"   [\w.]+", line):
            found.add(f"{module}.{line.strip()}")
    modules = {"demos", "exceptions", "plotting", "schedules"}
    public = {f"fastmlp.{name}" for name in set(fastmlp.__all__) - modules - {"__version__"}}
    public |= {f"fastmlp.demos.{name}" for name in demos.__all__}
    public |= {f"fastmlp.{name}" for name in _own(exceptions, lambda x: isinstance(x, type))}
    public |= {f"fastmlp.schedules.{n}" for n in _own(schedules, lambda x: isinstance(x, type))}
    public |= {
        f"fastmlp.plotting.{n}" for n in plotting.__all__ if isfunction(getattr(plotting, n))
    }
    assert public - found == {"fastmlp.plotting.require_matplotlib"}
    for name in found:
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute), name


def _own(module, kind):
    """Public names that a module defines."""
    members = getmembers(module, kind)
    return {n for n, x in members if n[0] != "_" and x.__module__ == module.__name__}


def test_internals_name_every_module():
    modules = documented("modules")
    shown = re.findall(r"^```{modules} (\S+)$", (DOCS / "internals.md").read_text(), re.MULTILINE)
    assert len(shown) == len(set(shown))
    summaries = {}
    for folder in shown:
        found = modules.summaries(folder)
        assert modules.table(folder).count("\n") == len(found) + 1
        summaries.update({f"{folder}/{name}": text for name, text in found.items()})
    package = ROOT / "fastmlp"
    for path in package.rglob("*.py"):
        folder = path.parent.relative_to(package).as_posix()
        if path.name != "__init__.py":
            assert summaries[f"{folder}/{path.name}"].endswith("."), path


def test_rooms_are_drawn():
    diagrams = documented("diagrams")
    arrows = diagrams.room_imports()
    top = {path.stem for path in (ROOT / "fastmlp").glob("[a-z]*") if path.suffix in ("", ".py")}
    assert set(arrows) == top | {"cli"}
    assert "engines" in arrows["training"] and "training" not in arrows["engines"]
    drawn = diagrams.rooms()
    boxes = set(re.findall(r'<rect x="(\S+)" y="(\S+)"', drawn))
    assert len(boxes) == len(arrows), "two rooms in one place"
    assert all(f">{room}</text>" in drawn for room in arrows)


def test_files_that_are_named_exist():
    for page in PAGES:
        text = page.read_text()
        named = re.findall(r"`((?:benchmarks|tests|fastmlp|cli)/[\w./-]+)(?:::\w+)?`", text)
        rooms = re.findall(rf"`((?:{ROOMS})/[\w./-]+)`", text)
        links = re.findall(r"\]\(([\w./-]+\.md)", text) if page == README else []
        for path in (*named, *(f"fastmlp/{place}" for place in rooms), *links):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_tests_that_keep_promises_exist():
    page = (DOCS / "promises.md").read_text()
    promises = re.findall(r"^- (?:.*\n)(?:  .*\n)*", page, re.MULTILINE)
    for promise in promises:
        tests = re.findall(r"^  - `(tests/[\w./]+\.py)(?:::(\w+))?`$", promise, re.MULTILINE)
        assert tests, f"no test keeps: {promise}"
        for path, name in tests:
            assert not name or f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
    assert len(promises) > 20


def test_site_check_finds_faults(tmp_path):
    faults = documented("check_site").faults
    assert faults(tmp_path) == [f"{tmp_path}: no pages"]
    page = tmp_path / "index.html"
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "other.html").write_text('<p id="here"></p><a href="../">up</a>')
    page.write_text(
        '<a href="below/other.html#here">a</a><a href="#top">b</a><h1 id="top">c</h1>'
        '<a href="https://elsewhere.org/x">links may lead elsewhere</a><img src="data:,x"/>'
    )
    assert faults(tmp_path) == []
    page.write_text(
        '<a href="missing.html">a</a><a href="below/other.html#there">b</a><a href="#top">c</a>'
        '<img src="https://elsewhere.org/x.png"/><script src="//elsewhere.org/x.js"></script>'
        '<link rel="stylesheet" href="gone.css"/>'
    )
    (tmp_path / "site.css").write_text("@import url(https://elsewhere.org/font.css);")
    assert faults(tmp_path) == [
        "index.html: loads https://elsewhere.org/x.png",
        "index.html: loads //elsewhere.org/x.js",
        "index.html: no file missing.html",
        "index.html: no anchor below/other.html#there",
        "index.html: no anchor #top",
        "index.html: no file gone.css",
        "site.css: loads https://elsewhere.org/font.css",
    ]
