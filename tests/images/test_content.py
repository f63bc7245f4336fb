"""What a pull puts on the disk: the tree of each layer equals the model, for every format that registries serve."""
import json
import os
import subprocess
import tarfile

import imagegen as ig
import model
import pytest
import worker
from conftest import Store
from test_archives import ok
from test_crash import run
from imagegen import blockdev, chardev, dir_, fifo, file, hardlink, symlink



def rich():
    """One of everything that a layer of a distribution has."""
    return [
        dir_("./"), dir_("bin"), dir_("etc", mode=0o750, uid=3, gid=4), dir_("empty", mode=0o1777),
        file("bin/sh", b"#!" + os.urandom(70000), mode=0o755), file("bin/su", b"x" * 4096, mode=0o4755),
        file("bin/ping", b"p", mode=0o755, xattrs={"security.capability": model.CAP}),
        file("etc/motd", "hello\n", uid=1000, gid=1001, mode=0o600), file("etc/empty"),
        file("etc/attrs", "a", xattrs={"user.note": "value", "user.bin": bytes(range(1, 256))}),
        symlink("bin/link", "sh"), symlink("absolute", "/etc/passwd"), symlink("dangling", "../../nowhere", uid=7, gid=8),
        hardlink("bin/bash", "bin/sh"), hardlink("etc/motd2", "./etc/motd"),
        fifo("pipe", mode=0o622), chardev("null", 1, 3, mode=0o666), blockdev("loop", 7, 200, mode=0o660),
        file("deep/er/than/its/parents", "implied directories"),
        file("utf8-\u00e4\u6f22", "u"), file("long/" + "n" * 200 + "/" + "m" * 200, "long name"),
    ]


def check_tree(store, la, **kw):
    diff = model.differences(model.expected(la.entries, model.supported(store.path)), model.scan(store.tree(la.hex)))
    assert diff == []


def check_store(store, im, res):
    """Record, reference and blobs of an image in the form that docs/formats.md promises."""
    rec = json.loads((store.path / "images" / im.manifest.split(":")[1]).read_text())
    assert rec["v"] == 1 and rec["min"] == 1
    assert rec["config"] == im.config == res.config
    assert [la["diffId"] for la in rec["layers"]] == [la.diff_id for la in im.layers]
    assert rec["size"] == sum(len(la.blob) for la in im.layers)
    for d in [im.manifest, im.config, res.top]:
        raw = (store.path / "blobs/sha256" / d.split(":")[1]).read_bytes()
        assert ig.digest(raw) == d
    for la in im.layers:
        seal = json.loads((store.path / "layers" / la.hex / "seal").read_text())
        assert seal["diffId"] == la.diff_id and seal["synced"] == "yes"
        listing = (store.path / "layers" / la.hex / "files").read_bytes()
        assert ig.digest(listing) == seal["tree"]
    assert worker.verify(store.path).bad == []


@pytest.mark.smoke
@pytest.mark.parametrize("family,how", [("oci", "gzip"), ("oci", "zstd"), ("oci", "plain"), ("docker", "gzip"), ("docker", "plain")])
def test_tree_equals_model(registry, store, family, how):
    la = ig.layer(rich(), how)
    im = ig.image([la], family)
    ref = registry.push(f"rich/{family}-{how}", "1", im)
    res = store.pull(ref)
    assert (res.top, res.manifest, res.config) == (im.top, im.manifest, im.config)
    assert not res.up_to_date
    check_tree(store, la)
    have = model.scan(store.tree(la.hex))
    assert have["bin/sh"]["ino"] == have["bin/bash"]["ino"] and have["bin/sh"]["nlink"] == 2
    check_store(store, im, res)
    store.no_leftovers()


@pytest.mark.smoke
def test_several_layers_whiteouts_and_opaque(registry, store):
    layers = [
        ig.layer([dir_("a"), file("a/one", "1"), file("a/two", "2"), dir_("b"), file("b/x", "x"), file("top", "t")]),
        ig.layer([file("a/.wh.one"), dir_("b"), file("b/.wh..wh..opq"), file("b/y", "y"), file(".wh.top")], "zstd"),
        ig.layer([dir_("a"), file("a/one", "new"), file(".wh.nothing-to-hide")], "plain"),
        ig.layer([file("c/.wh..wh..opq"), file("c/d/z", "z")]),  # opaque before its directory's own entry
    ]
    im = ig.image(layers)
    ref = registry.push("multi", "1", im)
    res = store.pull(ref)
    assert [(d, n) for d, n, _ in res.layers] == [(la.digest, len(la.blob)) for la in layers]
    for la in layers:
        check_tree(store, la)
    tree = model.scan(store.tree(layers[1].hex))
    assert tree["a/one"]["type"] == "chr" and tree["a/one"]["rdev"] == (0, 0)
    assert tree["b"]["opaque"]
    check_store(store, im, res)


def test_merged_through_overlay(registry, store, tmp_path):
    """The kernel's view of the layers is what the image means."""
    layers = [ig.layer([dir_("d"), file("d/old", "1"), file("keep", "k"), file("gone", "g"), symlink("l", "keep")]),
              ig.layer([dir_("d"), file("d/.wh..wh..opq"), file("d/new", "2"), file(".wh.gone")]),
              ig.layer([file(".wh.l"), dir_("l"), file("l/now", "dir")])]
    store.pull(registry.push("merged", "1", ig.image(layers)))
    at = tmp_path / "m"
    at.mkdir()
    lower = ":".join(str(store.tree(la.hex)) for la in reversed(layers))
    if subprocess.run(["mount", "-t", "overlay", "none", "-o", "ro,lowerdir=" + lower, str(at)]).returncode:
        pytest.skip("overlay cannot be mounted here")
    try:
        found = sorted(os.path.relpath(os.path.join(w, n), at) for w, ds, fs in os.walk(at) for n in ds + fs)
        assert found == ["d", "d/new", "keep", "l", "l/now"]
    finally:
        subprocess.run(["umount", str(at)], check=True)


def test_sparse_file(registry, store, tmp_path):
    src = tmp_path / "src"
    src.mkdir()
    with open(src / "hole", "wb") as f:
        f.write(b"begin")
        f.seek(64 << 20)
        f.write(b"end")
    raw = ig.gnu_tar(src, "--sparse", "--format=gnu", "--numeric-owner")
    assert len(raw) < 1 << 20
    la = ig.Layer(raw)
    store.pull(registry.push("sparse", "1", ig.image([la])))
    st = os.stat(store.tree(la.hex) / "hole")
    assert st.st_size == (64 << 20) + 3 and st.st_blocks * 512 < 1 << 20
    with open(store.tree(la.hex) / "hole", "rb") as f:
        assert f.read(5) == b"begin"
        f.seek(64 << 20)
        assert f.read() == b"end"
    assert worker.verify(store.path).bad == []


@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_formats(registry, store, fmt):
    names = [dir_("d"), file("d/" + "x" * 80, "1"), symlink("s", "d"), hardlink("h", "d/" + "x" * 80)]
    if fmt != tarfile.USTAR_FORMAT:
        names += [file("d/" + "y" * 240, "2"), symlink("ls", "t" * 300)]
    la = ig.layer(names, fmt=fmt)
    store.pull(registry.push(f"fmt{fmt}", "1", ig.image([la])))
    check_tree(store, la)


def test_gnu_tar_of_a_real_tree(registry, store, tmp_path):
    """Content of this machine through GNU tar's own formats: same bytes, modes and owners."""
    src = "/usr/share/doc/tar" if os.path.isdir("/usr/share/doc/tar") else "/usr/share/doc/bash"
    la = ig.Layer(ig.gnu_tar(src, "--format=posix", "--xattrs", "--numeric-owner"))
    store.pull(registry.push("doc", "1", ig.image([la])))
    want, have = model.scan(src), model.scan(store.tree(la.hex))
    assert want.keys() == have.keys()
    for p in want:
        for k in ("type", "mode", "uid", "gid", "sha", "target"):
            assert want[p].get(k) == have[p].get(k), (p, k)


def test_multi_member_gzip(registry, store):
    """gzip allows several members in a row (pigz, estargz)."""
    raw = ig.tar([file("a", "1" * 100000), file("b", "2" * 100000)])
    la = ig.Layer(raw, blob=ig.compress(raw[:60000], "gzip") + ig.compress(raw[60000:], "gzip"), entries=[])
    store.pull(registry.push("members", "1", ig.image([la])))
    assert sorted(os.listdir(store.tree(la.hex))) == ["a", "b"]


def test_attributes_that_the_file_system_cannot_hold(registry, tmp_path):
    """A store on a file system without attributes of users: left out, counted in a warning, and the layer is still what its seal says."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "none", str(disk)], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no mount here")
    try:
        if model.supported(disk):
            pytest.skip("ramfs has attributes here")
        store = Store(disk / "lib")
        la = ig.layer(rich())
        log = tmp_path / "log"
        worker.pull(store.path, registry.push("ramfs", "1", ig.image([la])), stderr=log)
        check_tree(store, la)
        assert "3 extended attributes cannot be set here; ignoring them" in log.read_text()
        assert worker.verify(store.path).bad == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_foreign_xattrs_are_dropped(registry, store):
    la = ig.layer([file("f", "x", xattrs={"user.ok": "1", "user.overlay.opaque": "y", "trusted.overlay.redirect": "/etc",
                                          "trusted.overlay.opaque": "y", "security.selinux": "u:r:t"}),
                   dir_("d", xattrs={"trusted.overlay.opaque": "y"})])
    store.pull(registry.push("xattrs", "1", ig.image([la])))
    tree = model.scan(store.tree(la.hex))
    assert tree["f"]["xattrs"] == ({"user.ok": b"1"} if "user." in model.supported(store.path) else {})
    assert not tree["d"]["opaque"]


# --- documents ---
def test_index_chooses_the_platform(registry, store):
    ims = {p: ig.image([ig.layer([file("which", p)])], arch=p.split("/")[1]) for p in ("linux/amd64", "linux/arm64/v8", "linux/riscv64")}
    ix = ig.index(ims)
    ref = registry.push("index", "1", ix)
    res = store.pull(ref)
    assert res.top == ix.top
    host = "linux/amd64" if os.uname().machine == "x86_64" else "linux/arm64/v8"
    assert res.manifest == ims[host].manifest
    other = store.pull(ref, platform="linux/riscv64")
    assert other.manifest == ims["linux/riscv64"].manifest and other.top == ix.top
    err = store.fails("not-found", ref, "linux/riscv64", platform="linux/s390x")
    assert "s390x" in err.message


def test_parts_of_a_platform(registry, store):
    """podman's --arch, --os and --variant of pull; --platform says the same and is not for both."""
    ims = {p: ig.image([ig.layer([file("which", p)])], arch=p.split("/")[1]) for p in ("linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/riscv64")}
    ref = registry.push("parts", "1", ig.index(ims))

    def pulled(*flags):
        ok(store, "pull", *flags, ref)
        return store.names("images")

    def gets(platform, *flags):
        before = set(store.names("images"))
        assert set(pulled(*flags)) - before == {ims[platform].manifest.split(":")[1]}
    gets("linux/riscv64", "--arch", "riscv64")
    gets("linux/arm/v7", "--os=linux", "--arch=arm", "--variant=v7")
    gets("linux/arm64/v8", "--arch", "arm64")
    rc, _, err = run(store, "pull", "--os", "windows", ref)
    assert rc == 1 and "windows" in err
    rc, _, err = run(store, "pull", "--platform", "linux/arm64", "--arch", "arm64", ref)
    assert rc == 1 and "--platform option can not be specified with --arch" in err


def test_docker_manifest_list(registry, store):
    im = ig.image([ig.layer([file("f", "1")])], "docker")
    ix = ig.index({"linux/amd64": im, "linux/arm64": im}, "docker")
    res = store.pull(registry.push("list", "1", ix))
    assert (res.top, res.manifest) == (ix.top, im.manifest)


def test_pull_by_digest(registry, store):
    im = ig.image([ig.layer([file("f", "by digest")])])
    ref = registry.push("digest", "1", im)
    name = ref.rsplit(":", 1)[0]
    res = store.pull(f"{name}@{im.top}")
    assert res.top == im.top
    assert any("_digests" in r for r in store.references())
    assert store.pull(f"{name}@{im.top}").up_to_date


def test_shared_and_duplicate_layers(registry, store):
    base, extra = ig.layer([file("base", os.urandom(30000))]), ig.layer([file("x", "y")])
    store.pull(registry.push("share/a", "1", ig.image([base])))
    inode = os.stat(store.tree(base.hex)).st_ino
    im = ig.image([base, extra, extra])  # the same layer twice in one image
    res = store.pull(registry.push("share/b", "1", im))
    assert [p for _, _, p in res.layers] == [1, 0, 0]
    assert os.stat(store.tree(base.hex)).st_ino == inode
    assert sorted(store.layers()) == sorted([base.hex, extra.hex])


def test_same_layer_in_another_compression_is_not_fetched_twice(registry, store):
    raw = ig.tar([file("f", os.urandom(5000))])
    store.pull(registry.push("comp/gz", "1", ig.image([ig.Layer(raw, "gzip")])))
    res = store.pull(registry.push("comp/zst", "1", ig.image([ig.Layer(raw, "zstd")])))
    assert [p for _, _, p in res.layers] == [1]


def test_many_layers(registry, store):
    layers = [ig.layer([file(f"f{i}", os.urandom(200 + i))], ("gzip", "zstd", "plain")[i % 3]) for i in range(40)]
    im = ig.image(layers)
    res = store.pull(registry.push("many", "1", im))
    assert len(res.layers) == 40
    for la in layers:
        check_tree(store, la)
    check_store(store, im, res)


def test_many_large_layers_share_few_unpackers(registry, store):
    """More layers than may be unpacked at a time, each larger than its queue: nothing blocks."""
    layers = [ig.layer([file(f"f{i}", os.urandom(3 << 20))], "plain") for i in range(12)]
    store.pull(registry.push("large", "1", ig.image(layers)))
    assert sorted(store.layers()) == sorted(la.hex for la in layers)


def test_tag_moves(registry, store):
    first, second = (ig.image([ig.layer([file("f", v)])]) for v in "12")
    ref = registry.push("moves", "1", first)
    assert not store.pull(ref).up_to_date
    assert store.pull(ref).up_to_date
    registry.push("moves", "1", second)
    res = store.pull(ref)
    assert res.manifest == second.manifest and not res.up_to_date


def test_progress(registry, store):
    im = ig.image([ig.layer([file("f", os.urandom(4 << 20))]), ig.layer([file("g", "small")])])
    res = store.pull(registry.push("progress", "1", im))
    assert res.progress, "at least the last state is reported"
    assert [r for r, _ in res.progress[-1]] == [len(la.blob) for la in im.layers]
    assert [p for _, p in res.progress[-1]] == [worker.FINISHED] * 2
    for a, b in zip(res.progress, res.progress[1:]):
        assert all(y[0] >= x[0] for x, y in zip(a, b)), "bytes never go back"


def test_images_made_by_buildah(registry, store, tmp_path):
    """Documents of another tool, pushed by it."""
    storage = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]

    def buildah(*a):
        return subprocess.run(["buildah", *storage, *a], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout.decode().strip()
    if not any(os.access(os.path.join(p, "buildah"), os.X_OK) for p in os.environ["PATH"].split(":")):
        pytest.skip("buildah is not installed")
    (tmp_path / "hello").write_text("made by buildah\n")
    c = buildah("from", "scratch")
    buildah("copy", c, str(tmp_path / "hello"), "/srv/hello")
    buildah("config", "--cmd", "/srv/hello", c)
    for fmt in ("oci", "docker"):
        buildah("commit", "--format", fmt, c, f"x-{fmt}")
        buildah("push", "--tls-verify=false", f"x-{fmt}", f"docker://{registry.host}/buildah:{fmt}")
        res = store.pull(f"{registry.host}/buildah:{fmt}")
        rec = json.loads((store.path / "images" / res.manifest.split(":")[1]).read_text())
        tree = store.tree(rec["layers"][0]["diffId"].split(":")[1])
        assert (tree / "srv/hello").read_text() == "made by buildah\n"
    buildah("rm", c)


def test_images_copied_by_skopeo_with_zstd(registry, store, tmp_path):
    im = ig.image([ig.layer([file("f", os.urandom(100000))], "plain")])
    ref = registry.push("skopeo/src", "1", im)
    subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-compress-format", "zstd",
                    "--dest-compress", "--format", "oci", f"docker://{ref}", f"docker://{registry.host}/skopeo/dst:1"], check=True)
    store.pull(f"{registry.host}/skopeo/dst:1")
    check_tree(store, im.layers[0])


# --- verify ---
def test_verify_names_the_damaged_file(registry, store):
    la = ig.layer([dir_("d"), file("d/f", "content"), file("g", "other")])
    store.pull(registry.push("verify", "1", ig.image([la])))
    assert worker.verify(store.path).bad == []
    with open(store.tree(la.hex) / "d/f", "r+b") as f:
        f.write(b"C")
    (diff_id, why), = worker.verify(store.path).bad
    assert diff_id == la.diff_id and "d/f" in why
    assert worker.verify(store.path, la.diff_id).bad[0][0] == la.diff_id


def test_layer_of_an_earlier_boot(registry, store):
    """Sealed but not synced before a crash: taken when its bytes are good, fetched again when not."""
    la = ig.layer([file("f", "content")])
    ref = registry.push("boot", "1", ig.image([la]))
    store.pull(ref)
    seal = store.path / "layers" / la.hex / "seal"

    def crash():
        doc = json.loads(seal.read_text())
        doc["synced"] = "00000000-0000-0000-0000-000000000000"
        seal.write_text(json.dumps(doc, separators=(",", ":")))
    crash()
    assert [p for _, _, p in store.pull(ref).layers] == [1]
    assert json.loads(seal.read_text())["synced"] == "yes"
    crash()
    (store.tree(la.hex) / "f").write_text("CONTENT")
    assert [p for _, _, p in store.pull(ref).layers] == [0]
    assert (store.tree(la.hex) / "f").read_text() == "content"
