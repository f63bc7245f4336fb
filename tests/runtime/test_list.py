"""list, state, and kill and delete of several containers."""
import json
import os
import re
import subprocess

import pytest


@pytest.fixture
def two(box_factory):
    """Two running containers under one root; ids sort in this order."""
    a, b = box_factory(), box_factory()
    b.state_root = a.state_root
    a.id, b.id = a.id + "-a", a.id + "-b"
    for x in (a, b):
        x.start("sleep", "100")
    return a, b


def test_table(two):
    r = two[0].rt("list")
    lines = r.stdout.splitlines()
    assert re.fullmatch(r"(ID|NAME) +PID +STATUS +BUNDLE( PATH)? +CREATED +OWNER", lines[0])
    for line, box in zip(lines[1:], two):
        f = line.split()
        assert f[:4] == [box.id, str(box.state()["pid"]), "running", str(box.bundle)] and f[5] == "root"


def test_json(two):
    r = two[0].rt("list", "--format", "json")
    assert r.stdout.count("\n") <= 1 or "crun" in two[0].cmd()[0]
    d = json.loads(r.stdout)
    assert [x["id"] for x in d] == [x.id for x in two]
    for x in d:
        assert x["status"] == "running" and x["pid"] > 0 and x["owner"] == "root"


@pytest.mark.skiff_only
def test_order_of_members(two):
    r = two[0].rt("list", "-f", "json")
    one = rf'\{{"ociVersion":"[0-9.]+","id":"%s","pid":[0-9]+,"status":"running","bundle":"[^"]+","rootfs":"[^"]+","created":"[^"]+",.*\}}'
    assert re.match(r"\[" + one % two[0].id + "," + one % two[1].id + r"\]", r.stdout)


def test_quiet(two):
    assert two[0].rt("list", "-q").stdout.split() == [x.id for x in two]


def test_none(box):
    box.state_root.mkdir()
    assert len(box.rt("list").stdout.splitlines()) == 1
    assert json.loads(box.rt("list", "--format=json").stdout) in (None, [])
    assert box.rt("list", "-q").stdout == ""
    assert box.rt("list", "--format", "xml").returncode == 1


@pytest.mark.skiff_only
def test_missing_root(box):
    r = box.rt("list")
    assert r.returncode == 1 and "does not exist" in r.stderr
    assert not box.state_root.exists()  # looking makes nothing
    if not os.path.exists("/run/skiff-oci"):
        r = subprocess.run([box.cmd()[0], "list", "-q"], capture_output=True, text=True)
        assert (r.returncode, r.stdout) == (0, "") and not os.path.exists("/run/skiff-oci")


@pytest.mark.parametrize("status", ["created", "running", "paused", "stopped"])
def test_state(box, status):
    box.c["annotations"] = {"a.b": "c"}
    if status == "created":
        box.create("sleep", "100")
    else:
        box.start("sleep", "100")
    if status == "paused":
        box.rt("pause", box.id)
    if status == "stopped":
        box.rt("kill", box.id, "KILL")
        box.wait_stopped()
    s = box.state()
    assert s["status"] == status and s["id"] == box.id and (s["pid"] > 0) == (status != "stopped")
    assert s["bundle"] == str(box.bundle) and s["annotations"]["a.b"] == "c"
    assert os.path.isdir(s["rootfs"]) and re.match(r"\d{4}-\d\d-\d\dT", s["created"]) and s["ociVersion"].startswith("1.")
    assert s["owner"] in ("root", "")
    if status == "paused":
        box.rt("resume", box.id)


def test_kill_signals(box):
    box.start("sh", "-c", "trap 'echo got >/dev/null; exit 7' USR1; while :; do sleep 0.01; done")
    assert box.rt("kill", box.id, "SIGUSR2x").returncode != 0
    assert box.rt("kill", box.id, "0").returncode == 0
    assert box.rt("kill", box.id, "SIGKILL").returncode == 0
    box.wait_stopped()
    r = box.rt("kill", box.id, "0")
    assert r.returncode == 1 and "not running" in r.stderr


@pytest.mark.skiff_only
def test_kill_all_of_a_stopped_container(box):
    box.start("true")
    box.wait_stopped()
    assert box.rt("kill", "--all", box.id, "KILL").returncode == 0
    assert box.rt("kill", "-a", box.id, "0").returncode == 0


def pids_of(box):
    return json.loads(box.rt("ps", "--format", "json", box.id).stdout or "[]") or []


@pytest.mark.skiff_only  # runc since 1.2
@pytest.mark.parametrize("init_gone", [False, True])
def test_kill_without_a_pid_namespace(box, init_gone):
    box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "pid"]
    box.start("sleep", "100")
    for _ in range(3):
        box.exec("sleep", "1000", opts=["-d"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert len(pids_of(box)) == 4
    if init_gone:
        os.kill(box.state()["pid"], 9)
        box.wait_stopped()
        assert len(pids_of(box)) == 3
    r = box.rt("kill", box.id, "KILL")
    assert r.returncode == 0, r.stderr
    box.wait_stopped()
    assert pids_of(box) == []


def test_delete_force_of_what_is_not_there(box):
    assert box.rt("delete", box.id).returncode == 1
    assert box.rt("delete", "--force", box.id).returncode == 0


def test_delete_running_needs_force(box):
    box.start("sleep", "100")
    assert box.rt("delete", box.id).returncode == 1
    assert box.rt("delete", "--force", box.id).returncode == 0
    assert box.rt("state", box.id).returncode == 1


def test_delete_force_of_a_paused_container(box):
    box.start("sleep", "100")
    assert box.rt("pause", box.id).returncode == 0
    assert box.rt("delete", "-f", box.id).returncode == 0


@pytest.mark.skiff_only  # crun's, which prints nothing for a bad expression
def test_regex(two):
    a, b = two
    r = a.rt("kill", "--regex", "[-]b$", "KILL")
    assert r.returncode == 0, r.stderr
    b.wait_stopped()
    assert a.state()["status"] == "running"
    r = a.rt("delete", "-r", "^skftest-.*-[ab]$")
    assert r.returncode == 0 and "ignoring" in r.stderr and a.id in r.stderr  # a still runs
    assert a.rt("list", "-q").stdout.split() == [a.id]
    assert a.rt("delete", "--force", "--regex", "skftest").returncode == 0
    assert a.rt("list", "-q").stdout == ""
    r = a.rt("delete", "--regex", "(")
    assert r.returncode == 1 and "invalid regular expression" in r.stderr
