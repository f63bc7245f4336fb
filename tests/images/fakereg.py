"""A registry in a thread that does what the test says: it serves images from memory, and rules may answer instead.

A rule is a function (handler, path) -> bool, asked in order; True: it has answered. Every request is kept in `log`.
"""
import http.server
import re
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field


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
        body = self.rfile.read(int(self.headers.get("Content-Length", 0) or 0))
        with reg.lock:
            reg.log.append(Seen(self.command, self.path, dict(self.headers.items()), body))
        self.body = body
        try:
            for rule in list(reg.rules):
                if rule(self, self.path):
                    return
            reg.serve(self, self.path)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError, ValueError, OSError):
            self.close_connection = True

    do_HEAD = do_POST = do_GET

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
        path = path.split("?")[0]
        if path == "/v2/":
            return h.reply(200, b"{}")
        m = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if m and m[2] == "manifests" and (m[1], m[3]) in self.docs:
            raw, media = self.docs[m[1], m[3]]
            return h.reply(200, raw, {"Content-Type": media})
        if m and m[2] == "blobs" and m[3] in self.blobs:
            return self.send_blob(h, self.blobs[m[3]])
        return h.reply(404, b'{"errors":[{"code":"NOT_FOUND","message":"no such thing"}]}')

    def send_blob(self, h, data):
        rng = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range", ""))
        if not rng or not self.ranges:
            return h.reply(200, data)
        at = int(rng[1])
        if at >= len(data):
            return h.reply(416)
        return h.reply(206, data[at:], {"Content-Range": f"bytes {at}-{len(data) - 1}/{len(data)}"})

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
