"""Id-mapped mounts (mounts[].uidMappings and the options idmap and ridmap), with and without a user namespace of the container."""
import os
import subprocess

import pytest

from conftest import IS_SKIFF, RUNTIME

HOST = 100000
OVERFLOW = 65534
IDMAP_OF_1_1 = pytest.mark.skipif(
    not IS_SKIFF and "1.1" in subprocess.run([RUNTIME, "--version"], capture_output=True, text=True).stdout.splitlines()[0],
    reason="runc 1.1 knows no id-mapped mounts")


def maps(*triples):
    return [{"containerID": c, "hostID": h, "size": n} for c, h, n in triples]


def tmpfs_of_an_old_kernel(path):
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True).stdout.strip()
    return kind == "tmpfs" and tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 3)


@pytest.fixture
def src(box):
    """Directories whose files belong to several ids, one of them with two mounts below (seen by nobody else)."""
    if tmpfs_of_an_old_kernel(box.dir):
        pytest.skip("tmpfs has id-mapped mounts since Linux 6.3")
    for name, uid, gid in (("one", 0, 0), ("two", 1, 1)):
        (box.dir / name).mkdir()
        (box.dir / name / "foo").touch()
        os.chown(box.dir / name / "foo", uid, gid)
    for k, first in ((1, 100), (2, 200)):
        d = box.dir / f"multi{k}"
        d.mkdir()
        for i, (n, gid) in enumerate((("foo", 211), ("bar", 222), ("baz", 233))):
            (d / n).touch()
            os.chown(d / n, first + i, gid)
    (box.dir / "link").symlink_to("multi1")
    tree = box.dir / "tree"
    tree.mkdir()
    for i, (n, gid) in enumerate((("foo", 211), ("bar", 222), ("baz", 233))):
        (tree / n).touch()
        os.chown(tree / n, 100 * (i + 1), gid)
    mounted = []
    for k in (1, 2):
        (tree / f"multi{k}").mkdir()
        subprocess.run(["mount", "--bind", str(box.dir / f"multi{k}"), str(tree / f"multi{k}")], check=True)
        mounted.append(str(tree / f"multi{k}"))
    yield box.dir
    for m in reversed(mounted):
        subprocess.run(["umount", m], check=True)


def add(box, source, dest, options=("bind",), uids=None, gids=None):
    m = {"destination": dest, "type": "bind", "source": str(source), "options": list(options)}
    if uids is not None:
        m["uidMappings"] = uids
    if gids is not None:
        m["gidMappings"] = gids
    box.c["mounts"].append(m)


def owners(box, *paths, **kw):
    r = box.sh("stat -c %u:%g " + " ".join(paths), **kw)
    assert r.returncode == 0, r.stderr
    return r.stdout.split()


BASIC = maps((0, HOST, 65536))
TREE_U = maps((100, 101000, 3), (200, 102000, 3), (300, 103000, 3))
TREE_G = maps((210, 101100, 10), (220, 102200, 10), (230, 103300, 10))
FILES = ("foo", "bar", "baz")


def shift(box, userns, *pairs):
    """What the ids of the host look like inside."""
    return [f"{u - HOST}:{g - HOST}" if userns else f"{u}:{g}" for u, g in pairs]


@pytest.fixture(params=[True, False], ids=["userns", "no-userns"])
def userns(request, box):
    if request.param:
        box.userns()
    return request.param


@IDMAP_OF_1_1
def test_simple(box, src, userns):
    add(box, src / "one", "/desk/m", uids=BASIC, gids=BASIC)
    assert owners(box, "/desk/m/foo") == shift(box, userns, (HOST, HOST))


@IDMAP_OF_1_1
def test_write(box, src, userns):
    add(box, src / "one", "/desk/m", uids=BASIC, gids=BASIC)
    r = box.sh("touch /desk/m/bar && stat -c %u:%g /desk/m/bar")
    if userns:
        assert r.stdout == "0:0\n", r.stderr
        st = os.stat(src / "one" / "bar")
        assert (st.st_uid, st.st_gid) == (0, 0)
    else:
        assert r.returncode != 0 and "Value too large" in r.stderr


@IDMAP_OF_1_1
def test_beside_a_plain_bind(box, src, userns):
    add(box, src / "one", "/desk/m", uids=BASIC, gids=BASIC)
    add(box, src / "one", "/desk/b")
    plain = f"{OVERFLOW}:{OVERFLOW}" if userns else "0:0"
    assert owners(box, "/desk/m/foo", "/desk/b/foo") == [*shift(box, userns, (HOST, HOST)), plain]


@IDMAP_OF_1_1
def test_many_with_few_descriptors(box, src):
    box.userns()
    for i in range(10):
        add(box, src / "one", f"/desk/one{i}", uids=BASIC, gids=BASIC)
        add(box, src / "two", f"/desk/two{i}", uids=BASIC, gids=BASIC)
    box.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 20}]
    assert owners(box, "/desk/one9/foo", "/desk/two0/foo") == ["0:0", "1:1"]


@IDMAP_OF_1_1
def test_propagation_and_relative_destination(box, src):
    box.userns()
    add(box, src / "one", "desk/m", ["bind", "shared"], BASIC, BASIC)
    r = box.sh("grep ' /desk/m ' /proc/self/mountinfo; stat -c %u:%g /desk/m/foo")
    assert "shared:" in r.stdout and r.stdout.endswith("0:0\n"), r.stderr


@IDMAP_OF_1_1
def test_same_source_with_different_mappings(box, src, userns):
    for dest, source, u, g in (("a", "multi1", 100000, 100000), ("b", "multi1", 101000, 102000), ("c", "link", 102000, 103000)):
        add(box, src / source, f"/desk/{dest}", uids=maps((100, u, 100)), gids=maps((200, g, 100)))
    want = [(u + i, g + 11 * (i + 1)) for u, g in ((100000, 100000), (101000, 102000), (102000, 103000)) for i in range(3)]
    assert owners(box, *(f"/desk/{d}/{f}" for d in "abc" for f in FILES)) == shift(box, userns, *want)


@IDMAP_OF_1_1
@pytest.mark.parametrize("flags", [["rbind"], ["rbind", "idmap"], ["rbind", "ridmap"]], ids=lambda f: f[-1])
def test_recursion(box, src, userns, flags):
    add(box, src / "tree", "/desk/t", flags, TREE_U, TREE_G)
    want = shift(box, userns, (101000, 101101), (102000, 102202), (103000, 103303))
    if flags[-1] == "ridmap":
        for k in (1, 2):
            want += shift(box, userns, *((100000 + 1000 * k + i, 101101 + 1101 * i) for i in range(3)))
    elif userns:
        want += [f"{OVERFLOW}:{OVERFLOW}"] * 6
    else:
        want += [f"{100 * k + i}:{211 + 11 * i}" for k in (1, 2) for i in range(3)]
    assert owners(box, *(f"/desk/t{d}/{f}" for d in ("", "/multi1", "/multi2") for f in FILES)) == want


@IDMAP_OF_1_1
@pytest.mark.parametrize("flag", ["idmap", "ridmap"])
@pytest.mark.parametrize("join", [False, True], ids=["own", "joined"])
def test_implied_mapping(box_factory, box, src, flag, join):
    box.userns()
    if join:
        box.p["args"] = ["sleep", "100"]
        other = box_factory()
        box.start("sleep", "100")
        other.own_rootfs()
        subprocess.run(["chown", "-hR", f"{HOST}:{HOST}", str(other.rootfs)], check=True)
        other.c["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{box.state()['pid']}/ns/user"})
        b = other
    else:
        b = box
    add(b, src / "tree", "/desk/t", ["rbind", flag])
    below = ["100:211", "101:222", "102:233"] if flag == "ridmap" else [f"{OVERFLOW}:{OVERFLOW}"] * 3
    assert owners(b, *(f"/desk/t{d}/{f}" for d in ("", "/multi1") for f in FILES)) == ["100:211", "200:222", "300:233", *below]


@pytest.mark.skiff_only
def test_crun_option(box, src):
    box.userns()
    add(box, src / "two", "/desk/abs", ["bind", "idmap=uids=1-100007-1#2-100009-1;gids=0-100000-10"])
    add(box, src / "two", "/desk/rel", ["bind", "idmap=uids=@1-3-10;gids=@1-4-10"])
    assert owners(box, "/desk/abs/foo", "/desk/rel/foo") == ["7:1", "3:4"]


@IDMAP_OF_1_1
@pytest.mark.parametrize("case", [
    ("tmpfs", ["idmap"], None, None, "only supported for bind-mounts"),
    ("bind", ["bind"], BASIC, None, "must have both uid and gid mappings"),
    ("bind", ["bind"], None, BASIC, "must have both uid and gid mappings"),
    ("bind", ["bind", "idmap"], None, None, "must have both uid and gid mappings"),
    ("bind", ["bind", "size=1k"], None, None, "cannot have any filesystem-specific options"),
], ids=lambda c: "-".join(c[1]) + ("-u" if c[2] else "") + ("-g" if c[3] else ""))
def test_refused(box, src, case):
    kind, options, uids, gids, word = case
    add(box, src / "one", "/desk/m", options, uids, gids)
    box.c["mounts"][-1]["type"] = kind
    r = box.sh("true")
    assert r.returncode != 0 and word in r.stderr


@pytest.mark.skiff_only
@pytest.mark.parametrize("option,word", [
    ("idmap=uids=@1-3-10", "relative mapping without user namespace mappings"),
    ("idmap=uids=1-3", "invalid mapping"),
    ("idmap=uids=1-3-0", "invalid mapping"),
    ("idmap=uids=1-3-4x;gids=1-2-3", "invalid mapping"),
    ("idmap=uids=1-3-4", "must have both"),
])
def test_refused_text(box, src, option, word):
    add(box, src / "one", "/desk/m", ["bind", option])
    r = box.sh("true")
    assert r.returncode != 0 and word in r.stderr
    assert box.has_traces() == []


@IDMAP_OF_1_1
@pytest.mark.parametrize("idmapped", [False, True], ids=["plain", "idmap"])
def test_source_inside_the_container(box, userns, idmapped):
    """Sources that are mounts which the same container made before; those of the host are out of its reach."""
    if idmapped and tmpfs_of_an_old_kernel(box.dir):
        pytest.skip("tmpfs has id-mapped mounts since Linux 6.3")
    if not userns:
        box.own_rootfs()
    root = box.rootfs
    (root / "mnt").mkdir(exist_ok=True)
    (root / "final").mkdir(exist_ok=True)
    base = box.dir / "bind-src"
    for sub in ("a/x", "b/y", "c/z"):
        (base / sub).mkdir(parents=True)
        (base / sub / "file").write_text(sub)
        (base / ("sym-" + sub[0])).symlink_to(sub[0])
    base.chmod(0o750)
    m = {"uids": BASIC, "gids": BASIC} if idmapped else {}
    add(box, base / "a", "/mnt", ["bind", "rprivate"])
    add(box, base / "sym-b", "/mnt/x", ["bind", "rprivate"])
    add(box, base / "c", "/mnt/x/y", ["bind", "rprivate"])
    add(box, base / "sym-a", "/mnt/x/y/z", ["bind", "rprivate"])
    add(box, root / "mnt/x", f"{root}/mnt/x/y/z/x", ["rbind", "rprivate"], **m)
    add(box, root / "mnt/x/y", f"{root}/mnt/x/y/z", ["rbind", "rprivate"], **m)
    add(box, root / "mnt", f"{root}/final", ["rbind", "rprivate"], **m)
    for d in ("a/x/y/z", "b/y", "c/z/x", "a/x"):
        (base / d).mkdir(parents=True, exist_ok=True)
    r = box.run("cat", "/final/x/y/z/z/x/y/z/x/file")
    assert r.stdout == "a/x", r.stderr


@pytest.mark.skiff_only
def test_more_ranges_than_the_kernel_takes_at_once(box):
    box.userns()
    box.c["linux"]["uidMappings"] = maps(*((10000 + 2 * i, 200000 + 2 * i, 1) for i in range(340)))
    r = box.run("true")
    assert r.returncode == 1 and "340 ranges is longer than 4095 bytes" in r.stderr, r.stderr
    box.c["linux"]["uidMappings"] = maps(*((2 * i, 200000 + 2 * i, 1) for i in range(341)))
    r = box.run("true")
    assert r.returncode == 1 and "at most 340 are allowed" in r.stderr, r.stderr
