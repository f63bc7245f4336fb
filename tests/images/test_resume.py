"""A pull that is interrupted goes on where it stopped: in another process, at another mirror, and never with bytes that are wrong; mirrors themselves."""
import os
import random
import re
import time

import imagegen as ig
import pytest
import worker
from conftest import USER
from imagegen import file
from test_auth import protect
from test_crash import collect
from test_login import BASIC


def image(*sizes):
    return ig.image([ig.layer([file(f"f{i}", os.urandom(n))], "plain") for i, n in enumerate(sizes)])


def total(im):
    return sum(len(la.blob) for la in im.layers)


def kill_after(store, ref, seconds, env=None, **kw):
    """True when the pull was done before."""
    w = worker.Worker(env, str(store.path) + ".log")
    try:
        w.pull(store.path, ref, **kw)
        try:
            w.finish(seconds)
            return True
        except TimeoutError:
            return False
    finally:
        w.kill()


def data_of(store, la):
    return store.path / "ingest" / la.digest[7:] / "data"


def interrupted(store, reg, ref, im, at=0.5):
    """Leaves a part of the first layer."""
    reg.rate = 4 << 20
    la = im.layers[0]
    w = worker.Worker(None, str(store.path) + ".log")
    w.pull(store.path, ref)
    end = time.monotonic() + 30
    while not data_of(store, la).exists() or data_of(store, la).stat().st_size < len(la.blob) * at:
        assert time.monotonic() < end
        time.sleep(0.01)
    w.kill()
    reg.rate, reg.sent = 0, 0
    reg.log.clear()
    return data_of(store, la).stat().st_size


@pytest.mark.slow
def test_killed_50_times(fake, store):
    reg = fake()
    im = image(20 << 20, 12 << 20, 8 << 20, 100_000)
    ref = reg.add("a/b", "1", im)
    reg.rate = 3 << 20
    rnd = random.Random(1)
    kills = 0
    for kills in range(50):
        if kill_after(store, ref, rnd.uniform(0.02, 0.2)):
            break
    assert kills >= 20
    reg.rate = 0
    store.pull(ref)
    assert reg.sent < 1.1 * total(im), (reg.sent, total(im))
    collect(store)
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert worker.verify(store.path).bad == []


def test_one_kill(fake, store):
    reg, im = fake(), image(6 << 20)
    ref = reg.add("a/b", "1", im)
    have = interrupted(store, reg, ref, im)
    store.pull(ref)
    ranges = [s.headers.get("Range") for s in reg.seen(im.layers[0].digest)]
    assert ranges == [f"bytes={have}-"] and store.names("ingest") == []
    collect(store)
    assert store.layers() == [im.layers[0].hex]


def test_interrupted_by_the_user(fake, store):
    """The socket closes: what has come is kept for the next pull, and collection takes it when there is none."""
    reg, im = fake(), image(6 << 20)
    ref = reg.add("a/b", "1", im)
    reg.rate = 4 << 20
    for again in range(2):
        w = worker.Worker(None, str(store.path) + ".log")
        w.pull(store.path, ref)
        while not data_of(store, im.layers[0]).exists() or data_of(store, im.layers[0]).stat().st_size < 1 << 20:
            time.sleep(0.01)
        w.close()
        assert data_of(store, im.layers[0]).stat().st_size >= 1 << 20
        if not again:
            collect(store)
            assert store.names("ingest") == []
    reg.rate = 0
    store.pull(ref)


def test_all_bytes_are_there(fake, store):
    reg, im = fake(), image(1 << 20)
    ref = reg.add("a/b", "1", im)
    interrupted(store, reg, ref, im, 0.1)
    data_of(store, im.layers[0]).write_bytes(im.layers[0].blob)
    store.pull(ref)
    assert [s.headers.get("Range") for s in reg.seen(im.layers[0].digest)] == [f"bytes={len(im.layers[0].blob) - 1}-"]


@pytest.mark.parametrize("how", ["flipped", "zeros", "longer", "directory"])
def test_bytes_that_are_wrong(fake, store, how):
    """A power cut or a bad disk: the digest finds it, and the layer is fetched again."""
    reg, im = fake(), image(2 << 20, 1 << 20)
    ref = reg.add("a/b", "1", im)
    have = interrupted(store, reg, ref, im)
    path, blob = data_of(store, im.layers[0]), im.layers[0].blob
    if how == "directory":
        path.unlink()
        path.mkdir()
        with pytest.raises(worker.PullFailed):
            store.pull(ref)
        store.pull(ref)
    else:
        path.write_bytes({"flipped": b"x" + blob[1:have], "zeros": bytes(have), "longer": blob + b"more"}[how])
        store.pull(ref)
    collect(store)
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert worker.verify(store.path).bad == []


def test_server_without_ranges(fake, store):
    reg, im = fake(), image(2 << 20)
    ref = reg.add("a/b", "1", im)
    interrupted(store, reg, ref, im)
    reg.ranges = False
    store.pull(ref)
    assert reg.seen(im.layers[0].digest)[0].headers["Range"]
    collect(store)
    assert store.layers() == [im.layers[0].hex]


def test_server_that_refuses_ranges(fake, store):
    reg, im = fake(), image(2 << 20)
    ref = reg.add("a/b", "1", im)
    interrupted(store, reg, ref, im)
    reg.rule("/blobs/")(lambda h, n: "Range" in h.headers and h.reply(416) is None)
    store.pull(ref)
    collect(store)
    assert store.layers() == [im.layers[0].hex]


# --- mirrors ---
@pytest.fixture
def conf(tmp_path):
    d = tmp_path / "registries.d"
    d.mkdir()

    def make(host, text):
        (d / f"{host}.conf").write_text(text)
        return {"SKIFF_REGISTRIES_D": str(d)}
    return make


def test_resume_at_a_mirror(fake, store, conf):
    reg, mirror, im = fake(), fake(), image(4 << 20)
    ref = reg.add("a/b", "1", im)
    mirror.add("cache/a/b", "1", im)
    have = interrupted(store, reg, ref, im)
    store.pull(ref, env=conf(reg.host, f"mirror {mirror.base}/cache pull\n"))
    assert reg.seen("/blobs/") == [] and mirror.sent <= total(im) - have + 2000


def test_mirrors_in_order(fake, store, conf):
    reg, dead, first, second, im = fake(), fake(), fake(), fake(), image(400_000)
    ref = reg.add("a/b", "1", im)
    second.add("a/b", "1", im)
    dead.close()
    store.pull(ref, env=conf(reg.host, f"# comment\nmirror {dead.base}\n\nmirror {first.base}/  # empty\nmirror {second.base} resolve pull\n"))
    assert reg.log == [] and first.seen("/manifests/") and second.seen("/blobs/")


def test_capabilities(fake, store, conf):
    reg, mirror, im = fake(), fake(), image(1000)
    ref = reg.add("a/b", "1", im)
    mirror.add("a/b", "1", image(2000))
    mirror.blobs.update(im.blobs)
    env = conf(reg.host, f"mirror {mirror.base} pull\n")
    assert store.pull(ref, env=env).top == im.top
    assert mirror.seen("/manifests/") == [] and reg.seen("/blobs/") == []


def test_blob_breaks_off_at_the_mirror(fake, store, conf):
    reg, mirror, im = fake(), fake(), image(2_000_000)
    ref = reg.add("a/b", "1", im)
    mirror.add("a/b", "1", im)

    @mirror.rule(im.layers[0].digest)
    def cut(h, n):
        if n > 1:
            return h.reply(404) is None
        h.reply(200, im.layers[0].blob[:1_000_000], length=len(im.layers[0].blob))
        h.close_connection = True
    store.pull(ref, env=conf(reg.host, f"mirror {mirror.base}\n"))
    rest = [s.headers.get("Range") for s in reg.seen("/blobs/")]  # a reset loses what was on its way
    assert len(rest) == 1 and 0 < int(re.fullmatch(r"bytes=(\d+)-", rest[0])[1]) <= 1_000_000


def test_ns_tells_a_mirror_which_registry(fake, store, conf):
    reg, mirror, im = fake(), fake(), image(300_000)
    ref = reg.add("a/b", "1", im)
    mirror.add("a/b", "1", im)
    assert store.pull(ref, env=conf(reg.host, f"mirror {mirror.base} ns\n")).top == im.top
    asked = [x.path for x in mirror.log if "/a/b/" in x.path]
    assert asked and all(p.endswith(f"?ns={reg.host}") for p in asked) and reg.log == []


def test_without_fallback(fake, store, conf):
    reg, mirror, im = fake(), fake(), image(1000)
    ref = reg.add("a/b", "1", im)
    store.fails("not-found", ref, mirror.host, env=conf(reg.host, f"no-fallback\nmirror {mirror.base}\n"))
    assert reg.log == []


def test_blocked(fake, store, conf):
    reg = fake()
    store.fails("denied", reg.add("a", "1", image(10)), "blocked", env=conf(reg.host, "blocked\n"))
    assert reg.log == []


@pytest.mark.parametrize("text", ["mirror", "mirror x", "mirror ftp://x", "mirror http://u:p@x", "mirror http://x/../y", "mirror http://x fast", "nonsense",
                                  "insecure yes", "mirror http://x?y"])
def test_words_that_are_wrong(fake, store, conf, text):
    reg = fake()
    e = store.fails("invalid", reg.add("a", "1", image(10)), "line 2", env=conf(reg.host, f"# one\n{text}\n"))
    assert reg.host + ".conf" in e.message and reg.log == []


def test_credentials_stay_with_their_host(fake, store, conf, docker_config):
    """T51: a mirror that asks for a password does not get the registry's."""
    reg, mirror, im = fake(), fake(), image(1000)
    ref = reg.add("a/b", "1", im)
    mirror.add("a/b", "1", im)
    protect(reg, 'Basic realm="x"', BASIC)
    protect(mirror, 'Basic realm="x"', "Basic never")
    store.pull(ref, docker_config=docker_config(reg.host, USER), env=conf(reg.host, f"mirror {mirror.base}\n"))
    assert mirror.log and not [s for s in mirror.log if "Authorization" in s.headers]


def test_insecure_is_per_mirror(fake, store, conf, ca, tmp_path):
    """T53: the registry's own insecurity, and the command line's, are not its mirror's."""
    reg, im = fake(), image(1000)
    mirror = fake(tls=ca.issue("mirror"))
    ref = reg.add("a/b", "1", im)
    mirror.add("a/b", "1", im)
    env = conf(reg.host, f"insecure\nplain-http\nmirror {mirror.base}\n")
    store.pull(ref, env=env, flags=worker.INSECURE_TLS | worker.PLAIN_HTTP)
    assert mirror.log == [] and reg.seen("/blobs/")
    ref = reg.add("a/b", "2", im2 := image(1001))
    mirror.add("a/b", "2", im2)
    reg.log.clear()
    store.pull(ref, env=env, certs_dir=ca.trust(tmp_path / "certs", mirror.host))
    assert reg.log == []
    ref = reg.add("a/b", "3", im3 := image(1002))
    mirror.add("a/b", "3", im3)
    store.pull(ref, env=conf(reg.host, f"mirror {mirror.base} insecure\n"))
    assert reg.log == []


def test_proxy_of_the_environment(fake, store):
    proxy, im = fake(), image(1000)
    proxy.add("a/b", "1", im)
    plain = proxy.serve

    def serve(h, path):
        plain(h, re.sub(r"^http://[^/]+", "", path))
    proxy.serve = serve
    host = "registry.example:5000"
    store.pull(f"{host}/a/b:1", env={"http_proxy": proxy.base, "https_proxy": "http://127.0.0.1:1"}, flags=worker.PLAIN_HTTP)
    assert all(s.path.startswith(f"http://{host}/v2/") for s in proxy.log)
    with pytest.raises(worker.PullFailed):
        store.pull(f"{host}/a/b:1", env={"http_proxy": proxy.base, "no_proxy": "registry.example"}, flags=worker.PLAIN_HTTP)

