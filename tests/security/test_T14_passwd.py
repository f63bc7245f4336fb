"""T14: the runtime looks up a home directory in the container's /etc/passwd: whatever lies there, it neither blocks, nor leaves the root, nor grows."""
import os
import stat
import time

import pytest

from seclib import RUNTIME, sh


def fifo(p, canary):
    os.mkfifo(p)


def sparse(p, canary):
    with open(p, "w") as f:
        f.write("root:x:0:0::/:/bin/sh\n")
        f.truncate(2 << 30)


def text(s):
    def put(p, canary):
        with open(p, "wb") as f:
            f.write(s)
    return put


def link(to):
    return lambda p, canary: os.symlink(to.replace("CANARY", canary), p)


HOSTILE = {
    "fifo": fifo, "sparse": sparse, "directory": lambda p, c: os.mkdir(p), "zero": link("/dev/zero"), "kmsg": link("/proc/kmsg"), "self": link("/proc/self/fd/0"),
    "loop": link("passwd"), "out": link("../../../../../../../../../..CANARY/passwd"), "root": link("/proc/1/root/CANARY/passwd"),
    "device": lambda p, c: os.mknod(p, 0o666 | stat.S_IFCHR, os.makedev(1, 5)), "tty": lambda p, c: os.mknod(p, 0o666 | stat.S_IFCHR, os.makedev(5, 0)),
    "field": text(b"u:x:1000:0:" + b",".join(b"u%d" % i for i in range(1000000)) + b":/h:/s\n"), "colons": text(b":" * 1000000 + b"\n"),
    "nul": text(b"\0" * 4096 + b"u:x:1000:0::/evil:/s\n"), "lines": text(b"\n" * 3000000),
}


def measured(*argv):
    began = time.monotonic()
    p = sh("/bin/busybox", "time", "-v", *argv, check=False, timeout=60)
    kb = next(int(line.rsplit(":", 1)[1]) for line in p.stderr.splitlines() if "Maximum resident" in line)
    return p, time.monotonic() - began, kb


@pytest.mark.parametrize("kind", HOSTILE)
def test_T14_home_of_a_user(runtime, bundle, canary, kind):
    b = bundle().args("sh", "-c", "echo \"HOME=$HOME\"")
    b.process["user"] = {"uid": 1000, "gid": 1000}
    os.unlink(b.rootfs + "/etc/passwd")
    HOSTILE[kind](b.rootfs + "/etc/passwd", canary)
    b.write()
    runtime.made.append(b.id)
    p, seconds, kb = measured(RUNTIME, "--root", runtime.root, "run", "--bundle", b.path, b.id)
    assert seconds < 5 and kb < 20000, (seconds, kb)
    if p.returncode == 0:
        assert p.stdout.startswith("HOME=/") and p.stdout.count("\n") == 1, p.stdout
        assert "canary" not in p.stdout
    else:
        assert "passwd" in p.stderr or "home" in p.stderr.lower(), p.stderr


@pytest.mark.parametrize("kind", ["fifo", "sparse", "zero", "device"])
def test_T14_exec(runtime, bundle, canary, kind):
    b = bundle().args("sleep", "1000")
    runtime.start(b)
    os.unlink(b.rootfs + "/etc/passwd")
    HOSTILE[kind](b.rootfs + "/etc/passwd", canary)
    p, seconds, kb = measured(RUNTIME, "--root", runtime.root, "exec", "--user", "1000", b.id, "sh", "-c", "echo $HOME")
    assert seconds < 5 and kb < 20000, (seconds, kb)
    assert p.returncode == 0 or "passwd" in p.stderr or "home" in p.stderr.lower(), p.stderr
