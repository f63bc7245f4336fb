"""run.oci.* annotations, which crun introduced and podman and CRI-O write."""
import array
import os
import socket

import pytest

from conftest import RUNTIME

# runc knows none of them
pytestmark = pytest.mark.skipif(os.path.basename(RUNTIME) not in ("skiff-oci", "crun"), reason="annotations of crun")


def listen(box, name):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(box.dir / name))
    s.listen()
    s.settimeout(10)
    return s


def test_keep_original_groups(box):
    def groups(*args, **kw):
        r = box.rt(*args, preexec_fn=lambda: os.setgroups([2000, 2001]), **kw)
        assert r.returncode == 0, r.stderr
        return r.stdout.split()

    box.p["args"] = ["sh", "-c", "grep Groups: /proc/self/status | tr '\\t' ' '"]
    box.p["user"]["additionalGids"] = [7]
    box.write()
    assert groups("run", "--bundle", str(box.bundle), box.id) == ["Groups:", "7"]
    box.c["annotations"] = {"run.oci.keep_original_groups": "1"}
    box.write()
    assert groups("run", "--bundle", str(box.bundle), box.id) == ["Groups:", "2000", "2001"]
    box.start("sleep", "100")
    assert groups("exec", box.id, "sh", "-c", "grep Groups: /proc/self/status") == ["Groups:", "2000", "2001"]


def test_hooks_output(box):
    """For each stage; appended; stdout and stderr apart."""
    stages = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    box.c["hooks"] = {s: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {s}; echo e-{s} >&2"]}] for s in stages}
    out, err = box.dir / "out", box.dir / "err"
    out.write_text("before\n")
    box.c["annotations"] = {"run.oci.hooks.stdout": str(out), "run.oci.hooks.stderr": str(err)}
    box.start("true")
    box.wait_stopped()
    assert box.rt("delete", box.id).returncode == 0
    assert out.read_text().split() == ["before", *stages]
    assert err.read_text().split() == ["e-" + s for s in stages]


def test_pidfd_receiver(box):
    s = listen(box, "pidfd.sock")
    box.c["annotations"] = {"run.oci.pidfd_receiver": str(box.dir / "pidfd.sock")}
    box.start("sleep", "100")
    conn, _ = s.accept()
    _, anc, _, _ = conn.recvmsg(16, socket.CMSG_SPACE(16))
    fds = array.array("i")
    fds.frombytes(anc[0][2])
    with open(f"/proc/self/fdinfo/{fds[0]}") as f:
        info = dict(line.split(":\t") for line in f.read().splitlines())
    os.close(fds[0])
    assert int(info["Pid"]) == box.state()["pid"]


@pytest.mark.skiff_only
@pytest.mark.parametrize("key,value", [("run.oci.pidfd_receiver", "/no/such/socket"), ("run.oci.hooks.stdout", "/no/such/dir/file"),
                                       ("run.oci.hooks.stderr", "relative"), ("run.oci.seccomp.receiver", "relative"),
                                       ("run.oci.mount_context_type", "nonsense"), ("run.oci.handler", "krun"), ("run.oci.handler", "wasm"),
                                       ("run.oci.systemd.subgroup", "../up"), ("run.oci.delegate-cgroup", "/a")])
def test_what_cannot_be_done_is_said(box, key, value):
    box.c["annotations"] = {key: value}
    box.c["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    r = box.run("true")
    assert r.returncode != 0 and (key in r.stderr or value in r.stderr), r.stderr
    assert box.has_traces() == []


def test_others_are_only_handed_on(box):
    box.c["annotations"] = {
        "run.oci.something.new": "x", "io.podman.annotations.init": "FALSE"}
    box.start("sleep", "100")
    assert box.state()["annotations"] == box.c["annotations"]
