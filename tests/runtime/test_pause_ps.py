"""pause, resume and ps, and what a paused container refuses."""
import json
import subprocess
import time

import pytest


def test_pause_and_resume(box):
    box.start("sh", "-c", "while :; do echo x >>/tmp/ticks; sleep 0.05; done")
    assert box.rt("pause", box.id).returncode == 0
    assert box.state()["status"] == "paused"
    r = box.rt("resume", box.id)
    assert r.returncode == 0, r.stderr
    assert box.state()["status"] == "running"


def test_paused_processes_stand_still(box):
    root = box.own_rootfs()
    box.start("sh", "-c", "while :; do echo x >>/desk/ticks; sleep 0.01; done")
    ticks = root / "desk" / "ticks"
    box.wait_until(lambda: ticks.exists() and ticks.stat().st_size > 0)
    assert box.rt("pause", box.id).returncode == 0
    before = ticks.stat().st_size
    time.sleep(0.2)
    assert ticks.stat().st_size == before
    assert box.rt("resume", box.id).returncode == 0
    box.wait_until(lambda: ticks.stat().st_size > before)


def test_wrong_status(box):
    for verb in ("pause", "resume"):
        r = box.rt(verb, box.id)
        assert r.returncode == 1 and "does not exist" in r.stderr
    box.start("sleep", "100")
    r = box.rt("resume", box.id)
    assert r.returncode == 1 and "not paused" in r.stderr
    box.rt("kill", box.id, "KILL")
    box.wait_stopped()
    r = box.rt("pause", box.id)
    assert r.returncode == 1 and "not running" in r.stderr


def test_pause_twice(box):
    box.start("sleep", "100")
    assert box.rt("pause", box.id).returncode == 0
    assert box.rt("pause", box.id).returncode == 1
    assert box.rt("delete", "--force", box.id).returncode == 0


@pytest.mark.skiff_only
def test_created_container_can_be_paused(box):
    box.create("sleep", "100")
    assert box.rt("pause", box.id).returncode == 0
    assert box.state()["status"] == "paused"
    assert box.rt("start", box.id).returncode == 1
    assert box.rt("resume", box.id).returncode == 0
    assert box.state()["status"] == "created"
    assert box.rt("start", box.id).returncode == 0


def test_ps_json_has_host_pids(box):
    box.start("sh", "-c", "sleep 100 & sleep 100 & wait")
    def pids():
        r = box.rt("ps", "--format", "json", box.id)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)
    box.wait_until(lambda: len(pids()) == 3)
    assert box.state()["pid"] in pids()


@pytest.mark.skiff_only
def test_ps_table(box):
    box.start("sleep", "98765")
    r = box.rt("ps", box.id)
    assert r.returncode == 0, r.stderr
    lines = r.stdout.splitlines()
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"]
    assert len(lines) == 2 and lines[1].endswith("sleep 98765") and str(box.state()["pid"]) in lines[1].split()
    r = box.rt("ps", box.id, "-e", "-x")
    assert r.returncode == 0 and r.stdout.split()[:2] == ["PID", "TTY"] and len(r.stdout.splitlines()) == 2
    r = box.rt("ps", box.id, "-e", "-o", "comm")
    assert r.returncode == 1 and "couldn't find PID field" in r.stderr
    r = box.rt("ps", box.id, "--nosuch")
    assert r.returncode == 1 and "ps' failed" in r.stderr


@pytest.mark.skiff_only
def test_ps_without_ps(box):
    box.start("sleep", "100")
    r = box.rt("ps", box.id, env={"PATH": "/nowhere"})
    assert r.returncode == 0 and r.stdout == f"PID\n{box.state()['pid']}\n"
    r = box.rt("ps", box.id, "-ef", env={"PATH": "/nowhere"})
    assert r.returncode == 1 and "no ps(1)" in r.stderr


@pytest.mark.skiff_only
def test_ps_of_stopped_is_empty(box):
    box.start("true")
    box.wait_stopped()
    r = box.rt("ps", "--format=json", box.id)
    assert r.returncode == 0 and json.loads(r.stdout) == []
    assert box.rt("ps", box.id).returncode == 0
    assert box.rt("ps", "--format", "xml", box.id).returncode == 1


@pytest.mark.skiff_only
def test_without_cgroup(box):
    box.p["args"] = ["sleep", "100"]
    box.write()
    assert box.rt("run", "-d", "-b", str(box.bundle), box.id, glob=["--cgroup-manager=disabled"], stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL).returncode == 0
    for args in (["pause", box.id], ["ps", box.id], ["update", "--memory", "64M", box.id]):
        r = box.rt(*args)
        assert r.returncode == 1 and "no cgroup" in r.stderr
