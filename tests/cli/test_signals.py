"""Ctrl-C and the other signals that ask a command to end."""

import contextlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import QUICK, on_terminal, run
from fastmlp_cli.main import main

from fastmlp import load_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def python(code, *path, **options):
    """A process that runs code, and finds modules in folders first."""
    paths = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def bar_that(monkeypatch, act):
    """Let a function be called with the number of each epoch that ends."""

    @contextlib.contextmanager
    def bar(quiet):
        yield lambda epoch: act(epoch.epoch)

    monkeypatch.setattr("fastmlp_cli.progress.progress_bar", bar)


@pytest.mark.parametrize("number", ENDING)
def test_a_fit_keeps_what_it_has_learned(data, monkeypatch, number):
    bar_that(monkeypatch, lambda epoch: epoch == 3 and signal.raise_signal(number))
    result = run("fit", "data.csv", *QUICK)
    assert "interrupted after 3 epochs; the weights are kept" in result.stderr
    assert "accuracy" in result.stdout
    assert load_model("data.fastmlp").report_["epochs"] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_asked_to_end_keeps_what_it_has_learned(here, number):
    noise = np.random.default_rng(0).normal(size=(2000, 9)).round(4)
    pd.DataFrame(noise).add_prefix("x").to_csv("noise.csv", index=False)
    options = ["--epochs", "1000000", "--no-early-stopping", "--set", "n_iter_no_change=1000000"]
    code, table, shown = on_terminal("fit", "noise.csv", *options, number=number)
    assert code == 0, shown
    epochs = int(re.search(r"interrupted after (\d+) epochs; the weights are kept", shown)[1])
    assert load_model("noise.fastmlp").report_["epochs"] == epochs
    assert "R2" in table and "Traceback" not in shown


def test_a_terminal_that_closes_takes_no_model_with_it(here):
    """Nobody is left to read the bar or the remarks, and the model is written."""
    noise = np.random.default_rng(0).normal(size=(2000, 9)).round(4)
    pd.DataFrame(noise).add_prefix("x").to_csv("noise.csv", index=False)
    options = ["--epochs", "1000000", "--no-early-stopping", "--set", "n_iter_no_change=1000000"]
    child, terminal = pty.fork()
    if child == 0:
        command = [sys.executable, "-m", "fastmlp_cli", "fit", "noise.csv", *options, "--json"]
        with open("report.json", "w") as report:
            os.dup2(report.fileno(), 1)
        termios.tcsetwinsize(2, (24, 100))
        os.execv(sys.executable, command)
    shown = b""
    while b"loss=" not in shown:
        shown += os.read(terminal, 10_000)
    os.close(terminal)  # the kernel sends SIGHUP, and writing to the terminal fails from now on
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert load_model("noise.fastmlp").report_["interrupted"]


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize(
    ("args", "place"),
    [
        (("fit", "data.csv"), "fastmlp.tabular.csv.read_table"),
        (("fit", "data.csv"), "fastmlp.tabular.train.train_table"),
        (("predict", "data.fastmlp", "data.csv"), "fastmlp.tabular.predictions.predict_chunks"),
        (("evaluate", "data.fastmlp", "data.csv"), "fastmlp.tabular.evaluation.measure"),
        (
            ("compare", "data.fastmlp", "data.fastmlp", "data.csv"),
            "fastmlp.tabular.evaluation.compare",
        ),
        (("completion", "bash"), "fastmlp_cli.completion.get_completion_class"),
        (("info", "data.fastmlp"), "fastmlp.export.model_file.load_model"),
        (("export", "data.fastmlp", "new.onnx"), "fastmlp.export.model_file.load_model"),
        (("demo", "xor"), "fastmlp.demos.run"),
        (("bench",), "fastmlp.tools.bench.training_table"),
        (("warmup",), "fastmlp.warmup"),
        (("doctor",), "fastmlp.tools.doctor.examine"),
    ],
)
def test_a_command_that_is_interrupted_says_so_in_one_line(model, monkeypatch, args, place, number):
    before = {path: path.read_bytes() for path in Path().iterdir()}

    def interrupted(*args, **kwargs):
        signal.raise_signal(number)

    monkeypatch.setattr(place, interrupted)
    result = run(*args, *(["--quiet"] if args[0] == "fit" else []), code=130)
    assert result.stderr == "fastmlp: interrupted\n" and result.stdout == ""
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_signals_wait_until_the_model_is_written(data, monkeypatch):
    import skops.io

    dump = skops.io.dump

    def interrupted(*args, **kwargs):
        for number in (*ENDING, *ENDING):
            signal.raise_signal(number)
        dump(*args, **kwargs)

    monkeypatch.setattr("skops.io.dump", interrupted)
    result = run("fit", "data.csv", *QUICK)
    assert "model     data.fastmlp" in result.stdout
    assert load_model("data.fastmlp").report_["epochs"] == 20
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "data.fastmlp"]


def test_signals_wait_until_predictions_and_graphs_are_written(model, monkeypatch):
    pytest.importorskip("onnx", reason="onnx is not installed")
    replace = Path.replace

    def interrupted(*args):
        signal.raise_signal(signal.SIGTERM)
        return replace(*args)

    monkeypatch.setattr(Path, "replace", interrupted)
    run("predict", model, "data.csv", "-o", "out.csv")
    run("export", model, "out.onnx")
    assert len(pd.read_csv("out.csv")) == 120 and Path("out.onnx").stat().st_size


def test_the_second_signal_is_part_of_the_first_ones_wish(data, monkeypatch):
    """A service manager sends several, and fingers bounce; the third one ends at once."""
    numbers = []

    def repeat(epoch):
        if epoch == 2:
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                for number in numbers:
                    signal.raise_signal(number)

    bar_that(monkeypatch, repeat)
    for number in ENDING:
        numbers[:] = [number]
        run("fit", "data.csv", *QUICK)
        assert load_model("data.fastmlp").report_["epochs"] == 2
    Path("data.fastmlp").unlink()
    monkeypatch.setattr("fastmlp.tabular.train.report_on", lambda *_: signal.raise_signal(2))
    numbers[:] = [signal.SIGINT]
    assert run("fit", "data.csv", *QUICK, code=130).stderr.endswith("fastmlp: interrupted\n")
    assert not Path("data.fastmlp").exists()


def test_handlers_are_put_back_and_those_of_others_are_left(data, monkeypatch):
    former = {number: signal.getsignal(number) for number in ENDING}
    run("fit", "none.csv", code=2)
    assert {number: signal.getsignal(number) for number in ENDING} == former
    heard = []
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        signal.signal(signal.SIGTERM, lambda *_: heard.append("TERM"))

        def both(epoch):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)

        bar_that(monkeypatch, both)
        run("fit", "data.csv", *QUICK)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    assert load_model("data.fastmlp").report_["epochs"] == 20 and len(heard) == 20


def test_a_command_runs_in_any_thread(model):
    codes = []

    def call():
        try:
            main.main(["info", str(model)], "fastmlp")
        except SystemExit as end:
            codes.append(end.code)

    with contextlib.redirect_stdout(io.StringIO()) as shown:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert codes == [0] and "holds" in shown.getvalue()


def test_an_interrupt_that_became_another_error_is_an_interrupt(model, monkeypatch):
    def fail(*args, **kwargs):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("a part of a library could not be imported") from None

    monkeypatch.setattr("fastmlp.export.model_file.load_model", fail)
    assert run("info", model, code=130).stderr == "fastmlp: interrupted\n"


def test_an_interrupt_in_a_finaliser_is_not_lost(model, monkeypatch, capsys):
    class Finalised:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def finalise(*args, **kwargs):
        Finalised()
        again.wait(60)  # it never is set: the signal comes again

    again = threading.Event()
    monkeypatch.setattr("fastmlp.export.model_file.load_model", finalise)
    assert run("info", model, code=130).stderr == "fastmlp: interrupted\n"
    assert capsys.readouterr().err == ""


def test_ctrl_c_in_what_a_library_runs_from_c_ends_with_a_code(here):
    """Python remembers such an interrupt, and would end by a signal."""
    Path("started.py").write_text(
        "import ctypes, fastmlp.demos\n"
        "from ctypes import pythonapi, py_object\n"
        "pythonapi.PyRun_String.argtypes = ctypes.c_char_p, ctypes.c_int, py_object, py_object\n"
        "pythonapi.PyRun_String.restype = py_object\n"
        "def interrupted(*args):\n"
        "    pythonapi.PyRun_String(b'raise KeyboardInterrupt', 257, {}, {})\n"
        "fastmlp.demos.run = interrupted\n"
        "from fastmlp_cli.main import main\n"
        "main(['demo', 'xor'], prog_name='fastmlp')\n"
    )
    command = [sys.executable, "started.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 130 and done.stderr == "fastmlp: interrupted\n"


@pytest.mark.parametrize("module", ["click", "numpy", "numba"])
@pytest.mark.parametrize("swallows", [False, True])
def test_ctrl_c_during_an_import(data, tmp_path, module, swallows):
    code = "import os, signal\n"
    if swallows and module != "click":
        code += (
            "try:\n    signal.raise_signal(signal.SIGINT)\n"
            "except KeyboardInterrupt:\n    raise ImportError('half imported') from None\n"
        )
    else:
        code += "signal.raise_signal(signal.SIGINT)\n"
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / f"{module}.py").write_text(code)
    call = (
        "import os, sys\n"
        "os.environ['FASTMLP_JIT'] = '1'  # numba is imported to compile, and else not at all\n"
        "sys.argv[1:] = ['fit', 'data.csv', '--quiet']\n"
    )
    done = python(call + "from fastmlp_cli.main import main; main(prog_name='fastmlp')", folder)
    assert (done.returncode, done.stderr, done.stdout) == (130, "fastmlp: interrupted\n", "")


def test_ctrl_c_while_the_process_ends(here):
    done = python(
        "import atexit, signal\n"
        "from fastmlp_cli.main import main\n"
        "atexit.register(lambda: [signal.raise_signal(n) for n in (2, 15, 1)])\n"
        "main(['demo', '--list'], prog_name='fastmlp')\n"
    )
    assert done.returncode == 0 and done.stderr == "" and "xor" in done.stdout
