"""T04: what hides a masked file is the null device, whatever the image calls /dev/null."""
import os

import pytest

from seclib import sysctls

PROCFILE = "/proc/sys/kernel/core_pattern"


def look(path):
    return f"stat -L -c '%F %t:%T' {path}; head -c 1 {path} | wc -c; probe write {path} '|/evil' >/dev/null; cat {PROCFILE}"


@pytest.mark.smoke
@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
def test_T04_masked_file(runtime, bundle, userns):
    b = bundle()
    b.replace("secret", text="secret\n")
    if userns:
        b.user_namespace()
    for caps in b.process["capabilities"].values():
        caps.remove("CAP_SYS_ADMIN")  # who may unmount may unmask
    b.linux["maskedPaths"] = ["/proc/cpuinfo", "/secret", "/proc/fs", "/not/there"]
    p = runtime.run(b.shell(look("/proc/cpuinfo") + ";" + look("/secret") + "; ls -A /proc/fs | wc -l; touch /proc/fs/x || echo no; rm /secret || echo no; "
                            "umount /secret || echo no"), check=True)
    out = p.stdout.split("\n")
    assert out[0:2] == ["character special file 1:3", "0"] and out[3:5] == ["character special file 1:3", "0"]
    assert out[6:10] == ["0", "no", "no", "no"]
    assert out[2] == out[5] == sysctls()["kernel/core_pattern"].strip("\n")
    with open(b.rootfs + "/secret") as f:
        assert f.read() == "secret\n"


def masked_or_refused(runtime, b):
    b.linux["maskedPaths"] = ["/proc/cpuinfo"]
    p = runtime.run(b.shell(look("/proc/cpuinfo")))
    if p.returncode:
        assert p.stdout == "", p.stdout
        return "refused"
    assert p.stdout.split("\n")[0:2] == ["character special file 1:3", "0"], p.stdout
    return "masked"


@pytest.mark.parametrize("target", [PROCFILE, "CANARY/null", "../../../../../../../../../..CANARY/null", "/etc/passwd", "/dev/zero", "/nothing"])
def test_T04_null_is_a_symlink_in_the_image(runtime, bundle, canary, target):
    b = bundle().without_mount("/dev").without_mount("/dev/pts").without_mount("/dev/shm")
    b.replace("dev/null", link=target.replace("CANARY", canary))
    masked_or_refused(runtime, b)


@pytest.mark.parametrize("target", [PROCFILE, "/proc/sysrq-trigger", "/etc/passwd", "/dev/zero"])
def test_T04_null_is_a_symlink_in_a_volume(runtime, bundle, area, target):
    """A volume at /dev brings its own names; nothing below /dev is made by the runtime then."""
    b = bundle().without_mount("/dev").without_mount("/dev/pts").without_mount("/dev/shm")
    os.makedirs(area + "/vol/pts")
    os.symlink(target, area + "/vol/null")
    b.bind(area + "/vol", "/dev")
    masked_or_refused(runtime, b)
    assert os.readlink(area + "/vol/null") == target or not os.path.lexists(area + "/vol/null") or not os.path.islink(area + "/vol/null")


def test_T04_null_is_a_file(runtime, bundle):
    b = bundle().without_mount("/dev").without_mount("/dev/pts").without_mount("/dev/shm")
    masked_or_refused(runtime, b.replace("dev/null", text="full of text\n"))


def test_T04_null_swapped_by_a_hook(runtime, bundle):
    """Between the creation of the devices and the masks, a hook in the container's mount namespace exchanges it."""
    b = bundle()
    script = b.path + "/swap"
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\nrm -f {b.rootfs}/dev/null\nln -s {PROCFILE} {b.rootfs}/dev/null\necho ran >{b.path}/ran\n")
    os.chmod(script, 0o755)
    b.spec["hooks"] = {"createContainer": [{"path": script}]}
    b.linux["maskedPaths"] = ["/proc/cpuinfo"]
    p = runtime.run(b.shell("stat -L -c '%F %t:%T' /proc/cpuinfo; ls -l /dev/null"))
    assert os.path.exists(b.path + "/ran")
    assert p.returncode or p.stdout.startswith("character special file 1:3"), p.stdout


def test_T04_masked_name_is_a_symlink(runtime, bundle, canary):
    """A mask on a link that leads out hides something inside or nothing at all, never a file of the host."""
    b = bundle()
    b.replace("out", link=f"../../../../../../../..{canary}/passwd").replace("abs", link=canary + "/passwd")
    b.linux["maskedPaths"] = ["/out", "/abs"]
    runtime.run(b.args("true"))
    with open(canary + "/passwd") as f:
        assert f.read() == "canary passwd\n"


def test_T04_read_only_path(runtime, bundle):
    b = bundle()
    b.replace("etc/conf", text="as it was\n")
    b.linux["readonlyPaths"] = ["/proc/sys", "/etc/conf", "/not/there"]
    p = runtime.run(b.shell("probe write /proc/sys/kernel/msgmax 1; echo x >/etc/conf || echo no; mount -o remount,rw /etc/conf || echo no; cat /etc/conf"))
    assert p.stdout.split("\n")[:2] == ["30", "no"] and p.stdout.endswith("as it was\n")
