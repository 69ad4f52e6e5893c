"""scikit-learn's own tests of its multilayer perceptron, run on ours."""

import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.neural_network

ORIGINAL = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
CONFTEST = """
import pytest

@pytest.fixture
def global_random_seed():
    return 42
"""


@pytest.mark.skipif(not ORIGINAL.exists(), reason="scikit-learn is installed without its tests")
def test_all_pass(tmp_path):
    source = ORIGINAL.read_text()
    assert source.count(IMPORT) == 1
    source = source.replace(IMPORT, "from fastmlp import MLPClassifier, MLPRegressor\n")
    (tmp_path / "test_mlp.py").write_text(source)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    last_line = result.stdout.splitlines()[-1]
    assert result.returncode == 0, result.stdout
    assert "passed" in last_line and "skipped" not in last_line, result.stdout
    assert int(last_line.split()[0]) >= 59
