"""T08: mount points that are missing are made, through symlinks, inside the root or not at all; also while the links change."""
import os
import subprocess
import time

import pytest


LINKS = ["CANARY", "../../../../../../../../../../../CANARY", "/proc/self/root/CANARY", "/proc/1/root/CANARY", "/proc/self/cwd/CANARY", "/tmp/../../../../../../../../CANARY"]


@pytest.mark.parametrize("kind", ["bind-dir", "bind-file", "tmpfs"])
@pytest.mark.parametrize("link", LINKS)
def test_T08_missing_mount_point(runtime, bundle, canary, area, link, kind):
    b = bundle()
    b.replace("l", link=link.replace("CANARY", canary.lstrip("/") if not link.startswith("CANARY") else canary))
    with open(area + "/file", "w") as f:
        f.write("volume\n")
    os.makedirs(area + "/vol")
    if kind == "tmpfs":
        b.mounts.append({"destination": "/l/new/deep/er", "type": "tmpfs", "source": "tmpfs"})
    else:
        b.bind(area + ("/vol" if kind == "bind-dir" else "/file"), "/l/new/deep/er")
    runtime.run(b.args("true"))


def test_T08_destination_climbs(runtime, bundle, canary, area):
    b = bundle()
    os.makedirs(area + "/vol")
    b.bind(area + "/vol", "/../../../../../../../../../.." + canary + "/new")
    runtime.run(b.args("true"))


def test_T08_a_link_that_stays_inside_is_followed(runtime, bundle, area):
    b = bundle()
    b.replace("var", link="/mnt")
    os.makedirs(area + "/vol")
    with open(area + "/vol/f", "w") as f:
        f.write("volume\n")
    b.bind(area + "/vol", "/var/a/b")
    assert runtime.run(b.args("cat", "/mnt/a/b/f"), check=True).stdout == "volume\n"


def test_T08_race(runtime, bundle, probe, canary, area):
    """Somebody who writes into the root exchanges a directory and a link out while containers start (T07 in small)."""
    b = bundle()
    os.makedirs(b.rootfs + "/x/y")
    os.symlink("../../../../../../../.." + canary, b.rootfs + "/z")
    os.makedirs(area + "/vol")
    b.bind(area + "/vol", "/x/new/deep")
    b.mounts.append({"destination": "/x/other/deep", "type": "tmpfs", "source": "tmpfs"})
    b.args("sh", "-c", "cat /x/passwd /x/new/deep/../../passwd 2>/dev/null")
    swap = subprocess.Popen([probe, "swap", b.rootfs + "/x", b.rootfs + "/z", "6"])
    seen, n, end = "", 0, time.monotonic() + 5
    try:
        while time.monotonic() < end and n < 60:
            seen += runtime.run(b).stdout
            runtime.delete(b)
            n += 1
    finally:
        swap.kill()
        swap.wait()
    assert "canary" not in seen and n > 10


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("options", [["bind"], ["bind", "dest-nofollow"], ["bind", "src-nofollow", "dest-nofollow"]], ids=lambda o: o[-1])
def test_T08_destination_written_with_the_path_of_the_root(runtime, bundle, canary, area, link, options):
    """A destination may begin with the root's own path; what follows is inside the root all the same."""
    b = bundle()
    target = link.replace("CANARY", canary.lstrip("/") if not link.startswith("CANARY") else canary)
    b.replace("l", link=target)
    b.replace("last", link=target + "/passwd")
    with open(area + "/file", "w") as f:
        f.write("volume\n")
    for dest in ("/l/new", "/last", "/../l/passwd"):
        b.mounts.append({"destination": b.rootfs + dest, "type": "bind", "source": area + "/file", "options": options})
    runtime.run(b.args("true"))


def test_T08_mounts_of_a_container_without_mount_namespace(runtime, bundle, canary, area):
    """They stay below the root, whatever links say, and a start that fails undoes them."""
    b = bundle()
    b.linux["namespaces"] = [n for n in b.linux["namespaces"] if n["type"] != "mount"]
    b.linux.pop("maskedPaths", None)
    b.linux.pop("readonlyPaths", None)
    b.replace("l", link=canary)
    os.makedirs(area + "/vol")
    b.bind(area + "/vol", "/l/dir")
    b.mounts.append({"destination": "/x", "type": "bind", "source": "/not/there", "options": ["bind"]})
    assert runtime.run(b.args("true")).returncode != 0
