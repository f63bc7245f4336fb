"""docker, podman and skiff on one host: networks, published ports, firewall, cgroups, images and clean-ups of one do not disturb the others."""
import contextlib
import os
import shutil
import socket
import subprocess
import urllib.request

import pytest

from interoplib import BUSYBOX, Podman, alive, daemon_env, sh, wait_for
from test_dockerd import Docker
from test_skiff import skiff  # noqa: F401

RUNC = shutil.which("runc")
SERVE = "mkdir -p /www; echo {} >/www/index.html; exec httpd -f -p 80 -h /www"
PORTS = {"docker": 18081, "podman": 18082, "skiff": 18083}

pytestmark = pytest.mark.skipif(not RUNC or not shutil.which("iptables"), reason="runc and iptables for docker's own network")


def page(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as f:
            return f.read().decode().strip()
    except OSError:
        return ""


@pytest.fixture
def three(area, busybox, archive, registry, skiff):  # noqa: F811
    """name -> function that runs a command of that engine, each with its own image and one container that serves its name."""
    with contextlib.ExitStack() as stack:
        options = ("--bridge", "", "--iptables=true", "--ip-masq=true", "--default-runtime", "runc")
        docker = stack.enter_context(Docker(area + "/sd", f"skiff-side-{os.getpid()}", *options))
        podman = stack.enter_context(Podman(area + "/sp", RUNC))
        docker("load", "-q", "-i", archive)
        podman.import_tree(busybox, BUSYBOX, 'CMD ["/bin/sh"]', "ENV PATH=/bin")
        sh("skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{archive}:{BUSYBOX}", f"docker://{registry.name}/side")
        skiff("pull", "-q", f"{registry.name}/side")
        run = {"docker": docker, "podman": lambda *a, **kw: podman(*a, **{"check": True, **kw}), "skiff": skiff}
        image = {"docker": BUSYBOX, "podman": BUSYBOX, "skiff": f"{registry.name}/side"}
        parent = {"docker": (), "podman": (f"--cgroup-parent=/{podman.parent}",), "skiff": ()}
        for name, engine in run.items():
            engine("run", "-d", "--name", "web", *parent[name], "-p", f"127.0.0.1:{PORTS[name]}:80", image[name], "sh", "-c", SERVE.format(name))
        stack.callback(docker, "rm", "-f", "web", check=False)
        yield run, image


def pid_of(engine):
    return int(engine("inspect", "--format", "{{.State.Pid}}", "web").stdout)


def all_serve(but=()):
    for name, port in PORTS.items():
        if name not in but:
            wait_for(lambda: page(port) == name, timeout=30, what=f"the page of {name}")


def test_side_by_side(three):
    run, image = three
    engines = dict(run)
    all_serve()
    pids = {name: pid_of(engine) for name, engine in engines.items()}
    assert len({os.readlink(f"/proc/{p}/ns/net") for p in pids.values()}) == 3
    cgroups = {}
    for name, p in pids.items():
        with open(f"/proc/{p}/cgroup") as f:
            cgroups[name] = {x.split(":", 2)[2] for x in f.read().splitlines() if ":pids:" in x or x.startswith("0::")}
    assert "/skiff/c/" in str(cgroups["skiff"]) and "/skiff/c/" not in str(cgroups["docker"]) + str(cgroups["podman"])
    # a port that another engine has is refused, and the refused start leaves nothing
    for name in ("docker", "podman"):
        p = run["skiff"]("run", "-d", "--name", "taken", "-p", f"127.0.0.1:{PORTS[name]}:80", image["skiff"], "sleep", "1000", check=False)
        assert p.returncode == 125 and str(PORTS[name]) in p.stderr, p.stderr
        run["skiff"]("rm", "-f", "taken", check=False)
    # containers reach out of their network and each other's published port is the host's
    for name, engine in engines.items():
        assert engine("exec", "web", "cat", "/www/index.html").stdout.strip() == name
    all_serve()
    # a second container of each comes and goes; clean-ups of each leave the others' things alone
    for name, engine in engines.items():
        if name != "podman":  # its cgroup parent is an option of `run` here
            engine("run", "--rm", image[name], "true")
        engine("restart", "-t", "0", "web")
        all_serve()
        engine("system", "prune", "-f")
        all_serve()
        assert image[name].rpartition("/")[2] in engine("images").stdout
    # docker's chains are made anew at its start; skiff's table by `network reload`
    daemon = run["docker"]
    daemon.p.terminate()
    daemon.p.wait(60)
    all_serve(but=("docker",))
    with open(daemon.root + "/log", "a") as log:
        daemon.p = subprocess.Popen([*daemon.prefix, *daemon.argv], stdout=log, stderr=log, env=daemon_env())
    wait_for(lambda: daemon("version", check=False).returncode == 0, timeout=60, what="dockerd")
    daemon("start", "web")
    all_serve()
    run["skiff"]("network", "reload")
    run["skiff"]("system", "check", "--repair", check=False)
    all_serve()
    # each goes in turn, the others stay
    gone = []
    for name in ("skiff", "docker", "podman"):
        before = {n: pid_of(e) for n, e in engines.items() if n not in gone}
        engines[name]("rm", "-f", "web")
        gone.append(name)
        wait_for(lambda: not alive(before[name]), what=f"the end of {name}'s container")
        all_serve(but=gone)
        assert all(alive(before[n]) for n in before if n not in gone)
        with socket.socket() as s:
            assert s.connect_ex(("127.0.0.1", PORTS[name])) != 0, f"{name}'s port is still served"

