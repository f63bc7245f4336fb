"""mounts add and mounts remove: mounts of a container that exists (crun's verb; runc has none)."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import RUNTIME

pytestmark = pytest.mark.skipif(
    subprocess.run([RUNTIME, "mounts", "--help"], capture_output=True).returncode != 0, reason="this runtime has no verb 'mounts'")


@pytest.fixture
def live(box):
    (box.dir / "src").mkdir(mode=0o755)
    (box.dir / "src" / "file").write_text("hello\n")
    return box


def mounts(box, verb, *entries, **kw):
    f = box.dir / "mounts.json"
    f.write_text(json.dumps(entries))
    return box.rt("mounts", verb, box.id, str(f), **kw)


def bind(box, dest, *options, source=None):
    return {"destination": dest, "type": "bind", "source": str(source or box.dir / "src"), "options": ["bind", *options]}


def mountinfo(box):
    return Path(f"/proc/{box.state()['pid']}/mountinfo").read_text()


@pytest.mark.parametrize("userns", [False, True])
def test_add_and_remove(live, userns):
    live.userns() if userns else live.own_rootfs()
    live.start("sleep", "100")
    tmpfs = {"destination": "/data/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}
    r = mounts(live, "add", bind(live, "/data/in", "ro"), tmpfs)
    assert r.returncode == 0, r.stderr
    r = live.exec("cat", "/data/in/file")
    assert r.stdout == "hello\n", r.stderr
    assert live.exec("touch", "/data/in/new").returncode != 0
    assert live.exec("touch", "/data/tmp/new").returncode == 0
    assert live.exec("stat", "-c", "%u:%g", "/data/tmp").stdout == "0:0\n"
    assert re.search(r" /data/tmp rw,nosuid,nodev", mountinfo(live))
    assert "shared:" not in mountinfo(live)
    r = mounts(live, "remove", bind(live, "/data/in"), tmpfs)
    assert r.returncode == 0, r.stderr
    assert " /data/" not in mountinfo(live)
    assert live.exec("ls", "/data/in").stdout == ""


def test_file_and_created_container(live):
    live.own_rootfs()
    assert live.create("cat", "/data/f").returncode == 0
    r = mounts(live, "add", bind(live, "/data/f", source=live.dir / "src" / "file"))
    assert r.returncode == 0, r.stderr
    assert " /data/f " in mountinfo(live)
    assert mounts(live, "remove", {"destination": "/data/f"}).returncode == 0
    assert " /data/f " not in mountinfo(live)


@pytest.mark.skiff_only
def test_nested_in_one_list(live):
    live.own_rootfs()
    live.start("sleep", "100")
    both = [bind(live, "/data"), {"destination": "/data/sub", "type": "tmpfs"}]
    (live.dir / "src" / "sub").mkdir()
    assert mounts(live, "add", *both).returncode == 0
    r = mounts(live, "remove", *both)
    assert r.returncode == 0, r.stderr
    assert " /data" not in mountinfo(live)


@pytest.mark.skiff_only
def test_relative_source_is_in_the_bundle(live):
    live.own_rootfs()
    (live.bundle / "here").mkdir()
    (live.bundle / "here" / "x").touch()
    live.start("sleep", "100")
    r = mounts(live, "add", bind(live, "/in", source="here"))
    assert r.returncode == 0, r.stderr
    assert live.exec("ls", "/in").stdout == "x\n"


@pytest.mark.skiff_only
def test_links_of_the_container_stay_inside(live):
    live.own_rootfs()
    (live.rootfs / "out").symlink_to("/../../../../etc")
    live.start("sleep", "100")
    r = mounts(live, "add", bind(live, "/out/skiff-live"))
    assert r.returncode == 0, r.stderr
    assert not os.path.exists("/etc/skiff-live")
    assert (live.rootfs / "etc" / "skiff-live").is_dir()
    assert " /etc/skiff-live " in mountinfo(live)
    assert "skiff-live" not in Path("/proc/self/mountinfo").read_text()
    r = mounts(live, "remove", {"destination": "/out/skiff-live"})
    assert r.returncode == 1 and "symbolic link" in r.stderr
    assert " /etc/skiff-live " in mountinfo(live)
    assert mounts(live, "remove", {"destination": "/etc/skiff-live"}).returncode == 0


@pytest.mark.skiff_only
def test_the_hosts_read_only_stays_locked_in_a_user_namespace(live):
    at = live.dir / "ro"
    at.mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", str(live.dir / "src"), str(at)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(at)], check=True)
    try:
        live.userns()
        for kind in ("bounding", "effective", "permitted"):
            live.p["capabilities"][kind].append("CAP_SYS_ADMIN")
        live.c["linux"].pop("seccomp", None)
        live.start("sleep", "100")
        r = mounts(live, "add", bind(live, "/ro", source=at))
        assert r.returncode == 0, r.stderr
        r = live.exec("mount", "-o", "remount,bind,rw", "/ro")
        assert r.returncode != 0
        assert re.search(r" /ro ro", mountinfo(live))
        r = mounts(live, "add", bind(live, "/rw", "rw", source=at))
        assert r.returncode == 1 and "locked" in r.stderr
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.mark.skiff_only
@pytest.mark.parametrize("m,words", [
    ({"destination": "/proc", "type": "tmpfs"}, "/proc"),
    ({"destination": "/proc/sys", "type": "tmpfs"}, "/proc"),
    ({"destination": "/x", "type": "proc", "source": "proc"}, "type 'proc' is only for the creation"),
    ({"destination": "/x", "type": "cgroup"}, "type 'cgroup' is only for the creation"),
    ({"destination": "/", "type": "tmpfs", "options": ["tmpcopyup"]}, "root of a container"),
    ({"destination": "/tmp", "options": ["remount", "ro"]}, "option 'remount'"),
    ({"destination": "/x", "type": "bind"}, "needs a source"),
    ({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}, "/no/such"),
    ({"type": "tmpfs"}, "destination"),
])
def test_what_is_refused(live, m, words):
    live.own_rootfs()
    live.start("sleep", "100")
    before = mountinfo(live)
    r = mounts(live, "add", m)
    assert r.returncode == 1 and words in r.stderr and r.stderr.count("\n") == 1, r.stderr
    assert mountinfo(live) == before


@pytest.mark.skiff_only
def test_wrong_use(live):
    live.own_rootfs()
    live.start("sleep", "100")
    for args in (("add", live.id), ("move", live.id, "/dev/null"), ("add", live.id, "/no/such"), ("add", "nobody", "/dev/null")):
        assert live.rt("mounts", *args).returncode == 1
    r = mounts(live, "remove", {"destination": "/tmp"})
    assert r.returncode == 1 and "nothing is mounted there" in r.stderr
    assert live.rt("kill", live.id, "KILL").returncode == 0
    live.wait_stopped()
    r = mounts(live, "add", bind(live, "/x"))
    assert r.returncode == 1 and "not running" in r.stderr


@pytest.mark.skiff_only
def test_a_shared_mount_namespace_is_left_alone(live):
    live.own_rootfs()
    live.c["linux"]["namespaces"] = [n for n in live.c["linux"]["namespaces"] if n["type"] != "mount"]
    live.c["mounts"] = []
    for k in ("maskedPaths", "readonlyPaths"):
        live.c["linux"].pop(k, None)
    live.start("sleep", "100")
    r = mounts(live, "add", bind(live, "/skiff-live"))
    assert r.returncode == 1 and "no mount namespace of its own" in r.stderr
    assert "skiff-live" not in Path("/proc/self/mountinfo").read_text()
