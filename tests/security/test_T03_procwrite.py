"""T03: whatever lies over a name below the container's /proc, the runtime's writes (sysctl, labels, scores) reach the file they are meant for, or none."""
import os
import subprocess
import time

import pytest

from seclib import sh

SECONDS = float(os.environ.get("RACE_SECONDS", 4))
# what is put over what: names below the container's /proc, and files of the host
OVER = [("sys/kernel/msgmax", "/proc/sys/kernel/panic"), ("sys/kernel", "/proc/sys/vm"), ("sys", "FAKE"), ("self", "FAKE"), ("thread-self", "FAKE"), ("1", "FAKE"), (".", "FAKE")]


@pytest.fixture
def fake(area):
    """A tree of the host that looks like a procfs to who does not look closely."""
    path = area + "/fake"
    for name in ("kernel/msgmax", "attr/exec", "attr/keycreate", "attr/apparmor/exec", "sys/kernel/msgmax", "self/attr/exec", "oom_score_adj", "setgroups"):
        os.makedirs(os.path.dirname(f"{path}/dir/{name}"), exist_ok=True)
        with open(f"{path}/dir/{name}", "w") as f:
            f.write("fake\n")
    return path


def content(fake):
    return {os.path.join(d, n): open(os.path.join(d, n)).read() for d, _, names in os.walk(fake) for n in names if not os.path.islink(os.path.join(d, n))}


def judge(runtime, b, fake, before):
    p = runtime.create(b, check=False)
    if p.returncode == 0:
        pid = runtime.state(b)["pid"]
        # asked in the namespace itself, not through a procfs that somebody may have covered
        assert sh("nsenter", "-t", pid, "-i", "cat", "/proc/sys/kernel/msgmax").stdout == "4242\n"
        assert sh("cat", f"/proc/{pid}/oom_score_adj").stdout == "123\n"
    else:
        assert p.stderr.strip()
    assert content(fake) == before
    # that the host's sysctls are as they were is compared by the fixture
    return p.returncode == 0


def victim(bundle):
    b = bundle().args("sleep", "1000")
    b.linux["sysctl"] = {"kernel.msgmax": "4242"}
    b.process["oomScoreAdj"] = 123
    return b


@pytest.mark.smoke
@pytest.mark.parametrize("name, source", OVER, ids=[f"{a}-{b.strip('/').replace('/', '.')}" for a, b in OVER])
def test_T03_covered_by_a_hook(runtime, bundle, fake, name, source):
    """A hook in the container's mount namespace covers a name after the mounts were made and before the runtime writes."""
    b = victim(bundle)
    source = source.replace("FAKE", fake + ("/dir/kernel" if name == "sys/kernel" else "/dir"))
    script = b.path + "/cover"
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\nexec mount --bind {source} {b.rootfs}/proc/{name} 2>>{b.path}/cover.err\n")
    os.chmod(script, 0o755)
    b.spec["hooks"] = {"createContainer": [{"path": script}]}
    before = content(fake)
    judge(runtime, b, fake, before)
    err = open(b.path + "/cover.err").read()
    assert err == "" or "not permitted" in err or "special device" in err or "not exist" in err or "failed" in err, err


@pytest.mark.parametrize("place", ["/proc/sys/kernel", "/proc/sys/kernel/msgmax", "/proc/sys", "/proc/self/attr"])
def test_T03_covered_by_a_shared_volume_that_changes(runtime, bundle, probe, fake, area, place):
    """Another container has the volume too and exchanges what lies in it while the runtime starts the first one."""
    vol = area + "/vol"
    os.makedirs(vol + "/a/msgmax.d")
    with open(vol + "/a/msgmax", "w") as f:
        f.write("volume\n")
    os.symlink("/proc/sys/vm", vol + "/b")
    before = content(fake)
    swap = subprocess.Popen([probe, "swap", vol + "/a", vol + "/b", str(SECONDS + 5)])
    started, n, end = 0, 0, time.monotonic() + SECONDS / 2
    try:
        while time.monotonic() < end or n < 4:  # a busy machine: some tries all the same
            b = victim(bundle)
            b.bind(vol + ("/a/msgmax" if place.endswith("msgmax") else "/a"), place)
            started += judge(runtime, b, fake, before)
            runtime.delete(b)
            n += 1
    finally:
        swap.kill()
        swap.wait()
    assert n >= 4


def test_T03_a_process_label_is_written_to_the_kernel_or_refused(runtime, bundle, fake):
    """With a label asked for and no module that takes it, nothing is started: it is not written to a file that looks right."""
    for option in ({"apparmorProfile": "a-profile"}, {"selinuxLabel": "system_u:system_r:container_t:s0"}):
        b = bundle().args("true")
        b.process.update(option)
        before = content(fake)
        p = runtime.run(b)
        key = next(iter(option))
        module = "apparmor" if key == "apparmorProfile" else "selinux"
        if not os.path.isdir("/sys/kernel/security/apparmor" if module == "apparmor" else "/sys/fs/selinux"):
            assert p.returncode != 0 and module in p.stderr.lower(), p.stderr
        assert content(fake) == before
