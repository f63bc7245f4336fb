"""T10: nothing of what the caller has open is open in the container or in a hook."""
import os
import re

import pytest

from seclib import open_many, sh, wait_for


@pytest.fixture
def many(probe):
    fds = open_many()
    assert len(numbers(sh(probe, "fds", close_fds=False).stdout)) > 20, "a plain child does not get them: the test proves nothing"
    yield fds
    for fd in fds:
        os.close(fd)


def numbers(text):
    return sorted(int(n) for n in re.findall(r"^(\d+) ", text, re.M))


@pytest.mark.smoke
def test_T10_run(runtime, bundle, many):
    p = runtime.run(bundle().args("probe", "fds"), check=True, close_fds=False)
    assert numbers(p.stdout) == [0, 1, 2], p.stdout


@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
def test_T10_create_and_start(runtime, bundle, many, userns):
    b = bundle().args("probe", "fds")
    if userns:
        b.user_namespace()
    runtime.start(b, close_fds=False)
    text = wait_for(lambda: "2 " in open(b.path + "/out").read() and open(b.path + "/out").read(), what="the list")
    assert numbers(text) == [0, 1, 2], text


def test_T10_exec(runtime, bundle, many):
    b = bundle().args("sleep", "1000")
    runtime.start(b, close_fds=False)
    p = runtime.exec(b, "probe", "fds", check=True, close_fds=False)
    assert numbers(p.stdout) == [0, 1, 2], p.stdout


def test_T10_preserved_ones_and_no_more(runtime, bundle, many):
    """--preserve-fds counts from 3; with open ones there, exactly these are passed."""
    top = next(n for n in range(3, 2000) if not os.path.exists(f"/proc/self/fd/{n}"))
    n = min(top - 3, 3)
    if n < 1:
        os.dup2(many[0], 3)
        n = 1
    keep = [os.get_inheritable(f) for f in range(3, 3 + n)]
    for f in range(3, 3 + n):
        os.set_inheritable(f, True)
    try:
        p = runtime.run(bundle().args("probe", "fds"), "--preserve-fds", str(n), check=True, close_fds=False)
    finally:
        for f, k in zip(range(3, 3 + n), keep):
            os.set_inheritable(f, k)
    assert numbers(p.stdout) == [0, 1, 2, *range(3, 3 + n)], p.stdout


@pytest.mark.parametrize("when", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
def test_T10_hooks(runtime, bundle, probe, many, when):
    b = bundle().args("sleep", "0.1")
    out = b.rootfs + "/tmp/list" if when == "startContainer" else b.path + "/list"
    inside = "/tmp/list" if when == "startContainer" else out
    sh = "/bin/sh"
    b.spec["hooks"] = {when: [{"path": sh, "args": ["sh", "-c", f"{'probe' if when == 'startContainer' else probe} fds >{inside}.new; mv {inside}.new {inside}"],
                               "env": ["PATH=/usr/bin:/bin"]}]}
    runtime.run(b, check=True, close_fds=False)
    with open(out) as f:
        text = f.read()
    assert numbers(text) == [0, 1, 2], text
