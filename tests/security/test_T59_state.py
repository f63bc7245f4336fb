"""T59: no control socket in the abstract name space. T60: nobody else walks into the state of a container."""
import os
import socket
import stat

import pytest

from seclib import abstract_sockets, sh


def modes(path):
    return {os.path.join(d, n): stat.S_IMODE(os.lstat(os.path.join(d, n)).st_mode) for d, dirs, files in os.walk(path) for n in [*dirs, *files]
            if not os.path.islink(os.path.join(d, n))}


@pytest.mark.smoke
def test_T59_no_abstract_socket(runtime, bundle):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("\0skiff-test")
        assert "@skiff-test" in abstract_sockets(), "such a socket would not be seen"
    before = abstract_sockets()
    b = bundle().args("sleep", "1000")
    b.linux["namespaces"] = [n for n in b.linux["namespaces"] if n["type"] != "network"]
    runtime.create(b)
    assert abstract_sockets() <= before
    runtime("start", b.id, check=True)
    assert runtime.exec(b, "cat", "/proc/net/unix", check=True).stdout.count("@") <= len(before)
    assert abstract_sockets() <= before


@pytest.mark.parametrize("there", [False, True], ids=["fresh", "was-0777"])
def test_T60_state_directory(runtime, bundle, there):
    if there:
        os.makedirs(runtime.root)
        os.chmod(runtime.root, 0o777)
    old = os.umask(0)
    try:
        b = bundle().args("sleep", "1000")
        p = runtime.create(b, check=not there)
    finally:
        os.umask(old)
    if p.returncode:  # somebody else may have prepared that directory: refused with a sentence, and nothing is made in it
        assert "state" in p.stderr and os.listdir(runtime.root) == []
        return
    seen = modes(runtime.root)
    assert seen
    if not there:
        assert stat.S_IMODE(os.stat(runtime.root).st_mode) in (0o700, 0o711)
    for path, mode in seen.items():
        assert not mode & 0o022, f"{path} {mode:o}"
        if os.path.isdir(path):
            assert mode in (0o700, 0o711), f"{path} {mode:o}"
    p = sh("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "find", runtime.root, "-mindepth", "2", check=False)
    assert p.stdout == "", p.stdout
    for name in os.listdir(runtime.root):
        p = sh("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", f"cat {runtime.root}/{name}/* ; echo x >{runtime.root}/{name}/x", check=False)
        assert p.stdout == "" and p.returncode != 0
