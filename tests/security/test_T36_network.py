"""T36: a server in a container sees who its client is, and nothing of ours listens on the host. T68, the network's part: what one container uses up
of a network, others keep."""
import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "network"))
from bridgelib import PROBE, outside, probe, run, seed, skiff, wait_until  # noqa: E402, F401


def listeners():
    """Sockets that take connections or datagrams in the host's network namespace."""
    return sorted(line.split()[4] for line in run("ss", "-Hltuwn").stdout.splitlines())


def answers(skiff, port, address="127.0.0.1"):  # noqa: F811
    return run(skiff.probe, "ask", "tcp", address, port, rc=None).stdout.split()


@pytest.mark.smoke
def test_T36_the_server_sees_its_client(skiff, outside):  # noqa: F811
    """Never 127.0.0.1, which a server may trust; also not for a client on the host's own loopback or in another container."""
    skiff.server("web", "-p", "8080:80")
    skiff.client("other")
    assert outside(skiff.probe, "ask", "tcp", outside.near, "8080").stdout.split() == [outside.far, "web"]
    assert outside(skiff.probe, "ask", "tcp", outside.near6, "8080").stdout.split() == [outside.far6, "web"]
    assert skiff.ask_from("other", "tcp", skiff.ip("web"), 80) == [skiff.ip("other"), "web"]
    gateway = skiff.inspect("web")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    assert answers(skiff, "8080") == [gateway, "web"]


def test_T36_nothing_listens(skiff):  # noqa: F811
    """No proxy and no control port: neither on the host nor, beside the resolver at 127.0.0.11, in a container."""
    before = listeners()
    skiff("network", "create", "n")
    skiff.server("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "--network", "n")
    skiff.client("c", "--network", "n")
    assert answers(skiff, "8080")[-1] == answers(skiff, "8081")[-1] == "web"
    assert listeners() == before
    inside = skiff.out("exec", "c", "netstat", "-ltunw").splitlines()[2:]
    assert inside and all(re.match(r"(tcp|udp) +0 +0 127\.0\.0\.11:\d+ ", line) for line in inside), inside


def test_T36_a_loopback_port_is_the_hosts_alone(skiff, outside):  # noqa: F811
    """A port of 127.0.0.1 is reached from the host; not from a neighbour that sends to it, nor from a container."""
    skiff.server("web", "-p", "127.0.0.1:8080:80")
    skiff.client("c", "--cap-add", "NET_ADMIN")
    assert answers(skiff, "8080")[-1] == "web"
    outside("ip", "route", "add", "127.0.0.2/32", "via", outside.near)
    for address in (outside.near, "127.0.0.2"):
        outside(skiff.probe, "ask", "tcp", address, "8080", rc=None)
        assert outside(skiff.probe, "ask", "tcp", address, "8080", rc=None).stdout == "", address
    gateway = skiff.inspect("c")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    assert skiff("exec", "c", PROBE, "ask", "tcp", gateway, "8080", rc=None).stdout == ""


def test_T68_an_exhausted_subnet(skiff):  # noqa: F811
    """The error names the network; other networks go on, and one address that is given back is enough."""
    skiff("network", "create", "--subnet", "10.9.0.0/29", "small")
    names = [f"c{i}" for i in range(5)]
    for name in names:
        skiff.client(name, "--network", "small")
    p = skiff.run("--network", "small", "--", "true", rc=None)
    assert p.returncode in (125, 126, 127) and "small" in p.stderr and "address" in p.stderr, p.stderr
    skiff.run("--", "true")
    skiff("rm", "-f", names[0])
    assert wait_until(lambda: skiff.run("--network", "small", "--", "true", rc=None).returncode == 0)


def test_T68_links_of_a_container_are_its_own(skiff):  # noqa: F811
    """One with NET_ADMIN makes 200 links and addresses: the host has none of them, the next container starts and is reached."""
    skiff.client("greedy", "--cap-add", "NET_ADMIN")
    before = skiff.links()
    skiff("exec", "greedy", "sh", "-c", "for i in $(seq 100); do ip link add v$i type veth peer name w$i && ip addr add 10.200.$i.1/24 dev v$i || exit 1; done")
    assert skiff.links() == before
    skiff.server("web", "-p", "8080:80")
    assert answers(skiff, "8080")[-1] == "web"
