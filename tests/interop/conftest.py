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
    """Debian's docker-registry on loopback."""
    with lib.Registry(area + "/registry") as r:
        yield r


@pytest.fixture(scope="session")
def busybox(area):
    lib.busybox_tree(area + "/busybox")
    return area + "/busybox"


@pytest.fixture(scope="session")
def archive(area, busybox):
    """A docker-archive with the image for containers and one that only waits (for pods)."""
    path = area + "/images.tar"
    lib.image_archive(path, busybox, {lib.BUSYBOX: ["/bin/sh"], lib.PAUSE: ["/bin/sleep", "1000000"]})
    return path


@pytest.fixture(scope="session")
def session(area, busybox):
    """One podman with its own storage for all tests."""
    with lib.Podman(area + "/podman") as p:
        p.import_tree(busybox, lib.BUSYBOX, "CMD [\"/bin/sh\"]", "ENV PATH=/bin")
        p.import_tree(lib.debian_tree(), lib.DEBIAN, "CMD [\"/bin/bash\"]")
        yield p


@pytest.fixture
def podman(session):
    yield session
    session.remove_all()
    assert session.leftovers() == []
