import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import interoplib as lib  # noqa: E402


@pytest.fixture(scope="session")
def area(tmp_path_factory):
    """A directory of the whole session, without any mount or cgroup when it ends."""
    path = str(tmp_path_factory.mktemp("interop"))
    os.chmod(path, 0o711)
    os.chmod(os.path.dirname(path), 0o711)
    yield path
    lib.remove_tree(path)


@pytest.fixture(scope="session")
def registry(area):
    """Debian's docker-registry on loopback with busybox:latest and debian:12, pushed by buildah (tools/mkimages)."""
    with lib.Registry(area + "/registry") as r:
        lib.sh(lib.TOP + "/tools/mkimages", r.name, lib.CACHE, "busybox", "debian", timeout=600)
        yield r


@pytest.fixture(scope="session")
def session(area, registry):
    """One podman with its own storage for all tests; the images come from the registry."""
    with lib.Podman(area + "/podman") as p:
        for image, name in (("busybox:latest", lib.BUSYBOX), ("debian:12", lib.DEBIAN)):
            p("pull", "-q", "--tls-verify=false", f"{registry.name}/{image}", check=True, timeout=120)
            p("tag", f"{registry.name}/{image}", name, check=True)
        yield p


@pytest.fixture
def podman(session):
    yield session
    session("rm", "-af", "-t", "0", check=True)
    assert session.leftovers() == []
