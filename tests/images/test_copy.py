"""`skiff image copy`: between registries, layouts, archives, dir:, docker's daemon and the store; skopeo reads what we write, and we what it writes."""
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import socketserver
import subprocess
import tarfile
import threading

import imagegen as ig
import pytest
import worker
from conftest import USER
from imagegen import dir_, file
from test_archives import docker_archive, layout, needs_skopeo, ok, skopeo
from test_crash import run

OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."


def sample(n=2, how=("gzip",), family="oci", arch="amd64", size=20000):
    return ig.image([ig.layer([dir_(f"d{i}"), file(f"d{i}/{arch}", os.urandom(size))], how[i % len(how)]) for i in range(n)], family, arch=arch)


def many(family="oci"):
    return ig.index({"linux/amd64": sample(family=family), "linux/arm64": sample(family=family, arch="arm64")}, family)


def copy(store, src, dest, *args):
    return ok(store, "image", "copy", *args, src, dest)


def fails(store, *words, args):
    rc, out, err = run(store, "image", "copy", *args)
    assert rc == 1, (out, err)
    for w in words:
        assert w in err, err
    return err


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole(reg, im, repo):
    """The registry has every document and blob of the image, byte for byte."""
    for d, data in im.blobs.items():
        assert reg.blobs[d] == data
    for d, (raw, media) in im.docs.items():
        assert reg.docs[repo, d][0] == raw


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


# --- registry to registry ---
def test_registry_to_registry_copies_the_bytes_and_unpacks_nothing(fake, store):
    src, dst, im = fake(), fake(), sample(3, ("gzip", "zstd", "plain"))
    out = copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c/d:2")
    assert dst.docs["c/d", "2"][0] == im.docs[im.manifest][0]
    for d, data in im.blobs.items():
        assert dst.blobs[d] == data and f"Copying {'config' if d == im.config else 'blob'} {d}" in out
    assert store.layers() == [] and store.names("blobs/sha256") == []


def test_a_copy_takes_the_platform_of_the_host_or_the_one_that_was_asked_for(fake, store):
    src, dst = fake(), fake()
    one, two = sample(), sample(arch="arm64")
    ref = src.add("a/b", "1", ig.index({"linux/amd64": one, "linux/arm64": two}))
    copy(store, "docker://" + ref, f"docker://{dst.host}/c:arm", "--platform", "linux/arm64")
    assert dst.docs["c", "arm"][0] == two.docs[two.manifest][0]
    assert not set(one.blobs) & set(dst.blobs)


def test_all_platforms_with_their_index_keep_their_digests(fake, store, tmp_path):
    src, dst, im = fake(), fake(), many()
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", "--all", "--preserve-digests", "--digestfile", str(tmp_path / "d"))
    whole(dst, im, "c")
    assert dst.docs["c", "1"][0] == im.docs[im.top][0]
    assert (tmp_path / "d").read_text() == im.top


def test_index_only_and_more_tags(fake, store):
    src, im = fake(), many()
    ref = src.add("a/b", "1", im)
    out = copy(store, "docker://" + ref, f"docker://{src.host}/a/b:2", "--multi-arch", "index-only", "--additional-tag", "3")
    assert src.docs["a/b", "2"] == src.docs["a/b", "3"] == src.docs["a/b", "1"]
    assert "Copying blob" not in out


def test_blobs_are_mounted_within_a_registry(fake, store):
    reg, im = fake(split=True), sample()
    ref = reg.add("a/b", "1", im)
    reg.repos["a/b"] = set(im.blobs)
    copy(store, "docker://" + ref, f"docker://{reg.host}/c/d:1")
    assert reg.repos["c/d"] == set(im.blobs)
    posts = [s for s in reg.seen("/blobs/uploads/") if s.method == "POST"]
    assert posts and all("mount=" in s.path and "from=a" in s.path for s in posts)
    assert not [s for s in reg.seen("/blobs/") if s.method in ("PUT", "PATCH")]


def test_each_side_has_credentials_of_its_own(fake, registry_basic, store, tmp_path):
    im = sample()
    src = fake()
    ref = src.add("a/b", "1", im)
    dest = f"docker://{registry_basic.host}/copied/here:1"
    fails(store, registry_basic.host, args=["docker://" + ref, dest, "--dest-creds", "alice:wrong"])
    fails(store, registry_basic.host, args=["docker://" + ref, dest, "--dest-no-creds"])
    copy(store, "docker://" + ref, dest, "--dest-creds", ":".join(USER))
    assert not any("Authorization" in s.headers for s in src.seen("/"))
    copy(store, dest, f"oci:{tmp_path}/o:x", "--src-username", USER[0], "--src-password", USER[1])
    assert json.loads((tmp_path / "o/index.json").read_text())["manifests"][0]["digest"] == im.manifest


def test_T53_certificates_are_checked_on_both_sides(registry_tls, store, tmp_path, ca):
    registry_tls.push("t/a", "1", sample())
    src = f"docker://{registry_tls.host}/t/a:1"
    fails(store, "certificate", args=[src, f"dir:{tmp_path}/x"])
    copy(store, src, f"dir:{tmp_path}/y", "--src-tls-verify=false")
    fails(store, "certificate", args=[f"dir:{tmp_path}/y", f"docker://{registry_tls.host}/t/b:1", "--src-tls-verify=false"])
    copy(store, f"dir:{tmp_path}/y", f"docker://{registry_tls.host}/t/b:1", "--dest-cert-dir", str(ca.trust(tmp_path / "certs", registry_tls.host)))


def test_a_copy_of_large_layers_stays_within_its_memory(fake, store, tmp_path):
    src, dst = fake(), fake()
    ref = src.add("a/b", "1", ig.image([ig.layer([file(f"f{i}", os.urandom(24 << 20))], "plain") for i in range(4)]))
    w = worker.Worker()

    def place(name):
        return [worker.u32(1), worker.string(name), worker.u32(0), *[worker.string("")] * 5, worker.u32(0)]
    w.send(64, worker.string(str(store.path)), *place(ref), *place(f"{dst.host}/c:1"), worker.u32(0), worker.string(""), *[worker.u32(0)] * 4)
    peak = 0
    while w.recv().type != worker.DONE:
        # ru_maxrss would count this process, which spawned it; at the last record it may have ended already
        if seen := re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{w.pid}/status").read()):
            peak = int(seen[1])
    w.wait()
    assert 0 < peak < 64 * 1024


# --- conversion ---
@pytest.mark.parametrize("how,magic", [("gzip", b"\x1f\x8b"), ("zstd", b"\x28\xb5\x2f\xfd")])
def test_recompression_changes_layers_and_nothing_else(fake, store, how, magic):
    src, dst, im = fake(), fake(), sample(2, ("plain", "zstd") if how == "gzip" else ("plain", "gzip"))
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", "--dest-compress-format", how)
    m = json.loads(dst.docs["c", "1"][0])
    assert m["config"]["digest"] == im.config
    for row, la in zip(m["layers"], im.layers):
        blob = dst.blobs[row["digest"]]
        assert row["mediaType"] == OCI + f"layer.v1.tar+{how}" and row["size"] == len(blob) and blob.startswith(magic)
        assert store.names("layers") == []
    store.pull(f"{dst.host}/c:1")  # every diff-id is checked
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)


def test_a_level_recompresses_what_has_the_format_already(fake, store):
    src, dst = fake(), fake()
    im = ig.image([ig.layer([file("f", b"abcdefgh" * 50000)])])
    copy(store, "docker://" + src.add("a/b", "1", im), f"docker://{dst.host}/c:1", "--dest-compress-format", "zstd", "--dest-compress-level", "19")
    assert json.loads(dst.docs["c", "1"][0])["layers"][0]["size"] < len(im.layers[0].blob)


def test_formats_are_converted_in_both_directions(fake, store):
    src, dst = fake(), fake()
    a, b = many("oci"), many("docker")
    copy(store, "docker://" + src.add("a", "1", a), f"docker://{dst.host}/a:1", "--all", "--format", "docker")
    copy(store, "docker://" + src.add("b", "1", b), f"docker://{dst.host}/b:1", "--all", "--format", "oci")
    for repo, im, index, manifest, config, layer in (
            ("a", a, DOCKER + "distribution.manifest.list.v2+json", DOCKER + "distribution.manifest.v2+json", DOCKER + "container.image.v1+json",
             DOCKER + "image.rootfs.diff.tar.gzip"),
            ("b", b, OCI + "index.v1+json", OCI + "manifest.v1+json", OCI + "config.v1+json", OCI + "layer.v1.tar+gzip")):
        raw, media = dst.docs[repo, "1"][:2]
        top = json.loads(raw)
        assert media == top["mediaType"] == index and len(top["manifests"]) == 2
        for row in top["manifests"]:
            m = json.loads(dst.docs[repo, row["digest"]][0])
            assert row["mediaType"] == m["mediaType"] == manifest and row["size"] == len(dst.docs[repo, row["digest"]][0])
            assert m["config"]["mediaType"] == config and {x["mediaType"] for x in m["layers"]} == {layer}
        assert {p["platform"]["architecture"] for p in top["manifests"]} == {"amd64", "arm64"}
        assert set(im.blobs) <= set(dst.blobs)  # blobs stay what they were


def test_docker_format_has_no_zstd(fake, store):
    src, dst, im = fake(), fake(), sample(1, ("zstd",))
    copy(store, "docker://" + src.add("a", "1", im), f"docker://{dst.host}/a:1", "--format", "v2s2")
    assert json.loads(dst.docs["a", "1"][0])["layers"][0]["mediaType"] == DOCKER + "image.rootfs.diff.tar.gzip"


def test_preserve_digests_refuses_every_change_and_writes_nothing(fake, store, tmp_path):
    src, dst, im = fake(), fake(), sample()
    ref = "docker://" + src.add("a", "1", im)
    fails(store, im.manifest, "cannot be preserved", args=[ref, f"docker://{dst.host}/a:1", "--preserve-digests", "--dest-compress-format", "zstd"])
    fails(store, "cannot be preserved", args=[ref, f"docker://{dst.host}/a:1", "--preserve-digests", "--format", "docker"])
    assert not dst.docs and not dst.blobs


def test_a_layer_whose_bytes_are_not_its_diff_id_is_not_converted(fake, store):
    src, dst = fake(), fake()

    def other(conf):
        conf["rootfs"]["diff_ids"] = [ig.digest(b"something else")]
    im = ig.image([ig.layer([file("f", b"1")])], edit_config=other)
    fails(store, "diff-id", args=["docker://" + src.add("a", "1", im), f"docker://{dst.host}/a:1", "--dest-compress-format", "zstd"])
    assert not dst.docs


@pytest.mark.parametrize("args,word", [(["--format", "tar"], "--format"), (["--dest-compress-format", "bzip2"], "dest-compress-format"),
                                       (["--multi-arch", "some"], "multi-arch"), (["--all", "--platform", "linux/arm64"], "--all"),
                                       (["--dest-compress-level", "99"], "level"), (["--src-creds", ":x"], "USER"), (["--src-password", "x"], "user name")])
def test_bad_options_are_named(store, tmp_path, args, word):
    fails(store, word, args=["docker://127.0.0.1:1/a", f"dir:{tmp_path}/x", *args])


# --- files ---
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "dir"])
def test_a_round_trip_through_files_changes_no_byte(fake, store, tmp_path, kind):
    src, dst, im = fake(), fake(), many()
    place = f"{kind}:{tmp_path}/x" + (":name" if kind != "dir" else "")
    copy(store, "docker://" + src.add("a/b", "1", im), place, "--all")
    copy(store, place, f"docker://{dst.host}/c:1", "--all", "--preserve-digests")
    whole(dst, im, "c")
    assert dst.docs["c", "1"][0] == im.docs[im.top][0]
    assert [n for n in os.listdir(tmp_path) if "part" in n] == []


@needs_skopeo
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "dir"])
@pytest.mark.parametrize("family", ["oci", "docker"])
def test_skopeo_reads_what_we_write(fake, store, tmp_path, kind, family):
    src, im = fake(), sample(3, ("gzip", "plain"), family)
    name = {"docker-archive": ":example.com/a/b:7", "dir": ""}.get(kind, ":name")
    place = f"{kind}:{tmp_path}/x{name}"
    copy(store, "docker://" + src.add("a/b", "1", im), place)
    assert json.loads(skopeo("inspect", "--config", "--raw", place)) == json.loads(im.blobs[im.config])
    skopeo("copy", place, f"dir:{tmp_path}/y")  # verifies every digest
    if kind == "dir" or (kind != "docker-archive" and family == "oci"):
        assert (tmp_path / "y/manifest.json").read_bytes() == im.docs[im.manifest][0]


@needs_skopeo
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "dir"])
def test_we_read_what_skopeo_writes(fake, store, tmp_path, kind):
    src, dst, im = fake(), fake(), sample(2)
    name = {"docker-archive": ":example.com/a/b:7", "dir": ""}.get(kind, ":name")
    skopeo("copy", "--src-tls-verify=false", "docker://" + src.add("a/b", "1", im), f"{kind}:{tmp_path}/x{name}")
    copy(store, f"{kind}:{tmp_path}/x{name}", f"docker://{dst.host}/c:1")
    m = json.loads(dst.docs["c", "1"][0])
    assert m["config"]["digest"] == im.config
    if kind == "docker-archive":
        assert [gzip.decompress(dst.blobs[x["digest"]]) for x in m["layers"]] == [la.raw for la in im.layers]
    else:
        assert [x["digest"] for x in m["layers"]] == [la.digest for la in im.layers]


def test_a_layout_keeps_its_other_images_and_replaces_the_name(fake, store, tmp_path):
    src, a, b, c = fake(), sample(), sample(), sample()
    for i, (im, name) in enumerate(((a, "one"), (b, "two"), (c, "one"))):
        copy(store, "docker://" + src.add("x", str(i), im), f"oci:{tmp_path}/o:{name}")
    rows = json.loads((tmp_path / "o/index.json").read_text())["manifests"]
    assert {r["annotations"]["org.opencontainers.image.ref.name"]: r["digest"] for r in rows} == {"two": b.manifest, "one": c.manifest}
    fails(store, "one, two" if rows[0]["annotations"]["org.opencontainers.image.ref.name"] == "one" else "two, one",
          args=[f"oci:{tmp_path}/o", f"dir:{tmp_path}/d"])
    fails(store, "no image named 'three'", args=[f"oci:{tmp_path}/o:three", f"dir:{tmp_path}/d"])


def test_a_damaged_layout_is_refused_and_nothing_is_written(fake, store, tmp_path):
    dst, im = fake(), sample(1)
    layout(tmp_path / "o", [im], ["x"])
    blob = tmp_path / "o/blobs/sha256" / im.layers[0].digest.split(":")[1]
    raw = bytearray(blob.read_bytes())
    raw[40] ^= 1
    blob.write_bytes(raw)
    fails(store, im.layers[0].digest, args=[f"oci:{tmp_path}/o:x", f"docker://{dst.host}/c:1"])
    fails(store, im.layers[0].digest, args=[f"oci:{tmp_path}/o:x", f"dir:{tmp_path}/d"])
    fails(store, im.layers[0].digest, args=[f"oci:{tmp_path}/o:x", f"oci-archive:{tmp_path}/a.tar"])
    assert not dst.docs and im.layers[0].digest not in dst.blobs
    assert not (tmp_path / "d/manifest.json").exists() and not (tmp_path / "a.tar").exists()
    assert [n for n in os.listdir(tmp_path) + os.listdir(tmp_path / "d") if "part" in n] == []


def test_compressed_layers_of_a_docker_archive(fake, store, tmp_path):
    im = sample(2)

    def squeezed(doc):
        return doc
    path = docker_archive(tmp_path / "a", im, edit=squeezed)
    raw = io.BytesIO()
    with tarfile.open(path) as t, tarfile.open(fileobj=raw, mode="w") as out:
        for m in t.getmembers():
            data = t.extractfile(m).read() if m.isfile() else None
            if m.name.endswith("layer.tar"):
                data = gzip.compress(data)
                m.size = len(data)
            out.addfile(m, io.BytesIO(data) if data is not None else None)
    (tmp_path / "b.tar").write_bytes(raw.getvalue())
    copy(store, f"docker-archive:{tmp_path}/b.tar", "copied:1")
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)


def test_a_docker_archive_holds_one_platform(fake, store, tmp_path):
    fails(store, "--platform", args=["docker://" + fake().add("a", "1", many()), f"docker-archive:{tmp_path}/a.tar", "--all"])
    assert os.listdir(tmp_path).count("a.tar") == 0


# --- the store ---
def test_into_the_store_and_out_again(fake, store, tmp_path):
    src, dst, im = fake(), fake(), sample(3, ("gzip", "zstd", "plain"))
    copy(store, "docker://" + src.add("a/b", "1", im), "mine:2")
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert "mine" in ok(store, "images")
    copy(store, "mine:2", f"docker://{dst.host}/c:1", "--preserve-digests")
    whole(dst, im, "c")
    copy(store, "skiff:mine:2", f"oci:{tmp_path}/o:x")
    m = json.loads((tmp_path / "o/index.json").read_text())["manifests"][0]
    m = json.loads((tmp_path / "o/blobs/sha256" / m["digest"][7:]).read_text())
    assert m["config"]["digest"] == im.config
    copy(store, f"oci:{tmp_path}/o:x", "back:1")
    ok(store, "system", "check")


def test_all_platforms_in_the_store_are_kept_by_their_digests(fake, store):
    src, im = fake(), many()
    copy(store, "docker://" + src.add("a/b", "1", im), "skiff:mine:1", "--all")
    ok(store, "system", "check", "--repair")
    assert len(store.layers()) == 4
    doc = json.loads(ok(store, "image", "inspect", "mine:1"))[0]
    assert doc["Architecture"] == "amd64"
    dst = fake()
    copy(store, "mine:1", f"docker://{dst.host}/c:1", "--all", "--preserve-digests")
    whole(dst, im, "c")


def test_artifacts_are_copied_but_not_into_the_store(fake, store):
    src, dst = fake(), fake()
    data = b"bill of materials"
    im = ig.Image()
    im.blobs = {ig.digest(b"{}"): b"{}", ig.digest(data): data}
    im.manifest = im.add_doc({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "artifactType": "application/spdx+json",
                              "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": ig.digest(b"{}"), "size": 2, "data": "e30="},
                              "layers": [{"mediaType": "application/x-anything", "digest": ig.digest(data), "size": len(data)}]}, OCI + "manifest.v1+json")["digest"]
    ref = "docker://" + src.add("a", "1", im)
    copy(store, ref, f"docker://{dst.host}/c:1", "--dest-compress-format", "zstd")
    whole(dst, im, "c")
    fails(store, "artifact", args=[ref, "skiff:mine:1"])
    assert store.references() == []


def test_nondistributable_layers_stay_where_their_urls_say(fake, store, tmp_path):
    src, dst, im = fake(), fake(), sample(1)

    def foreign(m):
        m["layers"].append({"mediaType": OCI + "layer.nondistributable.v1.tar+gzip", "digest": ig.digest(b"x"), "size": 1, "urls": ["http://127.0.0.1:1/x"]})
    conf = ig.image(im.layers, edit=foreign, edit_config=lambda c: c["rootfs"]["diff_ids"].append(ig.digest(b"y")))
    ref = "docker://" + src.add("a", "1", conf)
    copy(store, ref, f"docker://{dst.host}/c:1")
    assert dst.docs["c", "1"][0] == conf.docs[conf.manifest][0] and ig.digest(b"x") not in dst.blobs
    fails(store, "not distributable", args=[ref, "skiff:mine:1"])


# --- docker's daemon ---
class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def dockerd(tmp_path):
    """The two calls of docker's API that a copy makes, with real archives; test_skopeo_... and tests/interop use the real one."""
    loaded, images = [], {}

    class H(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *a):
            pass

        def address_string(self):
            return "socket"

        def answer(self, status, body):
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            name = self.path.split("/images/")[1].rsplit("/get")[0].replace("%3A", ":").replace("%2F", "/")
            if name not in images:
                return self.answer(404, json.dumps({"message": f"reference does not exist: {name}"}).encode())
            self.answer(200, images[name])

        def do_POST(self):
            body = b""
            while n := int(self.rfile.readline(), 16):
                body += self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
            loaded.append(body)
            self.answer(200, b'{"stream":"Loaded image: x\\n"}')
    path = str(tmp_path / "docker.sock")
    s = Daemon(path, H)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    s.path, s.images, s.loaded = path, images, loaded
    yield s
    s.shutdown()
    s.server_close()


def test_to_and_from_the_daemon(fake, store, tmp_path, dockerd):
    src, im = fake(), sample(2)
    copy(store, "docker://" + src.add("a", "1", im), "docker-daemon:example.com/x/y:3", "--dest-daemon-host", "unix://" + dockerd.path)
    (tmp_path / "got.tar").write_bytes(dockerd.loaded[0])
    with tarfile.open(tmp_path / "got.tar") as t:
        doc = json.load(t.extractfile("manifest.json"))
        assert doc[0]["RepoTags"] == ["example.com/x/y:3"]
        assert [hashlib.sha256(t.extractfile(n).read()).hexdigest() for n in doc[0]["Layers"]] == [la.hex for la in im.layers]
    dockerd.images["example.com/x/y:3"] = dockerd.loaded[0]
    dst = fake()
    copy(store, "docker-daemon:example.com/x/y:3", f"docker://{dst.host}/c:1", "--src-daemon-host", dockerd.path)
    assert json.loads(dst.docs["c", "1"][0])["config"]["digest"] == im.config
    fails(store, "reference does not exist", args=["docker-daemon:nothing:1", f"dir:{tmp_path}/d", "--src-daemon-host", dockerd.path])
    fails(store, str(tmp_path / "none"), args=["docker-daemon:nothing:1", f"dir:{tmp_path}/d", "--src-daemon-host", str(tmp_path / "none")])


# --- with a real registry, and skopeo at the other end ---
@needs_skopeo
def test_skopeo_and_we_agree_on_a_registry(registry, store, tmp_path):
    im = many()
    ref = registry.push("agree/src", "1", im)
    copy(store, f"docker://{ref}", f"docker://{registry.host}/agree/ours:1", "--all")
    skopeo("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{ref}", f"docker://{registry.host}/agree/theirs:1")
    raw = [skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/agree/{x}:1") for x in ("ours", "theirs")]
    assert raw[0] == raw[1] == im.docs[im.top][0]
    assert shutil.which("skopeo")
