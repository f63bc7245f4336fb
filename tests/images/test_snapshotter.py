"""The ways to make a container's root of layers (src/store/snapshot.h): one suite, which each way passes; as the host's root and in a user namespace."""
import io
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import tarfile
import time
from dataclasses import dataclass, field

import imagegen as ig
import pytest
import worker
from imagegen import dir_, fifo, file, hardlink, symlink
from model import CAP, supported
from ready import wait_for_traps
from test_archives import layout, ok
from test_crash import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("busybox"), reason="containers need root, and a shell")
APPLETS = ("sh", "rm", "mkdir", "ln", "chmod", "echo", "sleep", "cat", "ls", "mv", "chown", "true", "find", "wc", "stat")
REF = "example.com/snap:1"
UID, GID = 300000, 310000
KILLS = int(os.environ.get("KILLS", 4))  # of each way that copies; tests/soak has more


@dataclass
class Way:
    name: str
    conf: str
    flags: list = field(default_factory=list)
    uid: int = 0
    gid: int = 0
    copies: bool = False

    def __post_init__(self):
        self.flags = ["--network=none", *self.flags]

    @property
    def driver(self):
        return "vfs" if "vfs" in self.conf else "overlay"


MAPPED = dict(flags=["--uidmap", f"0:{UID}:65536", "--gidmap", f"0:{GID}:65536"], uid=UID, gid=GID)
WAYS = [Way("overlay", "storage_driver = overlay"), Way("vfs", "storage_driver = vfs"), Way("overlay-idmapped", "", **MAPPED),
        Way("overlay-copies", "mapped_copies = true", copies=True, **MAPPED), Way("vfs-userns", "storage_driver = vfs", **MAPPED)]


@pytest.fixture(params=WAYS, ids=lambda w: w.name)
def way(request, tmp_path, monkeypatch):
    conf = tmp_path / "skiff.conf"
    conf.write_text(request.param.conf + "\n")
    monkeypatch.setenv("SKIFF_CONF", str(conf))
    return request.param


def acl(uid, gid):
    """rw for the owner, r for one more user and one more group."""
    rows = [(1, 6, 0xffffffff), (2, 4, uid), (4, 4, 0xffffffff), (8, 4, gid), (16, 4, 0xffffffff), (32, 0, 0xffffffff)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *r) for r in rows)


def program():
    with open(os.path.realpath(shutil.which("busybox")), "rb") as f:
        return f.read()


def base_layer():
    return ig.layer([dir_("bin"), file("bin/busybox", program(), mode=0o755), *(symlink(f"bin/{n}", "busybox") for n in APPLETS), dir_("etc"),
                     file("etc/passwd", "root:x:0:0::/:/bin/sh\n"), dir_("proc"), dir_("sys"), dir_("dev"), dir_("tmp", mode=0o1777)])


def layers():
    low = [dir_("d", mode=0o750, uid=7, gid=8), file("d/a", "a" * 5000, uid=1000, gid=1001, mode=0o640), hardlink("d/b", "d/a"), file("suid", "s", mode=0o4755),
           file("cap", "c", mode=0o755, xattrs={"security.capability": CAP}), file("x", "x", xattrs={"user.k": "v"}), symlink("dangling", "nowhere/at all"),
           fifo("pipe", mode=0o620), dir_("opq"), file("opq/old", "o"), dir_("opq/sub"), file("opq/sub/f", "f"), dir_("gone"), file("gone/f", "f"),
           file("file-to-dir", "f"), dir_("dir-to-file"), file("dir-to-file/f", "f"), symlink("link-to-dir", "d"), file("h1", "hh"), hardlink("h2", "h1"),
           file("back", "1"), dir_("merge", mode=0o700, xattrs={"user.low": "1"}), file("merge/low", "l"), file("mtime", "m", mtime=1234567890),
           file("sp ace \u00fc", "u"), file("keep", "keep")]
    mid = [dir_("opq"), file("opq/.wh..wh..opq"), file("opq/new", "n"), file(".wh.gone"), dir_("file-to-dir"), file("file-to-dir/in", "i"),
           file("dir-to-file", "now a file"), dir_("link-to-dir"), file("link-to-dir/own", "o"), file("h2", "other"), file(".wh.back"),
           dir_("merge", mode=0o711), file("merge/high", "h")]
    top = [file("back", "3"), dir_("gone"), file("gone/again", "g")]
    return [base_layer(), ig.layer(low), ig.layer(mid), ig.layer(top)]


def shell_image(v):
    return ig.image(v, edit_config=lambda c: {**c, "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images are made and packed once: for a function that gives the layers, the image and where it is loaded from."""
    all_ = {}

    def get(make):
        if make not in all_:
            im = shell_image(make())
            all_[make] = im, str(layout(tmp_path_factory.mktemp("image") / "image", [im], [REF]))
        return all_[make]
    return get


@pytest.fixture
def image(store, made, way):
    im, path = made(layers)
    ok(store, "load", "-i", path)
    yield im
    for i in ok(store, "ps", "-aq").split():
        run(store, "rm", "-f", i)
    ok(store, "image", "prune", "-a", "-f")
    assert store.layers() == [] and store.names("containers") == [] and store.names("trash") == [] and store.names("leases") == []
    assert ok(store, "system", "check") == "Everything is in order.\n"


MOUNTS = {"proc", "sys", "dev"}
OURS = {"etc/hosts", "etc/hostname", "etc/resolv.conf"}


def scan(root, way):
    out = {}
    for where, dirs, files in os.walk(root):
        rel = os.path.relpath(where, root)
        if rel == ".":
            dirs[:] = [d for d in dirs if d not in MOUNTS]
        for name in dirs + files:
            full, path = os.path.join(where, name), os.path.normpath(os.path.join(rel, name))
            st = os.lstat(full)
            if path in OURS or path.startswith("bin/"):
                continue
            row = {"type": stat.S_IFMT(st.st_mode), "uid": st.st_uid - way.uid, "gid": st.st_gid - way.gid, "mtime": st.st_mtime_ns}
            if not stat.S_ISLNK(st.st_mode):
                row["mode"] = stat.S_IMODE(st.st_mode)
            if stat.S_ISREG(st.st_mode):
                row["links"] = st.st_nlink
                with open(full, "rb") as f:
                    row["data"] = f.read()
                row["xattrs"] = {k: os.getxattr(full, k) for k in os.listxattr(full) if k.startswith("user.") or k == "security.capability"}
            elif stat.S_ISLNK(st.st_mode):
                row["data"] = os.readlink(full)
            else:
                row["xattrs"] = {k: os.getxattr(full, k) for k in os.listxattr(full) if k.startswith("user.")}
            out[path] = row
    return out


def sleeper(store, way, *flags, image=REF):
    cid = ok(store, "run", "-d", *way.flags, *flags, image, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done").strip()
    pid = json.loads(ok(store, "inspect", cid))[0]["State"]["Pid"]
    wait_for_traps(pid, ["trap 'exit 0' TERM"])
    return cid, f"/proc/{pid}/root"


def changes(store, name):
    return dict(reversed(line.split(" ", 1)) for line in ok(store, "diff", name).splitlines())


def test_the_view_is_the_merged_one(store, way, image):
    cid, root = sleeper(store, way)
    got = scan(root, way)
    full = supported(store.path)
    caps = {"security.capability": CAP} if "security.capability" in full else {}
    assert got["d"]["mode"] == 0o750 and (got["d"]["uid"], got["d"]["gid"]) == (7, 8)
    assert got["d/a"]["data"] == b"a" * 5000 and (got["d/a"]["uid"], got["d/a"]["gid"], got["d/a"]["mode"]) == (1000, 1001, 0o640)
    assert got["d/a"] == got["d/b"] and got["d/a"]["links"] == 2 and os.lstat(root + "/d/a").st_ino == os.lstat(root + "/d/b").st_ino
    assert got["suid"]["mode"] == 0o4755 and got["x"]["xattrs"] == ({"user.k": b"v"} if "user." in full else {})
    assert got["cap"]["xattrs"].keys() == caps.keys()
    assert got["dangling"]["data"] == "nowhere/at all" and got["pipe"]["type"] == stat.S_IFIFO and got["pipe"]["mode"] == 0o620
    assert {p for p in got if p.startswith("opq/")} == {"opq/new"}
    assert {p for p in got if p.startswith("gone/")} == {"gone/again"}
    assert got["file-to-dir"]["type"] == stat.S_IFDIR and got["file-to-dir/in"]["data"] == b"i"
    assert got["dir-to-file"]["data"] == b"now a file" and got["link-to-dir"]["type"] == stat.S_IFDIR and "link-to-dir/a" not in got
    assert got["h1"]["data"] == b"hh" and got["h2"]["data"] == b"other" and got["h2"]["links"] == 1
    assert got["back"]["data"] == b"3" and {p for p in got if p.startswith("merge/")} == {"merge/low", "merge/high"}
    assert got["merge"]["mode"] == 0o711 and got["merge"]["xattrs"] == {}, "the upper directory's attributes alone"
    assert got["mtime"]["mtime"] == 1234567890 * 10**9 and "sp ace \u00fc" in got
    assert not [p for p in got if ".wh." in p] and changes(store, cid) == {}
    assert all(0 <= r["uid"] < 65536 and 0 <= r["gid"] < 65536 for r in got.values()), "owners are the container's"
    tar = tarfile.open(fileobj=io.BytesIO(export(store, cid)))
    assert {m.name: (m.uid, m.gid) for m in tar if m.name in ("d", "d/a", "keep")} == {"d": (7, 8), "d/a": (1000, 1001), "keep": (0, 0)}


def export(store, name):
    return subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), "export", name], check=True,
                          stdout=subprocess.PIPE, timeout=60).stdout


CHANGE = ("echo new > /new; ln /new /hard; rm -r /d; mkdir /d; echo n > /d/n; chmod 755 /keep; rm /back; ln -s x /sym; rm /h1; mkdir /h1; rm -r /merge; "
          "echo f > /merge; chown 5:6 /x; echo more >> /mtime; mkdir -p /deep/er; echo d > /deep/er/f; mv /opq/new /opq/moved")
WANT = {"/new": "A", "/hard": "A", "/d": "C", "/d/a": "D", "/d/b": "D", "/d/n": "A", "/keep": "C", "/back": "D", "/sym": "A", "/h1": "C", "/merge": "C",
        "/x": "C", "/mtime": "C", "/deep": "A", "/deep/er": "A", "/deep/er/f": "A", "/opq": "C", "/opq/new": "D", "/opq/moved": "A"}


def test_changes_are_seen_committed_and_run_again(store, way, image):
    ok(store, "run", "--name", "c", *way.flags, REF, "sh", "-c", CHANGE)
    assert changes(store, "c") == WANT
    size = ok(store, "ps", "-a", "--size", "--format", "{{.Size}}")
    assert size.startswith(("4", "3", "2")) and "B (virtual" in size and "kB (virtual" not in size, "only what changed: " + size
    before = set(store.names(f"containers/{ok(store, 'ps', '-aq', '--no-trunc').strip()}"))
    ok(store, "commit", "c", "made:1")
    assert set(store.names(f"containers/{ok(store, 'ps', '-aq', '--no-trunc').strip()}")) == before
    layer = json.loads(ok(store, "image", "inspect", "made:1"))[0]["RootFS"]["Layers"]
    assert len(layer) == 5 and layer[:4] == [la.diff_id for la in image.layers]
    top = {r: k for r, k in (reversed(line.split(" ", 1)) for line in ok(store, "image", "diff", "made:1").splitlines())}
    assert {k: v for k, v in top.items() if k != "/etc"} == WANT
    # stopped and running containers of it look the same as the changed one
    one = {k: (v["data"] if "data" in v else None, v.get("mode"), v["uid"], v["gid"]) for k, v in scan(sleeper(store, way, image="made:1")[1], way).items()}
    ok(store, "start", "c")
    two, _ = sleeper(store, Way("overlay", ""), image="made:1")
    assert changes(store, two) == {}
    assert one["new"][0] == b"new\n" and one["h1"][0] is None and one["merge"][0] == b"f\n" and one["x"][2:] == (5, 6) and one["keep"][1] == 0o755
    assert "back" not in one and "d/a" not in one and one["d/n"][0] == b"n\n" and one["opq/moved"][0] == b"n" and one["mtime"][0] == b"mmore\n"
    assert worker.verify(store.path).bad == []
    ok(store, "run", "--rm", *way.flags, "made:1", "sh", "-c", "cat /new /hard /deep/er/f")


def test_attributes_alone_are_a_change(store, way, image):
    if "user." not in supported(store.path):
        pytest.skip("this file system has no user attributes")
    cid, root = sleeper(store, way)
    os.setxattr(root + "/keep", "user.mine", b"1")
    assert changes(store, cid) == {"/keep": "C"}
    ok(store, "commit", cid, "made:1")
    other = sleeper(store, way, image="made:1")[1]
    assert os.getxattr(other + "/keep", "user.mine") == b"1"


def test_what_is_written_survives_a_restart_and_no_layer_is_touched(store, way, image):
    cid, root = sleeper(store, way)
    ok(store, "exec", cid, "sh", "-c", "echo 1 > /new; echo changed > /keep; rm /x")
    ok(store, "stop", "-t", "5", cid)
    assert ok(store, "cp", f"{cid}:/new", "-")[:3] == "new"
    ok(store, "start", cid)
    assert ok(store, "exec", cid, "cat", "/new", "/keep") == "1\nchanged\n" and run(store, "exec", cid, "cat", "/x")[0] == 1
    assert ok(store, "run", "--rm", *way.flags, REF, "sh", "-c", "cat /keep /x; ls /new 2>/dev/null || true") == "keepx"
    assert worker.verify(store.path).bad == []


def test_it_is_shown(store, way, image):
    cid, _ = sleeper(store, way)
    assert ok(store, "info", "--format", "{{.Driver}}") == way.driver + "\n" and f"Storage Driver: {way.driver}\n" in ok(store, "info")
    doc = json.loads(ok(store, "inspect", cid))[0]
    assert doc["Driver"] == doc["GraphDriver"]["Name"] == way.driver
    assert (doc["GraphDriver"]["Data"] is None) == (way.driver == "vfs")
    rows = {r.split("|")[0]: r.split("|") for r in ok(store, "system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}").splitlines()}
    assert ("Mapped Layers" in rows) == way.copies and (not way.copies or rows["Mapped Layers"][1:] == ["4", "4"])
    on_disk = sum(os.lstat(os.path.join(w, f)).st_blocks * 512 for w, _, fs in os.walk(store.path / "containers" / doc["Id"]) for f in fs)
    size = ok(store, "system", "df", "--format", "{{.Type}}|{{.Size}}").split("Containers|")[1].split("\n")[0]
    assert (on_disk > len(program())) == (way.driver == "vfs") and size.endswith("MB" if way.driver == "vfs" else "kB"), size


def test_images_are_mounted(store, way, image):
    cid, root = sleeper(store, way, "--mount", f"type=image,source={REF},target=/mnt")
    assert scan(root + "/mnt", way)["merge/high"] == scan(root, way)["merge/high"]
    assert "Read-only file system" in run(store, "exec", cid, "sh", "-c", "echo > /mnt/new")[2]
    path = ok(store, "image", "mount", REF).strip()
    try:
        assert set(scan(path, Way("", ""))) == set(scan(root + "/mnt", way))
        with pytest.raises(OSError):
            open(path + "/new", "w")
        ok(store, "system", "prune", "-f")
        assert open(path + "/keep").read() == "keep"
    finally:
        ok(store, "image", "unmount", REF)
    assert store.names("mounts") == [] and not os.path.exists(path)


@pytest.fixture
def namespaces():
    """Paths of user namespaces that no container made: for a first id each."""
    held = []

    def make(first):
        p = subprocess.Popen(["unshare", "--user", "sleep", "600"], stdout=subprocess.DEVNULL)
        held.append(p)
        end = time.monotonic() + 10
        while os.readlink(f"/proc/{p.pid}/ns/user") == os.readlink("/proc/self/ns/user") and time.monotonic() < end:
            time.sleep(0.01)
        for kind in ("uid", "gid"):
            with open(f"/proc/{p.pid}/{kind}_map", "w") as f:
                f.write(f"0 {first + (10000 if kind == 'gid' else 0)} 65536")
        return f"/proc/{p.pid}/ns/user"
    yield make
    for p in held:
        p.kill()
        p.wait()


def test_a_namespace_by_path_and_of_a_container_that_has_it(store, tmp_path, way, image, namespaces):
    """Files are the container's root's, also where they are copied before the first start; other maps at the same path later are refused then."""
    if not way.uid:
        pytest.skip("no user namespace")
    link = tmp_path / "ns"
    link.symlink_to(namespaces(UID))
    by_path = Way(way.name, way.conf, flags=[f"--userns=ns:{link}"], uid=UID, gid=GID, copies=way.copies)
    copied = way.copies or way.driver == "vfs"
    cid = ok(store, "create", *by_path.flags, REF, "sh", "-c", "stat -c %u:%g /d/a /keep; trap 'exit 0' TERM; while :; do sleep 0.1; done").strip()
    if not copied:
        assert "start it first" in run(store, "create", f"--userns=container:{cid}", REF)[2]
    ok(store, "start", cid)
    root = f"/proc/{json.loads(ok(store, 'inspect', cid))[0]['State']['Pid']}/root"
    got = scan(root, by_path)
    assert (got["d/a"]["uid"], got["d/a"]["gid"]) == (1000, 1001) and all(0 <= r["uid"] < 65536 and 0 <= r["gid"] < 65536 for r in got.values())
    assert changes(store, cid) == {}
    other, root = sleeper(store, Way("", "", flags=[f"--userns=container:{cid}"]))
    assert {k: (v["uid"], v["gid"]) for k, v in scan(root, by_path).items()} == {k: (v["uid"], v["gid"]) for k, v in got.items()}
    ok(store, "stop", "-t", "5", other, cid)
    link.unlink()
    link.symlink_to(namespaces(UID + 100000))
    rc, _, err = run(store, "start", cid)
    assert (rc, "has others now; make the container anew" in err) == ((1, True) if copied else (0, False)), err
    link.unlink()
    rc, _, err = run(store, "create", *by_path.flags, REF)
    assert (rc, "must be readable when the container is made" in err) == ((125, True) if copied else (0, False)), err


def many_layers():
    return [base_layer()] + [ig.layer([dir_("l"), file(f"l/{i}", str(i)), file("last", str(i))] + ([file(f"l/.wh.{i - 1}")] if i % 2 else [])) for i in range(199)]


def test_200_layers(store, made, way):
    if way.uid and not way.copies:
        pytest.skip("the same as without maps")
    ok(store, "load", "-i", made(many_layers)[1])
    ok(store, "run", "--name", "c", *way.flags, REF, "sh", "-c", "cat /last; ls /l | wc -l; rm /l/1; echo n > /l/new")
    assert changes(store, "c") == {"/l": "C", "/l/1": "D", "/l/new": "A"}
    ok(store, "commit", "c", "made:1")
    assert ok(store, "run", "--rm", *way.flags, "made:1", "sh", "-c", "cat /last; ls /l | wc -l") == "198100\n"
    assert len(json.loads(ok(store, "image", "inspect", "made:1"))[0]["RootFS"]["Layers"]) == 201
    ok(store, "rm", "c")
    ok(store, "rmi", "made:1", REF)
    assert store.layers() == []


# --- what only copies have ---

@pytest.fixture
def copies(tmp_path, monkeypatch):
    way = next(w for w in WAYS if w.copies)
    (tmp_path / "skiff.conf").write_text(way.conf + "\n")
    monkeypatch.setenv("SKIFF_CONF", str(tmp_path / "skiff.conf"))
    return way


def mapped(store):
    return sorted(p for p in store.path.glob("layers/*/map-*"))


@pytest.fixture
def loaded(store, made, copies):
    im, path = made(layers)
    ok(store, "load", "-i", path)
    yield im
    for i in ok(store, "ps", "-aq").split():
        run(store, "rm", "-f", i)


def test_copies_are_shared_and_collected(store, copies, loaded):
    ok(store, "run", "--name", "a", *copies.flags, REF, "true")
    first = {p: os.stat(p).st_ino for p in mapped(store)}
    assert len(first) == 4
    ok(store, "run", "--name", "b", *copies.flags, REF, "true")
    assert {p: os.stat(p).st_ino for p in mapped(store)} == first, "one copy for both"
    ok(store, "run", "--name", "other", "--network=none", "--uidmap", "0:500000:65536", "--gidmap", "0:500000:65536", REF, "true")
    assert len(mapped(store)) == 8, "other maps, other copies"
    ok(store, "rm", "other")
    assert len(mapped(store)) == 8 and "Mapped Layers" in ok(store, "system", "df")
    assert ok(store, "system", "check") == "Everything is in order.\n"
    ok(store, "image", "prune", "-f")
    assert set(mapped(store)) == set(first), "those that no container has are gone"
    ok(store, "rm", "a", "b")
    ok(store, "image", "prune", "-f")
    assert mapped(store) == [] and len(store.layers()) == 4


def test_copies_that_are_damaged_are_found_and_made_again(store, copies, loaded):
    ok(store, "create", "--name", "a", *copies.flags, REF, "cat", "/keep")
    victim = next(p for p in mapped(store) if (p / "tree/keep").exists())
    os.chown(victim / "tree/keep", 1, 1)
    assert "its owner differs" in run(store, "system", "check")[1]
    ok(store, "system", "check", "--repair")
    assert os.stat(victim / "tree/keep").st_uid == UID and ok(store, "start", "-a", "a") == "keep"
    for damage in (lambda: (victim / "tree/extra").write_text("x"), lambda: os.unlink(victim / "ids"), lambda: os.unlink(victim / "tree/keep"),
                   lambda: shutil.rmtree(victim)):
        damage()
        assert run(store, "system", "check")[0] == 1
        ok(store, "system", "check", "--repair")
        assert ok(store, "system", "check") == "Everything is in order.\n"
    shutil.rmtree(victim)
    assert ok(store, "start", "-a", "a") == "keep", "the next start makes it again"


def test_an_acl_names_the_mapped_ids(store, tmp_path, copies):
    la = ig.layer([file("f", "f")])
    im = shell_image([base_layer(), la])
    ok(store, "load", "-i", str(layout(tmp_path / "image", [im], [REF])))
    target = store.tree(la.hex) / "f"
    try:
        os.setxattr(target, "system.posix_acl_access", acl(12, 34))
    except OSError:
        pytest.skip("this file system has no ACLs")
    ok(store, "create", "--name", "a", *copies.flags, REF, "true")
    assert os.getxattr(next(p for p in mapped(store) if (p / "tree/f").exists()) / "tree/f", "system.posix_acl_access") == acl(UID + 12, GID + 34)
    ok(store, "rm", "a")


def many_files():
    return [base_layer(), ig.layer([dir_("many")] + [file(f"many/{i}", os.urandom(2000)) for i in range(1500)])]


@pytest.mark.parametrize("name", ["vfs", "overlay-copies"])
def test_killed_while_it_copies(store, made, tmp_path, monkeypatch, name):
    """kill -9 of create at many moments: afterwards nothing is left, and a container can be made."""
    way = next(w for w in WAYS if w.name == name)
    (tmp_path / "skiff.conf").write_text(way.conf + "\n")
    monkeypatch.setenv("SKIFF_CONF", str(tmp_path / "skiff.conf"))
    ok(store, "load", "-i", made(many_files)[1])
    argv = [worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), "create", *way.flags, REF, "true"]
    killed = 0
    for i in range(KILLS):
        p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.004 + 0.096 * i / KILLS)
        p.send_signal(signal.SIGKILL)
        killed += p.wait() != 0
        if i % 4 == 3:
            for cid in ok(store, "ps", "-aq").split():
                ok(store, "rm", "-f", cid)
            run(store, "system", "check", "--repair")
            assert ok(store, "system", "check") == "Everything is in order.\n"
            assert store.names("containers") == [] and not list(store.path.glob("layers/*/.tmp-*"))
    assert killed > 1
    ok(store, "run", "--rm", *way.flags, REF, "sh", "-c", "test $(ls /many | wc -l) = 1500")
    ok(store, "image", "prune", "-a", "-f")
    assert store.layers() == []


def test_overlay_is_preferred_and_remembered(store, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIFF_CONF", "")
    assert ok(store, "info", "--format", "{{.Driver}}") == "overlay\n"
    assert os.readlink(store.path.parent / "run/storage-driver") == "overlay" and store.names("trash") == []
    (tmp_path / "skiff.conf").write_text("storage_driver = btrfs\n")
    monkeypatch.setenv("SKIFF_CONF", str(tmp_path / "skiff.conf"))
    rc, _, err = run(store, "info")
    assert rc == 1 and "skiff.conf:1: storage_driver 'btrfs' is unknown: expected overlay or vfs" in err


def test_copies_where_overlay_is_missing(store, tmp_path, monkeypatch):
    """A store on an overlay, which cannot have the upper directory of another one; nor has it whiteouts."""
    o = tmp_path / "o"
    for d in ("l", "u", "w", "m"):
        (o / d).mkdir(parents=True)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={o}/l,upperdir={o}/u,workdir={o}/w", f"{o}/m"], check=True)
    try:
        inner = type(store)(o / "m/store")
        monkeypatch.setenv("SKIFF_CONF", "")
        images = [shell_image([base_layer(), ig.layer([file("keep", "keep")])]), shell_image(layers())]
        ok(inner, "load", "-i", str(layout(tmp_path / "one", images[:1], [REF])))
        assert ok(inner, "info", "--format", "{{.Driver}}") == "vfs\n"
        assert ok(inner, "run", "--network=none", "--name", "c", REF, "sh", "-c", "cat /keep; rm /keep; echo > /new") == "keep"
        assert changes(inner, "c") == {"/keep": "D", "/new": "A"}
        ok(inner, "rm", "c")
        rc, _, err = run(inner, "load", "-i", str(layout(tmp_path / "two", images[1:], ["example.com/two:1"])))
        assert rc == 1 and "make the whiteout of 'gone'" in err and "put the store on another" in err
        ok(inner, "image", "prune", "-a", "-f")
    finally:
        subprocess.run(["umount", f"{o}/m"], check=True)
