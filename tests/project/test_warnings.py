"""Warnings point to the line of the user, however many frames of this package lie between."""

import subprocess
import sys
from pathlib import Path

from helpers import environment_with_own_folder

import fastmlp

CODE = """
import numpy as np
from fastmlp import MLPClassifier
X, y = np.eye(4), np.arange(4) % 2
MLPClassifier(max_iter=1, batch_size=1000).fit(X, y)
MLPClassifier(batch_size=1000).partial_fit(X, y, classes=[0, 1])
"""


def test_files_whose_names_begin_like_the_package_are_the_users(tmp_path):
    """Such as a study that lies beside a checkout of the package."""
    package = Path(fastmlp.__file__).parent
    (tmp_path / "fastmlp").symlink_to(package)
    study = tmp_path / "fastmlp_study.py"
    study.write_text(CODE)
    result = subprocess.run(
        [sys.executable, str(study)],
        cwd=tmp_path,
        env=environment_with_own_folder(),
        capture_output=True,
        text=True,
        check=True,
    )
    places = [line.split(": ")[0] for line in result.stderr.splitlines() if "Warning" in line]
    assert places == [f"{study}:5", f"{study}:5", f"{study}:6"]
