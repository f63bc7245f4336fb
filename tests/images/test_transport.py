"""Registries that fail, lie, stop in the middle or answer something else (T46, T48, T49, T50), by a scripted registry."""
import json
import os
import threading
import time
from types import SimpleNamespace

import fakereg
import imagegen as ig
import pytest
import worker
from conftest import Store
from fakereg import flapping
from test_archives import ok
from test_crash import run
from imagegen import file


def big(n=3 << 20, how="plain"):
    return ig.layer([file("f", os.urandom(n))], how)


def one(reg, la=None, repo="a/b", **kw):
    la = la or ig.layer([file("f", os.urandom(1000))])
    im = ig.image([la], **kw)
    return im, la, reg.add(repo, "1", im)


# --- tests that mostly wait: they begin together with the first test of this file, and stand where they are waited for ---
WAITING = {}


def waiting(fn):
    WAITING[fn.__name__] = fn

    def test(begun):
        begun[fn.__name__].thread.join()
        if begun[fn.__name__].failed:
            raise begun[fn.__name__].failed
    test.__name__, test.__doc__ = fn.__name__, fn.__doc__
    return test


@pytest.fixture(scope="module", autouse=True)
def begun(request, tmp_path_factory):
    jobs, made = {}, []

    def make(**kw):
        made.append(fakereg.FakeRegistry(**kw))
        return made[-1]

    def run(job, fn, store):
        try:
            fn(make, store)
        except BaseException as x:  # noqa: BLE001 - raised again where it is waited for
            job.failed = x
    for item in request.session.items:
        if item.fspath == request.fspath and item.originalname in WAITING:
            job = jobs[item.originalname] = SimpleNamespace(failed=None)
            store = Store(tmp_path_factory.mktemp("waiting") / "lib")
            job.thread = threading.Thread(target=run, args=(job, WAITING[item.originalname], store), daemon=True)
            job.thread.start()
    yield jobs
    for r in made:
        r.close()


# --- bytes that are not what was asked for ---
@pytest.mark.smoke
def test_T50_layer_with_wrong_bytes(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    reg.blobs[la.digest] = la.blob[:-9] + bytes([la.blob[-9] ^ 1]) + la.blob[-8:]
    store.fails("corrupt", ref, la.digest)
    assert store.layers() == []


def test_T50_layer_of_another_content_same_size(fake, store):
    reg = fake()
    la, other = big(200000), big(200000)
    im, la, ref = one(reg, la)
    reg.blobs[la.digest] = other.blob
    store.fails("corrupt", ref, "expected " + la.digest, other.digest)
    assert store.layers() == []


def test_config_says_another_diff_id(fake, store):
    reg = fake()

    def lie(c):
        c["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    im, la, ref = one(reg, edit_config=lie)
    store.fails("corrupt", ref, "expected sha256:" + "0" * 64)
    assert store.layers() == []


def test_wrong_config_and_wrong_manifest(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    good = reg.blobs[im.config]
    reg.blobs[im.config] = good.replace(b"/bin/sh", b"/bin/XX")
    store.fails("corrupt", ref, im.config)
    reg.blobs[im.config] = good + b" "
    store.fails("corrupt", ref, "expected %d bytes" % len(good))
    reg.blobs[im.config] = good
    assert store.pull(ref).manifest == im.top


def test_T50_wrong_manifest_for_a_digest(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    reg.docs["a/b", im.top] = (reg.docs["a/b", im.top][0] + b" ", reg.docs["a/b", im.top][1])
    store.fails("corrupt", ref.rsplit(":", 1)[0] + "@" + im.top, "expected " + im.top)
    assert store.names("blobs/sha256") == []


def test_index_entry_of_wrong_digest_or_size(fake, store):
    reg = fake()
    child = ig.image([ig.layer([file("f", "1")])])
    other = ig.image([ig.layer([file("f", "2")])])
    ix = ig.index({"linux/amd64": child})
    ref = reg.add("ix", "1", ix)
    reg.docs["ix", child.top] = other.docs[other.top]
    store.fails("corrupt", ref, "expected " + child.top)

    def shrink(d):
        d["manifests"][0]["size"] -= 1
    store.fails("corrupt", reg.add("ix2", "1", ig.index({"linux/amd64": child}, edit=shrink)), "bytes")


@pytest.mark.parametrize("delta", [-1, 1, 100])
def test_layer_size_differs_from_the_manifest(fake, store, delta):
    reg = fake()

    def lie(m):
        m["layers"][0]["size"] += delta
    im, la, ref = one(reg, edit=lie)
    store.fails(("corrupt", "unavailable"), ref, la.digest)
    assert store.layers() == []


@waiting
def test_T50_body_shorter_than_announced_with_200(fake, store):
    """A proxy that cuts: the length is right for what it sends."""
    reg = fake()
    im, la, ref = one(reg, big(100000))
    reg.rules.append(lambda h, p: la.digest in p and (h.reply(200, la.blob[:5000]) or True))
    store.fails("corrupt", ref, "sent 5000 of")
    assert 2 <= len(reg.seen(la.digest)) <= 8
    assert store.layers() == []


def test_endless_body(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    sent = []

    @reg.rule(la.digest)
    def endless(h, n):
        h.send_response_only(200)
        h.end_headers()
        h.close_connection = True
        try:
            while len(sent) < 10000:
                h.wfile.write(b"\0" * 65536)
                sent.append(1)
        except OSError:
            pass
    store.fails("corrupt", ref, "more than the")
    assert len(sent) < 1000


def test_T50_second_answer_differs_from_the_first(fake, store):
    """Broken in the middle, then other bytes: what was resumed is hashed as a whole."""
    reg = fake()
    im, la, ref = one(reg, big(2 << 20))
    other = os.urandom(len(la.blob))

    @reg.rule(la.digest)
    def liar(h, n):
        if n == 1:
            h.reply(200, la.blob[:1 << 20], length=len(la.blob))
            h.reset()
        else:
            reg.send_blob(h, other)
    store.fails("corrupt", ref, "expected " + la.digest)


# --- broken connections ---
@pytest.mark.smoke
@pytest.mark.parametrize("ranges", [True, False], ids=["range", "ignores-range"])
def test_resume_after_a_reset(fake, store, ranges):
    reg = fake(ranges=ranges)
    im, la, ref = one(reg, big())
    cut = [1 << 20, 3 << 18]

    @reg.rule(la.digest, times=2)
    def reset(h, n):
        start = int(h.headers.get("Range", "bytes=0-")[6:-1]) if ranges else 0
        part = la.blob[start:start + cut[n - 1] + (0 if ranges else n << 20)]
        if start:
            h.reply(206, part, {"Content-Range": f"bytes {start}-{len(la.blob) - 1}/{len(la.blob)}"}, length=len(la.blob) - start)
        else:
            h.reply(200, part, length=len(la.blob))
        h.wfile.flush()
        time.sleep(0.05)
        h.reset()
    store.pull(ref)
    asked = [s.headers.get("Range") for s in reg.seen(la.digest)]
    assert asked[0] is None and len(asked) == 3
    assert all(r and r.startswith("bytes=") and r.endswith("-") and int(r[6:-1]) > 0 for r in asked[1:])
    assert store.layers() == [la.hex]


def test_T50_206_of_another_range(fake, store):
    reg = fake()
    im, la, ref = one(reg, big())

    @reg.rule(la.digest)
    def shifted(h, n):
        if n == 1:
            h.reply(200, la.blob[:1 << 20], length=len(la.blob))
            h.wfile.flush()
            time.sleep(0.05)
            return h.reset()
        h.reply(206, la.blob[5:], {"Content-Range": f"bytes 5-{len(la.blob) - 1}/{len(la.blob)}"})
    store.fails("corrupt", ref, "another range")


def test_server_that_cannot_resume(fake, store):
    reg = fake()
    im, la, ref = one(reg, big())

    @reg.rule(la.digest)
    def fn(h, n):
        if n > 1:
            return h.reply(416)
        h.reply(200, la.blob[:1 << 20], length=len(la.blob))
        h.wfile.flush()
        time.sleep(0.05)
        h.reset()
    store.fails("unavailable", ref, "refuses to resume")


def test_connection_that_breaks_behind_the_last_byte(fake, store):
    """Everything has arrived although the announced body goes on: no byte is asked for again."""
    reg = fake()
    im, la, ref = one(reg, big(200000))

    @reg.rule(la.digest)
    def fn(h, n):
        h.send_response_only(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"%x\r\n" % len(la.blob) + la.blob + b"\r\n")  # and no last chunk
        h.wfile.flush()
        time.sleep(0.05)
        h.reset()
    store.pull(ref)
    assert len(reg.seen(la.digest)) == 1


@waiting
def test_resets_without_progress_end(fake, store):
    reg = fake()
    im, la, ref = one(reg)

    @reg.rule(la.digest)
    def fn(h, n):
        h.reset()
    t = time.monotonic()
    store.fails("unavailable", ref)
    assert 2 <= len(reg.seen(la.digest)) <= 6
    assert time.monotonic() - t < 20


@waiting
def test_retries_are_bounded_even_with_progress(fake, store):
    """A server that gives a few bytes per connection for ever."""
    reg = fake()
    im, la, ref = one(reg, big(1 << 20))

    @reg.rule(la.digest)
    def drip(h, n):
        start = int(h.headers.get("Range", "bytes=0-")[6:-1])
        h.reply(206 if start else 200, la.blob[start:start + 10], {"Content-Range": f"bytes {start}-{len(la.blob) - 1}/{len(la.blob)}"})
    store.fails(("corrupt", "unavailable"), ref, timeout=120)
    assert len(reg.seen(la.digest)) < 200


# --- statuses ---
@pytest.mark.parametrize("status,kind,word", [(403, "denied", "denied"), (404, "not-found", "not found"), (400, "invalid", "400"), (410, "not-found", "410")])
@pytest.mark.parametrize("what", ["manifests", "blobs"])
def test_status_that_is_final(fake, store, status, kind, word, what):
    reg = fake()
    im, la, ref = one(reg)
    reg.rule(f"/{what}/")(flapping(status, body=b'{"errors":[{"code":"CODE","message":"the registry\'s own words"}]}'))
    err = store.fails(kind, ref, str(status), word, "CODE", "the registry's own words")
    assert len(reg.seen(f"/{what}/")) == 1, err.message


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_flapping_status_is_retried(fake, store, status):
    reg = fake()
    im, la, ref = one(reg)
    reg.rule("/manifests/", times=2)(flapping(status))
    reg.rule(la.digest, times=2)(flapping(status))
    reg.rule(im.config, times=1)(flapping(status))
    store.pull(ref)
    assert len(reg.seen("/manifests/")) == 3 and len(reg.seen(la.digest)) == 3


@waiting
def test_retry_after_is_honoured(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    reg.rule(la.digest, times=1)(flapping(429, {"Retry-After": "2"}))
    reg.rule("/manifests/", times=1)(flapping(503, {"Retry-After": "1"}))
    t = time.monotonic()
    store.pull(ref)
    assert 3 <= time.monotonic() - t < 8


@waiting
def test_too_many_requests_for_ever(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    reg.rule("/manifests/")(flapping(429, body=b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'))
    store.fails("unavailable", ref, "429", "slow down")
    assert len(reg.seen("/manifests/")) == 5


BUSY = flapping(503, body=b'{"errors":[{"code":"UNAVAILABLE","message":"busy"}]}')


@pytest.mark.parametrize("verb,flag", [("pull", "--retry"), ("push", "--retry"), ("copy", "--retry-times"), ("inspect", "--retry-times"), ("sync", "--retry-times")])
@pytest.mark.parametrize("n", [0, 2, 7])
def test_how_often_it_is_tried_again(fake, store, verb, flag, n):
    """podman's --retry and --retry-delay, skopeo's --retry-times, for the requests that fail: a busy registry sees 1 + n of each."""
    reg = fake()
    im, la, ref = one(reg)
    ok(store, "pull", ref)
    sick = fake()
    name = sick.add("a", "1", im) if verb != "push" else sick.host + "/a:1"
    part = "/blobs/" if verb == "push" else "/manifests/"
    sick.rule(part)(BUSY)
    args = {"pull": [name], "push": [ref, name], "copy": ["docker://" + name, "skiff:x:1"], "inspect": ["--remote", name],
            "sync": ["--src", "docker", "--dest", "dir", name, str(store.path.parent / "d")]}[verb]
    words = [verb] if verb in ("pull", "push") else ["image", verb]
    rc, _, err = run(store, *words, flag, str(n), "--retry-delay", "10ms", *args)
    assert rc == 1 and "503" in err, err
    asked = sick.seen(part)
    assert len([s for s in asked if (s.method, s.path) == (asked[0].method, asked[0].path)]) == 1 + n


def test_a_layer_is_tried_as_often(fake, store):
    reg = fake()
    im, la, ref = one(reg)
    reg.rule(la.digest, times=3)(BUSY)
    rc, _, err = run(store, "pull", "--retry", "2", "--retry-delay=10ms", ref)
    assert rc == 1 and "503" in err and len(reg.seen(la.digest)) == 3
    ok(store, "pull", "--retry", "0", ref)


def test_retries_that_are_none(fake, store):
    for flags, words in ((["--retry-delay", "soon"], 'invalid argument "soon" for "--retry-delay"'), (["--retry", "5000"], "at most 1000 retries"),
                         (["--retry", "x"], 'invalid argument "x" for'), (["--retry-delay", "3h"], "at most an hour")):
        rc, _, err = run(store, "pull", *flags, "127.0.0.1:1/a:1")
        assert rc and words in err, err


def test_registry_that_is_not_there(store, fake):
    reg = fake()
    ref = reg.host + "/a:1"
    reg.close()
    t = time.monotonic()
    store.fails("unavailable", ref, "cannot be reached")
    assert time.monotonic() - t < 3


@waiting
def test_unknown_host(fake, store):
    store.fails("unavailable", "no-such-host.invalid/a:1", "no-such-host.invalid")


def test_html_instead_of_json(fake, store):
    reg = fake()
    reg.rule("/v2/x")(lambda h, n: h.reply(200, b"<html>please log in</html>", {"Content-Type": "text/html"}))
    store.fails(("invalid", "corrupt", "unsupported"), reg.host + "/x:1")


def test_headers_without_an_end(fake, store):
    reg = fake()
    im, la, ref = one(reg)

    @reg.rule("/manifests/")
    def fn(h, n):
        h.close_connection = True
        h.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for i in range(3000):
            h.wfile.write(b"X-Header-%d: %s\r\n" % (i, b"x" * 60))
    store.fails("limit", ref, "headers")


def test_cancel_while_a_server_is_silent(fake, store):
    """The peer closes: the worker ends at once, also from within a request and a back-off."""
    reg = fake()
    im, la, ref = one(reg)
    gate = threading.Event()
    for part in ("/manifests/", im.config, la.digest):  # in the order of a pull: what has come stays in the store
        reg.rules.clear()
        gate.clear()
        reg.rule(part)(lambda h, n: gate.wait(20))
        w = worker.Worker()
        w.pull(store.path, ref)
        end = time.monotonic() + 10
        while not reg.seen(part) and time.monotonic() < end:
            time.sleep(0.01)
        assert reg.seen(part)
        t = time.monotonic()
        w.close()
        assert time.monotonic() - t < 2
        gate.set()
        reg.log.clear()
    store.no_leftovers()
    reg.rules.clear()
    store.pull(ref)


# --- documents that may not pass ---
def test_T46_manifest_larger_than_the_limit(fake, store):
    reg = fake()
    im, la, ref = one(reg, edit=lambda m: {**m, "annotations": {"x": "y" * (5 << 20)}})
    store.fails("limit", ref, "larger than")


def test_T46_config_larger_than_the_limit(fake, store):
    reg = fake()
    im, la, ref = one(reg, edit_config=lambda c: {**c, "author": "y" * (9 << 20)})
    store.fails("limit", ref, "at most")


def test_T46_more_layers_than_the_limit(fake, store):
    reg = fake()
    la = ig.layer([file("f")])
    store.fails("limit", reg.add("n", "1", ig.image([la] * 501)))


def ambiguous():
    la = ig.layer([file("f", "x")])
    good = ig.image([la])
    man = json.loads(good.docs[good.top][0])
    row = {"mediaType": ig.MEDIA["oci", "manifest"], "digest": good.top, "size": len(good.docs[good.top][0]),
           "platform": {"os": "linux", "architecture": "amd64"}}
    oci, ix = ig.MEDIA["oci", "manifest"], ig.MEDIA["oci", "index"]
    both = {**man, "manifests": [row]}
    untyped = {k: v for k, v in both.items() if k != "mediaType"}
    raw = ig.js(man)
    cases = {
        "both-as-manifest": (ig.js(both), oci), "both-as-index": (ig.js({**both, "mediaType": ix}), ix),
        "both-untyped-as-index": (ig.js(untyped), ix), "both-untyped": (ig.js(untyped), "application/json"),
        "manifest-served-as-index": (raw, ix), "field-says-index": (ig.js({**man, "mediaType": ix}), oci),
        "twice-layers": (raw.replace(b'"layers":', b'"layers":[],"layers":', 1), oci),
        "twice-config": (raw.replace(b'"config":', b'"config":{},"config":', 1), oci),
        "case": (raw.replace(b'"layers":', b'"Layers":[],"layers":', 1), oci),
        "trailing": (raw + b'{"manifests":[]}', oci), "array": (b"[" + raw + b"]", oci), "nul": (raw + b"\0", oci),
        "schema1": (ig.js({"schemaVersion": 1, "name": "x", "fsLayers": [], "history": []}),
                    "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        "text": (raw, "text/plain; charset=utf-8"), "long-type": (raw, oci + " " * 10 + ";" + "x" * 300 + "index"),
    }
    return la, good, cases


@pytest.mark.parametrize("name", [n for n in ambiguous()[2] if n not in ("text", "long-type", "case")])
def test_T48_ambiguous_manifest(fake, store, name):
    """T48."""
    la, good, cases = ambiguous()
    reg = fake()
    reg.add("a", "1", good)
    reg.docs["a", "1"] = cases[name]
    store.fails(("invalid", "corrupt", "unsupported"), reg.host + "/a:1")
    assert store.layers() == [] and reg.seen("/blobs/") == []


BAD_DIGESTS = ["sha256:../../../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65, "", "md5:" + "a" * 32,
               "sha256:" + "%2e" * 21 + "a", "foo:" + "a" * 64, "sha256:" + "a" * 63 + "\n", "sha256", "../" + "a" * 64, "sha512:" + "a" * 64,
               "sha256:" + "a" * 32 + "/" + "a" * 31, 5, None]


@pytest.mark.parametrize("bad", BAD_DIGESTS, ids=[str(i) for i in range(len(BAD_DIGESTS))])
@pytest.mark.parametrize("where", ["layer", "config", "index", "diffid"])
def test_T49_digest_strings(fake, store, bad, where):
    """T49: refused before any request or file that the string would name."""
    reg = fake()
    la = ig.layer([file("f", "x")])

    def manifest(m):
        if where in ("layer", "config"):
            (m["layers"][0] if where == "layer" else m["config"])["digest"] = bad

    def config(c):
        if where == "diffid":
            c["rootfs"]["diff_ids"] = [bad]
    im = ig.image([la], edit=manifest, edit_config=config)
    if where == "index":
        im = ig.index({"linux/amd64": im}, edit=lambda d: d["manifests"][0].update(digest=bad))
    ref = reg.add("d", "1", im)
    store.fails(("invalid", "corrupt"), ref)
    asked = [s.path for s in reg.log if s.path != "/v2/"]
    assert asked[0] == "/v2/d/manifests/1"
    assert len(asked) == (2 if where == "diffid" else 1), asked
    assert store.layers() == []


@pytest.mark.parametrize("ref", ["{}/a@sha256:../../etc/passwd", "{}/a@sha256:" + "A" * 64, "{}/a@md5:" + "a" * 32, "{}/../a:1", "{}/a:../x",
                                 "{}/A:1", "{}/a b:1", "{}/_x:1", "{}/a:" + "t" * 129, "{}/" + "r/" * 200 + ":1", "../x/a:1", "{}/a?x:1", "{}/a#x:1"])
def test_reference_strings(fake, store, ref):
    reg = fake()
    store.fails(("invalid", "limit"), ref.format(reg.host))
    assert reg.log == []


def test_manifest_and_config_disagree(fake, store):
    reg = fake()
    im, la, ref = one(reg, edit_config=lambda c: c["rootfs"]["diff_ids"].append("sha256:" + "1" * 64))
    store.fails("corrupt", ref, "layers")


def test_one_blob_as_two_different_layers(fake, store):
    """The config claims two diff-ids for one digest: no dead lock, no layer."""
    reg = fake()
    la = ig.layer([file("f", "x")])
    im = ig.image([la, la], edit_config=lambda c: c["rootfs"].update(diff_ids=[la.diff_id, "sha256:" + "2" * 64]))
    store.fails("corrupt", reg.add("t", "1", im), "twice", timeout=20)


def test_media_type_against_bytes(fake, store):
    """Announced as gzip and sent as plain tar, and the other way."""
    reg = fake()
    for how, claimed in (("plain", "gzip"), ("gzip", "plain"), ("zstd", "gzip"), ("gzip", "zstd")):
        la = ig.layer([file("f", how + claimed)], how)
        im = ig.image([la], edit=lambda m: m["layers"][0].update(mediaType=ig.MEDIA["oci", claimed]))
        store.fails("corrupt", reg.add("m", "1", im))
    assert store.layers() == []


def test_artifacts_are_no_images(fake, store):
    reg = fake()
    im, la, ref = one(reg, edit=lambda m: m["config"].update(mediaType="application/vnd.cncf.helm.config.v1+json"))
    store.fails("unsupported", ref, "helm")
    im, la, ref = one(reg, edit=lambda m: m["layers"][0].update(mediaType="application/vnd.wasm.content.layer.v1+wasm"))
    store.fails("unsupported", ref, "wasm")
    nested = ig.index({"linux/amd64": ig.index({"linux/amd64": im})})
    store.fails(("unsupported", "invalid", "corrupt"), reg.add("nested", "1", nested))


def test_empty_layer_blob(fake, store):
    reg = fake()
    im, la, ref = one(reg, ig.Layer(b"", "plain"))
    store.fails(("corrupt", "invalid"), ref)


def test_empty_archive_is_a_layer(fake, store):
    reg = fake()
    im, la, ref = one(reg, ig.layer([]))
    store.pull(ref)
    assert os.listdir(store.tree(la.hex)) == []


# --- last: it takes longest ---
@pytest.mark.slow
@waiting
def test_server_that_stalls_in_the_middle(fake, store):
    """No byte for SKF_HTTP_STALL_MS: the transfer is broken off and goes on elsewhere."""
    reg = fake()
    im, la, ref = one(reg, big())
    gate = threading.Event()

    @reg.rule(la.digest, times=1)
    def stall(h, n):
        h.reply(200, la.blob[:1 << 20], length=len(la.blob))
        h.wfile.flush()
        gate.wait(60)
        h.close_connection = True
    t = time.monotonic()
    store.pull(ref, timeout=90)
    gate.set()
    assert 25 < time.monotonic() - t < 50
    assert [s.headers.get("Range") for s in reg.seen(la.digest)][1].startswith("bytes=")
