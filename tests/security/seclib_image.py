"""Images for `skiff run` in the security tests: a registry of one thread, hostile layers, and skiff with trees of its own."""
import gzip
import hashlib
import http.server
import io
import json
import os
import platform
import re
import subprocess
import tarfile
import threading

from seclib import BIN, sh

ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
APPLETS = ("cat", "echo", "false", "find", "grep", "head", "id", "ls", "mkdir", "mknod", "mount", "pwd", "rm", "sh", "sleep", "stat", "touch", "true", "umount", "wc")


def entry(name, data=b"", kind=tarfile.REGTYPE, mode=0o644, link="", dev=(0, 0)):
    t = tarfile.TarInfo(name)
    t.type, t.mode, t.linkname, t.size = kind, mode, link, len(data)
    t.devmajor, t.devminor = dev
    return t, data


def layer(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for t, data in entries:
            tar.addfile(t, io.BytesIO(data))
    return out.getvalue()


def base_layer(probe):
    dirs = [entry(d, kind=tarfile.DIRTYPE, mode=0o755) for d in ("bin", "etc", "root", "proc", "sys", "dev")] + [entry("tmp", kind=tarfile.DIRTYPE, mode=0o1777)]
    files = []
    for name, path in (("bin/busybox", "/bin/busybox"), ("bin/probe", probe)):
        with open(path, "rb") as f:
            files.append(entry(name, f.read(), mode=0o755))
    links = [entry("bin/" + a, kind=tarfile.SYMTYPE, link="busybox") for a in APPLETS]
    return layer(*dirs, *files, *links, *users())


def users(passwd="", group=""):
    return (entry("etc/passwd", ("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\nlonely:x:1001:4000::/:/bin/sh\n" + passwd).encode()),
            entry("etc/group", ("root:x:0:\nweb:x:1000:\nextra:x:2000:web\nmore:x:3000:web,root\n" + group).encode()))


class ImageServer:
    """Enough of a registry to pull from, over plain HTTP on loopback."""

    def __init__(self):
        self.docs = {}
        docs = self.docs

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                kind, data = docs.get(self.path, ("text/plain", None))
                self.send_response(200 if data is not None or self.path == "/v2/" else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data or b"")))
                self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(data or b"").hexdigest())
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data or b"")
            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.name = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo, layers, config=None):
        def put(data, kind):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            self.docs[f"/v2/{repo}/blobs/{digest}"] = ("application/octet-stream", data)
            return {"mediaType": kind, "digest": digest, "size": len(data)}
        descs = [put(gzip.compress(x, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for x in layers]
        cfg = {"architecture": ARCH, "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], **(config or {})},
               "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers]}}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": put(json.dumps(cfg).encode(), "application/vnd.oci.image.config.v1+json"),
                               "layers": descs}).encode()
        for name in ("latest", "sha256:" + hashlib.sha256(manifest).hexdigest()):
            self.docs[f"/v2/{repo}/manifests/{name}"] = (MANIFEST, manifest)
        return f"{self.name}/{repo}"


class Skiff:
    """skiff with trees of its own below `where`."""
    program = os.path.join(BIN, "skiff")

    def __init__(self, where):
        self.root, self.run_root = where + "/lib", where + "/run"
        self.env = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": where, "HOME": where}
        self.base = [self.program, "--root", self.root, "--run-root", self.run_root]

    def __call__(self, *args, check=False, wrap=(), **kw):
        kw.setdefault("timeout", 60)
        kw.setdefault("env", self.env)
        return sh(*wrap, *self.base, *args, check=check, **kw)

    def run(self, image, *argv, options=(), **kw):
        return self("run", "--rm", *options, image, *argv, **kw)

    def start(self, image, *argv, options=(), **kw):
        p = self("run", "-d", *options, image, *argv, check=True, **kw)
        return p.stdout.strip()

    def pid(self, name):
        return json.loads(self("inspect", name, check=True).stdout)[0]["State"]["Pid"]

    def clean(self):
        names = self("ps", "-aq").stdout.split()
        if names:
            self("rm", "-f", *names)

    def timed(self, *args):
        """Runs to the end; answers with the finished process and the largest resident set of all its processes in kB."""
        p = subprocess.run(["/bin/busybox", "time", "-v", *self.base, *args], capture_output=True, text=True, errors="replace", timeout=60, env=self.env,
                           stdin=subprocess.DEVNULL)
        return p, int(re.search(r"Maximum resident set size.*: (\d+)", p.stderr).group(1))
