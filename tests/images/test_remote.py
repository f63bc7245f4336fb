"""What a registry is asked without pulling: tags, inspect, raw, config, referrers, delete; and what it says in Warning headers."""
import hashlib
import json
import os

import imagegen as ig
import pytest
from imagegen import file
from test_crash import run


def image(n=1, **kw):
    return ig.image([ig.layer([file(f"f{i}", os.urandom(200))]) for i in range(n)], **kw)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def ok(store, *args):
    rc, out, err = run(store, *args)
    assert rc == 0, err
    return out


@pytest.mark.smoke
def test_tags_of_docker_registry(registry, store):
    for tag in ("b", "a", "c"):
        registry.push("remote/tags", tag, image())
    doc = json.loads(ok(store, "image", "tags", registry.host + "/remote/tags"))
    assert doc["Repository"] == registry.host + "/remote/tags" and sorted(doc["Tags"]) == ["a", "b", "c"]


def test_pages_of_tags(fake, store):
    reg = fake(page=7)
    im = image()
    for i in range(40):
        reg.add("a/b", f"t{i:03}", im)
    doc = json.loads(ok(store, "image", "tags", reg.host + "/a/b"))
    assert doc["Tags"] == [f"t{i:03}" for i in range(40)]
    assert len(reg.seen("tags/list")) == 6


@pytest.mark.parametrize("link,word", [("<http://127.0.0.2:1/x>; rel=next", "another host"), ("<file:///etc/passwd>; rel=\"next\"", "redirects"),
                                       ("<//127.0.0.2/x>; rel=next", "another host")])
def test_next_page_elsewhere(fake, store, link, word):
    reg = fake()
    reg.rule("/tags/list")(lambda h, n: h.reply(200, b'{"tags":["x"]}', {"Link": link}))
    rc, out, err = run(store, "image", "tags", reg.host + "/a/b")
    assert rc == 1 and word in err and out == ""


@pytest.mark.parametrize("link", ["<", "<>", "nonsense", "<x>; rel=\"", "", "<x>; rel=prev", "x" * 3000])
def test_links_that_lead_nowhere(fake, store, link):
    reg = fake()
    reg.rule("/tags/list")(lambda h, n: h.reply(200, b'{"tags":["x"]}', {"Link": link}))
    assert json.loads(ok(store, "image", "tags", reg.host + "/a/b"))["Tags"] == ["x"]


def test_pages_without_an_end(fake, store):
    reg = fake()
    reg.rule("/tags/list")(lambda h, n: h.reply(200, b'{"tags":["x"]}', {"Link": f"</v2/a/b/tags/list?last={n}>; rel=next"}))
    rc, out, err = run(store, "image", "tags", reg.host + "/a/b")
    assert rc == 1 and "pages" in err


def test_inspect(registry, store):
    one, two = image(2), image(arch="arm64")
    top = ig.index({"linux/amd64": one, "linux/arm64": two})
    ref = registry.push("remote/i", "1", top)
    doc = json.loads(ok(store, "image", "inspect", "--remote", ref))
    assert doc["Digest"] == top.top and doc["Layers"] == [la.digest for la in one.layers] and doc["Architecture"] == "amd64"
    assert doc["RepoTags"] == ["1"] and doc["Env"] == ["PATH=/bin"] and doc["LayersData"][0]["Size"] == len(one.layers[0].blob)
    assert json.loads(ok(store, "image", "inspect", "--remote", "--platform", "linux/arm64", ref))["Architecture"] == "arm64"
    raw = ok(store, "image", "inspect", "--raw", ref)
    assert "sha256:" + hashlib.sha256(raw.encode()).hexdigest() == top.top
    assert ok(store, "image", "inspect", "--config", ref).encode() == one.blobs[one.config]
    assert store.references() == [] and store.layers() == []


def test_delete(registry, store):
    im = image()
    ref = registry.push("remote/d", "1", im)
    assert run(store, "image", "delete", ref)[0] == 1
    assert ok(store, "image", "delete", "--remote", ref) == f"Deleted: {im.manifest}\n"
    rc, out, err = run(store, "image", "inspect", "--raw", ref)
    assert rc == 1 and "404" in err
    rc, out, err = run(store, "image", "delete", "--remote", ref)
    assert rc == 1 and "is not in registry" in err
    assert "Deleted: " + im.layers[0].digest in ok(store, "image", "delete", "--remote", "--blob", f"{registry.host}/remote/d@{im.layers[0].digest}")


def test_delete_tag(fake, store):
    reg, im = fake(), image()
    ref = reg.add("a", "1", im)
    assert "Untagged" in ok(store, "image", "delete", "--remote", "--tag", ref)
    assert ("a", "1") not in reg.docs and ("a", im.manifest) in reg.docs
    reg.rule("/manifests/")(lambda h, n: h.reply(405))
    rc, out, err = run(store, "image", "delete", "--remote", "--tag", ref)
    assert rc == 1 and "does not delete" in err


@pytest.mark.parametrize("api", [True, False])
def test_referrers(fake, store, api):
    reg, im = fake(referrers=api), image()
    ref = reg.add("a", "1", im)
    sub = {"mediaType": ig.MEDIA["oci", "manifest"], "digest": im.manifest, "size": len(im.docs[im.manifest][0])}
    rows = []
    for kind in ("application/x.sig", "application/x.sbom"):
        one = image(edit=lambda m, kind=kind: {**m, "artifactType": kind, "subject": sub})
        src = reg.add("src" + kind[-3:], "1", one)
        assert run(store, "pull", src)[0] == 0
        assert run(store, "push", src, reg.host + "/a:" + kind[-3:])[0] == 0
        rows.append((one.manifest, kind))
    doc = json.loads(ok(store, "image", "referrers", ref))
    assert doc["mediaType"] == ig.MEDIA["oci", "index"]
    assert sorted((m["digest"], m["artifactType"]) for m in doc["manifests"]) == sorted(rows)
    doc = json.loads(ok(store, "image", "referrers", "--artifact-type", "application/x.sbom", f"{reg.host}/a@{im.manifest}"))
    assert [m["digest"] for m in doc["manifests"]] == [rows[1][0]]
    lone = reg.add("b", "1", image())
    assert json.loads(ok(store, "image", "referrers", lone))["manifests"] == []


def test_warnings_are_shown_once(fake, store):
    reg, im = fake(), image(4)
    ref = reg.add("a", "1", im)
    plain = reg.serve

    def serve(h, path):
        send = h.send_response_only

        def first(status):
            send(status)
            h.send_header("Warning", '299 - "this registry \\"moves\\"\x1b[31m on Monday"')
            h.send_header("Warning", '199 - "not for users"')
        h.send_response_only = first
        plain(h, path)
    reg.serve = serve
    rc, out, err = run(store, "pull", ref)
    assert rc == 0 and err.count("on Monday") == 1 and 'this registry "moves"?[31m' in err and "not for users" not in err


def test_inspect_without_tags(fake, store):
    """skopeo inspect --no-tags: the list is empty, and the registry is not asked for it."""
    reg, im = fake(), ig.image([ig.layer([file("f", "x")])])
    ref = reg.add("a/b", "1", im)
    doc = json.loads(ok(store, "image", "inspect", "--remote", "-n", ref))
    assert doc["Digest"] == im.manifest and not doc["RepoTags"] and not reg.seen("/tags/list")
    assert json.loads(ok(store, "image", "inspect", "--remote", ref))["RepoTags"] == ["1"] and reg.seen("/tags/list")
