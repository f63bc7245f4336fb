"""linux.netDevices: interfaces moved into the container (config-linux.md "Network Devices"). The runtime runs in a network namespace of the
test's own with veth pairs in it, so that the machine's interfaces are never touched."""
import shutil
import subprocess
import uuid

import pytest

from conftest import RUNTIME

pytestmark = [pytest.mark.skiff_only, pytest.mark.skipif(not shutil.which("ip"), reason="needs ip")]  # runc has it since 1.4


def ip(*args, ns=None):
    return subprocess.run(["ip", *(["-n", ns] if ns else []), *args], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def net(box):
    """box.rt runs inside namespace `host`; `other` is one that a container can join. v0 (with a peer) is in `host`."""
    names = ["skft" + uuid.uuid4().hex[:8] + s for s in "ho"]
    for n in names:
        ip("netns", "add", n)
    host, box.other = names
    box.host = host
    box.cmd = lambda *args, glob=(): ["nsenter", "--net=/run/netns/" + host, RUNTIME, "--root", str(box.state_root), *glob, *args]
    ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", ns=host)
    yield box
    if (box.state_root / box.id).exists():
        subprocess.run(box.cmd("delete", "--force", box.id), capture_output=True, timeout=60)
    for n in names:
        ip("netns", "del", n)


def devices(box, **d):
    box.c["linux"]["netDevices"] = {k: ({"name": v} if v else {}) for k, v in d.items()}


def join(box, path):
    for n in box.c["linux"]["namespaces"]:
        if n["type"] == "network":
            n["path"] = path


@pytest.mark.smoke
def test_move(net):
    ip("link", "set", "v0", "mtu", "1400", "address", "02:11:22:33:44:55", ns=net.host)
    devices(net, v0=None)
    r = net.run("ip", "address", "show", "dev", "v0")
    assert r.returncode == 0, r.stderr
    assert "mtu 1400" in r.stdout and "02:11:22:33:44:55" in r.stdout and ",UP" in r.stdout and "v0" not in ip("link", ns=net.host)


def test_rename_and_addresses(net):
    ip("address", "add", "10.9.8.7/24", "dev", "v0", ns=net.host)
    ip("address", "add", "10.9.9.1", "peer", "10.9.9.2/32", "dev", "v0", ns=net.host)
    ip("address", "add", "10.9.7.7/24", "dev", "v0", "scope", "link", ns=net.host)
    ip("address", "add", "10.9.6.6/24", "dev", "v0", "valid_lft", "1000", "preferred_lft", "1000", ns=net.host)  # not permanent
    ip("-6", "address", "add", "fd00::7/64", "dev", "v0", "nodad", ns=net.host)
    ip("link", "set", "v0", "up", ns=net.host)
    devices(net, v0="eth7")
    net.sh("true")
    ip("link", "add", "v0", "type", "veth", "peer", "name", "v2", ns=net.host)
    for a in (["10.9.8.7/24", "broadcast", "10.9.8.255"], ["10.9.9.1", "peer", "10.9.9.2/32"], ["10.9.7.7/24", "scope", "link"], ["fd00::7/64", "nodad"],
              ["10.9.6.6/24", "valid_lft", "1000", "preferred_lft", "1000"]):
        ip("address", "add", *a, "dev", "v0", ns=net.host)
    out = net.run("ip", "address", "show", "dev", "eth7").stdout
    assert "inet 10.9.8.7/24 brd 10.9.8.255" in out and "10.9.9.1 peer 10.9.9.2/32" in out and "fd00::7/64" in out, out
    assert "10.9.7.7" not in out and "10.9.6.6" not in out


def test_joined_namespace_keeps_it(net):
    devices(net, v0="inner")
    join(net, "/run/netns/" + net.other)
    net.start("sleep", "100")
    assert net.rt("delete", "--force", net.id).returncode == 0
    assert "inner" in ip("link", ns=net.other)


def test_name_that_is_taken(net):
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1", ns=net.other)
    devices(net, v0="eth0")
    join(net, "/run/netns/" + net.other)
    r = net.run("true")
    assert r.returncode != 0 and "v0" in r.stderr and "eth0" in r.stderr
    assert "v0" in ip("link", ns=net.host) and net.has_traces() == []
    devices(net, v0="eth%d")  # the kernel finds a free number
    r = net.run("ip", "link")
    assert r.returncode == 0 and "eth2" in r.stdout, r.stderr + r.stdout


def test_same_index_on_both_sides(net):
    ip("link", "add", "x0", "index", ip("-o", "link", "show", "v0", ns=net.host).split(":")[0], "type", "veth", "peer", "name", "x1", ns=net.other)
    ip("address", "add", "10.9.8.7/24", "dev", "v0", ns=net.host)
    devices(net, v0=None)
    join(net, "/run/netns/" + net.other)
    r = net.run("ip", "address", "show", "dev", "v0")
    assert "10.9.8.7/24" in r.stdout, r.stderr + r.stdout


def test_two_devices_and_user_namespace(net):
    net.userns()
    devices(net, v0="a", v1="b")
    r = net.run("ip", "link")
    assert r.returncode == 0 and " a@" in r.stdout and " b@" in r.stdout, r.stderr


@pytest.mark.parametrize("what", ["missing", "no namespace", "host namespace", "bad name", "twice"])
def test_errors(net, what):
    devices(net, v0=None)
    if what == "missing":
        devices(net, nosuch=None)
    if what == "no namespace":
        net.c["linux"]["namespaces"] = [n for n in net.c["linux"]["namespaces"] if n["type"] != "network"]
    if what == "host namespace":
        join(net, "/run/netns/" + net.host)
    if what == "bad name":
        devices(net, v0="a/b")
    if what == "twice":
        devices(net, v0="same", v1="same")
    r = net.run("true")
    assert r.returncode != 0 and ("netDevices" in r.stderr or "network device" in r.stderr), r.stderr
    assert net.has_traces() == []
    if what != "twice":
        assert "v0" in ip("link", ns=net.host)


@pytest.mark.resources
@pytest.mark.parametrize("kind", ["dummy", "ipvlan", "macvlan"])
@pytest.mark.parametrize("userns", [False, True])
def test_other_kinds_of_devices(net, kind, userns):
    """What container networks are made of besides veth pairs; addresses and MTU stay."""
    low = ["link", "v1"] if kind != "dummy" else []
    ip("link", "set", "v1", "up", ns=net.host)
    try:
        ip("link", "add", "d0", *low, "type", kind, ns=net.host)
    except subprocess.CalledProcessError as e:
        pytest.skip(f"the kernel has no {kind} devices (tests/run vm): {e.stderr.strip()}")
    ip("link", "set", "d0", "mtu", "1300", ns=net.host)
    for a in (["10.9.5.5/24"], ["fd00::5/64", "nodad"]):
        ip("address", "add", *a, "dev", "d0", ns=net.host)
    if userns:
        net.userns()
    devices(net, d0="eth0")
    r = net.sh("ip address show dev eth0; ip route")
    out = r.stdout
    assert r.returncode == 0 and ",UP" in out and "mtu 1300" in out, r.stderr + out
    assert "inet 10.9.5.5/24" in out and "inet6 fd00::5/64" in out and "10.9.5.0/24 dev eth0" in out, out
    assert ": d0" not in ip("link", ns=net.host) and net.has_traces() == []


@pytest.mark.resources
def test_dummy_in_a_joined_namespace_survives(net):
    try:
        ip("link", "add", "d0", "type", "dummy", ns=net.host)
    except subprocess.CalledProcessError as e:
        pytest.skip(f"the kernel has no dummy devices (tests/run vm): {e.stderr.strip()}")
    devices(net, d0="inner")
    join(net, "/run/netns/" + net.other)
    net.start("sleep", "100")
    assert net.rt("delete", "--force", net.id).returncode == 0
    assert ": inner:" in ip("link", ns=net.other) and ": d0:" not in ip("link", ns=net.host)
