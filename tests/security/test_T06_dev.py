"""T06: the image ships /dev (or a part of it) as a symlink out of the root."""
import os

import pytest

CASES = [(dev, userns, how) for dev in ("tmpfs", "image") for userns in (False, True) for how in ("run", "create")]


@pytest.mark.parametrize("up", ["", "../../../../../../../../../../.."], ids=["absolute", "relative"])
@pytest.mark.parametrize("dev, userns, how", CASES, ids=[f"{d}-{'userns' if u else 'root'}-{h}" for d, u, h in CASES])
def test_T06_dev_is_a_symlink(runtime, bundle, canary, up, dev, userns, how):
    b = bundle()
    os.rmdir(b.rootfs + "/dev")
    os.symlink(up + canary, b.rootfs + "/dev")
    if dev == "image":
        b.without_mount("/dev").without_mount("/dev/shm")
    if userns:
        b.user_namespace()
    if how == "run":
        runtime.run(b.args("true"))
    elif runtime.create(b.args("sleep", "100"), check=False).returncode == 0:
        runtime("start", b.id)
    # the fixture compares the canary: nothing new in it, ptmx and null are still the decoys


@pytest.mark.parametrize("name", ["null", "zero", "fd", "stdin", "ptmx", "core", "shm", "pts", "mqueue"])
def test_T06_part_of_dev_is_a_symlink(runtime, bundle, canary, name):
    b = bundle().without_mount("/dev")
    b.replace("dev/" + name, link="../../../../../../../../.." + canary + ("/dir" if name in ("shm", "pts", "mqueue") else "/null"))
    b.linux["devices"] = [{"path": "/dev/mqueue", "type": "c", "major": 1, "minor": 5}]
    runtime.run(b.args("true"))


@pytest.mark.parametrize("path", ["/../../../../../../../../../../CANARY/new", "/link/new", "/abs/new", "/dev/../abs/deep/new"])
def test_T06_device_outside(runtime, bundle, canary, path):
    b = bundle()
    b.replace("link", link="../../../../../../../../../.." + canary).replace("abs", link=canary + "/dir")
    b.linux["devices"] = [{"path": path.replace("CANARY", canary.lstrip("/")), "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]
    runtime.run(b.args("true"))
