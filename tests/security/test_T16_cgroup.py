"""T16: a process in a user namespace is in the cgroup that was asked for, and the limit holds. T68: a fork bomb stays in its limit."""
import glob
import os
import time

import pytest

from seclib import PARENT, V1, wait_for


def cgroups_of(pid):
    with open(f"/proc/{pid}/cgroup") as f:
        return {line.split(":")[1]: line.rstrip("\n").split(":", 2)[2] for line in f}


@pytest.mark.smoke
@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
def test_T16_place(runtime, bundle, userns):
    b = bundle().args("sleep", "1000")
    if userns:
        b.user_namespace()
    b.linux["cgroupsPath"] = f"/{PARENT}/pod/{b.id}"
    b.linux["resources"].update(memory={"limit": 32 << 20}, pids={"limit": 20})
    pid = runtime.start(b)
    names = ["memory", "pids", "devices", "freezer"] if V1 else [""]
    assert {cgroups_of(pid)[n] for n in names} == {f"/{PARENT}/pod/{b.id}"}
    p = runtime.exec(b, "cat", "/proc/self/cgroup", check=True)
    assert all(f":{n}:/{PARENT}/pod/{b.id}\n" in p.stdout or "/..\n" not in p.stdout for n in names)
    runtime.delete(b)
    assert not glob.glob(f"/sys/fs/cgroup/**/{PARENT}/pod/{b.id}", recursive=False)
    for d in glob.glob(f"/sys/fs/cgroup/*/{PARENT}/pod") + glob.glob(f"/sys/fs/cgroup/{PARENT}/pod"):
        os.rmdir(d)


@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
def test_T16_memory(runtime, bundle, userns):
    b = bundle()
    if userns:
        b.user_namespace()
    b.linux["resources"]["memory"] = {"limit": 24 << 20, "swap": 24 << 20}
    assert runtime.run(b.args("probe", "eat", "8")).stdout == "ate\n"
    runtime.delete(b)
    p = runtime.run(b.args("probe", "eat", "100"))
    assert (p.returncode, p.stdout) == (137, "")
    runtime.delete(b)
    runtime.start(b.args("sleep", "1000"))
    p = runtime.exec(b, "probe", "eat", "100")
    assert (p.returncode, p.stdout) == (137, "")


def test_T16_the_container_cannot_raise_it(runtime, bundle):
    b = bundle()
    b.linux["resources"]["memory"] = {"limit": 24 << 20}
    b.mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]})
    b.mounts.insert(0, {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]})
    name = "memory/memory.limit_in_bytes" if V1 else "memory.max"
    p = runtime.run(b.shell(f"probe write /sys/fs/cgroup/{name} 999999999; mkdir /sys/fs/cgroup/memory/x || echo no"), check=True)
    assert p.stdout == "30\nno\n"


@pytest.mark.smoke
@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
def test_T68_fork_bomb(runtime, bundle, userns):
    b = bundle().shell("f() { f | f & }; f; sleep 1000")
    if userns:
        b.user_namespace()
    b.linux["resources"]["pids"] = {"limit": 40}
    b.linux["resources"]["cpu"] = {"quota": 20000, "period": 100000}
    runtime.start(b)
    d = f"/sys/fs/cgroup/pids/{PARENT}/{b.id}" if V1 else f"/sys/fs/cgroup/{PARENT}/{b.id}"

    def current():
        with open(d + "/pids.current") as f:
            return int(f.read())
    wait_for(lambda: current() > 10, what="the bomb")
    assert current() <= 41
    other = bundle().args("echo", "well")
    began = time.monotonic()
    assert runtime.run(other, check=True).stdout == "well\n"
    assert time.monotonic() - began < 3
    began = time.monotonic()
    assert runtime.delete(b).returncode == 0
    assert time.monotonic() - began < 10 and not os.path.exists(d)
