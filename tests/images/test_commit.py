"""commit, export, import, diff, tag, untag, history, prune: through the command line, with real containers."""
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time

import imagegen as ig
import pytest
import worker
from imagegen import dir_, file, symlink
from test_archives import layout, ok
from test_crash import collect, run

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "engine"))
COMMIT = 51
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")


@pytest.fixture
def base(store, tmp_path):
    """An image with a shell and something to change."""
    if not shutil.which("busybox"):
        pytest.skip("no busybox")
    with open(os.path.realpath(shutil.which("busybox")), "rb") as f:
        bb = f.read()
    names = ("sh", "rm", "mkdir", "ln", "chmod", "echo", "sleep", "cat", "ls", "env", "mv", "mknod")
    low = ig.layer([dir_("bin"), file("bin/busybox", bb, mode=0o755), *(symlink(f"bin/{n}", "busybox") for n in names),
                    dir_("etc"), file("etc/passwd", "root:x:0:0::/:/bin/sh\n"), dir_("gone"), file("gone/a", "1"), file("gone/b", "2"),
                    dir_("opq"), file("opq/old", "old"), file("keep", "keep"), file("chm", "c", mode=0o600)])
    top = ig.layer([file("top", "top"), dir_("proc"), dir_("sys"), dir_("dev")])
    im = ig.image([low, top], edit_config=lambda c: {**c, "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin", "A=1"], "Labels": {"l": "1"}}})
    ok(store, "load", "-i", str(layout(tmp_path / "base", [im], ["example.com/base:1"])))
    return im


CHANGE = "echo new > /new; ln /new /hard; rm -r /gone; mkdir /gone2; rm -r /opq; mkdir /opq; echo n > /opq/new; chmod 755 /chm; rm /keep; ln -s x /sym"


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        return {m.name: m for m in t.getmembers()}


def export(store, name):
    p = subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), "export", name],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert p.returncode == 0, p.stderr
    return p.stdout


def check_tree(m):
    assert "gone" not in m and "gone2" in m and "opq/old" not in m and "opq/new" in m and "keep" not in m and m["chm"].mode == 0o755
    assert {m["new"].type, m["hard"].type} == {tarfile.REGTYPE, tarfile.LNKTYPE} and m["sym"].linkname == "x" and "top" in m
    assert not [n for n in m if ".wh." in n]


def test_commit_export_import_diff(store, base):
    ok(store, "run", "--name", "c", "-e", "B=2", "example.com/base:1", "sh", "-c", CHANGE)
    rows = dict(reversed(li.split(" ", 1)) for li in ok(store, "diff", "c").splitlines())
    want = {"/new": "A", "/hard": "A", "/gone": "D", "/gone2": "A", "/opq": "C", "/opq/new": "A", "/opq/old": "D", "/chm": "C", "/keep": "D", "/sym": "A"}
    assert {k: v for k, v in rows.items() if k not in ("/etc",)} == want, rows
    flat = export(store, "c")
    check_tree(names(flat))
    iid = ok(store, "commit", "-a", "Me <me@x>", "-m", "a message", "-c", 'CMD ["/bin/cat", "/new"]', "-c", "LABEL m=2", "c", "made:1").strip()
    doc = json.loads(ok(store, "image", "inspect", "made:1"))[0]
    assert doc["Id"] == iid and doc["Author"] == "Me <me@x>"
    assert doc["Config"]["Cmd"] == ["/bin/cat", "/new"] and doc["Config"]["Labels"] == {"l": "1", "m": "2"}
    assert {"A=1", "B=2"} <= set(doc["Config"]["Env"]) and len(doc["RootFS"]["Layers"]) == 3
    assert doc["RootFS"]["Layers"][:2] == [la.diff_id for la in base.layers]
    assert ok(store, "run", "--rm", "made:1") == "new\n"
    ok(store, "run", "--name", "d", "made:1", "ls")
    second = names(export(store, "d"))
    check_tree(second)
    assert {n: (m.type, m.mode, m.uid, m.size, m.linkname) for n, m in second.items()} == \
        {n: (m.type, m.mode, m.uid, m.size, m.linkname) for n, m in names(flat).items()}
    assert ok(store, "diff", "d") == ""
    top = dict(reversed(li.split(" ", 1)) for li in ok(store, "image", "diff", "made:1").splitlines())
    assert {k: v for k, v in top.items() if k != "/etc"} == want
    assert ok(store, "image", "diff", "made:1", "made:1") == ""
    h = ok(store, "history", "made:1").splitlines()
    assert "a message" in h[1] and iid.split(":")[1][:12] in h[1]
    assert ok(store, "history", "--format", "{{.Comment}}", "made:1").splitlines()[0] == "a message"
    assert worker.verify(store.path).bad == []
    (store.path.parent / "flat.tar").write_bytes(flat)
    one = ok(store, "import", "-m", "imp", "-c", "ENTRYPOINT /bin/cat /new", str(store.path.parent / "flat.tar"), "flat:1").strip()
    doc = json.loads(ok(store, "image", "inspect", "flat:1"))[0]
    assert doc["Id"] == one and doc["Config"]["Entrypoint"] == ["/bin/sh", "-c", "/bin/cat /new"] and len(doc["RootFS"]["Layers"]) == 1
    assert ok(store, "run", "--rm", "flat:1") == "new\n"
    ok(store, "rm", "c", "d")
    collect(store)


def test_running_container_is_paused_and_goes_on(store, base):
    ok(store, "run", "-d", "--name", "c", "example.com/base:1", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /m; mv /m /n; done")
    try:
        end = time.monotonic() + 30
        while run(store, "exec", "c", "cat", "/n")[0] != 0:
            assert time.monotonic() < end
        ok(store, "commit", "c", "live:1")
        seen = set()
        for _ in range(20):
            seen.add(ok(store, "exec", "c", "cat", "/n"))
        assert len(seen) > 1, "it runs again"
        ok(store, "commit", "--pause=false", "c", "live:2")
        assert "n" in names(export(store, "c"))
        assert run(store, "commit", "-c", "FROM x", "c")[0] == 1
        assert run(store, "commit", "nothing")[2].startswith("skiff: No such container")
    finally:
        ok(store, "rm", "-f", "c")


def test_names(store, base):
    ok(store, "tag", "example.com/base:1", "other:2")
    ok(store, "tag", base.config.split(":")[1][:12], "third")
    assert set(ok(store, "images", "-q").split()) == {base.config.split(":")[1][:12]}
    assert "third" in ok(store, "images") and "other" in ok(store, "images")
    rc, _, err = run(store, "tag", "nothing:1", "x")
    assert rc == 1 and "No such image" in err
    rc, _, err = run(store, "tag", "other:2", "UPPER")
    assert rc == 1 and "invalid reference format" in err
    ok(store, "untag", "other:2", "third")
    assert "third" not in ok(store, "images")
    ok(store, "untag", "other:2")
    assert "<none>" in ok(store, "images") and store.layers()
    ok(store, "system", "check", "--repair")
    assert len(store.layers()) == 2, "an image without a name is kept"
    out = ok(store, "image", "prune", "-f")
    assert "deleted: " + base.config in out and "Total reclaimed space: " in out
    assert store.layers() == []


def test_prune_keeps_what_is_used(store, base):
    ok(store, "run", "--name", "c", "example.com/base:1", "echo")
    ok(store, "image", "prune", "-a", "-f")
    assert "example.com/base" in ok(store, "images")
    ok(store, "rm", "c")
    ok(store, "image", "prune", "-f")
    assert "example.com/base" in ok(store, "images")
    ok(store, "image", "prune", "-a", "-f", "--filter", "label=l=2")
    assert "example.com/base" in ok(store, "images")
    p = subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), "image", "prune", "-a"],
                       input=b"n\n", stdout=subprocess.PIPE)
    assert p.returncode == 0 and b"[y/N]" in p.stdout and "example.com/base" in ok(store, "images")
    ok(store, "image", "prune", "-a", "-f", "--filter", "label=l=1")
    assert store.layers() == [] and store.references() == []


def test_import_forms_and_refusals(store, tmp_path):
    data = ig.tar([file("f", "x")])
    for how, tool in (("gzip", "gzip"), ("xz", "xz"), ("bzip2", "bzip2")):
        p = subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(tmp_path / "run"), "import", "-", f"i:{how}"],
                           input=subprocess.run([tool, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout, stdout=subprocess.PIPE)
        assert p.returncode == 0 and p.stdout.startswith(b"sha256:")
    assert store.layers() == [ig.digest(data).split(":")[1]]
    (tmp_path / "bad").write_bytes(ig.tar([symlink("a", "/etc"), file("a/x", "x")]))
    (tmp_path / "junk").write_bytes(b"x" * 2000)
    before = store.references()
    for args in ((str(tmp_path / "bad"), "x:1"), (str(tmp_path / "junk"),), ("http://example.com/x.tar",), (str(tmp_path / "none"),)):
        rc, out, err = run(store, "import", *args)
        assert rc == 1 and err.count("\n") == 1, (args, err)
    assert store.references() == before
    store.no_leftovers()


def test_killed_while_committing(store, base, tmp_path):
    ok(store, "run", "--name", "c", "example.com/base:1", "sh", "-c",
       "i=0; while [ $i -lt 60 ]; do i=$((i+1)); cat /bin/busybox > /f$i; done")
    cid = next(n for n in store.names("containers") if len(n) == 64)
    refs, layers = store.references(), store.layers()

    def start():
        w = worker.Worker()
        w.send(COMMIT, *map(worker.string, (str(store.path), cid, base.manifest, "killed:1", "{}", "", "", "rw")))
        return w
    t = time.monotonic()
    start().finish()
    whole = time.monotonic() - t
    rnd, states = random.Random(2), set()
    for _ in range(12):
        run(store, "rmi", "killed:1")
        collect(store)
        assert store.references() == refs and store.layers() == layers
        w = start()
        time.sleep(rnd.uniform(0.002, whole * 1.1))
        w.kill()
        states.add((len(store.layers()), len(store.references())))
        if len(store.references()) > len(refs):
            assert len(store.layers()) == 3
        assert worker.verify(store.path).bad == []
    ok(store, "commit", "c", "killed:1")
    assert len(names(export(store, "c"))) > 60
    assert worker.verify(store.path).bad == [] and len(states) > 1
    ok(store, "rm", "c")
    collect(store)


def test_import_says_its_platform(store, tmp_path):
    """podman's --arch, --os and --variant; what is not said is the host's."""
    (tmp_path / "f.tar").write_bytes(ig.tar([file("f", b"x")]))

    def made(*flags):
        iid = ok(store, "import", *flags, str(tmp_path / "f.tar")).strip()
        d = json.loads(ok(store, "image", "inspect", iid))[0]
        return d["Os"], d["Architecture"], d.get("Variant", "")
    host = made()
    assert made("--arch", "arm", "--variant", "v6") == (host[0], "arm", "v6") and made("--os", "freebsd", "--arch", "riscv64") == ("freebsd", "riscv64", "")
    assert made("--os", host[0]) == host == made("--platform", f"{host[0]}/{host[1]}")
    rc, _, err = run(store, "import", "--platform", "linux/arm64", "--os", "linux", str(tmp_path / "f.tar"))
    assert rc == 1 and "--platform option can not be specified with" in err


def test_commit_as_podman_does(store, base, fake, tmp_path):
    """--iidfile has the digits alone, --format docker gives a manifest of that family, which a push keeps."""
    ok(store, "run", "--name", "c", "example.com/base:1", "sh", "-c", "echo new >/new")
    iid = ok(store, "commit", "-q", "--iidfile", str(tmp_path / "iid"), "--format", "docker", "c", "made:docker").strip()
    assert (tmp_path / "iid").read_text() == iid.split(":")[1]
    ok(store, "commit", "-f", "oci", "c", "made:oci")
    dst = fake()
    for family in ("docker", "oci"):
        ok(store, "push", f"made:{family}", f"{dst.host}/m:{family}")
        raw, media = dst.docs["m", family]
        m = json.loads(raw)
        assert media == m["mediaType"] == ig.MEDIA[family, "manifest"] and m["config"]["mediaType"] == ig.MEDIA[family, "config"]
        assert [la["mediaType"] for la in m["layers"]] == [ig.MEDIA[family, "plain"]] * 3
        assert ok(store, "run", "--rm", f"made:{family}", "cat", "/new") == "new\n"
    rc, _, err = run(store, "commit", "--format", "bogus", "c", "made:no")
    assert rc == 1 and 'invalid argument "bogus" for "--format"' in err
    assert worker.verify(store.path).bad == []


def test_squashed(store, base):
    """podman's --squash: one layer, the same files, none of what the upper layers took away."""
    ok(store, "run", "--name", "c", "example.com/base:1", "sh", "-c", CHANGE)
    want = names(export(store, "c"))
    ok(store, "commit", "--squash", "-m", "all in one", "c", "made:1")
    doc = json.loads(ok(store, "image", "inspect", "made:1"))[0]
    assert len(doc["RootFS"]["Layers"]) == 1 and doc["Config"]["Labels"] == {"l": "1"} and doc["Config"]["Cmd"]
    assert len(ok(store, "history", "-q", "made:1").split()) == 1 and ok(store, "history", "--format", "{{.Comment}}", "made:1") == "all in one\n"
    assert ok(store, "run", "--name", "d", "made:1", "cat", "/new") == "new\n"
    got = names(export(store, "d"))
    check_tree(got)
    stubs = ("etc/hostname", "etc/hosts", "etc/resolv.conf", "sbin", "sbin/docker-init")
    assert {n: (m.type, m.mode, m.size) for n, m in got.items() if n not in stubs} == {n: (m.type, m.mode, m.size) for n, m in want.items() if n not in stubs}
    ok(store, "rm", "c", "d")
    ok(store, "rmi", "example.com/base:1")
    assert ok(store, "run", "--rm", "made:1", "cat", "/new") == "new\n" and len(store.layers()) == 1
    assert worker.verify(store.path).bad == []
