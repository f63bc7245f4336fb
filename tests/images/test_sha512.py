"""Images whose digests are sha512, in part or all of them: pull, verify, store, run, push, save, load, copy; and several tags in one request."""
import json
import os
import shutil
import tarfile

import imagegen as ig
import pytest
import worker
from conftest import Store
from imagegen import dir_, file
from test_archives import layout, needs_skopeo, ok, skopeo
from test_copy import copy, fails, whole
from test_crash import run

ALG = "sha512"


def sample(n=2, how=("gzip", "zstd", "plain"), arch="amd64", alg=ALG, top=ALG):
    """top: the algorithm of manifest and config; alg: that of the layers."""
    return ig.image([ig.layer([dir_(f"d{i}"), file(f"d{i}/{arch}", os.urandom(30000))], how[i % len(how)], alg) for i in range(n)], arch=arch, alg=top)


def blobs(store, alg):
    return {f"{alg}:{n}" for n in store.names("blobs/" + alg)}


def assert_in_order(store):
    assert worker.verify(store.path).bad == []
    _, out, err = run(store, "system", "check")  # what it says of other parts is of other tests that run now
    assert err == "" and [x for x in out.splitlines() if x.startswith(("layer ", "blob ", "image "))] == [], out


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_pulled_kept_and_removed(fake, store, by):
    reg, im = fake(), sample(3)
    ref = reg.add("a/b", "1", im)
    name = ref if by == "tag" else f"{reg.host}/a/b@{im.manifest}"
    ok(store, "pull", name)
    assert {im.manifest, im.config} <= blobs(store, "sha512") and blobs(store, "sha256") == set()
    assert store.names("images") == [im.manifest.split(":")[1]]
    assert set(store.layers()) == {la.hex for la in im.layers}
    assert im.manifest in ok(store, "images", "--digests", "--no-trunc")
    hexid = im.config.split(":")[1]
    for word in (im.config, hexid, hexid[:12], hexid[:100], im.manifest, name):
        assert json.loads(ok(store, "image", "inspect", word))[0]["Id"] == im.config
    assert_in_order(store)
    ok(store, "image", "prune", "-f")
    assert_in_order(store)
    assert len(store.layers()) == 3
    df = ok(store, "system", "df", "-v")
    assert hexid[:12] in df
    ok(store, "rmi", hexid[:12])
    assert store.names("images") == store.layers() == store.names("blobs/sha512") == []


def test_layers_of_both_algorithms(fake, store):
    reg = fake()
    im = ig.image([ig.layer([file("a", "a")], "gzip", "sha512"), ig.layer([file("b", "b")], "gzip", "sha256")])
    ok(store, "pull", reg.add("a/b", "1", im))
    assert sorted(len(n) for n in store.layers()) == [64, 128]
    assert_in_order(store)


@pytest.mark.parametrize("what", ["layer", "config", "manifest", "diff-id"])
def test_wrong_bytes_are_refused(fake, store, what):
    reg, im = fake(), sample(1)
    if what == "diff-id":
        im = ig.image(im.layers, alg=ALG, edit_config=lambda c: {**c, "rootfs": {"type": "layers", "diff_ids": [ig.digest(b"other", ALG)]}})
    ref = reg.add("a/b", "1", im)
    if what == "layer":
        reg.blobs[im.layers[0].digest] = bytes(len(im.layers[0].blob) - 1) + b"x"
    elif what == "config":
        raw = im.blobs[im.config]
        reg.blobs[im.config] = raw.replace(b"amd64", b"amd65")
    elif what == "manifest":
        raw, media = im.docs[im.manifest]
        reg.docs["a/b", im.manifest] = (raw + b" ", media)
        ref = f"{reg.host}/a/b@{im.manifest}"
    store.fails("corrupt", ref, "sha512:")
    assert store.layers() == []


def test_a_tag_whose_bytes_are_not_what_the_registry_calls_them(fake, store):
    reg, im = fake(), sample(1)
    ref = reg.add("a/b", "1", im)
    raw, media = im.docs[im.manifest]

    @reg.rule("/manifests/1")
    def other(h, n):
        h.reply(200, raw + b"\n", {"Content-Type": media, "Docker-Content-Digest": im.manifest})
    store.fails("corrupt", ref, "sent other bytes", im.manifest)


def test_damage_is_found(fake, store):
    reg, im = fake(), sample(2)
    ok(store, "pull", reg.add("a/b", "1", im))
    f = store.tree(im.layers[0].hex) / "d0/amd64"
    f.write_bytes(os.urandom(30000))
    p = store.path / "blobs/sha512" / im.config.split(":")[1]
    p.chmod(0o600)
    p.write_bytes(p.read_bytes() + b" ")
    bad = [b[0] if isinstance(b, tuple) else b for b in worker.verify(store.path).bad]
    text = str(bad)
    assert im.layers[0].diff_id in text and im.config in text and im.layers[1].diff_id not in text


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("busybox"), reason="containers need root, and a shell")
def test_runs_mounts_and_is_committed(fake, store):
    with open(os.path.realpath(shutil.which("busybox")), "rb") as f:
        shell = f.read()
    base = ig.layer([dir_("bin"), file("bin/busybox", shell, mode=0o755), ig.symlink("bin/sh", "busybox"), ig.symlink("bin/cat", "busybox"), file("word", "yes"),
                     dir_("proc"), dir_("sys"), dir_("dev"), dir_("etc")], "gzip", ALG)
    reg, im = fake(), ig.image([base], alg=ALG)
    ref = reg.add("a/b", "1", im)
    assert ok(store, "run", "--network=none", "--name", "c", ref, "sh", "-c", "cat /word; echo x >/new") == "yes"
    ok(store, "rmi", "-f", ref)
    assert store.layers() == [base.hex], "the container has it still"
    assert ok(store, "diff", "c").split() == ["A", "/new"]
    ok(store, "commit", "c", "example.com/made:1")
    assert ok(store, "run", "--rm", "--network=none", "example.com/made:1", "sh", "-c", "cat /word /new") == "yesx\n"
    ok(store, "rm", "c")
    where = ok(store, "image", "mount", "example.com/made:1").strip()
    try:
        assert (open(where + "/word").read(), open(where + "/new").read()) == ("yes", "x\n")
        ok(store, "image", "prune", "-af")
    finally:
        ok(store, "image", "unmount", "-a")
    ok(store, "rmi", "-f", "example.com/made:1")
    ok(store, "image", "prune", "-af")
    assert store.layers() == []


# --- pushes ---
@pytest.mark.parametrize("tags", [False, True], ids=["older", "newer"])
def test_pushed_by_its_digest(fake, store, tags):
    src, dst, im = fake(), fake(tag_query=tags), sample(3)
    ok(store, "pull", src.add("a/b", "1", im))
    ok(store, "tag", f"{src.host}/a/b:1", f"{dst.host}/c/d:2")
    ok(store, "push", f"{dst.host}/c/d:2")
    whole(dst, im, "c/d")
    assert dst.docs["c/d", "2"][0] == im.docs[im.manifest][0]
    posts = [s.path for s in dst.seen("/blobs/uploads/") if s.method == "POST" and "digest=" not in s.path.replace("mount", "")]
    assert posts and all("digest-algorithm=sha512" in p for p in posts)
    puts = [s.path for s in dst.seen("/manifests/") if s.method == "PUT"]
    assert len(puts) == (1 if tags else 2) and puts[0].endswith(f"/{im.manifest}?tag=2")
    assert not [s for s in src.seen("digest-algorithm")]


@pytest.mark.parametrize("how", ["gzip", "zstd", "plain"])
def test_pushed_when_nobody_has_the_blobs(fake, store, how):
    src, dst, im = fake(), fake(), sample(2, how=(how,))
    ok(store, "pull", src.add("a/b", "1", im))
    src.blobs.clear()
    ok(store, "push", f"{src.host}/a/b:1", f"{dst.host}/c/d:2")
    m = json.loads(dst.docs["c/d", "2"][0])
    assert m["config"]["digest"] == im.config and all(la["digest"].startswith("sha512:") for la in m["layers"])
    if how == "plain":
        assert [dst.blobs[la["digest"]] for la in m["layers"]] == [la.raw for la in im.layers]
        assert dst.docs["c/d", "2"][0] == im.docs[im.manifest][0]
    other = Store(store.path.parent / "other")
    ok(other, "pull", f"{dst.host}/c/d:2")
    assert set(other.layers()) == {la.hex for la in im.layers}
    assert_in_order(other)


@pytest.mark.parametrize("how", [(), ("--dest-compress-format", "gzip"), ("--dest-compress-format", "zstd"), ("--dest-compress-format", "zstd:chunked")],
                         ids=["as it is", "gzip", "zstd", "chunked"])
def test_copied_out_of_the_store(fake, store, tmp_path, how):
    """Tars by their records, compressed anew or not: the config names the same ones."""
    src, im = fake(), sample(2)
    ref = src.add("a/b", "1", im)
    ok(store, "pull", ref)
    src.blobs.clear()
    copy(store, "skiff:" + ref, f"oci:{tmp_path}/o:1", *how)
    other = Store(tmp_path / "other")
    copy(other, f"oci:{tmp_path}/o:1", "skiff:example.com/x:1")
    assert set(other.layers()) == {la.hex for la in im.layers}
    assert json.loads(ok(other, "image", "inspect", "example.com/x:1"))[0]["Id"] == im.config
    assert_in_order(other)


def test_sha256_is_not_named(fake, store):
    src, dst, im = fake(), fake(), sample(2, alg="sha256", top="sha256")
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1")
    assert not dst.seen("digest-algorithm") and [s.path for s in dst.seen("/manifests/") if s.method == "PUT"] == ["/v2/c/manifests/1"]


def test_a_registry_without_sha512_has_the_tag(fake, store):
    src, dst, im = fake(), fake(sha512=False), sample(1)
    ok(store, "pull", src.add("a/b", "1", im))
    ok(store, "tag", f"{src.host}/a/b:1", f"{dst.host}/c/d:2")
    rc, out, err = run(store, "push", f"{dst.host}/c/d:2")
    assert rc == 0 and "as 'sha256:" in err and im.manifest in err
    assert dst.docs["c/d", "2"][0] == im.docs[im.manifest][0]


def test_docker_registry_has_blobs_of_both(registry, fake, store, tmp_path):
    src, im = fake(), sample(3, top="sha256")
    ok(store, "pull", src.add("mixed", "1", im))
    name = f"{registry.host}/mixed512:1"
    ok(store, "tag", f"{src.host}/mixed:1", name)
    ok(store, "push", name)
    other = Store(tmp_path / "other")
    ok(other, "pull", name)
    assert set(other.layers()) == {la.hex for la in im.layers}
    assert_in_order(other)


@needs_skopeo
def test_skopeo_sees_what_we_push(registry, fake, store, tmp_path):
    """Debian's cannot copy layers named by sha512 into files, so it only looks."""
    src, im = fake(), sample(2, how=("gzip",), top="sha256")
    name = f"{registry.host}/skopeo512:1"
    copy(store, "docker://" + src.add("mixed", "1", im), "docker://" + name)
    doc = json.loads(skopeo("inspect", "--tls-verify=false", "docker://" + name))
    assert doc["Layers"] == [la.digest for la in im.layers] and doc["Digest"] == im.manifest


# --- files ---
def test_layout_and_back(fake, store, tmp_path):
    reg, im = fake(), sample(3)
    copy(store, "docker://" + reg.add("a/b", "1", im), f"oci-archive:{tmp_path}/a.tar:example.com/x:1")
    with tarfile.open(tmp_path / "a.tar") as t:
        names = t.getnames()
        rows = json.load(t.extractfile("index.json"))["manifests"]
    assert [r["digest"] for r in rows] == [im.manifest]
    assert {"blobs/" + d.replace(":", "/") for d in [im.manifest, *im.blobs]} <= set(names)
    ok(store, "load", "-i", str(tmp_path / "a.tar"))
    assert store.names("images") == [im.manifest.split(":")[1]] and set(store.layers()) == {la.hex for la in im.layers}
    assert_in_order(store)


@pytest.mark.parametrize("fmt", ["oci-archive", "docker-archive"])
def test_saved_and_loaded(fake, store, tmp_path, fmt):
    """The tars are the original ones, so the image keeps its id."""
    reg, im = fake(), sample(3)
    ref = reg.add("a/b", "1", im)
    ok(store, "pull", ref)
    _, _, err = run(store, "save", "--format", fmt, "-o", str(tmp_path / "a.tar"), ref)
    assert "tar record" not in err
    with tarfile.open(tmp_path / "a.tar") as t:
        have = {n: t.extractfile(n).read() for n in t.getnames() if n.startswith("blobs/sha512/") and len(n) > 130}
    assert {la.raw for la in im.layers} < set(have.values()) and all(ig.digest(v, ALG) == "sha512:" + n.split("/")[2] for n, v in have.items())
    other = Store(tmp_path / "other")
    ok(other, "load", "-i", str(tmp_path / "a.tar"))
    assert set(other.layers()) == {la.hex for la in im.layers}
    assert json.loads(ok(other, "image", "inspect", ref))[0]["Id"] == im.config
    found = {}
    for n in other.layers():
        found.update({str(p.relative_to(other.tree(n))): p.read_bytes() for p in other.tree(n).rglob("amd64")})
    assert found == {f"d{i}/amd64": (store.tree(la.hex) / f"d{i}/amd64").read_bytes() for i, la in enumerate(im.layers)}
    assert_in_order(other)


def test_a_layout_that_lies(store, tmp_path):
    im = sample(1)
    where = layout(tmp_path / "in", [im], ["example.com/x:1"])
    (where / "blobs/sha512").mkdir()
    for d, raw in [*im.blobs.items(), *((d, raw) for d, (raw, _) in im.docs.items())]:
        (where / "blobs/sha512" / d.split(":")[1]).write_bytes(raw + (b" " if d == im.config else b""))
    rc, _, err = run(store, "load", "-i", str(where))
    assert rc == 1 and im.config in err and "not what its name says" in err
    (where / "blobs/sha512" / im.config.split(":")[1]).write_bytes(im.blobs[im.config])
    ok(store, "load", "-i", str(where))
    assert_in_order(store)


# --- copies ---
def test_an_index_with_all_its_platforms(fake, store, tmp_path):
    src, dst = fake(), fake()
    im = ig.index({"linux/amd64": sample(), "linux/arm64": sample(arch="arm64")}, alg=ALG)
    copy(store, "docker://" + src.add("a/b", "1", im), f"oci:{tmp_path}/o:1", "--all", "--preserve-digests")
    copy(store, f"oci:{tmp_path}/o:1", f"docker://{dst.host}/c:1", "--all", "--preserve-digests", "--digestfile", str(tmp_path / "d"))
    whole(dst, im, "c")
    assert dst.docs["c", "1"][0] == im.docs[im.top][0] and (tmp_path / "d").read_text() == im.top
    copy(store, f"docker://{dst.host}/c:1", f"dir:{tmp_path}/dir", "--platform", "linux/arm64")
    copy(store, f"dir:{tmp_path}/dir", "skiff:example.com/copied:1", "--platform", "linux/arm64")
    assert len(store.layers()) == 2 and all(len(n) == 128 for n in store.layers())
    assert_in_order(store)


# --- several tags ---
def puts(reg):
    return [s.path.split("/manifests/")[1] for s in reg.seen("/manifests/") if s.method == "PUT"]


def test_tags_in_one_request(fake, store):
    src, dst, im = fake(), fake(tag_query=True), sample(1, alg="sha256", top="sha256")
    more = [f"t{i}" for i in range(12)]
    args = [x for t in more for x in ("--additional-tag", t)]
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", *args)
    assert all(dst.docs["c", t] == src.docs["a/b", "1"] for t in ["1", *more])
    assert puts(dst) == [im.manifest + "?" + "&".join("tag=" + t for t in ["1", *more[:9]]), im.manifest + "?" + "&".join("tag=" + t for t in more[9:])]


def test_a_registry_that_takes_some_of_the_tags(fake, store):
    src, dst, im = fake(), fake(), sample(1, alg="sha256", top="sha256")
    ref = src.add("a/b", "1", im)

    @dst.rule("?tag=", times=1)
    def some(h, n):
        dst.docs["c", "1"] = dst.docs["c", "3"] = src.docs["a/b", "1"]
        h.reply(201, b"", {"OCI-Tag": "1,3", "Docker-Content-Digest": im.manifest})
    copy(store, "docker://" + ref, f"docker://{dst.host}/c:1", "--additional-tag", "2", "--additional-tag", "3", "--additional-tag", "4")
    assert puts(dst)[1:] == ["2", "4"]


@pytest.mark.parametrize("status", [400, 404, 405, 414, 431])
def test_a_registry_that_does_not_know_the_form(fake, store, status):
    src, dst, im = fake(), fake(), sample(1, alg="sha256", top="sha256")
    dst.rule("?tag=")(lambda h, n: h.reply(status))
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", "--additional-tag", "2")
    assert puts(dst)[1:] == ["1", "2"] and dst.docs["c", "2"] == src.docs["a/b", "1"]


def test_a_refusal_is_one(fake, store):
    src, dst, im = fake(), fake(), sample(1, alg="sha256", top="sha256")
    dst.rule("/manifests/sha256:")(lambda h, n: h.command == "PUT" and h.reply(403, b'{"errors":[{"code":"DENIED"}]}') is None)
    fails(store, "manifest of", args=["docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", "--additional-tag", "2"])
    assert len(puts(dst)) == 1


@pytest.mark.parametrize("tag", ["../x", "a?b", "example.com/x:2", "", "x" * 129])
def test_what_is_no_tag(fake, store, tag):
    src, dst, im = fake(), fake(), sample(1)
    fails(store, "is no tag", args=["docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", "--additional-tag", tag])
    assert puts(dst) == []


def test_docker_registry_has_all_tags(registry, fake, store):
    src, im = fake(), sample(1, alg="sha256", top="sha256")
    name = f"{registry.host}/tags512"
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{name}:1", "--additional-tag", "2", "--additional-tag", "3")
    assert sorted(json.loads(ok(store, "image", "tags", name))["Tags"]) == ["1", "2", "3"]
    for t in "123":
        assert registry.client.ok("GET", f"/v2/tags512/manifests/{t}", headers={"Accept": ig.MEDIA["oci", "manifest"]})[1] == im.docs[im.manifest][0]
