"""update: every flag and the resources document, read back from the cgroup files (v1 and v2)."""
import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.resources
V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def cgfile(pid, controller, name):
    """Text of one cgroup file of the process."""
    for line in open(f"/proc/{pid}/cgroup"):
        n, names, path = line.strip().split(":", 2)
        if V2 and n == "0":
            return open(f"/sys/fs/cgroup{path}/{name}").read().strip()
        if not V2 and controller in names.split(","):
            return open(f"/sys/fs/cgroup/{controller}{path}/{name}").read().strip()
    pytest.skip(f"no {controller} controller")


class Limits:
    def __init__(self, box):
        self.box, self.pid = box, box.state()["pid"]

    def get(self, controller, v1, v2):
        return cgfile(self.pid, controller, v2 if V2 else v1)

    @property
    def memory(self):
        return self.get("memory", "memory.limit_in_bytes", "memory.max")

    @property
    def reservation(self):
        return self.get("memory", "memory.soft_limit_in_bytes", "memory.low")

    @property
    def pids(self):
        return self.get("pids", "pids.max", "pids.max")

    @property
    def cpus(self):
        return self.get("cpuset", "cpuset.cpus", "cpuset.cpus")

    @property
    def quota(self):
        if V2:
            q, p = cgfile(self.pid, "cpu", "cpu.max").split()
            return (-1 if q == "max" else int(q), int(p))
        return tuple(int(cgfile(self.pid, "cpu", f)) for f in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))

    def update(self, *args, **kw):
        r = self.box.rt("update", *args, self.box.id, **kw)
        assert r.returncode == 0, r.stderr
        return r


@pytest.fixture
def limits(box):
    box.c["linux"]["resources"] = {
        "memory": {"limit": 33554432, "reservation": 25165824},
        "cpu": {"quota": 500000, "period": 1000000, "cpus": "0"},
        "pids": {"limit": 20},
    }
    box.start("sleep", "100")
    return Limits(box)


def test_memory(limits):
    unlimited = "max" if V2 else "9223372036854771712"
    limits.update("--memory", "67108864")
    assert limits.memory == "67108864"
    limits.update("--memory", "50M")
    assert limits.memory == "52428800"
    limits.update("--memory-reservation", "32m")
    assert limits.reservation == "33554432"
    limits.update("--memory", "-1")
    assert limits.memory == unlimited


def test_memory_and_swap(limits):
    try:
        limits.get("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    except FileNotFoundError:
        pytest.skip("no swap accounting")
    for memory, swap in ((30, 50), (60, 80), (20, 25)):  # growing and shrinking
        limits.update("--memory", f"{memory}M", "--memory-swap", f"{swap}M")
        assert limits.memory == str(memory << 20)
        want = (swap - memory if V2 else swap) << 20
        assert limits.get("memory", "memory.memsw.limit_in_bytes", "memory.swap.max") == str(want)


def test_pids(limits):
    limits.update("--pids-limit", "10")
    assert limits.pids == "10"
    limits.update("--pids-limit", "-1")
    assert limits.pids == "max"


def test_cpu(limits):
    assert limits.quota == (500000, 1000000)
    limits.update("--cpu-period", "900000")
    assert limits.quota == (500000, 900000)
    limits.update("--cpu-quota", "600000")
    assert limits.quota == (600000, 900000)
    limits.update("--cpu-quota", "-1", "--cpu-period", "100000")
    assert limits.quota == (-1, 100000)
    limits.update("--cpu-share", "200")
    if not V2:
        assert limits.get("cpu", "cpu.shares", "") == "200"


@pytest.mark.skiff_only
def test_cpu_burst_and_idle(limits):
    limits.update("--cpu-period", "900000", "--cpu-quota", "500000")
    limits.update("--cpu-burst", "500000")
    got = limits.get("cpu", "cpu.cfs_burst_us", "cpu.max.burst")
    assert got == "500000"
    limits.update("--cpu-burst", "0")
    assert limits.get("cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "0"
    limits.update("--cpu-idle", "1")
    assert limits.get("cpu", "cpu.idle", "cpu.idle") == "1"
    limits.update("--cpu-idle", "0")
    assert limits.get("cpu", "cpu.idle", "cpu.idle") == "0"


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
def test_cpuset(limits):
    assert limits.cpus == "0"
    limits.update("--cpuset-cpus", "1")
    assert limits.cpus == "1"
    limits.update("--cpuset-cpus", "0-1", "--cpuset-mems", "0")
    assert limits.cpus == "0-1"


@pytest.mark.parametrize("stdin", [True, False])
def test_document(limits, stdin):
    doc = json.dumps({"memory": {"limit": 64 << 20, "reservation": 32 << 20}, "cpu": {"quota": 600000, "period": 900000, "cpus": "0"},
                      "pids": {"limit": 7}})
    if stdin:
        limits.update("-r", "-", input=doc, stdin=None)
    else:
        f = limits.box.dir / "res.json"
        f.write_text(doc)
        limits.update("--resources", str(f))
    assert (limits.memory, limits.pids, limits.quota) == (str(64 << 20), "7", (600000, 900000))


def test_options_after_the_id(limits):
    r = limits.box.rt("update", limits.box.id, "--pids-limit", "9")
    assert r.returncode == 0 and limits.pids == "9", r.stderr


def test_what_is_not_named_stays(limits):
    limits.update("--pids-limit", "11")
    assert (limits.memory, limits.reservation, limits.quota) == ("33554432", "25165824", (500000, 1000000))


def test_paused_container(limits):
    assert limits.box.rt("pause", limits.box.id).returncode == 0
    limits.update("--memory", "64M")
    assert limits.box.state()["status"] == "paused" and limits.memory == str(64 << 20)
    assert limits.box.rt("resume", limits.box.id).returncode == 0


def test_unified(limits):
    if not V2:
        pytest.skip("needs cgroup v2")
    limits.update("-r", "-", input=json.dumps({"unified": {"pids.max": "20", "memory.max": "1048576000"}}), stdin=None)
    assert (limits.pids, limits.memory) == ("20", "1048576000")


@pytest.mark.skiff_only
def test_kernel_memory_is_accepted_with_a_warning(limits):
    r = limits.update("--kernel-memory", "64M", "--kernel-memory-tcp", "-1")
    assert "ignoring" in r.stderr
    assert limits.memory == "33554432"


@pytest.mark.skiff_only
@pytest.mark.parametrize("args, word", [
    (["--memory", "12x"], "--memory"), (["--cpu-share", "-3"], "--cpu-share"), (["--pids-limit", "many"], "--pids-limit"),
    (["--cpu-idle", "2"], "--cpu-idle"), (["--blkio-weight", "70000"], "--blkio-weight"), (["-r", "/nonexistent"], "/nonexistent"),
    (["--memory", "10M", "--memory-swap", "5M"], "swap"), (["--cpu-period", "1"], "cpu"), (["--l3-cache-schema", "L3:0=f"], "RDT"),
])
def test_refused(limits, args, word):
    r = limits.box.rt("update", *args, limits.box.id)
    assert r.returncode == 1 and word in r.stderr and r.stderr.count("\n") == 1, r.stderr
    assert limits.memory == "33554432"


@pytest.mark.skiff_only
@pytest.mark.parametrize("doc", ["", "{", "[]", '{"memory":{"limit":"x"}}', '{"pids":{"limit":1}} trailing', '{"nosuch":1}'])
def test_bad_document(limits, doc):
    r = limits.box.rt("update", "-r", "-", limits.box.id, input=doc, stdin=None)
    assert (r.returncode == 0) == (doc == '{"nosuch":1}')  # unknown members are ignored, as in config.json
    assert limits.pids == "20"


def test_stopped_and_missing(box):
    assert box.rt("update", "--memory", "64M", box.id).returncode == 1
    box.start("true")
    box.wait_stopped()
    assert box.rt("update", "--memory", "64M", box.id).returncode == 1


@pytest.mark.skiff_only
def test_nothing_to_do(limits):
    limits.update()
    limits.update("--memory", "", "--cpu-quota=")
    assert limits.memory == "33554432"
