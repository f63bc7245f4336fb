"""The systemd cgroup manager: one transient scope per container, made and removed over D-Bus. Runs where systemd is init (tests/run vm-systemd)."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import IS_SKIFF

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/run/systemd/system"), reason="systemd does not run here"),
    pytest.mark.systemd,
]
TOP = Path("/sys/fs/cgroup")
V2 = (TOP / "cgroup.controllers").exists()


def show(unit, prop):
    r = subprocess.run(["systemctl", "show", "-p", prop, "--value", unit], capture_output=True, text=True, timeout=60)
    return r.stdout.strip()


def gone(unit):
    r = subprocess.run(["systemctl", "show", "-p", "LoadState,ActiveState", "--value", unit], capture_output=True, text=True, timeout=60)
    return "not-found" in r.stdout


@pytest.fixture
def sd(box):
    """A box whose commands all use the systemd manager."""
    box.glob = ("--systemd-cgroup",)
    plain = box.cmd
    box.cmd = lambda *args, glob=(): plain(*args, glob=(*box.glob, *glob))
    box.unit = f"skf-{box.id}.scope"
    box.c["linux"]["cgroupsPath"] = f"system.slice:skf:{box.id}"
    box.r = box.c["linux"].setdefault("resources", {})
    yield box
    subprocess.run(box.cmd("delete", "--force", box.id), capture_output=True, timeout=60)


def dir_of(box, controller="memory"):
    lines = Path(f"/proc/{box.state()['pid']}/cgroup").read_text().splitlines()
    for line in lines:
        names, path = line.split(":", 2)[1:]
        if V2 or controller in names.split(","):
            return Path(str(TOP if V2 else TOP / names)) / path.lstrip("/")
    raise AssertionError(lines)


def test_scope_and_its_end(sd):
    sd.start("sleep", "100")
    assert dir_of(sd).name == sd.unit and dir_of(sd).parent.name == "system.slice"
    assert show(sd.unit, "Slice") == "system.slice"
    assert show(sd.unit, "Delegate") == "yes"
    assert show(sd.unit, "ActiveState") == "active"
    d = dir_of(sd)
    assert sd.rt("kill", sd.id, "KILL").returncode == 0
    sd.wait_stopped()
    assert sd.rt("delete", sd.id).returncode == 0
    assert gone(sd.unit) and not d.exists()


@pytest.mark.skiff_only
def test_default_names(box):
    plain = box.cmd
    box.cmd = lambda *args, glob=(): plain(*args, glob=("--cgroup-manager", "systemd", *glob))
    box.start("sleep", "100")
    assert dir_of(box).name == f"skiff-{box.id}.scope"
    assert box.rt("delete", "--force", box.id).returncode == 0
    assert gone(f"skiff-{box.id}.scope")


def test_slice_with_dashes(sd):
    sd.c["linux"]["cgroupsPath"] = f"skft-a.slice:skf:{sd.id}"
    sd.start("sleep", "100")
    assert str(dir_of(sd)).endswith(f"/skft.slice/skft-a.slice/{sd.unit}")
    assert sd.rt("delete", "--force", sd.id).returncode == 0
    subprocess.run(["systemctl", "stop", "skft.slice", "skft-a.slice"], timeout=60)


@pytest.mark.skiff_only
@pytest.mark.parametrize("path,word", [
    ("/a/b", "slice:prefix:name"),
    ("system:a:b", "not the name of a slice"),
    ("system.slice:a:b c", "cannot be the name"),
    ("system.slice:a:b.slice", "is a slice"),
])
def test_wrong_paths(sd, path, word):
    sd.c["linux"]["cgroupsPath"] = path
    r = sd.run("true")
    assert r.returncode == 1 and word in r.stderr


@pytest.mark.skipif(not V2, reason="v2 only")
def test_limits_are_told_to_systemd_and_written(sd):
    sd.r["memory"] = {"limit": 64 << 20, "reservation": 32 << 20}
    sd.r["pids"] = {"limit": 25}
    sd.r["cpu"] = {"quota": 5500, "period": 100000, "shares": 512, "cpus": "0"}
    sd.r["unified"] = {"memory.high": str(48 << 20)}
    sd.start("sleep", "100")
    d = dir_of(sd)
    for prop, want, file, text in [
        ("MemoryMax", str(64 << 20), "memory.max", str(64 << 20)),
        ("MemoryLow", str(32 << 20), "memory.low", str(32 << 20)),
        ("MemoryHigh", str(48 << 20), "memory.high", str(48 << 20)),
        ("TasksMax", "25", "pids.max", "25"),
        # whole percents, as systemd has them; runc 1.1 still wrote the exact value to the file
        ("CPUQuotaPerSecUSec", "60ms", "cpu.max", "6000 100000" if IS_SKIFF else "5500 100000"),
        ("AllowedCPUs", "0", "cpuset.cpus", "0"),
    ]:
        assert show(sd.unit, prop) == want, prop
        assert (d / file).read_text().strip() == text, file
    assert show(sd.unit, "CPUWeight") == (d / "cpu.weight").read_text().strip()
    # systemd writes its units again; nothing may change
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=900)  # minutes, on a busy emulated processor
    assert (d / "memory.max").read_text().strip() == str(64 << 20)
    if IS_SKIFF:
        assert (d / "cpu.max").read_text().strip() == "6000 100000"


def test_pids_zero_and_unlimited(sd):
    sd.r["pids"] = {"limit": -1}
    sd.start("sleep", "100")
    assert show(sd.unit, "TasksMax") in ("infinity", "18446744073709551615")
    if not IS_SKIFF:
        return
    r = subprocess.run(sd.cmd("update", "-r", "-", sd.id), input='{"pids":{"limit":0}}', capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert show(sd.unit, "TasksMax") == "1"


def test_annotations(sd):
    sd.c.setdefault("annotations", {}).update({
        "org.systemd.property.TimeoutStopUSec": "uint64 123456789",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Documentation": "['man:one(1)', 'man:two(2)']",
    })
    sd.start("sleep", "100")
    assert show(sd.unit, "TimeoutStopUSec") == "2min 3.456789s"
    assert show(sd.unit, "CollectMode") == "inactive-or-failed"
    assert show(sd.unit, "Documentation").replace('"', "") == "man:one(1) man:two(2)"


@pytest.mark.skiff_only
@pytest.mark.parametrize("name,value,word", [
    ("CollectMode", "inactive", "GVariant"),
    ("X", "'a'", "at least 3 letters"),
    ("NoSuchThing", "'a'", "NoSuchThing"),
])
def test_wrong_annotations(sd, name, value, word):
    sd.c.setdefault("annotations", {})["org.systemd.property." + name] = value
    r = sd.run("true")
    assert r.returncode == 1 and word in r.stderr, r.stderr
    assert gone(sd.unit)


@pytest.mark.skipif(not V2, reason="v2 only")
def test_update(sd):
    sd.r["memory"] = {"limit": 64 << 20}
    sd.start("sleep", "100")
    doc = {"memory": {"limit": 48 << 20}, "cpu": {"quota": 20000, "period": 100000}, "pids": {"limit": 12}}
    r = subprocess.run(sd.cmd("update", "-r", "-", sd.id), input=json.dumps(doc), capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert show(sd.unit, "MemoryMax") == str(48 << 20) == (dir_of(sd) / "memory.max").read_text().strip()
    assert show(sd.unit, "TasksMax") == "12"
    assert (dir_of(sd) / "cpu.max").read_text().strip() == "20000 100000"
    assert show(sd.unit, "CPUQuotaPerSecUSec") == "200ms"


@pytest.mark.skiff_only
@pytest.mark.skipif(not V2, reason="v2 only")
def test_subgroup_and_delegated_cgroup(sd):
    sd.r["pids"] = {"limit": 22}
    sd.c["annotations"] = {"run.oci.systemd.subgroup": "payload", "run.oci.delegate-cgroup": "own"}
    if not any(n["type"] == "cgroup" for n in sd.c["linux"]["namespaces"]):
        sd.c["linux"]["namespaces"].append({"type": "cgroup"})
    sd.start("sh", "-c", "cat /proc/self/cgroup >/tmp/cg; sleep 100")
    d = dir_of(sd)
    assert str(d).endswith(f"{sd.unit}/payload/own")
    assert (d.parent / "pids.max").read_text().strip() == "22"
    assert sd.exec("cat", "/proc/self/cgroup").stdout.strip() == "0::/own"
    assert sd.rt("delete", "--force", sd.id).returncode == 0
    assert gone(sd.unit) and not d.parent.parent.exists()


@pytest.mark.skiff_only
def test_two_containers_of_one_name(sd, box_factory):
    sd.start("sleep", "100")
    other = box_factory()
    plain = other.cmd
    other.cmd = lambda *args, glob=(): plain(*args, glob=("--systemd-cgroup", *glob))
    other.c["linux"]["cgroupsPath"] = sd.c["linux"]["cgroupsPath"]
    r = other.create("true")
    assert r.returncode == 1 and "not empty" in r.stderr, r.stderr
    assert sd.state()["status"] == "running" and show(sd.unit, "ActiveState") == "active"


@pytest.mark.skiff_only
def test_delete_by_the_journal_alone(sd):
    """Without state.json, as after a crash in the middle of create."""
    sd.start("sleep", "100")
    pid = sd.state()["pid"]
    (sd.state_root / sd.id / "state.json").unlink()
    r = sd.rt("delete", "--force", sd.id)
    assert r.returncode == 0, r.stderr
    assert gone(sd.unit) and not Path(f"/proc/{pid}").exists()


@pytest.mark.skiff_only
def test_delete_by_the_scope_alone(sd):
    """The cgroup line of the journal is lost too: the scope's processes end with it, and without the 90 s of a stop."""
    sd.start("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    journal = sd.state_root / sd.id / "journal"
    (sd.state_root / sd.id / "state.json").unlink()
    journal.write_text("".join(line + "\n" for line in journal.read_text().splitlines() if line.startswith("scope ")))
    start = time.monotonic()
    r = sd.rt("delete", "--force", sd.id)
    assert r.returncode == 0, r.stderr
    assert time.monotonic() - start < 30 and gone(sd.unit)
    for d in [] if V2 else TOP.iterdir():  # what systemd does not know of goes with the cgroup line only
        for left in d.glob(f"system.slice/{sd.unit}"):
            left.rmdir()


@pytest.mark.skiff_only
def test_failed_start_leaves_no_scope(sd):
    r = sd.run("/no/such/program")
    assert r.returncode != 0 and "/no/such/program" in r.stderr
    assert gone(sd.unit)


@pytest.mark.skiff_only
def test_kill_in_the_middle_of_create(sd):
    sd.p["args"] = ["true"]
    sd.write()
    for ms in range(5, 205, 20):
        p = subprocess.Popen(sd.cmd("create", "--bundle", str(sd.bundle), sd.id), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(ms / 1000)
        p.send_signal(signal.SIGKILL)
        p.wait()
        r = sd.rt("delete", "--force", sd.id)
        assert r.returncode == 0, r.stderr
        end = time.time() + 10
        while not gone(sd.unit):  # a start that was under way when its asker died ends by itself: its only process is dead
            assert time.time() < end, ms
            time.sleep(0.2)


# --- a plain user with a manager of his own ---

@pytest.fixture(scope="module")
def user_cgroup():
    """user@1000.service, and a cgroup in it from which its user may move processes."""
    unit = "user@1000.service"
    if not V2 or subprocess.run(["systemctl", "start", unit], capture_output=True, timeout=120).returncode != 0:
        pytest.skip("no user manager of uid 1000")
    d = Path(str(TOP) + show(unit, "ControlGroup")) / "skftest.scope"
    d.mkdir(exist_ok=True)
    subprocess.run(["chown", "-R", "1000:1000", str(d)], check=True)
    yield d
    subprocess.run(["systemctl", "stop", unit], capture_output=True, timeout=120)


@pytest.mark.skiff_only
def test_plain_user(sd, user_cgroup):
    sd.own_rootfs()
    subprocess.run(["chown", "-hR", "1000:1000", str(sd.dir)], check=True)
    for p in [sd.dir, *sd.dir.parents][:4]:
        p.chmod(p.stat().st_mode | 0o555)
    env = {"XDG_RUNTIME_DIR": "/run/user/1000", "PATH": os.environ["PATH"]}
    enter = ["sh", "-c", f'echo $$ >{user_cgroup}/cgroup.procs && exec "$@"', "sh"]
    drop = [*enter, "setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    cmd = [a if a != str(sd.state_root) else str(sd.dir / "ustate") for a in sd.cmd()]

    def user(*args, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        with open(sd.dir / "err", "w") as err:
            r = subprocess.run([*drop, *cmd, *args], text=True, stderr=err, timeout=100, env=env, cwd=sd.bundle, **kw)
        assert r.returncode == 0, (sd.dir / "err").read_text()
        return r.stdout

    (sd.bundle / "config.json").unlink(missing_ok=True)
    user("spec", "--rootless")
    c = json.loads((sd.bundle / "config.json").read_text())
    c["process"].update({"terminal": False, "args": ["sleep", "100"]})
    c["root"] = {"path": str(sd.rootfs)}
    c["linux"]["cgroupsPath"] = f"user.slice:skf:{sd.id}"
    c["linux"]["resources"] = {"pids": {"limit": 17}, "memory": {"limit": 32 << 20}}
    (sd.bundle / "config.json").write_text(json.dumps(c))
    user("run", "-d", sd.id, stdout=subprocess.DEVNULL)
    pid = json.loads(user("state", sd.id))["pid"]
    path = Path(f"/proc/{pid}/cgroup").read_text().strip().split("::")[1]
    assert path.endswith(f"user@1000.service/user.slice/{sd.unit}")
    d = Path(str(TOP) + path)
    assert (d / "pids.max").read_text().strip() == "17"
    assert (d / "memory.max").read_text().strip() == str(32 << 20)
    user("exec", sd.id, "true")
    user("update", "-r", "-", sd.id, stdin=None, input='{"pids":{"limit":19}}')
    assert (d / "pids.max").read_text().strip() == "19"
    user("delete", "--force", sd.id)
    assert not d.exists()
