"""`skiff pull` as a user sees it: what it prints, and one clear sentence with a status that is not 0 for whatever goes wrong."""
import json
import os
import re

import imagegen as ig
import pytest
from conftest import USER
from imagegen import file
from test_crash import run


def one(**kw):
    return ig.image([ig.layer([file("f", os.urandom(100))])], **kw)


@pytest.mark.smoke
def test_pull(registry, store):
    im = one()
    ref = registry.push("cli/a", "latest", im)
    name = ref.rsplit(":", 1)[0]
    rc, out, err = run(store, "pull", name)
    assert rc == 0, err
    assert err == "" and "Using default tag: latest" in out and f"Digest: {im.top}" in out
    assert f"Status: Downloaded newer image for {ref}" in out and out.endswith(ref + "\n")
    rc, out, err = run(store, "pull", ref)
    assert rc == 0 and f"Status: Image is up to date for {ref}" in out
    assert run(store, "pull", "-q", ref) == (0, ref + "\n", "")
    rc, out, err = run(store, "images", "--no-trunc", "-q")
    assert rc == 0 and out.strip() == im.config


def sentence(rc, out, err, *words):
    assert rc != 0
    lines = [li for li in err.splitlines() if li.strip()]
    assert len(lines) == 1, err
    assert re.match(r"^(skiff|Error)[^:]*: \S", lines[0]) and len(lines[0]) < 900
    for w in words:
        assert w in lines[0], lines[0]


CASES = {
    "404": (lambda r, ref, im: r.rule("/manifests/")(lambda h, n: h.reply(404)), ["404", "not found", "check the name"]),
    "401": (lambda r, ref, im: r.rule("/manifests/")(lambda h, n: h.reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})),
            ["authentication required"]),
    "403": (lambda r, ref, im: r.rule("/manifests/")(lambda h, n: h.reply(403)), ["403", "denied"]),
    "500": (lambda r, ref, im: r.rule("/manifests/")(lambda h, n: h.reply(500)), ["500", "try again later"]),
    "wrong-bytes": (lambda r, ref, im: r.blobs.update({im.layers[0].digest: im.layers[0].blob[:-1] + b"x"}), ["sha256:"]),
    "html": (lambda r, ref, im: r.rule("/manifests/")(lambda h, n: h.reply(200, b"<html>\n<body>log in</body>", {"Content-Type": "text/html"})), []),
    "digest": (lambda r, ref, im: r.docs.update({("a/b", "1"): (r.docs["a/b", "1"][0].replace(im.config.encode(), b"sha256:../../x"),
                                                                r.docs["a/b", "1"][1])}), ["digest"]),
    "entry-name": (lambda r, ref, im: r.add("a/b", "1", ig.image([ig.layer([file("../\x1b]0;x\x07\nsecond\u009bline", "y")])])), ["climbs out"]),
    "climb": (lambda r, ref, im: r.add("a/b", "1", ig.image([ig.layer([file("../../../x", "y")])])), ["../../../x", "climbs out"]),
    "control-bytes": (lambda r, ref, im: r.rule("/manifests/")(lambda h, n: h.reply(
        404, json.dumps({"errors": [{"code": "A\x1b[31m", "message": "line\none\r\x07two"}]}).encode())), ["404"]),
}


@pytest.mark.parametrize("name", CASES)
def test_sentences(fake, store, name):
    reg = fake()
    im = one()
    ref = reg.add("a/b", "1", im)
    CASES[name][0](reg, ref, im)
    rc, out, err = run(store, "pull", ref)
    sentence(rc, out, err, *CASES[name][1])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", err), repr(err)
    assert store.layers() == [] and store.references() == []
    store.no_leftovers()


def test_nobody_listens(fake, store):
    reg = fake()
    reg.close()
    sentence(*run(store, "pull", reg.host + "/a:1"), reg.host, "cannot be reached")


@pytest.mark.parametrize("ref", ["UPPER/case", "a b", "", "x:y:z", "host/../../etc:1", "a@sha256:123"])
def test_reference_that_is_none(store, ref):
    sentence(*run(store, "pull", ref))


def test_platform_that_is_missing(fake, store):
    reg = fake()
    ref = reg.add("a/b", "1", ig.index({"linux/amd64": one(), "linux/arm64": one(arch="arm64")}))
    sentence(*run(store, "pull", "--platform", "linux/s390x", ref), "linux/s390x", "linux/amd64", "linux/arm64")
    sentence(*run(store, "pull", "--platform", "nonsense", ref))


def test_tls_and_credentials(fake, store, ca, tmp_path, docker_config, monkeypatch):
    import base64
    reg = fake(tls=ca.issue("cli"))
    ref = reg.add("a/b", "1", one())
    auth = "Basic " + base64.b64encode(":".join(USER).encode()).decode()

    @reg.rule("/manifests/")
    def guard(h, n):
        if h.headers.get("Authorization") == auth:
            return False
        h.reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    sentence(*run(store, "pull", ref), "certificate is not trusted", "certs.d")
    certs = ca.trust(tmp_path / "certs", reg.host)
    sentence(*run(store, "pull", "--cert-dir", str(certs), ref), "authentication required")
    os.mkdir(tmp_path / ".docker")
    docker_config(reg.host).rename(tmp_path / ".docker/config.json")
    rc, out, err = run(store, "pull", "--cert-dir", str(certs), ref)
    assert rc == 0, err
    assert run(store, "pull", "--tls-verify=false", ref)[0] == 0
