"""`skiff image sync`: repositories, directories and skopeo's lists."""
import json
import os

import imagegen as ig
import pytest
from conftest import USER
from imagegen import file
from test_archives import needs_skopeo, ok, skopeo
from test_copy import home, sample  # noqa: F401
from test_crash import run


def small():
    return ig.image([ig.layer([file("f", os.urandom(100))])])


def sync(store, kinds, src, dest, *args):
    return ok(store, "image", "sync", "--src", kinds[0], "--dest", kinds[1], *args, src, dest)


def fails(store, *args, word):
    rc, out, err = run(store, "image", "sync", *args)
    assert rc == 1 and word in err, (rc, out, err)


def filled(fake):
    reg, images = fake(), {t: small() for t in ("1.0", "1.1", "2.0")}
    for t, im in images.items():
        reg.add("team/app", t, im)
    return reg, images


def test_repository_to_directory_and_back(fake, store, tmp_path):
    reg, images = filled(fake)
    out = sync(store, ("docker", "dir"), f"{reg.host}/team/app", str(tmp_path / "d"))
    assert "Synced 3 images" in out and sorted(os.listdir(tmp_path / "d")) == ["app:1.0", "app:1.1", "app:2.0"]
    dst = fake()
    sync(store, ("dir", "docker"), str(tmp_path / "d"), f"{dst.host}/mirror", "--preserve-digests")
    for t, im in images.items():
        assert dst.docs["mirror/app", t][0] == im.docs[im.manifest][0]


def test_format(fake, store, tmp_path):
    """skopeo's: every image as one family."""
    reg, images = filled(fake)
    dst = fake()
    sync(store, ("docker", "docker"), f"{reg.host}/team/app", f"{dst.host}/m", "--format", "v2s2")
    for t, im in images.items():
        raw, media = dst.docs["m/app", t]
        assert media == ig.MEDIA["docker", "manifest"] and json.loads(raw)["config"]["digest"] == im.config
        assert [la["digest"] for la in json.loads(raw)["layers"]] == [la.digest for la in im.layers]
    fails(store, "--src", "docker", "--dest", "docker", "--format", "v2s1", f"{reg.host}/team/app", f"{dst.host}/m", word='invalid argument "v2s1" for "--format"')


def test_scoped_names(fake, store, tmp_path):
    reg, images = filled(fake)
    sync(store, ("docker", "dir"), f"{reg.host}/team/app:1.0", str(tmp_path / "d"), "--scoped")
    assert os.listdir(tmp_path / "d" / reg.host / "team") == ["app:1.0"]
    dst = fake()
    sync(store, ("docker", "docker"), f"{reg.host}/team/app:1.0", dst.host + "/m", "--scoped")
    assert (f"m/{reg.host.replace(':', '-')}/team/app", "1.0") in dst.docs


def test_a_yaml_list(fake, registry_basic, store, tmp_path):
    reg, images = filled(fake)
    one, two = small(), small()
    registry_basic.push("locked/a", "x", one)
    registry_basic.push("locked/a", "y", two)
    (tmp_path / "list.yml").write_text(f"""
# a comment
"{reg.host}":
  images:
    team/app: ["2.0"]
  images-by-tag-regex:
    team/app: ^1\\.[0-9]$
"{registry_basic.host}":
  images:
    locked/a: []
  credentials:
    username: {USER[0]}
    password: {USER[1]}
""")
    dst = fake()
    assert "Would have synced 5 images" in sync(store, ("yaml", "docker"), str(tmp_path / "list.yml"), dst.host, "--dry-run") and not dst.docs
    assert "Synced 5 images" in sync(store, ("yaml", "docker"), str(tmp_path / "list.yml"), dst.host)
    for (repo, t), im in {**{("app", t): im for t, im in images.items()}, ("a", "x"): one, ("a", "y"): two}.items():
        assert dst.docs[repo, t][0] == im.docs[im.manifest][0]


@pytest.mark.parametrize("text,word", [("a: [", "line"), ("- a", "mapping"), ("a: b", "mapping"), ("a: &x {}\nb: *x", "alias"),
                                       ("a: " + "{a: " * 40 + "1" + "}" * 40, "deep"), ("h.example:\n  images-by-semver:\n    a: '>= one'", "condition on versions"),
                                       ("h.example:\n  images-by-tag-regex:\n    a: '('", "regular expression"), ("a" * 2000000 + ": b", "too large"),
                                       ("? [a]\n: b", "plain key")])
def test_lists_that_are_wrong(store, tmp_path, text, word):
    (tmp_path / "l.yml").write_text(text)
    fails(store, "--src", "yaml", "--dest", "dir", str(tmp_path / "l.yml"), str(tmp_path / "d"), word="" if word == "too large" else word)


def test_versions_of_a_list(fake, store, tmp_path):
    reg, dst, im = fake(), fake(), small()
    for tag in ("1.0", "1.4.2", "v1.9", "2.0.0-rc1", "2.1.0", "latest"):
        reg.add("team/app", tag, im)
    (tmp_path / "list.yml").write_text(f'"{reg.host}":\n  images-by-semver:\n    team/app: ">= 1.1, < 3 || ~1.0.0"\n')
    assert "Synced 4 images" in sync(store, ("yaml", "docker"), str(tmp_path / "list.yml"), dst.host)
    assert {t for _, t in dst.docs if not t.startswith("sha256:")} == {"1.0", "1.4.2", "v1.9", "2.1.0"}


def test_keep_going_and_wrong_words(fake, store, tmp_path):
    reg, images = filled(fake)
    del reg.blobs[images["1.1"].layers[0].digest]
    rc, out, err = run(store, "image", "sync", "--keep-going", "-s", "docker", "-d", "dir", f"{reg.host}/team/app", str(tmp_path / "d"))
    assert rc == 1 and "1 image failed" in err and "Synced 2 images" in out
    fails(store, "--src", "docker", "--dest", "dir", f"{reg.host}/team/app", str(tmp_path / "e"), word=images["1.1"].layers[0].digest)
    fails(store, "--src", "docker", "x", "y", word="--dest")
    fails(store, "--src", "tar", "--dest", "dir", "x", "y", word="--src")
    fails(store, "--src", "dir", "--dest", "tar", "x", "y", word="--dest")


@needs_skopeo
def test_skopeo_reads_what_was_synced(registry, store, tmp_path):
    im = sample()
    registry.push("sync/src", "1", im)
    sync(store, ("docker", "dir"), f"{registry.host}/sync/src", str(tmp_path / "d"))
    assert json.loads(skopeo("inspect", "--raw", f"dir:{tmp_path}/d/src:1")) == json.loads(im.docs[im.manifest][0])
