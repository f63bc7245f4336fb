"""login and logout: docker's config.json, credential helpers, identity tokens, podman's auth.json; nothing is stored that the registry refused."""
import base64
import json
import os
import stat
import subprocess

import imagegen as ig
import pytest
import worker
from conftest import USER
from imagegen import file
from test_auth import gives, protect, site  # noqa: F401

BASIC = "Basic " + base64.b64encode(":".join(USER).encode()).decode()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(store, *args, stdin=None):
    p = subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), *args], input=stdin,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")})
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def config(home):
    return json.loads((home / ".docker/config.json").read_text())


def login(store, host, *args, password=USER[1], user=USER[0]):
    return run(store, "login", "-u", user, "--password-stdin", *args, host, stdin=password.encode() + b"\n")


@pytest.mark.smoke
def test_basic(registry_basic, store, home):
    host = registry_basic.host
    rc, out, err = login(store, host)
    assert (rc, out) == (0, "Login Succeeded\n") and "unencrypted" in err and USER[1] not in out + err
    path = home / ".docker/config.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert config(home) == {"auths": {host: {"auth": base64.b64encode(":".join(USER).encode()).decode()}}}
    assert os.listdir(path.parent) == ["config.json"]
    im = ig.image([ig.layer([file("f", "x")])])
    ref = registry_basic.push("login/a", "1", im)
    assert run(store, "pull", ref)[0] == 0
    assert run(store, "logout", host)[:2] == (0, f"Removing login credentials for {host}\n")
    assert config(home) == {"auths": {}}
    assert run(store, "pull", registry_basic.push("login/a", "2", ig.image([ig.layer([file("g", "x")])])))[0] == 1
    assert run(store, "logout", host)[:2] == (0, f"Not logged in to {host}\n")


def test_wrong_password_stores_nothing(registry_basic, registry_token, store, home):
    for reg in (registry_basic, registry_token):
        rc, out, err = login(store, reg.host, password="hunter-2")
        assert rc == 1 and reg.host in err and "hunter-2" not in err and not (home / ".docker").exists()


def test_token_server(registry_token, store, home):
    assert login(store, registry_token.host)[0] == 0
    assert "auth" in config(home)["auths"][registry_token.host]


def test_identity_token_instead_of_the_password(registry_token, store, home):
    registry_token.tokens.refresh = True
    try:
        assert login(store, registry_token.host)[0] == 0
    finally:
        registry_token.tokens.refresh = False
    entry = config(home)["auths"][registry_token.host]
    assert entry["identitytoken"] == "refresh-me" and base64.b64decode(entry["auth"]).decode() == USER[0] + ":"


def test_what_else_is_in_the_file_stays(registry_basic, store, home):
    host = registry_basic.host
    (home / ".docker").mkdir()
    real = home / "dotfiles.json"
    old = {"zeta": [1, {"x": None}], "auths": {"other:1": {"auth": "eDp5", "x-more": True}, f"https://{host}/v1/": {"auth": "b2xkOm9sZA=="}},
           "HttpHeaders": {"A": "b/c"}, "alpha": 1.5}
    real.write_text(json.dumps(old))
    (home / ".docker/config.json").symlink_to(real)
    assert login(store, host)[0] == 0
    new = config(home)
    assert (home / ".docker/config.json").is_symlink() and list(new) == ["zeta", "auths", "HttpHeaders", "alpha"]
    assert new["auths"] == {"other:1": old["auths"]["other:1"], host: new["auths"][host]}
    assert {k: v for k, v in new.items() if k != "auths"} == {k: v for k, v in old.items() if k != "auths"}
    assert run(store, "logout", host)[0] == 0
    assert config(home)["auths"] == {"other:1": old["auths"]["other:1"]}


def test_broken_file_is_not_replaced(registry_basic, store, home):
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text('{"auths": [')
    rc, out, err = login(store, registry_basic.host)
    assert rc == 1 and "not a JSON object" in err and (home / ".docker/config.json").read_text() == '{"auths": ['


@pytest.mark.parametrize("args,word", [(["--password-stdin"], "--username"), (["-u", "x"], "non TTY"), (["-u", "x", "-p", "y", "--password-stdin"], "exclusive")])
def test_words_for_wrong_flags(store, args, word):
    rc, out, err = run(store, "login", *args, "127.0.0.1:1", stdin=b"x")
    assert rc == 1 and word in err


def test_get_login(registry_basic, store, home, monkeypatch):
    """podman's: the name alone, status 125 when there is none; podman's own file counts as for a pull."""
    host = registry_basic.host
    rc, out, err = run(store, "login", "--get-login", host)
    assert (rc, out) == (125, "") and f"not logged into {host}" in err
    assert login(store, host)[0] == 0
    assert run(store, "login", "--get-login", host) == (0, USER[0] + "\n", "")
    rc, _, err = run(store, "login", "--get-login", "other.example:5000")
    assert rc == 125 and "not logged into other.example:5000" in err
    auth = home / "auth.json"
    auth.write_text(json.dumps({"auths": {"k.example": {"auth": base64.b64encode(b"al:pw").decode()}, "docker.io": {"auth": base64.b64encode(b"hub:pw").decode()}}}))
    assert run(store, "login", "--get-login", "k.example")[0] == 125
    assert run(store, "login", "--authfile", str(auth), "--get-login", "k.example")[:2] == (0, "al\n")
    assert run(store, "login", "--authfile", str(auth), "--get-login", host)[0] == 125
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(auth))
    assert run(store, "login", "--get-login", "k.example")[:2] == (0, "al\n")


def test_logout_all(registry_basic, store, home):
    host = registry_basic.host
    assert login(store, host)[0] == 0
    path = home / ".docker/config.json"
    path.write_text(json.dumps({"x": 1, "auths": {**config(home)["auths"], "other:1": {"auth": "eDp5"}}, "alpha": 2}))
    rc, _, err = run(store, "logout", "--all", host)
    assert rc == 125 and "--all takes no arguments" in err and len(config(home)["auths"]) == 2
    assert run(store, "logout", "--all") == (0, "Removed login credentials for all registries\n", "")
    assert config(home) == {"x": 1, "auths": {}, "alpha": 2} and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run(store, "login", "--get-login", host)[0] == 125
    assert run(store, "logout", "-a")[0] == 0


HELPER = """#!/usr/bin/python3
import json, os, sys
path = os.environ["HELPER_DB"]
db = json.load(open(path)) if os.path.exists(path) else {}
verb, text = sys.argv[1], sys.stdin.read()
db.setdefault("log", []).append([verb, text])
if verb == "store":
    e = json.loads(text)
    db[e["ServerURL"]] = [e["Username"], e["Secret"]]
elif verb == "get" and text in db:
    print(json.dumps({"ServerURL": text, "Username": db[text][0], "Secret": db[text][1]}))
elif verb == "erase":
    db.pop(text, None)
else:
    print("credentials not found in native keychain")
    json.dump(db, open(path, "w"))
    sys.exit(1)
json.dump(db, open(path, "w"))
"""


@pytest.fixture
def helper(home, monkeypatch):
    def make(text=HELPER, name="test"):
        d = home / "helpers"
        d.mkdir(exist_ok=True)
        p = d / f"docker-credential-{name}"
        p.write_text(text)
        p.chmod(0o755)
        return home / "db.json"
    monkeypatch.setenv("PATH", f"{home}/helpers:{os.environ['PATH']}")
    monkeypatch.setenv("HELPER_DB", str(home / "db.json"))
    (home / ".docker").mkdir()
    return make


@pytest.mark.parametrize("how", ["credsStore", "credHelpers"])
def test_helper(registry_basic, store, home, helper, how):
    host = registry_basic.host
    db = helper()
    (home / ".docker/config.json").write_text(json.dumps({"credsStore": "test"} if how == "credsStore" else
                                                         {"credsStore": "absent", "credHelpers": {host: "test"}}))
    rc, out, err = login(store, host)
    assert rc == 0 and err == "", err
    assert config(home)["auths"] == {host: {}} and json.loads(db.read_text())[host] == list(USER)
    ref = registry_basic.push("login/h", how.lower(), ig.image([ig.layer([file("f", how)])]))
    assert run(store, "pull", ref)[0] == 0
    assert run(store, "logout", host)[0] == 0
    assert host not in json.loads(db.read_text()) and config(home)["auths"] == {}


def test_logout_all_with_helpers(store, home, helper):
    db = helper()
    db.write_text(json.dumps({h: ["u", "s"] for h in ("a.example", "b.example", "https://index.docker.io/v1/", "kept.example")}))
    (home / ".docker/config.json").write_text(json.dumps({"credsStore": "test", "credHelpers": {"b.example": "test"},
                                                          "auths": {"a.example": {}, "https://index.docker.io/v1/": {}}}))
    assert run(store, "login", "--get-login", "a.example")[:2] == (0, "u\n")
    assert run(store, "logout", "--all")[0] == 0
    assert set(json.loads(db.read_text())) - {"log"} == {"kept.example"}, "nobody said that it is ours"
    assert config(home) == {"credsStore": "test", "credHelpers": {"b.example": "test"}, "auths": {}}


def test_helper_with_an_identity_token(fake, site, store, home, helper):  # noqa: F811
    reg, tokens = fake(), site(gives("T2"))
    protect(reg, f'Bearer realm="{tokens.url}/token",service="s"', "Bearer T2")
    ref = reg.add("a/b", "1", ig.image([ig.layer([file("f", "x")])]))
    helper().write_text(json.dumps({reg.host: ["<token>", "idtoken"]}))
    (home / ".docker/config.json").write_text('{"credsStore": "test"}')
    assert run(store, "pull", ref)[0] == 0
    assert tokens.seen[0][0] == "POST" and b"refresh_token=idtoken" in tokens.seen[0][3]


@pytest.mark.parametrize("text,word", [("#!/bin/sh\nexit 3\n", "status 3"), ("#!/bin/sh\nexec yes\n", "helper"),
                                       ("#!/bin/sh\necho nonsense\n", "JSON")])
def test_helper_that_fails(fake, store, home, helper, text, word):
    reg = fake()
    helper(text)
    (home / ".docker/config.json").write_text('{"credsStore": "test"}')
    rc, out, err = run(store, "pull", reg.host + "/a:1")
    assert rc == 1 and "docker-credential-test" in err and word.lower() in err.lower(), err
    assert reg.log == []


def test_helper_that_is_not_here(fake, store, home, helper):
    """A config.json that came from another machine; most pulls need no credentials."""
    reg = fake()
    ref = reg.add("a", "1", ig.image([ig.layer([file("f", "x")])]))
    (home / ".docker/config.json").write_text('{"credsStore": "desktop"}')
    rc, out, err = run(store, "pull", ref)
    assert rc == 0 and "docker-credential-desktop" in err and "going on without" in err


@pytest.mark.parametrize("name", ["../evil", "a b", "a;b", "-x/y", "a" * 100])
def test_helper_names(fake, store, home, helper, name):
    reg = fake()
    (home / ".docker/config.json").write_text(json.dumps({"credsStore": name}))
    rc, out, err = run(store, "pull", reg.host + "/a:1")
    assert rc == 1 and "credential helper" in err and reg.log == []


def test_podmans_auth_file(fake, store, home, monkeypatch):
    reg = fake()
    ref = reg.add("team/app/x", "1", ig.image([ig.layer([file("f", "x")])]))
    protect(reg, 'Basic realm="x"', BASIC)
    good, bad = base64.b64encode(":".join(USER).encode()).decode(), base64.b64encode(b"x:y").decode()
    path = home / "auth.json"
    path.write_text(json.dumps({"auths": {reg.host: {"auth": bad}, f"{reg.host}/team/app": {"auth": good}, f"{reg.host}/team/ap": {"auth": bad},
                                          f"{reg.host}/team": {"auth": bad}}}))
    assert run(store, "pull", ref)[0] == 1
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    rc, out, err = run(store, "pull", ref)
    assert rc == 0, err


def test_login_tells_nobody_else(fake, site, store, home):  # noqa: F811
    """T51, T52: the password goes to the registry and its own token server, never where a redirect points."""
    other, reg = fake(), fake()
    reg.rule("/v2/")(lambda h, n: h.reply(307, b"", {"Location": other.base + "/v2/"}))
    rc, out, err = login(store, reg.host)
    assert rc == 1 and not [s for s in other.log + reg.log if "Authorization" in s.headers] and not (home / ".docker").exists()
    reg = fake()
    tokens = site(lambda h, path: h.reply(307, b"", Location=other.base + "/token"))
    reg.rule("/v2/")(lambda h, n: h.reply(401, b"", {"WWW-Authenticate": f'Bearer realm="{tokens.url}/t",service="s"'}))
    rc, out, err = login(store, reg.host)
    assert rc == 1 and "redirects" in err and not [s for s in other.log if "Authorization" in s.headers]


def test_login_checks_certificates(fake, store, home, ca):
    reg = fake(tls=ca.issue("login"))
    reg.rule("/v2/")(lambda h, n: False if h.headers.get("Authorization") == BASIC else h.reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))
    rc, out, err = login(store, reg.host)
    assert rc == 1 and "certificate is not trusted" in err and reg.log == []
    assert login(store, reg.host, "--cert-dir", str(ca.trust(home / "certs", reg.host)))[0] == 0
