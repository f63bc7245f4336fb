"""--pidfd-socket: one message with a pidfd of the new process."""
import array
import os
import select
import signal
import socket
import subprocess
import threading

import pytest

pytestmark = pytest.mark.skiff_only  # runc has it since 1.2, which is newer than what distributions ship


class Receiver:
    def __init__(self, path):
        self.path = str(path)
        self.fds = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        here = os.getcwd()
        os.chdir(os.path.dirname(self.path))  # sun_path is short
        self.sock.bind(os.path.basename(self.path))
        os.chdir(here)
        self.sock.listen(1)
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        c, _ = self.sock.accept()
        _, anc, _, _ = c.recvmsg(4096, socket.CMSG_SPACE(4))
        for level, kind, data in anc:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            a = array.array("i")
            a.frombytes(data)
            self.fds += a

    def pidfd(self):
        self.thread.join(10)
        assert len(self.fds) == 1
        return self.fds[0]


def pid_of(pidfd):
    with open(f"/proc/self/fdinfo/{pidfd}") as f:
        return int(next(x.split()[1] for x in f if x.startswith("Pid:")))


@pytest.fixture
def receiver(box):
    return Receiver(box.dir / "pidfd.sock")


def test_create(box, receiver):
    assert box.create("sleep", "100", opts=["--pidfd-socket", receiver.path]).returncode == 0
    fd = receiver.pidfd()
    assert pid_of(fd) == box.state()["pid"]
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    box.wait_stopped()


def test_run_detached(box, receiver):
    r = box.run("sleep", "100", opts=["-d", "--pidfd-socket", receiver.path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    assert pid_of(receiver.pidfd()) == box.state()["pid"]


def test_run_in_the_foreground(box, receiver):
    r = box.run("true", opts=["--pidfd-socket", receiver.path])
    assert r.returncode == 0, r.stderr
    assert select.select([receiver.pidfd()], [], [], 5)[0]  # ended


def test_exec(box, receiver):
    box.start("sleep", "100")
    pidfile = box.dir / "pid"
    r = box.exec("sleep", "1000", opts=["-d", "--pid-file", str(pidfile), "--pidfd-socket", receiver.path], stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    fd = receiver.pidfd()
    assert pid_of(fd) == int(pidfile.read_text())
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    assert select.select([fd], [], [], 5)[0]
    assert box.state()["status"] == "running"


def test_wrong_socket_makes_nothing(box):
    r = box.run("true", opts=["--pidfd-socket", str(box.dir / "nobody")])
    assert r.returncode == 1 and "pidfd socket" in r.stderr
    assert box.has_traces() == []
    box.start("sleep", "100")
    r = box.exec("true", opts=["--pidfd-socket", str(box.dir / "nobody")])
    assert r.returncode == 255 and "pidfd socket" in r.stderr


def test_long_path(box):
    d = box.dir / ("d" * 120)
    d.mkdir()
    rec = Receiver(d / "s")
    assert box.create("sleep", "100", opts=["--pidfd-socket", rec.path]).returncode == 0
    assert pid_of(rec.pidfd()) == box.state()["pid"]
