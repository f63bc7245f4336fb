"""containerd (ctr run --runc-binary skiff-oci), by hand on a socket and directories of its own."""
import os
import re
import signal
import subprocess

import pytest

from interoplib import BUSYBOX, RUNTIME, V1, cgroup_dirs, mounts_below, remove_cgroups, remove_tree, sh, wait_for

PARENT = f"skiff-ctr-{os.getpid()}"


@pytest.fixture(scope="module")
def daemon(area, session):
    root = area + "/containerd"
    os.makedirs(root)
    fresh = not os.path.exists("/run/containerd")  # the shims' sockets are always there
    with open(root + "/config.toml", "w") as f:
        f.write(f'version = 2\nroot = "{root}/root"\nstate = "{root}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                f'[grpc]\naddress = "{root}/c.sock"\n[ttrpc]\naddress = "{root}/c.sock.ttrpc"\n')
    with open(root + "/log", "w") as log:
        p = subprocess.Popen(["containerd", "-c", root + "/config.toml"], stdout=log, stderr=log)
    try:
        def ctr(*args, **kw):
            return sh("ctr", "-a", root + "/c.sock", *args, **kw)
        ctr.root = root + "/runc"
        wait_for(lambda: os.path.exists(root + "/c.sock") and ctr("version", check=False).returncode == 0, what="containerd")
        session("save", "-q", "-o", root + "/image.tar", BUSYBOX, check=True)
        ctr("image", "import", root + "/image.tar")
        yield ctr
    finally:
        for pid in re.findall(r"^\s*(\d+) \S*containerd-shim-runc-v2 .*" + re.escape(root), sh("ps", "-eo", "pid,args").stdout, re.M):
            os.kill(int(pid), signal.SIGKILL)
        p.kill()
        p.wait()
        remove_cgroups(PARENT)
        remove_tree(root)
        if fresh:
            remove_tree("/run/containerd")


@pytest.fixture
def ctr(daemon, area):
    yield daemon
    for name in daemon("container", "ls", "-q").stdout.split():
        daemon("task", "rm", "-f", name, check=False)
        daemon("container", "rm", name, check=False)
    assert [d for d in cgroup_dirs(PARENT) if not d.endswith(PARENT)] == []
    assert [m for m in mounts_below(area + "/containerd") if m.endswith("/rootfs")] == []


def run(ctr, name, *argv, options=(), **kw):
    return ctr("run", *options, "--runc-binary", RUNTIME, "--runc-root", ctr.root, "--cgroup", f"/{PARENT}/{name}", BUSYBOX + ":latest", name, *argv, **kw)


@pytest.mark.smoke
def test_run(ctr):
    p = run(ctr, "c1", "sh", "-c", "echo hi; echo err >&2; cat /proc/self/cgroup; exit 4", options=["--rm"], check=False)
    assert os.path.isdir(ctr.root)  # it was our runtime that ran
    assert p.returncode == 4 and p.stdout.startswith("hi\n") and p.stderr == "err\n"
    assert f":/{PARENT}/c1\n" in p.stdout or ":/\n" in p.stdout
    assert not cgroup_dirs(PARENT + "/c1")


def test_command_that_is_not_there(ctr):
    p = run(ctr, "c2", "nothing", options=["--rm"], check=False)
    assert p.returncode != 0 and 'exec: "nothing"' in p.stderr
    assert not cgroup_dirs(PARENT + "/c2")


def test_task_exec_kill(ctr):
    run(ctr, "c3", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done", options=["-d", "--memory-limit", str(32 << 20)])
    d = f"/sys/fs/cgroup/memory/{PARENT}/c3/memory.limit_in_bytes" if V1 else f"/sys/fs/cgroup/{PARENT}/c3/memory.max"
    with open(d) as f:
        assert f.read().strip() == str(32 << 20)
    p = ctr("task", "exec", "--exec-id", "e1", "c3", "sh", "-c", "echo in; exit 5", check=False)
    assert (p.returncode, p.stdout) == (5, "in\n")
    p = ctr("task", "exec", "--exec-id", "e2", "c3", "nothing", check=False)
    assert p.returncode != 0 and "not found" in p.stderr
    assert re.search(r"^c3\s+\d+\s+RUNNING", ctr("task", "ls").stdout, re.M)
    ctr("task", "kill", "-s", "TERM", "c3")
    wait_for(lambda: re.search(r"^c3\s+\d+\s+STOPPED", ctr("task", "ls").stdout, re.M), what="its end")
    assert ctr("task", "rm", "c3", check=False).returncode in (0, 3)
    ctr("container", "rm", "c3")


def test_mounts_and_capabilities(ctr, tmp_path):
    (tmp_path / "f").write_text("host\n")
    p = run(ctr, "c4", "sh", "-c", "cat /host/f; touch /host/x || echo ro; touch /x || echo ro; cat /proc/self/status",
            options=["--rm", "--read-only", "--mount", f"type=bind,src={tmp_path},dst=/host,options=rbind:ro", "--cap-add", "CAP_NET_ADMIN"])
    assert p.stdout.startswith("host\nro\nro\n")
    assert int(re.search(r"CapEff:\s*(\w+)", p.stdout).group(1), 16) & 1 << 12
