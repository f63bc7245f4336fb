"""Limits that need a kernel with all controllers, a block device with a scheduler of its own, swap accounting: block I/O, rdma, network classes, misc,
huge pages, and what only cgroup v1 has. Skipped where the kernel lacks something; `tests/run vm` (v2) and `tests/run vm-v1` bring it."""
import os
import subprocess
import time
from pathlib import Path

import pytest

from conftest import IS_SKIFF
from test_cgroups import TOP, V2, VERSION, cg, mount_of, update, value  # noqa: F401

pytestmark = pytest.mark.resources
VM = os.path.exists("/run/testvm")  # a machine whose modules and devices may be changed
v1_only = pytest.mark.skipif(V2, reason="v1 only")
v2_only = pytest.mark.skipif(not V2, reason="v2 only")


def modprobe(*args):
    return subprocess.run(["modprobe", *args], capture_output=True).returncode == 0


def needs(controller):
    if not ((TOP / "cgroup.controllers").read_text().split().count(controller) if V2 else mount_of(controller)):
        pytest.skip(f"no controller {controller} (tests/run vm or vm-v1)")


def refused(box, *words):
    r = box.run("echo", "started")
    assert r.returncode != 0 and r.stdout == "", r.stderr
    if IS_SKIFF:
        assert all(w in r.stderr for w in words), r.stderr
        assert not Path(str(TOP if V2 else mount_of("pids") or mount_of("blkio")) + box.path).exists()
    box.rt("delete", "--force", box.id)


class Disk:
    """A null_blk device."""

    def __init__(self):
        self.queue = Path("/sys/block/nullb0/queue")
        self.major, self.minor = (int(x) for x in Path("/sys/block/nullb0/dev").read_text().split(":"))
        self.name = f"{self.major}:{self.minor}"

    def scheduler(self, name):
        """bfq, or none with the module gone: then its cgroup files are gone too."""
        if name == "bfq" and not modprobe("bfq"):
            pytest.skip("no BFQ scheduler")
        (self.queue / "scheduler").write_text(name)
        if name == "none" and Path("/sys/module/bfq").exists() and not modprobe("-r", "bfq"):
            pytest.skip("the BFQ module is in use")

    def dev(self, **kw):
        return [dict(major=self.major, minor=self.minor, **kw)]


@pytest.fixture
def disk():
    if not VM:
        pytest.skip("changes block devices: only in the test machine")
    if not Path("/sys/block/nullb0").exists() and not modprobe("null_blk", "nr_devices=1"):
        pytest.skip("no null_blk device")
    needs("io")
    d = Disk()
    d.scheduler("none")
    yield d
    d.scheduler("none")


# --- block I/O ---

def test_blockio_weight_of_bfq(cg, disk):
    disk.scheduler("bfq")
    cg.r["blockIO"] = {"weight": 300, "weightDevice": disk.dev(weight=400)}
    cg.start("sleep", "100")
    if V2:
        assert value(cg.path, "io", "io.bfq.weight").split("\n") == ["default 300", f"{disk.name} 400"]
    else:
        assert value(cg.path, "io", "blkio.bfq.weight") == "300"
        assert value(cg.path, "io", "blkio.bfq.weight_device").split("\n")[-1] == f"{disk.name} 400"
    update(cg, {"blockIO": {"weight": 500}})
    assert value(cg.path, "io", "io.bfq.weight" if V2 else "blkio.bfq.weight").split("\n")[0].split()[-1] == "500"


@v2_only
def test_blockio_weight_of_iocost(cg, disk):
    """Without BFQ: 10..1000 becomes 1..10000."""
    cg.r["blockIO"] = {"weight": 505}
    cg.start("sleep", "100")
    assert value(cg.path, "io", "io.weight") == "default 5000"


@v2_only
@pytest.mark.skiff_only  # runc leaves it out without a word
def test_blockio_weight_of_a_device_with_iocost(cg, disk):
    cg.r["blockIO"] = {"weightDevice": disk.dev(weight=505)}
    refused(cg, "io.weight", disk.name)
    qos = TOP / "io.cost.qos"
    if not qos.exists():
        pytest.skip("no iocost")
    qos.write_text(f"{disk.name} enable=1")
    try:
        cg.start("sleep", "100")
        assert f"{disk.name} 5000" in value(cg.path, "io", "io.weight").split("\n")
    finally:
        qos.write_text(f"{disk.name} enable=0")


@v1_only
@pytest.mark.skiff_only
def test_blockio_weight_without_bfq(cg, disk):
    cg.r["blockIO"] = {"weight": 300}
    refused(cg, "blockIO", "blkio.bfq.weight", "BFQ")
    cg.r["blockIO"] = {"weightDevice": disk.dev(weight=300)}
    refused(cg, "blockIO", "blkio.bfq.weight_device")


@pytest.mark.skiff_only
@pytest.mark.parametrize("leaf", ["leafWeight", "device"])
def test_blockio_leaf_weight(cg, disk, leaf):
    """No kernel since 5.0 has it on v1, none ever on v2."""
    disk.scheduler("bfq")
    cg.r["blockIO"] = {"leafWeight": 300} if leaf == "leafWeight" else {"weightDevice": disk.dev(leafWeight=300)}
    refused(cg, "blockIO", "leafWeight" if V2 else "leaf_weight")


@pytest.mark.skiff_only
def test_blockio_weight_out_of_range(cg, disk):
    disk.scheduler("bfq")
    cg.r["blockIO"] = {"weight": 1001}
    refused(cg, "weight", "1001")


THROTTLE = {"throttleReadBpsDevice": ("rbps", 1 << 20), "throttleWriteBpsDevice": ("wbps", 2 << 20),
            "throttleReadIOPSDevice": ("riops", 100), "throttleWriteIOPSDevice": ("wiops", 200)}
V1_THROTTLE = {"rbps": "blkio.throttle.read_bps_device", "wbps": "blkio.throttle.write_bps_device",
               "riops": "blkio.throttle.read_iops_device", "wiops": "blkio.throttle.write_iops_device"}


def throttles(path):
    if V2:
        text = value(path, "io", "io.max")
        return {k: int(v) for k, v in (w.split("=") for w in text.split()[1:]) if v != "max"}
    got = {k: value(path, "io", f) for k, f in V1_THROTTLE.items()}
    return {k: int(v.split()[1]) for k, v in got.items() if v}


def test_blockio_throttle(cg, disk):
    cg.r["blockIO"] = {k: disk.dev(rate=rate) for k, (_, rate) in THROTTLE.items()}
    cg.start("sleep", "100")
    want = dict(THROTTLE.values())
    assert throttles(cg.path) == want
    assert value(cg.path, "io", "io.max" if V2 else V1_THROTTLE["rbps"]).startswith(disk.name + " ")
    if not IS_SKIFF:
        return  # runc's update reads the weight only
    update(cg, {"blockIO": {"throttleReadBpsDevice": disk.dev(rate=3 << 20)}})
    assert throttles(cg.path) == {**want, "rbps": 3 << 20}
    update(cg, {"blockIO": {"throttleWriteIOPSDevice": disk.dev(rate=7)}})
    assert throttles(cg.path) == {**want, "rbps": 3 << 20, "wiops": 7}


@pytest.mark.skiff_only  # on v2 the kernel refuses the 0 that runc writes
def test_blockio_throttle_of_zero_lifts_it(cg, disk):
    cg.r["blockIO"] = {k: disk.dev(rate=rate) for k, (_, rate) in THROTTLE.items()}
    cg.start("sleep", "100")
    update(cg, {"blockIO": {"throttleReadBpsDevice": disk.dev(rate=0), "throttleWriteIOPSDevice": disk.dev(rate=0)}})
    assert throttles(cg.path) == {"wbps": 2 << 20, "riops": 100}


def test_blockio_throttle_slows_reads(cg, disk):
    cg.own_rootfs()
    cg.c["linux"]["devices"] = [{"path": "/dev/disk", "type": "b", "major": disk.major, "minor": disk.minor, "fileMode": 0o600}]
    cg.r.setdefault("devices", []).append({"allow": True, "type": "b", "major": disk.major, "minor": disk.minor, "access": "rw"})
    cg.r["blockIO"] = {"throttleReadBpsDevice": disk.dev(rate=1 << 20)}
    cg.start("sleep", "100")

    def read():
        t = time.monotonic()
        r = cg.exec("dd", "if=/dev/disk", "of=/dev/null", "bs=64k", "count=64", "iflag=direct")
        assert r.returncode == 0, r.stderr
        return time.monotonic() - t
    slow = read()
    assert slow > 3.5
    if not IS_SKIFF:
        return  # see above
    update(cg, {"blockIO": {"throttleReadBpsDevice": disk.dev(rate=1 << 30)}})
    fast = read()
    assert slow > fast + 2, (slow, fast)


def test_blockio_device_that_is_not_there(cg, disk):
    cg.r["blockIO"] = {"throttleReadBpsDevice": [{"major": 240, "minor": 77, "rate": 1000}]}
    refused(cg, "240:77", "io.max" if V2 else "read_bps_device")


# --- memory on v1 ---

@v1_only
def test_memory_swap_and_swappiness(cg):
    needs("memory")
    if not (mount_of("memory") / "memory.memsw.limit_in_bytes").exists():
        pytest.skip("no swap accounting")
    cg.r["memory"] = {"limit": 64 << 20, "swap": 96 << 20, "swappiness": 7, "reservation": 32 << 20, "disableOOMKiller": True}
    cg.start("sleep", "100")

    def get(name):
        return value(cg.path, "memory", "memory." + name)
    assert (get("limit_in_bytes"), get("memsw.limit_in_bytes")) == (str(64 << 20), str(96 << 20))
    assert (get("swappiness"), get("soft_limit_in_bytes")) == ("7", str(32 << 20))
    assert "oom_kill_disable 1" in get("oom_control")
    update(cg, {"memory": {"limit": 128 << 20, "swap": 256 << 20}})
    assert (get("limit_in_bytes"), get("memsw.limit_in_bytes")) == (str(128 << 20), str(256 << 20))
    update(cg, {"memory": {"limit": 32 << 20, "swap": 48 << 20}})
    assert (get("limit_in_bytes"), get("memsw.limit_in_bytes")) == (str(32 << 20), str(48 << 20))
    update(cg, {"memory": {"limit": -1, "swap": -1}})
    assert int(get("memsw.limit_in_bytes")) > 1 << 60


@v1_only
@pytest.mark.skiff_only
@pytest.mark.parametrize("memory,word", [({"limit": 64 << 20, "swap": 32 << 20}, "memory.swap"), ({"swappiness": 101}, "swappiness")])
def test_memory_that_cannot_be(cg, memory, word):
    needs("memory")
    cg.r["memory"] = memory
    refused(cg, word)


@v2_only
def test_memory_swap_v2(cg):
    needs("memory")
    cg.r["memory"] = {"limit": 64 << 20, "swap": 96 << 20}
    cg.start("sleep", "100")
    assert value(cg.path, "memory", "memory.swap.max") == str(32 << 20)
    update(cg, {"memory": {"limit": 64 << 20, "swap": -1}})
    assert value(cg.path, "memory", "memory.swap.max") == "max"


def test_memory_limit_kills(cg):
    """With swap forbidden; the one who is killed is in the container."""
    needs("memory")
    cg.r["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    r = cg.run("sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=40; echo end $?", timeout=120)
    assert "end 137" in r.stdout or r.returncode == 137, (r.stdout, r.stderr)


# --- cpu ---

@v1_only
def test_cpu_burst_and_idle_v1(cg):
    needs("cpu")
    if not (mount_of("cpu") / "cpu.cfs_burst_us").exists():
        pytest.skip("the kernel has no cpu.cfs_burst_us")
    if not IS_SKIFF:
        pytest.skip("runc 1.1 has neither")
    cg.r["cpu"] = {"quota": 40000, "period": 100000, "burst": 20000}
    cg.start("sleep", "100")
    assert value(cg.path, "cpu", "cpu.cfs_burst_us") == "20000"
    update(cg, {"cpu": {"quota": 10000, "burst": 5000}})  # lower than the old burst
    assert (value(cg.path, "cpu", "cpu.cfs_quota_us"), value(cg.path, "cpu", "cpu.cfs_burst_us")) == ("10000", "5000")
    update(cg, {"cpu": {"idle": 1}})
    assert value(cg.path, "cpu", "cpu.idle") == "1"


@pytest.mark.skiff_only
def test_cpu_idle_and_shares(cg):
    """The kernel refuses shares of a group that is idle: the order of the writes follows from the value."""
    needs("cpu")
    cg.r["cpu"] = {"idle": 1, "shares": 2048}
    cg.start("sleep", "100")
    assert value(cg.path, "cpu", "cpu.idle") == "1"
    update(cg, {"cpu": {"idle": 0, "shares": 512}})
    assert value(cg.path, "cpu", "cpu.idle") == "0"
    assert value(cg.path, "cpu", "cpu.weight" if V2 else "cpu.shares") == ("59" if V2 else "512")


# --- network (v1) ---

@v1_only
def test_network_class_and_priorities(cg):
    needs("net_cls"), needs("net_prio")
    cg.r["network"] = {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 5}]}
    cg.start("sleep", "100")
    assert value(cg.path, "net_cls", "net_cls.classid") == str(0x100001)
    assert "lo 5" in value(cg.path, "net_prio", "net_prio.ifpriomap").split("\n")
    update(cg, {"network": {"classID": 7, "priorities": [{"name": "lo", "priority": 2}]}})
    if IS_SKIFF:  # runc's update does not read it
        assert value(cg.path, "net_cls", "net_cls.classid") == "7"
        assert "lo 2" in value(cg.path, "net_prio", "net_prio.ifpriomap").split("\n")


@v1_only
def test_network_interface_that_is_not_there(cg):
    needs("net_prio")
    cg.r["network"] = {"priorities": [{"name": "nosuch0", "priority": 5}]}
    refused(cg, "nosuch0 5", "net_prio.ifpriomap")


@v1_only
@pytest.mark.skiff_only
def test_network_controller_that_is_not_mounted(cg):
    if mount_of("net_cls") and mount_of("net_prio"):
        pytest.skip("both controllers are there")
    cg.r["network"] = {"classID": 5, "priorities": [{"name": "lo", "priority": 5}]}
    refused(cg, "network.", "not mounted")


# --- rdma, misc, huge pages ---

def rdma_devices():
    d = Path("/sys/class/infiniband")
    if VM and (not d.exists() or not list(d.iterdir())) and modprobe("rdma_rxe"):
        subprocess.run(["modprobe", "dummy"], capture_output=True)
        subprocess.run(["ip", "link", "add", "skfrdma", "type", "dummy"], capture_output=True)
        subprocess.run(["ip", "link", "set", "skfrdma", "up"], capture_output=True)
        subprocess.run(["rdma", "link", "add", "skfrxe", "type", "rxe", "netdev", "skfrdma"], capture_output=True)
    return [p.name for p in d.iterdir()] if d.exists() else []


def test_rdma(cg):
    needs("rdma")
    devices = rdma_devices()
    if not devices:
        pytest.skip("no rdma device, and the kernel has no rdma_rxe to make one")
    cg.r["rdma"] = {devices[0]: {"hcaHandles": 3, "hcaObjects": 10000}}
    cg.start("sleep", "100")
    assert value(cg.path, "rdma", "rdma.max") == f"{devices[0]} hca_handle=3 hca_object=10000"
    update(cg, {"rdma": {devices[0]: {"hcaObjects": 20}}})
    if IS_SKIFF:  # runc's update does not read it
        assert value(cg.path, "rdma", "rdma.max") == f"{devices[0]} hca_handle=3 hca_object=20"


def test_rdma_device_that_is_not_there(cg):
    needs("rdma")
    cg.r["rdma"] = {"mlx5_nosuch": {"hcaHandles": 3, "hcaObjects": 10000}}
    refused(cg, "mlx5_nosuch hca_handle=3 hca_object=10000", "rdma.max")


@v2_only
def test_misc(cg):
    """Only by linux.resources.unified; which resources there are is the machine's business (SEV, SGX)."""
    needs("misc")
    capacity = (TOP / "misc.capacity").read_text().split()
    name = capacity[0] if capacity else "nosuch"
    cg.r["unified"] = {"misc.max": f"{name} 1"}
    if not capacity:
        refused(cg, "nosuch 1", "misc.max")
        return
    cg.start("sleep", "100")
    assert value(cg.path, "misc", "misc.max") == f"{name} 1"


def test_huge_pages_of_all_sizes(cg):
    needs("hugetlb")
    sizes = {"2MB": 2 << 20, "1GB": 1 << 30}
    tail = "max" if V2 else "limit_in_bytes"
    sizes = {k: v for k, v in sizes.items() if Path(f"/sys/kernel/mm/hugepages/hugepages-{v >> 10}kB").exists()}
    if not sizes:
        pytest.skip("no huge pages of 2 MB or 1 GB")
    cg.r["hugepageLimits"] = [{"pageSize": k, "limit": 2 * v} for k, v in sizes.items()]
    cg.start("sleep", "100")
    for k, v in sizes.items():
        assert value(cg.path, "hugetlb", f"hugetlb.{k}.{tail}") == str(2 * v)
        if "runc version 1.1." not in VERSION:  # does not limit reservations
            assert value(cg.path, "hugetlb", f"hugetlb.{k}.rsvd.{tail}") == str(2 * v)


# --- the layout as a whole ---

@v1_only
def test_a_directory_in_every_hierarchy(cg):
    """v1: one per mount, all with the container's process in it, and none is left."""
    tops = [d for d in TOP.iterdir() if os.path.ismount(d) and (IS_SKIFF or d.name != "misc")]  # misc: runc 1.1 does not know it
    cg.start("sleep", "100")
    pid = str(cg.state()["pid"])
    for d in tops:
        assert pid in Path(str(d) + cg.path, "cgroup.procs").read_text().split(), d
    assert cg.rt("delete", "--force", cg.id).returncode == 0
    assert [d for d in tops if Path(str(d) + cg.path).exists()] == []


@v1_only
@pytest.mark.parametrize("own", [True, False])
def test_the_mount_of_all_hierarchies(cg, own):
    """/sys/fs/cgroup of a container on v1: a directory per hierarchy, read-only, of this container only."""
    ns = [n for n in cg.c["linux"]["namespaces"] if n["type"] != "cgroup"]
    cg.c["linux"]["namespaces"] = ns + ([{"type": "cgroup"}] if own else [])
    cg.c["mounts"] = [m for m in cg.c["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    cg.c["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]})
    cg.r["pids"] = {"limit": 77}
    r = cg.sh("cat /sys/fs/cgroup/pids/pids.max; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/pids/x")
    lines = r.stdout.split("\n")
    assert lines[0] == "77", r.stderr
    assert {"pids", "memory", "devices", "freezer"} <= set(lines[1:])
    assert "Read-only file system" in r.stderr
