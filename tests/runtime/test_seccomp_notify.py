"""SCMP_ACT_NOTIFY: the listener reaches the agent's socket with the container process state, for create, run and exec, and nothing deadlocks
whatever the agent is asked for (config-linux.md "Seccomp", "The Container Process State")."""
import array
import base64
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading

import pytest
from conftest import IS_SKIFF

RECV, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
CONTINUE = 1
NR = {"read": 0, "open": 2, "close": 3, "execve": 59, "mkdir": 83, "openat": 257, "mkdirat": 258}

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")


class Agent:
    """Takes listeners on a socket and answers: an errno for the calls in `refuse`, else "go on"."""

    def __init__(self, path, refuse=()):
        self.docs, self.calls, self.refuse = [], [], {NR[n]: e for n, e in dict(refuse).items()}
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen()
        self.stop_r, self.stop_w = os.pipe()
        self.listeners = []
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def accept(self):
        conn, _ = self.sock.accept()
        conn.settimeout(10)
        data, fds = b"", array.array("i")
        while True:
            chunk, anc, _, _ = conn.recvmsg(65536, socket.CMSG_SPACE(16))
            for level, kind, payload in anc:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    assert data == b""  # only with the first message
                    fds.frombytes(payload)
            data += chunk
            try:
                doc = json.loads(data)
                break
            except ValueError:
                assert chunk, "the connection was closed too early"
        if IS_SKIFF:  # runc keeps the connection until it ends itself
            assert conn.recv(1) == b""
        conn.close()
        assert doc["fds"] == ["seccompFd"] and len(fds) == 1
        self.docs.append(doc)
        self.listeners.append(fds[0])

    def answer(self, fd):
        buf = bytearray(80)
        try:
            fcntl.ioctl(fd, RECV, buf)
        except OSError:
            return
        ident, pid, flags, nr = struct.unpack_from("=QIIi", buf)
        self.calls.append(nr)
        err = self.refuse.get(nr, 0)
        try:
            fcntl.ioctl(fd, SEND, struct.pack("=QqiI", ident, 0, -err, 0 if err else CONTINUE))
        except OSError as x:
            assert x.errno == errno.ENOENT  # it was killed meanwhile

    def loop(self):
        while True:
            p = select.poll()
            for fd in [self.sock.fileno(), self.stop_r, *self.listeners]:
                p.register(fd, select.POLLIN)
            for fd, ev in p.poll():
                if fd == self.stop_r:
                    return
                if fd == self.sock.fileno():
                    self.accept()
                elif ev & select.POLLIN:
                    self.answer(fd)
                else:
                    os.close(fd)
                    self.listeners.remove(fd)

    def stop(self):
        os.write(self.stop_w, b"x")
        self.thread.join(10)
        self.sock.close()
        for fd in self.listeners:
            os.close(fd)
        self.listeners = []


@pytest.fixture
def agent(tmp_path):
    made = []

    def make(**refuse):
        made.append(Agent(tmp_path / "agent.sock", refuse))
        return made[-1]

    yield make
    for a in made:
        a.stop()


def notify(box, *names, nnp=True, **more):
    box.p["noNewPrivileges"] = nnp
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "listenerPath": str(box.dir.parent / "agent.sock"),
                                 "listenerMetadata": "meta, data",
                                 "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}], **more}


SCRIPT = "mkdir /tmp/refused; echo done"


@pytest.mark.smoke
@pytest.mark.parametrize("nnp", [False, True])
def test_run(box, agent, nnp):
    a = agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir", nnp=nnp)
    box.c["annotations"] = {"k": "v"}
    r = box.sh(SCRIPT)
    assert r.returncode == 0 and "No medium found" in r.stderr and r.stdout == "done\n", r.stderr
    doc, = a.docs
    assert doc["metadata"] == "meta, data" and doc["pid"] > 0 and doc["ociVersion"]
    assert doc["state"]["id"] == box.id and doc["state"]["pid"] == doc["pid"] and doc["state"]["status"] == "creating"
    assert doc["state"]["bundle"] == str(box.bundle) and doc["state"]["annotations"]["k"] == "v" and doc["state"]["ociVersion"]


@pytest.mark.parametrize("nnp", [False, True])
def test_create_start_exec(box, agent, nnp):
    a = agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir", nnp=nnp)
    assert box.create("sleep", "100").returncode == 0
    assert len(a.docs) == 1  # with create, before start
    assert box.rt("start", box.id).returncode == 0
    r = box.exec("sh", "-c", SCRIPT)
    assert "No medium found" in r.stderr and r.stdout == "done\n", r.stderr
    first, second = a.docs
    assert second["metadata"] == first["metadata"] and second["pid"] != first["pid"]
    assert second["state"]["status"] == "running" and second["state"]["pid"] == first["pid"] == box.state()["pid"]


@pytest.mark.parametrize("nnp", [False, True])
@pytest.mark.parametrize("names", [("execve", "openat", "open", "read", "close", "fcntl")])
def test_calls_that_the_runtime_makes_itself(box, agent, nnp, names):
    a = agent()
    notify(box, *names, nnp=nnp)
    r = box.run("true", timeout=30)
    assert r.returncode == 0, r.stderr
    assert NR["execve"] in a.calls


@pytest.mark.skiff_only
@pytest.mark.parametrize("nnp", [False, True])
def test_every_call_after_the_load(box, agent, nnp):
    """All that a process may do between the load and its execve, and more; with a start by another process."""
    a = agent()
    notify(box, "execve", "read", "close", "close_range", "fcntl", "prctl", "capset", "capget", "sendmsg", "recvmsg", "wait4", "waitid", "poll", "mmap",
           "munmap", "brk", "exit_group", "openat", nnp=nnp)
    assert box.create("sh", "-c", "true", timeout=30).returncode == 0
    r = box.rt("start", box.id, timeout=30)
    assert r.returncode == 0, r.stderr
    box.wait_stopped()
    assert NR["execve"] in a.calls and NR["read"] in a.calls


def test_drop_of_capabilities_and_of_the_user(box, agent):
    """The filter is loaded early when it could not be loaded by the container's user."""
    agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir", nnp=False)
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["capabilities"] = {}
    r = box.sh(SCRIPT)
    assert "No medium found" in r.stderr and r.stdout == "done\n", r.stderr


def test_user_namespace(box, agent):
    agent(mkdir=errno.ENOMEDIUM)
    box.userns()
    notify(box, "mkdir")
    r = box.sh(SCRIPT)
    assert "No medium found" in r.stderr and r.stdout == "done\n", r.stderr


def test_terminal_and_exec_by_another_user(box, agent):
    a = agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir")
    box.start("sleep", "100")
    r = box.exec("sh", "-c", SCRIPT, opts=("--user", "1000:1000"))
    assert "No medium found" in r.stderr, r.stderr
    assert len(a.docs) == 2


def test_agent_that_goes_away(box, agent):
    a = agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir")
    box.start("sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.1; done; mkdir /tmp/refused 2>/tmp/said; echo $? >/tmp/code")
    root = f"/proc/{box.state()['pid']}/root"
    a.stop()
    open(root + "/tmp/go", "w").close()
    fd = os.open(root, os.O_PATH)
    try:
        box.wait_stopped(20)
        said = open(f"{box.c['root']['path']}/tmp/said").read()
    finally:
        os.close(fd)
        for n in ("go", "said", "code"):
            p = f"{box.c['root']['path']}/tmp/{n}"
            if os.path.exists(p):
                os.unlink(p)
    assert "Function not implemented" in said


def test_no_agent(box):
    notify(box, "mkdir")
    r = box.run("true")
    assert r.returncode != 0 and "agent" in r.stderr
    assert box.has_traces() == []


@pytest.mark.skiff_only
def test_words_without_an_agent(box):
    notify(box, "mkdir")
    r = box.run("true")
    assert "failed to connect with seccomp agent" in r.stderr and "agent.sock" in r.stderr


@pytest.mark.parametrize("path", [None, "", "@abstract"])
def test_path_that_is_none(box, path):
    notify(box, "mkdir")
    box.c["linux"]["seccomp"]["listenerPath"] = path
    if path is None:
        del box.c["linux"]["seccomp"]["listenerPath"]
        del box.c["linux"]["seccomp"]["listenerMetadata"]
    assert box.run("true").returncode != 0
    assert box.has_traces() == []


def test_path_without_notify_is_ignored(box):
    notify(box, "mkdir")
    box.c["linux"]["seccomp"]["syscalls"] = [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 123}]
    r = box.sh(SCRIPT)
    assert r.returncode == 0 and "No medium found" in r.stderr, r.stderr


def test_write_cannot_be_left_to_an_agent(box, agent):
    agent()
    notify(box, "write")
    r = box.run("true", timeout=20)
    assert r.returncode != 0 and "SCMP_ACT_NOTIFY cannot be used for the write syscall" in r.stderr


def test_default_action_cannot_be_notify(box, agent):
    agent()
    notify(box, "mkdir", defaultAction="SCMP_ACT_NOTIFY")
    assert box.run("true", timeout=20).returncode != 0


@pytest.mark.skiff_only
def test_wait_killable(box, agent):
    agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir", flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
    box.p["args"] = ["sh", "-c", SCRIPT]
    box.write()
    r = box.rt("run", "--bundle", str(box.bundle), box.id, glob=("--debug",))
    assert r.returncode == 0 and "No medium found" in r.stderr and "seccomp filter flags: 40" in r.stderr, r.stderr
    box.c["linux"]["seccomp"]["syscalls"] = []  # without a listener the kernel would refuse the flag
    assert box.run("true").returncode == 0


def test_no_descriptor_is_left_over(box, agent):
    agent()
    notify(box, "mkdir")
    count = "n=$(ls /proc/self/fd | wc -l); echo $n >&2; [ $n -eq 4 ]"  # stdio and the directory
    box.c["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", count], "env": ["PATH=/bin"]}]}
    r = box.run("sh", "-c", count)
    assert r.returncode == 0, r.stderr


# --- annotations ---
@pytest.mark.skiff_only
def test_receiver_of_the_annotation(box, agent):
    a = agent(mkdir=errno.ENOMEDIUM)
    notify(box, "mkdir")
    s = box.c["linux"]["seccomp"]
    box.c["annotations"] = {"run.oci.seccomp.receiver": s.pop("listenerPath")}
    del s["listenerMetadata"]
    r = box.sh(SCRIPT)
    assert "No medium found" in r.stderr, r.stderr
    assert "metadata" not in a.docs[0]


@pytest.mark.skiff_only
def test_unknown_system_call(box):
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]}
    assert box.run("true").returncode == 0
    box.c["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "0"}
    assert box.run("true").returncode == 0
    box.c["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "1"}
    r = box.run("true")
    assert r.returncode != 0 and "no_such_call" in r.stderr


def program(*insns):
    return base64.b64encode(b"".join(struct.pack("=HBBI", *i) for i in insns)).decode()


LD_NR, RET = (0x20, 0, 0, 0), 0x06


def answer_to(nr, action):
    return program(LD_NR, (0x15, 0, 1, nr), (RET, 0, 0, action), (RET, 0, 0, 0x7FFF0000))


@pytest.mark.skiff_only
def test_program_of_the_annotation(box, agent):
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_KILL"}  # ignored
    box.c["annotations"] = {"run.oci.seccomp_bpf_data": answer_to(NR["mkdir"], 0x00050000 | errno.ENOMEDIUM)}
    r = box.sh(SCRIPT)
    assert r.stdout == "done\n" and "No medium found" in r.stderr, r.stderr
    box.start("sleep", "100")
    assert "No medium found" in box.exec("mkdir", "/tmp/refused").stderr
    box.rt("delete", "--force", box.id)
    agent(mkdir=errno.EDOM)
    box.c["annotations"] = {"run.oci.seccomp_bpf_data": answer_to(NR["mkdir"], 0x7FC00000),
                            "run.oci.seccomp.receiver": str(box.dir.parent / "agent.sock")}
    r = box.sh(SCRIPT)
    assert "Numerical argument out of domain" in r.stderr or "Domain error" in r.stderr or "Math" in r.stderr, r.stderr


@pytest.mark.skiff_only
@pytest.mark.parametrize("data", ["", "!", "AAAA", "AAAAAAAAAAA", "AAAA=AAAAAA=", "A" * 60000])
def test_program_that_is_none(box, data):
    box.c["annotations"] = {"run.oci.seccomp_bpf_data": data}
    r = box.run("true")
    assert r.returncode != 0 and "run.oci.seccomp_bpf_data" in r.stderr
    assert box.has_traces() == []
