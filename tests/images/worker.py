"""A client of skiff-image (src/registry/wire.h): one request over the socketpair that is the worker's fd 3."""
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass, field

BIN = os.path.realpath(os.environ.get("SKIFF_BIN", os.path.join(os.path.dirname(__file__), "..", "..", "build", "bin")))
WORKER = os.path.join(BIN, "skiff-image")
SKIFF = os.path.join(BIN, "skiff")

PULL, VERIFY, LAYERS, PROGRESS, DONE, FAILED, BAD = 1, 2, 16, 17, 18, 19, 20
PLAIN_HTTP, INSECURE_TLS = 1, 2
KINDS = ["ok", "invalid", "not-found", "conflict", "denied", "unsupported", "limit", "timeout", "unavailable", "corrupt",
         "no-memory", "system", "bug"]
WAITING, DOWNLOADING, EXTRACTING, FINISHED, EXISTS = range(5)


def u32(v):
    return struct.pack("=I", v)


def string(s):
    b = s.encode()
    return u32(len(b)) + b + b"\0"


def record(rtype, *fields, version=1):
    body = b"".join(fields)
    return struct.pack("=IHH", 8 + len(body), rtype, version) + body


class Fields:
    def __init__(self, raw):
        size, self.type, self.version = struct.unpack_from("=IHH", raw)
        assert size == len(raw), (size, len(raw))
        self.raw, self.at = raw, 8

    def u32(self):
        self.at += 4
        return struct.unpack_from("=I", self.raw, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from("=Q", self.raw, self.at - 8)[0]

    def str(self):
        n = self.u32()
        self.at += n + 1
        return self.raw[self.at - n - 1:self.at - 1].decode()


class PullFailed(Exception):
    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


@dataclass
class Result:
    top: str = ""
    manifest: str = ""
    config: str = ""
    up_to_date: bool = False
    layers: list = field(default_factory=list)    # (digest, size, already present)
    progress: list = field(default_factory=list)  # each: [(received, phase), ...]
    bad: list = field(default_factory=list)       # VERIFY: (diff-id, message)
    seconds: float = 0.0


class Worker:
    """A running skiff-image; the socket is `sock`."""

    def __init__(self, env=None, stderr=None):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)]
        if stderr:
            actions.append((os.POSIX_SPAWN_OPEN, 2, str(stderr), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("PYTEST")}
        self.pid = os.posix_spawn(WORKER, ["skiff-image", "serve"], {**clean, **(env or {})}, file_actions=actions)
        theirs.close()
        self.started = time.monotonic()
        self.status = None
        self.peak = 0  # kilobytes that it had at most, as often seen as recv waited; ru_maxrss would count this process, which spawned it

    def send(self, *rec):
        self.sock.send(record(*rec))

    def pull(self, root, ref, platform="", docker_config="", certs_dir="", flags=0):
        self.send(PULL, string(str(root)), string(ref), string(platform), string(str(docker_config)), string(str(certs_dir)), u32(flags))

    def recv(self, timeout=60):
        end = time.monotonic() + timeout
        while not select.select([self.sock], [], [], 0.01)[0]:
            self.look_at_memory()
            if time.monotonic() > end:
                raise TimeoutError("skiff-image is silent")
        raw = self.sock.recv(1 << 18)
        return Fields(raw) if raw else None

    def look_at_memory(self):
        with open(f"/proc/{self.pid}/status") as f:
            self.peak = max([self.peak] + [int(line.split()[1]) for line in f if line.startswith("VmHWM")])

    def finish(self, timeout=60):
        """Everything up to the answer; PullFailed for FAILED."""
        res, end = Result(), time.monotonic() + timeout
        while True:
            f = self.recv(max(0.01, end - time.monotonic()))
            if f is None:
                raise PullFailed("gone", f"skiff-image ended without an answer: {self.wait():#x}")
            if f.type == LAYERS:
                res.layers = [(f.str(), f.u64(), f.u32()) for _ in range(f.u32())]
            elif f.type == PROGRESS:
                res.progress.append([(f.u64(), f.u32()) for _ in range(f.u32())])
            elif f.type == BAD:
                diff_id, _, _ = f.str(), f.u32(), f.u32()
                res.bad.append((diff_id, f.str()))
            elif f.type == FAILED:
                kind, _, msg = f.u32(), f.u32(), f.str()
                raise PullFailed(KINDS[kind], msg)
            elif f.type == DONE:
                res.top, res.manifest, res.config = f.str(), f.str(), f.str()
                res.up_to_date = bool(f.u32())
                res.seconds = time.monotonic() - self.started
                return res

    def wait(self, timeout=20):
        end = time.monotonic() + timeout
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
            elif time.monotonic() > end:
                raise TimeoutError("skiff-image does not end")
            else:
                time.sleep(0.005)
        return self.status

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
        self.sock.close()
        return self.wait()

    def close(self):
        self.sock.close()
        try:
            return self.wait()
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
            raise


def pull(root, ref, timeout=60, env=None, stderr=None, **how):
    w = Worker(env, stderr)
    try:
        w.pull(root, ref, **how)
        return w.finish(timeout)
    finally:
        w.close()


def verify(root, diff_id="", timeout=60):
    w = Worker()
    try:
        w.send(VERIFY, string(str(root)), string(diff_id), u32(0))
        return w.finish(timeout)
    finally:
        w.close()
