"""Behaviour that only the suites of runc and crun showed: each test passes on at least one of them, or says why not."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import IS_SKIFF, RUNTIME
from test_process import caps
from test_terminal import read_until, spawn_on_tty

IS_RUNC, IS_CRUN = (Path(RUNTIME).name == n for n in ("runc", "crun"))
only_runc = pytest.mark.skipif(IS_CRUN, reason="runc's way")
only_crun = pytest.mark.skipif(IS_RUNC, reason="crun's way")


def status(box, text):
    return dict(re.findall(r"(Cap\w+):\s+(\w+)", text))


@only_runc
@pytest.mark.parametrize("verb", ["run", pytest.param("exec", marks=pytest.mark.skiff_only)])  # exec: runc since 1.2
def test_foreground_terminal_passes_lf_on(box, verb):
    """The caller's own terminal adds CR; a caller that captures the output gets the lines as they were written."""
    argv = ["sh", "-c", "echo 1; echo 2"]
    if verb == "exec":
        box.start("sleep", "100")
        args = box.cmd("exec", "-t", box.id, *argv)
    else:
        box.p["terminal"], box.p["args"] = True, argv
        box.write()
        args = box.cmd("run", "-b", str(box.bundle), box.id)
    m, s = os.openpty()
    p = subprocess.run(args, stdin=s, stdout=subprocess.PIPE, timeout=60)
    os.close(m), os.close(s)
    assert p.stdout == b"1\n2\n"


@only_runc
def test_the_callers_own_terminal_still_adds_cr(box):
    box.p["terminal"], box.p["args"] = True, ["sh", "-c", "echo 1; echo 2"]
    box.write()
    p, m = spawn_on_tty(box.cmd("run", "-b", str(box.bundle), box.id))
    assert b"1\r\n2\r\n" in read_until(m, b"2\r\n")
    assert p.wait(10) == 0
    os.close(m)


@pytest.mark.skiff_only  # runc since 1.3
def test_environment_has_each_name_once(box):
    box.p["env"] = ["PATH=/bin", "A=1", "HOME=/x", "AB=0", "A=2", "HOME="]
    r = box.run("env")
    assert r.stdout == "PATH=/bin\nAB=0\nA=2\nHOME=/root\n"


@only_runc  # crun's waiting init ignores signals, as the first process of its namespace
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_a_created_container(box, sig):
    assert box.create("sleep", "100").returncode == 0
    os.kill(box.state()["pid"], sig)
    box.wait_stopped()


def test_after_the_start_signals_are_the_containers(box):
    box.start("sh", "-c", "while :; do sleep 0.1; done")
    os.kill(box.state()["pid"], signal.SIGTERM)
    time.sleep(0.3)
    assert box.state()["status"] == "running"


@only_runc
def test_created_container_has_no_unknown_descriptors(box):
    assert box.create("sleep", "100").returncode == 0
    d = Path(f"/proc/{box.state()['pid']}/fd")
    ok = r"/dev/null|anon_inode:\[.+\]|/(proc)?|socket:\[\d+\]|pipe:\[\d+\]|.*/exec\.fifo|.*/create\.err|/memfd:runc_cloned.*"
    for n in os.listdir(d):
        assert re.fullmatch(ok, os.readlink(d / n)), n


def test_missing_cwd_in_a_read_only_root(box):
    box.own_rootfs()
    box.c["root"]["readonly"] = True
    box.p["cwd"] = "/not/there"
    r = box.sh("pwd; touch x")
    assert r.stdout == "/not/there\n" and "ead-only" in r.stderr, r.stderr


@pytest.mark.skiff_only  # runc since 1.3
def test_ambient_capability_that_cannot_be_raised(box):
    have = ["CAP_KILL", "CAP_CHOWN"]
    box.p["capabilities"] = caps(bounding=have, permitted=have, effective=have, inheritable=["CAP_KILL"], ambient=have)
    r = box.sh("grep Cap /proc/self/status")
    assert "can't raise ambient capability CAP_CHOWN: " in r.stderr
    assert status(box, r.stdout)["CapAmb"] == f"{1 << 5:016x}"


def test_program_that_only_a_capability_may_execute(box):
    root = box.own_rootfs()
    (root / "secret").mkdir(mode=0o700)
    os.rename(root / "bin" / "busybox", root / "secret" / "echo")
    have = ["CAP_DAC_OVERRIDE"]
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["capabilities"] = caps(bounding=have, permitted=have, effective=have, inheritable=have, ambient=have)
    r = box.run("/secret/echo", "hello")
    assert r.stdout == "hello\n", r.stderr
    box.p["capabilities"] = caps(bounding=have, permitted=have, inheritable=have)
    r = box.run("/secret/echo", "hello")
    assert r.returncode != 0 and "ermission denied" in r.stderr


@only_crun
def test_user_namespace_without_mappings(box):
    box.c["linux"]["namespaces"].append({"type": "user"})
    box.c["mounts"] = [m for m in box.c["mounts"] if m["type"] in ("proc", "tmpfs")]
    r = box.sh("cat /proc/self/uid_map /proc/self/gid_map")
    assert r.returncode == 0, r.stderr
    for line in (lines := r.stdout.splitlines())[0], lines[-1 if len(lines) == 2 else 2]:
        assert line.split() == ["0", "0", "1"]


@pytest.mark.skiff_only  # crun takes one list of two
def test_half_of_the_mappings_is_refused(box):
    box.c["linux"]["namespaces"].append({"type": "user"})
    box.c["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    r = box.run("true")
    assert r.returncode != 0 and "no gid mappings are given" in r.stderr


@only_crun
def test_domainname_and_its_sysctl(box):
    box.c["domainname"] = "one"
    box.c["linux"]["sysctl"] = {"kernel.domainname": "two"}
    r = box.run("true")
    assert r.returncode != 0 and "domainname" in r.stderr
    box.c["linux"]["sysctl"] = {"kernel.domainname": "one"}
    r = box.run("cat", "/proc/sys/kernel/domainname")
    assert r.stdout == "one\n", r.stderr


@only_crun
def test_preserved_descriptors_with_gaps(box):
    box.p["args"] = ["sh", "-c", "cat <&5; ls /proc/self/fd"]
    box.write()
    shell = 'exec "$@" 5</etc/hostname 3<&- 4<&-'
    r = subprocess.run(["sh", "-c", shell, "sh", *box.cmd("run", "--preserve-fds", "50", "-b", str(box.bundle), box.id)], capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == 0 and r.stdout.startswith(open("/etc/hostname").read()), r.stderr
    if IS_SKIFF:
        assert "are not open" in r.stderr


@pytest.mark.skiff_only  # crun since 1.9
def test_listen_fds_without_listen_pid(box):
    box.p["args"] = ["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID"]
    box.write()
    env = {k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")}
    r = subprocess.run(["sh", "-c", 'exec "$@" 3</dev/null', "sh", *box.cmd("run", "-b", str(box.bundle), box.id)], capture_output=True, text=True,
                       timeout=60, env={**env, "LISTEN_FDS": "1"})
    assert r.stdout == "1 1\n", r.stderr


@pytest.mark.skiff_only
def test_listen_fds_of_somebody_else(box):
    box.p["args"] = ["sh", "-c", "echo =$LISTEN_FDS="]
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id, env={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert r.stdout == "==\n", r.stderr


def listener(box):
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(box.dir / "agent"), "listenerMetadata": "m"}


@only_crun
def test_listener_path_without_a_rule_that_notifies(box):
    listener(box)
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(box.dir / "agent"))
    s.listen()
    s.settimeout(30)
    got = []

    def agent():
        c, _ = s.accept()
        got.append(socket.recv_fds(c, 65536, 4))
        c.close()

    t = threading.Thread(target=agent, daemon=True)
    t.start()
    r = box.run("true")
    t.join(30)
    s.close()
    assert r.returncode == 0, r.stderr
    assert b'"metadata": "m"'.replace(b" ", b"") in got[0][0].replace(b" ", b"") and len(got[0][1]) == 1
    os.close(got[0][1][0])


@only_runc
def test_listener_path_where_nobody_listens(box):
    listener(box)
    r = box.run("true")
    assert r.returncode == 0, r.stderr


@pytest.mark.skiff_only  # runc since 1.2
@pytest.mark.parametrize("flags,number", [(None, 4), ([], 0), (["SECCOMP_FILTER_FLAG_LOG"], 2), (["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], 0)])
def test_flags_of_the_filter(box, flags, number):
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
    if flags is not None:
        box.c["linux"]["seccomp"]["flags"] = flags
    box.p["args"] = ["true"]
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id, glob=["--debug"])
    assert r.returncode == 0 and f'seccomp filter flags: {number}"' in r.stderr, r.stderr


@pytest.mark.skiff_only  # crun since 1.9
def test_real_time_io_priority_in_a_user_namespace(box):
    box.userns()
    box.p["ioPriority"] = {"class": "IOPRIO_CLASS_RT", "priority": 3}
    box.p["capabilities"] = caps()
    r = box.run("ionice", "-p", "1")
    assert r.stdout.split() == ["realtime:", "prio", "3"], r.stdout + r.stderr


@only_crun  # runc: /run/notify/notify.sock
def test_notify_socket_is_where_the_hosts_is(box):
    box.own_rootfs()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(box.dir / "the-socket")
    s.bind(path)
    r = box.sh("echo $NOTIFY_SOCKET; ls -d $NOTIFY_SOCKET", env={**os.environ, "NOTIFY_SOCKET": path})
    s.close()
    assert r.stdout.split() == [path + "/notify"] * 2, r.stderr


@pytest.mark.skiff_only
def test_abstract_notify_socket(box):
    box.own_rootfs()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("\0" + box.id)
    r = box.sh("ls $NOTIFY_SOCKET", env={**os.environ, "NOTIFY_SOCKET": "@" + box.id})
    s.close()
    assert r.stdout == "/run/notify/notify\n", r.stderr


@only_runc
def test_spelling_of_page_size(box):
    """Go's decoder does not look at case."""
    box.c["linux"]["resources"]["hugepageLimits"] = [{"pagesize": "7KB", "limit": 0}]
    r = box.run("true")
    assert r.returncode != 0
    if IS_SKIFF:
        assert "7KB" in r.stderr


@pytest.mark.skiff_only
def test_invalid_id_in_the_words_of_both(box):
    box.id, good = "this/is/invalid", box.id
    r = box.run("true")
    box.id = good
    assert "invalid container id format" in r.stderr and "invalid character `/` in the ID" in r.stderr


def test_interpreter_that_is_missing(box):
    root = box.own_rootfs()
    (root / "run.sh").write_text("#!/no/such foo\n")
    (root / "run.sh").chmod(0o755)
    r = box.run("/run.sh")
    assert r.returncode != 0 and "o such file or directory" in r.stderr
    if not IS_CRUN:
        assert "exec /run.sh: no such file or directory" in r.stderr


@pytest.mark.skiff_only
def test_state_has_cruns_name_too(box):
    """Tools of crun read <root>/<id>/status."""
    box.start("sleep", "100")
    doc = json.loads((box.state_root / box.id / "status").read_text())
    assert doc["id"] == box.id and len(json.loads(doc["external_descriptors"])) == 3
