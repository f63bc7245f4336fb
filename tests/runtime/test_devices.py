"""Device nodes: the runtime-spec's default devices and links, those of linux.devices, what the root has in their place, and /dev given by a bind mount."""
import os
import stat
import subprocess

import pytest

from conftest import IS_SKIFF, RUNTIME

VERSION = subprocess.run([RUNTIME, "--version"], capture_output=True, text=True).stdout
IS_RUNC = not IS_SKIFF and "runc" in VERSION
DEFAULTS = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}


@pytest.fixture(params=[False, True], ids=["plain", "userns"])
def userns(request, box):
    if request.param:
        box.userns()
    return request.param


def add(box, path, kind="c", major=1, minor=3, **more):
    box.c["linux"].setdefault("devices", []).append({"path": path, "type": kind, "major": major, "minor": minor, **more})


def test_default_devices_and_links(box, userns):
    r = box.sh("cd /dev; for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' $d; done; for l in fd stdin stdout stderr ptmx; do readlink $l; done")
    want = [w for n, d in DEFAULTS.items() for w in (n, d, "666")]
    assert r.stdout.split() == want + ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"], r.stderr


def test_devices_work(box, userns):
    r = box.sh("echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 5 /dev/urandom | wc -c && ! echo x > /dev/full")
    assert r.stdout.split() == ["3", "5"], r.stderr


@pytest.mark.parametrize("path,major,minor,want", [("/dev/tty", 5, 0, "5:0"), ("/dev/ptmx", 5, 2, "5:2"), ("/dev/null", 1, 3, "1:3")])
def test_default_devices_named_again(box, path, major, minor, want):
    if IS_RUNC and path == "/dev/null":
        pytest.skip("runc 1.1 takes the default permission away from a device that is named")
    add(box, path, "c", major, minor)
    r = box.run("stat", "-L", "-c", "%t:%T %a", path)
    assert r.stdout == want + " 666\n", r.stderr


def test_owner_and_mode(box):
    add(box, "/dev/a", fileMode=0o640, uid=7, gid=8)
    add(box, "/dev/fifo", "p", 0, 0, fileMode=0o600)
    add(box, "/dev/u", "u", 1, 5)
    add(box, "/dev/blk", "b", 7, 200)
    r = box.sh("stat -c '%F %t:%T %a %u:%g' /dev/a /dev/fifo /dev/u /dev/blk")
    lines = r.stdout.splitlines()
    assert lines[0] == "character special file 1:3 640 7:8", r.stderr
    assert lines[1].startswith("fifo ") and lines[1].endswith(" 600 0:0")
    assert lines[2].startswith("character special file 1:5") and lines[3].startswith("block special file 7:c8")


def test_deep_and_outside_of_dev(box):
    root = box.own_rootfs()
    add(box, "/dev/deep/er/x")
    add(box, "/other/x")
    r = box.run("stat", "-c", "%t:%T", "/dev/deep/er/x", "/other/x")
    assert r.stdout == "1:3\n1:3\n", r.stderr
    assert stat.S_ISCHR((root / "other" / "x").stat().st_mode)


@pytest.mark.parametrize("what", ["file", "wrong-device", "link", "right"])
def test_root_has_something_in_its_place(box, what):
    """A /dev of the image, without a mount on it."""
    root = box.own_rootfs()
    box.c["mounts"] = [m for m in box.c["mounts"] if not m["destination"].startswith("/dev")]
    null = root / "dev" / "null"
    if what == "file":
        null.write_text("no device")
    elif what == "link":
        (root / "keep").write_text("kept")
        null.symlink_to("/keep")
    else:
        os.mknod(null, 0o600 | stat.S_IFCHR, os.makedev(1, 3 if what == "right" else 5))
    if IS_RUNC and what != "right":
        pytest.skip("runc keeps what is there or fails")
    r = box.sh("stat -c '%F %t:%T' /dev/null; echo x > /dev/null")
    assert r.stdout == "character special file 1:3\n", r.stderr
    if what == "link":
        assert (root / "keep").read_text() == "kept"


def test_dev_of_a_bind_mount_is_left_alone(box):
    d = box.dir / "dev"
    d.mkdir()
    os.mknod(d / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    box.c["mounts"] = [m for m in box.c["mounts"] if not m["destination"].startswith("/dev")]
    box.c["mounts"].append({"destination": "/dev", "type": "bind", "source": str(d), "options": ["rbind"]})
    assert box.run("ls", "/dev").stdout == "null\n"
    assert sorted(p.name for p in d.iterdir()) == ["null"]


def test_device_that_the_host_does_not_have(box):
    """Without a user namespace a node is made; in one it would have to be the host's."""
    add(box, "/dev/not-on-the-host", "c", 1, 3)
    assert box.run("stat", "-c", "%t:%T", "/dev/not-on-the-host").stdout == "1:3\n"


@pytest.mark.skipif(IS_RUNC, reason="runc binds the host's node whatever the spec says of it")
def test_devices_in_a_user_namespace(box):
    """Nodes with the spec's mode and owner, also of names that the host does not have; they work."""
    box.userns()
    add(box, "/dev/not-on-the-host", "c", 1, 5, fileMode=0o640, uid=7, gid=8)
    add(box, "/dev/zero", "c", 1, 7)
    add(box, "/dev/blk", "b", 7, 200, fileMode=0o157)
    add(box, "/dev/fifo", "p", 0, 0, fileMode=0o600)
    r = box.sh("stat -c '%F %t:%T %a %u:%g' /dev/not-on-the-host /dev/zero /dev/blk /dev/fifo; head -c 3 /dev/zero | wc -c; echo x > /dev/zero || echo full")
    assert r.stdout.splitlines() == ["character special file 1:5 640 7:8", "character special file 1:7 666 0:0", "block special file 7:c8 157 0:0",
                                     "fifo 0:0 600 0:0", "3", "full"], r.stderr
    assert not os.path.exists("/dev/not-on-the-host")


@pytest.mark.skiff_only
def test_device_whose_owner_is_not_mapped(box):
    box.userns()
    add(box, "/dev/not-on-the-host", "c", 1, 3, uid=70000)
    r = box.run("true")
    assert r.returncode != 0 and "not-on-the-host" in r.stderr
    assert box.has_traces() == []


@pytest.mark.parametrize("device,word", [
    ({"path": "dev/x", "type": "c", "major": 1, "minor": 3}, ""),
    ({"path": "/dev/x", "type": "q", "major": 1, "minor": 3}, ""),
])
def test_refused(box, device, word):
    if IS_RUNC and device["type"] == "c":
        pytest.skip("runc takes a relative path")
    box.c["linux"]["devices"] = [device]
    r = box.run("true")
    assert r.returncode != 0 and word in r.stderr
