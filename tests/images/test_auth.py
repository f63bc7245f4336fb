"""Credentials: basic, bearer tokens, identity tokens; who gets them and who does not (T51, T52)."""
import base64
import http.server
import json
import os
import threading
from urllib.parse import parse_qs, urlsplit

import imagegen as ig
import pytest
import worker
from conftest import USER
from imagegen import file

BASIC = "Basic " + base64.b64encode(":".join(USER).encode()).decode()


def one(text="x"):
    return ig.image([ig.layer([file("f", text + os.urandom(4).hex())])])


# --- real registries ---
@pytest.mark.smoke
def test_basic(registry_basic, store, docker_config):
    im = one()
    ref = registry_basic.push("basic/a", "1", im)
    store.fails("denied", ref, "authentication required", "config.json")
    store.fails("denied", ref, "401", docker_config=docker_config(registry_basic.host, ("alice", "wrong")))
    store.pull(ref, docker_config=docker_config(registry_basic.host))
    assert store.layers() == [im.layers[0].hex]


@pytest.mark.parametrize("key", ["https://{}/v1/", "http://{}", "{}/some/path", "{}"])
def test_forms_of_keys_in_docker_config(registry_basic, store, docker_config, key):
    ref = registry_basic.push("basic/k", "1", one())
    store.pull(ref, docker_config=docker_config(key.format(registry_basic.host)))


def test_credentials_of_another_port_are_not_used(registry_basic, store, docker_config):
    ref = registry_basic.push("basic/k", "1", one())
    store.fails("denied", ref, docker_config=docker_config("127.0.0.1:1"))
    store.fails("denied", ref, docker_config=docker_config("127.0.0.1"))


@pytest.mark.smoke
def test_bearer_token(registry_token, store, docker_config):
    im = one()
    ref = registry_token.push("private/a", "1", im)
    anonymous = registry_token.push("public/a", "1", im)
    store.fails("denied", ref, "401")
    store.fails("denied", ref, "wrong password", docker_config=docker_config(registry_token.host, ("alice", "wrong")))
    store.pull(ref, docker_config=docker_config(registry_token.host))
    registry_token.tokens.requests.clear()
    store.pull(anonymous)
    (method, q, headers), = registry_token.tokens.requests
    assert method == "GET" and q["service"] == ["test registry & co"] and q["scope"] == ["repository:public/a:pull"]
    assert "Authorization" not in headers


def test_token_is_fetched_once_per_pull(registry_token, store):
    im = ig.image([ig.layer([file(f"f{i}", os.urandom(50))]) for i in range(8)])
    ref = registry_token.push("public/once", "1", im)
    registry_token.tokens.requests.clear()
    store.pull(ref)
    assert len(registry_token.tokens.requests) == 1


# --- scripted ones ---
class Site:
    """A plain web server that keeps what it is asked, and answers by `answer(handler, path)`."""

    def __init__(self, answer, address="127.0.0.1"):
        site = self
        self.seen = []

        class H(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *a):
                pass

            def do_GET(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0) or 0))
                site.seen.append((self.command, self.path, dict(self.headers.items()), self.body))
                answer(self, self.path)

            do_POST = do_GET

            def reply(self, status, body=b"", **headers):
                self.send_response_only(status)
                for k, v in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(k.replace("_", "-"), v)
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer((address, 0), H)
        self.server.daemon_threads = True
        self.host = f"{address}:{self.server.server_address[1]}"
        self.url = "http://" + self.host
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def site():
    made = []

    def make(answer, **kw):
        made.append(Site(answer, **kw))
        return made[-1]
    yield make
    for s in made:
        s.server.shutdown()
        s.server.server_close()


def protect(reg, challenge, token="Bearer T", part="/v2/"):
    """Everything of reg needs this Authorization."""
    @reg.rule(part)
    def guard(h, n):
        if h.headers.get("Authorization") == token:
            return False
        h.reply(401, headers={"WWW-Authenticate": challenge} if challenge else None)


def gives(token="T", key="token", **more):
    return lambda h, path: h.reply(200, json.dumps({key: token, **more}).encode())


def test_scope_of_the_challenge_is_not_believed(fake, site, store):
    reg, auth = fake(), site(gives())
    ref = reg.add("a/b", "1", one())
    protect(reg, f'Bearer realm="{auth.url}/t?x=1",service="a&scope=registry:catalog:*",scope="repository:other:push,pull"')
    store.pull(ref)
    q = parse_qs(urlsplit(auth.seen[0][1]).query)
    assert q["x"] == ["1"] and q["service"] == ["a&scope=registry:catalog:*"] and q["scope"] == ["repository:a/b:pull"]


def test_access_token_and_several_challenges(fake, site, store):
    reg, auth = fake(), site(gives(key="access_token"))
    ref = reg.add("a/b", "1", one())
    protect(reg, f'Negotiate, Basic realm="x, y", bearer Realm = "{auth.url}" , service=plain')
    store.pull(ref)


def test_identity_token(fake, site, store, docker_config):
    reg, auth = fake(), site(gives())
    ref = reg.add("a/b", "1", one())
    protect(reg, f'Bearer realm="{auth.url}",service="s"')
    store.pull(ref, docker_config=docker_config(reg.host, ("<token>", ""), identitytoken="refresh/me&you"))
    method, path, headers, body = auth.seen[0]
    assert method == "POST" and "Authorization" not in headers
    q = parse_qs(body.decode())
    assert q["grant_type"] == ["refresh_token"] and q["refresh_token"] == ["refresh/me&you"] and q["scope"] == ["repository:a/b:pull"]


def test_token_that_expires_in_the_middle(fake, site, store):
    reg, count = fake(), []

    def answer(h, path):
        count.append(1)
        h.reply(200, json.dumps({"token": f"T{len(count)}"}).encode())
    auth = site(answer)
    im = ig.image([ig.layer([file("f", os.urandom(3 << 20))], "plain")])
    ref = reg.add("a/b", "1", im)

    @reg.rule("/v2/")
    def guard(h, n):
        want = "Bearer T2" if "/blobs/" + im.layers[0].digest in h.path else "Bearer T1"
        if h.headers.get("Authorization") != want:
            return h.reply(401, headers={"WWW-Authenticate": f'Bearer realm="{auth.url}",service="s"'})
        return False
    store.pull(ref)
    assert len(count) == 2


def test_token_that_expires_under_parallel_transfers(fake, site, store):
    """All of them are refused; one fetches a new token, the others use it."""
    reg, count = fake(), []

    def answer(h, path):
        count.append(1)
        h.reply(200, json.dumps({"token": f"T{len(count)}"}).encode())
    auth = site(answer)
    im = ig.image([ig.layer([file(f"f{i}", os.urandom(100000))]) for i in range(4)])
    ref = reg.add("a/b", "1", im)
    layers = [la.digest for la in im.layers]
    together = threading.Barrier(4)

    @reg.rule("/v2/a/")
    def guard(h, n):
        part = any(d in h.path for d in layers)
        if h.headers.get("Authorization") != ("Bearer T2" if part else "Bearer T1"):
            if part:
                together.wait(10)
            return h.reply(401, headers={"WWW-Authenticate": f'Bearer realm="{auth.url}",service="s"'})
        return False
    store.pull(ref)
    assert len(count) == 2 and len(store.layers()) == 4


def test_401_without_end(fake, site, store):
    reg, auth = fake(), site(gives())
    im = one()
    ref = reg.add("a/b", "1", im)
    protect(reg, f'Bearer realm="{auth.url}",service="s"', token="Bearer never")
    store.fails("denied", ref, "401")
    assert len(auth.seen) == 1
    reg.rules.clear()
    protect(reg, f'Bearer realm="{auth.url}",service="s"', token="Bearer never", part=im.layers[0].digest)
    store.fails("denied", ref, "401")
    assert len(auth.seen) == 2


@pytest.mark.parametrize("challenge,word", [
    (None, "authentication required"), ("Basic", "authentication required"), ('Bearer realm="', "does not end"), ("=", "unexpected"),
    ('Bearer service="x"', "realm"), ('Bearer realm="ftp://127.0.0.1/"', "http"), ('Bearer realm="file:///etc/passwd"', "http"),
    ('Bearer realm="//evil/"', "http"), ('Bearer realm="http://u:p@127.0.0.1:1/"', "plain URL"), ('Bearer realm="http://127.0.0.1:1/#x"', "plain URL"),
    ('Bearer realm="' + "a" * 3000 + '"', "longer"), ('Bearer realm="http://127.0.0.1:1/\x01"', "control"),
])
def test_challenges_that_lead_nowhere(fake, store, challenge, word):
    reg = fake()
    ref = reg.add("a", "1", one())
    protect(reg, challenge)
    store.fails(("denied", "invalid", "limit"), ref, word)


@pytest.mark.parametrize("body,word", [(b"{}", "no token"), (b"[]", ""), (b"", ""), (b'{"token":""}', "no token"), (b'{"token":"a b"}', "control"),
                                       (b'{"token":"a\\r\\nX-Evil: 1"}', "control"), (b'{"token":5}', ""), (b'{"token":"' + b"x" * 300000 + b'"}', "larger")],
                         ids=["object", "array", "empty", "empty-token", "space", "header", "number", "huge"])
def test_answers_of_token_servers(fake, site, store, body, word):
    reg, auth = fake(), site(lambda h, p: h.reply(200, body))
    ref = reg.add("a", "1", one())
    protect(reg, f'Bearer realm="{auth.url}",service="s"')
    err = store.fails(("denied", "invalid", "corrupt", "limit"), ref, word)
    assert "X-Evil" not in json.dumps([s.headers for s in reg.log])
    assert auth.host.split(":")[0] in err.message


# --- T52: where the realm may be ---
FORBIDDEN = ["http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/", "http://0.0.0.0:1/", "http://[::]:1/",
             "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://[64:ff9b::a9fe:a9fe]/", "http://100.100.100.200/",
             "http://[fd00:ec2::254]/", "http://224.0.0.1/"]


@pytest.mark.parametrize("realm", FORBIDDEN)
def test_T52_realm_at_a_metadata_service(fake, store, docker_config, realm):
    reg = fake()
    ref = reg.add("a", "1", one())
    protect(reg, f'Bearer realm="{realm}",service="s"')
    err = store.fails("denied", ref, "refused", docker_config=docker_config(reg.host))
    assert "token" in err.message


def test_T52_realm_at_loopback_for_a_registry_elsewhere(fake, site, store, tmp_path):
    """By address and by a name that resolves to the loopback: judged on the address that is connected to."""
    address = own_address()
    reg, auth = fake(address=address), site(gives())
    ref = reg.add("a", "1", one())
    port = auth.host.split(":")[1]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "x.localhost", "127.1"):
        reg.rules.clear()
        protect(reg, f'Bearer realm="http://{host}:{port}/",service="s"')
        store.fails("denied", ref, "refused", flags=worker.PLAIN_HTTP)
    assert auth.seen == []


def test_T52_realm_by_a_name_that_resolves_to_the_loopback(fake, site, store):
    """A name of this machine in /etc/hosts; nothing in the name itself tells."""
    name = loopback_name()
    address = own_address()
    reg, auth = fake(address=address), site(gives())
    ref = reg.add("a", "1", one())
    protect(reg, f'Bearer realm="http://{name}:{auth.host.split(":")[1]}/",service="s"')
    store.fails("denied", ref, "refused", "127.", flags=worker.PLAIN_HTTP)
    assert auth.seen == []


def test_T52_realm_http_for_an_https_registry(fake, site, store, ca, tmp_path, docker_config):
    reg, auth = fake(tls=ca.issue("realm")), site(gives())
    ref = reg.add("a", "1", one())
    protect(reg, f'Bearer realm="{auth.url}",service="s"')
    store.fails("denied", ref, "not https", certs_dir=ca.trust(tmp_path / "certs", reg.host), docker_config=docker_config(reg.host))
    assert auth.seen == []


def test_T52_token_server_that_redirects(fake, site, store, docker_config):
    target = site(gives())
    auth = site(lambda h, p: h.reply(307, Location=target.url + "/"))
    reg = fake()
    ref = reg.add("a", "1", one())
    protect(reg, f'Bearer realm="{auth.url}",service="s"')
    store.fails("denied", ref, "redirects", docker_config=docker_config(reg.host))
    assert target.seen == [] and len(auth.seen) == 1


# --- T51: redirects ---
def own_address():
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback")
        a = s.getsockname()[0]
    if a.startswith("127."):
        pytest.skip("this machine has no address but the loopback")
    return a


def loopback_name():
    import socket
    for line in open("/etc/hosts"):
        words = line.split("#")[0].split()
        for n in words[1:] if words and words[0].startswith("127.") else []:
            if "localhost" not in n and socket.gethostbyname(n).startswith("127."):
                return n
    pytest.skip("no name but localhost resolves to the loopback")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_T51_redirect_to_another_host_loses_the_credentials(fake, store, docker_config, status):
    reg, cdn = fake(), fake()
    im = one()
    ref = reg.add("a", "1", im)
    cdn.add("a", "1", im)
    protect(reg, 'Basic realm="x"', BASIC)
    for part in ("/blobs/", "/manifests/"):
        reg.rule(part)(lambda h, n: h.reply(status, headers={"Location": cdn.base + h.path}))
    store.pull(ref, docker_config=docker_config(reg.host))
    assert len(cdn.log) == 3
    for s in cdn.log:
        assert not any(k.lower() in ("authorization", "cookie", "proxy-authorization") for k in s.headers), s


def test_redirect_within_the_registry_keeps_them(fake, store, docker_config):
    reg = fake()
    im = one()
    ref = reg.add("a", "1", im)
    protect(reg, 'Basic realm="x"', BASIC)
    reg.rule("/v2/a/blobs/")(lambda h, n: h.reply(307, headers={"Location": h.path.replace("/v2/a/", "/v2/other/../stored/")}))
    store.pull(ref, docker_config=docker_config(reg.host))
    moved = reg.seen("/stored/")
    assert len(moved) == 2 and all(s.headers["Authorization"] == BASIC for s in moved)


def test_T51_challenge_of_a_redirect_target_gets_nothing(fake, site, store, docker_config):
    """Another host asks for authentication: neither its realm nor it gets what belongs to the registry."""
    reg, cdn, thief = fake(), fake(), site(gives())
    im = one()
    ref = reg.add("a", "1", im)
    for challenge in (f'Bearer realm="{thief.url}",service="s"', 'Basic realm="x"'):
        for part in ("/blobs/", "/manifests/"):
            reg.rules.clear()
            cdn.rules.clear()
            reg.rule(part)(lambda h, n: h.reply(307, headers={"Location": cdn.base + h.path}))
            protect(cdn, challenge)
            store.fails("denied", ref, "401", docker_config=docker_config(reg.host))
    assert thief.seen == []
    assert not any("Authorization" in s.headers for s in cdn.log)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:1/", "dict://127.0.0.1:1/", "javascript:0", ""])
@pytest.mark.parametrize("part", ["/blobs/", "/manifests/"])
def test_T51_redirect_to_another_scheme(fake, store, target, part):
    reg = fake()
    ref = reg.add("a", "1", one())
    reg.rule(part)(lambda h, n: h.reply(307, headers={"Location": target}))
    store.fails(("denied", "unavailable"), ref)


def test_T51_redirect_from_https_to_http(fake, store, ca, tmp_path):
    reg, cdn = fake(tls=ca.issue("down")), fake()
    im = one()
    ref = reg.add("a", "1", im)
    cdn.add("a", "1", im)
    reg.rule("/blobs/")(lambda h, n: h.reply(307, headers={"Location": cdn.base + h.path}))
    store.fails("denied", ref, "https to", certs_dir=ca.trust(tmp_path / "certs", reg.host))
    assert cdn.log == []


def test_redirects_without_an_end(fake, store):
    reg = fake()
    ref = reg.add("a", "1", one())
    for part in ("/blobs/", "/manifests/"):
        reg.rules.clear()
        reg.log.clear()
        reg.rule(part)(lambda h, n: h.reply(302, headers={"Location": h.path + "x"}))
        store.fails("unavailable", ref, "redirects")
        assert len(reg.seen(part)) == 6


def test_T51_urls_of_foreign_layers_are_not_asked(fake, site, store):
    other = site(lambda h, p: h.reply(200, b"x"))
    reg = fake()
    la = ig.layer([file("f", "x")])

    def edit(m):
        m["layers"][0].update(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=[other.url + "/layer"])
    store.fails("unsupported", reg.add("a", "1", ig.image([la], edit=edit)), "foreign")
    im = ig.image([la], edit=lambda m: m["layers"][0].update(urls=[other.url + "/layer"]))
    store.pull(reg.add("b", "1", im))
    assert other.seen == []


# --- docker's config.json ---
@pytest.mark.parametrize("text", ["{", "[]", '{"auths": 5}', '{"auths": {"HOST": {"auth": "!!!"}}}', '{"auths": {"HOST": {"auth": "bm9jb2xvbg=="}}}',
                                  '{"auths": {"HOST": {"auth": 5}}}', "x" * (2 << 20)], ids=["cut", "array", "number", "base64", "no-colon", "auth", "huge"])
def test_broken_docker_config(fake, store, tmp_path, text):
    reg = fake()
    ref = reg.add("a", "1", one())
    p = tmp_path / "c.json"
    p.write_text(text.replace("HOST", reg.host))
    err = store.fails(("invalid", "corrupt", "limit", "system"), ref, docker_config=p)
    assert str(p) in err.message and reg.log == []


def test_docker_config_of_others_is_not_looked_into(fake, store, tmp_path):
    reg = fake()
    ref = reg.add("a", "1", one())
    p = tmp_path / "c.json"
    p.write_text(json.dumps({"auths": {"other:1": {"auth": "!!!"}}, "credsStore": "desktop", "HttpHeaders": {"X": "y"}}))
    store.pull(ref, docker_config=p)
    store.pull(ref, docker_config=tmp_path / "does-not-exist")
