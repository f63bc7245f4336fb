"""podman --runtime skiff-oci: what changes a running container, what comes from outside, and groups of containers."""
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from interoplib import BUSYBOX, CRIU, MANY, RUNTIME, V1, alive, cgroup_dirs, sh, wait_for

RUNC = os.path.basename(RUNTIME) == "runc"


def lines(p):
    return p.stdout.split("\n")[:-1]


def cgroup_file(podman, name, v1, v2):
    controller, leaf = v1.split("/")
    top = f"/sys/fs/cgroup/{controller}/{podman.parent}" if V1 else f"/sys/fs/cgroup/{podman.parent}"
    with open(f"{top}/libpod-{name}/{leaf if V1 else v2}") as f:
        return f.read().strip()


def test_pause_and_unpause(podman):
    name = podman.start(command=["sh", "-c", "while :; do sleep 0.05; done"])
    podman("pause", name, check=True)
    assert podman.inspect(name)["State"]["Status"] == "paused" and lines(podman("ps", "-q", "--no-trunc", "-f", "status=paused")) == [name]
    used = [cgroup_file(podman, name, "cpuacct/cpuacct.usage", "cpu.stat") for _ in range(2) if not time.sleep(0.2)]
    assert used[0] == used[1]
    assert podman("exec", name, "true").returncode != 0
    podman("unpause", name, check=True)
    assert podman.inspect(name)["State"]["Status"] == "running" and podman("exec", name, "true").returncode == 0
    podman("pause", name, check=True)
    podman("rm", "-f", "-t", "0", name, check=True)


def test_update(podman):
    name = podman.start("--memory", "64m", "--pids-limit", "50")
    fields = (("memory/memory.limit_in_bytes", "memory.max"), ("cpu/cpu.cfs_quota_us", "cpu.max"), ("cpu/cpu.shares", "cpu.weight"), ("pids/pids.max", "pids.max"))
    podman("update", "--memory", "48m", "--cpus", "0.25", "--cpu-shares", "256", name, check=True)
    assert [cgroup_file(podman, name, *f) for f in fields] == [str(48 << 20), *(["25000", "256"] if V1 else ["25000 100000", "10"]), "50"]
    assert podman("update", "--cpuset-cpus", "0", name, check=True).returncode == 0
    assert cgroup_file(podman, name, "cpuset/cpuset.cpus", "cpuset.cpus") == "0"
    assert podman("update", "--cpuset-cpus", "4000", name).returncode != 0
    assert cgroup_file(podman, name, "cpuset/cpuset.cpus", "cpuset.cpus") == "0"


def test_hooks(podman, tmp_path):
    """Every stage, in its order, with the state on standard input; a failing one stops the start."""
    stages = ("createRuntime", "prestart", "createContainer", "startContainer", "poststart", "poststop")
    order = tmp_path / "order"
    (tmp_path / "hooks").mkdir()
    order.touch()
    for stage in stages:  # startContainer's is looked up inside the container, where the same directory is mounted
        script = tmp_path / (stage + ".sh")
        script.write_text(f"#!/bin/sh\ncat >{tmp_path}/{stage}.json; echo {stage} $$ >>{order}\n")
        script.chmod(0o755)
        (tmp_path / "hooks" / f"{stage}.json").write_text(json.dumps({
            "version": "1.0.0", "hook": {"path": str(script), "args": [stage], "env": ["PATH=/bin:/usr/bin"], "timeout": 10}, "when": {"annotations": {"^hooked$": ".*"}}, "stages": [stage]}))
    base = [*podman.base, "--hooks-dir", str(tmp_path / "hooks"), "run", f"--cgroup-parent=/{podman.parent}", "--network", "none", "-v", f"{tmp_path}:{tmp_path}"]
    p = sh(*base, "--rm", "--annotation", "hooked=yes", BUSYBOX, "echo", "ran", env=podman.env, cwd=podman.root)
    assert p.stdout == "ran\n"
    ran = [line.split()[0] for line in order.read_text().splitlines()]
    assert sorted(ran) == sorted(stages) and ran[2] == "createContainer" and ran[-1] == "poststop"
    assert ran[3:5] == ["startContainer", "poststart"] or RUNC  # runc 1.1 runs poststart hooks at create
    states = {s: json.loads((tmp_path / f"{s}.json").read_text()) for s in stages}
    assert len({s["id"] for s in states.values()}) == 1 and states["poststop"]["status"] == "stopped"
    assert states["poststart"]["status"] == "running" or RUNC
    assert states["createRuntime"]["annotations"]["hooked"] == "yes" and states["createRuntime"]["pid"] > 0
    (tmp_path / "createRuntime.sh").write_text("#!/bin/sh\necho the hook says no >&2\nexit 9\n")
    p = sh(*base, "--rm", "--annotation", "hooked=yes", BUSYBOX, "echo", "ran", env=podman.env, cwd=podman.root, check=False)
    assert p.returncode not in (0, 9) and "ran" not in p.stdout and "hook" in p.stderr


def test_healthcheck(podman):
    name = podman.start("--health-cmd", "test -e /well", "--health-interval", "disable", "--health-retries", "1")
    assert podman("healthcheck", "run", name).returncode == 1
    assert podman.inspect(name)["State"]["Health"]["Status"] == "unhealthy"
    podman("exec", name, "touch", "/well", check=True)
    assert podman("healthcheck", "run", name).returncode == 0
    assert podman.inspect(name)["State"]["Health"]["Status"] == "healthy"


def test_timeout_ends_the_container(podman):
    began = time.monotonic()
    p = podman.run("--rm", "--timeout", "1", BUSYBOX, "sleep", "1000", check=False)
    assert p.returncode != 0 and time.monotonic() - began < 20


def test_without_cgroups(podman):
    if RUNC:
        pytest.skip("runc cannot do without cgroups")
    base = [*podman.base, "run", "-d", "--network", "none", "--cgroups", "disabled"]
    name = sh(*base, BUSYBOX, "sleep", "1000", env=podman.env, cwd=podman.root).stdout.strip()
    pid = podman.pid(name)
    assert alive(pid) and not [d for d in cgroup_dirs(podman.parent) if name in d and "conmon" not in d]
    assert podman("exec", name, "echo", "in", check=True).stdout == "in\n"
    podman("stop", "-t", "0", name, check=True)
    assert not alive(pid)


def test_idmapped_volume(podman, tmp_path):
    (tmp_path / "f").write_text("host\n")
    tmp_path.chmod(0o755)
    if RUNC:
        pytest.skip("runc 1.1 has no idmapped mounts")
    p = podman.run("--rm", "--uidmap", "0:200000:65536", "-v", f"{tmp_path}:/plain", "-v", f"{tmp_path}:/mapped:idmap", BUSYBOX, "sh", "-c",
                   "stat -c %u /plain/f /mapped/f; touch /plain/x 2>/dev/null; echo $?; touch /mapped/new; echo $?")
    assert lines(p) == ["65534", "0", "1", "0"]
    assert os.stat(tmp_path / "new").st_uid == 0


def test_pod_shares_namespaces(podman):
    podman("pod", "create", "--name", "pod", "--infra-image", BUSYBOX, "--infra-command", "sleep 1000", "--network", "none", "--share", "ipc,net,uts,pid", "--hostname", "box",
           "--share-parent=false", f"--cgroup-parent=/{podman.parent}", check=True)  # podman's own cgroups of pods want a hugetlb hierarchy
    try:
        script = "for n in pid ipc net uts mnt; do readlink /proc/self/ns/$n; done; hostname"
        p = sh(*podman.base, "run", "--rm", f"--cgroup-parent=/{podman.parent}", "--pod", "pod", BUSYBOX, "sh", "-c", script, env=podman.env, cwd=podman.root)
        infra = json.loads(podman("pod", "inspect", "pod", check=True).stdout)["InfraContainerID"]
        pid = podman.pid(infra)
        theirs = [os.readlink(f"/proc/{pid}/ns/{n}") for n in ("pid", "ipc", "net", "uts", "mnt")]
        assert [a == b for a, b in zip(lines(p), theirs)] == [True] * 4 + [False] and lines(p)[5] == "box"
        podman("pod", "pause", "pod", check=True)
        assert podman.inspect(infra)["State"]["Status"] == "paused"
        podman("pod", "unpause", "pod", check=True)
        podman("pod", "stop", "-t", "0", "pod", check=True)
        assert not alive(pid)
    finally:
        podman("pod", "rm", "-f", "-t", "0", "pod", check=True)


def test_personality_and_umask(podman):
    p = podman.run("--rm", "--personality", "LINUX32", "--umask", "0077", BUSYBOX, "sh", "-c", "umask; uname -m")
    assert lines(p)[0] == "0077"
    assert lines(p)[1] == {"x86_64": "i686"}.get(os.uname().machine, "armv8l") or RUNC  # runc 1.1 passes it over


def test_preserved_descriptors(podman):
    r, w = os.pipe()
    argv = podman.argv("run", "--rm", "--preserve-fds", "1", BUSYBOX, "sh", "-c", "echo through >&3")
    sh("bash", "-c", 'exec 3>&"$0"; exec "$@"', str(w), *argv, env=podman.env, cwd=podman.root, pass_fds=[w])
    os.close(w)
    assert os.read(r, 100) == b"through\n"
    os.close(r)


def test_checkpoint_and_restore(podman):
    if not CRIU:
        pytest.skip("no criu that works with this kernel: run tests/runtime/get-criu")
    name = podman.start("--security-opt", "seccomp=unconfined", command=["sh", "-c", "n=0; while :; do echo $n; n=$((n+1)); sleep 0.05; done"])
    wait_for(lambda: podman("logs", name).stdout.count("\n") > 5, what="its counting")
    podman("container", "checkpoint", name, check=True)
    state = podman.inspect(name)["State"]
    assert state["Status"] == "exited" and state["Checkpointed"]
    before = lines(podman("logs", name))
    podman("container", "restore", name, check=True)
    after = wait_for(lambda: (lambda out: out if len(out) > len(before) + 3 else None)(lines(podman("logs", name))), what="its next numbers")
    assert after == [str(n) for n in range(len(after))]


def test_many_alive_at_once(podman):
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: podman.start("--memory", "32m", timeout=300), range(MANY)))
        assert sorted(lines(podman("ps", "-q", "--no-trunc"))) == sorted(names)
        assert all(alive(podman.pid(n)) for n in names[::20])
        codes = list(pool.map(lambda n: podman("exec", names[n], "sh", "-c", f"exit {n}").returncode, range(0, MANY, 10)))
        assert codes == list(range(0, MANY, 10))
    podman("rm", "-af", "-t", "0", check=True, timeout=600)
    assert podman.leftovers() == []
