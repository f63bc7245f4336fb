"""T07: two containers share a volume, and what is a mount point for one is exchanged with a symlink by the other while the first one starts."""
import os
import time

import pytest

from seclib import sh

SECONDS = float(os.environ.get("RACE_SECONDS", 4))


@pytest.fixture
def attacker(runtime, bundle, area):
    """A container that has the volume at /vol and exchanges two names in it as fast as it can."""
    def start(vol, a, b):
        c = bundle().bind(vol, "/vol").args("probe", "swap", f"/vol/{a}", f"/vol/{b}", str(SECONDS + 60))
        runtime.start(c)
        return c
    return start


def place_of(text, name):
    """Where the mount with this root in its source is, for each line of a mountinfo."""
    return [line.split()[4] for line in text.splitlines() if line.split()[3].endswith(name)]


@pytest.mark.parametrize("target", ["/", "../../../../../../../../../../..CANARY", "/proc/self/" + "root/..CANARY", "CANARY"])
@pytest.mark.parametrize("kind", ["bind", "tmpfs", "file"])
def test_T07_mount_point_in_a_shared_volume(runtime, bundle, attacker, canary, area, target, kind):
    vol, data = area + "/vol", area + "/data"
    os.makedirs(vol + "/x/sub")
    os.makedirs(data)
    for f in (vol + "/x/file", data + "/file"):
        with open(f, "w") as out:
            out.write("data\n")
    os.symlink(target.replace("CANARY", canary), vol + "/y")
    before = sorted(os.listdir("/"))
    attacker(vol, "x", "y")
    n, inside, end = 0, 0, time.monotonic() + SECONDS / 4
    while time.monotonic() < end or n < 4:  # a busy machine: some tries all the same
        b = bundle().bind(vol, "/vol")
        if kind == "tmpfs":
            b.mounts.append({"destination": "/vol/x/sub/new", "type": "tmpfs", "source": "tmpfs"})
        else:
            b.bind(data + ("/file" if kind == "file" else ""), "/vol/x/" + ("newfile" if kind == "file" else "sub/new"))
        p = runtime.run(b.shell("cat /proc/self/mountinfo; cat /vol/x/passwd /vol/y/passwd 2>/dev/null; cat .//vol/x/dir/file 2>/dev/null; true"))
        if p.returncode == 0:
            inside += 1
            assert f"canary {'passwd'}" not in p.stdout and "canary dir" not in p.stdout, p.stdout
            for at in place_of(p.stdout, "/data") + place_of(p.stdout, "/data/file"):
                assert at.startswith("/"), p.stdout
        runtime.delete(b)
        n += 1
    made = sorted(set(os.listdir("/")) - set(before))
    for name in made:  # a weak runtime's work
        sh("find", "/" + name, "-xdev", "-depth", "-empty", "-delete", check=False)
    assert made == []
    # that nothing came into the canary tree, and that no mount is left, is compared by the fixture


def test_T07_source_in_a_volume_of_another_container(runtime, bundle, attacker, canary, area):
    """A bind source that somebody can exchange is the host's matter: but with `src-nofollow` a link is refused, not followed."""
    vol = area + "/vol"
    os.makedirs(vol + "/x")
    os.symlink(canary, vol + "/y")
    attacker(vol, "x", "y")
    end, n = time.monotonic() + SECONDS / 4, 0
    while time.monotonic() < end or n < 4:  # a busy machine: some tries all the same
        b = bundle().bind(vol + "/x", "/mnt", "src-nofollow", "ro")
        p = runtime.run(b.args("cat", "/mnt/passwd"))
        assert "canary" not in p.stdout
        runtime.delete(b)
        n += 1
    assert n >= 4
