"""The cgroup of a container: where it is, what is written to it, who else may be in it, and that it goes away. Runs on v1, hybrid and v2 alike."""
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from conftest import IS_SKIFF, RUNTIME

pytestmark = pytest.mark.resources
TOP = Path("/sys/fs/cgroup")
V2 = (TOP / "cgroup.controllers").exists()
VERSION = subprocess.run([RUNTIME, "--version"], capture_output=True, text=True).stdout


def mount_of(controller):
    for name in (controller, "blkio" if controller == "io" else controller):
        for d in (TOP / name, TOP / "cpu,cpuacct" if name == "cpu" else TOP / name):
            if os.path.ismount(d):
                return d
    return None


def base(controller):
    return TOP if V2 else mount_of(controller)


def needs(controller):
    if V2:
        if controller not in (TOP / "cgroup.controllers").read_text().split():
            pytest.skip(f"no controller {controller}")
    elif not mount_of(controller):
        pytest.skip(f"no controller {controller}")


def value(path, controller, file):
    return (Path(str(base(controller)) + path) / file).read_text().strip()


@pytest.fixture
def cg(box):
    box.path = f"/{box.id}/c"
    box.c["linux"]["cgroupsPath"] = box.path
    box.r = box.c["linux"].setdefault("resources", {})
    yield box
    subprocess.run(box.cmd("delete", "--force", box.id), capture_output=True, timeout=60)
    for d in [TOP] if V2 else [p for p in TOP.iterdir() if os.path.ismount(p)]:
        for sub in (f"{box.id}/c", box.id):
            if (d / sub).is_dir():
                (d / sub).rmdir()


def test_memory(cg):
    needs("memory")
    cg.r["memory"] = {"limit": 64 << 20, "reservation": 32 << 20}
    cg.start("sleep", "100")
    assert value(cg.path, "memory", "memory.max" if V2 else "memory.limit_in_bytes") == str(64 << 20)
    assert value(cg.path, "memory", "memory.low" if V2 else "memory.soft_limit_in_bytes") == str(32 << 20)


def test_cpu(cg):
    needs("cpu")
    cg.r["cpu"] = {"shares": 512, "quota": 20000, "period": 50000}
    cg.start("sleep", "100")
    if V2:
        assert value(cg.path, "cpu", "cpu.max") == "20000 50000"
        # the linear rule of older runtimes, the curve of newer ones
        assert value(cg.path, "cpu", "cpu.weight") in ("59" if IS_SKIFF else "20", "59")
    else:
        assert value(cg.path, "cpu", "cpu.shares") == "512"
        assert value(cg.path, "cpu", "cpu.cfs_quota_us") == "20000"
        assert value(cg.path, "cpu", "cpu.cfs_period_us") == "50000"


def test_cpuset(cg):
    needs("cpuset")
    cg.r["cpu"] = {"cpus": "0", "mems": "0"}
    cg.start("sleep", "100")
    assert value(cg.path, "cpuset", "cpuset.cpus") == "0"
    assert value(cg.path, "cpuset", "cpuset.mems") == "0"
    if not V2 and IS_SKIFF:  # the next container needs no writing, which costs the kernel more the more there are
        sister = base("cpuset") / cg.id / "sister"
        sister.mkdir()
        try:
            assert [value(f"/{cg.id}/sister", "cpuset", f"cpuset.{x}") for x in ("cpus", "mems")] == [
                (base("cpuset") / f"cpuset.{x}").read_text().strip() for x in ("cpus", "mems")]
        finally:
            sister.rmdir()


@pytest.mark.parametrize("limit,expected", [(33, "33"), (-1, "max"), (0, "1")])
def test_pids(cg, limit, expected):
    """config-linux.md 1.3: -1 is no limit; 0 is a limit, and the lowest that a container can live with is 1."""
    needs("pids")
    if limit == 0 and not IS_SKIFF:
        pytest.skip("0 means unlimited in references before 1.3")
    cg.r["pids"] = {"limit": limit}
    cg.start("sleep", "100")
    assert value(cg.path, "pids", "pids.max") == expected


def test_hugetlb(cg):
    needs("hugetlb")
    cg.r["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4 << 20}]
    cg.start("sleep", "100")
    tail = "max" if V2 else "limit_in_bytes"
    assert value(cg.path, "hugetlb", f"hugetlb.2MB.{tail}") == str(4 << 20)
    if "runc version 1.1." not in VERSION:  # does not limit reservations
        assert value(cg.path, "hugetlb", f"hugetlb.2MB.rsvd.{tail}") == str(4 << 20)


@pytest.mark.skiff_only
def test_hugetlb_of_a_size_that_is_not_there(cg):
    needs("hugetlb")
    cg.r["hugepageLimits"] = [{"pageSize": "3MB", "limit": 1}]
    r = cg.run("true")
    assert r.returncode == 1 and "no huge pages of size '3MB'" in r.stderr


@pytest.mark.skiff_only
def test_cpu_idle(cg):
    needs("cpu")
    if not any(Path(base("cpu")).glob("*/cpu.idle")):
        pytest.skip("the kernel has no cpu.idle")
    cg.r["cpu"] = {"idle": 1}
    cg.start("sleep", "100")
    assert value(cg.path, "cpu", "cpu.idle") == "1"


@pytest.mark.skipif(V2, reason="v1 only")
def test_realtime(cg):
    needs("cpu")
    if not (base("cpu") / "cpu.rt_runtime_us").exists():
        cg.r["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 1000000}
        r = cg.run("true")
        assert r.returncode != 0
        if IS_SKIFF:
            assert "CONFIG_RT_GROUP_SCHED" in r.stderr
        return
    cg.r["cpu"] = {"realtimePeriod": 500000}
    cg.start("sleep", "100")
    assert value(cg.path, "cpu", "cpu.rt_period_us") == "500000"


@pytest.mark.skipif(not V2, reason="v2 only")
def test_unified(cg):
    cg.r["unified"] = {"memory.high": "20971520", "pids.max": "44", "memory.max": "41943040"}
    cg.r["memory"] = {"limit": 1 << 25}
    cg.start("sleep", "100")
    assert value(cg.path, "memory", "memory.high") == "20971520"
    assert value(cg.path, "memory", "memory.max") == "41943040"
    assert value(cg.path, "pids", "pids.max") == "44"


@pytest.mark.skipif(V2, reason="v1 only")
def test_unified_is_refused_on_v1(cg):
    cg.r["unified"] = {"memory.high": "20971520"}
    r = cg.run("true")
    assert r.returncode != 0 and "unified" in r.stderr


@pytest.mark.skiff_only
@pytest.mark.skipif(not V2, reason="v2 only")
@pytest.mark.parametrize("key", ["cgroup.procs", "memory", "../x.y", "cgroup.kill"])
def test_unified_takes_limits_only(cg, key):
    cg.r["unified"] = {key: "1"}
    r = cg.run("true")
    assert r.returncode == 1 and "unified" in r.stderr


@pytest.mark.skiff_only
@pytest.mark.skipif(not V2, reason="v2 only")
@pytest.mark.parametrize("res,word", [
    ({"memory": {"swappiness": 10}}, "swappiness"),
    ({"memory": {"disableOOMKiller": True}}, "disableOOMKiller"),
    ({"cpu": {"realtimeRuntime": 1000}}, "realtimeRuntime"),
    ({"blockIO": {"leafWeight": 100}}, "leafWeight"),
    ({"network": {"classID": 5}}, "classID"),
])
def test_v1_limits_are_refused_on_v2(cg, res, word):
    cg.r.update(res)
    r = cg.run("true")
    assert r.returncode == 1 and word in r.stderr and "cgroup v1 only" in r.stderr


def test_default_and_relative_path(box):
    """Without a path the cgroup has the container's id; a relative path is below the same place."""
    box.start("sleep", "100")
    lines = Path(f"/proc/{box.state()['pid']}/cgroup").read_text().split("\n")
    assert any(line.endswith("/" + box.id) for line in lines)


def test_a_cgroup_with_processes_is_refused(cg, box_factory):
    if "1.1." in VERSION:
        pytest.skip("runc 1.1 only warns")
    cg.start("sleep", "100")
    other = box_factory()
    other.c["linux"]["cgroupsPath"] = cg.path
    r = other.create("true")
    assert r.returncode == 1
    assert "container's cgroup is not empty" in r.stderr
    assert cg.state()["status"] == "running"


@pytest.mark.skiff_only
def test_an_empty_left_over_is_used_again(cg):
    needs("pids")
    d = Path(str(base("pids")) + cg.path)
    d.mkdir(parents=True)
    if V2:
        (TOP / "cgroup.subtree_control").write_text("+pids")
        (d.parent / "cgroup.subtree_control").write_text("+pids")
    (d / "pids.max").write_text("7")
    cg.r["pids"] = {"limit": -1}
    cg.start("sleep", "100")
    assert value(cg.path, "pids", "pids.max") == "max"


def test_a_frozen_cgroup_is_refused(cg):
    d = Path(str(TOP if V2 else TOP / "freezer") + cg.path)
    d.mkdir(parents=True)
    state = d / ("cgroup.freeze" if V2 else "freezer.state")
    state.write_text("1" if V2 else "FROZEN")
    r = cg.create("true")
    state.write_text("0" if V2 else "THAWED")
    assert r.returncode == 1
    assert "frozen" in r.stderr


@pytest.mark.skiff_only
def test_delete_takes_nested_and_frozen_cgroups_with_it(cg):
    """A workload that made cgroups of its own, one of them frozen with a process in it."""
    cg.start("sh", "-c", "sleep 200 & echo $! >/dev/null; sleep 300")
    d = Path(str(TOP if V2 else TOP / "freezer") + cg.path)
    pids = [int(p) for p in (d / "cgroup.procs").read_text().split()]
    inner = d / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "cgroup.procs").write_text(str(pids[-1]))
    (inner / ("cgroup.freeze" if V2 else "freezer.state")).write_text("1" if V2 else "FROZEN")
    assert cg.rt("delete", "--force", cg.id).returncode == 0
    assert not d.exists()
    end = time.time() + 5
    while any(Path(f"/proc/{p}").exists() for p in pids):  # until they are reaped
        assert time.time() < end
        time.sleep(0.01)


def test_delete_of_a_paused_container(cg):
    cg.start("sleep", "100")
    assert cg.rt("pause", cg.id).returncode == 0
    assert cg.state()["status"] == "paused"
    assert cg.rt("delete", "--force", cg.id).returncode == 0
    assert not Path(str(TOP if V2 else TOP / "freezer") + cg.path).exists()


@pytest.mark.skipif(not V2, reason="v2 only")
def test_exec_goes_where_processes_may_be(cg):
    """The container's cgroup while it passes no controllers on; then where its init is."""
    cg.c["linux"]["namespaces"].append({"type": "cgroup"}) if not any(
        n["type"] == "cgroup" for n in cg.c["linux"]["namespaces"]) else None
    cg.start("sleep", "100")
    d = Path(str(TOP) + cg.path)
    pid = cg.state()["pid"]
    (d / "foo").mkdir()
    (d / "foo" / "cgroup.procs").write_text(str(pid))
    assert cg.exec("cat", "/proc/self/cgroup").stdout.strip() == "0::/"
    (d / "cgroup.subtree_control").write_text("+memory")
    assert cg.exec("cat", "/proc/self/cgroup").stdout.strip() == "0::/foo"


@pytest.mark.skipif(not V2, reason="v2 only")
@pytest.mark.parametrize("writable,own", [(True, True), (False, True), (True, False)])
def test_cgroup_belongs_to_root_of_the_container(cg, writable, own):
    """Only where the workload sees its cgroup writable and as its root (runc's rule)."""
    cg.userns()
    ns = [n for n in cg.c["linux"]["namespaces"] if n["type"] != "cgroup"]
    cg.c["linux"]["namespaces"] = ns + ([{"type": "cgroup"}] if own else [])
    for m in cg.c["mounts"]:
        if m["destination"] == "/sys/fs/cgroup":
            m["options"] = [o for o in m["options"] if o not in ("ro", "rw")] + (["rw"] if writable else ["ro"])
    cg.start("sleep", "100")
    d = Path(str(TOP) + cg.path)
    want = 100000 if writable and own else 0
    assert d.stat().st_uid == want
    assert (d / "cgroup.procs").stat().st_uid == want
    assert (d / "memory.max").stat().st_uid == 0


# --- update ---

def update(box, doc, ok=True):
    r = subprocess.run(box.cmd("update", "-r", "-", box.id), input=json.dumps(doc), capture_output=True, text=True, timeout=30)
    assert (r.returncode == 0) == ok, r.stderr
    return r


def test_update(cg):
    needs("memory"), needs("pids"), needs("cpu")
    cg.r["memory"] = {"limit": 64 << 20}
    cg.r["pids"] = {"limit": 20}
    cg.start("sleep", "100")
    update(cg, {"memory": {"limit": 48 << 20}, "pids": {"limit": 30}, "cpu": {"quota": 30000, "period": 100000}})
    assert value(cg.path, "memory", "memory.max" if V2 else "memory.limit_in_bytes") == str(48 << 20)
    assert value(cg.path, "pids", "pids.max") == "30"
    assert value(cg.path, "cpu", "cpu.max" if V2 else "cpu.cfs_quota_us").split()[0] == "30000"
    update(cg, {"pids": {"limit": -1}})
    assert value(cg.path, "pids", "pids.max") == "max"
    assert value(cg.path, "memory", "memory.max" if V2 else "memory.limit_in_bytes") == str(48 << 20)


@pytest.mark.skipif(not V2, reason="v2 only")
def test_check_before_update(cg):
    cg.r["memory"] = {"limit": 64 << 20}
    cg.start("sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; sleep 100")
    for _ in range(100):
        if int(value(cg.path, "memory", "memory.current")) > 8 << 20:
            break
        time.sleep(0.1)
    r = update(cg, {"memory": {"limit": 1 << 20, "checkBeforeUpdate": True}}, ok=False)
    assert "rejecting memory limit" in r.stderr
    r = update(cg, {"memory": {"limit": 1 << 20, "swap": 2 << 20, "checkBeforeUpdate": True}}, ok=False)
    assert "rejecting memory+swap limit" in r.stderr
    assert value(cg.path, "memory", "memory.max") == str(64 << 20)
    assert cg.state()["status"] == "running"


@pytest.mark.skiff_only
def test_update_replaces_devices(cg):
    """fuse may be opened after the update, and null was never closed; the rules stay when an update has none."""
    if not V2:
        needs("devices")
    for caps in cg.p["capabilities"].values():
        caps.append("CAP_MKNOD")
    cg.own_rootfs()
    cg.start("sh", "-c", "while :; do : >/dev/null || touch /tmp/closed; done")
    node = "[ -e /tmp/n ] || mknod /tmp/n c 10 229; : </tmp/n"

    def refused():
        return "not permitted" in cg.exec("timeout", "1", "sh", "-c", node).stderr

    assert refused()
    update(cg, {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]})
    assert not refused()
    update(cg, {"pids": {"limit": 50}})
    assert not refused()
    update(cg, {"devices": [{"allow": False, "access": "rwm"}]})
    assert refused()
    assert cg.exec("ls", "/tmp/closed").returncode != 0


# --- a plain user ---

def as_user(box, *args, **kw):
    for p in [box.dir, *box.dir.parents][:4]:
        p.chmod(p.stat().st_mode | 0o555)
    home = box.dir / "home"
    home.mkdir(exist_ok=True)
    os.chown(home, 1000, 1000)
    cmd = [RUNTIME, "--root", str(home / "state"), *args]
    return subprocess.run(["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", *cmd], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, cwd=box.bundle, **kw)


@pytest.fixture
def plain(box):
    """The bundle of `spec --rootless` for uid 1000."""
    box.own_rootfs()
    subprocess.run(["chown", "-hR", "1000:1000", str(box.rootfs)], check=True)
    os.chown(box.bundle, 1000, 1000)
    box.bundle.chmod(0o755)
    (box.bundle / "config.json").unlink(missing_ok=True)
    r = as_user(box, "spec", "--rootless")
    assert r.returncode == 0, r.stderr
    box.c = json.loads((box.bundle / "config.json").read_text())
    box.c["process"].update({"terminal": False, "args": ["echo", "ok"]})
    box.c["root"] = {"path": str(box.rootfs)}
    return box


def test_plain_user_without_a_cgroup(plain):
    plain.c["linux"].pop("resources", None)
    plain.write()
    r = as_user(plain, "run", plain.id)
    assert (r.returncode, r.stdout) == (0, "ok\n"), r.stderr


def test_plain_user_with_limits_but_no_cgroup(plain):
    plain.c["linux"]["resources"] = {"pids": {"limit": 10}}
    plain.write()
    r = as_user(plain, "run", plain.id)
    assert r.returncode == 1
    assert ("rootless needs no limits + no cgrouppath when no permission is granted for cgroups" in r.stderr
            or "cannot set pids limit: container could not join or create cgroup" in r.stderr)


def test_plain_user_with_a_path_but_no_cgroup(plain):
    plain.c["linux"]["cgroupsPath"] = "/" + plain.id
    plain.write()
    r = as_user(plain, "run", plain.id)
    assert r.returncode == 1
    assert "unable to apply cgroup configuration" in r.stderr and "permission denied" in r.stderr
