"""--registry-token and its forms for two sides: a bearer token of the user's own, sent to the registry that was named and nowhere else (T51)."""
import base64
import json

import imagegen as ig
import pytest
from imagegen import file
from test_archives import ok
from test_auth import protect
from test_crash import run

TOKEN = "Bearer ours"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "")
    monkeypatch.setenv("SKIFF_REGISTRIES_D", str(tmp_path / "none"))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def image(text="f"):
    return ig.image([ig.layer([file("f", text)])])


def guarded(fake, token=TOKEN):
    """A registry that takes this token alone; its token server does not exist."""
    reg = fake()
    protect(reg, 'Bearer realm="http://127.0.0.1:1/none",service="s"', token)
    return reg


def tokens(reg):
    return {r.headers.get("Authorization") for r in reg.log} - {None}


def test_pull_push_and_questions(fake, store, home):
    reg = guarded(fake)
    ref = reg.add("team/app", "1", image())
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {reg.host: {"identitytoken": "not this"}}}))
    assert ok(store, "pull", "--registry-token", "ours", ref).splitlines()[-1] == ref
    assert json.loads(ok(store, "image", "tags", "--registry-token=ours", f"{reg.host}/team/app"))["Tags"] == ["1"]
    assert json.loads(ok(store, "image", "inspect", "--remote", "--registry-token=ours", ref))["Name"] == f"{reg.host}/team/app"
    ok(store, "push", "--registry-token", "ours", ref, f"{reg.host}/team/other:2")
    ok(store, "push", "--registry-token", "ours", "--compression-format", "zstd", ref, f"{reg.host}/team/zstd:2")
    assert ("team/other", "2") in reg.docs and ("team/zstd", "2") in reg.docs and tokens(reg) == {TOKEN}


@pytest.mark.parametrize("how", [["--registry-token", "wrong"], []])
def test_a_wrong_token_is_said_to_be_wrong(fake, store, how):
    reg = guarded(fake)
    rc, _, err = run(store, "pull", *how, reg.add("a", "1", image()))
    assert rc == 1 and ("the registry token is not, or no longer, good for this" in err) == bool(how)
    assert tokens(reg) == ({"Bearer wrong"} if how else set())


def test_a_registry_that_wants_basic_gets_nothing(fake, store):
    reg = fake()
    protect(reg, 'Basic realm="x"')
    rc, _, err = run(store, "pull", "--registry-token", "ours", reg.add("a", "1", image()))
    assert rc == 1 and "does not take bearer tokens" in err and tokens(reg) == set()
    assert "control byte or a space" in run(store, "pull", "--registry-token", "a\nX: y", f"{reg.host}/a:1")[2] and tokens(reg) == set()


def test_copies_have_a_token_for_each_side(fake, store, tmp_path):
    src, dest, im = guarded(fake, "Bearer from"), guarded(fake, "Bearer to"), image()
    ref = "docker://" + src.add("a", "1", im)
    ok(store, "image", "copy", "--src-registry-token", "from", "--dest-registry-token=to", ref, f"docker://{dest.host}/b:2")
    assert dest.docs["b", "2"][0] == im.docs[im.manifest][0]
    assert (tokens(src), tokens(dest)) == ({"Bearer from"}, {"Bearer to"})
    ok(store, "image", "sync", "--src", "docker", "--dest", "docker", "--src-registry-token=from", "--dest-registry-token=to", f"{src.host}/a", f"{dest.host}/c")
    assert ("c/a", "1") in dest.docs and (tokens(src), tokens(dest)) == ({"Bearer from"}, {"Bearer to"})
    for more in (["--src-creds", "a:b"], ["--src-no-creds"]):
        assert "mutually exclusive" in run(store, "image", "copy", "--src-registry-token", "from", *more, ref, f"dir:{tmp_path}/d")[2]
    (tmp_path / "list").write_text(f"{src.host}:\n  images: {{}}\n")
    assert "is for one registry" in run(store, "image", "sync", "--src", "yaml", "--dest", "dir", "--src-registry-token=from", str(tmp_path / "list"), str(tmp_path))[2]


def test_T51_mirrors_and_other_locations_do_not_get_it(fake, store, tmp_path, monkeypatch):
    reg, mirror, im = guarded(fake), guarded(fake), image()
    ref = reg.add("foo/img", "1", im)
    mirror.add("foo/img", "1", im)
    conf = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    conf.write_text(f'[[registry]]\nprefix = "{reg.host}/foo"\n[[registry.mirror]]\nlocation = "{mirror.host}/foo"\ninsecure = true\n')
    assert ok(store, "pull", "--registry-token", "ours", ref).splitlines()[-1] == ref
    assert mirror.log and tokens(mirror) == set() and tokens(reg) == {TOKEN}
    # what is pushed or listed there goes elsewhere altogether
    conf.write_text(f'[[registry]]\nprefix = "example.org/foo"\nlocation = "{mirror.host}/foo"\ninsecure = true\n')
    for args in (["pull"], ["image", "tags"], ["push"]):
        del mirror.log[:]
        if args == ["push"]:
            ok(store, "tag", ref, "example.org/foo/img:1")
        assert run(store, *args, "--registry-token", "ours", "example.org/foo/img:1")[0] == 1
        assert mirror.log and tokens(mirror) == set(), args
    # the same host under another path is the same registry
    conf.write_text(f'[[registry]]\nprefix = "{reg.host}/bar"\nlocation = "{reg.host}/foo"\n')
    ok(store, "pull", "--registry-token", "ours", f"{reg.host}/bar/img:1")


def test_T51_credentials_do_not_go_to_another_location(fake, store, tmp_path, monkeypatch):
    """--src-creds and --dest-creds are for the registry that was named, not for where registries.conf says it lies."""
    reg, other, im = fake(), fake(), image()
    ours = "Basic " + base64.b64encode(b"me:secret").decode()
    for r in (reg, other):
        protect(r, 'Basic realm="x"', ours)
        r.add("foo/img", "1", im)
    here, conf = f"docker://{reg.host}/foo/img:1", tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    conf.write_text(f'[[registry]]\nprefix = "example.org/foo"\nlocation = "{other.host}/foo"\ninsecure = true\n'
                    f'[[registry]]\nprefix = "{reg.host}/bar"\nlocation = "{reg.host}/foo"\n')
    copy = ["image", "copy", "--src-creds", "me:secret"]
    for args in (["docker://example.org/foo/img:1", f"dir:{tmp_path}/d"], ["--dest-creds", "me:secret", here, "docker://example.org/foo/img:2"]):
        del other.log[:]
        assert run(store, *copy, *args)[0] == 1 and other.log and tokens(other) == set(), args
    # the same host under another path is the same registry
    ok(store, *copy, "--dest-creds", "me:secret", f"docker://{reg.host}/bar/img:1", f"docker://{reg.host}/bar/img:2")
    assert ("foo/img", "2") in reg.docs


def test_T51_a_push_does_not_show_it_to_where_the_layers_came_from(fake, store):
    first, second, im = fake(), guarded(fake), image("x" * 5000)
    ref = first.add("a", "1", im)
    ok(store, "pull", ref)
    protect(first, 'Bearer realm="http://127.0.0.1:1/none",service="s"', "Bearer nobody has this")
    del first.log[:]
    ok(store, "push", "--registry-token", "ours", ref, f"{second.host}/b:1")
    assert tokens(second) == {TOKEN} and first.log and tokens(first) == set()


def test_T51_a_redirect_does_not_get_it(fake, store):
    reg, other, im = guarded(fake), fake(), image()
    ref = reg.add("a", "1", im)
    other.add("a", "1", im)

    @reg.rule("/blobs/")
    def away(h, n):
        h.reply(307, headers={"Location": other.base + h.path})
        return True
    ok(store, "pull", "--registry-token", "ours", ref)
    assert other.log and tokens(other) == set()


def test_T51_a_short_name_of_several_registries_needs_one(fake, store, tmp_path, monkeypatch):
    first, second = guarded(fake), guarded(fake)
    conf = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    conf.write_text(f'unqualified-search-registries = ["{first.host}", "{second.host}"]\nshort-name-mode = "disabled"\n')
    rc, _, err = run(store, "pull", "--registry-token", "ours", "app:1")
    assert rc == 1 and "give its registry" in err and first.log == second.log == []
