"""T02: something else lies at /proc, so that what the runtime writes there goes nowhere (or elsewhere)."""
import os

import pytest

from seclib import sh


def fake_proc(path):
    for name in ("self/attr/exec", "self/attr/keycreate", "thread-self/attr/exec", "self/oom_score_adj", "self/setgroups", "sys/kernel/msgmax", "self/fd/0"):
        os.makedirs(os.path.dirname(f"{path}/{name}"), exist_ok=True)
        with open(f"{path}/{name}", "w") as f:
            f.write("fake\n")


def effective_or_refused(runtime, b):
    """Either no start, or the sysctl and the score are the kernel's own, read without the container's /proc."""
    b.linux["sysctl"] = {"kernel.msgmax": "4242"}
    b.process["oomScoreAdj"] = 123
    b.args("sleep", "100")
    p = runtime.create(b, check=False)
    if p.returncode:
        return "refused"
    pid = runtime.state(b)["pid"]
    assert sh("nsenter", "-t", pid, "-i", "cat", "/proc/sys/kernel/msgmax").stdout == "4242\n"
    assert sh("cat", f"/proc/{pid}/oom_score_adj").stdout == "123\n"
    return "effective"


def test_T02_a_real_proc(runtime, bundle):
    assert effective_or_refused(runtime, bundle()) == "effective"


@pytest.mark.parametrize("target", ["/fake", "fake", "../fake", "CANARY/dir", "../../../../../../../..CANARY/dir", "/sys"])
def test_T02_symlink(runtime, bundle, canary, target):
    b = bundle()
    fake_proc(b.rootfs + "/fake")
    b.replace("proc", link=target.replace("CANARY", canary))
    assert effective_or_refused(runtime, b) == "refused"


def test_T02_file(runtime, bundle):
    assert effective_or_refused(runtime, bundle().replace("proc", text="no directory\n")) == "refused"


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@pytest.mark.parametrize("place", ["/proc", "/proc/self", "/proc/sys", "/proc/self/attr", "/proc/1"])
def test_T02_covered_by_a_volume(runtime, bundle, area, kind, place):
    b = bundle()
    fake = area + "/fake"
    fake_proc(fake)
    before = {d: open(f"{d}/{f}").read() for d, _, files in os.walk(fake) for f in files}
    sub = fake + place.removeprefix("/proc").replace("/1", "/self")
    if kind == "bind":
        b.bind(sub, place)
    else:
        b.mounts.append({"destination": place, "type": "tmpfs", "source": "tmpfs"})
    effective_or_refused(runtime, b)
    assert before == {d: open(f"{d}/{f}").read() for d, _, files in os.walk(fake) for f in files}


def test_T02_no_proc_at_all(runtime, bundle):
    b = bundle().without_mount("/proc")
    fake_proc(b.rootfs + "/proc")
    effective_or_refused(runtime, b)
    with open(b.rootfs + "/proc/sys/kernel/msgmax") as f:
        assert f.read() == "fake\n"
