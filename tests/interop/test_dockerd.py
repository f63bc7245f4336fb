"""dockerd by hand on a socket and directories of its own, with skiff-oci as its runtime, through Debian's docker client."""
import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from interoplib import (BUSYBOX, CRIU, MANY, RUNTIME, V1, Terminal, alive, cgroup_dirs, daemon_env, kill_shims, mounts_below, remove_cgroups, remove_tree, sh, status,
                        undo, wait_for)

PARENT = f"skiff-docker-{os.getpid()}"
CLIENT = "/usr/bin/docker"


class Docker:
    def __init__(self, root, parent, *options, prefix=()):
        self.root, self.parent, self.prefix = root, parent, list(prefix)
        self.base = [CLIENT, "--config", root + "/client", "-H", f"unix://{root}/sock"]
        self.argv = ["dockerd", "--config-file", root + "/daemon.json", "-H", f"unix://{root}/sock", "--data-root", root + "/data", "--exec-root", root + "/exec",
                     "-p", root + "/pid", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--storage-driver", "overlay2",
                     "--experimental", "--add-runtime", "tested=" + RUNTIME, "--default-runtime", "tested", "--cgroup-parent", "/" + parent, *options]
        self.fresh = not os.path.exists("/run/containerd")
        self.made = [d for d in ("/run/docker", "/var/run/docker/plugins", "/run/docker/libnetwork") if not os.path.exists(d)]
        os.makedirs(root + "/client")
        with open(root + "/daemon.json", "w") as f:
            f.write("{}")

    def __enter__(self):
        with open(self.root + "/log", "a") as log:
            self.p = subprocess.Popen([*self.prefix, *self.argv], stdout=log, stderr=log, env=daemon_env())
        with undo(self, self.root + "/log"):
            wait_for(lambda: self("version", check=False).returncode == 0, timeout=60, what="dockerd")
        return self

    def __exit__(self, *_):
        self.p.terminate()
        try:
            self.p.wait(30)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        kill_shims(self.root)
        remove_cgroups(self.parent)
        remove_tree(self.root)
        for d in self.made:
            remove_tree(d)
        if self.fresh:
            remove_tree("/run/containerd")

    def __call__(self, *args, check=True, **kw):
        return sh(*self.base, *args, check=check, **kw)

    def run(self, *args, network="none", **kw):
        return self("run", "--network", network, *args, **kw)

    def start(self, *args, command=("sleep", "1000"), **kw):
        return self.run("-d", *args, BUSYBOX, *command, **kw).stdout.strip()

    def terminal(self, *args, **kw):
        return Terminal([*self.base, *args], env=dict(os.environ, TERM="xterm"), **kw)

    def inspect(self, name):
        return json.loads(self("inspect", name).stdout)[0]

    def state(self, name):
        return self.inspect(name)["State"]

    def clean(self):
        names = self("ps", "-aq").stdout.split()
        if names:
            self("rm", "-f", "-v", *names)
        wait_for(lambda: [d for d in cgroup_dirs(self.parent) if not d.endswith(self.parent)] == [], what="the end of the cgroups")
        assert [m for m in mounts_below(self.root) if m.endswith(("/merged", "/shm"))] == []
        for d, dirs, _ in os.walk(self.root + "/exec"):
            assert "runtime-" not in d or not [n for n in dirs if re.fullmatch("[0-9a-f]{64}", n)], d


@pytest.fixture(scope="module")
def daemon(area, archive):
    with Docker(area + "/docker", PARENT) as d:
        d("load", "-q", "-i", archive)
        yield d


@pytest.fixture
def docker(daemon):
    yield daemon
    daemon.clean()


def cgroup_file(docker, name, v1, v2):
    controller, leaf = v1.split("/")
    path = f"/sys/fs/cgroup/{controller}/{docker.parent}/{name}/{leaf}" if V1 else f"/sys/fs/cgroup/{docker.parent}/{name}/{v2}"
    with open(path) as f:
        return f.read().strip()


def own_bounding():
    with open("/proc/self/status") as f:
        return int(status(f.read())["CapBnd"], 16)


def can_be_privileged():
    """runc refuses to start when CAP_SYS_RESOURCE is asked for and cannot be given."""
    return bool(own_bounding() & 1 << 24) or os.path.basename(RUNTIME) == "skiff-oci"


@pytest.mark.smoke
def test_run(docker):
    p = docker.run("--rm", "-i", "--hostname", "box", "-e", "A=b c", "-w", "/tmp", BUSYBOX, "sh", "-c", 'echo "$A"; pwd; hostname; cat; echo err >&2; exit 4', input="in\n", check=False)
    assert (p.returncode, p.stdout, p.stderr) == (4, "b c\n/tmp\nbox\nin\n", "err\n")
    assert docker("info", "-f", "{{.DefaultRuntime}}").stdout == "tested\n"


@pytest.mark.parametrize("argv, code", [(["sh", "-c", "exit 42"], 42), (["/tmp"], 126), (["/nothing"], 127), (["nothing"], 127)], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_exit_code(docker, argv, code):
    p = docker.run("--rm", BUSYBOX, *argv, check=False)
    assert p.returncode == code
    assert code < 100 or argv[0] in p.stderr


def test_exec_and_terminals(docker):
    name = docker.start("-e", "OF=container")
    p = docker("exec", "-i", "-e", "A=b", "-w", "/tmp", "-u", "12:34", name, "sh", "-c", "id -u; id -g; pwd; echo $A $OF; cat; exit 5", input="in\n", check=False)
    assert (p.returncode, p.stdout) == (5, "12\n34\n/tmp\nb container\nin\n")
    assert [docker("exec", name, *argv, check=False).returncode for argv in (["/tmp"], ["nothing"])] == [126, 126]  # docker's own choice
    if can_be_privileged():
        assert int(status(docker("exec", "--privileged", name, "cat", "/proc/self/status").stdout)["CapEff"], 16) & 1 << 21
    docker("exec", "-d", name, "touch", "/made")
    wait_for(lambda: docker("exec", name, "test", "-e", "/made", check=False).returncode == 0, what="the file of the detached exec")
    with docker.terminal("exec", "-it", name, "sh", rows=22, cols=66) as t:
        t.until("# ")
        t.write("until stty size | grep '22 66'; do sleep 0.05; done; tty; exit 4\n")  # docker gives the size after the start
        t.until("22 66\r\n")
        t.until("/dev/pts/")
        assert t.finish()[0] == 4
    with docker.terminal("run", "--network", "none", "-it", "--rm", BUSYBOX, rows=31, cols=97) as t:
        t.until("# ")
        t.write("until stty size | grep '31 97'; do sleep 0.05; done; ls -l /dev/console | cut -c1-4\n")
        t.until("31 97\r\n")
        t.until("crw-")
        t.resize(40, 120)
        t.write("until stty size | grep '40 120'; do sleep 0.05; done\n")
        t.until("40 120\r\n")
        t.write("sh -c 'echo re\"\"ady; exec cat'\n")
        t.until("ready")  # before that the interrupt would be the shell's, and what is typed next the job's
        t.write("\x03")  # the interrupt character reaches the foreground job
        t.until("# ")
        t.write("exit 9\n")
        assert t.finish()[0] == 9


def test_stop_kill_logs_and_events(docker):
    script = "trap 'echo bye; exit 7' TERM; trap 'echo usr' USR1; echo ready; while :; do sleep 0.05; done"
    name, deaf = docker.start(command=["sh", "-c", script]), docker.start(command=["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
    wait_for(lambda: "ready" in docker("logs", name).stdout)
    docker("kill", "-s", "USR1", name)
    wait_for(lambda: "usr" in docker("logs", name).stdout)
    docker("stop", "-t", "10", name)
    assert docker.state(name)["ExitCode"] == 7 and docker("logs", name).stdout == "ready\nusr\nbye\n"
    pid = docker.state(deaf)["Pid"]
    docker("stop", "-t", "1", deaf)
    assert docker.state(deaf)["ExitCode"] == 137 and not alive(pid)
    docker("start", deaf)  # a second life of the same container
    assert docker.state(deaf)["Running"]
    docker("kill", deaf)
    assert docker("wait", deaf).stdout == "137\n"
    events = docker("events", "--since", "5m", "--until", "0s", "--filter", f"container={name}", "--format", "{{.Action}}").stdout.split("\n")
    assert [e for e in events if e in ("create", "start", "kill", "die", "stop")] == ["create", "start", "kill", "kill", "die", "stop"]


def test_top_stats_pause_and_update(docker):
    name = docker.start("--memory", "64m", "--cpus", "0.5", "--pids-limit", "20", "--cpu-shares", "512", command=["sh", "-c", "sleep 1234 & while :; do sleep 0.05; done"])
    top = docker("top", name, "-o", "pid,args").stdout
    assert "sleep 1234" in top and re.search(rf"^{docker.state(name)['Pid']}\s", top, re.M)
    fields = (("memory/memory.limit_in_bytes", "memory.max"), ("cpu/cpu.cfs_quota_us", "cpu.max"), ("cpu/cpu.shares", "cpu.weight"), ("pids/pids.max", "pids.max"))
    assert [cgroup_file(docker, name, *f) for f in fields] == [str(64 << 20), *(["50000", "512"] if V1 else ["50000 100000", "20"]), "20"]
    docker("pause", name)
    assert docker.state(name)["Status"] == "paused"
    assert docker("exec", name, "true", check=False).returncode != 0
    used = [cgroup_file(docker, name, "cpuacct/cpuacct.usage", "cpu.stat") for _ in range(2) if not time.sleep(0.2)]
    assert used[0] == used[1]
    docker("unpause", name)
    assert docker.state(name)["Status"] == "running" and docker("exec", name, "true").returncode == 0
    docker("update", "--memory", "48m", "--memory-swap", "96m", "--cpus", "0.25", "--cpu-shares", "256", "--pids-limit", "33", name)
    assert [cgroup_file(docker, name, *f) for f in fields] == [str(48 << 20), *(["25000", "256"] if V1 else ["25000 100000", "10"]), "33"]
    usage = docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name).stdout
    assert "/ 48MiB" in usage and int(usage.split()[-1]) >= 2
    docker("pause", name)
    docker("rm", "-f", name)


def test_out_of_memory_is_told(docker):
    name = docker.start("--memory", "24m", "--memory-swap", "24m", command=["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 0.5; exit 6"])
    assert docker("wait", name).stdout == "6\n"
    wait_for(lambda: docker.state(name)["OOMKilled"], what="OOMKilled")


def security(docker, *args):
    s = status(docker.run("--rm", *args, BUSYBOX, "cat", "/proc/self/status").stdout)
    return {k: int(s[k], 16) for k in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} | {k: s[k].split() for k in ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp")}


def test_users_capabilities_and_security_options(docker, tmp_path):
    default = security(docker)
    assert default["CapEff"] == default["CapBnd"] and default["CapEff"] & 1 and not default["CapEff"] & 1 << 21 and default["Seccomp"] == ["2"] and default["NoNewPrivs"] == ["0"]
    less = security(docker, "--cap-drop", "chown", "--cap-add", "net_admin", "--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges")
    assert less["CapEff"] == (default["CapEff"] | 1 << 12) & ~1 and less["Seccomp"] == ["0"] and less["NoNewPrivs"] == ["1"]
    user = security(docker, "-u", "1234:5678", "--group-add", "27", "--cap-drop", "all")
    assert (user["Uid"], user["Gid"], user["CapBnd"]) == (["1234"] * 4, ["5678"] * 4, 0) and "27" in user["Groups"]
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}')
    assert "not implemented" in docker.run("--rm", "--security-opt", f"seccomp={profile}", BUSYBOX, "mkdir", "/tmp/d", check=False).stderr


def test_privileged(docker):
    """dockerd asks for all capabilities that it knows, also for those that it does not have itself."""
    if not can_be_privileged():
        pytest.skip("runc refuses capabilities that nobody can have here")
    bounding = own_bounding()
    p = docker.run("--rm", "--privileged", BUSYBOX, "sh", "-c", "cat /proc/self/status; mount -t tmpfs t /tmp && echo mounted; ls /dev")
    s = status(p.stdout)
    caps = int(s["CapEff"], 16)
    assert caps & 1 << 21 and caps & bounding == caps and s["Seccomp"] == "0" and "\nmounted\n" in p.stdout
    assert set(os.listdir("/dev")) & {"vda", "sda", "loop0", "kmsg", "fuse"} <= set(p.stdout.split())


def test_file_systems(docker, tmp_path):
    (tmp_path / "f").write_text("host\n")
    device = next(d for d in ("/dev/loop-control", "/dev/fuse", "/dev/net/tun", "/dev/vda", "/dev/sda") if os.path.exists(d))  # none that every container has
    p = docker.run("--rm", "--read-only", "--tmpfs", "/scratch:size=1m,mode=0700", "--shm-size", "2m", "-v", f"{tmp_path}:/rw", "-v", f"{tmp_path}:/ro:ro", "-v", "kept:/vol",
                   "--mount", f"type=bind,source={tmp_path}/f,target=/etc/one,readonly", "--device", device + ":/dev/new:r", BUSYBOX, "sh", "-c",
                   "exec 2>/dev/null; touch /x; echo $?; stat -c %a /scratch; dd if=/dev/zero of=/scratch/big bs=1M count=2; stat -c %s /scratch/big; "
                   "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2; cat /rw/f /etc/one; touch /ro/x; echo $?; echo new >/rw/new; cat /ro/new; "
                   "echo kept >/vol/f; (exec 3</dev/new); echo $?; (exec 3>/dev/new); echo $?; head -c 1 /proc/kcore | wc -c; (echo h >/proc/sysrq-trigger); echo $?")
    assert p.stdout.split() == ["1", "700", str(1 << 20), "2048", "host", "host", "1", "new", "0", "1", "0", "1"]
    assert docker.run("--rm", "-v", "kept:/vol:ro", BUSYBOX, "cat", "/vol/f").stdout == "kept\n"
    docker("volume", "rm", "kept")


def test_ulimits_sysctls_init_and_oom_score(docker):
    p = docker.run("--rm", "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--sysctl", "kernel.msgmax=1234", "--sysctl", "net.ipv4.ip_forward=1", "--oom-score-adj", "321", "--init", BUSYBOX,
                   "sh", "-c", "ulimit -Sn; ulimit -Hn; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; tr '\\0' ' ' </proc/1/cmdline | cut -d' ' -f1; "
                   "sh -c 'sleep 0.1 & exit' ; sleep 0.3; ps -o comm | grep -c sleep", check=False)
    assert p.stdout.split() == ["100", "200", "1234", "1", "321", "/sbin/docker-init", "0"], p.stderr


def test_namespaces_of_the_host_and_of_a_container(docker):
    script = "for n in pid ipc uts net mnt; do readlink /proc/self/ns/$n; done"
    host = [os.readlink(f"/proc/self/ns/{n}") for n in ("pid", "ipc", "uts", "net", "mnt")]
    shared = docker.run("--rm", "--pid=host", "--ipc=host", "--uts=host", BUSYBOX, "sh", "-c", script, network="host").stdout.split()
    assert [a == b for a, b in zip(host, shared)] == [True] * 4 + [False]
    name = docker.start("--ipc", "shareable")
    pid = docker.state(name)["Pid"]
    other = docker.run("--rm", f"--pid=container:{name}", f"--ipc=container:{name}", BUSYBOX, "sh", "-c", script, network=f"container:{name}").stdout.split()
    own = [os.readlink(f"/proc/{pid}/ns/{n}") for n in ("pid", "ipc", "uts", "net", "mnt")]
    assert [a == b for a, b in zip(own, other)] == [True, True, False, True, False] and not set(own) & set(host)


def test_health(docker):
    name = docker.start("--health-cmd", "test -e /well", "--health-interval", "0.2s", "--health-timeout", "5s", "--health-retries", "1")
    wait_for(lambda: docker.state(name)["Health"]["Status"] == "unhealthy", what="bad health")
    docker("exec", name, "touch", "/well")
    wait_for(lambda: docker.state(name)["Health"]["Status"] == "healthy", what="good health")
    assert docker.state(name)["Health"]["Log"][-1]["ExitCode"] == 0


def test_restart_policy(docker):
    failing = docker.start("--restart", "on-failure:2", command=["sh", "-c", "echo life; exit 3"])
    always = docker.start("--restart", "always")
    pid = docker.state(always)["Pid"]
    os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: docker.state(always)["Pid"] not in (0, pid), what="its new life")
    wait_for(lambda: docker.inspect(failing)["RestartCount"] == 2 and docker.state(failing)["Status"] == "exited", what="the end of its lives")
    assert docker("logs", failing).stdout == "life\n" * 3 and docker.state(failing)["ExitCode"] == 3


def test_copy_diff_commit(docker, tmp_path):
    name = docker.start()
    (tmp_path / "f").write_text("copied\n")
    docker("cp", str(tmp_path / "f"), f"{name}:/f")
    assert docker("exec", name, "cat", "/f").stdout == "copied\n"
    docker("exec", name, "sh", "-c", "echo more >>/f")
    docker("cp", f"{name}:/f", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "copied\nmore\n" and "A /f" in docker("diff", name).stdout


def test_checkpoint(docker):
    if not CRIU:
        pytest.skip("no criu that works with this kernel: run tests/runtime/get-criu")
    name = docker.start("--security-opt", "seccomp=unconfined", command=["sh", "-c", "n=0; while :; do echo $n; n=$((n+1)); sleep 0.05; done"])
    wait_for(lambda: docker("logs", name).stdout.count("\n") > 3)
    docker("checkpoint", "create", name, "one")
    assert docker.state(name)["Status"] == "exited"
    before = docker("logs", name).stdout.split()
    def goes_on():  # containerd may not have collected its own copy of the same checkpoint yet, which docker takes for a failure
        p = docker("start", "--checkpoint", "one", name, check=False)
        assert p.returncode == 0 or "already exists" in p.stderr, p.stderr
        return p.returncode == 0

    wait_for(goes_on, what="the start from a checkpoint")
    after = wait_for(lambda: (lambda out: out if len(out) > len(before) + 3 else None)(docker("logs", name).stdout.split()), what="its next numbers")
    assert after == [str(n) for n in range(len(after))]


def test_users_of_the_daemon_are_others(area, archive, tmp_path):
    """userns-remap; /etc/subuid and /etc/subgid are of the daemon's mount namespace alone."""
    (tmp_path / "sub").write_text("nobody:200000:65536\nnogroup:200000:65536\n")
    prefix = ["unshare", "-m", "--propagation", "slave", "sh", "-ec", 'for f in subuid subgid; do mount --bind "$0" /etc/$f; done; exec "$@"', str(tmp_path / "sub")]
    with Docker(area + "/docker-users", PARENT + "-users", "--userns-remap", "nobody:nogroup", prefix=prefix) as docker:
        docker("load", "-q", "-i", archive)
        name = docker.start("--memory", "64m", "-v", "data:/data", "-u", "7:8")
        pid = docker.state(name)["Pid"]
        assert (os.stat(f"/proc/{pid}").st_uid, os.stat(f"/proc/{pid}").st_gid) == (200007, 200008)
        p = docker("exec", "-u", "0", name, "sh", "-c", "id -u; stat -c %u:%g /bin/busybox /data; touch /data/f /made; echo $?; mount -t tmpfs t /tmp 2>/dev/null; echo $?; cat /proc/self/uid_map")
        assert p.stdout.split() == ["0", "0:0", "0:0", "0", "1", "0", "200000", "65536"]
        with docker.terminal("exec", "-it", name, "tty") as t:
            t.until("/dev/pts/0")
            assert t.finish()[0] == 0
        docker("pause", name)
        docker("unpause", name)
        host = docker.run("--rm", "--userns=host", BUSYBOX, "readlink", "/proc/self/ns/user").stdout.strip()
        assert host == os.readlink("/proc/self/ns/user")
        docker.clean()


def test_thirty_at_once(docker):
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda n: docker.run("--rm", "--memory", "32m", BUSYBOX, "sh", "-c", f"echo {n}; exit {n}", check=False), range(30)))
    assert [(p.returncode, p.stdout) for p in done] == [(n, f"{n}\n") for n in range(30)]


def test_many_alive_at_once(docker):
    """None fails to start, each can be entered, none is lost, nothing is left."""
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: docker.start("--memory", "32m", timeout=300), range(MANY)))
        assert sorted(docker("ps", "-q", "--no-trunc").stdout.split()) == sorted(ids)
        codes = list(pool.map(lambda n: docker("exec", ids[n], "sh", "-c", f"exit {n}", check=False).returncode, range(0, MANY, 10)))
        assert codes == list(range(0, MANY, 10))
        pids = list(pool.map(lambda i: int(docker("inspect", "-f", "{{.State.Pid}}", i).stdout), ids))
        assert all(alive(p) for p in pids)
        list(pool.map(lambda i: docker("rm", "-f", i, timeout=300), ids))
    assert docker("ps", "-aq").stdout == "" and not any(alive(p) for p in pids)
