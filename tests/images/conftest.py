"""Registries, stores and certificates for the tests of images."""
import base64
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import fakereg  # noqa: E402
import imagegen as ig  # noqa: E402
import worker  # noqa: E402

USER = ("alice", "open sesame")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- certificates ---
class CA:
    def __init__(self, path):
        self.dir = path
        self.crt, self.key = path / "ca.crt", path / "ca.key"
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test CA",
                 "-keyout", self.key, "-out", self.crt)

    def run(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def issue(self, name, san="IP:127.0.0.1,DNS:localhost", days=2):
        key, csr, crt, ext = (self.dir / f"{name}.{s}" for s in ("key", "csr", "crt", "ext"))
        ext.write_text(f"subjectAltName={san}\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", csr)
        self.run("x509", "-req", "-in", csr, "-CA", self.crt, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", ext, "-out", crt)
        return str(crt), str(key)

    def trust(self, certs, host):
        """A certs.d in which `host` is trusted through this CA."""
        d = certs / host
        d.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.crt, d / "ca.crt")
        return certs


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return CA(tmp_path_factory.mktemp("ca"))


# --- Debian's docker-registry ---
class Real:
    def __init__(self, path, http, auth=None, context=None, user=None):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        scheme = "https" if "tls" in http else "http"
        conf = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(path / "data")}, "delete": {"enabled": True}},
                "http": {"addr": self.host, **http}}
        if auth:
            conf["auth"] = auth
        (path / "config.yml").write_text(json.dumps(conf))
        self.proc = subprocess.Popen(["docker-registry", "serve", str(path / "config.yml")],
                                     stdout=open(path / "log", "wb"), stderr=subprocess.STDOUT)
        self.client = ig.Registry(f"{scheme}://{self.host}", user, context)
        for _ in range(400):
            try:
                self.client.request("GET", "/v2/")
                return
            except OSError:
                if self.proc.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError("docker-registry did not start: " + (path / "log").read_text()[-2000:])

    def push(self, repo, tag, im):
        return self.client.push(repo, tag, im)

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


def real(tmp_path_factory, *args, **kw):
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    return Real(tmp_path_factory.mktemp("registry"), *args, **kw)


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    r = real(tmp_path_factory, {})
    yield r
    r.stop()


@pytest.fixture(scope="session")
def registry_tls(tmp_path_factory, ca):
    crt, key = ca.issue("registry")
    r = real(tmp_path_factory, {"tls": {"certificate": crt, "key": key}}, context=ssl.create_default_context(cafile=str(ca.crt)))
    yield r
    r.stop()


@pytest.fixture(scope="session")
def registry_basic(tmp_path_factory):
    path = tmp_path_factory.mktemp("auth") / "htpasswd"
    line = subprocess.run(["htpasswd", "-nbB", "-C", "4", *USER], check=True, stdout=subprocess.PIPE).stdout
    path.write_bytes(line)
    r = real(tmp_path_factory, {}, auth={"htpasswd": {"realm": "test", "path": str(path)}}, user=USER)
    yield r
    r.stop()


# --- a token server, and a docker-registry that believes it ---
def b64url(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


class TokenServer:
    """Signs tokens of docker's format for whoever has USER's password; anonymous callers get pull of public/*."""

    def __init__(self, ca, crt, key):
        der = subprocess.run(["openssl", "x509", "-in", crt, "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout
        self.x5c, self.key, self.requests, self.refresh = base64.b64encode(der).decode(), key, [], False
        outer = self

        class H(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *a):
                pass

            def do_GET(self):
                u = urlsplit(self.path)
                q = parse_qs(u.query)
                outer.requests.append((self.command, q, dict(self.headers.items())))
                scopes = q.get("scope", [])
                good = self.headers.get("Authorization") == "Basic " + base64.b64encode(":".join(USER).encode()).decode()
                if "Authorization" in self.headers and not good:
                    return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
                access = []
                for scope in scopes:
                    kind, name, actions = scope.split(":")
                    if good or name.startswith("public/"):
                        access.append({"type": kind, "name": name, "actions": actions.split(",") if good else ["pull"]})
                more = {"refresh_token": "refresh-me"} if outer.refresh and good and "offline_token" in q else {}
                self.answer(200, {"token": outer.token(q.get("service", [""])[0], access), "expires_in": 300, **more})

            def answer(self, status, doc):
                b = json.dumps(doc).encode()
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(b)))
                self.end_headers()
                self.wfile.write(b)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, service, access):
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]}
        body = {"iss": "test", "sub": USER[0], "aud": service, "exp": now + 300, "nbf": now - 10, "iat": now, "jti": os.urandom(8).hex(),
                "access": access}
        msg = b64url(json.dumps(head).encode()) + "." + b64url(json.dumps(body).encode())
        sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=msg.encode(), check=True, stdout=subprocess.PIPE).stdout
        return msg + "." + b64url(sig)


@pytest.fixture(scope="session")
def registry_token(tmp_path_factory, ca):
    d = tmp_path_factory.mktemp("token")
    key, crt = d / "token.key", d / "token.crt"
    ca.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=token", "-keyout", key, "-out", crt)
    server = TokenServer(ca, str(crt), str(key))
    r = real(tmp_path_factory, {}, auth={"token": {"realm": server.url, "service": "test registry & co", "issuer": "test",
                                                   "rootcertbundle": str(crt)}})
    r.tokens = server

    def push(repo, tag, im):
        scope = [{"type": "repository", "name": repo, "actions": ["pull", "push"]}]
        bearer = {"Authorization": "Bearer " + server.token("test registry & co", scope)}
        plain = r.client.request
        r.client.request = lambda m, p, body=None, headers=None: plain(m, p, body, {**(headers or {}), **bearer})
        try:
            return r.client.push(repo, tag, im)
        finally:
            r.client.request = plain
    r.push = push
    yield r
    server.server.shutdown()
    r.stop()


# --- scripted registries ---
@pytest.fixture
def fake():
    """fake(tls=(crt, key), ...) makes one; all are closed at the end."""
    made = []

    def make(**kw):
        made.append(fakereg.FakeRegistry(**kw))
        return made[-1]
    yield make
    for r in made:
        r.close()


# --- a store ---
class Store:
    def __init__(self, path):
        self.path = path

    def __str__(self):
        return str(self.path)

    def pull(self, ref, **kw):
        return worker.pull(self.path, ref, stderr=str(self.path) + ".log", **kw)

    def fails(self, kind, ref, *words, **kw):
        """The pull must fail in this way, and leave nothing that collection would not take."""
        before = self.references()
        with pytest.raises(worker.PullFailed) as x:
            self.pull(ref, **kw)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        assert x.value.kind in kinds, str(x.value)
        for w in words:
            assert w in x.value.message, str(x.value)
        assert self.references() == before
        self.no_leftovers(resumable=x.value.kind in ("unavailable", "timeout"))
        return x.value

    def names(self, sub):
        try:
            return sorted(os.listdir(self.path / sub))
        except FileNotFoundError:
            return []

    def layers(self):
        return [n for n in self.names("layers") if not n.startswith(".")]

    def references(self):
        out = []
        for where, _, files in os.walk(self.path / "refs"):
            out += [os.path.relpath(os.path.join(where, f), self.path / "refs") for f in files]
        return sorted(out)

    def no_leftovers(self, resumable=False):
        """After a pull that ended by itself nothing is under way; of a failed layer's download an empty directory may stay for the collection. What a
        broken connection left is what the next pull goes on with."""
        under_way = [n for n in self.names("ingest") if os.listdir(self.path / "ingest" / n)]
        assert under_way == [] or (resumable and {f for n in under_way for f in os.listdir(self.path / "ingest" / n)} == {"data"})
        assert [n for n in self.names("layers") if n.startswith(".")] == []
        assert self.names("leases") == []
        assert [n for n in self.names("blobs/sha256") + self.names("images") if n.startswith(".")] == []

    def tree(self, hexid):
        return self.path / "layers" / hexid / "tree"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "lib")


@pytest.fixture
def docker_config(tmp_path):
    def make(host, user=USER, **more):
        p = tmp_path / "docker-config.json"
        p.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(":".join(user).encode()).decode(), **more}}}))
        return p
    return make


@pytest.fixture(scope="session", autouse=True)
def programs():
    if not os.path.exists(worker.WORKER):
        pytest.exit(f"{worker.WORKER} does not exist: run make first", 2)
