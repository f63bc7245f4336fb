"""Hooks: order, namespaces, state on stdin, failures, time-outs (config.md "POSIX-platform Hooks")."""
import json
import os

import pytest

from conftest import IS_SKIFF

STAGES = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def recorder(box, stage, tail=""):
    """A hook that appends its stage, mount namespace and state document to a file."""
    return {"path": "/bin/sh", "args": ["sh", "-c", f"echo {stage} $(readlink /proc/self/ns/mnt) $(cat) >> {box.dir}/hooks; {tail}"],
            "env": ["PATH=/bin:/usr/bin"]}


def records(box):
    out = []
    for line in (box.dir / "hooks").read_text().splitlines():
        stage, ns, doc = line.split(" ", 2)
        out.append((stage, ns, json.loads(doc)))
    return out


@pytest.mark.smoke
def test_all_stages(box):
    box.c["mounts"].append({"destination": str(box.dir), "type": "bind", "source": str(box.dir), "options": ["bind", "rw"]})
    box.own_rootfs()
    box.c["hooks"] = {s: [recorder(box, s)] for s in STAGES}
    box.c["annotations"] = {"k": "v"}
    assert box.create("sleep", "100").returncode == 0
    pid = box.state()["pid"]
    container_ns = os.readlink(f"/proc/{pid}/ns/mnt")
    assert [r[0] for r in records(box)] == STAGES[:3]
    assert box.rt("start", box.id).returncode == 0
    assert [r[0] for r in records(box)] == STAGES[:5]
    box.rt("kill", box.id, "KILL")
    box.wait_stopped()
    assert box.rt("delete", box.id).returncode == 0
    got = records(box)
    assert [r[0] for r in got] == STAGES
    host = os.readlink("/proc/self/ns/mnt")
    assert [r[1] for r in got] == [host, host, container_ns, container_ns, host, host]
    assert [r[2]["status"] for r in got] == ["creating", "creating", "creating", "created", "running", "stopped"]
    for _, _, doc in got:
        assert doc["id"] == box.id and doc["bundle"] == str(box.bundle) and doc["annotations"] == {"k": "v"} and doc["ociVersion"]
    assert got[0][2]["pid"] == pid


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer"])
def test_failing_hook_fails_create_and_leaves_nothing(box, stage):
    box.c["hooks"] = {stage: [{"path": "/bin/sh", "args": ["sh", "-c", "echo my reason >&2; exit 3"]}]}
    r = box.create("sleep", "100")
    assert r.returncode != 0
    assert box.has_traces() == []


@pytest.mark.skiff_only
@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer"])
def test_message_of_a_failing_hook(box, stage):
    box.c["hooks"] = {stage: [{"path": "/bin/sh", "args": ["sh", "-c", "echo my reason >&2; exit 3"]}]}
    r = box.create("sleep", "100")
    assert stage in r.stderr and "/bin/sh" in r.stderr and "my reason" in r.stderr and "3" in r.stderr


@pytest.mark.skiff_only
def test_failing_start_container_hook_leaves_it_stopped(box):
    box.c["hooks"] = {"startContainer": [{"path": "/bin/false"}]}
    assert box.create("sleep", "100").returncode == 0
    r = box.rt("start", box.id)
    assert r.returncode == 1 and "error running startContainer hook #0" in r.stderr
    box.wait_stopped()
    assert box.run("true").returncode == 1  # the id is still taken
    assert box.rt("delete", box.id).returncode == 0
    assert box.run("sleep", "100").returncode == 1  # the same in the foreground, and nothing stays
    assert box.has_traces() == []


@pytest.mark.skiff_only  # crun does so since 1.20
def test_failing_poststart_hook_deletes_the_container(box):
    box.c["hooks"] = {"poststart": [{"path": "/bin/true"}, {"path": "/bin/false"}], "poststop": [recorder(box, "poststop")]}
    assert box.create("sleep", "100").returncode == 0
    r = box.rt("start", box.id)
    assert r.returncode == 1 and "error running poststart hook #1" in r.stderr
    assert box.rt("state", box.id).returncode != 0 and box.has_traces() == []
    assert box.run("sleep", "100").returncode == 1
    assert box.has_traces() == []
    assert [x[0] for x in records(box)] == ["poststop"] * 2


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
def test_second_hook_fails_run(box, stage):
    box.c["hooks"] = {stage: [{"path": "/bin/true"}, {"path": "/bin/false"}]}
    r = box.run("echo", "Hello World")
    assert r.returncode != 0
    if stage != "poststart":
        assert "Hello" not in r.stdout
    assert box.has_traces() == []


@pytest.mark.skiff_only
@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
def test_words_of_runc_name_stage_and_number(box, stage):
    box.c["hooks"] = {stage: [{"path": "/bin/true"}, {"path": "/bin/false"}]}
    assert f"error running {stage} hook #1: " in box.run("echo", "Hello World").stderr


@pytest.mark.parametrize("stage", ["createRuntime", "createContainer"])
def test_failed_create_runs_poststop(box, stage):
    """runtime.md, lifecycle: such a creation goes on with step 12."""
    box.c["hooks"] = {stage: [{"path": "/bin/false"}], "poststop": [recorder(box, "poststop")]}
    assert box.create("sleep", "9").returncode != 0
    (name, _, doc), = records(box)
    assert name == "poststop" and doc["status"] == "stopped" and doc["id"] == box.id


def test_create_that_never_began_runs_none(box):
    box.c["hooks"] = {"poststop": [recorder(box, "poststop")]}
    box.c["root"]["path"] = "/no/such/root"
    assert box.create("sleep", "9").returncode != 0
    assert not (box.dir / "hooks").exists()


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "poststart", "poststop"])
def test_hooks_of_the_runtime_run_in_the_bundle(box, stage):
    box.c["hooks"] = {stage: [{"path": "/bin/sh", "args": ["sh", "-c", f"/bin/pwd > {box.dir}/cwd"]}]}
    assert box.run("true", cwd="/").returncode == 0
    assert (box.dir / "cwd").read_text() == f"{box.bundle}\n"


def test_create_container_hook_runs_in_the_root_after_the_mounts(box):
    box.c["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "test -e proc/self -a -e bin/busybox"]}]}
    r = box.run("true", cwd="/")
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("nnp", [True, False])
def test_start_container_hooks_run_under_the_filter(box, nnp):
    box.p["noNewPrivileges"] = nnp
    box.p["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]}
    box.c["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "mkdir /dev/shm/foo"]}]}
    r = box.run("true")
    assert r.returncode != 0 and "error running startContainer hook" in r.stderr and "bad system call" in r.stderr, r.stderr


def test_environment_is_inherited_when_the_hook_has_none(box):
    box.c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f'echo "$MINE" > {box.dir}/env']}]}
    assert box.run("true", env={**os.environ, "MINE": "of the caller"}).returncode == 0
    assert (box.dir / "env").read_text() == "of the caller\n"


@pytest.mark.skiff_only  # runc since 1.3
def test_start_container_hook_inherits_the_environment_of_the_process(box):
    box.own_rootfs()
    box.p["env"] = ["ONE=two", "PATH=/bin"]
    box.c["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", 'echo "$ONE $HOME $MINE" > /tmp/env']}]}
    r = box.run("cat", "/tmp/env", env={**os.environ, "MINE": "of the caller"})
    assert r.stdout == "two /root \n", r.stderr


def test_arguments_are_exactly_those_of_the_configuration(box):
    for args in (["cat", "/nosuchfile"], ["busybox", "cat", "/nosuchfile"]):
        box.c["hooks"] = {"startContainer": [{"path": "/bin/busybox", "args": args}]}
        r = box.run("true")
        assert r.returncode != 0 and "cat: can't open '/nosuchfile'" in r.stderr, r.stderr


def test_failing_poststop_is_a_warning(box):
    box.c["hooks"] = {"poststop": [{"path": "/bin/false"}, recorder(box, "poststop")]}
    box.start("true")
    box.wait_stopped()
    r = box.rt("delete", box.id)
    assert r.returncode == 0 and (not IS_SKIFF or "poststop hook failed with exit code 1" in r.stderr)
    assert len(records(box)) == 1


def test_missing_hook(box):
    box.c["hooks"] = {"createRuntime": [{"path": "/no/such/hook"}]}
    r = box.create("true")
    assert r.returncode != 0 and "/no/such/hook" in r.stderr
    assert box.has_traces() == []


@pytest.mark.slow
def test_timeout(box):
    box.c["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "50"], "timeout": 1}]}
    r = box.create("true", timeout=20)
    assert r.returncode != 0
    assert box.has_traces() == []


def test_environment_is_exactly_the_hooks_own(box):
    box.c["hooks"] = {"createRuntime": [{"path": "/usr/bin/env", "args": ["env"], "env": ["ONLY=this"]}]}
    box.c["hooks"]["createRuntime"] = [{"path": "/bin/sh", "args": ["x", "-c", f"/usr/bin/env > {box.dir}/env"], "env": ["ONLY=this"]}]
    assert box.create("sleep", "9").returncode == 0
    lines = (box.dir / "env").read_text().split()
    assert "ONLY=this" in lines and not [x for x in lines if x.split("=")[0] not in ("ONLY", "PWD", "SHLVL", "_", "OLDPWD")]


def test_runtime_hooks_see_the_mounts(box):
    """createRuntime runs after the mounts were made in the container's mount namespace and before pivot_root."""
    box.c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c",
        f"pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); grep -c ' {box.c['root']['path']}/dev/pts ' /proc/$pid/mountinfo > {box.dir}/seen"],
        "env": ["PATH=/bin:/usr/bin"]}]}
    assert box.create("sleep", "9").returncode == 0
    assert (box.dir / "seen").read_text() == "1\n"


def test_hook_that_does_not_read_and_talks_a_lot(box):
    box.c["annotations"] = {"big": "x" * 200000}
    box.c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "yes | head -c 300000"], "env": ["PATH=/bin:/usr/bin"]}]}
    r = box.create("sleep", "9")
    assert r.returncode == 0, r.stderr
