"""create, start, run, state, kill, delete, list (runtime-spec runtime.md; runc's exit codes)."""
import json
import os
import signal
import subprocess
import time

import pytest


@pytest.mark.smoke
def test_run_gives_output_and_exit_code(box):
    r = box.sh("echo out; echo err >&2; exit 7")
    assert (r.returncode, r.stdout) == (7, "out\n")
    assert "err" in r.stderr
    assert box.has_traces() == []


def test_run_killed_by_signal_gives_128_plus_n(box):
    assert box.sh("kill -9 $$; sleep 1; exit 3").returncode == 3  # init is immune to its own signals
    box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "pid"]
    box.c["mounts"] = [m for m in box.c["mounts"] if m["destination"] != "/proc"]
    box.c["mounts"].insert(0, {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]})
    box.c["linux"].pop("maskedPaths", None)
    box.c["linux"].pop("readonlyPaths", None)
    assert box.sh("kill -15 $$; sleep 5").returncode == 143


@pytest.mark.smoke
def test_create_start_state_kill_delete(box):
    box.c["annotations"] = {"com.example.key": "välue"}
    pid_file = box.dir / "pid"
    r = box.create("sleep", "100", opts=["--pid-file", str(pid_file)])
    assert r.returncode == 0, r.stderr
    s = box.state()
    assert s["status"] == "created"
    assert s["id"] == box.id and s["bundle"] == str(box.bundle) and s["ociVersion"]
    assert s["annotations"] == {"com.example.key": "välue"}
    assert pid_file.read_text() == str(s["pid"])
    assert os.path.exists(f"/proc/{s['pid']}")
    assert box.rt("start", box.id).returncode == 0
    assert box.state()["status"] == "running"
    assert open(f"/proc/{s['pid']}/cmdline").read() == "sleep\x00100\x00"
    assert box.rt("kill", box.id, "KILL").returncode == 0
    box.wait_stopped()
    assert box.state().get("pid", 0) == 0
    assert box.rt("delete", box.id).returncode == 0
    assert box.rt("state", box.id).returncode != 0
    assert box.has_traces() == []


def test_errors_of_states(box):
    box.start("sleep", "100")
    assert box.rt("start", box.id).returncode != 0
    assert box.create("sleep", "1").returncode != 0
    assert box.state()["status"] == "running"
    r = box.rt("delete", box.id)
    assert r.returncode != 0 and "not stopped" in r.stderr
    assert box.rt("kill", box.id, "9").returncode == 0
    box.wait_stopped()
    assert box.rt("start", box.id).returncode != 0
    assert box.rt("delete", box.id).returncode == 0
    assert box.rt("delete", box.id).returncode != 0
    assert box.rt("delete", "--force", box.id).returncode == 0
    for verb in ("state", "start", "kill"):
        r = box.rt(verb, box.id)
        assert r.returncode == 1 and "does not exist" in r.stderr


@pytest.mark.skiff_only
def test_kill_of_stopped_is_refused_in_runcs_words(box):
    box.start("true")
    box.wait_stopped()
    r = box.rt("kill", box.id, "TERM")
    assert r.returncode == 1 and "container not running" in r.stderr


@pytest.mark.parametrize("sig", ["TERM", "SIGTERM", "15"])
def test_kill_signal_names(box, sig):
    box.start("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
    assert box.rt("kill", box.id, sig).returncode == 0
    box.wait_stopped()


def test_kill_unknown_signal(box):
    box.start("sleep", "100")
    assert box.rt("kill", box.id, "NOSUCH").returncode != 0
    assert box.state()["status"] == "running"


def test_delete_force_of_running_and_created(box_factory):
    for start in (True, False):
        b = box_factory()
        assert b.create("sleep", "100").returncode == 0
        pid = b.state()["pid"]
        if start:
            assert b.rt("start", b.id).returncode == 0
        assert b.rt("delete", "--force", b.id).returncode == 0
        assert not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] == "Z"
        assert b.has_traces() == []


@pytest.mark.skiff_only
def test_two_deleters_at_once(box):
    box.start("sleep", "100")
    ps = [subprocess.Popen(box.cmd("delete", "--force", box.id), stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(p.wait(), p.communicate()[1]) for p in ps] == [(0, "")] * 4
    assert box.has_traces() == []


@pytest.mark.skiff_only
def test_many_creators_of_one_id(box):
    box.p["args"] = ["sleep", "100"]
    box.write()
    ps = [subprocess.Popen(box.cmd("create", "-b", str(box.bundle), box.id), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) for _ in range(4)]
    assert sorted(p.wait() for p in ps) == [0, 1, 1, 1]
    assert box.state()["status"] == "created"


def test_list(box_factory):
    a = box_factory()
    a.start("sleep", "100")
    r = a.rt("list")
    head, row = r.stdout.splitlines()[:2]
    assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split()[0] == a.id and row.split()[2] == "running" and row.split()[-1] == "root"
    j = json.loads(a.rt("list", "--format", "json").stdout)
    assert [x["id"] for x in j] == [a.id] and j[0]["pid"] == a.state()["pid"] and j[0]["bundle"] == str(a.bundle)
    assert a.rt("list", "--quiet").stdout == a.id + "\n"
    assert a.rt("list", "--format", "nosuch").returncode != 0


def test_run_detached(box):
    pid_file = box.dir / "pid"
    box.p["args"] = ["sleep", "100"]
    box.write()
    r = box.rt("run", "-d", "--pid-file", str(pid_file), "-b", str(box.bundle), box.id, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    assert box.state()["status"] == "running"
    assert int(pid_file.read_text()) == box.state()["pid"]


@pytest.mark.skiff_only
def test_run_keep(box):
    assert box.run("true", opts=["--keep"]).returncode == 0
    assert box.state()["status"] == "stopped"


def test_foreground_run_forwards_signals(box):
    box.p["args"] = ["sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.05; done"]
    box.write()
    p = subprocess.Popen(box.cmd("run", "-b", str(box.bundle), box.id), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGUSR1)
    assert p.stdout.readline() == "got\n"
    assert p.wait(10) == 9


@pytest.mark.skiff_only
@pytest.mark.smoke
def test_killed_creator_is_cleaned_up_by_the_journal(box):
    """kill -9 of create while a hook blocks it: delete --force finds the cgroup, init dies with its parent."""
    hook_pid = box.dir / "hook.pid"
    box.c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"echo $$ > {hook_pid}; exec /bin/sleep 100"]}]}
    box.p["args"] = ["sleep", "100"]
    box.write()
    p = subprocess.Popen(box.cmd("create", "-b", str(box.bundle), box.id), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    journal = box.state_root / box.id / "journal"
    end = time.time() + 30
    while time.time() < end and not (hook_pid.exists() and hook_pid.read_text().endswith("\n")):
        time.sleep(0.01)
    init = int([w for w in journal.read_text().splitlines() if w.startswith("pid ")][0].split()[1])
    p.kill()
    p.wait()
    os.kill(int(hook_pid.read_text()), signal.SIGKILL)
    (box.state_root / box.id / "state.json").unlink(missing_ok=True)
    r = box.rt("delete", "--force", box.id)
    assert r.returncode == 0, r.stderr
    box.wait_until(lambda: not os.path.exists(f"/proc/{init}") or open(f"/proc/{init}/stat").read().split(")")[1].split()[0] == "Z")
    assert box.has_traces() == []


def test_state_dir_is_private(box):
    box.start("sleep", "100")
    assert (box.state_root / box.id).stat().st_mode & 0o077 in (0, 0o11)  # runc: 0711
    if os.path.exists(box.state_root / box.id / "journal"):
        assert (box.state_root / box.id).stat().st_mode & 0o777 == 0o700
        j = json.loads((box.state_root / box.id / "state.json").read_text())
        assert list(j)[:2] == ["v", "min"] and (j["v"], j["min"]) == (1, 1)
