"""What the tests of launch and monitor share: records (base/record.h), the handover (monitor/wire.h), a client of ctl.sock."""
import array
import contextlib
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import time

BUILD = os.environ.get("SKIFF_BIN", os.path.join(os.path.dirname(__file__), "..", "..", "build", "bin"))
MONITOR = os.path.realpath(os.path.join(BUILD, "skiff-monitor"))
LAUNCH = os.path.realpath(os.path.join(BUILD, "skiff-launch"))

START, EXEC, STARTED, FAILED, EXITED, RESIZE, SIGNAL = range(1, 8)
F_STDIN, F_STDOUT, F_STDERR, F_KEEP, F_TTY = 1, 2, 4, 8, 16
HELLO, STATE, KILL, WAIT, ATTACH, M_RESIZE, UPDATE = range(1, 8)
OK, EXIT, ERROR = 64, 65, 66
KINDS = ["ok", "invalid", "not-found", "conflict", "denied", "unsupported", "limit", "timeout", "unavailable", "corrupt",
         "no-memory", "system", "bug", "command-not-found", "command-not-executable"]


def u32(v):
    return struct.pack("=I", v & 0xFFFFFFFF)


def u64(v):
    return struct.pack("=Q", v)


def st(s):
    b = s.encode() if isinstance(s, str) else s
    return u32(len(b)) + b + b"\0"


def record(rtype, *fields, version=1):
    body = b"".join(fields)
    return struct.pack("=IHH", 8 + len(body), rtype, version) + body


# The appended fields of the handover: restart 2, stop 2, health 3, health times 4, log mode and buffer, log options, run time.
APPENDED = [u32(0)] * 7 + [u64(0)] * 4 + [u32(0), u64(0), st(""), u64(0), u32(0)]


class Fields:
    def __init__(self, raw):
        self.size, self.type, self.version = struct.unpack_from("=IHH", raw)
        assert self.size == len(raw)
        self.raw, self.at = raw, 8

    def u32(self):
        self.at += 4
        return struct.unpack_from("=I", self.raw, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from("=Q", self.raw, self.at - 8)[0]

    def str(self):
        n = self.u32()
        s = self.raw[self.at:self.at + n]
        self.at += n + 1
        return s.decode()

    def err(self):
        kind, sys_ = self.u32(), self.u32()
        return KINDS[kind], sys_, self.str()


def send(sock, raw, fds=()):
    anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([raw], anc)


def recv(sock, timeout=20):
    sock.settimeout(timeout)
    raw = sock.recv(1 << 17)
    return Fields(raw) if raw else None


def exit_of(f):
    return {"code": f.u32(), "signal": f.u32(), "oom": f.u32(), "finished": f.u64()}


class Client:
    """One connection to a ctl.sock."""

    def __init__(self, run_dir, cid):
        self.cid = cid
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = os.open(run_dir, os.O_PATH | os.O_DIRECTORY)
        try:
            self.s.connect(f"/proc/self/fd/{fd}/ctl.sock")
        finally:
            os.close(fd)

    def send(self, rtype, *fields, fds=(), cid=None):
        send(self.s, record(rtype, st(self.cid if cid is None else cid), *fields), fds)

    def ask(self, rtype, *fields, fds=(), cid=None):
        self.send(rtype, *fields, fds=fds, cid=cid)
        return recv(self.s)

    def close(self):
        self.s.close()


def layout():
    """The hierarchies as sys/cgroup finds them: (controllers, mount point, is v2)."""
    out = []
    for line in open("/proc/self/mountinfo"):
        left, right = line.split(" - ")
        fstype, _, opts = right.split(" ", 2)
        mp = left.split()[4]
        if fstype == "cgroup2":
            out.append(("", mp, 1))
        elif fstype == "cgroup":
            known = [o for o in opts.strip().split(",") if o not in ("rw", "ro", "relatime", "xattr", "clone_children")]
            out.append((",".join(known), mp, 0))
    return out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(cond, timeout=60, what="condition"):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        v = cond()
        if v:
            return v
        time.sleep(0.01)
    raise AssertionError(f"timed out waiting for {what}")


def read_all(fd, timeout=20):
    out = b""
    import select
    while True:
        r, _, _ = select.select([fd], [], [], timeout)
        assert r, f"no end of output after {out[-200:]!r}"
        try:
            b = os.read(fd, 65536)
        except OSError:
            return out
        if not b:
            return out
        out += b


def read_until(fd, want, timeout=20):
    import select
    out = b""
    while want not in out:
        r, _, _ = select.select([fd], [], [], timeout)
        assert r, f"{want!r} did not come, only {out!r}"
        b = os.read(fd, 65536)
        assert b, f"end of output before {want!r}: {out!r}"
        out += b
    return out


def log_entries(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def log_text(path, stream=None):
    return "".join(e["log"] for e in log_entries(path) if stream is None or e["stream"] == stream)


class Monitor:
    """skiff-monitor alone, over a plain child process: what launch hands over, made by hand."""

    def __init__(self, base, argv, stdin=False, tty=False, keep=False, stdin_once=False, max_size=0, max_file=1, driver=1, att=(None, None, None),
                 reaper="", program=MONITOR):
        self.id = secrets.token_hex(32)
        self.root, self.run = os.path.join(base, "lib"), os.path.join(base, "run")
        self.disk_dir = os.path.join(self.root, "containers", self.id)
        self.run_dir = os.path.join(self.run, "containers", self.id)
        for d in (os.path.join(self.disk_dir, "log"), self.run_dir, os.path.join(self.run, "summary")):
            os.makedirs(d, exist_ok=True)
        self.log = os.path.join(self.disk_dir, "log", self.id + "-json.log")
        os.symlink(f"1|n{self.id[:6]}|img|running|1|2|0|3|4|0||cmd", os.path.join(self.run, "summary", self.id))
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._become(theirs, argv, stdin, tty, keep, stdin_once, max_size, max_file, driver, att, reaper, program)
            finally:
                os._exit(99)
        theirs.close()
        f = recv(self.sock)
        assert f is not None and f.type == STARTED, "the monitor did not start"
        self.init, self.start_time = f.u32(), f.u64()

    def _become(self, theirs, argv, stdin, tty, keep, once, max_size, max_file, driver, att, reaper, program):
        os.setsid()
        keepfds = {}
        child_io = [os.open("/dev/null", os.O_RDWR)] * 3
        fds = dict.fromkeys(("netns", "tty", "in", "out", "err"), -1)
        if tty:
            fds["tty"], slave = os.openpty()
            child_io = [slave] * 3
        else:
            if stdin:
                r, fds["in"] = os.pipe()
                child_io = [r] + child_io[1:]
            fds["out"], w1 = os.pipe()
            fds["err"], w2 = os.pipe()
            child_io = [child_io[0], w1, w2]
        import ctypes
        libc = ctypes.CDLL(None)
        ready, said = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            libc.prctl(1, signal.SIGKILL)
            for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
                signal.signal(sig, signal.SIG_DFL)
            for i, fd in enumerate(child_io):
                os.dup2(fd, i)
            os.closerange(3, said)
            os.closerange(said + 1, 1000)
            os.execvp(argv[0], argv)
        for fd in (*set(child_io), said):
            os.close(fd)
        os.read(ready, 1)  # the end: execve has happened, with PDEATHSIG set
        os.close(ready)
        rd = os.open(self.run_dir, os.O_RDONLY | os.O_DIRECTORY)
        ls = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ls.bind(f"/proc/self/fd/{rd}/ctl.sock")
        os.chmod(os.path.join(self.run_dir, "ctl.sock"), 0o600)
        ls.listen(64)
        dd = os.open(self.disk_dir, os.O_RDONLY | os.O_DIRECTORY)
        rr = os.open(self.run, os.O_RDONLY | os.O_DIRECTORY)
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640) if driver else -1
        with open(f"/proc/{pid}/stat") as f:
            start = int(f.read().rsplit(")", 1)[1].split()[19])
        flags = (1 if tty else 0) | (4 if once else 0) | (8 if stdin else 0) | (16 if keep else 0)
        att = [-1 if a is None else a for a in att]
        pidfd = os.pidfd_open(pid)
        order = [pidfd, -1, theirs.fileno(), rd, dd, rr, fds["tty"], fds["in"], fds["out"], fds["err"], *att, ls.fileno(), log]
        raw = record(1, u32(flags), st(self.id), st(""), st(reaper), st(self.root), st(self.run), u32(pid), u64(start), u64(time.time_ns()),
                     *[u32(x) for x in order], u32(driver), u64(max_size), u32(max_file), st(""), u32(0), u32(0), u32(0), *APPENDED)
        mem = os.memfd_create("handover")
        os.write(mem, raw)
        live = {x for x in order if x >= 0}
        if 3 in live:
            raise AssertionError("fd 3 is taken")
        os.dup2(mem, 3)
        for fd in range(4, 256):
            with contextlib.suppress(OSError):
                if fd in live:
                    os.set_inheritable(fd, True)
                else:
                    os.close(fd)
        os.execve(program, ["skiff-monitor", self.id[:12]], {})

    def client(self):
        return Client(self.run_dir, self.id)

    def exit_json(self):
        with open(os.path.join(self.disk_dir, "exit.json")) as f:
            return json.load(f)

    def summary(self):
        return os.readlink(os.path.join(self.run, "summary", self.id)).split("|")

    def events(self):
        with open(os.path.join(self.run, "events", "log.0")) as f:
            return [e for e in map(json.loads, f) if e["id"] == self.id]

    def join(self, timeout=20):
        """Waits for the end of the monitor and returns its exit status."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise AssertionError("the monitor did not end")

    def stop(self):
        with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(self.init, signal.SIGKILL)
        self.sock.close()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = None


def rollup(pid):
    out = {}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            w = line.split()
            if w[-1] == "kB":
                out[w[0].rstrip(":")] = int(w[1])
    return out
