"""containerd (ctr run --runc-binary skiff-oci), by hand on a socket and directories of its own."""
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from interoplib import BUSYBOX, CRIU, MANY, RUNTIME, V1, Containerd, Terminal, alive, busybox_tree, cgroup_dirs, mounts_below, remove_cgroups, sh, status, wait_for

PARENT = f"skiff-ctr-{os.getpid()}"


@pytest.fixture(scope="module")
def daemon(area, archive):
    try:
        with Containerd(area + "/containerd", disabled=["io.containerd.grpc.v1.cri"]) as ctr:
            ctr("image", "import", archive)
            yield ctr
    finally:
        remove_cgroups(PARENT)


@pytest.fixture
def ctr(daemon):
    yield daemon
    for name in daemon("container", "ls", "-q").stdout.split():
        daemon("task", "rm", "-f", name, check=False)
        daemon("container", "rm", name, check=False)
    assert [d for d in cgroup_dirs(PARENT) if not d.endswith(PARENT)] == []
    assert [m for m in mounts_below(daemon.root) if m.endswith("/rootfs")] == []
    assert [n for n in os.listdir(daemon.runc_root + "/default") if n[0] != "."] == []


def run_argv(ctr, name, *argv, options=()):
    return ["run", *options, "--runc-binary", RUNTIME, "--runc-root", ctr.runc_root, "--cgroup", f"/{PARENT}/{name}", BUSYBOX + ":latest", name, *argv]


def run(ctr, name, *argv, options=(), **kw):
    return ctr(*run_argv(ctr, name, *argv, options=options), **kw)


def state(ctr, name):
    found = re.search(rf"^{name}\s+(\d+)\s+(\w+)", ctr("task", "ls").stdout, re.M)
    return (int(found.group(1)), found.group(2)) if found else (0, None)


def cgroup_file(name, v1, v2):
    controller, leaf = v1.split("/")
    with open(f"/sys/fs/cgroup/{controller}/{PARENT}/{name}/{leaf}" if V1 else f"/sys/fs/cgroup/{PARENT}/{name}/{v2}") as f:
        return f.read().strip()


@pytest.mark.smoke
def test_run(ctr):
    p = run(ctr, "c1", "sh", "-c", "echo hi; echo err >&2; cat /proc/self/cgroup; exit 4", options=["--rm"], check=False)
    assert os.path.isdir(ctr.runc_root)  # it was our runtime that ran
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


def test_pause_ps_and_metrics(ctr):
    run(ctr, "c5", "sh", "-c", "sleep 1234 & while :; do sleep 0.05; done", options=["-d", "--memory-limit", str(48 << 20), "--cpus", "0.5"])
    pid = state(ctr, "c5")[0]
    seen = {int(p) for p in re.findall(r"^(\d+)", ctr("task", "ps", "c5").stdout, re.M)}
    assert pid in seen and len(seen) >= 2 and all(alive(p) for p in (pid,))
    metrics = json.loads(ctr("task", "metrics", "--format", "json", "c5").stdout)
    memory, pids = metrics["memory"], metrics["pids"]
    assert (memory["usage"]["limit"] if V1 else memory["usage_limit"]) == 48 << 20 and 2 <= pids["current"] <= 4
    assert cgroup_file("c5", "cpu/cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    ctr("task", "pause", "c5")
    assert state(ctr, "c5") == (pid, "PAUSED")
    used = [cgroup_file("c5", "cpuacct/cpuacct.usage", "cpu.stat") for _ in range(2) if not time.sleep(0.2)]
    assert used[0] == used[1]
    assert ctr("task", "exec", "--exec-id", "e", "c5", "true", check=False, timeout=20).returncode != 0
    ctr("task", "resume", "c5")
    assert state(ctr, "c5") == (pid, "RUNNING")
    wait_for(lambda: cgroup_file("c5", "cpuacct/cpuacct.usage", "cpu.stat") != used[0], what="its work")
    ctr("task", "kill", "-s", "KILL", "-a", "c5")
    wait_for(lambda: state(ctr, "c5")[1] == "STOPPED", what="its end")


def test_terminal(ctr):
    argv = ["ctr", "-a", ctr.address, *run_argv(ctr, "c6", "sh", options=["-t", "--rm"])]
    with Terminal(argv, rows=31, cols=97, env=dict(os.environ, TERM="xterm")) as t:
        t.until("# ")
        t.write("stty size; tty; ls -l /dev/console | cut -c1-4\n")
        t.until("31 97")
        t.until("crw-")
        t.resize(40, 120)
        t.write("until [ \"$(stty size)\" = '40 12'0 ]; do sleep 0.05; done; stty size\n")
        t.until("40 120")
        t.write("exit 9\n")
        assert t.finish()[0] == 9
    run(ctr, "c7", "sleep", "1000", options=["-d"])
    with Terminal(["ctr", "-a", ctr.address, "task", "exec", "-t", "--exec-id", "e", "c7", "sh"], rows=22, cols=66, env=dict(os.environ, TERM="xterm")) as t:
        t.until("# ")
        t.write("until stty size 2>/dev/null | grep '22 66'; do sleep 0.1; done; exit 4\n")  # ctr sets it only after the start
        t.until("\n22 66\r")
        assert t.finish()[0] == 4


def test_seccomp_user_privileged_and_namespaces(ctr):
    s = status(run(ctr, "c8", "cat", "/proc/self/status", options=["--rm", "--seccomp"]).stdout)
    assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1"
    with open("/proc/self/status") as f:
        bounding = int(status(f.read())["CapBnd"], 16)
    s = status(run(ctr, "c9", "cat", "/proc/self/status", options=["--rm", "--privileged", "--allow-new-privs"]).stdout)
    assert int(s["CapEff"], 16) == bounding and s["Seccomp"] == "0" and s["NoNewPrivs"] == "0"
    run(ctr, "c10", "sleep", "1000", options=["-d"])
    pid = state(ctr, "c10")[0]
    spaces = [f"{kind}:/proc/{pid}/ns/{name}" for kind, name in (("pid", "pid"), ("ipc", "ipc"), ("network", "net"), ("uts", "uts"))]
    p = run(ctr, "c11", "sh", "-c", "for n in pid ipc net uts mnt; do readlink /proc/self/ns/$n; done", options=["--rm", *(w for n in spaces for w in ("--with-ns", n))])
    assert [a == os.readlink(f"/proc/{pid}/ns/{n}") for a, n in zip(p.stdout.split(), ("pid", "ipc", "net", "uts", "mnt"))] == [True] * 4 + [False]


def config(root, name, **more):
    """A config.json of our own: hooks and whatever else ctr has no option for."""
    base = {"ociVersion": "1.0.2", "process": {"user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/"},
            "root": {"path": root, "readonly": True},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}],
            "linux": {"cgroupsPath": f"/{PARENT}/{name}", "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]}}
    return {**base, **more}


def test_hooks_of_a_config_of_our_own(ctr, tmp_path):
    def hook(stage):
        return {"path": "/bin/sh", "args": ["sh", "-c", f"cat >{tmp_path}/{stage}; echo {stage} $A >>{tmp_path}/order"], "env": ["A=b", "PATH=/bin:/usr/bin"], "timeout": 10}
    busybox_tree(str(tmp_path / "root"))
    stages = ("prestart", "createRuntime", "poststart", "poststop")
    (tmp_path / "config.json").write_text(json.dumps(config(str(tmp_path / "root"), "c13", hooks={s: [hook(s)] for s in stages})))
    ctr("run", "-d", "--runc-binary", RUNTIME, "--runc-root", ctr.runc_root, "-c", str(tmp_path / "config.json"), "c13")
    pid = state(ctr, "c13")[0]
    states = {s: json.loads((tmp_path / s).read_text()) for s in stages[:3]}
    assert {(s["id"], s["pid"], s["ociVersion"] != "") for s in states.values()} == {("c13", pid, True)}
    assert [states[s]["status"] for s in stages[:3]] == ["created", "created", "running"] or states["prestart"]["status"] == "creating"
    ctr("task", "rm", "-f", "c13", check=False)
    assert json.loads((tmp_path / "poststop").read_text())["status"] == "stopped"
    assert (tmp_path / "order").read_text() == "".join(f"{s} b\n" for s in stages)


def test_user_namespace(ctr, tmp_path):
    """By a config of our own: with ctr's --uidmap the shim forgets which runtime was asked for."""
    for p in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        p.chmod(p.stat().st_mode | 0o111)
    busybox_tree(str(tmp_path / "root"))
    sh("chown", "-hR", "200000:300000", str(tmp_path / "root"))
    c = config(str(tmp_path / "root"), "c16")
    c["linux"]["namespaces"].append({"type": "user"})
    c["linux"].update({f"{k}idMappings": [{"containerID": 0, "hostID": n, "size": 65536}] for k, n in (("u", 200000), ("g", 300000))})
    c["root"]["readonly"] = False
    (tmp_path / "config.json").write_text(json.dumps(c))
    ctr("run", "-d", "--runc-binary", RUNTIME, "--runc-root", ctr.runc_root, "-c", str(tmp_path / "config.json"), "c16")
    pid = state(ctr, "c16")[0]
    assert (os.stat(f"/proc/{pid}").st_uid, os.stat(f"/proc/{pid}").st_gid) == (200000, 300000)
    p = ctr("task", "exec", "--exec-id", "e", "c16", "sh", "-c", "id -u; stat -c %u:%g /bin/busybox; touch /made; echo $?; cat /proc/self/uid_map")
    assert p.stdout.split() == ["0", "0:0", "0", "0", "200000", "65536"]
    assert os.stat(tmp_path / "root/made").st_uid == 200000


def test_events(ctr):
    with Terminal(["ctr", "-a", ctr.address, "events"]) as t:
        time.sleep(0.5)
        run(ctr, "c14", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 0.5", options=["--rm", "--memory-limit", str(24 << 20)], check=False)
        out = t.until("/tasks/create") + t.until("/tasks/start") + t.until("/tasks/oom") + t.until("/tasks/exit") + t.until("/tasks/delete")
    assert '"container_id":"c14"' in out


def test_checkpoint_and_restore(ctr, tmp_path):
    if not CRIU:
        pytest.skip("no criu that works with this kernel: run tests/runtime/get-criu")
    run(ctr, "c15", "sh", "-c", "n=0; while :; do echo $n >/next; mv /next /count; n=$((n+1)); sleep 0.05; done", options=["-d", "--null-io"])

    def count():
        return int(ctr("task", "exec", "--exec-id", f"e{time.monotonic_ns()}", "c15", "cat", "/count").stdout or 0)
    wait_for(lambda: count() > 20, what="its counting")
    before = count()
    ctr("container", "checkpoint", "--rw", "--task", "--image", "c15", "localhost/check:1")
    ctr("task", "kill", "-s", "KILL", "c15")
    wait_for(lambda: state(ctr, "c15")[1] == "STOPPED", what="its end")
    ctr("task", "rm", "c15", check=False)
    ctr("container", "rm", "c15")
    ctr("container", "restore", "--rw", "--live", "c15", "localhost/check:1")
    first = count()
    assert first >= before and wait_for(lambda: count() > first, what="its counting after the restore")
    assert state(ctr, "c15")[1] == "RUNNING"
    ctr("image", "rm", "localhost/check:1")


def test_many_alive_at_once(ctr):
    """Started sixteen at once; none fails and nothing is left."""
    names = [f"m{n}" for n in range(MANY)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: run(ctr, n, "sleep", "1000", options=["-d", "--null-io", "--memory-limit", str(16 << 20)]), names))
        tasks = re.findall(r"^(m\d+)\s+(\d+)\s+RUNNING", ctr("task", "ls").stdout, re.M)
        assert sorted(t[0] for t in tasks) == sorted(names) and all(alive(int(t[1])) for t in tasks)
        codes = list(pool.map(lambda n: ctr("task", "exec", "--exec-id", "e", n, "sh", "-c", f"exit {n[1:]}", check=False).returncode, names[::10]))
        assert codes == list(range(0, MANY, 10))
        list(pool.map(lambda n: ctr("task", "rm", "-f", n, check=False), names))
        list(pool.map(lambda n: ctr("container", "rm", n), names))
    assert ctr("task", "ls", "-q").stdout == ""
