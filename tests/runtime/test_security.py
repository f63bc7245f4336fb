"""Escapes through our own process: T01 (program file), T09 (working directory), T10 (descriptors). Attacks of research part B."""
import hashlib
import os
import socket
import subprocess
import time

import pytest

pytestmark = pytest.mark.skiff_only


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


@pytest.fixture
def runtime_copy(box):
    """The binary under test is a copy, in case an attack succeeds."""
    import conftest
    import shutil

    copy = box.dir / "skiff-oci"
    shutil.copy(conftest.RUNTIME, copy)
    old = box.cmd
    box.cmd = lambda *a, glob=(): [str(copy), *old(*a, glob=glob)[1:]]
    before = digest(copy)
    yield copy
    assert digest(copy) == before


# Runs in a root file system and a pid namespace of its own, against a copy of the runtime: nothing of the host is within reach, and files are only
# opened for writing, never written. Follows each process's exe link, keeps what is not busybox, tries to open it again for appending.
ATTACK = """
end=$(( $(date +%s) + $1 )); caught=
while [ $(date +%s) -lt $end ]; do
	i=0
	while [ $i -lt 200 ]; do
		i=$((i + 1))
		for p in /proc/[0-9]*; do
			[ -n "$caught" ] || [ $p/exe -ef /bin/busybox ] || ! [ -r $p/exe ] || { exec 9<$p/exe && caught=1; } 2>/dev/null
		done
		[ -z "$caught" ] || ! true 2>/dev/null >>/proc/self/fd/9 || echo ESCAPED
	done
done
echo done $caught
"""


def strong_attacker(box):
    """Root of the host's user namespace with the capabilities that reach furthest, in a root of its own."""
    box.own_rootfs()
    some = ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_FOWNER"]
    box.p["capabilities"] = {k: some for k in ("bounding", "effective", "permitted")}
    box.p["noNewPrivileges"] = False
    assert any(n == {"type": "pid"} for n in box.c["linux"]["namespaces"])


def test_t01_exec_is_watched_by_an_attacker(box, runtime_copy):
    strong_attacker(box)
    out = box.dir / "attack.out"
    with open(out, "w") as f:
        assert box.create("sh", "-c", ATTACK, "sh", "4", stdout=f).returncode == 0
    assert box.rt("start", box.id).returncode == 0
    for n in range(60):  # the attacker gives up by the clock, which may be before that on a busy machine
        if (r := box.exec("true")).returncode != 0:
            assert box.state()["status"] == "stopped", r.stderr
            break
    assert n > 5
    box.wait_stopped(15)
    text = out.read_text()
    assert "done" in text and "ESCAPED" not in text


@pytest.mark.parametrize("how", ["args0", "script", "nested"])
def test_t01_workload_is_proc_self_exe(box, runtime_copy, how):
    root = box.own_rootfs()
    # our own binary inside the container needs its loader, which the attacker provides
    for lib in ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"):
        to = root / lib.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(open(lib, "rb").read())
        to.chmod(0o755)
    (root / "bin" / "evil").write_text("#!/proc/self/exe\n")
    (root / "bin" / "nested").write_text("#!/bin/evil\n")
    for n in ("evil", "nested"):
        (root / "bin" / n).chmod(0o755)
    r = box.run({"args0": "/proc/self/exe", "script": "evil", "nested": "nested"}[how], "--help")
    # it may run or not; what it ran from can never be opened for writing
    if r.returncode == 0:
        assert "skiff-oci" in r.stdout


def test_t01_handle_is_read_only(box, runtime_copy):
    """While init waits (its program is still ours): opening its exe for writing must fail for a root of the host, with EROFS once nobody executes it."""
    assert box.create("sleep", "100").returncode == 0
    pid = box.state()["pid"]
    fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    ours, theirs = os.stat(runtime_copy), os.fstat(fd)
    # an inode of its own: a refused open for writing of the host's would make other starts fail with ETXTBSY
    assert (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)
    with pytest.raises(OSError):
        os.open(f"/proc/{pid}/exe", os.O_WRONLY)
    assert box.rt("delete", "--force", box.id).returncode == 0
    time.sleep(0.1)
    with pytest.raises(OSError) as e:
        os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    assert e.value.errno == 30  # EROFS: not because it is busy
    os.close(fd)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 50, 1023])
def test_t09_cwd_and_program_through_descriptors(box, n):
    for d in ("/proc/self/fd", "/proc/1/fd", "/proc/thread-self/fd", "/dev/fd"):
        box.p["cwd"] = f"{d}/{n}"
        r = box.sh("pwd")
        assert r.returncode != 0, r.stdout
    box.p["cwd"] = "/"
    for arg in (f"/proc/self/fd/{n}/bin/sh", f"/proc/self/fd/{n}/../../../bin/sh"):
        assert box.run(arg, "-c", "true").returncode != 0


@pytest.mark.parametrize("n", range(3, 24))
def test_t09_exec(box, n):
    box.start("sleep", "100")
    assert box.exec("pwd", opts=["--cwd", f"/proc/self/fd/{n}"]).returncode != 0
    assert box.exec(f"/proc/self/fd/{n}/../../bin/sh", "-c", "true").returncode != 0


@pytest.mark.smoke
def test_t10_descriptors_do_not_leak(box):
    """50 descriptors of the caller, not close-on-exec: directories, sockets, memory files."""
    fds, socks = [], []
    try:
        for i in range(50):
            if i % 3 == 0:
                fds.append(os.open("/", os.O_RDONLY))
            elif i % 3 == 1:
                s = socket.socketpair()
                socks += s
                fds.append(s[0].fileno())
            else:
                fds.append(os.memfd_create("leak"))
        for fd in fds:
            os.set_inheritable(fd, True)
        list_fds = "for f in /proc/self/fd/*; do readlink $f >/dev/null && echo ${f##*/}; done"
        hook = box.dir / "hook.fds"
        box.c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"ls /proc/self/fd > {hook}"], "env": ["PATH=/bin"]}]}
        r = box.sh(list_fds, close_fds=False)
        assert set(r.stdout.split()) <= {"0", "1", "2"}, r.stdout
        assert set(hook.read_text().split()) <= {"0", "1", "2", "3"}  # 3: ls's own
        box.c.pop("hooks")
        box.start("sleep", "100", close_fds=False)
        assert sorted(os.listdir(f"/proc/{box.state()['pid']}/fd")) == ["0", "1", "2"]
        r = box.exec("sh", "-c", list_fds, close_fds=False)
        assert set(r.stdout.split()) <= {"0", "1", "2"}, r.stdout
    finally:
        for fd in fds:
            if not any(s.fileno() == fd for s in socks):
                os.close(fd)
        for s in socks:
            s.close()


def with_fd3(box, args, n=1, env=None, set_pid=False):
    """Runs args with descriptors 3.. open on a file that says hello."""
    f = box.dir / "hello"
    f.write_text("hello\n")
    open_ = "".join(f"exec {3 + i}<{f}; " for i in range(n))
    pid = "export LISTEN_PID=$$; " if set_pid else ""
    import shlex

    return subprocess.run(["bash", "-c", open_ + pid + "exec " + shlex.join(args)], capture_output=True, text=True, env={**os.environ, **(env or {})},
                          stdin=subprocess.DEVNULL)


def test_preserve_fds(box):
    box.p["args"] = ["sh", "-c", "cat <&3; ls /proc/1/fd"]
    box.write()
    r = with_fd3(box, box.cmd("run", "--preserve-fds", "1", "-b", str(box.bundle), box.id))
    assert r.stdout.split()[:5] == ["hello", "0", "1", "2", "3"], r.stderr
    box.start("sleep", "100")
    r = with_fd3(box, box.cmd("exec", "--preserve-fds", "1", box.id, "sh", "-c", "cat <&3"))
    assert r.stdout == "hello\n"


def test_listen_fds(box):
    box.p["args"] = ["sh", "-c", "cat <&3; echo $LISTEN_FDS $LISTEN_PID $$"]
    box.write()
    r = with_fd3(box, box.cmd("run", "-b", str(box.bundle), box.id), env={"LISTEN_FDS": "1"}, set_pid=True)
    assert r.stdout.split() == ["hello", "1", "1", "1"], r.stderr
    r = with_fd3(box, box.cmd("run", "-b", str(box.bundle), box.id), env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert "hello" not in r.stdout


def test_closed_stdio(box):
    box.p["args"] = ["sh", "-c", "ls /proc/1/fd > /desk/fds; true"]
    box.own_rootfs()
    box.write()
    import shlex

    r = subprocess.run(["bash", "-c", "exec 0<&- 1>&- 2>&-; exec " + shlex.join(box.cmd("run", "-b", str(box.bundle), box.id))])
    assert r.returncode == 0
    assert {"0", "1", "2"} <= set((box.rootfs / "desk" / "fds").read_text().split())
