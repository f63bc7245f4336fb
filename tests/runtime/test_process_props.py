"""Scheduling, I/O priority, CPU affinity, NUMA memory policy and personality: of init and of exec'd processes.

runc 1.1 and crun 1.8 ignore most of these properties in silence; the rules are those of runtime-spec 1.3, and of runc 1.5 where it leaves something open.
"""
import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.skiff_only

CPUS = sorted(os.sched_getaffinity(0))
two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")


def process(box, *argv, **members):
    """A process document of `exec --process`."""
    path = box.dir / "process.json"
    path.write_text(json.dumps({"cwd": "/", "args": list(argv), "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, **members}))
    return str(path)


def exec_pid(box, *opts):
    """An exec'd process that lives on: its pid on the host."""
    pid_file = box.dir / "exec.pid"
    r = box.rt("exec", "-d", "--pid-file", str(pid_file), *opts[:-1], box.id, *opts[-1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    return int(pid_file.read_text())


def exec_sleep(box):
    return exec_pid(box, ["sleep", "60"])


def exec_process(box, *argv, **members):
    return exec_pid(box, "--process", process(box, *argv, **members), [])


def ionice(pid):
    return subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()


def allowed(pid):
    return sorted(os.sched_getaffinity(pid))


# --- scheduler ---
def test_scheduler_batch(box):
    box.p["scheduler"] = {"policy": "SCHED_BATCH", "priority": 0, "nice": 19}
    box.start("sleep", "60")
    pid = box.state()["pid"]
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    pid = exec_sleep(box)  # as the container's own process
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    pid = exec_process(box, "sleep", "60", scheduler={"policy": "SCHED_IDLE"})
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    pid = exec_process(box, "sleep", "60")  # says nothing: the container's
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH


def test_scheduler_other_with_nice(box):
    box.p["scheduler"] = {"policy": "SCHED_OTHER", "nice": 5}
    r = box.run("awk", "{print $19}", "/proc/self/stat")
    assert (r.returncode, r.stdout.strip()) == (0, "5"), r.stderr


def test_scheduler_deadline(box):
    """Set, with the flag that lets it fork; a child is an ordinary process again."""
    box.p["scheduler"] = {
        "policy": "SCHED_DEADLINE",
        "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        "runtime": 5000000,
        "deadline": 10000000,
        "period": 10000000,
    }
    r = box.create("sleep", "60")
    if r.returncode != 0:
        assert "process scheduler can't be used together with AllowedCPUs" in r.stderr
        pytest.skip("no SCHED_DEADLINE here: " + r.stderr)
    assert box.rt("start", box.id).returncode == 0
    out = subprocess.run(["chrt", "-p", str(box.state()["pid"])], capture_output=True, text=True, check=True).stdout
    assert "SCHED_DEADLINE|SCHED_RESET_ON_FORK" in out
    assert "5000000/10000000/10000000" in out
    box.rt("delete", "--force", box.id)


@two_cpus
def test_scheduler_deadline_against_cpuset(box):
    box.p["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 42000, "deadline": 1000000, "period": 1000000}
    box.c["linux"].setdefault("resources", {})["cpu"] = {"cpus": str(CPUS[0])}
    r = box.run("true")
    assert r.returncode != 0
    assert "process scheduler can't be used together with AllowedCPUs" in r.stderr


def test_scheduler_realtime(box):
    box.p["scheduler"] = {"policy": "SCHED_FIFO", "priority": 10}
    r = box.create("sleep", "60")
    if r.returncode != 0:  # v1: a cgroup without real-time bandwidth; rootless
        assert "error setting scheduler" in r.stderr and "operation not permitted" in r.stderr
        assert not (box.state_root / box.id).exists()
        return
    pid = box.state()["pid"]
    assert os.sched_getscheduler(pid) == os.SCHED_FIFO
    assert os.sched_getparam(pid).sched_priority == 10


@pytest.mark.parametrize(
    "value, words",
    [
        ({}, "'policy' is missing"),
        ({"policy": "SCHED_X"}, "invalid scheduler policy 'SCHED_X'"),
        ({"policy": "SCHED_ISO"}, "no SCHED_ISO"),
        ({"policy": "SCHED_BATCH", "flags": ["X"]}, "invalid scheduler flag 'X'"),
        ({"policy": "SCHED_BATCH", "priority": 3}, "scheduler.priority can only be specified"),
        ({"policy": "SCHED_DEADLINE", "deadline": 2000}, "sched_setattr: `SCHED_DEADLINE` requires `runtime`"),
    ],
)
def test_scheduler_refused(box, value, words):
    box.p["scheduler"] = value
    r = box.run("true")
    assert r.returncode != 0
    assert words in r.stderr
    assert not (box.state_root / box.id).exists()


# --- ioPriority ---
def test_io_priority(box):
    box.p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 4}
    box.start("sleep", "60")
    assert ionice(box.state()["pid"]) == "best-effort: prio 4"
    assert ionice(exec_sleep(box)) == "best-effort: prio 4"
    assert ionice(exec_process(box, "sleep", "60", ioPriority={"class": "IOPRIO_CLASS_IDLE"})) == "idle"
    assert ionice(exec_process(box, "sleep", "60", ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 0})) == "best-effort: prio 0"


def test_io_priority_realtime(box):
    box.p["ioPriority"] = {"class": "IOPRIO_CLASS_RT", "priority": 2}
    box.start("sleep", "60")
    assert ionice(box.state()["pid"]) == "realtime: prio 2"


@pytest.mark.parametrize("value", [{"class": "IOPRIO_CLASS_NONE"}, {"class": "IOPRIO_CLASS_BE", "priority": 8}, {"priority": 1}])
def test_io_priority_refused(box, value):
    box.p["ioPriority"] = value
    r = box.run("true")
    assert r.returncode != 0
    assert "/process/ioPriority" in r.stderr


# --- affinity ---
@two_cpus
def test_callers_affinity_is_not_the_containers(box):
    def pinned(*args):
        return subprocess.run(["taskset", "-c", str(CPUS[0]), *box.cmd(*args)], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    box.p["args"] = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status"]
    box.write()
    want = "Cpus_allowed_list:\t" + [x for x in open("/proc/self/status") if "Cpus_allowed_list" in x][0].split()[1]
    r = pinned("run", "--bundle", str(box.bundle), box.id)
    assert (r.returncode, r.stdout.strip()) == (0, want), r.stderr
    box.start("sleep", "60")
    r = pinned("exec", box.id, "grep", "Cpus_allowed_list", "/proc/self/status")
    assert (r.returncode, r.stdout.strip()) == (0, want), r.stderr


@two_cpus
def test_exec_affinity_from_process(box):
    first, second = CPUS[:2]
    box.start("sleep", "60")
    for cpus, want in ((str(second), [second]), (f"{first},{second}", [first, second]), (str(first), [first])):
        assert allowed(exec_process(box, "sleep", "60", execCPUAffinity={"initial": str(first), "final": cpus})) == want
        assert allowed(exec_process(box, "sleep", "60", execCPUAffinity={"final": cpus})) == want
    # without `final`, what the kernel makes of `initial` in the new cgroup is left alone
    p = process(box, "true", execCPUAffinity={"initial": f"{first}-{second}"})
    r = box.rt("exec", "--process", p, box.id, glob=("--debug",))
    assert r.returncode == 0, r.stderr
    assert f"nsexec: affinity: {(1 << first) | (1 << second):#x}" in r.stderr


@two_cpus
def test_exec_affinity_from_config(box):
    first, second = CPUS[:2]
    box.p["execCPUAffinity"] = {"initial": str(first), "final": str(second)}
    box.start("sleep", "60")
    assert allowed(box.state()["pid"]) == CPUS, "not for the container's init"
    assert allowed(exec_sleep(box)) == [second]
    assert allowed(exec_process(box, "sleep", "60")) == [second]
    assert allowed(exec_process(box, "sleep", "60", execCPUAffinity={"final": str(first)})) == [first]


@two_cpus
def test_initial_affinity_is_that_of_the_parent(box):
    """`initial` is on the runtime from before the clone to after it, and not later."""
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("strace is not installed")
    box.start("sleep", "60")
    log = box.dir / "strace"
    p = process(box, "true", execCPUAffinity={"initial": str(CPUS[1])})
    r = subprocess.run(["strace", "-o", str(log), "-e", "trace=sched_setaffinity,clone3", *box.cmd("exec", "--process", p, box.id)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    calls = [line for line in log.read_text().splitlines() if line.startswith(("sched_setaffinity", "clone3"))]
    names = [c.split("(")[0] for c in calls]
    assert names == ["sched_setaffinity", "clone3", "sched_setaffinity"], calls
    assert f"[{CPUS[1]}]" in calls[0] and f"[{' '.join(map(str, CPUS))}]" in calls[2]


@pytest.mark.parametrize("value", [{"initial": "x"}, {"final": "2-1"}, {"final": "65536"}])
def test_affinity_refused(box, value):
    box.p["execCPUAffinity"] = value
    r = box.run("true")
    assert r.returncode != 0
    assert "/process/execCPUAffinity" in r.stderr


def test_affinity_to_no_cpu(box):
    box.start("sleep", "60")
    r = box.rt("exec", "--process", process(box, "true", execCPUAffinity={"final": "60000"}), box.id)
    assert r.returncode != 0
    assert "run on the CPUs '60000'" in r.stderr


# --- memory policy ---
numa = pytest.mark.skipif(not os.path.exists("/proc/self/numa_maps"), reason="the kernel has no NUMA")
POLICY = ["sh", "-c", "head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2"]


@numa
@pytest.mark.parametrize(
    "value, shown",
    [
        ({"mode": "MPOL_DEFAULT"}, "default"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "prefer=relative:0"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer (many):0"),
    ],
)
def test_memory_policy(box, value, shown):
    box.c["linux"]["memoryPolicy"] = value
    r = box.sh("head -n 1 /proc/self/numa_maps")
    assert r.returncode == 0, r.stderr
    assert r.stdout.split(" ", 1)[1].startswith(shown)


@numa
def test_memory_policy_of_exec(box):
    box.c["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    box.start("sleep", "60")
    r = box.exec(*POLICY)
    assert (r.returncode, r.stdout.strip()) == (0, "bind=static:0"), r.stderr
    r = box.rt("exec", "--process", process(box, *POLICY), box.id)
    assert (r.returncode, r.stdout.strip()) == (0, "bind=static:0"), r.stderr


@numa
@pytest.mark.parametrize(
    "value, words",
    [
        ({}, "invalid memory policy mode"),
        ({"mode": "INTERLEAVE", "nodes": "0"}, "invalid memory policy mode"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["badflag"]}, "invalid memory policy flag"),
        ({"mode": "MPOL_DEFAULT", "nodes": "0-7"}, "mode requires 0 nodes but got 8"),
        ({"mode": "MPOL_INTERLEAVE"}, "requires at least one node"),
        ({"mode": "MPOL_BIND", "nodes": "0-9876543210"}, "invalid memory policy node"),
        ({"mode": "MPOL_PREFERRED", "nodes": "60000"}, "set_mempolicy"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}, "set_mempolicy"),
    ],
)
def test_memory_policy_refused(box, value, words):
    box.c["linux"]["memoryPolicy"] = value
    r = box.run("true")
    assert r.returncode != 0
    assert words in r.stderr
    assert not (box.state_root / box.id).exists()


# --- personality ---
x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86_64 only")


@x86
@pytest.mark.parametrize("domain, machine", [("LINUX32", "i686"), ("LINUX", "x86_64")])
def test_personality(box, domain, machine):
    box.c["linux"]["personality"] = {"domain": domain, "flags": []}
    box.start("sh", "-c", "uname -m > /tmp/m; sleep 60")
    for args in (["exec", box.id, "uname", "-m"], ["exec", "--process", process(box, "uname", "-m"), box.id]):
        r = box.rt(*args)
        assert (r.returncode, r.stdout.strip()) == (0, machine), r.stderr
    r = box.exec("cat", "/tmp/m")
    assert r.stdout.strip() == machine


@x86
def test_personality_of_the_caller_is_not_the_containers(box):
    box.c["linux"]["personality"] = {"domain": "LINUX"}
    box.p["args"] = ["uname", "-m"]
    box.write()
    r = subprocess.run(["linux32", *box.cmd("run", "--bundle", str(box.bundle), box.id)], capture_output=True, text=True)
    assert (r.returncode, r.stdout.strip()) == (0, "x86_64"), r.stderr


@x86
def test_personality_under_a_filter_that_forbids_it(box):
    box.c["linux"]["personality"] = {"domain": "LINUX32"}
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ERRNO"}]}
    box.start("sleep", "60")
    r = box.exec("uname", "-m")
    assert (r.returncode, r.stdout.strip()) == (0, "i686"), r.stderr


def test_personality_flags_are_refused(box):
    box.c["linux"]["personality"] = {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}
    r = box.run("true")
    assert r.returncode != 0
    assert "flag 'ADDR_NO_RANDOMIZE' is not supported" in r.stderr


# --- names and limits ---
@pytest.mark.parametrize("bad", [".", ".."])
def test_ids_that_are_no_names(box, bad):
    box.write()
    r = box.rt("run", "--bundle", str(box.bundle), bad)
    assert r.returncode != 0
    assert "invalid container id format" in r.stderr


def test_id_with_a_leading_dot(box):
    box.id = "." + box.id
    box.start("sleep", "60")
    r = box.rt("list", "-q")
    assert box.id in r.stdout.split()
    assert box.rt("delete", "--force", box.id).returncode == 0


def test_sysctl_of_the_user_namespace(box):
    box.c["linux"]["sysctl"] = {"user.max_net_namespaces": "7"}
    r = box.run("true")
    assert r.returncode != 0 and "is not allowed without a user namespace" in r.stderr
    box.userns()
    r = box.run("cat", "/proc/sys/user/max_net_namespaces")
    assert (r.returncode, r.stdout.strip()) == (0, "7"), r.stderr
    assert open("/proc/sys/user/max_net_namespaces").read().strip() != "7"


def test_duplicate_rlimit(box):
    box.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 100, "soft": 100}, {"type": "RLIMIT_NOFILE", "hard": 90, "soft": 90}]
    r = box.run("true")
    assert r.returncode != 0
    assert "RLIMIT_NOFILE is already set by entry 0" in r.stderr
