"""The build of fastmlp: pyproject.toml says all, but that a wheel holds compiled kernels.

``FASTMLP_LEVELS`` names the levels of processors that they are compiled for, separated by blanks or
commas; without it that is the level of this machine. Where a level cannot be compiled, a warning
says so, and the kernels are compiled by the first fit. Editable installs have none.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
OBJECTS = Path("fastmlp", "engines", "cpu", "objects")
DTYPES = "float32", "float64"
MACHINE = "from fastmlp.engines.cpu.vector_unit import LEVEL; print(LEVEL or '')"


def python(*arguments: str, **environment: str) -> str:
    """Run Python in a process of its own, in which this tree is found, and return its output."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "FASTMLP_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=kept | {"PYTHONPATH": path} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            (done.stderr.strip() or f"exit status {done.returncode}").split("\n")[-1]
        )
    return done.stdout.strip()


class BuildKernels(build_py):
    """Copy the modules, and compile the kernels beside them."""

    def run(self) -> None:
        """Do it; what cannot be compiled is left out."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib).resolve() / OBJECTS
        # What an earlier build has left is of other sources.
        for file in folder.glob("*"):
            file.unlink()
        try:
            levels = os.environ.get("FASTMLP_LEVELS", None)
            if levels is None:
                levels = python("-c", MACHINE)
        except (OSError, RuntimeError) as error:
            self.warn(f"kernels are not compiled: {error}")
            return
        work = [(level, dtype) for level in levels.replace(",", " ").split() for dtype in DTYPES]
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda one: self.compile_kernels(*one, folder), work))

    def compile_kernels(self, level: str, dtype: str, folder: Path) -> None:
        """Compile all kernels of a level and dtype; a warning says where that fails."""
        try:
            python(
                "-m", "fastmlp.engines.cpu.build", dtype, str(folder),
                FASTMLP_LEVEL=level, FASTMLP_CACHE="0", NUMBA_DISABLE_INTEL_SVML="1",
                PYTHONHASHSEED="0",  # the names of compiled functions depend on it
            )  # fmt: skip
        except (OSError, RuntimeError) as error:
            self.warn(f"kernels of {level} for {dtype} are not compiled: {error}")


class Wheel(bdist_wheel):
    """A wheel for every Python; with compiled kernels it is for one platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of Python, its binary interface and the platform."""
        build = self.get_finalized_command("build_py")
        if not any(Path(build.build_lib, OBJECTS).glob("*")):
            return super().get_tag()
        self.root_is_pure = False
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build_py": BuildKernels, "bdist_wheel": Wheel})
