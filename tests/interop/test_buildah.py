"""buildah run through skiff-oci, and images that buildah and skopeo pushed."""
import os

import pytest

from interoplib import RUNTIME, busybox_tree, remove_tree, sh


@pytest.fixture(scope="module")
def buildah(area):
    root = area + "/buildah"
    os.makedirs(root + "/tmp")

    def b(*args, **kw):
        return sh("buildah", "--root", root + "/root", "--runroot", root + "/run", "--storage-driver", "overlay", *args,
                  env=dict(os.environ, TMPDIR=root + "/tmp", HOME=root), **kw)
    yield b
    b("rm", "-a", check=False)
    remove_tree(root)


def test_run_of_a_working_container(buildah, area):
    busybox_tree(area + "/bb2")
    c = buildah("from", "--ulimit", "nproc=100:100", "--ulimit", "nofile=100:100", "scratch").stdout.strip()
    buildah("copy", "-q", c, area + "/bb2", "/")
    p = buildah("run", "--runtime", RUNTIME, "--isolation", "oci", "--network", "none", c, "sh", "-c",
                "echo hi >/made; id -u; exit 6", check=False)
    assert (p.returncode, p.stdout) == (6, "0\n"), p.stderr
    p = buildah("run", "--runtime", RUNTIME, "--isolation", "oci", "--network", "none", "--user", "65534", c, "cat", "/made")
    assert p.stdout == "hi\n"
