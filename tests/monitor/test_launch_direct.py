"""skiff-launch and the monitor that it becomes, driven as the engine drives them: trees and config.json made by hand, records over a socketpair."""
import glob
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time

import pytest

from monlib import (ATTACH, ERROR, EXEC, EXITED, F_KEEP, F_STDERR, F_STDIN, F_STDOUT, F_TTY, FAILED, HELLO, KILL, LAUNCH, M_RESIZE, OK, START,
                    STARTED, STATE, WAIT, Client, alive, exit_of, layout, log_text, read_all, read_until, record, recv, send, st, u32, wait_for)

BUSYBOX = shutil.which("busybox") or "/bin/busybox"
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers of the engine need root in this version"),
    pytest.mark.skipif(not os.access(LAUNCH, os.X_OK), reason=f"{LAUNCH} is not built"),
    pytest.mark.skipif(not os.access(BUSYBOX, os.X_OK), reason="busybox-static is not installed"),
]
APPLETS = "sh cat echo sleep true false ls id tty stty seq head tr kill ps dd mkdir touch rm mount stat wc env tail test printf".split()


def default_spec():
    """What `runc spec` writes, without a terminal."""
    caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    mounts = [
        ("/proc", "proc", "proc", []),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ]
    return {
        "v": 1, "min": 1, "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/", "noNewPrivileges": True,
                    "env": ["PATH=/bin", "TERM=xterm"],
                    "capabilities": {k: caps for k in ("bounding", "effective", "permitted")}},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "direct",
        "mounts": [{"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in mounts],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")],
                  "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "resources": {}},
    }


class Tree:
    def __init__(self, base):
        self.root, self.run = os.path.join(base, "lib"), os.path.join(base, "run")
        os.makedirs(os.path.join(self.root, "containers"))
        os.makedirs(os.path.join(self.run))
        self.busybox = self.layer("busybox")
        tree = self.tree(self.busybox)
        for d in ("bin", "proc", "dev", "sys", "tmp", "etc"):
            os.mkdir(os.path.join(tree, d))
        shutil.copy(BUSYBOX, os.path.join(tree, "bin", "busybox"))
        for a in APPLETS:
            os.symlink("busybox", os.path.join(tree, "bin", a))
        self.sessions = []

    def layer(self, name):
        hex_ = hashlib.sha256(name.encode()).hexdigest()
        os.makedirs(os.path.join(self.root, "layers", hex_, "tree"), exist_ok=True)
        return "sha256:" + hex_

    def tree(self, layer):
        return os.path.join(self.root, "layers", layer.split(":")[1], "tree")

    def container(self, args, layers=None, spec=None, **skiff):
        c = Container(self)
        s = default_spec()
        s["process"]["args"] = args
        s["linux"]["cgroupsPath"] = f"/skiff/c/{c.id}"
        if skiff.get("tty"):
            s["process"]["terminal"] = True
        if spec:
            spec(s)
        s["skiff"] = {"name": "n" + c.id[:8], "image": "docker.io/library/busybox:latest", "imageId": "", "manifest": "",
                      "created": "2026-11-23T02:17:15.000000001Z", "layers": layers or [self.busybox], "command": args, **skiff}
        with open(os.path.join(c.disk, "config.json"), "w") as f:
            json.dump(s, f)
        return c


class Session:
    """One run of skiff-launch: the engine's end of the socket."""

    def __init__(self, tree, verb, raw, fds=(), env=None, keep_fds=False):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        send(self.sock, raw, fds)
        low = os.dup(theirs.fileno())

        def place():
            os.dup2(low, 3)

        self.proc = subprocess.Popen([LAUNCH, verb], preexec_fn=place, pass_fds=[3, low], env={**os.environ, **(env or {})},
                                     stderr=subprocess.PIPE)
        os.close(low)
        theirs.close()
        if not keep_fds:
            for fd in fds:
                os.close(fd)
        tree.sessions.append(self)
        f = recv(self.sock, 60)
        assert f is not None, "launch died: " + self.proc.stderr.read().decode()
        self.error = None
        if f.type == FAILED:
            self.error = f.err()
            assert self.proc.wait(20) == 1
        else:
            assert f.type == STARTED
            self.pid, self.start = f.u32(), f.u64()

    def exited(self, timeout=30):
        f = recv(self.sock, timeout)
        assert f is not None and f.type == EXITED
        return exit_of(f)

    def join(self, timeout=30):
        return self.proc.wait(timeout)

    def stop(self):
        self.sock.close()
        self.proc.stderr.close()
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


class Container:
    def __init__(self, tree):
        self.t, self.id = tree, secrets.token_hex(32)
        self.disk = os.path.join(tree.root, "containers", self.id)
        self.run = os.path.join(tree.run, "containers", self.id)
        self.log = os.path.join(self.disk, "log", self.id + "-json.log")
        for d in ("rw", "work", "rootfs"):
            os.makedirs(os.path.join(self.disk, d))

    def start(self, flags=0, fds=(), reaper="", rows=0, cols=0, **kw):
        raw = record(START, u32(flags), st(self.id), st(self.t.root), st(self.t.run), u32(rows), u32(cols), st(reaper))
        return Session(self.t, "start", raw, fds, **kw)

    def exec(self, args, flags=0, fds=(), exec_id="", rows=0, cols=0, cwd="/", **kw):
        p = {"args": args, "cwd": cwd, "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "terminal": bool(flags & F_TTY)}
        raw = record(EXEC, u32(flags), st(self.id), st(self.t.root), st(self.t.run), st(exec_id), st(json.dumps(p)), u32(rows), u32(cols), u32(0))
        return Session(self.t, "exec", raw, fds, **kw)

    def fg(self, **kw):
        """Foreground: (session, stdout, stderr)."""
        ro, wo = os.pipe()
        re_, we = os.pipe()
        return self.start(F_STDOUT | F_STDERR | F_KEEP, [wo, we], **kw), ro, re_

    def client(self, exec_id=None):
        d = os.path.join(self.run, "exec", exec_id) if exec_id else self.run
        return Client(d, self.id)

    def exit_json(self):
        with open(os.path.join(self.disk, "exit.json")) as f:
            return json.load(f)

    def summary(self):
        return os.readlink(os.path.join(self.t.run, "summary", self.id)).split("|")

    def cgroups(self):
        return glob.glob(f"/sys/fs/cgroup/**/{self.id}", recursive=True)

    def events(self):
        with open(os.path.join(self.t.run, "events", "log.0")) as f:
            return [e["action"] for e in map(json.loads, f) if e["id"] == self.id]


def mounts(base):
    """Host mounts that have to do with our trees; others come and go on a busy machine."""
    with open("/proc/self/mountinfo") as f:
        return [line for line in f if base in line]


def remove_cgroups(cid):
    """Of containers whose monitor a test killed: the reap's work. EBUSY until the kernel has buried the last process."""
    for d in sorted(glob.glob(f"/sys/fs/cgroup/**/{cid}", recursive=True), key=len, reverse=True):
        try:
            os.rmdir(d)
        except OSError:
            return False
    return True


@pytest.fixture
def tree(tmp_path):
    t = Tree(str(tmp_path))
    yield t
    for s in t.sessions:
        s.stop()
    assert mounts(str(tmp_path)) == [], "a mount was left on the host"
    for cid in os.listdir(os.path.join(t.root, "containers")):
        wait_for(lambda: remove_cgroups(cid), what="the last process of a container to go")


def test_run_in_the_foreground(tree):
    c = tree.container(["sh", "-c", "echo out; echo err >&2; echo $$; exit 5"])
    s, out, err = c.fg()
    assert read_all(out) == b"out\n1\n" and read_all(err) == b"err\n"
    x = s.exited()
    assert (x["code"], x["signal"], x["oom"]) == (5, 0, 0)
    assert s.join() == 0
    assert log_text(c.log, "stdout") == "out\n1\n" and log_text(c.log, "stderr") == "err\n"
    assert c.exit_json()["exitCode"] == 5
    assert c.summary()[1:4] == ["n" + c.id[:8], "docker.io/library/busybox:latest", "exited"]
    assert c.events() == ["start", "die"]
    assert c.cgroups() == [] and not alive(s.pid)
    assert not os.path.exists(os.path.join(c.run, "ctl.sock")) and not os.path.exists(os.path.join(c.run, "monitor.log"))


def test_detached_with_reaper(tree, tmp_path):
    said = tmp_path / "reaped"
    reaper = tmp_path / "reaper.sh"
    reaper.write_text(f'#!/bin/sh\necho "$@" >{said}.new; mv {said}.new {said}\n')
    reaper.chmod(0o755)
    c = tree.container(["sh", "-c", "echo hello; exec sleep 100"])
    s = c.start(reaper=str(reaper))
    assert s.sock.recv(10) == b"", "without KEEP the socket is closed after STARTED"
    wait_for(lambda: os.path.exists(c.log) and log_text(c.log) == "hello\n", what="output in the log")
    summ = c.summary()
    assert summ[3] == "running" and int(summ[4]) == s.pid and int(summ[5]) == s.start and summ[11] == "sh -c echo hello; exec sleep 100"
    assert summ[7] == "1795400235000000001" and int(summ[8]) > 0
    assert s.proc.pid != s.pid
    exe = os.readlink(f"/proc/{s.proc.pid}/exe")
    assert os.path.basename(exe) == "skiff-monitor"
    mounted = {names for names, _, _ in layout()}
    for line in open(f"/proc/{s.proc.pid}/cgroup").read().split():
        _, names, path = line.split(":")
        assert names not in mounted or path == "/skiff/m", line
    assert os.getsid(s.proc.pid) == s.proc.pid
    cl = c.client()
    f = cl.ask(STATE)
    assert f.str() == "running" and f.u32() == s.pid
    w = c.client()
    w.send(WAIT)
    assert cl.ask(KILL, u32(15), u32(0)).type == OK, "sleep as pid 1 ignores TERM"
    assert cl.ask(KILL, u32(9), u32(0)).type == OK
    assert exit_of(recv(w.s))["code"] == 137
    s.join()
    assert c.cgroups() == [] and c.summary()[3] == "exited" and c.exit_json()["exitCode"] == 137
    wait_for(said.exists, what="the reaper")
    assert said.read_text().split()[-3:] == ["system", "reap", c.id]


def test_only_needed_descriptors_and_memory(tree):
    c = tree.container(["sleep", "100"])
    s = c.start()
    fds = {os.readlink(f"/proc/{s.proc.pid}/fd/{n}") for n in os.listdir(f"/proc/{s.proc.pid}/fd")}
    assert len(fds) <= 12, fds
    init = {os.readlink(f"/proc/{s.pid}/fd/{n}") for n in os.listdir(f"/proc/{s.pid}/fd")}
    assert len(init) == 3 and all(x == "/dev/null" or x.startswith("pipe:") for x in init), init
    assert open(f"/proc/{s.proc.pid}/environ").read() == ""


@pytest.mark.parametrize("args, kind", [(["/no/such"], "command-not-found"), (["nosuchcmd"], "command-not-found"),
                                        (["/etc"], "command-not-executable"), (["/etc/text"], "command-not-executable")])
def test_failing_start_leaves_nothing(tree, args, kind):
    top = tree.layer("top")
    os.makedirs(os.path.join(tree.tree(top), "etc"), exist_ok=True)
    with open(os.path.join(tree.tree(top), "etc", "text"), "w") as f:
        f.write("no program")
    c = tree.container(args, layers=[tree.busybox, top])
    ro, wo = os.pipe()
    s = c.start(F_STDOUT | F_KEEP, [wo])
    assert s.error and s.error[0] == kind, s.error
    assert args[0] in s.error[2]
    assert read_all(ro) == b""
    assert c.cgroups() == [] and not os.path.exists(c.run)
    assert not os.path.exists(os.path.join(tree.run, "summary", c.id))
    assert not os.path.exists(os.path.join(c.disk, "exit.json"))


def test_failures_name_their_cause(tree):
    c = tree.container(["true"], layers=["sha256:" + "1" * 64])
    kind, _, msg = c.start().error
    assert kind == "not-found" and "1" * 64 in msg
    c = tree.container(["true"], layers=["sha256:../../x"])
    assert c.start().error[0] == "invalid"
    c = tree.container(["true"], logDriver="fluentd")
    kind, _, msg = c.start().error
    assert kind == "unsupported" and "fluentd" in msg
    c = tree.container(["true"])
    with open(os.path.join(c.disk, "config.json"), "w") as f:
        f.write('{"ociVersion":"1.0.2","skiff":')
    kind, _, msg = c.start().error
    assert kind == "corrupt" and "config.json" in msg
    c = tree.container(["true"])
    os.unlink(os.path.join(c.disk, "config.json"))
    assert c.start().error[0] == "not-found"
    c.id = "f" * 64
    assert c.start().error[0] == "not-found"
    c.id = "../../etc"
    assert c.start().error[0] == "invalid"
    raw = record(START, u32(1), st("0" * 64), st(tree.root), st(tree.run), u32(0), u32(0), st(""))
    assert Session(tree, "start", raw).error[0] == "invalid", "a stream without its descriptor"
    assert Session(tree, "start", record(START, u32(0))).error[0] == "corrupt"
    assert Session(tree, "start", record(77)).error[0] == "unsupported"
    assert Session(tree, "exec", record(START, u32(0), st("0" * 64), st(tree.root), st(tree.run), u32(0), u32(0), st(""))).error[0] == "invalid"


def test_monitor_program_missing(tree, tmp_path):
    c = tree.container(["true"])
    assert c.start(env={"SKIFF_LIBEXEC": str(tmp_path)}).error[0] == "not-found"
    broken = tmp_path / "skiff-monitor"
    broken.write_bytes(b"\x7fELF no program")
    broken.chmod(0o755)
    err = c.start(env={"SKIFF_LIBEXEC": str(tmp_path)}).error
    assert "skiff-monitor" in err[2]
    assert c.cgroups() == [] and not os.path.exists(c.run)
    assert not os.path.exists(os.path.join(tree.run, "summary", c.id)), "the summary must not claim a running container"
    s, out, _ = c.fg()
    assert read_all(out) == b"" and s.exited()["code"] == 0


def test_same_id_twice(tree):
    c = tree.container(["sleep", "100"])
    s = c.start()
    err = c.start().error
    assert err[0] == "conflict", err
    assert alive(s.pid) and c.client().ask(HELLO).type == HELLO, "the running container is not disturbed"


def test_stdin(tree):
    c = tree.container(["cat"], openStdin=True, stdinOnce=True)
    ri, wi = os.pipe()
    ro, wo = os.pipe()
    s = c.start(F_STDIN | F_STDOUT | F_KEEP, [ri, wo])
    os.write(wi, b"through\n")
    os.close(wi)
    assert read_all(ro) == b"through\n"
    assert s.exited()["code"] == 0


def test_without_open_stdin_it_is_dev_null(tree):
    c = tree.container(["sh", "-c", "cat; echo end"])
    s, out, _ = c.fg()
    assert read_all(out) == b"end\n"
    assert s.exited()["code"] == 0


def test_terminal(tree):
    c = tree.container(["sh", "-c", "tty; stty size; read x; stty size; exit 3"], tty=True, openStdin=True)
    ri, wi = os.pipe()
    ro, wo = os.pipe()
    s = c.start(F_STDIN | F_STDOUT | F_KEEP, [ri, wo], rows=31, cols=77)
    read_until(ro, b"31 77\r\n")
    assert c.client().ask(M_RESIZE, u32(40), u32(100)).type == OK
    os.write(wi, b"\n")
    read_until(ro, b"40 100\r\n")
    assert s.exited()["code"] == 3
    assert log_text(c.log).startswith("/dev/pts/0\r\n31 77\r\n")


def test_attach_later(tree):
    c = tree.container(["sh", "-c", "while read x; do echo got $x; done; echo bye"], openStdin=True)
    s = c.start()
    cl = c.client()
    ri, wi = os.pipe()
    ro, wo = os.pipe()
    ro2, wo2 = os.pipe()
    assert cl.ask(ATTACH, u32(F_STDIN | F_STDOUT), fds=[ri, wo]).type == OK
    assert cl.ask(ATTACH, u32(F_STDOUT), fds=[wo2]).type == OK
    os.close(ri), os.close(wo), os.close(wo2)
    os.write(wi, b"one\n")
    assert read_until(ro, b"got one\n") and read_until(ro2, b"got one\n")
    os.close(ro2)
    os.write(wi, b"two\n")
    read_until(ro, b"got two\n")
    assert alive(s.pid)


def test_engine_dies_container_lives(tree, tmp_path):
    c = tree.container(["sh", "-c", "while :; do echo tick; sleep 0.05; done"])
    s, out, _ = c.fg()
    read_until(out, b"tick")
    s.sock.close()
    os.close(out)
    wait_for(lambda: log_text(c.log).count("tick") > 10, what="more ticks")
    assert c.client().ask(KILL, u32(9), u32(0)).type == OK
    s.join()
    assert c.exit_json()["exitCode"] == 137 and c.cgroups() == []


def test_monitor_dies_container_dies(tree):
    c = tree.container(["sleep", "100"])
    s = c.start(F_KEEP)
    s.proc.kill()
    s.proc.wait()
    wait_for(lambda: not alive(s.pid), what="init to die with its monitor")
    assert s.sock.recv(10) == b"", "a closed socket without EXITED"
    assert not os.path.exists(os.path.join(c.disk, "exit.json"))


def test_launch_killed_early_leaves_no_mount_or_process(tree):
    for delay in (0, 2, 5, 10, 20):
        c = tree.container(["sleep", "100"])
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        low = os.dup(theirs.fileno())
        p = subprocess.Popen([LAUNCH, "start"], preexec_fn=lambda: os.dup2(low, 3), pass_fds=[3, low], stderr=subprocess.DEVNULL)
        os.close(low), theirs.close()
        send(ours, record(START, u32(0), st(c.id), st(tree.root), st(tree.run), u32(0), u32(0), st("")))
        time.sleep(delay / 1000)
        p.kill()
        p.wait()
        ours.close()

        def left():
            return [pid for d in c.cgroups() for pid in open(d + "/cgroup.procs").read().split() if alive(int(pid))]

        wait_for(lambda: not left(), what="processes to go")


def test_oom_is_recorded(tree):
    def limit(s):
        s["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}

    c = tree.container(["sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"], spec=limit)
    s, _, _ = c.fg()
    x = s.exited(60)
    assert x["oom"] == 1 and x["code"] != 0
    assert c.exit_json()["oomKilled"] is True
    assert c.events() == ["start", "oom", "die"]


def test_children_of_host_pid_namespace_are_killed(tree):
    def host_pid(s):
        s["linux"]["namespaces"] = [n for n in s["linux"]["namespaces"] if n["type"] != "pid"]

    c = tree.container(["sh", "-c", "sleep 1000 & sleep 1000 & echo $!; exit 2"], spec=host_pid)
    s, out, _ = c.fg()
    pid = int(read_all(out))
    assert s.exited()["code"] == 2
    wait_for(lambda: not alive(pid), what="the left-over child to die")
    assert c.cgroups() == []


def test_exec(tree):
    c = tree.container(["sleep", "100"])
    s = c.start()
    ro, wo = os.pipe()
    re_, we = os.pipe()
    x = c.exec(["sh", "-c", "echo in; echo err >&2; cat /proc/1/comm; exit 9"], F_STDOUT | F_STDERR | F_KEEP, [wo, we])
    assert read_all(ro) == b"in\nsleep\n" and read_all(re_) == b"err\n"
    assert x.exited()["code"] == 9
    assert x.join() == 0
    ri, wi = os.pipe()
    ro, wo = os.pipe()
    x = c.exec(["cat"], F_STDIN | F_STDOUT | F_KEEP, [ri, wo])
    os.write(wi, b"piped")
    os.close(wi)
    assert read_all(ro) == b"piped"
    assert x.exited()["code"] == 0
    assert c.exec(["/no/such"]).error[0] == "command-not-found"
    assert alive(s.pid) and log_text(c.log) == ""


def test_exec_terminal(tree):
    c = tree.container(["sleep", "100"])
    c.start()
    ro, wo = os.pipe()
    x = c.exec(["sh", "-c", "tty && stty size"], F_STDOUT | F_KEEP | F_TTY, [wo], rows=20, cols=60)
    assert read_all(ro).replace(b"\r\n", b"\n").split(b"\n")[1] == b"20 60"
    assert x.exited()["code"] == 0


def test_exec_session_with_id(tree):
    c = tree.container(["sleep", "100"])
    c.start()
    eid = secrets.token_hex(32)
    x = c.exec(["sleep", "50"], exec_id=eid)
    cl = c.client(eid)
    f = cl.ask(STATE)
    assert f.str() == "running" and f.u32() == x.pid
    assert cl.ask(KILL, u32(9), u32(1)).type == OK
    x.join()
    assert not os.path.exists(os.path.join(c.run, "exec", eid))
    assert c.events()[-1] == "exec_die"
    assert not os.path.exists(os.path.join(c.disk, "exit.json"))


def test_exec_in_a_stopped_container(tree):
    c = tree.container(["true"])
    s, _, _ = c.fg()
    s.exited()
    s.join()
    err = c.exec(["true"], exec_id=secrets.token_hex(32)).error
    assert err[0] == "conflict", err
    assert os.listdir(os.path.join(c.run, "exec")) == [] if os.path.isdir(os.path.join(c.run, "exec")) else True
    c.id = "e" * 64
    os.makedirs(os.path.join(tree.root, "containers", c.id))
    assert c.exec(["true"]).error[0] in ("not-found", "conflict")


def test_exec_ends_with_the_container(tree):
    c = tree.container(["sleep", "100"])
    s = c.start()
    x = c.exec(["sleep", "100"], F_KEEP)
    assert c.client().ask(KILL, u32(9), u32(0)).type == OK
    assert x.exited()["code"] == 137
    s.join()
    assert c.cgroups() == []


@pytest.mark.parametrize("way", ["", "fd", "path", "symlink"])
@pytest.mark.parametrize("n", [1, 2, 200])
def test_overlay(tree, way, n):
    layers = [tree.busybox]
    for i in range(1, n):
        name = tree.layer(f"l{i}")
        layers.append(name)
        os.makedirs(os.path.join(tree.tree(name), "l"), exist_ok=True)
        for f, text in ((f"l/{i}", str(i)), ("top", str(i))):
            with open(os.path.join(tree.tree(name), f), "w") as o:
                o.write(text + "\n")
    want = f"{n - 1} files, top is {n - 1}\n" if n > 1 else "0 files, top is none\n"
    script = 'echo $(ls /l 2>/dev/null | wc -l) files, top is $(cat /top 2>/dev/null || echo none); echo w >/written; mkdir /d; rm -f /top; stat -c %a /'
    c = tree.container(["sh", "-c", script], layers=layers)
    s, out, err = c.fg(env={"SKIFF_OVERLAY": way})
    if s.error and way in ("fd", "path") and s.error[0] in ("invalid", "unsupported"):
        pytest.skip(f"this kernel does not know the way '{way}': {s.error[2]}")
    assert s.error is None, s.error
    got, bad = read_all(out).decode(), read_all(err)
    assert (got.split("\n")[0] + "\n", bad) == (want, b"")
    assert s.exited()["code"] == 0
    rw = os.path.join(c.disk, "rw")
    assert open(os.path.join(rw, "written")).read() == "w\n" and os.path.isdir(os.path.join(rw, "d"))
    assert not os.path.exists(os.path.join(tree.tree(tree.busybox), "written"))
    if n > 1:
        st_ = os.lstat(os.path.join(rw, "top"))
        assert st_.st_rdev == 0 and (st_.st_mode & 0o170000) == 0o020000, "a whiteout in the upper directory"


def test_overlay_switch_is_checked(tree):
    c = tree.container(["true"])
    err = c.start(env={"SKIFF_OVERLAY": "magic"}).error
    assert err[0] == "invalid" and "SKIFF_OVERLAY" in err[2]


def test_read_only_root(tree):
    def ro(s):
        s["root"]["readonly"] = True

    c = tree.container(["sh", "-c", "touch /x && echo writable; exit 0"], spec=ro, readonly=True)
    s, out, err = c.fg()
    assert read_all(out) == b"" and b"Read-only" in read_all(err)
    assert s.exited()["code"] == 0


def test_removed_at_exit_is_volatile_and_starts_again(tree):
    c = tree.container(["sh", "-c", "echo x >/f; while read a b c d; do [ $b = / ] && echo $d; done </proc/mounts; true"], remove=True)
    for _ in range(2):
        s, out, _ = c.fg()
        assert "volatile" in read_all(out).decode()
        assert s.exited()["code"] == 0
        s.join()
        shutil.rmtree(c.run)  # the reap's work


def test_restart_appends_to_the_log(tree):
    c = tree.container(["echo", "again"])
    for i in (1, 2):
        s, out, _ = c.fg()
        assert read_all(out) == b"again\n"
        s.exited(), s.join()
        shutil.rmtree(c.run)
        assert log_text(c.log) == "again\n" * i
    assert c.events() == ["start", "die"] * 2


def test_fifty_at_once(tree):
    cs = [tree.container(["sh", "-c", f"echo {i}; exit {i}"]) for i in range(50)]
    running = [c.fg() for c in cs]
    for i, (s, out, _) in enumerate(running):
        assert read_all(out) == f"{i}\n".encode()
        assert s.exited()["code"] == i
    for c, (s, out, err) in zip(cs, running):
        s.join()
        os.close(out), os.close(err)
        assert c.cgroups() == []
