"""`skiff artifact`: files of any media type made, pushed, pulled, attached to an image, and written out again."""
import json
import os

import fakereg  # noqa: F401
import imagegen as ig
from test_archives import needs_skopeo, ok, skopeo
from test_copy import OCI, home, sample  # noqa: F401
from test_crash import run


def fails(store, *args, word):
    rc, out, err = run(store, "artifact", *args)
    assert rc == 1 and word in err, (rc, out, err)


def blobs(store):
    return sorted(os.listdir(store.path / "artifacts/blobs/sha256"))


def leftovers(store):
    assert [n for n in os.listdir(store.path / "artifacts") if n.startswith(".")] == []
    assert [n for n in os.listdir(store.path / "locks") if n.startswith("artifact-")] == []


def test_files_go_out_and_come_back(fake, store, tmp_path):
    reg = fake()
    (tmp_path / "bom.json").write_text('{"bom":1}')
    (tmp_path / "data:with.colon").write_bytes(os.urandom(300000))
    name = f"{reg.host}/things/one:1"
    d = ok(store, "artifact", "push", "--artifact-type", "application/x-test", "-a", "k=v", name, f"{tmp_path}/bom.json:application/spdx+json",
           f"{tmp_path}/data:with.colon").strip()
    m = json.loads(reg.docs["things/one", "1"][0])
    assert ig.digest(reg.docs["things/one", "1"][0]) == d
    assert m["artifactType"] == "application/x-test" and m["annotations"]["k"] == "v"
    assert m["config"] == {"mediaType": "application/vnd.oci.empty.v1+json", "digest": ig.digest(b"{}"), "size": 2, "data": "e30="}
    assert [(x["mediaType"], x["annotations"]["org.opencontainers.image.title"]) for x in m["layers"]] == [
        ("application/spdx+json", "bom.json"), ("application/octet-stream", "data:with.colon")]
    assert f"{reg.host}/things/one" in ok(store, "artifact", "ls") and d[7:19] in ok(store, "artifact", "ls")
    doc = json.loads(ok(store, "artifact", "inspect", name))
    assert (doc["Manifest"], doc["Name"], doc["Digest"]) == (m, name, d)
    assert ok(store, "artifact", "rm", d[:19]).strip() == d
    assert blobs(store) == []
    assert ok(store, "artifact", "pull", "-o", str(tmp_path / "out"), name).strip() == d
    for f in "bom.json", "data:with.colon":
        assert (tmp_path / "out" / f).read_bytes() == (tmp_path / f).read_bytes()
    fails(store, "extract", name, str(tmp_path / "out"), word="bom.json")
    leftovers(store)
    ok(store, "system", "check")


def test_attached_files_are_referrers_of_the_image(fake, store, tmp_path):
    reg, im = fake(), sample()
    ref = reg.add("a/b", "1", im)
    (tmp_path / "sig").write_text("signed")
    d = ok(store, "artifact", "attach", "--artifact-type", "application/x-sig", ref, f"{tmp_path}/sig:text/plain").strip()
    m = json.loads(reg.docs["a/b", d][0])
    assert m["subject"] == {"mediaType": OCI + "manifest.v1+json", "digest": im.manifest, "size": len(im.docs[im.manifest][0])}
    rows = json.loads(ok(store, "image", "referrers", ref))["manifests"]
    assert [(r["digest"], r["artifactType"]) for r in rows] == [(d, "application/x-sig")]
    assert "sig" not in ok(store, "artifact", "ls") and blobs(store) == []
    d2 = ok(store, "artifact", "attach", "--artifact-type", "application/x-note", "-a", "only=annotations", ref).strip()
    assert json.loads(reg.docs["a/b", d2][0])["layers"][0]["mediaType"] == "application/vnd.oci.empty.v1+json"
    fails(store, "attach", ref, f"{tmp_path}/sig", word="--artifact-type")
    fails(store, "attach", "--artifact-type", "a/b", f"{reg.host}/a/none:1", f"{tmp_path}/sig", word="subject")
    leftovers(store)


def test_shared_blobs_stay_until_the_last_artifact_goes(store, tmp_path):
    (tmp_path / "a").write_text("same")
    for n in "x:1", "y:1":
        ok(store, "artifact", "add", "--type", "application/x-test", n, str(tmp_path / "a"))
    fails(store, "add", "x:1", str(tmp_path / "a"), word="--replace")
    ok(store, "artifact", "add", "--replace", "x:1", str(tmp_path / "a"))
    file = ig.digest(b"same")[7:]
    ok(store, "artifact", "rm", "x:1")
    assert file in blobs(store)
    ok(store, "artifact", "rm", "y:1")
    assert blobs(store) == []
    for verb in "inspect", "rm", "push":
        fails(store, verb, "x:1", word="No such artifact")


def test_a_title_is_no_path(fake, store, tmp_path):
    reg, im = fake(), ig.Image()
    titles = ["../up", "/etc/passwd", "a/b", ".hidden", "", "x\ny", "ok"]
    data = [b"%d" % i for i in range(len(titles))]
    im.blobs = {ig.digest(b"{}"): b"{}", **{ig.digest(d): d for d in data}}
    im.manifest = im.add_doc({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "artifactType": "a/b",
                              "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": ig.digest(b"{}"), "size": 2},
                              "layers": [{"mediaType": "a/b", "digest": ig.digest(d), "size": 1, "annotations": {"org.opencontainers.image.title": t}}
                                         for d, t in zip(data, titles)]}, OCI + "manifest.v1+json")["digest"]
    ok(store, "artifact", "pull", "-o", str(tmp_path / "out"), reg.add("evil", "1", im))
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["ok"] + [ig.digest(d)[7:] for d in data[:-1]])
    assert not (tmp_path / "up").exists()


def test_broken_pulls_leave_nothing(fake, store, tmp_path):
    reg = fake()
    (tmp_path / "a").write_text("right")
    name = f"{reg.host}/a:1"
    ok(store, "artifact", "push", "--artifact-type", "a/b", name, str(tmp_path / "a"))
    ok(store, "artifact", "rm", name)
    reg.blobs[ig.digest(b"right")] = b"wrong"
    fails(store, "pull", name, word=ig.digest(b"right"))
    fails(store, "pull", f"{reg.host}/none:1", word="404")
    assert blobs(store) == [] and ok(store, "artifact", "ls").count("\n") == 1
    leftovers(store)


@needs_skopeo
def test_docker_registry_takes_artifacts(registry, store, tmp_path):
    (tmp_path / "a").write_text("x" * 1000)
    name = f"{registry.host}/artifacts/a:1"
    d = ok(store, "artifact", "push", "-q", "--artifact-type", "a/b", name, str(tmp_path / "a")).strip()
    assert ig.digest(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")) == d
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{tmp_path}/d")
    registry.push("artifacts/im", "1", sample())
    d = ok(store, "artifact", "attach", "--artifact-type", "a/b", f"{registry.host}/artifacts/im:1", str(tmp_path / "a")).strip()
    assert d in ok(store, "image", "referrers", f"{registry.host}/artifacts/im:1")  # docker-registry has no API for it: the fallback tag
