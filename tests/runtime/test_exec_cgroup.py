"""exec --cgroup: a cgroup below the container's own, per controller on v1."""
import os

import pytest

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def dirs(box):
    """Directory of each hierarchy that the container has a cgroup in."""
    out = {}
    for line in open(f"/proc/{box.state()['pid']}/cgroup"):
        n, names, path = line.strip().split(":", 2)
        d = "/sys/fs/cgroup" + path if V2 else f"/sys/fs/cgroup/{names.removeprefix('name=') or 'unified'}{path}"
        if box.id in path and os.path.isdir(d):
            out[names] = d
    return out


def where(box, *opts):
    r = box.exec("cat", "/proc/self/cgroup", opts=opts)
    assert r.returncode == 0, r.stderr
    return {x.split(":")[1]: x.split(":")[2] for x in r.stdout.splitlines()}


@pytest.fixture
def c(box):
    box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "cgroup"]
    box.start("sleep", "100")
    return box


@pytest.mark.parametrize("path", ["..", "a/../..", "../x"])
def test_cannot_climb(c, path):
    r = c.exec("true", opts=["--cgroup", path])
    assert r.returncode != 0 and "sub cgroup path" in r.stderr


def test_own_cgroup(c):
    own = where(c)
    assert where(c, "--cgroup", "/") == own and any(c.id in p for p in own.values())


@pytest.mark.skiff_only
def test_missing(c):
    for opt in (["nonexistent"] if V2 else ["nonexistent", "pids:nonexistent"]):
        r = c.exec("true", opts=["--cgroup", opt])
        assert r.returncode == 255 and " adding pid " in r.stderr and "o such file or directory" in r.stderr


def test_sub_of_one_controller(c):
    if V2:
        pytest.skip("needs cgroup v1")
    d = dirs(c)["pids"] + "/sub"
    os.mkdir(d)
    got = where(c, "--cgroup", "pids:sub")
    assert got["pids"].endswith(f"{c.id}/sub")
    assert all(not p.endswith("/sub") for k, p in got.items() if k != "pids")
    os.rmdir(d)
    r = c.exec("true", opts=["--cgroup", "whaaat:/"])
    assert r.returncode != 0 and "unknown controller" in r.stderr


@pytest.mark.skiff_only
def test_sub_of_all(c):
    made = [d + "/sub" for d in dirs(c).values()]
    for d in made:
        os.makedirs(d, exist_ok=True)
        for f in ("cpuset.cpus", "cpuset.mems"):  # an empty set takes no process
            if os.path.exists(f"{d}/{f}") and not V2:
                open(f"{d}/{f}", "w").write(open(f"{d}/../{f}").read())
    got = where(c, "--cgroup", "/sub")
    assert sum(p.endswith(f"{c.id}/sub") for p in got.values()) == len(made)


@pytest.mark.skiff_only
def test_repeated(c):
    r = c.exec("true", opts=["--cgroup", "a", "--cgroup", "b"])
    assert r.returncode == 255 and "only one path" in r.stderr
    if not V2:
        d = dirs(c)
        for k in ("pids", "memory"):
            os.mkdir(d[k] + "/s-" + k)
        got = where(c, "--cgroup", "pids:s-pids", "--cgroup", "memory:s-memory")
        assert got["pids"].endswith("/s-pids") and got["memory"].endswith("/s-memory")
