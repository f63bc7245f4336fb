"""The runtime as a plain user: one id without help, sub-ids through newuidmap, and what a plain user is told when it cannot be done.

Nothing of the host is changed: every command runs in a mount namespace of its own in which /etc/passwd, /etc/group, /etc/subuid and /etc/subgid are
covered, with the ids of a user that exists only there."""
import errno
import json
import os
import subprocess

import pytest

from conftest import IS_SKIFF, RUNTIME, Box
from test_seccomp_notify import Agent

IS_RUNC = not IS_SKIFF and "runc" in subprocess.run([RUNTIME, "--version"], capture_output=True, text=True).stdout
UID = 23457
SUB = 900000
COVER = """
mount --make-rprivate / || exit 99
for f in passwd group subuid subgid; do [ -e /etc/$f ] || touch /etc/$f; mount --bind "$1/$f" /etc/$f || exit 99; done
mount -t tmpfs -o mode=755 tmpfs /run/user 2>/dev/null || { mkdir -p /run/user && mount -t tmpfs -o mode=755 tmpfs /run/user; } || exit 99
mkdir -m 700 /run/user/%d && chown %d:%d /run/user/%d
shift
exec setpriv --reuid %d --regid %d --clear-groups --inh-caps=-all --bounding-set=+all "$@"
""" % ((UID,) * 6)


class User(Box):
    """A Box whose runtime is called by the plain user."""

    no_helpers = False

    def cmd(self, *args, glob=()):
        env = ["env", "-i", f"HOME={self.dir}", f"XDG_RUNTIME_DIR=/run/user/{UID}", "PATH=" + ("/nowhere" if self.no_helpers else "/usr/bin:/bin:/usr/sbin:/sbin")]
        root = ["--root", str(self.state_root)] if self.state_root else []
        return ["unshare", "-m", "sh", "-c", COVER, "sh", str(self.dir / "etc"), *env, RUNTIME, *root, *glob, *args]


@pytest.fixture
def user(tmp_path, base_rootfs):
    for p in [tmp_path, *tmp_path.parents][:4]:
        p.chmod(p.stat().st_mode | 0o555)
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\nskiffuser:x:{UID}:{UID}::{tmp_path}:/bin/sh\n")
    (etc / "group").write_text(f"root:x:0:\nskiffuser:x:{UID}:\n")
    for f in ("subuid", "subgid"):
        (etc / f).write_text(f"skiffuser:{SUB}:65536\n")
    for p in etc.iterdir():
        p.chmod(0o644)
    os.chown(tmp_path, UID, UID)
    u = User(tmp_path, {"root": {}}, base_rootfs)
    u.bundle.chmod(0o755)
    os.chown(u.bundle, UID, UID)
    r = subprocess.run(u.cmd("spec", "--rootless")[:-2] + ["spec", "--rootless", "--bundle", str(u.bundle)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    u.c = json.loads((u.bundle / "config.json").read_text())
    u.c["process"]["terminal"] = False
    u.c["process"].pop("rlimits", None)
    u.c["root"] = {"path": str(base_rootfs), "readonly": False}
    rootfs = u.own_rootfs()
    subprocess.run(["chown", "-hR", f"{UID}:{UID}", str(rootfs)], check=True)
    os.chown(u.bundle / "config.json", UID, UID)
    yield u
    if (u.state_root / u.id).exists():
        subprocess.run(u.cmd("delete", "--force", u.id), capture_output=True, timeout=60)
    assert u.has_traces() == []


def sub_ids(user):
    for kind in ("bounding", "effective", "permitted"):
        user.p["capabilities"][kind] += ["CAP_CHOWN"]
    m = [{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": SUB, "size": 65536}]
    user.c["linux"]["uidMappings"] = m
    user.c["linux"]["gidMappings"] = m


def test_spec_runs_as_it_is_written(user):
    assert user.c["linux"]["uidMappings"] == [{"containerID": 0, "hostID": UID, "size": 1}]
    r = user.sh("id -u; cat /proc/self/uid_map /proc/self/setgroups; echo x > /dev/null && echo null; touch /tmp/new")
    assert r.returncode == 0, r.stderr
    out = r.stdout.split()
    assert out[:4] == ["0", "0", str(UID), "1"] and out[4:] == ["deny", "null"]
    assert (user.rootfs / "tmp" / "new").stat().st_uid == UID


def test_sub_ids(user):
    sub_ids(user)
    r = user.sh("cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /tmp/a; chown 7:8 /tmp/a; stat -c %u:%g /tmp/a")
    assert r.returncode == 0, r.stderr
    assert r.stdout.split() == ["0", str(UID), "1", "1", str(SUB), "65536"] * 2 + ["allow", "7:8"]
    st = (user.rootfs / "tmp" / "a").stat()
    assert (st.st_uid, st.st_gid) == (SUB + 6, SUB + 7)


@pytest.mark.skipif(IS_RUNC, reason="runc refuses additional groups for a plain user")
def test_user_and_groups_with_sub_ids(user):
    sub_ids(user)
    user.p["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [7, 9]}
    r = user.sh("id -u; id -g; grep Groups /proc/self/status")
    assert r.stdout.split() == ["1000", "1000", "Groups:", "7", "9"], r.stderr


@pytest.mark.skipif(IS_RUNC, reason="runc 1.1 wants to give its standard streams to the mapped root")
def test_whole_map_from_sub_ids(user):
    """Root of the container is a sub-id: setgroups stays allowed."""
    m = [{"containerID": 0, "hostID": SUB, "size": 65536}]
    user.c["linux"]["uidMappings"] = user.c["linux"]["gidMappings"] = m
    subprocess.run(["chown", "-hR", f"{SUB}:{SUB}", str(user.rootfs)], check=True)
    r = user.sh("cat /proc/self/uid_map /proc/self/setgroups")
    assert r.stdout.split() == ["0", str(SUB), "65536", "allow"], r.stderr


def test_ids_that_are_not_the_users(user):
    sub_ids(user)
    user.c["linux"]["uidMappings"][1]["hostID"] = 500000
    r = user.run("true")
    assert r.returncode != 0 and "newuidmap" in r.stderr


@pytest.mark.skiff_only
def test_without_newuidmap(user):
    user.no_helpers = True
    assert user.run("true").returncode == 0  # one id needs no help
    sub_ids(user)
    r = user.run("true")
    assert r.returncode != 0 and "newuidmap" in r.stderr and "uidmap" in r.stderr.split("package")[1]


def test_without_user_namespace(user):
    user.c["linux"]["namespaces"] = [n for n in user.c["linux"]["namespaces"] if n["type"] != "user"]
    user.c["linux"].pop("uidMappings")
    user.c["linux"].pop("gidMappings")
    r = user.run("true")
    assert r.returncode != 0 and "requires user namespaces" in r.stderr


def test_devices_are_the_hosts(user):
    r = user.sh("for d in null zero full random urandom tty; do stat -c '%t:%T' /dev/$d; done; head -c 4 /dev/zero | wc -c; grep -c ' /dev/null ' /proc/self/mountinfo")
    assert r.stdout.split() == ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "4", "1"], r.stderr


def test_device_that_cannot_be_bound(user):
    user.c["linux"]["devices"] = [{"path": "/dev/nodevice", "type": "c", "major": 1, "minor": 3}]
    r = user.run("true")
    assert r.returncode != 0 and "nodevice" in r.stderr


def test_file_systems(user):
    r = user.sh("stat -f -c %T /proc /dev /dev/shm; ls /sys/kernel > /dev/null && echo sys; touch /sys/x; grep ' /sys ' /proc/self/mountinfo; ls /proc/1/exe; echo $$")
    out = r.stdout.split()
    assert out[:3] == ["proc", "tmpfs", "tmpfs"] and "sys" in out and out[-1] == "1", r.stdout + r.stderr
    assert " ro," in next(line for line in r.stdout.splitlines() if " /sys " in line)


@pytest.mark.parametrize("score,ok", [(1000, True), (-1000, False)])
def test_oom_score(user, score, ok):
    user.p["oomScoreAdj"] = score
    r = user.run("cat", "/proc/self/oom_score_adj")
    if ok:
        assert r.stdout == f"{score}\n", r.stderr
    elif IS_SKIFF:
        assert r.returncode != 0 and "oomScoreAdj" in r.stderr


def test_binds(user):
    d = user.dir / "vol"
    d.mkdir()
    (d / "f").write_text("volume")
    os.chown(d, UID, UID)
    user.c["mounts"].append({"destination": "/desk/v", "type": "bind", "source": str(d), "options": ["rbind", "ro"]})
    user.c["mounts"].append({"destination": "/desk/f", "type": "bind", "source": str(d / "f"), "options": ["bind"]})
    r = user.sh("cat /desk/v/f /desk/f; touch /desk/v/x")
    assert r.stdout == "volumevolume" and "Read-only" in r.stderr


@pytest.mark.skiff_only
def test_idmapped_mounts_are_refused(user):
    m = [{"containerID": 0, "hostID": UID, "size": 1}]
    user.c["mounts"].append({"destination": "/desk/v", "type": "bind", "source": str(user.dir), "options": ["rbind"], "uidMappings": m, "gidMappings": m})
    r = user.run("true")
    assert r.returncode != 0 and "not supported for rootless containers" in r.stderr


def test_life(user):
    """create, start, exec, kill and delete by separate calls, each as the user."""
    user.c["process"]["args"] = ["sleep", "100"]
    user.start("sleep", "100")
    assert user.state()["status"] == "running"
    r = user.exec("id", "-u")
    assert r.stdout == "0\n", r.stderr
    assert user.rt("kill", user.id, "KILL").returncode == 0
    user.wait_stopped()
    assert user.rt("delete", user.id).returncode == 0


@pytest.mark.skiff_only
def test_state_root_of_a_user(user):
    """Without --root: below XDG_RUNTIME_DIR."""
    root = user.state_root
    user.state_root = None
    user.p["args"] = ["true"]
    user.write()
    r = user.rt("run", "--bundle", str(user.bundle), user.id)
    user.state_root = root
    assert r.returncode == 0, r.stderr


def test_masks(user):
    (user.rootfs / "hidden").mkdir()
    (user.rootfs / "hidden" / "f").touch()
    user.c["linux"]["maskedPaths"] += ["/hidden"]
    r = user.sh("ls /hidden; echo x > /proc/sys/kernel/hostname")
    assert r.stdout == "" and "Read-only" in r.stderr


def test_read_only_root(user):
    user.c["root"]["readonly"] = True
    r = user.sh("touch /x")
    assert "Read-only" in r.stderr




@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_seccomp_agent(user):
    """A plain user may not take descriptors out of a process: the process sends its listener itself."""
    agent = Agent(user.dir / "agent.sock", {"mkdir": errno.EXDEV, "mkdirat": errno.EXDEV})
    os.chown(user.dir / "agent.sock", UID, UID)
    user.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(user.dir / "agent.sock"),
                                  "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}
    try:
        r = user.sh("mkdir /tmp/refused; echo done")
    finally:
        agent.stop()
    assert r.stdout == "done\n" and "ross-device" in r.stderr, r.stderr
    assert len(agent.docs) == 1 and not (user.rootfs / "tmp" / "refused").exists()


@pytest.mark.skipif(IS_RUNC, reason="runc wants mappings")
def test_user_namespace_without_mappings_takes_the_sub_ids(user):
    del user.c["linux"]["uidMappings"], user.c["linux"]["gidMappings"]
    r = user.sh("cat /proc/self/uid_map")
    assert r.returncode == 0, r.stderr
    assert r.stdout.split() == ["0", str(UID), "1", "1", str(SUB), "65536"]
