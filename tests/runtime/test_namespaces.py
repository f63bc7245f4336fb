"""linux.namespaces: new, joined by path, user namespaces with mappings."""
import os
import subprocess

import pytest

ALL = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt"}


def add(box, type_, path=None):
    ns = box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != type_]
    ns.append({"type": type_, "path": path} if path else {"type": type_})


def ns_of(pid, name):
    return os.readlink(f"/proc/{pid}/ns/{name}")


@pytest.mark.smoke
def test_new_namespaces(box):
    add(box, "cgroup")
    box.start("sleep", "100")
    pid = box.state()["pid"]
    for name in [*ALL.values(), "cgroup"]:
        assert ns_of(pid, name) != ns_of("self", name), name


def test_absent_namespaces_are_the_callers(box):
    box.c["linux"]["namespaces"] = [{"type": "mount"}, {"type": "pid"}]
    box.c.pop("hostname", None)
    box.c["linux"].pop("sysctl", None)
    box.start("sleep", "100")
    pid = box.state()["pid"]
    for name in ("net", "ipc", "uts"):
        assert ns_of(pid, name) == ns_of("self", name), name


def test_hostname_domainname_and_loopback(box):
    box.c["hostname"] = "box-host"
    r = box.sh("hostname; ip addr show lo")
    assert r.stdout.startswith("box-host\n") and "127.0.0.1" in r.stdout
    box.c["domainname"] = "example.org"
    r = box.sh("cat /proc/sys/kernel/domainname")
    if box.cmd()[0].endswith("skiff-oci"):
        assert r.stdout == "example.org\n"


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_join_by_path(box_factory, kind):
    a, b = box_factory(), box_factory()
    a.start("sleep", "100")
    pid = a.state()["pid"]
    add(b, kind, f"/proc/{pid}/ns/{ALL[kind]}")
    b.start("sleep", "100")
    assert ns_of(b.state()["pid"], ALL[kind]) == ns_of(pid, ALL[kind])
    r = b.exec("readlink", f"/proc/self/ns/{ALL[kind]}")
    assert r.stdout.strip() == ns_of(pid, ALL[kind])


def test_join_of_the_wrong_kind_or_a_missing_path(box):
    add(box, "network", "/proc/self/ns/ipc")
    r = box.run("true")
    assert r.returncode == 1
    add(box, "network", "/no/such/ns")
    r = box.run("true")
    assert r.returncode == 1 and "/no/such/ns" in r.stderr
    assert box.has_traces() == []


def test_duplicate_namespace(box):
    box.c["linux"]["namespaces"].append({"type": "pid"})
    r = box.run("true")
    assert r.returncode == 1 and box.has_traces() == []


@pytest.mark.smoke
def test_user_namespace(box):
    box.userns()
    r = box.sh("id -u; cat /proc/self/uid_map; touch /desk/f; hostname; echo $(ls -ln /desk/f)")
    assert r.returncode == 0, r.stderr
    assert r.stdout.split()[:4] == ["0", "0", "100000", "65536"]
    assert (box.rootfs / "desk" / "f").stat().st_uid == 100000


def test_user_namespace_other_user_and_groups(box):
    box.userns()
    box.p["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [7]}
    assert box.sh("id -u; grep Groups /proc/self/status").stdout.split() == ["1000", "Groups:", "7"]


def test_user_namespace_several_ranges(box):
    box.userns()
    m = [{"containerID": 0, "hostID": 100000, "size": 1000}, {"containerID": 1000, "hostID": 300000, "size": 10}]
    box.c["linux"]["uidMappings"] = box.c["linux"]["gidMappings"] = m
    r = box.sh("cat /proc/self/uid_map")
    assert r.stdout.split() == ["0", "100000", "1000", "1000", "300000", "10"]


@pytest.mark.skiff_only
def test_user_that_is_not_mapped(box):
    box.userns(size=10)
    box.p["user"] = {"uid": 1000, "gid": 0}
    r = box.run("true")
    assert r.returncode == 1 and "not mapped" in r.stderr
    box.p["user"] = {"uid": 0, "gid": 0}
    box.c["linux"]["uidMappings"][0]["containerID"] = 5
    r = box.run("true")
    assert r.returncode == 1
    assert box.has_traces() == []


@pytest.mark.smoke
def test_join_user_namespace_with_new_others(box_factory):
    """New namespaces must belong to the joined user namespace: an intermediate process makes init."""
    a, b = box_factory(), box_factory()
    a.userns()
    a.start("sleep", "100")
    pid = a.state()["pid"]
    b.own_rootfs()
    subprocess.run(["chown", "-hR", "100000:100000", str(b.rootfs)], check=True)
    add(b, "user", f"/proc/{pid}/ns/user")
    add(b, "network", f"/proc/{pid}/ns/net")
    b.start("sleep", "100")
    q = b.state()["pid"]
    assert ns_of(q, "user") == ns_of(pid, "user") and ns_of(q, "net") == ns_of(pid, "net")
    assert ns_of(q, "mnt") != ns_of(pid, "mnt")
    r = b.exec("sh", "-c", "id -u; cat /proc/self/uid_map")
    assert r.stdout.split() == ["0", "0", "100000", "65536"], r.stderr
    assert b.rt("kill", b.id, "KILL").returncode == 0
    b.wait_stopped()


def test_new_user_namespace_with_joined_network(box_factory):
    a, b = box_factory(), box_factory()
    a.start("sleep", "100")
    b.userns()
    add(b, "network", f"/proc/{a.state()['pid']}/ns/net")
    # sysfs of a foreign network namespace cannot be mounted
    b.c["mounts"] = [m for m in b.c["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup")]
    b.start("sleep", "100")
    assert ns_of(b.state()["pid"], "net") == ns_of(a.state()["pid"], "net")
    assert ns_of(b.state()["pid"], "user") != ns_of(a.state()["pid"], "user")


def test_failed_join_with_intermediate_says_why(box_factory):
    a, b = box_factory(), box_factory()
    a.start("sleep", "100")
    b.userns()
    add(b, "pid", f"/proc/{a.state()['pid']}/ns/uts")
    r = b.run("true")
    assert r.returncode == 1 and r.stderr.strip()
    assert b.has_traces() == []
