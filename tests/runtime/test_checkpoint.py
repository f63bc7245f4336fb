"""checkpoint and restore, with a real criu.

SKIFF_TEST_CRIU names the program; else build/criu/criu (made by tests/runtime/get-criu), else criu of PATH. Without one that says
"Looks good." all is skipped. The container counts in a shell variable: it goes on where it was only if its memory came back.
"""
import array
import json
import os
import pty
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

from conftest import IS_SKIFF, RUNTIME, TOP
from notifylib import build_say, manager  # noqa: F401

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /desk/n.new; mv /desk/n.new /desk/n; sleep 0.05; done"


def find_criu():
    """(directory of a program named criu, None) or (None, why not)."""
    named = os.environ.get("SKIFF_TEST_CRIU")
    own = TOP / "build" / "criu" / "criu"
    path = named or (str(own) if own.exists() else shutil.which("criu"))
    if not path:
        return None, "no criu: run tests/runtime/get-criu, or set SKIFF_TEST_CRIU"
    if Path(path).name != "criu" or not os.access(path, os.X_OK):
        return None, f"SKIFF_TEST_CRIU={path}: the program must be executable and named criu"
    with tempfile.TemporaryDirectory() as d:  # a configuration of the host may make it write a log file
        r = subprocess.run([path, "check"], capture_output=True, text=True, timeout=60, cwd=d)
    if r.returncode != 0:
        return None, f"'{path} check' fails on this kernel: {(r.stdout + r.stderr).strip()[-200:]}"
    return str(Path(path).parent), None


@pytest.fixture(scope="module", autouse=True)
def criu():
    d, why = find_criu()
    if not d:
        pytest.skip(why)
    old = os.environ["PATH"]
    os.environ["PATH"] = d + ":" + old
    yield d + "/criu"
    os.environ["PATH"] = old


class Saved:
    """A box with its images."""

    def __init__(self, box):
        self.box = box
        self.images = box.dir / "images"
        self.work = box.dir / "criu-work"

    def start(self):
        """With the null device as standard streams: a file of the host's is nothing that criu can save."""
        b = self.box
        b.write()
        null = subprocess.DEVNULL
        assert b.rt("run", "-d", "--bundle", str(b.bundle), b.id, stdout=null, stderr=null).returncode == 0

    def checkpoint(self, *opts, images=None, **kw):
        b = self.box
        return b.rt("checkpoint", *opts, "--image-path", str(images or self.images), "--work-path", str(self.work), b.id, **kw)

    def restore_cmd(self, *opts, images=None, work=None):
        b = self.box
        return b.cmd("restore", *opts, "--bundle", str(b.bundle), "--image-path", str(images or self.images),
                     "--work-path", str(work or self.work), b.id)

    def restore(self, *opts, detach=True, images=None, work=None, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.DEVNULL)
        err = self.box.dir / "restore.err"
        with open(err, "w") as f:
            kw.setdefault("stderr", f)
            r = subprocess.run(self.restore_cmd(*(("-d",) if detach else ()), *opts, images=images, work=work), text=True, timeout=60, **kw)
        r.stderr = err.read_text()
        return r

    def ok(self, r):
        assert r.returncode == 0, r.stderr + "\n" + self.errors()
        return r

    def errors(self):
        out = ""
        for log in list(self.work.glob("*.log")) + list(self.images.glob("*.log")):
            out += "".join(f"{log.name}: {line}" for line in log.read_text(errors="replace").splitlines(True) if "Error" in line)
        return out

    def number(self, least=1, seconds=10):
        """The counter, once it is at least that."""
        end = time.time() + seconds
        n = 0
        while time.time() < end:
            try:
                n = int((Path(self.box.rootfs) / "desk" / "n").read_text())
            except (OSError, ValueError):
                n = 0
            if n >= least:
                return n
            time.sleep(0.02)
        raise AssertionError(f"counter is {n}, expected {least}; {self.box.rt('state', self.box.id).stdout}")

    def gone(self):
        assert self.box.rt("state", self.box.id).returncode != 0
        assert self.box.has_traces() == []

    def cycle(self, dump=(), restore=(), between=None):
        n = self.number(3)
        self.ok(self.checkpoint(*dump))
        self.gone()
        at = self.number()
        assert at >= n
        if between:
            between()
        time.sleep(0.2)
        assert self.number() == at  # nobody counts
        self.ok(self.restore(*restore))
        after = self.number(at + 2)
        assert after < at + 1000  # went on, did not begin again
        s = self.box.state()
        assert s["status"] == "running" and s["pid"] > 0
        return s


@pytest.fixture
def counter(box):
    """Not yet started: a container that counts in a root file system of its own."""
    box.own_rootfs()
    box.p["args"] = ["sh", "-c", COUNT]
    return Saved(box)


def wait_for(what, seconds=30):
    end = time.time() + seconds
    while time.time() < end:
        v = what()
        if v:
            return v
        time.sleep(0.02)
    raise AssertionError("timed out")


def test_checkpoint_and_restore(counter):
    b = counter.box
    counter.start()
    pid = b.state()["pid"]
    s = counter.cycle()
    assert b.id in b.rt("list", "-q").stdout
    assert (counter.images / "inventory.img").exists()
    assert (counter.work / "dump.log").exists() and (counter.work / "restore.log").exists()
    # it is a whole container again
    r = b.exec("sh", "-c", "cat /proc/1/comm; ls /proc/self/fd | wc -l")
    assert r.returncode == 0, r.stderr
    assert r.stdout.split() == ["sh", "4"]
    left = {os.readlink(f"/proc/{s['pid']}/fd/{f}") for f in os.listdir(f"/proc/{s['pid']}/fd")}
    assert left == {"/dev/null"}  # nothing of the runtime or of criu
    assert counter.ok(counter.checkpoint("--leave-running"))
    assert b.state()["status"] == "running"
    b.rt("kill", b.id, "KILL")
    b.wait_stopped()
    assert b.rt("delete", b.id).returncode == 0
    assert not Path(f"/proc/{pid}/root/desk").exists()


def test_several_times_with_default_directories(counter):
    b = counter.box
    counter.start()
    for _ in range(3):
        n = counter.number(2)
        r = b.rt("checkpoint", b.id, cwd=b.dir)
        assert r.returncode == 0, r.stderr
        r = subprocess.run(b.cmd("restore", "-d", "--bundle", str(b.bundle), b.id), cwd=b.dir, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        assert r.returncode == 0
        counter.number(n + 2)
    assert (b.dir / "checkpoint" / "descriptors.json").exists()


def test_leave_running(counter):
    b = counter.box
    counter.start()
    n = counter.number(3)
    pid = b.state()["pid"]
    counter.ok(counter.checkpoint("--leave-running"))
    assert b.state() | {"pid": pid} == b.state()
    counter.number(n + 5)
    # the same image again, after the first one is gone
    b.rt("delete", "--force", b.id)
    counter.ok(counter.restore())
    assert b.state()["status"] == "running"


def test_paused(counter):
    b = counter.box
    counter.start()
    counter.number(3)
    if b.rt("pause", b.id).returncode != 0:
        pytest.skip("no pause")
    r = counter.checkpoint("--leave-running")
    counter.ok(r)
    assert b.state()["status"] == "paused"
    b.rt("resume", b.id)


def test_pre_dump(counter):
    b = counter.box
    counter.start()
    n = counter.number(3)
    parent = b.dir / "parent"
    r = counter.checkpoint("--pre-dump", images=parent)
    if r.returncode != 0 and ("missing features" in r.stderr or "track changes of memory" in r.stderr):
        pytest.skip("the kernel does not track memory")
    counter.ok(r)
    assert b.state()["status"] == "running"
    counter.number(n + 3)
    counter.cycle(dump=("--parent-path", "../parent"))
    assert (counter.images / "parent").is_symlink()


@pytest.mark.skiff_only
def test_parent_path_is_checked(counter):
    b = counter.box
    counter.start()
    counter.number(2)
    for bad in (str(b.dir), "../nowhere", "../bundle/config.json"):
        r = counter.checkpoint("--parent-path", bad)
        assert r.returncode == 1 and "--parent-path" in r.stderr
    assert b.state()["status"] == "running"


def test_mounts(counter):
    """Directory, file, nested, behind a link; and what the configuration masks."""
    b = counter.box
    data = b.dir / "data"
    (data / "deep").mkdir(parents=True)
    (b.dir / "nested").mkdir()
    (b.dir / "nested" / "f").write_text("nested")
    (b.dir / "file").write_text("file")
    (b.rootfs / "real").mkdir()
    (b.rootfs / "real" / "conf").mkdir()
    (b.rootfs / "conf").symlink_to("/real/conf")
    bind = ["bind", "rprivate"]
    b.c["mounts"] += [
        {"destination": "/data", "type": "bind", "source": str(data), "options": ["rbind"]},
        {"destination": "/data/deep/er", "type": "bind", "source": str(b.dir / "nested"), "options": bind + ["ro"]},
        {"destination": "/etc/one", "type": "bind", "source": str(b.dir / "file"), "options": bind + ["ro"]},
        {"destination": "/conf", "type": "bind", "source": str(b.dir / "nested"), "options": bind},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=1m"]},
    ]
    b.c["linux"]["maskedPaths"] = ["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware", "/etc/hidden"]
    (b.rootfs / "etc" / "hidden").mkdir()
    (b.rootfs / "etc" / "hidden" / "x").write_text("x")
    counter.start()
    assert b.exec("sh", "-c", "echo kept > /scratch/kept").returncode == 0
    look = ["sh", "-c", "cat /data/deep/er/f /etc/one /conf/f; cat /proc/keys; ls /etc/hidden; cat /scratch/kept; "
            "touch /etc/one 2>/dev/null || echo ro; touch /data/deep/er/x 2>/dev/null || echo ro; grep -c . /proc/self/mountinfo"]
    before = b.exec(*look).stdout
    assert before.startswith("nestedfilenestedkept\nro\nro\n")

    def forget():  # the mount point inside of the bind mount, and one in the root
        (data / "deep" / "er").rmdir()
        (b.rootfs / "scratch").rmdir()

    counter.cycle(between=forget)
    assert b.exec(*look).stdout == before


def test_pipes(counter):
    """Standard streams that were pipes are those of the restore."""
    b = counter.box
    b.p["args"] = ["sh", "-c", "echo begin; while read x; do echo got $x; echo err $x >&2; done"]
    b.write()
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    r = b.rt("run", "-d", "--bundle", str(b.bundle), b.id, stdin=in_r, stdout=out_w, stderr=out_w)
    assert r.returncode == 0
    os.write(in_w, b"one\n")
    assert read_until(out_r, b"err one").endswith(b"begin\ngot one\nerr one")  # warnings of the start may come first
    counter.ok(counter.checkpoint())
    for fd in (in_r, in_w, out_r, out_w):
        os.close(fd)
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    counter.ok(counter.restore(stdin=in_r, stdout=out_w, stderr=out_w))
    os.close(in_r)
    os.close(out_w)
    os.write(in_w, b"two\n")
    assert read_until(out_r, b"err two") == b"got two\nerr two"
    os.close(in_w)
    b.wait_stopped()
    os.close(out_r)


def read_until(fd, text, seconds=5):
    got = b""
    end = time.time() + seconds
    while text not in got.replace(b"\r", b"") and time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                got += os.read(fd, 4096)
            except OSError:  # of a terminal without a peer
                break
    return got.strip().replace(b"\r", b"")


def test_foreground(counter):
    """restore in the foreground ends with the status of the container, which is deleted then."""
    b = counter.box
    b.p["args"] = ["sh", "-c", "n=7; while ! [ -e /desk/end ]; do sleep 0.05; done; exit $n"]
    counter.start()
    counter.ok(counter.checkpoint())
    p = subprocess.Popen(counter.restore_cmd(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: b.rt("state", b.id).returncode == 0 and b.state()["status"] == "running")
    (b.rootfs / "desk" / "end").touch()
    assert p.wait(10) == 7
    if IS_SKIFF:
        counter.gone()


def test_foreground_signal(counter):
    b = counter.box
    b.p["args"] = ["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"]
    counter.start()
    counter.ok(counter.checkpoint())
    p = subprocess.Popen(counter.restore_cmd(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: b.rt("state", b.id).returncode == 0 and b.state()["status"] == "running")
    if IS_SKIFF:
        wait_for(lambda: any("signalfd" in os.readlink(f) for f in Path(f"/proc/{p.pid}/fd").iterdir()))
    else:
        time.sleep(0.5)
    p.terminate()
    assert p.wait(30) == 9


def test_pid_file_and_id(counter):
    """Another id, and a pid file."""
    b = counter.box
    counter.start()
    n = counter.number(3)
    counter.ok(counter.checkpoint())
    b.id = "skftest-" + uuid.uuid4().hex[:12]
    counter.ok(counter.restore("--pid-file", str(b.dir / "pid")))
    assert int((b.dir / "pid").read_text()) == b.state()["pid"]
    counter.number(n + 2)


@pytest.mark.skiff_only  # runc 1.1 does not know the mode ignore
def test_cgroup(counter):
    """Limits of the configuration, and another path with --manage-cgroups-mode ignore."""
    b = counter.box
    b.c["linux"]["resources"] = {"pids": {"limit": 77}}
    b.c["linux"]["cgroupsPath"] = "/" + b.id + "-one"
    counter.start()

    def move():
        b.c["linux"]["cgroupsPath"] = "/" + b.id + "-two"
        b.write()

    s = counter.cycle(dump=("--manage-cgroups-mode", "ignore"), restore=("--manage-cgroups-mode", "ignore"), between=move)
    paths = [line.rsplit(":", 1)[1] for line in Path(f"/proc/{s['pid']}/cgroup").read_text().split()]
    assert f"/{b.id}-two" in paths and f"/{b.id}-one" not in paths
    limits = [p.read_text().strip() for p in Path("/sys/fs/cgroup").glob(f"**/{b.id}-two/pids.max")]
    assert limits == ["77"]


@pytest.mark.parametrize("mode", ["soft", "full", "strict", pytest.param("ignore", marks=pytest.mark.skiff_only)])
def test_cgroup_modes(counter, mode):
    b = counter.box
    counter.start()
    s = counter.cycle(dump=("--manage-cgroups-mode", mode), restore=("--manage-cgroups-mode", mode))
    own = [line for line in Path(f"/proc/{s['pid']}/cgroup").read_text().split() if line.endswith("/" + b.id)]
    assert own
    b.rt("delete", "--force", b.id)
    assert b.has_traces() == []


def test_cgroup_namespace(counter):
    ns = counter.box.c["linux"]["namespaces"]
    if {"type": "cgroup"} not in ns:  # it is in the default configuration under cgroup v2
        ns.append({"type": "cgroup"})
    counter.start()
    counter.cycle()


def test_user_namespace(counter):
    b = counter.box
    subprocess.run(["chown", "-hR", "100000:100000", str(b.rootfs)], check=True)
    m = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    b.c["linux"]["namespaces"].append({"type": "user"})
    b.c["linux"]["uidMappings"] = b.c["linux"]["gidMappings"] = m
    if not IS_SKIFF:  # it makes a directory that the mapped root may not search
        counter.images.mkdir(mode=0o711)
    counter.start()
    s = counter.cycle()
    assert Path(f"/proc/{s['pid']}/uid_map").read_text().split() == ["0", "100000", "65536"]
    assert not counter.images.stat().st_mode & 0o007 or not IS_SKIFF  # memory, in files that all may read
    r = b.exec("id", "-u")
    assert r.stdout.strip() == "0", r.stderr


@pytest.fixture
def netns():
    name = "skftest" + uuid.uuid4().hex[:8]
    if not shutil.which("ip") or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        pytest.skip("ip netns add does not work here")
    yield "/var/run/netns/" + name
    subprocess.run(["ip", "netns", "del", name], check=True)


def test_external_network_namespace(counter, netns):
    b = counter.box
    for ns in b.c["linux"]["namespaces"]:
        if ns["type"] == "network":
            ns["path"] = netns
    counter.start()
    for _ in range(2):
        s = counter.cycle()
        assert os.stat(f"/proc/{s['pid']}/ns/net").st_ino == os.stat(netns).st_ino


def test_external_namespaces_of_others(counter):
    """uts and ipc of another process, joined by path."""
    b = counter.box
    holder = subprocess.Popen(["unshare", "-u", "-i", "sleep", "100"])
    try:
        wait_for(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n")
        for ns in b.c["linux"]["namespaces"]:
            if ns["type"] in ("uts", "ipc"):
                ns["path"] = f"/proc/{holder.pid}/ns/{ns['type']}"
        b.c.pop("hostname", None)
        counter.start()
        s = counter.cycle()
        for t in ("uts", "ipc"):
            assert os.readlink(f"/proc/{s['pid']}/ns/{t}") == os.readlink(f"/proc/{holder.pid}/ns/{t}")
    finally:
        holder.kill()
        holder.wait()


def test_exec_survives(counter):
    """A background process of an exec is part of the container."""
    b = counter.box
    counter.start()
    r = b.exec("sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
    pid = r.stdout.strip()
    counter.cycle()
    assert b.exec("cat", f"/proc/{pid}/comm").stdout == "sleep\n"


def copy_program(name, root):
    """A program of the host with its libraries."""
    path = shutil.which(name)
    if not path:
        pytest.skip(name + " is not installed")
    files = [path] + [w for w in subprocess.run(["ldd", path], capture_output=True, text=True).stdout.split() if w.startswith("/")]
    for f in files:
        to = Path(str(root) + f)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f, to)
    return path


def test_file_locks(counter):
    b = counter.box
    flock = copy_program("flock", b.rootfs)
    (b.rootfs / "desk" / "lock").touch()
    b.p["args"] = [flock, "/desk/lock", "sh", "-c", COUNT]
    counter.start()
    counter.number(2)
    r = counter.checkpoint()
    assert r.returncode != 0
    assert b.state()["status"] == "running"
    if IS_SKIFF:
        assert "lock" in r.stderr and str(counter.work / "dump.log") in r.stderr
    counter.cycle(dump=("--file-locks",), restore=("--file-locks",))
    assert b.exec(flock, "-n", "/desk/lock", "true").returncode == 1  # still held


def need_tcp(saved, r):
    """Criu before 4.2 asks a kernel from 6.16 on for options of a socket that are not there any more."""
    if r.returncode != 0 and ("Can't get 1:16 opt" in saved.errors() or "iptables" in saved.errors()):
        pytest.skip("this criu cannot save TCP sockets on this kernel (or lock the network): use 4.2 or newer")


TCP = ("nc -l -p 5555 -e sh -c 'while read x; do echo $x > /desk/n.new; mv /desk/n.new /desk/n; done' & "
       "sleep 0.3; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done | nc 127.0.0.1 5555")


def test_tcp_established(counter):
    """Both ends of a connection are in the container: it lives on over its loopback device."""
    b = counter.box
    b.p["args"] = ["sh", "-c", TCP]
    counter.start()
    counter.number(2)
    r = counter.checkpoint()
    assert r.returncode != 0 and b.state()["status"] == "running"
    n = counter.number(5)
    r = counter.checkpoint("--tcp-established")
    need_tcp(counter, r)
    counter.ok(r)
    r = counter.restore("--tcp-established")
    if not IS_SKIFF:
        pytest.skip("the loopback device of the restored namespace is down")
    counter.ok(r)
    counter.number(n + 5)


@pytest.mark.skiff_only
def test_tcp_close(counter):
    b = counter.box
    b.p["args"] = ["sh", "-c", TCP + "; echo 100000 > /desk/n; sleep 100"]
    counter.start()
    counter.number(2)
    r = counter.checkpoint("--tcp-established", "--network-lock", "skip")
    need_tcp(counter, r)
    counter.ok(r)
    counter.ok(counter.restore("--tcp-close"))
    counter.number(100000)


# --- terminals ---
class ConsoleSocket:
    def __init__(self, d):
        self.path = str(d / "console.sock")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(1)
        self.sock.settimeout(20)
        self.fd = None
        self.thread = threading.Thread(target=self.take)
        self.thread.start()

    def take(self):
        try:
            c = self.sock.accept()[0]
        except OSError:
            return
        fds = array.array("i")
        _, anc, _, _ = c.recvmsg(64, socket.CMSG_LEN(4 * fds.itemsize))
        for level, kind, data in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        c.close()
        self.fd = fds[0]

    def master(self):
        self.thread.join(20)
        self.sock.close()
        os.unlink(self.path)
        assert self.fd is not None
        return self.fd


def test_console_socket(counter):
    b = counter.box
    b.p["terminal"] = True
    b.p["args"] = ["sh", "-c", "x=begin; while :; do echo $x; read x; done"]
    b.write()
    c = ConsoleSocket(b.dir)
    r = b.rt("run", "-d", "--console-socket", c.path, "--bundle", str(b.bundle), b.id)
    assert r.returncode == 0, r.stderr
    m = c.master()
    assert b"begin" in read_until(m, b"begin")
    for word in (b"one", b"two"):
        counter.ok(counter.checkpoint())
        os.close(m)
        c = ConsoleSocket(b.dir)
        counter.ok(counter.restore("--console-socket", c.path))
        m = c.master()
        os.write(m, word + b"\n")
        assert read_until(m, word + b"\n" + word) == word + b"\n" + word  # echo and answer
    assert b.exec("cat", "/proc/1/comm").stdout == "sh\n"
    b.rt("delete", "--force", b.id)
    os.close(m)


@pytest.mark.skiff_only
def test_terminal_in_the_foreground(counter):
    """Without -d the caller's terminal is connected to the container's."""
    b = counter.box
    b.p["terminal"] = True
    b.p["args"] = ["sh", "-c", "x=begin; while :; do echo is-$x; read x; [ $x = end ] && exit 5; done"]
    b.write()
    c = ConsoleSocket(b.dir)
    assert b.rt("run", "-d", "--console-socket", c.path, "--bundle", str(b.bundle), b.id).returncode == 0
    m = c.master()
    read_until(m, b"is-begin")
    counter.ok(counter.checkpoint())
    os.close(m)
    m, s = pty.openpty()
    p = subprocess.Popen(counter.restore_cmd(), stdin=s, stdout=s, stderr=s)
    wait_for(lambda: b.rt("state", b.id).returncode == 0 and b.state()["status"] == "running")
    time.sleep(0.2)
    os.write(m, b"hello\n")
    assert b"is-hello" in read_until(m, b"is-hello")
    os.write(m, b"end\n")
    assert p.wait(10) == 5
    os.close(m)
    os.close(s)
    counter.gone()


@pytest.mark.skiff_only
def test_terminal_needs_a_taker(counter):
    b = counter.box
    b.p["terminal"] = True
    b.write()
    r = counter.restore()
    assert r.returncode == 1 and "console socket" in r.stderr


@pytest.mark.skiff_only  # runc hands the terminal to a console socket that there is not
def test_shell_job(counter):
    """Standard streams on the caller's terminal: needs --shell-job, and gets the terminal of the restore."""
    b = counter.box
    b.p["args"] = ["sh", "-c", "x=begin; while :; do echo is-$x; read x; done"]
    b.write()
    m, s = pty.openpty()
    r = b.rt("run", "-d", "--bundle", str(b.bundle), b.id, stdin=s, stdout=s, stderr=s, start_new_session=True)
    assert r.returncode == 0
    assert b"is-begin" in read_until(m, b"is-begin")
    r = counter.checkpoint()
    assert r.returncode != 0 and b.state()["status"] == "running"
    counter.ok(counter.checkpoint("--shell-job"))
    os.close(m)
    os.close(s)
    m, s = pty.openpty()
    counter.ok(counter.restore("--shell-job", stdin=s, stdout=s, stderr=s, start_new_session=True))
    os.write(m, b"again\n")
    assert b"is-again" in read_until(m, b"is-again")
    b.rt("delete", "--force", b.id)
    os.close(m)
    os.close(s)


# --- hooks ---
def test_hooks(counter):
    b = counter.box
    log = b.dir / "hooks"
    script = b.dir / "hook"
    script.write_text(f"#!/bin/sh\necho \"$1 $(cat)\" >> {log}\n")
    script.chmod(0o755)
    b.c["hooks"] = {k: [{"path": str(script), "args": ["hook", k]}]
                    for k in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")}
    b.c["hooks"].pop("createContainer")
    b.c["hooks"].pop("startContainer")  # they run inside
    counter.start()
    counter.number(2)
    log.unlink()
    counter.ok(counter.checkpoint())
    lines = log.read_text().splitlines()
    assert [x.split()[0] for x in lines] == ["poststop"]
    log.unlink()
    counter.ok(counter.restore())
    lines = [x.split(" ", 1) for x in log.read_text().splitlines()]
    want = ["prestart", "createRuntime"] + (["poststart"] if IS_SKIFF else [])
    assert [x[0] for x in lines] == want
    docs = [json.loads(x[1]) for x in lines]
    assert all(d["id"] == b.id and d["pid"] == b.state()["pid"] for d in docs)
    if IS_SKIFF:
        assert [d["status"] for d in docs] == ["creating", "creating", "running"]


@pytest.mark.parametrize("stage", ["prestart", "createRuntime"])
def test_failing_hook_undoes_the_restore(counter, stage):
    b = counter.box
    counter.start()
    counter.number(2)
    counter.ok(counter.checkpoint())
    b.c["hooks"] = {stage: [{"path": "/bin/sh", "args": ["sh", "-c", "echo told you >&2; exit 3"]}]}
    b.write()
    r = counter.restore()
    assert r.returncode != 0
    if IS_SKIFF:
        assert stage in r.stderr and "told you" in r.stderr
    counter.gone()
    b.c.pop("hooks")
    b.write()
    counter.ok(counter.restore())


@pytest.mark.skiff_only
def test_failing_poststart_hook_undoes_the_restore(counter):
    b = counter.box
    counter.start()
    counter.number(2)
    counter.ok(counter.checkpoint())
    b.c["hooks"] = {"poststart": [{"path": "/bin/false"}]}
    b.write()
    assert counter.restore().returncode == 1
    counter.gone()


# --- configuration file ---
def test_criu_config(counter):
    b = counter.box
    conf = b.dir / "criu.conf"
    conf.write_text("log-file=other.log\n")
    b.c["annotations"] = {"org.criu.config": str(conf)}
    counter.start()
    counter.cycle()
    assert (counter.work / "other.log").exists() and not (counter.work / "dump.log").exists()


# --- lazy pages and page server ---
def test_lazy_pages(counter, criu):
    """The memory stays with the checkpoint, which serves it to the restored container; then it ends."""
    b = counter.box
    b.p["args"] = ["sh", "-c", "i=0; while read x; do i=$((i+1)); echo $i-$x; done"]
    b.write()
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    assert b.rt("run", "-d", "--bundle", str(b.bundle), b.id, stdin=in_r, stdout=out_w, stderr=out_w).returncode == 0
    os.write(in_w, b"a\n")
    assert read_until(out_r, b"1-a").endswith(b"1-a")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    ignore = ("--manage-cgroups-mode", "ignore") if IS_SKIFF else ()  # runc 1.1 does not know it
    status_r, status_w = os.pipe()
    args = b.cmd("checkpoint", "--lazy-pages", "--page-server", f"0.0.0.0:{port}", "--status-fd", str(status_w), *ignore,
                 "--image-path", str(counter.images), "--work-path", str(counter.work), b.id)
    dump = subprocess.Popen(args, pass_fds=[status_w], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.close(status_w)
    server = None
    lazy = b.dir / "lazy"
    lazy.mkdir()
    old = b.id
    try:
        if not select.select([status_r], [], [], 20)[0] or os.read(status_r, 1) != b"\0":
            out = dump.communicate(timeout=20)[0]
            if "userfaultfd" in out or "missing features" in out:
                pytest.skip("the kernel has no userfaultfd that criu can use")
            raise AssertionError(out + counter.errors())
        server = subprocess.Popen([criu, "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", str(port),
                                   "-D", str(counter.images), "-W", str(lazy)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: (lazy / "lazy-pages.socket").exists())
        b.id = old + "-lazy"  # the first one is still there: another name and cgroup
        r = counter.restore("--lazy-pages", *ignore, work=lazy, stdin=in_r, stdout=out_w, stderr=out_w)
        if r.returncode != 0 and "page-pipe: splice" in counter.errors():
            pytest.skip("criu's page server does not work on this kernel (splice to no descriptor), whatever the runtime")
        counter.ok(r)
        os.write(in_w, b"b\n")
        assert read_until(out_r, b"2-b") == b"2-b"
        assert dump.wait(20) == 0, dump.stdout.read() + counter.errors()
        assert server.wait(20) == 0
    finally:
        for p in (dump, server):
            if p and p.poll() is None:
                p.kill()
                p.wait()
        b.rt("delete", "--force", b.id)
        b.id = old
        b.rt("delete", "--force", b.id)
        for fd in (in_r, in_w, out_r, out_w, status_r):
            os.close(fd)


@pytest.mark.skiff_only
def test_page_server_and_other_words(counter):
    b = counter.box
    counter.start()
    counter.number(2)
    for opts, what in ((("--page-server", "nowhere"), "--page-server"), (("--page-server", "a:99999"), "--page-server"),
                       (("--manage-cgroups-mode", "maybe"), "--manage-cgroups-mode"), (("--network-lock", "rope"), "--network-lock"),
                       (("--empty-ns", "pid"), "--empty-ns"), (("--status-fd", "77"), "--status-fd")):
        r = counter.checkpoint(*opts)
        assert r.returncode == 1 and what in r.stderr, (opts, r.stderr)
    assert b.state()["status"] == "running"
    counter.cycle(dump=("--empty-ns", "network", "--auto-dedup", "--link-remap", "--ext-unix-sk", "--tcp-skip-in-flight"),
                  restore=("--empty-ns", "network", "--ext-unix-sk"))


# --- failures ---
def test_wrong_status(counter):
    b = counter.box
    assert counter.checkpoint().returncode != 0  # there is none
    assert b.create().returncode == 0
    assert counter.checkpoint().returncode != 0
    assert b.state()["status"] == "created"
    b.rt("start", b.id)
    b.rt("kill", b.id, "KILL")
    b.wait_stopped()
    assert counter.checkpoint().returncode != 0


def test_restore_failures(counter):
    b = counter.box
    b.write()
    assert counter.restore(images=b.dir / "nowhere").returncode != 0
    empty = b.dir / "empty"
    empty.mkdir()
    assert counter.restore(images=empty).returncode != 0
    assert not (b.state_root / b.id).exists()
    counter.start()
    counter.number(2)
    counter.ok(counter.checkpoint("--leave-running"))
    assert counter.restore().returncode != 0  # the id is in use
    assert b.state()["status"] == "running"
    counter.number(4)


@pytest.mark.skiff_only
def test_broken_image_says_why(counter):
    b = counter.box
    counter.start()
    counter.number(2)
    counter.ok(counter.checkpoint())
    for f in counter.images.glob("core-*.img"):
        f.write_bytes(b"nonsense")
    r = counter.restore()
    assert r.returncode == 1
    assert "cannot restore container" in r.stderr and str(counter.work / "restore.log") in r.stderr
    assert "Magic" in r.stderr or "image" in r.stderr
    counter.gone()


@pytest.mark.skiff_only
@pytest.mark.parametrize("doc", ["", "[", "{}", "[1]", "null", "[\"a\",\"b\"]}"])
def test_broken_descriptors(counter, doc):
    b = counter.box
    b.write()
    counter.images.mkdir()
    (counter.images / "descriptors.json").write_text(doc)
    r = counter.restore()
    assert r.returncode == 1 and "descriptors.json" in r.stderr
    counter.gone()


@pytest.mark.skiff_only
def test_without_criu(counter, monkeypatch):
    b = counter.box
    counter.start()
    empty = b.dir / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    for r in (counter.checkpoint(), counter.restore()):
        assert r.returncode == 1 and "'criu'" in r.stderr and "PATH" in r.stderr
    for text, what in (("#!/bin/sh\nexit 0\n", "criu"), ("#!/nowhere\n", "criu"), ("#!/bin/sh\necho x >&3\n", "criu")):
        (empty / "criu").write_text(text)
        (empty / "criu").chmod(0o755)
        r = counter.checkpoint()
        assert r.returncode == 1 and what in r.stderr
    assert b.state()["status"] == "running"


@pytest.mark.skiff_only
def test_criu_dies(counter, monkeypatch, criu):
    """Criu that is killed in the middle of a restore leaves nothing."""
    b = counter.box
    counter.start()
    counter.number(2)
    counter.ok(counter.checkpoint())
    b.c["hooks"] = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", f"touch {b.dir}/there; sleep 1"]}]}
    b.write()
    p = subprocess.Popen(counter.restore_cmd("-d"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (b.dir / "there").exists())
    children = Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
    program = os.path.realpath(f"/proc/{children[0]}/exe")  # criu, or the loader that it was started with
    assert "criu" in program or "ld-linux" in program
    os.kill(int(children[0]), 9)
    err = p.communicate(timeout=30)[1]
    assert p.returncode == 1 and "criu" in err
    counter.gone()


@pytest.mark.skiff_only
def test_killed_restore_is_deleted_by_its_journal(counter):
    b = counter.box
    counter.start()
    counter.number(2)
    counter.ok(counter.checkpoint())
    b.c["hooks"] = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", f"touch {b.dir}/there; sleep 2"]}]}
    b.write()
    p = subprocess.Popen(counter.restore_cmd("-d"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (b.dir / "there").exists())
    p.kill()
    p.wait()
    with open("/proc/self/mountinfo") as f:
        assert "criu-root" not in f.read()  # the host never saw the mount
    r = b.rt("delete", "--force", b.id)
    assert r.returncode == 0, r.stderr
    counter.gone()


# --- images of others ---
@pytest.mark.skiff_only
@pytest.mark.parametrize("saver,restorer", [("runc", RUNTIME), (RUNTIME, "runc")], ids=["from-runc", "to-runc"])
def test_images_of_runc(counter, saver, restorer):
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    b = counter.box
    b.c["mounts"].append({"destination": "/data", "type": "bind", "source": str(b.dir), "options": ["bind"]})
    if restorer == "runc":  # it does not know all hierarchies of a hybrid host
        b.c["mounts"] = [m for m in b.c["mounts"] if m["type"] != "cgroup"]
    b.write()

    def rt(program, *args):
        return subprocess.run([program, "--root", str(b.dir / ("state-" + Path(program).name)), *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if args[0] == "checkpoint" else subprocess.DEVNULL, timeout=60)

    try:
        assert rt(saver, "run", "-d", "--bundle", str(b.bundle), b.id).returncode == 0
        n = counter.number(3)
        dirs = ("--image-path", str(counter.images), "--work-path", str(counter.work))
        r = rt(saver, "checkpoint", *dirs, b.id)
        assert r.returncode == 0, r.stderr
        r = rt(restorer, "restore", "-d", "--bundle", str(b.bundle), *dirs, b.id)
        assert r.returncode == 0, counter.errors()
        counter.number(n + 2)
    finally:
        for program in {saver, restorer}:
            rt(program, "delete", "--force", b.id)


def test_configuration_of_another_name(counter):
    """create --config: what the checkpoint has to know about the container is not in the bundle's config.json."""
    b = counter.box
    (b.dir / "data").mkdir()
    b.c["mounts"].append({"destination": "/data", "type": "bind", "source": str(b.dir / "data"), "options": ["rbind"]})
    b.write()
    (b.bundle / "config.json").rename(b.bundle / "other.json")
    null = subprocess.DEVNULL
    name = ("--config", "other.json" if IS_SKIFF else str(b.bundle / "other.json"))
    assert b.rt("run", "-d", *name, "--bundle", str(b.bundle), b.id, stdout=null, stderr=null).returncode == 0
    counter.cycle(restore=name)
    counter.ok(counter.checkpoint())  # of the restored one, too
    r = counter.restore()
    assert r.returncode != 0 and "config.json" in r.stderr


def test_notify_socket(counter, manager):
    """The place of NOTIFY_SOCKET is a mount from outside. A manager that restores is told that its service runs."""
    path, got = manager
    b = counter.box
    build_say(b)
    b.p["args"] = ["sh", "-c", "until [ -e /desk/go ]; do sleep 0.05; done; say; " + COUNT]
    b.write()
    null = subprocess.DEVNULL
    told = {**os.environ, "NOTIFY_SOCKET": path}
    assert b.rt("create", "--bundle", str(b.bundle), b.id, env=told, stdout=null, stderr=null).returncode == 0
    assert b.rt("start", b.id).returncode == 0
    counter.ok(counter.checkpoint())
    counter.ok(counter.restore())  # nobody asks: it comes back all the same
    counter.ok(counter.checkpoint())
    assert got == []
    counter.ok(counter.restore(env=told))
    pid = b.state()["pid"]
    assert "".join(got).startswith(f"READY=1\nMAINPID={pid}\n"), got
    (Path(b.rootfs) / "desk" / "go").touch()
    counter.number(1)  # its message has a place to go to


def test_preserved_pipe(counter):
    """A pipe that was handed over with --preserve-fds is replaced as a standard stream is."""
    b = counter.box
    b.p["args"] = ["sh", "-c", "while read x; do echo got $x >&3; done"]
    b.write()
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()

    def call(cmd, out):
        null = subprocess.DEVNULL
        return subprocess.run(["bash", "-c", f'exec "$@" 3>&{out} {out}>&-', "bash", *cmd], stdin=in_r, pass_fds=(out,),
                              stdout=null, stderr=null, timeout=60)

    keep = ("--preserve-fds", "1")
    assert call(b.cmd("run", "-d", *keep, "--bundle", str(b.bundle), b.id), out_w).returncode == 0
    os.write(in_w, b"one\n")
    assert read_until(out_r, b"one") == b"got one"
    counter.ok(counter.checkpoint())
    os.close(out_r)
    os.close(out_w)
    out_r, out_w = os.pipe()
    assert call(counter.restore_cmd("-d", *keep), out_w).returncode == 0, counter.errors()
    os.close(out_w)
    os.write(in_w, b"two\n")
    assert read_until(out_r, b"two") == b"got two"
    for fd in (in_r, in_w, out_r):
        os.close(fd)
    b.wait_stopped()
