"""T19: an old fix that is lost again. Every attack of the table has tests that are collected, and docs/conformance-security.md says for each how it was
shown that they can fail; a test that goes needs a reason there."""
import glob
import os
import re

import pytest

from seclib import HERE, TOP

DOC = os.path.join(TOP, "docs", "conformance-security.md")
NUMBERS = [f"T{n:02}" for n in range(1, 26)]


def collected():
    """Names of test functions by file."""
    out = {}
    for path in glob.glob(HERE + "/test_*.py"):
        with open(path) as f:
            out[os.path.basename(path)] = set(re.findall(r"^def (test_\w+)\(", f.read(), re.M))
    return out


def rows():
    with open(DOC) as f:
        return {m[1]: m[0] for m in re.finditer(r"^\| (T\d\d) \|.*$", f.read(), re.M)}


@pytest.mark.parametrize("number", NUMBERS)
def test_T19_each_attack_has_tests_and_a_row(number):
    names = [n for names in collected().values() for n in names if n.startswith(f"test_{number}_")]
    assert names, f"no test of {number}"
    row = rows().get(number)
    assert row, f"no row of {number} in {DOC}"
    cells = [c.strip() for c in row.strip("|").split("|")]
    assert len(cells) >= 4 and all(cells[1:4]), row


def test_T19_what_the_table_names_is_there():
    have = collected()
    with open(DOC) as f:
        text = f.read()
    for name in re.findall(r"`(test_T\w+\.py)`", text):
        assert name in have, name
    for name in re.findall(r"`(test_T\d\d_\w+)`", text):
        assert any(name in names for names in have.values()), name
    for name in re.findall(r"`weak/([\w-]+)`", text):
        assert os.path.exists(f"{HERE}/weak/{name}.patch"), name


def test_T19_each_weak_build_is_in_the_table():
    with open(DOC) as f:
        text = f.read()
    patches = glob.glob(HERE + "/weak/*.patch")
    assert len(patches) >= 5
    for p in patches:
        assert f"`weak/{os.path.basename(p)[:-6]}`" in text, p
        with open(p) as f:
            for node in re.findall(r"^Test: (\S+)", f.read(), re.M):
                path, _, rest = node.partition("::")
                assert os.path.exists(os.path.join(TOP, path)), node
                assert not rest or rest.split("[")[0] in collected()[os.path.basename(path)], node
