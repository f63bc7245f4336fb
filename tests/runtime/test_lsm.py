"""process.apparmorProfile, process.selinuxLabel, linux.mountLabel, exec --apparmor and --process-label with a kernel that enforces them.

Needs AppArmor or SELinux to be on: `tests/run vm-lsm` boots a virtual machine with each. The policy of SELinux is a handful of types of our own
that is loaded once in permissive mode: labels are then real (an unknown one is refused), and nothing but labels is checked."""
import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from conftest import IS_SKIFF, RUNTIME

VM = os.path.exists("/run/testvm")


def text(path):
    try:
        return Path(path).read_text().rstrip("\0\n")
    except OSError:
        return ""


def lsms():
    return text("/sys/kernel/security/lsm").split(",")


apparmor = [
    pytest.mark.lsm,
    pytest.mark.skipif(text("/sys/module/apparmor/parameters/enabled") != "Y", reason="AppArmor is off (tests/run vm-lsm)"),
    pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="needs apparmor_parser"),
]


def marks(list_):
    def deco(f):
        for m in list_:
            f = m(f)
        return f
    return deco


# --- AppArmor ---

PROFILE = """profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  network,
  mount,
  umount,
  signal,
  ptrace,
  unix,
  {rules}
}}
"""


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """Names of two loaded profiles: `deny` refuses one file and one capability, `other` nothing."""
    tail = uuid.uuid4().hex[:8]
    names = {"deny": "skftest-deny-" + tail, "other": "skftest-other-" + tail}
    rules = {"deny": "deny /tmp/denied rwklx, deny capability chown,", "other": ""}
    f = tmp_path_factory.mktemp("aa") / "profiles"
    f.write_text("\n".join(PROFILE.format(name=names[k], rules=rules[k]) for k in names))
    r = subprocess.run(["apparmor_parser", "--replace", "--skip-cache", str(f)], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip("apparmor_parser cannot load a profile: " + r.stderr)
    yield names
    subprocess.run(["apparmor_parser", "--remove", str(f)], capture_output=True, check=True)


LABEL = "cat /proc/self/attr/apparmor/current /proc/self/attr/current"


@marks(apparmor)
@pytest.mark.parametrize("nnp", [False, True])
def test_apparmor_of_init_and_exec(box, profiles, nnp):
    """The label is what the process itself and the host see; exec has that of config.json, unless told otherwise."""
    box.p["noNewPrivileges"] = nnp
    box.p["apparmorProfile"] = profiles["deny"]
    box.own_rootfs()
    box.start("sh", "-c", f"{LABEL} >/tmp/label; exec sleep 100")
    deny, other = profiles["deny"] + " (enforce)", profiles["other"] + " (enforce)"
    assert text(f"/proc/{box.state()['pid']}/attr/current") == deny
    assert box.exec("cat", "/tmp/label").stdout.split("\n")[:2] == [deny, deny]
    assert box.exec("sh", "-c", LABEL).stdout.split("\n")[:2] == [deny, deny]
    r = box.exec("sh", "-c", LABEL, opts=["--apparmor", profiles["other"]])
    assert r.stdout.split("\n")[:2] == [other, other], r.stderr


@marks(apparmor)
def test_apparmor_of_a_process_document(box, profiles):
    box.start("sleep", "100")
    assert "unconfined" in box.exec("cat", "/proc/self/attr/current").stdout
    doc = dict(box.p, args=["cat", "/proc/self/attr/current"], apparmorProfile=profiles["other"])
    f = box.dir / "process.json"
    f.write_text(json.dumps(doc))
    r = box.rt("exec", "--process", str(f), box.id)
    assert r.stdout.strip() == profiles["other"] + " (enforce)", r.stderr


@marks(apparmor)
def test_apparmor_denies(box, profiles):
    """Init and exec, root with all that the container's capabilities allow."""
    script = "echo x >/tmp/allowed && echo allowed; echo x >/tmp/denied; chown 1 /tmp/allowed"
    box.own_rootfs()
    for caps in box.p["capabilities"].values():
        caps.append("CAP_CHOWN")
    box.p["capabilities"].pop("ambient", None)
    r = box.sh(script)
    assert r.stdout == "allowed\n" and "denied" not in r.stderr and "not permitted" not in r.stderr, r.stderr
    os.unlink(box.rootfs / "tmp" / "denied")
    os.unlink(box.rootfs / "tmp" / "allowed")
    box.p["apparmorProfile"] = profiles["deny"]
    r = box.sh(script)
    assert r.stdout == "allowed\n" and not (box.rootfs / "tmp" / "denied").exists()
    assert "denied: Permission denied" in r.stderr and "allowed: Operation not permitted" in r.stderr
    box.start("sleep", "100")
    assert "denied: Permission denied" in box.exec("sh", "-c", script).stderr
    assert "Permission denied" not in box.exec("sh", "-c", script, opts=["--apparmor", profiles["other"]]).stderr


@marks(apparmor)
def test_apparmor_in_a_user_namespace_as_a_user_with_seccomp(box, profiles):
    box.userns()
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["noNewPrivileges"] = True
    box.p["apparmorProfile"] = profiles["deny"]
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}
    r = box.sh(LABEL + "; echo x >/tmp/denied")
    assert r.stdout.split("\n")[:2] == [profiles["deny"] + " (enforce)"] * 2, r.stderr
    assert "denied: Permission denied" in r.stderr


@marks(apparmor)
def test_apparmor_unconfined_is_a_label_too(box):
    box.p["apparmorProfile"] = "unconfined"
    r = box.run("cat", "/proc/self/attr/current")
    assert r.stdout.strip() == "unconfined", r.stderr


@marks(apparmor)
@pytest.mark.parametrize("userns", [False, True])
def test_apparmor_profile_that_is_not_loaded(box, userns):
    if userns:
        box.userns()
    box.p["apparmorProfile"] = "skftest-nosuch"
    r = box.run("echo", "started")
    assert r.returncode != 0 and r.stdout == ""
    assert "apparmor" in r.stderr and "no such file or directory" in r.stderr.lower(), r.stderr
    if IS_SKIFF:
        assert "unable to apply apparmor profile 'skftest-nosuch'" in r.stderr and "not loaded" in r.stderr, r.stderr
        assert box.has_traces() == []
    box.p.pop("apparmorProfile")
    box.rt("delete", "--force", box.id)
    box.start("sleep", "100")
    r = box.exec("echo", "started", opts=["--apparmor", "skftest-nosuch"])
    assert r.returncode != 0 and r.stdout == "" and "apparmor" in r.stderr, r.stderr
    assert box.state()["status"] == "running"


@marks(apparmor)
@pytest.mark.skiff_only
@pytest.mark.parametrize("name", ["x" * 600, "a\nb"])
def test_apparmor_name_that_no_profile_can_have(box, name):
    box.p["apparmorProfile"] = name
    r = box.run("echo", "started")
    assert r.returncode != 0 and r.stdout == "" and "apparmor profile" in r.stderr, r.stderr


@marks(apparmor)
def test_apparmor_of_a_plain_user(box, profiles):
    """Rootless: no right is needed to take a profile on."""
    box.own_rootfs()
    subprocess.run(["chown", "-hR", "1000:1000", str(box.rootfs), str(box.bundle)], check=True)
    home = box.dir / "home"
    home.mkdir()
    os.chown(home, 1000, 1000)
    for p in [box.dir, *box.dir.parents][:4]:
        p.chmod(p.stat().st_mode | 0o555)

    def user(*args):
        return subprocess.run(["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", RUNTIME, "--root", str(home / "state"), *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, cwd=box.bundle)
    assert user("spec", "--rootless").returncode == 0
    box.c = json.loads((box.bundle / "config.json").read_text())
    box.c["process"].update({"terminal": False, "args": ["cat", "/proc/self/attr/current"], "apparmorProfile": profiles["deny"]})
    box.c["root"] = {"path": str(box.rootfs)}
    box.c["linux"].pop("resources", None)
    box.write()
    r = user("run", box.id)
    assert r.stdout.strip() == profiles["deny"] + " (enforce)", r.stderr


@pytest.fixture
def fake_proc(tmp_path):
    """What looks like a procfs to who does not look closely."""
    d = tmp_path / "fakeproc"
    for name in ("self/attr/exec", "self/attr/apparmor/exec", "thread-self/attr/exec", "1/attr/exec", "1/attr/apparmor/exec", "attr/exec", "attr/apparmor/exec"):
        (d / name).parent.mkdir(parents=True, exist_ok=True)
        (d / name).write_text("fake\n")
    return d


def untouched(d):
    return all(p.read_text() == "fake\n" for p in d.rglob("exec") if p.is_file())


def started_with(box, label):
    """Not at all, or confined. True when it was started."""
    r = box.create("sleep", "100")
    if r.returncode == 0:
        assert box.rt("start", box.id).returncode == 0
        end = time.monotonic() + 20
        while text(f"/proc/{box.state()['pid']}/comm") not in ("sleep", "busybox"):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert text(f"/proc/{box.state()['pid']}/attr/current") == label
        return True
    assert r.stderr.strip()
    return False


@marks(apparmor)
@pytest.mark.parametrize("over", ["volume", "hook-proc", "hook-1", "hook-self", "hook-thread-self"])
def test_T02_apparmor_label_goes_to_the_kernel(box, profiles, fake_proc, over):
    """A volume over /proc, or a hook that covers it before the label is written: the label never ends in a file that only looks right."""
    box.own_rootfs()
    box.p["apparmorProfile"] = profiles["deny"]
    if over == "volume":
        box.c["mounts"] = [m for m in box.c["mounts"] if m["destination"] != "/proc"]
        box.c["mounts"].insert(0, {"destination": "/proc", "type": "bind", "source": str(fake_proc), "options": ["rbind", "rw"]})
    else:
        name = over[5:]
        source = fake_proc if name == "proc" else fake_proc / "1"
        hook = box.dir / "cover"
        hook.write_text(f"#!/bin/sh\nexec mount --bind {source} {box.rootfs}/proc{'' if name == 'proc' else '/' + name} 2>/dev/null\n")
        hook.chmod(0o755)
        box.c["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", f"{hook} || :"]}]}
    started_with(box, profiles["deny"] + " (enforce)")
    assert untouched(fake_proc)


@marks(apparmor)
def test_T02_apparmor_label_of_exec_goes_to_the_kernel(box, profiles, fake_proc):
    """/proc of the running container is covered by its root, who may mount."""
    box.own_rootfs()
    shutil.copytree(fake_proc, box.rootfs / "fake")
    for caps in box.p["capabilities"].values():
        caps.append("CAP_SYS_ADMIN")
    box.start("sh", "-c", "mount --bind /fake /proc; mount --bind /fake/1 /proc/1; touch /tmp/ready; sleep 100")
    end = time.monotonic() + 20
    while not (box.rootfs / "tmp" / "ready").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    # /proc in there is fake, so the label is proven by what it forbids
    r = box.exec("sh", "-c", "echo x >/tmp/denied && echo written", opts=["--apparmor", profiles["deny"]])
    assert r.returncode != 0 and r.stdout == "", r.stderr
    assert untouched(box.rootfs / "fake")


@marks(apparmor)
@pytest.mark.skiff_only
def test_selinux_label_without_selinux(box):
    box.p["selinuxLabel"] = "system_u:system_r:container_t:s0"
    r = box.run("echo", "started")
    assert r.returncode == 1 and r.stdout == "" and "selinux is disabled or not supported" in r.stderr, r.stderr


# --- SELinux ---

# sid: in the kernel's order, which gives them their numbers
POLICY = """class process
class process2
class filesystem
class file
class dir
sid kernel
sid security
sid unlabeled
class process { fork transition dyntransition setexec setcurrent share }
class process2 { nnp_transition nosuid_transition }
class filesystem { mount relabelfrom relabelto associate }
class file { entrypoint execute read }
class dir { search }
policycap nnp_nosuid_transition;
type skf_t;
type skf_other_t;
type skf_file_t;
type skf_queue_t;
role skf_r;
role skf_r types { skf_t skf_other_t skf_file_t skf_queue_t };
allow skf_t skf_t : process { transition };
user skf_u roles { skf_r };
sid kernel skf_u:skf_r:skf_t
sid security skf_u:skf_r:skf_t
sid unlabeled skf_u:skf_r:skf_file_t
fs_use_trans tmpfs skf_u:skf_r:skf_file_t;
fs_use_trans devpts skf_u:skf_r:skf_file_t;
fs_use_trans mqueue skf_u:skf_r:skf_file_t;
genfscon proc / skf_u:skf_r:skf_file_t
"""
INIT, OTHER, FILE, QUEUE = "skf_u:skf_r:skf_t", "skf_u:skf_r:skf_other_t", "skf_u:skf_r:skf_file_t", "skf_u:skf_r:skf_queue_t"

selinux_marks = [
    pytest.mark.lsm,
    pytest.mark.skipif("selinux" not in lsms(), reason="SELinux is off (tests/run vm-lsm)"),
    pytest.mark.skipif(not VM, reason="loads a policy of its own: only in the test machine"),
]


@pytest.fixture(scope="module")
def selinux(tmp_path_factory):
    """A policy of three types; the kernel is permissive."""
    if not shutil.which("checkpolicy"):
        pytest.skip("needs checkpolicy")
    if not os.path.exists("/sys/fs/selinux/load"):
        subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", "/sys/fs/selinux"], check=True)
    d = tmp_path_factory.mktemp("selinux")
    (d / "policy.conf").write_text(POLICY)
    r = subprocess.run(["checkpolicy", "-U", "allow", "-c", "30", "-o", str(d / "policy"), str(d / "policy.conf")], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr + r.stdout
    assert Path("/sys/fs/selinux/enforce").read_text().strip() == "0"
    with open("/sys/fs/selinux/load", "wb", buffering=0) as f:
        data = (d / "policy").read_bytes()
        assert f.write(data) == len(data)


@marks(selinux_marks)
@pytest.mark.skiff_only
def test_selinux_label_without_a_policy(box):
    """The kernel would take any label and give none."""
    if text("/proc/self/attr/current") not in ("", "kernel"):
        pytest.skip("a policy is loaded")
    if not os.path.exists("/sys/fs/selinux/load"):
        subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", "/sys/fs/selinux"], check=True)
    box.p["selinuxLabel"] = "skf_u:skf_r:skf_t"
    r = box.run("echo", "started")
    assert r.returncode == 1 and r.stdout == "" and "no policy loaded" in r.stderr, r.stderr


@marks(selinux_marks)
def test_selinux_of_init_and_exec(box, selinux):
    box.p["selinuxLabel"] = OTHER
    box.start("sleep", "100")
    assert text(f"/proc/{box.state()['pid']}/attr/current") == OTHER
    assert box.exec("cat", "/proc/self/attr/current").stdout.rstrip("\0\n") == OTHER
    r = box.exec("cat", "/proc/self/attr/current", opts=["--process-label", INIT])
    assert r.stdout.rstrip("\0\n") == INIT, r.stderr


@marks(selinux_marks)
def test_selinux_in_a_user_namespace(box, selinux):
    box.userns()
    box.p["noNewPrivileges"] = True
    box.p["selinuxLabel"] = OTHER
    assert box.run("cat", "/proc/self/attr/current").stdout.rstrip("\0\n") == OTHER


@marks(selinux_marks)
def test_selinux_label_that_the_policy_does_not_know(box, selinux):
    box.p["selinuxLabel"] = "skf_u:skf_r:nosuch_t"
    r = box.run("echo", "started")
    assert r.returncode != 0 and r.stdout == "" and "invalid argument" in r.stderr.lower(), r.stderr
    if IS_SKIFF:
        assert "selinux label 'skf_u:skf_r:nosuch_t'" in r.stderr, r.stderr
        assert box.has_traces() == []


@marks(selinux_marks)
def test_selinux_mount_label(box, selinux):
    """Where the file system can be labelled by option it is, elsewhere it is mounted without."""
    box.c["linux"]["mountLabel"] = FILE
    r = box.run("cat", "/proc/self/mounts")
    assert r.returncode == 0, r.stderr
    options = {line.split()[1]: line.split()[3] for line in r.stdout.split("\n") if line}
    assert "context=" + FILE in options["/dev"].replace('"', ""), r.stdout
    assert "context=" + FILE in options["/dev/shm"].replace('"', "")
    assert "context=" not in options["/proc"] and "context=" not in options["/sys"]
    assert "context=" not in options["/dev/mqueue"]
    box.start("sleep", "100")
    for place in ("dev/shm", "dev/mqueue"):
        assert os.getxattr(f"/proc/{box.state()['pid']}/root/{place}", "security.selinux").rstrip(b"\0").decode() == FILE


@marks(selinux_marks)
@pytest.mark.skiff_only
@pytest.mark.parametrize("own", [True, False])
def test_selinux_label_of_mqueue(box, selinux, own):
    """Only that of an IPC namespace of the container's own: the host's queues keep their label."""
    before = os.getxattr("/dev/mqueue", "security.selinux")
    box.c["linux"]["mountLabel"] = QUEUE
    if not own:
        box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "ipc"]
    box.start("sleep", "100")
    got = os.getxattr(f"/proc/{box.state()['pid']}/root/dev/mqueue", "security.selinux")
    assert got.rstrip(b"\0").decode() == (QUEUE if own else before.rstrip(b"\0").decode())
    assert os.getxattr("/dev/mqueue", "security.selinux") == before


@marks(selinux_marks)
@pytest.mark.skiff_only
@pytest.mark.parametrize("kind", ["context", "fscontext", "rootcontext", "defcontext", "nonsense"])
def test_selinux_mount_context_type(box, selinux, kind):
    """What the kernel makes of it: no defcontext where the policy gives each new file a label."""
    box.c["linux"]["mountLabel"] = FILE
    box.c["annotations"] = {"run.oci.mount_context_type": kind}
    box.c["mounts"].append({"destination": "/desk", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]})
    r = box.run("cat", "/proc/self/mounts")
    if kind in ("defcontext", "nonsense"):
        word = "is not context" if kind == "nonsense" else f'defcontext="{FILE}"'
        assert r.returncode == 1 and word in r.stderr, r.stderr
        return
    assert r.returncode == 0, r.stderr
    line = next(x for x in r.stdout.split("\n") if " /desk " in x).replace('"', "")
    assert f",{kind}={FILE}" in line, line


@marks(selinux_marks)
def test_selinux_mount_label_that_the_policy_does_not_know(box, selinux):
    box.c["linux"]["mountLabel"] = "skf_u:skf_r:nosuch_t"
    r = box.run("echo", "started")
    assert r.returncode != 0 and r.stdout == "", r.stderr
    if IS_SKIFF:
        assert "nosuch_t" in r.stderr or "mount '/dev'" in r.stderr, r.stderr


@marks(selinux_marks)
@pytest.mark.skiff_only
def test_apparmor_profile_without_apparmor(box, selinux):
    box.p["apparmorProfile"] = "a-profile"
    r = box.run("echo", "started")
    assert r.returncode == 1 and r.stdout == "" and "apparmor is not enabled" in r.stderr, r.stderr
