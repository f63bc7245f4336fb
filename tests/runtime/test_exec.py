"""exec: a second process in a running container."""
import json
import os
import subprocess
import time

import pytest

from conftest import IS_SKIFF


@pytest.fixture
def running(box):
    box.p["env"] = ["PATH=/bin", "FROM=config"]
    return box.start("sleep", "100")


@pytest.mark.smoke
def test_output_and_exit_code(running):
    r = running.exec("sh", "-c", "echo out; echo err >&2; exit 5")
    assert (r.returncode, r.stdout, r.stderr) == (5, "out\n", "err\n")


def test_joins_all_namespaces_and_the_cgroup(running):
    pid = running.state()["pid"]
    names = ["ipc", "mnt", "net", "pid", "uts"]
    r = running.exec("sh", "-c", "for n in ipc mnt net pid uts; do readlink /proc/self/ns/$n; done; hostname")
    assert r.stdout.split()[:5] == [os.readlink(f"/proc/{pid}/ns/{n}") for n in names]
    host_view = open(f"/proc/{pid}/cgroup").read()
    p = subprocess.Popen(running.cmd("exec", running.id, "sleep", "98764"), stdin=subprocess.DEVNULL)
    others = []
    running.wait_until(lambda: others.extend(q for q in os.listdir("/proc") if q.isdigit() and cmdline(q) == "sleep\x0098764\x00") or others)
    assert open(f"/proc/{others[0]}/cgroup").read() == host_view
    p.kill()
    p.wait()


def cmdline(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read()
    except OSError:
        return ""


def test_options(running):
    r = running.exec("sh", "-c", "id -u; id -g; pwd; echo $A $FROM; grep Groups /proc/self/status",
                     opts=["--user", "1000:1001", "--cwd", "/tmp", "--env", "A=b", "-e", "FROM=exec"])
    assert r.stdout.split() == ["1000", "1001", "/tmp", "b", "exec", "Groups:"]


@pytest.mark.skiff_only
def test_additional_gids(running):
    assert running.exec("grep", "Groups", "/proc/self/status", opts=["-g", "5", "-g", "6,7"]).stdout.split() == ["Groups:", "5", "6", "7"]


def test_defaults_come_from_the_container(running):
    r = running.exec("sh", "-c", "echo $FROM; grep -E 'Cap(Eff|Inh)|NoNew' /proc/self/status")
    lines = r.stdout.split()
    assert lines[0] == "config"
    init = open(f"/proc/{running.state()['pid']}/status").read().split("\n")
    for key in ("CapEff", "CapInh", "NoNewPrivs"):
        want = [x.split()[1] for x in init if x.startswith(key)][0]
        assert lines[lines.index(key + ":") + 1] == want


def test_cap_and_no_new_privs(box):
    box.p["noNewPrivileges"] = False
    box.start("sleep", "100")
    r = box.exec("grep", "-E", "CapEff|NoNew", "/proc/self/status", opts=["--cap", "CAP_SYS_PTRACE", "--no-new-privs"])
    got = r.stdout.split()
    assert int(got[1], 16) & (1 << 19) and got[3] == "1"


def test_process_document(running):
    doc = {"args": ["sh", "-c", "pwd; echo $X; id -u"], "cwd": "/tmp", "env": ["PATH=/bin", "X=y"], "user": {"uid": 7, "gid": 8}}
    f = running.dir / "process.json"
    f.write_text(json.dumps(doc))
    r = running.rt("exec", "--process", str(f), running.id)
    assert r.stdout.split() == ["/tmp", "y", "7"], r.stderr
    f.write_text("{ nonsense")
    assert running.rt("exec", "--process", str(f), running.id).returncode != 0


def test_detach_and_pid_file(running):
    pid_file = running.dir / "exec.pid"
    r = running.exec("sleep", "50", opts=["-d", "--pid-file", str(pid_file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    assert cmdline(pid_file.read_text()) == "sleep\x0050\x00"


def test_failures(running):
    for args, word in ((["nosuch"], "executable file not found in $PATH"), (["/etc/passwd"], "permission denied"),
                       (["/no/such"], "no such file or directory")):
        r = running.exec(*args)
        assert r.returncode != 0 and word in r.stderr
    assert running.exec("true", opts=["--cwd", "/no/such"]).returncode != 0
    assert running.state()["status"] == "running"


@pytest.mark.skiff_only
def test_exit_status_of_a_failed_exec_is_255(running):
    assert running.exec("nosuch").returncode == 255


def test_stopped_container(box):
    box.start("true")
    box.wait_stopped()
    assert box.exec("true").returncode != 0


def test_created_container(box):
    assert box.create("sh", "-c", "sleep 100").returncode == 0
    r = box.exec("cat", "/proc/1/status")
    assert r.returncode == 0 and "NSpid" in r.stdout, r.stderr
    assert box.state()["status"] == "created"
    assert box.rt("start", box.id).returncode == 0
    assert box.exec("true").returncode == 0


@pytest.mark.skiff_only
@pytest.mark.parametrize("userns", [False, True])
def test_init_of_a_created_container_is_out_of_reach(box, userns):
    """init is still the runtime's program: nobody inside may look into it."""
    if userns:
        box.userns()
    assert box.create("sleep", "100").returncode == 0
    r = box.exec("sh", "-c", "id -u; for f in exe cwd root $(cd /proc/1 && ls -d fd/*); do readlink /proc/1/$f; : </proc/1/$f && echo opened $f; done;"
                 " cat /proc/1/environ /proc/1/maps")
    assert r.stdout == "0\n", r.stdout
    assert box.rt("start", box.id).returncode == 0
    assert box.exec("readlink", "/proc/1/exe").stdout == "/bin/busybox\n"


@pytest.mark.smoke
def test_seccomp_applies_to_exec(box):
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
    box.start("sleep", "100")
    r = box.exec("sh", "-c", "grep Seccomp: /proc/self/status; mkdir /tmp/x || echo refused")
    assert r.stdout.split() == ["Seccomp:", "2", "refused"]


@pytest.mark.smoke
def test_exec_in_user_namespace(box):
    box.userns()
    box.start("sleep", "100")
    r = box.exec("sh", "-c", "id -u; cat /proc/self/uid_map; touch /tmp/x; stat -c %u /tmp/x")
    assert r.stdout.split() == ["0", "0", "100000", "65536", "0"], r.stderr
    assert (box.rootfs / "tmp" / "x").stat().st_uid == 100000
    assert box.exec("id", "-u", opts=["--user", "1000"]).stdout == "1000\n"


def test_unknown_capability_is_left_out(box):
    box.p["capabilities"] = {}
    box.start("sleep", "100")
    r = box.exec("grep", "Cap", "/proc/self/status", opts=["--cap", "CAP_NO_SUCH"])
    assert r.returncode == 0, r.stderr
    assert all(line.split()[1].strip("0") == "" for line in r.stdout.splitlines()), r.stdout
    assert not IS_SKIFF or "unknown capability 'CAP_NO_SUCH', ignoring" in r.stderr
    r = box.exec("grep", "CapEff", "/proc/self/status", opts=["--cap", "CAP_KILL"])
    assert r.stdout.split() == ["CapEff:", "0000000000000020"]
