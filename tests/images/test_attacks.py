"""Layers that want out of their directory or want the machine's memory or disk (T38-T41, T43-T47), through a whole pull.

Beside the store stands a canary: nothing of a layer may reach it, whatever its entries say. A hostile layer is either refused, and then nothing of
it stays, or what it names ends up inside its own tree.
"""
import copy
import io
import os
import stat
import tarfile
import threading

import imagegen as ig
import model
import pytest
import worker
from imagegen import chardev, dir_, entry, fifo, file, hardlink, symlink
from test_crash import run

BAD = ("invalid", "corrupt", "limit")


class Outside:
    """Everything beside the store, and another layer of the same store."""

    def __init__(self, path, store, reg):
        self.dir, self.store, self.reg = path, store, reg
        path.mkdir()
        (path / "canary").write_text("tweet")
        (path / "sub").mkdir(mode=0o711)
        (path / "sub/inner").write_text("inside the outside")
        os.chmod(path / "canary", 0o640)
        self.base = ig.layer([dir_("d"), file("d/f", "of another layer"), file("canary", "of another layer too")])
        store.pull(reg.add("base", "1", ig.image([self.base])))
        self.before = self.look()

    def look(self):
        out = {}
        for root in (self.dir, self.store.tree(self.base.hex)):
            for where, dirs, files in os.walk(root):
                for p in [where] + [os.path.join(where, n) for n in files]:
                    st = os.lstat(p)
                    out[p] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns, os.listxattr(p))
        out["beside"] = sorted(os.listdir(self.dir.parent))
        return out

    def attack(self, la, must=None):
        """The tree of the layer when it was taken, None when it was refused."""
        ref = self.reg.add("evil", "1", ig.image([la]))
        layers = self.store.layers()
        tree = None
        try:
            self.store.pull(ref)
            tree = model.scan(self.store.tree(la.hex))
            for p in tree.values():
                assert p.get("sha") != model._sha(b"tweet"), "the canary's content came into a layer"
        except worker.PullFailed as x:
            assert x.kind in BAD, str(x)
            assert "\n" not in x.message and len(x.message) > 20
            assert self.store.layers() == layers
            self.store.no_leftovers()
        assert self.look() == self.before
        if must:
            assert ("refused" if tree is None else "taken") == must
        return tree


@pytest.fixture
def outside(fake, store, tmp_path):
    reg = fake()
    return Outside(tmp_path / "outside", store, reg)


def up(path, n=12):
    return "../" * n + str(path).lstrip("/")


# --- T38: through links ---
@pytest.mark.parametrize("how", [pytest.param("absolute", marks=pytest.mark.smoke), "up", "self-root", "cwd", "proc-fd", "layer", "chain",
                                 "deep-chain", "loop"])
def test_T38_file_through_a_symlink(outside, how):
    d = outside.dir
    other = f"../../{outside.base.hex}/tree"
    links = {
        "absolute": [symlink("l", str(d))], "up": [symlink("l", up(d))], "self-root": [symlink("l", f"/proc/self/root{d}")],
        "cwd": [symlink("l", "/proc/self/cwd")], "proc-fd": [symlink("l", "/proc/self/fd/3")], "layer": [symlink("l", other)],
        "chain": [symlink("l", "l1"), symlink("l1", "l2"), symlink("l2", str(d))],
        "deep-chain": [dir_("a"), dir_("a/b"), symlink("l", "a/x")] + [symlink(f"a/x{i or ''}", f"x{i + 1}") for i in range(8)]
        + [symlink("a/x8", "b/../../.." + str(d))],
        "loop": [symlink("l", "m"), symlink("m", "l")],
    }[how]
    tree = outside.attack(ig.layer(links + [file("l/canary", "pwned"), file("l/new", "pwned")]))
    if how == "loop":
        assert tree is None
    for evil in ([dir_("l/sub", mode=0o777)], [symlink("l/canary", "x")], [hardlink("h", "l/canary")], [file("l/.wh.canary")],
                 [file("l/.wh..wh..opq")], [fifo("l/canary")], [file("l/sub/inner", "pwned")]):
        outside.attack(ig.layer(links + evil))


@pytest.mark.parametrize("name", ["../pwned", "a/../../pwned", "/../pwned", "./../pwned", "a/b/../../../pwned", "..", "../", "a/../..",
                                  "../outside/canary", "/../../outside/canary"])
def test_T38_name_that_climbs(outside, name):
    for kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE):
        la = ig.layer([dir_("a"), dir_("a/b"), entry(name, kind, data=b"pwned" if kind == tarfile.REGTYPE else b"", link="x")])
        outside.attack(la, must="refused")


def test_T38_absolute_names_are_below_the_root(outside):
    tree = outside.attack(ig.layer([dir_("/"), file(str(outside.dir / "canary"), "mine"), file("//etc///passwd", "mine"), dir_("/./var/./")]), "taken")
    assert str(outside.dir / "canary").lstrip("/") in tree and "etc/passwd" in tree and "var" in tree


# --- T39: the root itself ---
@pytest.mark.parametrize("name", [".", "/", "./", "//", "././.", "a/.."])
def test_T39_root_that_is_no_directory(outside, name):
    first = [dir_("a"), file("f", "x")]
    for kind in (tarfile.SYMTYPE, tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        e = entry(name, kind, link="f" if kind == tarfile.LNKTYPE else str(outside.dir))
        # a file whose name ends in a slash is a directory since the first tar
        old_dir = kind == tarfile.REGTYPE and name.endswith("/")
        outside.attack(raw_layer(first + [e, file("canary", "mine")]), "taken" if old_dir else "refused")


def raw_layer(entries):
    """The names as they are: tarfile strips slashes, and makes directories of names that end in one."""
    out = b""
    for e in entries:
        e = copy.copy(e)
        h = bytearray(e.tobuf(tarfile.USTAR_FORMAT))
        h[0:100] = e.name.encode().ljust(100, b"\0")
        h[156:157] = e.type
        out += bytes(checksum(h)) + e.payload.ljust(-(-len(e.payload) // 512) * 512, b"\0")
    return ig.Layer(out + bytes(1024))


def checksum(h):
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h[:512])
    return h


# --- T40: hard links ---
@pytest.mark.parametrize("how", ["up", "absolute", "symlink", "through", "later", "itself", "directory", "layer", "empty", "whiteout"])
def test_T40_hardlink_target(outside, how):
    d = outside.dir
    entries = {
        "up": [hardlink("h", up(d / "canary"))], "absolute": [hardlink("h", str(d / "canary"))],
        "symlink": [symlink("s", str(d / "canary")), hardlink("h", "s"), file("h", "pwned")],
        "through": [symlink("s", str(d)), hardlink("h", "s/canary")],
        "later": [hardlink("h", "f"), file("f", "late")], "itself": [file("f", "x"), hardlink("f", "f")],
        "directory": [dir_("d"), hardlink("h", "d")], "layer": [hardlink("h", f"../../{outside.base.hex}/tree/d/f")],
        "empty": [hardlink("h", "")], "whiteout": [hardlink("h", ".wh.f")],
    }[how]
    outside.attack(ig.layer(entries), must=None if how in ("symlink", "itself") else "refused")


# --- T41: what has a name is replaced, never followed ---
@pytest.mark.parametrize("how", ["mode", "dir-mode", "owner", "xattr", "content", "hardlink", "under"])
def test_T41_nothing_is_applied_through_a_link(outside, how):
    c, d = str(outside.dir / "canary"), str(outside.dir)
    entries = {
        "mode": [file("f", "x"), symlink("f", c), file("f", "y", mode=0o4777)],
        "dir-mode": [symlink("s", d), dir_("s", mode=0o1777, uid=1)],
        "owner": [symlink("f", c, uid=65534, gid=65534, mode=0o777)],
        "xattr": [symlink("f", c, xattrs={"user.x": "y"})],
        "content": [symlink("f", c), file("f", "pwned")],
        "hardlink": [symlink("s", c), hardlink("h", "s"), entry("h", data=b"pwned", mode=0o4777)],
        "under": [dir_("x"), symlink("x", d), file("x/canary", "pwned")],
    }[how]
    tree = outside.attack(ig.layer(entries))
    if how == "mode":
        assert tree["f"]["type"] == "file" and stat.S_IMODE(tree["f"]["mode"]) == 0o4777


# --- T42: a race ---
def test_T42_race_while_unpacking(registry, store, tmp_path):
    """Another process of the same user swaps directories for links under the unpacker. Nobody else can: what is unpacked stands below mode 0700."""
    canary = tmp_path / "canary"
    canary.mkdir()
    im = ig.image([ig.layer([e for d in range(40) for e in [dir_(f"d{d}"), *(file(f"d{d}/f{i}", b"x" * 512) for i in range(60))]])])
    ref = registry.push("race/im", "1", im)
    stop, swaps = threading.Event(), []

    def swap():
        while not stop.is_set():
            for tmp in (store.path / "layers").glob(".tmp-*"):
                assert (store.path / "layers").stat().st_mode & 0o077 == 0
                for d in list((tmp / "tree").glob("d*"))[-3:]:
                    try:
                        os.rename(d, str(d) + ".away")
                        os.symlink(canary, d)
                        swaps.append(d)
                    except OSError:
                        pass
    t = threading.Thread(target=swap)
    t.start()
    try:
        for _ in range(20):
            try:
                store.pull(ref)
            except worker.PullFailed:
                pass
            if len(swaps) > 20:
                break
            run(store, "rmi", "-f", ref)
    finally:
        stop.set()
        t.join()
    assert swaps
    assert os.listdir(canary) == []


# --- T43: whiteouts ---
@pytest.mark.parametrize("name", [".wh..", ".wh...", ".wh.", "a/.wh...", "a/.wh..", ".wh.x/f", "a/.wh.b/c/d"])
def test_T43_whiteout_of_no_name(outside, name):
    outside.attack(ig.layer([dir_("a"), file("a/f", "x"), file(name)]), must="refused")


def test_T43_whiteouts_hide_only_lower_layers(outside):
    la = ig.layer([dir_("a"), file("a/new", "1"), file("a/.wh.new"), file("a/.wh.old"), file("b/.wh..wh..opq"), file("b/new", "2"), file(".wh.b"),
                   file("a/.wh..wh.plnk"), chardev("dev0", 0, 0)])
    tree = outside.attack(la, "taken")
    assert tree["a/new"]["type"] == "file" and tree["b/new"]["type"] == "file" and tree["b"]["opaque"]
    assert tree["a/old"]["rdev"] == (0, 0) and tree["dev0"]["rdev"] == (0, 0)
    assert set(tree) == {"a", "a/new", "a/old", "b", "b/new", "dev0"}


def test_T43_overlay_attributes_of_the_archive_mean_nothing(outside):
    attrs = {"trusted.overlay.opaque": "y", "trusted.overlay.redirect": "/etc", "trusted.overlay.metacopy": "", "user.overlay.opaque": "y",
             "user.overlay.whiteout": "y", "trusted.overlay.origin": "x"}
    tree = outside.attack(ig.layer([dir_("d", xattrs=attrs), file("d/f", "x", xattrs=attrs)]), "taken")
    assert not tree["d"]["opaque"] and tree["d"]["xattrs"] == {} and tree["d/f"]["xattrs"] == {}


# --- T44: kinds ---
def test_T44_device_nodes_and_set_id_bits(outside):
    tree = outside.attack(ig.layer([chardev("mem", 1, 1, mode=0o600), ig.blockdev("sda", 8, 0), file("su", "x", mode=0o6755), fifo("p", mode=0o7777),
                                    dir_("t", mode=0o3777)]), "taken")
    assert tree["mem"]["type"] == "chr" and tree["sda"]["type"] == "blk" and tree["su"]["mode"] == 0o6755 and tree["t"]["mode"] == 0o3777
    # nobody but root reaches the nodes and set-id files of a layer from outside
    assert stat.S_IMODE(os.stat(outside.store.path / "layers").st_mode) & 0o077 == 0


# --- T45, T46: sizes that lie, headers without an end, bombs ---
def pull_limited(outside, la, rss_mb=64):
    """Refused within the time-out of finish(), and within the memory that a pull may have."""
    ref = outside.reg.add("bomb", "1", ig.image([la]))
    w = worker.Worker()
    try:
        w.pull(outside.store.path, ref)
        with pytest.raises(worker.PullFailed) as x:
            w.finish(60)
    finally:
        w.close()
    assert w.peak < rss_mb << 10
    assert x.value.kind in BAD, str(x.value)
    assert outside.store.layers() == [outside.base.hex]
    outside.store.no_leftovers()
    assert outside.look() == outside.before
    return x.value


def header(name, size=0, kind=b"0", raw_size=None):
    t = tarfile.TarInfo(name)
    t.type, t.size = kind, size
    h = bytearray(t.tobuf(tarfile.GNU_FORMAT))
    if raw_size:
        h[124:136] = raw_size
    return bytes(checksum(h))


@pytest.mark.parametrize("size", [b"-0000000001\0", b"\xff" * 12, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7, b"\x80" + b"\xff" * 11,
                                  b"77777777777\0", b"zzzzzzzzzzz\0"])
def test_T45_size_fields_that_lie(outside, size):
    la = ig.Layer(header("f", raw_size=size) + bytes(2048))
    pull_limited(outside, la)


def test_T45_pax_record_without_an_end(outside):
    gb = header("x", 1 << 30, b"x") + b"1073741824 comment=" + b"a" * (8 << 20)
    pull_limited(outside, ig.Layer(gb))


def test_T45_million_entries_of_a_sparse_map(outside):
    n = 1_000_000
    body = b"%d\n" % n + b"".join(b"%d\n1\n" % (i * 2) for i in range(n))
    body += bytes(-len(body) % 512)
    head = io.BytesIO()
    with tarfile.open(fileobj=head, mode="w", format=tarfile.PAX_FORMAT) as t:
        e = tarfile.TarInfo("GNUSparseFile.0/f")
        e.size = len(body) + n
        e.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f", "GNU.sparse.realsize": str(2 * n)}
        t.fileobj.write(e.tobuf(tarfile.PAX_FORMAT))
        raw = head.getvalue()
    outside.attack(ig.Layer(raw + body + bytes(n + 1024 + 512 - n % 512)))


def test_T46_zstd_bomb(outside):
    """100 GB of zeros in a few megabytes."""
    frame = ig.compress(bytes(16 << 20), "zstd")
    raw_head = header("zeros", raw_size=b"\x80" + (100 << 30).to_bytes(11, "big"))
    la = ig.Layer(b"", "zstd", blob=ig.compress(raw_head, "zstd") + frame * 6400)
    err = pull_limited(outside, la)
    assert err.kind == "limit"


def zstd_frame(window_log, data, zeros=0):
    """A frame by hand: data as one raw block, then zeros (a multiple of 128 KB) in runs of four bytes each."""
    blocks = [(len(data) << 3, data)] + [(131072 << 3 | 2, b"\0")] * (zeros // 131072)
    blocks[-1] = (blocks[-1][0] | 1, blocks[-1][1])
    return b"\x28\xb5\x2f\xfd\0" + bytes([(window_log - 10) << 3]) + b"".join(h.to_bytes(3, "little") + d for h, d in blocks)


def zeros_layer(window_log, size, name):
    head, tail = header(name, size), bytes(1024)
    return ig.Layer(head + bytes(size) + tail, "zstd", blob=zstd_frame(window_log, head, size) + zstd_frame(10, tail))


def test_T46_zstd_window(outside):
    """A frame that wants 64 MB of memory is refused, whatever it holds."""
    err = pull_limited(outside, zeros_layer(26, 96 << 20, "f"), rss_mb=64)
    assert err.kind == "limit" and "window of 64 MB" in str(err)


def test_T46_windows_of_many_layers_share_the_memory(store, fake):
    """podman's zstd has windows of 8 MB, the best of Go's of 32: as many layers as there may be do not add up."""
    layers = [zeros_layer(25 if i == 3 else 23, (36 << 20) + (i << 17), f"f{i}") for i in range(8)]
    ref = fake().add("windows", "1", ig.image(layers))
    w = worker.Worker()
    w.pull(store.path, ref)
    w.finish(120)
    w.close()
    assert 8 << 10 < w.peak < 64 << 10
    assert len(store.layers()) == 8


def test_T46_depth_and_length_of_names(outside):
    outside.attack(ig.layer([file("d/" * 300 + "f", "x")]), must="refused")
    outside.attack(ig.layer([file("/".join(["n" * 200] * 21), "x")]), must="refused")
    outside.attack(ig.layer([file("n" * 256, "x")]))
    outside.attack(ig.layer([symlink("s", "t" * 4096)]), must="refused")


@pytest.mark.parametrize("cut", [1, 511, 512, 600, 1023, 1024 + 700])
def test_archive_that_stops(outside, cut):
    raw = ig.tar([file("a", "1" * 600), file("b", "2" * 600)])[:1024 + 512 + 1024]
    outside.attack(ig.Layer(raw[:-cut] + (b"" if cut > 512 else b"")))


def test_noise(outside):
    for how in ("plain", "gzip", "zstd"):
        noise = os.urandom(5000)
        la = ig.Layer(noise, how)
        assert outside.attack(la) is None
        assert outside.attack(ig.Layer(ig.tar([file("f", "x" * 5000)]), how, blob=la.blob[:40])) is None


# --- T47: order, case, bytes ---
def test_T47_entries_that_replace_each_other(outside, store, fake):
    la = ig.layer([
        file("a", "1"), dir_("a"), file("a/x", "x"), file("a", "2"), dir_("b"), file("b/f", "f"), symlink("b", "a"), symlink("c", "a"), file("c", "c"),
        file("d", "1"), hardlink("e", "d"), file("d", "2"), file("Case", "1"), file("case", "2"), file("f", "1"), file("f", "2"), fifo("g"), file("g", "g"),
    ])
    tree = outside.attack(la, "taken")
    assert model.differences(model.expected(la.entries), tree) == []
    assert tree["e"]["ino"] != tree["d"]["ino"]


def test_T47_names_that_are_no_text(outside):
    names = [b"caf\xe9", b"\xff\xfe", b"new\nline", b"tab\there", b" ", b"-rf", b"\xf0\x9f\x98\x80"]
    la = ig.layer([file(n.decode("utf-8", "surrogateescape"), n) for n in names], fmt=tarfile.GNU_FORMAT)
    outside.attack(la, "taken")
    assert sorted(os.listdir(os.fsencode(outside.store.tree(la.hex)))) == sorted(names)


def test_T47_same_archive_same_tree(outside):
    """Which thread comes first makes no difference: the listing of the same archive is the same in every compression."""
    raw = ig.tar([dir_("d")] + [file(f"d/{i}", os.urandom(i % 5000)) for i in range(500)])
    seals = set()
    for how in ("plain", "gzip", "zstd"):
        la = ig.Layer(raw, how)
        assert outside.attack(la, "taken")
        where = outside.store.path / "layers" / la.hex
        seals.add((where / "files").read_bytes())
        os.rename(where, outside.dir.parent / f"old-{how}")
        outside.before = outside.look()
    assert len(seals) == 1
