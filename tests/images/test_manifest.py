"""`skiff manifest`: lists of platforms put together of images of registries and of the store, and pushed as one index."""
import json

import imagegen as ig
from imagegen import file
from test_archives import needs_skopeo, ok, skopeo
from test_copy import DOCKER, OCI, home, many, sample, whole  # noqa: F401
from test_crash import run


def fails(store, *args, word):
    rc, out, err = run(store, "manifest", *args)
    assert rc == 1 and word in err, (rc, out, err)


def rows(store, name):
    return json.loads(ok(store, "manifest", "inspect", name))["manifests"]


def test_a_list_of_images_of_several_registries(fake, store, tmp_path):
    r1, r2, dst = fake(), fake(), fake()
    a, b = sample(), sample(arch="arm64")
    refs = r1.add("x/a", "1", a), r2.add("y/b", "2", b)
    name = f"{dst.host}/all:1"
    assert ok(store, "manifest", "create", name, *refs) == f"Created manifest list {name}\n"
    assert [(r["digest"], r["platform"]["architecture"], r["size"]) for r in rows(store, name)] == [
        (a.manifest, "amd64", len(a.docs[a.manifest][0])), (b.manifest, "arm64", len(b.docs[b.manifest][0]))]
    out = ok(store, "manifest", "push", "--digestfile", str(tmp_path / "d"), name)
    raw, media = dst.docs["all", "1"][:2]
    assert out.strip() == ig.digest(raw) == (tmp_path / "d").read_text() and media == OCI + "index.v1+json"
    assert json.loads(raw)["manifests"] == rows(store, name)
    for im in a, b:
        whole(dst, im, "all")
    store.pull(name)
    assert ok(store, "manifest", "exists", name) == ""
    ok(store, "manifest", "push", "--purge", name, f"docker://{dst.host}/other:2")
    assert dst.docs["other", "2"][0] == raw
    assert run(store, "manifest", "exists", name)[0] == 1


def test_pushed_as_the_other_family(fake, store):
    """podman's manifest push --format: the list and the manifests it names."""
    src, dst = fake(), fake()
    a, b = sample(), sample(arch="arm64")
    name = f"{dst.host}/all:1"
    ok(store, "manifest", "create", name, src.add("x/a", "1", a), src.add("x/b", "1", b))
    out = ok(store, "manifest", "push", "--format", "v2s2", name)
    raw, media = dst.docs["all", "1"][:2]
    assert out.strip() == ig.digest(raw) and media == ig.MEDIA["docker", "index"]
    for row, im in zip(json.loads(raw)["manifests"], (a, b)):
        one, media = dst.docs["all", row["digest"]]
        assert row["mediaType"] == media == ig.MEDIA["docker", "manifest"] and json.loads(one)["config"]["digest"] == im.config
    rc, _, err = run(store, "manifest", "push", "--format", "bogus", name)
    assert rc == 1 and 'invalid argument "bogus" for "--format"' in err


def test_an_image_of_the_store_goes_with_its_bytes(fake, store, tmp_path):
    src, dst, im = fake(), fake(), sample()
    store.pull(src.add("a", "1", im))
    (tmp_path / "f.tar").write_bytes(ig.tar([file("etc/os", b"mine")]))
    ok(store, "import", str(tmp_path / "f.tar"), "mine:1")
    ok(store, "manifest", "create", "list:1")
    ok(store, "manifest", "add", "list:1", f"{src.host}/a:1")
    ok(store, "manifest", "add", "--arch", "riscv64", "--os", "linux", "list:1", "mine:1")
    ok(store, "manifest", "push", "list:1", f"docker://{dst.host}/list:1")
    top = json.loads(dst.docs["list", "1"][0])["manifests"]
    assert top[0]["digest"] == im.manifest and top[1]["platform"] == {"architecture": "riscv64", "os": "linux"}
    m = json.loads(dst.docs["list", top[1]["digest"]][0])
    assert all(x["digest"] in dst.blobs for x in [m["config"], *m["layers"]])


def test_annotate_remove_and_amend(fake, store):
    src, a, b = fake(), sample(), sample(arch="arm64")
    refs = src.add("a", "1", a), src.add("b", "1", b)
    ok(store, "manifest", "create", "--annotation", "org.example.a=b", "l:1", *refs)
    fails(store, "create", "l:1", word="--amend")
    ok(store, "manifest", "create", "--amend", "l:1")
    ok(store, "manifest", "annotate", "--variant", "v8", "--os-version", "1", "--os-features", "f", "--features", "sse4", "--annotation", "k=v=w", "l:1", refs[1])
    row = rows(store, "l:1")[1]
    assert row["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1", "os.features": ["f"], "features": ["sse4"]}
    assert row["annotations"] == {"k": "v=w"}
    assert json.loads(ok(store, "manifest", "inspect", "l:1"))["annotations"] == {"org.example.a": "b"}
    ok(store, "manifest", "annotate", "--arch", "s390x", "l:1", a.manifest)
    assert rows(store, "l:1")[0]["platform"]["architecture"] == "s390x"
    fails(store, "annotate", "--arch", "x", "l:1", ig.digest(b"?"), word="has no")
    ok(store, "manifest", "remove", "l:1", a.manifest)
    assert [r["digest"] for r in rows(store, "l:1")] == [b.manifest]
    ok(store, "manifest", "rm", "l:1")
    for verb in ("rm", "push"):
        fails(store, verb, "l:1", word="No such manifest")


def test_all_platforms_of_an_index_and_docker_lists(fake, store):
    src, dst, im = fake(), fake(), many("docker")
    ok(store, "manifest", "create", "--all", f"{dst.host}/l:1", "docker://" + src.add("a", "1", im))
    ok(store, "manifest", "push", f"{dst.host}/l:1")
    assert dst.docs["l", "1"][1] == DOCKER + "distribution.manifest.list.v2+json"
    assert {r["digest"] for r in json.loads(dst.docs["l", "1"][0])["manifests"]} == {d for d in im.docs if d != im.top}


def test_what_moved_meanwhile_is_still_pushed_by_its_digest(fake, store):
    src, dst, im = fake(), fake(), sample()
    ref = src.add("a", "1", im)
    ok(store, "manifest", "create", f"{dst.host}/l:1", ref)
    src.add("a", "1", sample())
    ok(store, "manifest", "push", f"{dst.host}/l:1")
    whole(dst, im, "l")


def test_errors_leave_nothing(fake, store, tmp_path):
    fails(store, "create", "l:1", f"{fake().host}/nothing:1", word="404")
    assert run(store, "manifest", "exists", "l:1")[0] == 1
    fails(store, "create", "l@" + ig.digest(b"x"), word="tag")
    fails(store, "create", "--annotation", "nothing", "l:1", word="KEY=VALUE")
    ok(store, "manifest", "create", "l:1")
    fails(store, "push", "l:1", word="empty")
    fails(store, "add", "l:1", f"dir:{tmp_path}", word="copy this one")


def test_inspect_of_a_registry(fake, store):
    src, im = fake(), many()
    assert json.loads(ok(store, "manifest", "inspect", src.add("a", "1", im))) == json.loads(im.docs[im.top][0])


@needs_skopeo
def test_docker_registry_and_skopeo_take_the_list(registry, store):
    refs = [registry.push("lists/a", "1", sample()), registry.push("lists/b", "1", sample(arch="arm64"))]
    name = f"{registry.host}/lists/all:1"
    ok(store, "manifest", "create", name, *refs)
    d = ok(store, "manifest", "push", name).strip()
    assert ig.digest(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")) == d
    for arch in ("amd64", "arm64"):
        doc = json.loads(skopeo("inspect", "--tls-verify=false", "--override-arch", arch, f"docker://{name}"))
        assert doc["Architecture"] == arch
