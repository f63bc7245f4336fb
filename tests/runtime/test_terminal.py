"""Terminals: console socket, foreground, exec -t, window size."""
import array
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest


class Console:
    """Listens on a console socket and takes the master."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX)
        cwd = os.getcwd()
        os.chdir(os.path.dirname(self.path))
        self.sock.bind(os.path.basename(self.path))
        os.chdir(cwd)
        self.sock.listen(1)
        self.sock.settimeout(10)

    def master(self):
        c, _ = self.sock.accept()
        data, anc, _, _ = c.recvmsg(100, socket.CMSG_SPACE(4))
        assert data
        fds = array.array("i")
        fds.frombytes(anc[0][2][:4])
        return fds[0]


def read_until(fd, word, seconds=10):
    got = b""
    end = time.time() + seconds
    while word not in got and time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            got += data
    assert word in got, got
    return got


@pytest.mark.smoke
def test_console_socket(box):
    box.p["terminal"] = True
    box.p["consoleSize"] = {"height": 33, "width": 101}
    con = Console(box.dir / "con.sock")
    r = box.create("sh", "-c", "tty; stty size; ls -l /dev/console; read x; echo got $x; exit 4",
                   opts=["--console-socket", con.path])
    assert r.returncode == 0, r.stderr
    m = con.master()
    assert box.rt("start", box.id).returncode == 0
    out = read_until(m, b"/dev/console")
    assert b"/dev/pts/0" in out and b"33 101" in out
    os.write(m, b"hello\n")
    read_until(m, b"got hello")
    os.close(m)


def test_console_socket_with_long_path(box):
    d = box.dir / ("x" * 100)
    d.mkdir()
    box.p["terminal"] = True
    con = Console(d / "con.sock")
    r = box.create("sleep", "100", opts=["--console-socket", con.path])
    if r.returncode != 0 and "skiff" not in box.cmd()[0]:
        pytest.skip("reference runtime cannot do it")
    assert r.returncode == 0, r.stderr
    os.close(con.master())


def test_errors(box):
    box.p["terminal"] = True
    r = box.create("true")
    assert r.returncode == 1 and "console socket" in r.stderr
    r = box.create("true", opts=["--console-socket", "/no/such/socket"])
    assert r.returncode != 0 and "/no/such/socket" in r.stderr
    assert box.has_traces() == []
    box.p["terminal"] = False
    con = Console(box.dir / "con.sock")
    r = box.create("true", opts=["--console-socket", con.path])
    assert r.returncode != 0 and "console socket" in r.stderr


def spawn_on_tty(args):
    """Runs args on a terminal of ours; (process, our end)."""
    m, s = pty.openpty()
    fcntl.ioctl(m, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 70, 0, 0))
    p = subprocess.Popen(args, stdin=s, stdout=s, stderr=s, start_new_session=True)
    os.close(s)
    return p, m


def test_run_on_terminal(box):
    box.p["terminal"] = True
    box.p["args"] = ["sh", "-c", "stty size; trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.05; done"]
    box.write()
    p, m = spawn_on_tty(box.cmd("run", "-b", str(box.bundle), box.id))
    before = termios.tcgetattr(m)
    assert b"20 70" in read_until(m, b"ready")
    assert termios.tcgetattr(m)[3] & termios.ECHO == 0  # raw
    fcntl.ioctl(m, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 71, 0, 0))
    p.send_signal(signal.SIGWINCH)
    read_until(m, b"21 71")
    assert p.wait(10) == 6
    assert termios.tcgetattr(m)[3] == before[3]  # as it was
    os.close(m)


def test_exec_on_terminal(box):
    box.start("sleep", "100")
    p, m = spawn_on_tty(box.cmd("exec", "-t", box.id, "sh", "-c", "tty; read x; echo got $x; exit 3"))
    read_until(m, b"/dev/pts/")
    os.write(m, b"abc\r")
    read_until(m, b"got abc")
    assert p.wait(10) == 3
    os.close(m)


def test_exec_console_socket(box):
    box.start("sleep", "100")
    con = Console(box.dir / "con.sock")
    r = box.exec("sh", "-c", "tty; sleep 1", opts=["-t", "-d", "--console-socket", con.path], stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    m = con.master()
    read_until(m, b"/dev/pts/")
    os.close(m)


def test_terminal_in_user_namespace(box):
    box.userns()
    box.p["terminal"] = True
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["args"] = ["sh", "-c", "tty; echo x > /dev/stdout"]
    box.write()
    p, m = spawn_on_tty(box.cmd("run", "-b", str(box.bundle), box.id))
    read_until(m, b"x")
    assert p.wait(10) == 0
    os.close(m)


def test_output_before_exit_is_complete(box):
    box.p["terminal"] = True
    box.p["args"] = ["seq", "1", "20000"]
    box.write()
    p, m = spawn_on_tty(box.cmd("run", "-b", str(box.bundle), box.id))
    assert read_until(m, b"\n20000").count(b"\n") >= 19999
    assert p.wait(10) == 0
    os.close(m)
