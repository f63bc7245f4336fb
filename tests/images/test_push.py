"""`skiff push`: where the bytes of a layer come from, how they travel, and what a broken connection, a stingy or a lying registry does to it."""
import base64
import gzip
import hashlib
import json
import os
import re
import subprocess

import fakereg
import imagegen as ig
import pytest
from conftest import USER
from imagegen import file
from test_auth import protect, site  # noqa: F401
from test_crash import run

BASIC = "Basic " + base64.b64encode(":".join(USER).encode()).decode()


def image(n=2, size=3000, **kw):
    return ig.image([ig.layer([file(f"f{i}", os.urandom(size))]) for i in range(n)], **kw)


@pytest.fixture
def src(fake):
    return fake()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".docker").mkdir()
    return tmp_path


def pulled(store, src, im, repo="team/app", tag="1"):
    ref = src.add(repo, tag, im)
    rc, out, err = run(store, "pull", ref)
    assert rc == 0, err
    return ref


def push(store, *args):
    rc, out, err = run(store, "push", *args)
    assert rc == 0, err
    return out


def has_all(reg, im, repo):
    for d, data in im.blobs.items():
        assert reg.blobs[d] == data
    assert reg.docs[repo, im.manifest][0] == im.docs[im.manifest][0]


def methods(reg, part="/blobs/"):
    return [s.method for s in reg.seen(part)]


@pytest.mark.smoke
def test_push_to_docker_registry(registry, registry_basic, store, home, docker_config):
    im = image(3)
    ref = registry.push("push/a", "1", im)
    assert run(store, "pull", ref)[0] == 0
    docker_config(registry_basic.host).rename(home / ".docker/config.json")
    out = push(store, ref, f"{registry_basic.host}/deep/er/b:two")
    assert f"The push refers to repository [{registry_basic.host}/deep/er/b]" in out
    assert out.endswith(f"two: digest: {im.manifest} size: {len(im.docs[im.manifest][0])}\n")
    for la in im.layers:
        assert f"{la.digest[7:19]}: Pushed\n" in out
    headers, raw = registry_basic.client.ok("GET", "/v2/deep/er/b/manifests/two", headers={"Accept": ig.MEDIA["oci", "manifest"]})
    assert raw == im.docs[im.manifest][0]
    for la in im.layers:
        assert registry_basic.client.ok("GET", f"/v2/deep/er/b/blobs/{la.digest}")[1] == la.blob
    out = push(store, ref, f"{registry_basic.host}/deep/er/b:two")
    assert out.count("Layer already exists") == 3
    assert push(store, "-q", ref, f"{registry_basic.host}/deep/er/b:two") == f"{registry_basic.host}/deep/er/b:two\n"


def test_mount_in_docker_registry(registry, store):
    im = image(2)
    ref = registry.push("push/from", "1", im)
    assert run(store, "pull", ref)[0] == 0
    out = push(store, ref, f"{registry.host}/push/to:1")
    assert out.count("Mounted") == 2, out


def test_chunked_to_docker_registry(registry, src, store):
    im = image(1, 500000)
    ref = pulled(store, src, im)
    push(store, "--chunk-size", "100k", ref, f"{registry.host}/push/chunks:1")
    assert registry.client.ok("GET", f"/v2/push/chunks/blobs/{im.layers[0].digest}")[1] == im.layers[0].blob


def test_token_has_the_scopes(registry_token, store, home, docker_config):
    im = image(2)
    ref = registry_token.push("team/src", "1", im)
    docker_config(registry_token.host).rename(home / ".docker/config.json")
    assert run(store, "pull", ref)[0] == 0
    registry_token.tokens.requests.clear()
    out = push(store, ref, f"{registry_token.host}/team/dst:1")
    assert out.count("Mounted") == 2
    scopes = [q["scope"] for _, q, _ in registry_token.tokens.requests]
    assert scopes == [["repository:team/dst:pull,push", "repository:team/src:pull"]]


def test_order_blobs_before_manifest(fake, src, store):
    dst, im = fake(), image(3, 30000)
    push(store, pulled(store, src, im), dst.host + "/x/y:1")
    has_all(dst, im, "x/y")
    last = dst.log[-1]
    assert (last.method, last.path) == ("PUT", "/v2/x/y/manifests/1") and last.headers["Content-Type"] == ig.MEDIA["oci", "manifest"]
    assert len([s for s in dst.log if s.method == "PUT" and "/uploads/" in s.path]) == 4
    for s in dst.log:
        if s.method == "POST":
            assert re.search(r"\?(mount|digest)=sha256%3A[0-9a-f]{64}$", s.path), s.path  # automatic content discovery: no `from`
    assert len([s for s in dst.log if s.method == "POST" and "?mount=" in s.path]) == 3


def test_small_blobs_go_in_one_post(fake, src, store):
    dst, im = fake(whole=True), image(2, 1000)
    push(store, pulled(store, src, im), dst.host + "/x/y:1")
    has_all(dst, im, "x/y")
    assert [s.method for s in dst.seen("/uploads/")] == ["POST"] * 3
    other = fake()

    @other.rule("digest=")
    def no(h, n):
        return h.reply(404) if h.command == "POST" else False
    push(store, f"{src.host}/team/app:1", other.host + "/x/y:1")
    has_all(other, im, "x/y")


def test_every_tag_of_a_repository(fake, src, store):
    dst, images = fake(), {t: image(1, 100) for t in ("one", "two", "3")}
    for t, im in images.items():
        src.add("team/app", t, im)
    rc, out, err = run(store, "pull", "-q", "--all-tags", f"{src.host}/team/app")
    assert rc == 0 and sorted(out.split()) == sorted(f"{src.host}/team/app:{t}" for t in images), err
    for t in images:
        assert run(store, "tag", f"{src.host}/team/app:{t}", f"{dst.host}/c:{t}")[0] == 0
    push(store, "-q", "-a", f"{dst.host}/c")
    for t, im in images.items():
        assert dst.docs["c", t][0] == im.docs[im.manifest][0]
    for verb in ("pull", "push"):
        rc, out, err = run(store, verb, "-a", f"{src.host}/team/app:one")
        assert rc == 1 and "tag can't be used with --all-tags" in err
    rc, out, err = run(store, "push", "-a", "nothing/here")
    assert rc == 1 and "does not exist locally" in err


def test_every_platform_with_its_index(fake, src, store):
    dst, a, b = fake(), image(1, 2000), ig.image([ig.layer([file("arm", b"1")])], arch="arm64")
    im = ig.index({"linux/amd64": a, "linux/arm64": b})
    ref = src.add("team/app", "1", im)
    rc, out, err = run(store, "pull", "--all-platforms", ref)
    assert rc == 0 and im.top in out, err
    push(store, "--all-platforms", ref, f"{dst.host}/c:1")
    assert dst.docs["c", "1"][0] == im.docs[im.top][0]
    has_all(dst, a, "c")
    has_all(dst, b, "c")
    push(store, "--platform", "linux/arm64", ref, f"{dst.host}/c:arm")
    assert dst.docs["c", "arm"][0] == b.docs[b.manifest][0]
    rc, out, err = run(store, "push", "--platform", "linux/s390x", ref, f"{dst.host}/c:none")
    assert rc == 1 and "linux/s390x" in err
    one = src.add("lone", "1", image(1))
    assert run(store, "pull", one)[0] == 0
    rc, out, err = run(store, "push", "--platform", "linux/arm64", one, f"{dst.host}/c:none")
    assert rc == 1 and "linux/amd64" in err


def test_layers_come_from_where_the_image_came_from(fake, src, store):
    dst, im = fake(), image(1, 3_000_000)
    ref = pulled(store, src, im)
    src.log.clear()
    push(store, ref, dst.host + "/x:1")
    assert [s.path for s in src.seen(im.layers[0].digest)] == [f"/v2/team/app/blobs/{im.layers[0].digest}"]
    has_all(dst, im, "x")


def test_source_that_lies(fake, src, store):
    dst, im = fake(), image(1)
    ref = pulled(store, src, im)
    la = im.layers[0]
    src.blobs[la.digest] = la.blob[:-1] + bytes([la.blob[-1] ^ 1])
    rc, out, err = run(store, "push", ref, dst.host + "/x:1")
    assert rc == 1 and la.digest in err and "other bytes" in err
    assert la.digest not in dst.blobs and not dst.docs and not dst.sessions
    assert all(len(d) < len(la.blob) for d in dst.sessions.values())


@pytest.mark.parametrize("how", ["gzip", "plain", "zstd"])
def test_source_that_is_gone(fake, src, store, how):
    """Nobody has the blobs any more: the layers are packed again, the same tar, and the manifest that goes up names what was made."""
    dst = fake()
    im = ig.image([ig.layer([file(f"f{i}", os.urandom(3000))], how) for i in range(2)])
    ref = pulled(store, src, im)
    src.blobs.clear()
    out = push(store, ref, dst.host + "/x:1")
    m = json.loads(dst.docs["x", "1"][0])
    assert m["config"]["digest"] == im.config and f"digest: sha256:{hashlib.sha256(dst.docs['x', '1'][0]).hexdigest()} size: " in out
    assert [la["mediaType"] for la in m["layers"]] == [ig.MEDIA["oci", how]] * 2
    for la, new in zip(im.layers, m["layers"]):
        blob = dst.blobs[new["digest"]]
        assert len(blob) == new["size"]
        if how == "gzip":
            assert gzip.decompress(blob) == la.raw
        if how == "plain":
            assert blob == la.raw
    assert run(store, "pull", dst.host + "/x:1")[0] == 0
    assert push(store, ref, dst.host + "/x:2").count("Layer already exists") == 2  # the same bytes each time


def test_no_such_image(store, fake):
    dst = fake()
    rc, out, err = run(store, "push", dst.host + "/nothing:1")
    assert rc == 1 and f"An image does not exist locally with the tag: {dst.host}/nothing" in err and dst.log == []


def test_mount_is_refused_then_uploaded(fake, store):
    reg, im = fake(split=True), image(2)
    ref = reg.add("a/from", "1", im)
    reg.repos["a/from"] = set(im.blobs)
    assert run(store, "pull", ref)[0] == 0

    @reg.rule("mount=")
    def no(h, n):
        h.reply(405 if n == 1 else 403)
    push(store, ref, reg.host + "/b/to:1")
    assert reg.repos["b/to"] == set(im.blobs)


def test_mount(fake, store):
    reg, im = fake(split=True), image(2)
    ref = reg.add("a/from", "1", im)
    reg.repos["a/from"] = set(im.blobs)
    assert run(store, "pull", ref)[0] == 0
    out = push(store, ref, reg.host + "/b/to:1")
    assert out.count("Mounted") == 2 and "PUT" not in methods(reg, "/uploads/")
    assert all("from=a/from" in s.path for s in reg.seen("mount="))


def test_foreign_layers_stay_where_they_are(fake, src, store):
    dst, im = fake(), image(2)
    ref = pulled(store, src, im)
    push(store, ref, dst.host + "/x:1")
    assert len(dst.blobs) == 3


@pytest.mark.parametrize("chunk_min", [0, 40000, 10_000_000])
def test_chunks(fake, src, store, chunk_min):
    dst, im = fake(chunk_min=chunk_min), image(1, 200_000)
    size = sum(map(len, im.blobs.values()))
    push(store, "--chunk-size", "30000", pulled(store, src, im), dst.host + "/x:1")
    has_all(dst, im, "x")
    chunks = [len(s.body) for s in dst.seen("/uploads/") if s.method == "PATCH"]
    assert sum(chunks) == size and len([c for c in chunks if c != max(30000, chunk_min)]) == 2  # the ends of the layer and of the config
    ranges = [s.headers["Content-Range"] for s in dst.seen("/uploads/") if s.method == "PATCH"]
    assert all(re.fullmatch(r"\d+-\d+", r) for r in ranges)


def test_too_large_for_one_request(fake, src, store):
    dst, im = fake(), image(1, 9_000_000)

    @dst.rule("/uploads/")
    def proxy(h, n):
        return False if len(h.body) <= 8 << 20 else h.reply(413)
    push(store, pulled(store, src, im), dst.host + "/x:1")
    has_all(dst, im, "x")


def test_resume_of_a_broken_upload(fake, src, store):
    dst, im = fake(), image(1, 2_000_000)
    ref = pulled(store, src, im)
    cuts = iter([300_000, 700_001, 5])

    dst.cut = lambda h, length: next(cuts, None) if length > 100_000 else None
    src.log.clear()
    push(store, ref, dst.host + "/x:1")
    has_all(dst, im, "x")
    assert sum(len(s.body) for s in dst.log if s.method in ("PUT", "PATCH") and "/uploads/" in s.path) == sum(map(len, im.blobs.values()))
    assert len([s for s in dst.log if s.method == "GET" and "/uploads/" in s.path]) == 3
    assert len([s for s in dst.log if s.method == "POST"]) == 2


def test_session_that_is_forgotten(fake, src, store):
    dst, im = fake(), image(1, 500_000)
    ref = pulled(store, src, im)
    cuts = iter([100_000])
    dst.cut = lambda h, length: next(cuts, None) if length > 100_000 else None
    dst.rule("/uploads/")(lambda h, n: h.command == "GET" and h.reply(404) is None)
    push(store, ref, dst.host + "/x:1")
    has_all(dst, im, "x")


def test_416_asks_how_far_it_got(fake, src, store):
    dst, im = fake(), image(1, 200_000)
    ref = pulled(store, src, im)
    done = []

    @dst.rule("/uploads/")
    def lose(h, n):
        if h.command == "PATCH" and not done and h.headers["Content-Range"].startswith("60000-"):
            done.append(1)
            name = re.search(r"/uploads/([^?]+)", h.path)[1]
            del dst.sessions[name][40000:]
            return dst.accept(h, "x", name, status=416) is None
        return False
    push(store, "--chunk-size", "30000", ref, dst.host + "/x:1")
    has_all(dst, im, "x")
    assert done


@pytest.mark.parametrize("status,headers", [(503, {}), (429, {"Retry-After": "1"}), (500, {})])
def test_busy_registry(fake, src, store, status, headers):
    dst, im = fake(), image(1)
    for part in ("/uploads/", "/manifests/"):
        dst.rule(part, times=2)(fakereg.flapping(status, headers))
    push(store, pulled(store, src, im), dst.host + "/x:1")
    has_all(dst, im, "x")


def test_registry_that_never_takes_it(fake, src, store):
    dst, im = fake(), image(1)
    ref = pulled(store, src, im)
    dst.cut = lambda h, length: 0 if "/uploads/" in h.path else None
    rc, out, err = run(store, "push", ref, dst.host + "/x:1")
    assert rc == 1 and len(err.splitlines()) == 1 and not dst.docs


def test_registry_that_stores_something_else(fake, src, store):
    dst, im = fake(), image(1)
    dst.rule("/manifests/")(lambda h, n: h.command == "PUT" and h.reply(201, b"", {"Docker-Content-Digest": "sha256:" + "0" * 64}) is None)
    rc, out, err = run(store, "push", pulled(store, src, im), dst.host + "/x:1")
    assert rc == 1 and "stored it as" in err


def test_denied(fake, src, store):
    dst, im = fake(), image(1)
    dst.rule("/uploads/")(lambda h, n: h.reply(403, b'{"errors":[{"code":"DENIED","message":"read only"}]}'))
    rc, out, err = run(store, "push", pulled(store, src, im), dst.host + "/x:1")
    assert rc == 1 and "DENIED" in err and "read only" in err and not dst.docs


def test_subject_with_fallback_tag(fake, src, store):
    dst = fake()
    subject = image(1)
    sd = subject.docs[subject.manifest]
    im = image(1, edit=lambda m: {**m, "artifactType": "application/x.sbom", "annotations": {"a": "b"}, "subject": {
        "mediaType": sd[1], "digest": subject.manifest, "size": len(sd[0])}})
    old = {"schemaVersion": 2, "mediaType": ig.MEDIA["oci", "index"], "manifests": [
        {"mediaType": sd[1], "digest": "sha256:" + "a" * 64, "size": 5, "x-unknown": 1}]}
    tag = subject.manifest.replace(":", "-")
    dst.docs["x", tag] = (ig.js(old), ig.MEDIA["oci", "index"])
    ref = pulled(store, src, im)
    for _ in range(2):
        push(store, ref, dst.host + "/x:1")
        rows = json.loads(dst.docs["x", tag][0])["manifests"]
        assert rows == [old["manifests"][0], {"mediaType": ig.MEDIA["oci", "manifest"], "digest": im.manifest, "size": len(im.docs[im.manifest][0]),
                                              "artifactType": "application/x.sbom", "annotations": {"a": "b"}}]


def test_subject_that_the_registry_knows(fake, src, store):
    dst = fake(referrers=True)
    im = image(1, edit=lambda m: {**m, "subject": {"mediaType": ig.MEDIA["oci", "manifest"], "digest": "sha256:" + "1" * 64, "size": 5}})
    push(store, pulled(store, src, im), dst.host + "/x:1")
    assert [s.path for s in dst.seen("/manifests/")] == ["/v2/x/manifests/1"]


# --- T51, T52, T53 on the ways of a push ---
def test_T51_upload_to_another_host_gets_no_credentials(fake, src, store, home, docker_config):
    other, im = fake(), image(1)
    dst = fake()
    other.sessions = dst.sessions
    other.blobs = dst.blobs
    dst.upload_base = other.base
    protect(dst, 'Basic realm="x"', BASIC)
    docker_config(dst.host).rename(home / ".docker/config.json")
    push(store, pulled(store, src, im), dst.host + "/x:1")
    assert other.seen("/uploads/") and not [s for s in other.log if "Authorization" in s.headers]
    has_all(dst, im, "x")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_T51_redirected_upload_loses_the_credentials(fake, src, store, home, docker_config, status):
    other, im = fake(), image(1)
    dst = fake()
    other.sessions, other.blobs, other.repos = dst.sessions, dst.blobs, dst.repos
    protect(dst, 'Basic realm="x"', BASIC)

    @dst.rule("/blobs/uploads/")
    def away(h, n):
        return h.command == "PUT" and h.reply(status, b"", {"Location": other.base + h.path}) is None
    dst.rules.insert(0, dst.rules.pop())
    docker_config(dst.host).rename(home / ".docker/config.json")
    push(store, pulled(store, src, im), dst.host + "/x:1")
    assert [s.method for s in other.log] == ["PUT", "PUT"] and not [s for s in other.log if "Authorization" in s.headers]
    has_all(dst, im, "x")


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "http://[bad"])
def test_upload_location_that_is_no_http(fake, src, store, where):
    dst, im = fake(), image(1)
    dst.rule("/uploads/")(lambda h, n: h.reply(202, b"", {"Location": where}))
    rc, out, err = run(store, "push", pulled(store, src, im), dst.host + "/x:1")
    assert rc == 1 and "redirects to" in err


def test_T51_upload_location_from_https_to_http(fake, src, store, ca, home):
    plain, im = fake(), image(1)
    dst = fake(tls=ca.issue("push"))
    dst.upload_base = plain.base
    ref = pulled(store, src, im)
    rc, out, err = run(store, "push", "--cert-dir", str(ca.trust(home / "certs", dst.host)), ref, dst.host + "/x:1")
    assert rc == 1 and "from https" in err and plain.log == []


def test_T53_certificates(fake, src, store, ca, home):
    im = image(1)
    dst = fake(tls=ca.issue("push2"))
    ref = pulled(store, src, im)
    rc, out, err = run(store, "push", ref, dst.host + "/x:1")
    assert rc == 1 and "certificate is not trusted" in err and dst.log == []
    push(store, "--cert-dir", str(ca.trust(home / "certs", dst.host)), ref, dst.host + "/x:1")
    push(store, "--tls-verify=false", ref, dst.host + "/x:2")


def test_T52_token_realm_of_a_push(fake, src, site, store, home, docker_config):  # noqa: F811
    dst, im = fake(), image(1)
    protect(dst, 'Bearer realm="http://169.254.169.254/token",service="s"')
    docker_config(dst.host).rename(home / ".docker/config.json")
    rc, out, err = run(store, "push", pulled(store, src, im), dst.host + "/x:1")
    assert rc == 1 and "realm" in err and "refused" in err and not dst.blobs


def test_parallel_uploads_are_bounded(fake, src, store):
    import threading
    import time
    dst, im = fake(), image(12)
    now, most, lock = [0], [0], threading.Lock()

    @dst.rule("/uploads/")
    def count(h, n):
        if h.command != "PUT":
            return False
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        return False
    push(store, pulled(store, src, im), dst.host + "/x:1")
    has_all(dst, im, "x")
    assert 2 <= most[0] <= 4


def test_nothing_of_the_store_changes(fake, src, store):
    dst, im = fake(), image(2)
    ref = pulled(store, src, im)

    def state():
        return {os.path.join(w, f): hashlib.sha256(open(os.path.join(w, f), "rb").read()).hexdigest()
                for w, _, fs in os.walk(store.path) for f in fs if "/locks" not in w}
    before = state()
    push(store, ref, dst.host + "/x:1")
    assert state() == before
    store.no_leftovers()



def test_compressed_anew(fake, store):
    """podman's flags of push: other bytes, the same content, and the level is the compressor's."""
    src, dst = fake(), fake()
    la = ig.layer([file("f", os.urandom(1000) + b"a" * 100_000)], "gzip")
    ref = src.add("a", "1", ig.image([la]))
    store.pull(ref)
    sizes = {}
    for tag, flags in {"gz": ["--compression-format", "gzip", "--compression-level", "9"], "zst": ["--compression-format=zstd", "--force-compression"],
                       "chunked": ["--compression-format", "zstd:chunked"], "plain": []}.items():
        rc, _, err = run(store, "push", *flags, ref, f"{dst.host}/b:{tag}")
        assert rc == 0, err
        row = json.loads(dst.docs["b", tag][0])["layers"][0]
        blob = dst.blobs[row["digest"]]
        sizes[tag] = len(blob)
        assert row["mediaType"].endswith("+gzip" if tag in ("gz", "plain") else "+zstd")
        raw = gzip.decompress(blob) if tag in ("gz", "plain") else subprocess.run(["zstd", "-dqc"], input=blob, check=True, stdout=subprocess.PIPE).stdout
        assert ig.digest(raw) == la.diff_id
        assert ("io.containers.zstd-chunked.manifest-checksum" in row.get("annotations", {})) == (tag == "chunked")
    assert len(set(sizes.values())) > 2
    for flags, words in ((["--compression-format", "lzma"], 'invalid argument "lzma" for "--compression-format"'),
                         (["--force-compression"], "--force-compression needs --compression-format"),
                         (["--compression-level", "40"], 'invalid argument "40" for "--compression-level"')):
        rc, _, err = run(store, "push", *flags, ref, f"{dst.host}/b:no")
        assert rc != 0 and words in err and ("b", "no") not in dst.docs


def test_family_and_digestfile(fake, src, store, tmp_path):
    """podman's: the manifest of the other family, and the digest of what the registry has, without a newline."""
    dst, im = fake(), image(2)
    ref = pulled(store, src, im)
    for tag, flags in {"same": [], "oci": ["--format", "oci"], "docker": ["--format", "v2s2"]}.items():
        push(store, *flags, "--digestfile", str(tmp_path / tag), ref, f"{dst.host}/b:{tag}")
        raw, media = dst.docs["b", tag]
        assert (tmp_path / tag).read_text() == ig.digest(raw)
        assert media == ig.MEDIA["docker" if tag == "docker" else "oci", "manifest"] and json.loads(raw)["mediaType"] == media
        assert json.loads(raw)["config"]["digest"] == im.config
        assert [ig.digest(gzip.decompress(dst.blobs[la["digest"]])) for la in json.loads(raw)["layers"]] == [la.diff_id for la in im.layers]
    assert dst.docs["b", "same"][0] == im.docs[im.manifest][0]
    for flags, words in ((["--format", "v2s1"], 'invalid argument "v2s1" for "--format"'), (["--format", "bogus"], 'invalid argument "bogus" for "--format"'),
                         (["--digestfile", str(tmp_path / "no/such")], "write the digest to")):
        rc, _, err = run(store, "push", *flags, ref, f"{dst.host}/b:no")
        assert rc == 1 and words in err, err
    rc, _, err = run(store, "push", "--all-tags", "--digestfile", str(tmp_path / "d"), ref.rsplit(":", 1)[0])
    assert rc == 1 and "--digestfile is for one image" in err and not (tmp_path / "d").exists()
