"""Images that buildah and skopeo pushed to docker-registry, pulled and run by skiff; the same image through podman with skiff-oci."""
import json
import os

import pytest

from interoplib import BIN, BUSYBOX, DEBIAN, busybox_tree, mounts_below, remove_tree, sh, wait_for


@pytest.fixture
def skiff(area, tmp_path):
    root = str(tmp_path)
    base = [os.path.join(BIN, "skiff"), "--root", root + "/lib", "--run-root", root + "/run"]

    def run(*args, **kw):
        return sh(*base, *args, env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": root, "HOME": root}, stdin=None if "input" in kw else -3, **kw)
    yield run
    names = run("ps", "-aq").stdout.split()
    if names:
        run("rm", "-f", *names)
    wait_for(lambda: mounts_below(root) == [], what="the end of its mounts")
    remove_tree(root)


@pytest.fixture(scope="module")
def by_buildah(area, registry):
    """Three layers in both families of media types, pushed by buildah."""
    root = area + "/buildah-push"
    os.makedirs(root + "/context")
    busybox_tree(root + "/context/bb")
    with open(root + "/context/Containerfile", "w") as f:
        f.write('FROM scratch\nCOPY bb /\nENV PATH=/bin WHO="by buildah"\nCOPY Containerfile /etc/made-by\nUSER nobody\nWORKDIR /tmp\nLABEL a=b\nCMD ["sh", "-c", "id -u; pwd; echo $WHO"]\n')
    names = {}
    for family in ("oci", "docker"):
        b = ["buildah", "--root", root + "/root", "--runroot", root + "/run", "--storage-driver", "overlay"]
        env = dict(os.environ, TMPDIR=root, HOME=root)
        sh(*b, "bud", "-q", "--layers", "--format", family, "-t", "made", root + "/context", env=env)
        names[family] = f"{registry.name}/by-buildah/{family}:1"
        sh(*b, "push", "-q", "--tls-verify=false", "made", "docker://" + names[family], env=env)
    yield names
    remove_tree(root)


@pytest.fixture(scope="module")
def by_skopeo(area, registry, session):
    """The Debian image out of podman's storage, copied by skopeo with each compression."""
    archive = area + "/debian.tar"
    session("save", "-q", "-o", archive, DEBIAN, check=True, timeout=120)
    names = {}
    for kind in ("gzip", "zstd"):
        names[kind] = f"{registry.name}/by-skopeo/{kind}"
        sh("skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-compress-format", kind, "--dest-compress-level", "1", "-f", "oci", "docker-archive:" + archive,
           "docker://" + names[kind], timeout=180)
    yield names
    os.unlink(archive)


@pytest.mark.smoke
@pytest.mark.parametrize("family", ["oci", "docker"])
def test_pushed_by_buildah(skiff, by_buildah, family):
    skiff("pull", "-q", by_buildah[family])
    assert skiff("run", "--rm", by_buildah[family]).stdout == "65534\n/tmp\nby buildah\n"
    assert skiff("run", "--rm", "-u", "0", by_buildah[family], "cat", "/etc/made-by").stdout.startswith("FROM scratch")
    image = json.loads(skiff("image", "inspect", by_buildah[family]).stdout)[0]
    assert image["Config"]["User"] == "nobody" and image["Config"]["Labels"]["a"] == "b"


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_pushed_by_skopeo(skiff, by_skopeo, kind, session):
    skiff("pull", "-q", by_skopeo[kind], timeout=120)
    tree = "cd / && find bin etc lib sbin usr -xdev ! -path 'etc/host*' ! -path etc/resolv.conf ! -path etc/mtab -printf '%p %y %m %U %G %s %l\\n' | grep -v ' d ' | sort | md5sum"
    mine = skiff("run", "--rm", by_skopeo[kind], "bash", "-c", tree).stdout
    theirs = session.run("--rm", DEBIAN, "bash", "-c", tree).stdout
    assert mine == theirs and mine.endswith("-\n")
    assert skiff("run", "--rm", by_skopeo[kind], "dpkg", "--verify", "base-files", "coreutils", "bash").returncode == 0
    assert session.leftovers() == []


def test_pushed_by_podman(skiff, registry, session):
    name = f"{registry.name}/by-podman"
    session("push", "-q", "--tls-verify=false", BUSYBOX, "docker://" + name, check=True)
    assert skiff("run", "--rm", "-q", name, "echo", "hi").stdout == "hi\n"
