import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import faultlib as lib  # noqa: E402


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    d = tmp_path_factory.mktemp("faults")
    yield {"inject": lib.build(str(d / "inject"), "inject"), "look": lib.build(str(d / "look"), "look", "-static")}
    lib.remove_parent()


@pytest.fixture(scope="session")
def names():
    return lib.call_names()


@pytest.fixture
def box(tmp_path, tools, names):
    p = tmp_path
    while str(p) not in ("/tmp", "/"):
        os.chmod(p, 0o711)
        p = p.parent
    b = lib.Box(str(tmp_path), tools, names)
    yield b
    b.clean()
    if b.console:
        b.console.close()
    assert b.left() == []
