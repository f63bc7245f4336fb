"""Time namespaces: offsets, joining, users, exec. Debian 12's runc has no time namespaces and its crun does not apply timeOffsets."""
import os
import re

import pytest

OFFSETS = {"monotonic": {"secs": 7881, "nanosecs": 2718281}, "boottime": {"secs": 1337, "nanosecs": 3141519}}
pytestmark = [
    pytest.mark.skiff_only,
    pytest.mark.skipif(not os.path.exists("/proc/self/timens_offsets"), reason="the kernel has no time namespaces"),
]


def with_time(box, offsets=OFFSETS, **ns):
    box.c["linux"]["namespaces"].append({"type": "time", **ns})
    if offsets is not None:
        box.c["linux"]["timeOffsets"] = offsets
    return box


def offsets(text):
    return {m[0]: (int(m[1]), int(m[2])) for m in re.findall(r"^(\w+)\s+(-?\d+)\s+(\d+)$", text, re.M)}


EXPECTED = {"monotonic": (7881, 2718281), "boottime": (1337, 3141519)}


def set_ns_path(box, kind, path):
    ns = [n for n in box.c["linux"]["namespaces"] if n["type"] != kind]
    box.c["linux"]["namespaces"] = ns + [{"type": kind, "path": path}]


def test_new_without_offsets(box):
    r = with_time(box, None).sh("cat /proc/self/timens_offsets; readlink /proc/self/ns/time")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == {"monotonic": (0, 0), "boottime": (0, 0)}
    assert os.readlink("/proc/self/ns/time") not in r.stdout


def test_offsets(box):
    r = with_time(box).sh("cat /proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED


def test_init_itself_is_in_it(box):
    """Not only its children: the process that is executed sees the clocks moved."""
    r = with_time(box, {"boottime": {"secs": 50000000}}).run("cat", "/proc/uptime")
    assert r.returncode == 0, r.stderr
    assert 50000000 < float(r.stdout.split()[0]) < 50000000 + 10 + float(open("/proc/uptime").read().split()[0])


def test_negative_offset(box):
    r = with_time(box, {"monotonic": {"secs": -1, "nanosecs": 5}}).sh("cat /proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout)["monotonic"] == (-1, 5)


def test_user_namespace(box):
    box.userns()
    r = with_time(box).sh("cat /proc/self/timens_offsets; id -u")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED


def test_exec_is_in_it(box):
    with_time(box).start("sleep", "60")
    r = box.exec("sh", "-c", "for f in 1/ns/time self/ns/time self/ns/time_for_children; do readlink /proc/$f; done; cat /proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    links = re.findall(r"time(?:_for_children)?:\[\d+\]", r.stdout)
    assert len({re.sub(r".*\[", "[", x) for x in links}) == 1 and len(links) == 3
    assert offsets(r.stdout) == EXPECTED


def test_exec_in_user_namespace(box):
    box.userns()
    with_time(box).start("sleep", "60")
    r = box.exec("cat", "/proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED


def test_join_by_path(box_factory):
    first = with_time(box_factory()).start("sleep", "60")
    path = "/proc/%d/ns/time" % first.state()["pid"]
    r = with_time(box_factory(), None, path=path).sh("cat /proc/self/timens_offsets; readlink /proc/self/ns/time")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED
    assert os.readlink(path) in r.stdout


@pytest.mark.parametrize("kind", ["pid", "ipc"])
def test_new_beside_a_joined_one(box_factory, kind):
    first = box_factory().start("sleep", "60")
    second = with_time(box_factory())
    set_ns_path(second, kind, "/proc/%d/ns/%s" % (first.state()["pid"], kind))
    r = second.sh("cat /proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED


@pytest.mark.parametrize("pid", [False, True])
def test_new_in_a_joined_user_namespace(box_factory, pid):
    first = box_factory()
    first.userns()
    first.start("sleep", "60")
    host_pid = first.state()["pid"]
    second = box_factory()
    second.userns()
    second.c["linux"].pop("uidMappings")
    second.c["linux"].pop("gidMappings")
    with_time(second)
    set_ns_path(second, "user", f"/proc/{host_pid}/ns/user")
    if pid:
        set_ns_path(second, "pid", f"/proc/{host_pid}/ns/pid")
    second.start("sleep", "60")
    r = second.exec("cat", "/proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED
    me = second.state()["pid"]
    assert os.readlink(f"/proc/{me}/ns/user") == os.readlink(f"/proc/{host_pid}/ns/user")
    with open(f"/proc/{me}/timens_offsets") as f:
        assert offsets(f.read()) == EXPECTED


def test_new_user_namespace_beside_a_joined_one(box_factory):
    first = box_factory().start("sleep", "60")
    second = with_time(box_factory())
    second.userns()
    set_ns_path(second, "ipc", "/proc/%d/ns/ipc" % first.state()["pid"])
    second.c["mounts"] = [m for m in second.c["mounts"] if m["type"] != "mqueue"]
    r = second.sh("cat /proc/self/timens_offsets")
    assert r.returncode == 0, r.stderr
    assert offsets(r.stdout) == EXPECTED


def test_offsets_without_the_namespace(box):
    box.c["linux"]["timeOffsets"] = OFFSETS
    r = box.run("true")
    assert r.returncode != 0


@pytest.mark.parametrize(
    "change, words",
    [
        ({"timeOffsets": OFFSETS}, "there is no namespace 'time'"),
        ({"ns": {"path": "/proc/self/ns/time"}, "timeOffsets": OFFSETS}, "keep one of them"),
        ({"ns": {"path": "/proc/self/ns/uts"}}, "is not a time namespace"),
        ({"ns": {}, "timeOffsets": {"boottime": {"secs": -10**10}}}, "out of range"),
        ({"ns": {}, "timeOffsets": {"boottime": {"nanosecs": 10**9}}}, "nanosecs from 0 to 999999999"),
    ],
)
def test_refused(box, change, words):
    if "ns" in change:
        with_time(box, None, **change["ns"])
    if "timeOffsets" in change:
        box.c["linux"]["timeOffsets"] = change["timeOffsets"]
    r = box.run("true")
    assert r.returncode != 0
    assert words in r.stderr
    assert not (box.state_root / box.id).exists()
