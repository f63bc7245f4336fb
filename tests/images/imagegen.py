"""Images made in memory: layers from lists of entries, OCI and docker documents, and a push to a real registry."""
import base64
import copy
import gzip
import hashlib
import http.client
import io
import json
import ssl
import subprocess
import tarfile
from dataclasses import dataclass, field
from urllib.parse import urlsplit

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
MEDIA = {
    ("oci", "manifest"): OCI + "manifest.v1+json", ("oci", "index"): OCI + "index.v1+json", ("oci", "config"): OCI + "config.v1+json",
    ("oci", "plain"): OCI + "layer.v1.tar", ("oci", "gzip"): OCI + "layer.v1.tar+gzip", ("oci", "zstd"): OCI + "layer.v1.tar+zstd",
    ("docker", "manifest"): DOCKER + "distribution.manifest.v2+json", ("docker", "index"): DOCKER + "distribution.manifest.list.v2+json",
    ("docker", "config"): DOCKER + "container.image.v1+json", ("docker", "plain"): DOCKER + "image.rootfs.diff.tar",
    ("docker", "gzip"): DOCKER + "image.rootfs.diff.tar.gzip", ("docker", "zstd"): DOCKER + "image.rootfs.diff.tar.zstd",
}
MTIME = 1_600_000_000


def digest(data, alg="sha256"):
    return alg + ":" + hashlib.new(alg, data).hexdigest()


# --- entries: (name, kind, ...) as TarInfo ---
class Entry(tarfile.TarInfo):
    """A header and its data; a class of its own because TarInfo has slots."""
    payload = b""


def entry(name, kind=tarfile.REGTYPE, data=b"", mode=None, uid=0, gid=0, link="", dev=(0, 0), xattrs=None, mtime=MTIME):
    t = Entry(name)
    t.type, t.uid, t.gid, t.linkname, t.mtime = kind, uid, gid, link, mtime
    t.mode = mode if mode is not None else 0o755 if kind == tarfile.DIRTYPE else 0o777 if kind == tarfile.SYMTYPE else 0o644
    t.devmajor, t.devminor = dev
    t.size = len(data) if kind == tarfile.REGTYPE else 0
    for k, v in (xattrs or {}).items():
        t.pax_headers["SCHILY.xattr." + k] = v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v
    t.payload = data
    return t


def file(name, data=b"", **kw):
    return entry(name, data=data.encode() if isinstance(data, str) else data, **kw)


def dir_(name, **kw):
    return entry(name, tarfile.DIRTYPE, **kw)


def symlink(name, target, **kw):
    return entry(name, tarfile.SYMTYPE, link=target, **kw)


def hardlink(name, target, **kw):
    return entry(name, tarfile.LNKTYPE, link=target, **kw)


def fifo(name, **kw):
    return entry(name, tarfile.FIFOTYPE, **kw)


def chardev(name, major, minor, **kw):
    return entry(name, tarfile.CHRTYPE, dev=(major, minor), **kw)


def blockdev(name, major, minor, **kw):
    return entry(name, tarfile.BLKTYPE, dev=(major, minor), **kw)


def tar(entries, fmt=tarfile.PAX_FORMAT):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w", format=fmt, errors="surrogateescape") as t:
        for e in entries:
            # pax headers of TarInfo are written as they are, and win over the fields
            t.addfile(copy.copy(e), io.BytesIO(e.payload) if e.type == tarfile.REGTYPE else None)
    return b.getvalue()


def gnu_tar(directory, *args):
    """The archive that GNU tar makes of a directory (sparse files, its own xattr forms)."""
    return subprocess.run(["tar", "-C", str(directory), "-c", *args, "."], check=True, stdout=subprocess.PIPE).stdout


def compress(data, how):
    if how == "plain":
        return data
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    return subprocess.run(["zstd", "-q", "-c"], input=data, check=True, stdout=subprocess.PIPE).stdout


@dataclass
class Layer:
    raw: bytes
    how: str = "gzip"
    blob: bytes = None
    entries: list = None
    alg: str = "sha256"

    def __post_init__(self):
        if self.blob is None:
            self.blob = compress(self.raw, self.how)
        self.digest, self.diff_id = digest(self.blob, self.alg), digest(self.raw, self.alg)

    @property
    def hex(self):
        return self.diff_id.split(":")[1]


def layer(entries, how="gzip", alg="sha256", **kw):
    entries = list(entries)
    return Layer(tar(entries, **kw), how, entries=entries, alg=alg)


def js(doc):
    return json.dumps(doc, separators=(",", ":")).encode()


@dataclass
class Image:
    """blobs: digest -> bytes; docs: digest -> (bytes, media type), the last one is the top."""
    layers: list = field(default_factory=list)
    blobs: dict = field(default_factory=dict)
    docs: dict = field(default_factory=dict)
    top: str = ""
    manifest: str = ""
    config: str = ""
    alg: str = "sha256"

    def add_doc(self, doc, media):
        raw = doc if isinstance(doc, bytes) else js(doc)
        d = digest(raw, self.alg)
        self.docs[d] = (raw, media)
        self.top = d
        return {"mediaType": media, "digest": d, "size": len(raw)}


def config_doc(layers, arch="amd64", os_="linux", **more):
    return {"architecture": arch, "os": os_, "created": "2026-01-02T03:04:05Z", "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [la.diff_id for la in layers]},
            "history": [{"created_by": "test"}], **more}


def image(layers, family="oci", edit=None, edit_config=None, arch="amd64", alg="sha256"):
    """edit(manifest) and edit_config(config) change the documents before they are written."""
    im = Image(layers=list(layers), alg=alg)
    conf = config_doc(im.layers, arch)
    if edit_config:
        conf = edit_config(conf) or conf
    raw = conf if isinstance(conf, bytes) else js(conf)
    im.config = digest(raw, alg)
    im.blobs[im.config] = raw
    for la in im.layers:
        im.blobs[la.digest] = la.blob
    m = {"schemaVersion": 2, "mediaType": MEDIA[family, "manifest"],
         "config": {"mediaType": MEDIA[family, "config"], "digest": im.config, "size": len(raw)},
         "layers": [{"mediaType": MEDIA[family, la.how], "digest": la.digest, "size": len(la.blob)} for la in im.layers]}
    if edit:
        m = edit(m) or m
    im.manifest = im.add_doc(m, MEDIA[family, "manifest"])["digest"]
    return im


def index(images, family="oci", edit=None, alg="sha256"):
    """images: {"linux/amd64": Image, "linux/arm64/v8": ...}"""
    im, rows = Image(alg=alg), []
    for platform, one in images.items():
        os_, arch, *variant = platform.split("/")
        im.blobs.update(one.blobs)
        im.docs.update(one.docs)
        raw, media = one.docs[one.top]
        rows.append({"mediaType": media, "digest": one.top, "size": len(raw),
                     "platform": {"os": os_, "architecture": arch, **({"variant": variant[0]} if variant else {})}})
    doc = {"schemaVersion": 2, "mediaType": MEDIA[family, "index"], "manifests": rows}
    if edit:
        doc = edit(doc) or doc
    im.add_doc(doc, MEDIA[family, "index"])
    return im


# --- push over HTTP to a real registry ---
class Registry:
    """base: http://host:port; user: (name, password) for Basic; context: ssl.SSLContext"""

    def __init__(self, base, user=None, context=None):
        self.url, self.user, self.context = urlsplit(base), user, context
        self.host = self.url.netloc

    def request(self, method, path, body=None, headers=None):
        c = (http.client.HTTPSConnection(self.host, context=self.context, timeout=30) if self.url.scheme == "https"
             else http.client.HTTPConnection(self.host, timeout=30))
        headers = dict(headers or {})
        if self.user:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.user).encode()).decode()
        try:
            c.request(method, path, body, headers)
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read()
        finally:
            c.close()

    def ok(self, *args, **kw):
        status, headers, body = self.request(*args, **kw)
        assert status < 300, (args[:2], status, body[:300])
        return headers, body

    def push(self, repo, tag, im):
        for d, data in im.blobs.items():
            where = self.ok("POST", f"/v2/{repo}/blobs/uploads/")[0]["Location"]
            u = urlsplit(where)
            self.ok("PUT", f"{u.path}?{u.query}{'&' if u.query else ''}digest={d}", data, {"Content-Type": "application/octet-stream"})
        for d, (raw, media) in im.docs.items():
            self.ok("PUT", f"/v2/{repo}/manifests/{tag if d == im.top else d}", raw, {"Content-Type": media})
        return f"{self.host}/{repo}:{tag}"


def insecure_context(cafile=None):
    c = ssl.create_default_context(cafile=cafile)
    return c
