import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import seclib as lib  # noqa: E402
import seclib_image as images  # noqa: E402


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("probe") / "probe")
    lib.sh(os.environ.get("CC", "cc"), "-std=gnu17", "-static", "-O1", "-o", out, os.path.join(lib.HERE, "probe.c"))
    shutil.copy("/bin/busybox", os.path.dirname(out))
    return out


@pytest.fixture
def area(tmp_path):
    """Search permission down to the test's directory, as for a rootfs of somebody in a user namespace."""
    p = tmp_path
    while str(p) not in ("/tmp", "/"):
        os.chmod(p, 0o711)
        p = p.parent
    yield str(tmp_path)
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(autouse=True)
def host(area):
    """Nothing of the host may change: mounts, sysctls, cgroups, the program itself, and a canary tree beside the bundles."""
    canary = area + "/canary"
    os.makedirs(canary + "/dir/deep")
    for name in ("ptmx", "console", "null", "passwd", "dir/file", "dir/deep/file"):
        with open(f"{canary}/{name}", "w") as f:
            f.write(f"canary {name}\n")
    os.symlink("passwd", canary + "/link")
    os.chmod(canary, 0o777)
    os.chmod(canary + "/dir", 0o777)
    before = (lib.tree(canary), lib.sysctls(), lib.mounts_below(area), lib.digest(lib.RUNTIME), lib.host_nodes())
    yield canary
    after = (lib.tree(canary), lib.sysctls(), lib.mounts_below(area), lib.digest(lib.RUNTIME), lib.host_nodes())
    left = [d for d in lib.cgroup_dirs() if not d.endswith(lib.PARENT)]
    lib.remove_cgroups()
    lib.restore_sysctls(before[1])
    for was, now, what in zip(before, after, ("canary", "sysctls", "mounts", "runtime", "device nodes of the host")):
        assert was == now, f"{what} changed"
    assert left == [], "cgroups were left behind"


@pytest.fixture
def canary(host):
    return host


@pytest.fixture
def bundle(area, probe):
    made = []

    def make():
        made.append(lib.Bundle(f"{area}/b{len(made)}", probe))
        return made[-1]
    return make


@pytest.fixture
def runtime(area, host):
    r = lib.Runtime(area + "/state")
    yield r
    r.clean()


@pytest.fixture(scope="session")
def server():
    s = images.ImageServer()
    yield s
    s.close()


@pytest.fixture(scope="session")
def base(probe):
    return images.base_layer(probe)


@pytest.fixture(scope="session")
def image(server, base):
    return server.add("base", [base])


@pytest.fixture
def skiff(area, host):
    s = images.Skiff(area)
    yield s
    s.clean()
    lib.wait_for(lambda: lib.mounts_below(area) == [], what="the end of its mounts")
