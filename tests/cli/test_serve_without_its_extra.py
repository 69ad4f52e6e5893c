"""Without the packages of its extra, ``serve`` says in a line how to get them."""

import sys

from commands import fails


def test_a_missing_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert "pip install 'fastmlp[serve]'" in fails("serve", tmp_path / "m.fastmlp")
