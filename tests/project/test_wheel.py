"""What is installed: every module of the packages and what belongs to it, and nothing else."""

import os
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import fastmlp

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = 77  # the oldest one that knows the form of the licence in pyproject.toml


def sources(folder, package):
    """Files of a folder that belong into a package, as the wheel names them."""
    endings = {".py", ".typed", ".txt", ".html", ".css", ".js"}
    found = {path for path in (ROOT / folder).rglob("*") if path.suffix in endings}
    return {f"{package}/{path.relative_to(ROOT / folder).as_posix()}" for path in found}


def test_every_folder_of_modules_is_a_package():
    """setuptools leaves out without a word what the list lacks."""
    listed = PROJECT["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "fastmlp").rglob("*.py")}
    assert sorted(listed) == sorted(["fastmlp_cli", *(".".join(f.parts) for f in folders)])


@pytest.fixture(scope="module")
def setuptools():
    """The module, where it is new enough."""
    try:
        installed = version("setuptools")
    except ModuleNotFoundError:
        installed = "0"
    if int(installed.split(".")[0]) < SETUPTOOLS:
        pytest.skip(f"needs setuptools {SETUPTOOLS} or later, got {installed}")
    return pytest.importorskip("setuptools")


def test_a_wheel_without_compiled_kernels_is_for_any_platform(setuptools, tmp_path, monkeypatch):
    """Even where a folder for them is there, as an earlier build leaves it."""
    monkeypatch.setattr(setuptools, "setup", lambda **options: None)
    names = runpy.run_path(str(ROOT / "setup.py"))
    distribution = setuptools.Distribution({"name": "some", "version": "1"})
    distribution.get_command_obj("build_py").build_lib = str(tmp_path)
    folder = tmp_path / names["OBJECTS"]
    folder.mkdir(parents=True)

    def tag():
        command = names["Wheel"](distribution)
        command.ensure_finalized()
        return command.get_tag()

    assert tag() == ("py3", "none", "any")
    (folder / "x86-64-v3-float32.fmo").write_bytes(b"code")
    python, binary, platform = tag()
    assert (python, binary) == ("py3", "none") and platform != "any"


@pytest.fixture(scope="module")
def wheel(setuptools, tmp_path_factory):
    """A wheel of this tree, built in a copy, so that nothing is left behind here."""
    copy = tmp_path_factory.mktemp("tree") / "fastmlp"
    ignored = shutil.ignore_patterns(".*", "_build", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--wheel-dir", str(out), "--verbose", str(copy)]
    # A level that nothing can be compiled for: the wheel is whole without compiled kernels.
    env = {**os.environ, "FASTMLP_LEVELS": "none-such"}
    result = subprocess.run(command, capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "kernels of none-such for float32 are not compiled" in result.stdout + result.stderr
    (path,) = out.iterdir()
    assert path.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_has_every_module_and_nothing_else(wheel):
    info = f"fastmlp-{fastmlp.__version__}.dist-info"
    about = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"]
    expected = {f"{info}/{name}" for name in about}
    expected |= sources("fastmlp", "fastmlp") | sources("cli", "fastmlp_cli")
    assert "fastmlp/py.typed" in expected
    assert set(wheel) == expected


def test_wheel_installs_the_command(wheel):
    (points,) = (text for name, text in wheel.items() if name.endswith("entry_points.txt"))
    assert points.decode().split() == ["[console_scripts]", "fastmlp", "=", "fastmlp_cli.main:main"]


def test_metadata_has_what_pyproject_says(wheel):
    (text,) = (text.decode() for name, text in wheel.items() if name.endswith("METADATA"))
    lines = text.split("\n\n")[0].splitlines()
    project = PROJECT["project"]
    assert f"Version: {fastmlp.__version__}" in lines
    assert f"Requires-Python: {project['requires-python']}" in lines
    extras = {line.split(": ")[1] for line in lines if line.startswith("Provides-Extra")}
    assert extras == set(project["optional-dependencies"])
    assert "License-Expression: BSD-3-Clause" in lines
