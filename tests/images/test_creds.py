"""Credentials of the command line for whatever asks a registry: --creds, --no-creds and --authfile of pull, push, tags, inspect, referrers, delete, search, login."""
import base64
import json
import os

import imagegen as ig
import pytest
from conftest import USER
from imagegen import file
from test_archives import ok
from test_crash import run
from test_registry_token import protect

CREDS = ":".join(USER)
OURS = "Basic " + base64.b64encode(CREDS.encode()).decode()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "CONTAINERS_REGISTRIES_CONF"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def image():
    return ig.image([ig.layer([file("f", os.urandom(20000))])])


def seen(reg):
    return {s.headers.get("Authorization") for s in reg.log} - {None}


def authfile(tmp_path, host):
    p = tmp_path / "mine.json"
    p.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(CREDS.encode()).decode()}}}))
    return str(p)


def verbs(host, name):
    repo = f"{host}/{name}"
    return [["pull", repo + ":1"], ["push", repo + ":1"], ["image", "tags", repo], ["image", "inspect", "--raw", repo + ":1"],
            ["image", "referrers", repo + ":1"], ["pull", "--all-tags", repo], ["pull", "--all-platforms", repo + ":1"], ["push", "--all-tags", repo],
            ["search", f"{host}/{name}"], ["search", "--list-tags", repo], ["image", "delete", "--remote", repo + ":1"]]


def test_each_verb_takes_them(registry_basic, store, tmp_path):
    """Debian's docker-registry asks for a password for everything."""
    host = registry_basic.host
    for how in (["--creds", CREDS], ["--authfile", authfile(tmp_path, host)]):
        name = f"creds{len(how[1])}"
        registry_basic.push(name, "1", image())
        for args in verbs(host, name):
            rc, out, err = run(store, *args)
            assert rc == 1 and host in err, (args, out, err)
            rc, out, err = run(store, *args, "--creds", USER[0] + ":wrong")
            assert rc == 1 and host in err, (args, out, err)
            ok(store, *args, *how)


def test_they_win_over_the_files_and_anonymous_takes_none(fake, store, tmp_path):
    reg, im = fake(), image()
    ref = reg.add("a/b", "1", im)
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {reg.host: {"auth": base64.b64encode(b"of:file").decode()}}}))
    protect(reg, 'Basic realm="x"', OURS)
    assert run(store, "pull", ref)[0] == 1
    assert seen(reg) == {"Basic " + base64.b64encode(b"of:file").decode()}
    del reg.log[:]
    assert run(store, "pull", "--no-creds", ref)[0] == 1 and seen(reg) == set()
    ok(store, "pull", "--creds", CREDS, ref)
    assert seen(reg) == {OURS}


def test_T51_they_stay_at_the_registry_that_was_named(fake, store, tmp_path, monkeypatch):
    reg, other, first, im = fake(), fake(), fake(), image()
    for r in (reg, other):
        r.add("foo/img", "1", im)
        protect(r, 'Basic realm="x"', OURS)
    conf = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    conf.write_text(f'[[registry]]\nprefix = "{reg.host}/bar"\nlocation = "{other.host}/foo"\ninsecure = true\n'
                    f'[[registry]]\nlocation = "{reg.host}/foo"\n[[registry.mirror]]\nlocation = "{other.host}/foo"\ninsecure = true\n')
    assert run(store, "pull", "--creds", CREDS, f"{reg.host}/bar/img:1")[0] == 1
    assert run(store, "image", "tags", "--creds", CREDS, f"{reg.host}/bar/img")[0] == 1
    assert other.log and seen(other) == set()
    del other.log[:]
    ok(store, "pull", "--creds", CREDS, f"{reg.host}/foo/img:1")
    assert other.log and seen(other) == set(), "a mirror elsewhere"
    # a push reads layers from where they came from
    name = first.add("x", "1", image())
    ok(store, "pull", name)
    protect(first, 'Basic realm="x"', "Basic nobody")
    del first.log[:]
    ok(store, "tag", name, f"{reg.host}/foo/pushed:1")
    run(store, "push", "--creds", CREDS, f"{reg.host}/foo/pushed:1")
    assert seen(reg) == {OURS} and seen(first) == set()


@pytest.mark.parametrize("args,words", [
    (["--creds", ":x"], "USER or USER:PASSWORD"), (["--creds", ""], "USER or USER:PASSWORD"),
    (["--creds", CREDS, "--no-creds"], "mutually exclusive"), (["--no-creds", "--registry-token", "t"], "mutually exclusive")])
def test_what_makes_no_sense(store, args, words):
    rc, _, err = run(store, "pull", *args, "127.0.0.1:1/x:1")
    assert rc == 1 and words in err


def test_login_and_logout_in_a_file_of_ones_own(registry_basic, store, tmp_path):
    mine, host = tmp_path / "mine.json", registry_basic.host
    ok(store, "login", "--authfile", str(mine), "-u", USER[0], "-p", USER[1], host)
    assert list(json.loads(mine.read_text())["auths"]) == [host] and not (tmp_path / ".docker").exists()
    registry_basic.push("own", "1", image())
    ok(store, "pull", "--authfile", str(mine), f"{host}/own:1")
    ok(store, "logout", "--authfile", str(mine), host)
    assert host not in json.loads(mine.read_text()).get("auths", {})
