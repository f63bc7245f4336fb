"""save and load: what we write others read, what they write we read; hostile archives; a worker that is killed."""
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import time

import imagegen as ig
import pytest
import worker
from imagegen import dir_, file
from test_crash import collect, run

LOAD = 49


def ok(store, *args, **kw):
    rc, out, err = run(store, *args, **kw)
    assert rc == 0, (args, out, err)
    return out


def tool(name):
    return pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed"))


needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")


def skopeo(*args):
    return subprocess.run(["skopeo", *map(str, args)], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60).stdout


def sample(n=3, how=("gzip", "plain", "zstd")):
    return ig.image([ig.layer([dir_(f"d{i}"), file(f"d{i}/f", os.urandom(20000))], how[i % len(how)]) for i in range(n)])


def layout(path, images, names=(), annotation="org.opencontainers.image.ref.name", edit=None):
    """An OCI layout directory."""
    (path / "blobs/sha256").mkdir(parents=True)
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    rows = []
    for i, im in enumerate(images):
        for d, raw in [*im.blobs.items(), *((d, raw) for d, (raw, _) in im.docs.items())]:
            (path / "blobs/sha256" / d.split(":")[1]).write_bytes(raw)
        raw, media = im.docs[im.top]
        rows.append({"mediaType": media, "digest": im.top, "size": len(raw), **({"annotations": {annotation: names[i]}} if i < len(names) else {})})
    doc = {"schemaVersion": 2, "manifests": rows}
    (path / "index.json").write_bytes(ig.js(edit(doc) if edit else doc))
    return path


def packed(path, how=""):
    subprocess.run(["tar", "-C", str(path), "-cf", str(path) + ".tar", "."], check=True)
    if how:
        subprocess.run([how, "-q", str(path) + ".tar"], check=True)
    return str(path) + ".tar" + {"": "", "gzip": ".gz", "zstd": ".zst", "xz": ".xz", "bzip2": ".bz2"}[how]


def docker_archive(path, im, tags=("example.com/a/b:1",), edit=None, extra=(), first=False):
    """As `docker save` of old: manifest.json last, layers uncompressed."""
    raw = im.blobs[im.config]
    name = im.config.split(":")[1] + ".json"
    layers = [(la.hex + "/layer.tar", la.raw) for la in im.layers]
    doc = [{"Config": name, "RepoTags": list(tags), "Layers": [n for n, _ in layers]}]
    doc = edit(doc) if edit else doc
    doc = ("manifest.json", doc if isinstance(doc, bytes) else ig.js(doc))
    items = [doc, *layers, (name, raw)] if first else [*layers, (name, raw), doc]
    data = ig.tar([*(e for e in extra), *(file(n, b) for n, b in items)], tarfile.GNU_FORMAT)
    path.write_bytes(data)
    return path


# --- what we write ---
def test_save_is_deterministic_and_loads_again(fake, store, tmp_path):
    a, b = sample(3), sample(1)
    b = ig.image([a.layers[0], b.layers[0]])
    reg = fake()
    refs = [reg.add("one", "1", a), reg.add("two", "x", b)]
    for r in refs:
        store.pull(r)
    ok(store, "save", "-o", str(tmp_path / "1.tar"), *refs)
    ok(store, "save", "-o", str(tmp_path / "2.tar"), *refs)
    one = (tmp_path / "1.tar").read_bytes()
    assert one == (tmp_path / "2.tar").read_bytes()
    names = tarfile.open(tmp_path / "1.tar").getnames()
    assert len(names) == len(set(names)), "layers are shared"
    assert {"manifest.json", "repositories", "index.json", "oci-layout"} <= set(names)
    from conftest import Store
    other = Store(tmp_path / "other")
    out = ok(other, "load", "-i", str(tmp_path / "1.tar"))
    assert out == "".join(f"Loaded image: {r}\n" for r in refs)
    assert ok(other, "images", "-q", "--no-trunc").split() and sorted(set(ok(other, "images", "-q", "--no-trunc").split())) == sorted({a.config, b.config})
    assert sorted(other.layers()) == sorted({la.hex for im in (a, b) for la in im.layers})
    ok(other, "save", "-o", str(tmp_path / "3.tar"), *refs)
    assert one == (tmp_path / "3.tar").read_bytes()
    assert worker.verify(other.path).bad == []
    collect(other)


@needs_skopeo
def test_skopeo_reads_what_we_save(fake, store, tmp_path):
    im = sample()
    ref = fake().add("app", "1", im)
    store.pull(ref)
    for form, transport in (("docker-archive", "docker-archive"), ("oci-archive", "oci-archive"), ("oci-dir", "oci")):
        out = tmp_path / form
        ok(store, "save", "--format", form, "-o", str(out), ref)
        conf = skopeo("inspect", "--config", "--raw", f"{transport}:{out}")
        assert "sha256:" + hashlib.sha256(conf).hexdigest() == im.config
        skopeo("copy", f"{transport}:{out}", f"dir:{tmp_path / ('x' + form)}")  # verifies every digest


@pytest.mark.parametrize("which", [tool("podman"), tool("docker")])
def test_they_load_what_we_save(fake, store, tmp_path, which):
    """Their own store; docker only where a daemon answers."""
    im = sample()
    ref = fake().add("app", "1", im)
    store.pull(ref)
    ok(store, "save", "-o", str(tmp_path / "s.tar"), ref)
    if which == "docker":
        if subprocess.run(["docker", "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("no docker daemon")
        cmd = ["docker"]
    else:
        short = tempfile.mkdtemp(prefix="skfp", dir="/tmp")  # podman refuses run roots of more than 50 characters
        cmd = ["podman", "--root", short + "/a", "--runroot", short + "/r", "--storage-driver", "vfs"]
    p = subprocess.run([*cmd, "load", "-i", str(tmp_path / "s.tar")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)
    assert p.returncode == 0, p.stderr
    got = subprocess.run([*cmd, "image", "inspect", ref, "--format", "{{.Id}}"], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    assert got.split(":")[-1] == im.config.split(":")[1]
    back = tmp_path / "back.tar"
    with open(back, "wb") as f:
        subprocess.run([*cmd, "save", ref], check=True, stdout=f, timeout=100)
    from conftest import Store
    other = Store(tmp_path / "other")
    assert ok(other, "load", "-i", str(back)) == f"Loaded image: {ref}\n"
    assert ok(other, "images", "-q", "--no-trunc").strip() == im.config
    subprocess.run([*cmd, "rmi", ref], stdout=subprocess.DEVNULL, timeout=100)
    if which == "podman":
        shutil.rmtree(short, ignore_errors=True)


# --- what they write ---
@needs_skopeo
def test_we_load_what_skopeo_writes(store, tmp_path):
    im = sample(3, ("gzip", "plain"))
    src = layout(tmp_path / "src", [im], ["latest"])
    skopeo("copy", f"oci:{src}:latest", f"docker-archive:{tmp_path}/d.tar:example.com/x/y:2")
    skopeo("copy", f"oci:{src}:latest", f"oci-archive:{tmp_path}/o.tar:example.com/x/z:3")
    assert ok(store, "load", "-i", str(tmp_path / "d.tar")) == "Loaded image: example.com/x/y:2\n"
    assert ok(store, "load", "-i", str(tmp_path / "o.tar")) == "Loaded image: example.com/x/z:3\n"
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert set(ok(store, "images", "-q", "--no-trunc").split()) == {im.config}


@pytest.mark.parametrize("how", ["", "gzip", "zstd", "xz", "bzip2"])
def test_compressed_archives_and_pipes(store, tmp_path, how):
    im = sample()
    path = packed(layout(tmp_path / "l", [im], ["example.com/a:1"]), how)
    assert ok(store, "load", "-i", path) == "Loaded image: example.com/a:1\n"
    ok(store, "rmi", "example.com/a:1")
    with open(path, "rb") as f:
        p = subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(tmp_path / "run"), "load", "-q"], input=f.read(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert p.stdout == b"Loaded image: example.com/a:1\n", p.stderr
    store.no_leftovers()


def test_directory_index_and_nameless(store, tmp_path):
    amd, arm = sample(1), ig.image(sample(1).layers, arch="arm64")
    both = ig.index({"linux/amd64": amd, "linux/arm64": arm})
    ok(store, "load", "-i", str(layout(tmp_path / "l", [both], ["example.com/multi:1"])))
    assert ok(store, "images", "-q", "--no-trunc").strip() == amd.config
    ok(store, "load", "--platform", "linux/arm64", "-i", str(tmp_path / "l"))
    assert ok(store, "images", "-q", "--no-trunc", "example.com/multi").strip() == arm.config
    assert ok(store, "load", "-i", str(layout(tmp_path / "n", [sample(1)], ["latest"]))).startswith("Loaded image ID: sha256:")
    assert "<none>" in ok(store, "images")
    ok(store, "system", "check", "--repair")
    assert "<none>" in ok(store, "images"), "a nameless image is not garbage"


def test_symlinked_layers_of_old_docker(store, tmp_path):
    la = ig.layer([file("f", "x")], "plain")
    im = ig.image([la, la])
    doc = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    data = ig.tar([file("one/layer.tar", la.raw), ig.symlink("two/layer.tar", "../one/layer.tar"), file("c.json", im.blobs[im.config]),
                   file("manifest.json", ig.js(doc))])
    (tmp_path / "a.tar").write_bytes(data)
    assert ok(store, "load", "-i", str(tmp_path / "a.tar")) == "Loaded image: a:1\n"


# --- attacks ---
def refuse(store, path, *words):
    t = time.monotonic()
    rc, out, err = run(store, "load", "-i", str(path))
    assert rc != 0 and err.count("\n") == 1, (out, err)
    for w in words:
        assert w in err, err
    assert time.monotonic() - t < 20
    assert store.references() == []
    store.no_leftovers()
    collect(store)
    assert store.layers() == [] and store.names("blobs/sha256") == []


def evil_entries():
    la = ig.layer([file("f", "x")], "plain")
    im = ig.image([la])
    return {
        "climbing-name": ({"extra": [file("../../etc/x", "x")]}, ["no name in an archive"]),
        "climbing-link": ({"extra": [ig.symlink("a/b", "../../../etc/passwd")]}, ["outside of it"]),
        "absolute-link": ({"extra": [ig.symlink("a", "/etc/passwd")]}, ["outside of it"]),
        "device": ({"extra": [ig.chardev("null", 1, 3)]}, ["neither file nor link"]),
        "twice": ({"extra": [file("manifest.json", "[]")]}, ["twice"]),
        "layer-is-a-circle": ({"extra": [ig.symlink("l1", "l2"), ig.symlink("l2", "l1")],
                               "edit": lambda d: [{**d[0], "Layers": ["l1"]}]}, ["circle"]),
        "layer-climbs": ({"edit": lambda d: [{**d[0], "Layers": ["../../etc/passwd"]}]}, ["no name"]),
        "layer-missing": ({"edit": lambda d: [{**d[0], "Layers": ["nothing"]}]}, ["has no 'nothing'"]),
        "other-layer": ({"edit": lambda d: [{**d[0], "Layers": [d[0]["Config"]]}]}, []),
        "config-missing": ({"edit": lambda d: [{**d[0], "Config": "none.json"}]}, ["has no 'none.json'"]),
        "config-lies": ({"edit": lambda d: [{**d[0], "Config": "0" * 64}], "extra": [file("0" * 64, im.blobs[im.config])]}, ["not what its name says"]),
        "bad-tag": ({"tags": ["../../x:1"]}, ["invalid reference"]),
        "not-json": ({"edit": lambda d: b"{not json"}, ["manifest.json"]),
        "an-object": ({"edit": lambda d: b'[],"Config":[]'}, ["manifest.json"]),
        "huge-manifest": ({"edit": lambda d: b"[" + b" " * (5 << 20) + b"]"}, ["at most"]),
        "too-many-layers": ({"edit": lambda d: [{**d[0], "Layers": d[0]["Layers"] * 600}]}, []),
    }


@pytest.mark.parametrize("what", sorted(evil_entries()))
def test_hostile_docker_archive(store, tmp_path, what):
    how, words = evil_entries()[what]
    refuse(store, docker_archive(tmp_path / "e.tar", ig.image([ig.layer([file("f", "x")], "plain")]), **how), *words)


def corrupt(path, d, fn):
    f = path / "blobs/sha256" / d.split(":")[1]
    f.write_bytes(fn(f.read_bytes()))


OCI_CASES = {
    "layer-bytes": (lambda p, im: corrupt(p, im.layers[0].digest, lambda b: b[:-1] + bytes([b[-1] ^ 1])), []),
    "layer-short": (lambda p, im: corrupt(p, im.layers[0].digest, lambda b: b[:-1]), ["descriptor says"]),
    "layer-long": (lambda p, im: corrupt(p, im.layers[0].digest, lambda b: b + b"x"), ["descriptor says"]),
    "config": (lambda p, im: corrupt(p, im.config, lambda b: b.replace(b"amd64", b"arm64")), ["not what its name says"]),
    "manifest": (lambda p, im: corrupt(p, im.top, lambda b: b + b" "), ["not what its name says"]),
    "no-layer": (lambda p, im: (p / "blobs/sha256" / im.layers[0].digest.split(":")[1]).unlink(), ["has no"]),
    "empty": (lambda p, im: (p / "index.json").write_text('{"schemaVersion":2,"manifests":[]}'), ["no image"]),
    "both": (lambda p, im: (p / "index.json").write_text('{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}'), ["index.json"]),
    "path-digest": (lambda p, im: (p / "index.json").write_text((p / "index.json").read_text().replace(im.top, "sha256:../../../etc/passwd")), ["index.json"]),
    "link": (lambda p, im: ((p / "index.json").unlink(), os.symlink("/etc/passwd", p / "index.json")), []),
}


@pytest.mark.parametrize("form", ["dir", "tar"])
@pytest.mark.parametrize("what", sorted(OCI_CASES))
def test_hostile_layout(store, tmp_path, what, form):
    im = sample(1, ("gzip",))
    path = layout(tmp_path / "l", [im], ["a.b/c:1"])
    OCI_CASES[what][0](path, im)
    refuse(store, path if form == "dir" else packed(path), *([] if what == "link" else OCI_CASES[what][1]))


def test_bombs_and_rubbish(store, tmp_path):
    for name, data, words in (("empty", b"", ["empty"]), ("text", b"hello\n" * 200, ["no archive of images"]), ("zeros", bytes(10240), ["empty"]),
                              ("cut", docker_archive(tmp_path / "w", sample(1)).read_bytes()[:9000], ["cut short"]),
                              ("flat", ig.tar([file("etc/passwd", "x")]), ["skiff import"])):
        (tmp_path / name).write_bytes(data)
        refuse(store, tmp_path / name, *words)
    bomb = tmp_path / "bomb.zst"
    p = subprocess.run("head -c 3G /dev/zero | zstd -q -3 -c", shell=True, stdout=subprocess.PIPE, check=True)
    bomb.write_bytes(p.stdout)
    refuse(store, bomb, "bomb")


def test_killed_while_loading(store, tmp_path):
    """kill -9 of the worker at any moment: what has a name is whole, and the next load works."""
    im = ig.image([ig.layer([dir_(f"d{i}")] + [file(f"d{i}/{k}", os.urandom(60000)) for k in range(20)], "plain") for i in range(4)])
    path = packed(layout(tmp_path / "l", [im], ["a.b/c:1"]))

    def start():
        w = worker.Worker()
        f = os.open(path, os.O_RDONLY)
        import socket
        socket.send_fds(w.sock, [worker.record(LOAD, worker.string(str(store.path)), worker.string(""), worker.string(""))], [f])
        os.close(f)
        return w
    t = time.monotonic()
    start().finish()
    whole = time.monotonic() - t
    rnd = random.Random(1)
    states = set()
    for n in range(12):
        run(store, "rmi", "a.b/c:1")
        collect(store)
        assert store.layers() == []
        w = start()
        time.sleep(rnd.uniform(0.002, whole * 1.1))
        w.kill()
        states.add((len(store.layers()), len(store.references())))
        if store.references():
            assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
        assert worker.verify(store.path).bad == []
    ok(store, "load", "-i", path)
    collect(store)
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert len(states) > 1, states
    assert json.loads(ok(store, "image", "inspect", "a.b/c:1"))[0]["Id"] == im.config


def test_terminal_and_options(store, tmp_path):
    import pty
    m, s = pty.openpty()
    argv = [worker.SKIFF, "--root", str(store.path), "--run-root", str(tmp_path / "run")]
    p = subprocess.run([*argv, "save", "x"], stdout=s, stderr=subprocess.PIPE)
    assert p.returncode == 1 and b"cowardly refusing to save to a terminal" in p.stderr
    p = subprocess.run([*argv, "load"], stdin=s, stderr=subprocess.PIPE)
    assert p.returncode == 1 and b"standard input" in p.stderr
    os.close(m)
    os.close(s)
    rc, out, err = run(store, "save", "-o", str(tmp_path / "x"), "nothing:1")
    assert rc == 1 and "No such image: nothing:1" in err and not (tmp_path / "x").exists()
    rc, out, err = run(store, "save", "--format", "zip", "-o", str(tmp_path / "x"), "a")
    assert rc == 1 and "docker-archive" in err


def test_docker_dir(store, tmp_path):
    """podman save --format docker-dir: skopeo's dir: of docker's family, with --compress gzipped."""
    im = ig.image([ig.layer([file(f"f{i}", os.urandom(100) + b"a" * 5000)]) for i in range(2)])
    ok(store, "load", "-i", str(layout(tmp_path / "in", [im], ["example.com/x:1"])))
    for flags, media in (([], "plain"), (["--compress", "-q"], "gzip")):
        d = tmp_path / media
        ok(store, "save", "--format", "docker-dir", *flags, "-o", str(d), "example.com/x:1")
        m = json.loads((d / "manifest.json").read_text())
        assert m["mediaType"] == ig.MEDIA["docker", "manifest"] and [la["mediaType"] for la in m["layers"]] == [ig.MEDIA["docker", media]] * 2
        assert "sha256:" + hashlib.sha256((d / m["config"]["digest"][7:]).read_bytes()).hexdigest() == im.config
        for la, row in zip(im.layers, m["layers"]):
            raw = (d / row["digest"][7:]).read_bytes()
            assert len(raw) == row["size"] and (gzip.decompress(raw) if media == "gzip" else raw) == la.raw
    ok(store, "tag", "example.com/x:1", "example.com/y:1")
    ok(store, "save", "-m", "-o", str(tmp_path / "m.tar"), "example.com/x:1", "example.com/y:1")
    for args, words in ((["--format", "docker-dir", "example.com/x:1"], "needs a directory"), (["--compress", "-o", str(tmp_path / "z"), "example.com/x:1"], "--compress can only be set"),
                        (["--format", "docker-dir", "-o", str(tmp_path / "two"), "example.com/x:1", "example.com/y:1"], "is for one image")):
        rc, _, err = run(store, "save", *args)
        assert rc and words in err, err
