"""NOTIFY_SOCKET and LISTEN_FDS: containers as services of a manager that speaks sd_notify(3) and sd_listen_fds(3), as with runc."""
import os
import subprocess

import pytest

from conftest import IS_SKIFF
from notifylib import build_say, manager  # noqa: F401


def service(box, then):
    build_say(box)
    return ["sh", "-c", then]


def env(path, **more):
    return {**os.environ, "NOTIFY_SOCKET": path, **more}


def test_start_waits_for_ready(box, manager):
    path, got = manager
    args = service(box, "sleep 1; say && exec sleep 100")
    assert box.create(*args, env=env(path)).returncode == 0
    assert got == []
    r = box.rt("start", box.id, env=env(path))
    assert r.returncode == 0, r.stderr
    pid = box.state()["pid"]
    assert "READY=1" in "".join(got) and f"MAINPID={pid}\n" in "".join(got), got
    assert "FDSTORE" not in "".join(got) and "MAINPID=1\n" not in "".join(got)
    if IS_SKIFF:
        assert "STATUS=up\n" in "".join(got)


def test_detached_run(box, manager):
    path, got = manager
    r = box.run(*service(box, "say && exec sleep 100"), opts=("--detach",), env=env(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    assert "READY=1" in "".join(got)


def test_foreground_run(box, manager):
    path, got = manager
    r = box.run(*service(box, "say && sleep 0.5; echo end"), env=env(path))
    assert r.returncode == 0 and r.stdout == "end\n", r.stderr
    assert "READY=1" in "".join(got)


def test_never_ready(box, manager):
    path, got = manager
    assert box.create(*service(box, "exit 3"), env=env(path)).returncode == 0
    assert box.rt("start", box.id, env=env(path), timeout=30).returncode == 0
    assert "READY" not in "".join(got)


def test_user_namespace(box, manager):
    path, got = manager
    args = service(box, "say && exec sleep 100")
    root = box.rootfs
    box.own_rootfs = lambda: root
    box.userns()
    box.c["root"]["path"] = str(root)
    assert box.create(*args, env=env(path)).returncode == 0
    assert box.rt("start", box.id, env=env(path)).returncode == 0
    assert "READY=1" in "".join(got)


@pytest.mark.skiff_only
def test_without_a_manager_there_is_none(box):
    r = box.sh("echo ${NOTIFY_SOCKET-none}; cut -d' ' -f5 /proc/self/mountinfo | grep -c notify")  # names of the host are in field 4
    assert r.stdout == "none\n0\n", r


@pytest.mark.skiff_only
def test_names_of_activated_sockets(box):
    box.p["args"] = ["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES"]
    box.write()
    shell = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$@" 3<&0'
    out = subprocess.run(["sh", "-c", shell, "sh", *box.cmd("run", "--bundle", str(box.bundle), box.id)], capture_output=True, text=True, timeout=60)
    assert out.stdout == "1 1 web\n", out.stderr
