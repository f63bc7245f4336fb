"""A registry in a thread that does what the test says: it serves images from memory, and rules may answer instead.

A rule is a function (handler, path) -> bool, asked in order; True: it has answered. Every request is kept in `log`.
"""
import hashlib
import http.server
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


def digest(data, alg="sha256"):
    return alg + ":" + hashlib.new(alg, data).hexdigest()


@dataclass
class Seen:
    method: str
    path: str
    headers: dict
    body: bytes = b""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", headers=None, length=None):
        self.send_response_only(status)
        for k, v in (headers or {}).items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        """RST instead of an orderly end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        sock = self.connection.unwrap() if False else self.connection
        sock.shutdown(socket.SHUT_RD) if isinstance(sock, ssl.SSLSocket) else None
        sock.close()

    def do_GET(self):
        reg = self.server.reg
        length = int(self.headers.get("Content-Length", 0) or 0)
        cut = reg.cut(self, length) if length and reg.cut else None
        body = self.rfile.read(length if cut is None else cut)
        with reg.lock:
            reg.log.append(Seen(self.command, self.path, dict(self.headers.items()), body))
        self.body = body
        try:
            if cut is not None:
                reg.session_put(self, body)
                return self.reset()
            for rule in list(reg.rules):
                if rule(self, self.path):
                    return
            reg.serve(self, self.path)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError, ValueError, OSError):
            self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


@dataclass
class FakeRegistry:
    tls: tuple = None          # (cert file, key file)
    address: str = "127.0.0.1"
    log: list = field(default_factory=list)
    rules: list = field(default_factory=list)
    docs: dict = field(default_factory=dict)   # (repo, tag or digest) -> (bytes, media type)
    blobs: dict = field(default_factory=dict)  # digest -> bytes
    ranges: bool = True        # honours Range
    sessions: dict = field(default_factory=dict)  # upload id -> bytearray
    repos: dict = field(default_factory=dict)     # repo -> digests that were pushed or mounted there; None: every blob is everywhere
    whole: bool = False        # knows uploads in one POST (end-4b)
    tag_query: bool = False    # knows ?tag= of PUT manifests/DIGEST (end-7b)
    sha512: bool = True        # takes manifests by sha512
    split: bool = False        # blobs are only in the repositories that they were pushed to
    chunk_min: int = 0
    chunks: bool = True        # knows PATCH with Content-Range
    referrers: bool = False    # the referrers API, and OCI-Subject
    upload_base: str = ""      # sessions are at this URL instead of the own one
    cut: object = None         # fn(handler, length) -> bytes of a body to take before the connection is reset, or None
    sent: int = 0              # bytes of blobs that were sent
    page: int = 0              # most tags of one page
    rate: int = 0              # bytes per second of a blob; 0: as fast as it goes

    def __post_init__(self):
        self.lock = threading.Lock()
        self.server = Server((self.address, 0), Handler)
        self.server.reg = self
        if self.tls:
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            c.load_cert_chain(*self.tls)
            # the handshake happens in the connection's own thread, so that a client that gives up blocks nobody
            self.server.socket = c.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.host = f"{self.address}:{self.port}"
        self.scheme = "https" if self.tls else "http"
        self.base = f"{self.scheme}://{self.host}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    # --- content ---
    def add(self, repo, tag, im):
        self.blobs.update(im.blobs)
        for d, doc in im.docs.items():
            self.docs[repo, d] = doc
        self.docs[repo, tag] = im.docs[im.top]
        return f"{self.host}/{repo}:{tag}"

    def serve(self, h, path):
        if h.command not in ("GET", "HEAD") or "/uploads/" in path:
            return self.write(h, path)
        query = parse_qs(urlsplit(path).query)
        path = path.split("?")[0]
        if path == "/v2/":
            return h.reply(200, b"{}")
        m = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if m and m[2] == "manifests" and (m[1], m[3]) in self.docs:
            raw, media = self.docs[m[1], m[3]]
            return h.reply(200, raw, {"Content-Type": media, "Docker-Content-Digest": digest(raw, self.alg_of(m[1], m[3]))})
        t = re.fullmatch(r"/v2/(.+)/tags/list", path)
        if t:
            return self.tags(h, t[1], query)
        r = re.fullmatch(r"/v2/(.+)/referrers/([^/]+)", path)
        if r and self.referrers:
            return self.list_referrers(h, r[1], r[2])
        if m and m[2] == "blobs" and m[3] in self.blobs and (not self.split or m[3] in self.repos.get(m[1], ())):
            return self.send_blob(h, self.blobs[m[3]])
        return h.reply(404, b'{"errors":[{"code":"NOT_FOUND","message":"no such thing"}]}')

    def send_blob(self, h, data):
        rng = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range", ""))
        if not rng or not self.ranges:
            return self.stream(h, 200, data, {})
        at = int(rng[1])
        if at >= len(data):
            return h.reply(416)
        return self.stream(h, 206, data[at:], {"Content-Range": f"bytes {at}-{len(data) - 1}/{len(data)}"})

    def stream(self, h, status, data, headers):
        if h.command == "HEAD" or not self.rate:
            self.sent += len(data) if h.command == "GET" else 0
            return h.reply(status, data, headers)
        h.reply(status, b"", headers, length=len(data))
        step = 16384  # small, because what is in the sockets when the client dies counts as sent
        for at in range(0, len(data), step):
            h.wfile.write(data[at:at + step])
            with self.lock:
                self.sent += len(data[at:at + step])
            time.sleep(step / self.rate)

    # --- pushes ---
    def session_put(self, h, body):
        m = re.search(r"/blobs/uploads/([^/?]+)", h.path)
        if m and m[1] in self.sessions:
            self.sessions[m[1]] += body

    def accept(self, h, repo, name, headers=None, status=202):
        n = len(self.sessions[name])
        base = self.upload_base or self.base
        return h.reply(status, b"", {"Location": f"{base}/v2/{repo}/blobs/uploads/{name}?state=x{n}", "Range": f"0-{max(0, n - 1)}",
                                     **({"OCI-Chunk-Min-Length": str(self.chunk_min)} if self.chunk_min else {}), **(headers or {})})

    def write(self, h, path):
        u = urlsplit(path)
        query = {k: v[0] for k, v in parse_qs(u.query, keep_blank_values=True).items()}
        m = re.fullmatch(r"/v2/(.+)/blobs/uploads/([^/]*)", u.path)
        if m:
            return self.upload(h, m[1], m[2], query)
        m = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", u.path)
        if m and m[2] == "manifests" and h.command == "PUT":
            return self.put_manifest(h, m[1], m[3], parse_qs(u.query).get("tag", []))
        if m and h.command == "DELETE":
            gone = self.docs.pop((m[1], m[3]), None) if m[2] == "manifests" else self.blobs.pop(m[3], None)
            return h.reply(202 if gone else 404)
        return h.reply(405)

    def upload(self, h, repo, name, query):
        if h.command == "POST":
            d, from_ = query.get("mount"), query.get("from")
            if d and d in self.blobs and d in self.repos.get(from_, ()):
                self.repos.setdefault(repo, set()).add(d)
                return h.reply(201, b"", {"Location": f"/v2/{repo}/blobs/{d}"})
            if self.whole and (d := query.get("digest")):
                if d != digest(h.body, d.split(":")[0]):
                    return h.reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
                self.blobs[d] = bytes(h.body)
                self.repos.setdefault(repo, set()).add(d)
                return h.reply(201, b"", {"Location": f"/v2/{repo}/blobs/{d}"})
            name = os.urandom(8).hex()
            self.sessions[name] = bytearray()
            return self.accept(h, repo, name)
        if name not in self.sessions:
            return h.reply(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
        data = self.sessions[name]
        if h.command == "GET":
            return self.accept(h, repo, name, status=204)
        if h.command == "DELETE":
            del self.sessions[name]
            return h.reply(204)
        rng = re.fullmatch(r"(\d+)-(\d+)", h.headers.get("Content-Range", ""))
        if rng and (int(rng[1]) != len(data) or int(rng[2]) - int(rng[1]) + 1 != len(h.body) or not self.chunks):
            return self.accept(h, repo, name, status=416)
        data += h.body
        if h.command == "PATCH":
            return self.accept(h, repo, name)
        got = digest(data, query.get("digest", "sha256:").split(":")[0])
        if got != query.get("digest"):
            return h.reply(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"wrong bytes"}]}')
        self.blobs[got] = bytes(data)
        self.repos.setdefault(repo, set()).add(got)
        del self.sessions[name]
        return h.reply(201, b"", {"Location": f"/v2/{repo}/blobs/{got}", "Docker-Content-Digest": got})

    def alg_of(self, repo, name):
        """The algorithm of a document's digest: its name's, or that of the digest under which it was added too."""
        if ":" in name:
            return name.split(":")[0]
        return next((n.split(":")[0] for (r, n), v in self.docs.items() if r == repo and ":" in n and v == self.docs[repo, name]), "sha256")

    def put_manifest(self, h, repo, name, tags):
        d = digest(h.body, name.split(":")[0] if ":" in name else "sha256")
        if d.startswith("sha512:") and not self.sha512 or ":" in name and d != name:
            return h.reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        doc = json.loads(h.body)
        for b in [doc["config"], *(x for x in doc["layers"] if not x.get("urls"))] if "layers" in doc else []:
            if b["digest"] not in self.blobs or (self.split and b["digest"] not in self.repos.get(repo, ())):
                return h.reply(400, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')
        self.docs[repo, d] = self.docs[repo, name] = (h.body, h.headers["Content-Type"])
        if self.tag_query:
            for t in tags:
                self.docs[repo, t] = self.docs[repo, d]
        taken = {"OCI-Tag": ", ".join(tags)} if self.tag_query and tags else {}
        subject = {"OCI-Subject": doc["subject"]["digest"]} if self.referrers and "subject" in doc else {}
        return h.reply(201, b"", {"Docker-Content-Digest": d, **subject, **taken})

    def tags(self, h, repo, query):
        tags = sorted(t for r, t in self.docs if r == repo and ":" not in t)
        n, last = int(query.get("n", ["1000"])[0]), query.get("last", [""])[0]
        n = min(n, self.page) if self.page else n
        rest = [t for t in tags if t > last]
        more = {"Link": f'</v2/{repo}/tags/list?last={rest[n - 1]}&n={n}>; rel="next"'} if len(rest) > n else {}
        return h.reply(200, json.dumps({"name": repo, "tags": rest[:n]}).encode(), more)

    def list_referrers(self, h, repo, d):
        rows = []
        for (r, name), (raw, media) in self.docs.items():
            doc = json.loads(raw)
            if r == repo and ":" in name and doc.get("subject", {}).get("digest") == d:
                rows.append({"mediaType": media, "digest": name, "size": len(raw),
                             "artifactType": doc.get("artifactType") or doc.get("config", {}).get("mediaType")})
        raw = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": rows}).encode()
        return h.reply(200, raw, {"Content-Type": "application/vnd.oci.image.index.v1+json"})

    # --- what was asked ---
    def seen(self, part):
        with self.lock:
            return [s for s in self.log if part in s.path]

    def rule(self, part, times=None):
        """Decorator: fn(handler, n-th time) answers requests whose path holds `part`, at most `times` times; None is True."""
        def put(fn):
            count = [0]

            def rule(h, path):
                if part not in path:
                    return False
                with self.lock:
                    if times is not None and count[0] >= times:
                        return False
                    count[0] += 1
                    n = count[0]
                return fn(h, n) is not False
            self.rules.append(rule)
            return fn
        return put


def flapping(status, headers=None, body=b""):
    return lambda h, n: h.reply(status, body, headers)
