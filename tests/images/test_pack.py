"""Layers out of the store bit for bit: what was pulled is what save writes, whatever the tar was made by."""
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile

import imagegen as ig
import pytest
import worker
from imagegen import dir_, file, hardlink, symlink
from test_crash import run


def saved_layers(store, ref):
    """diff-id hex -> bytes of the layers that save writes."""
    path = store.path.parent / "saved.tar"
    rc, out, err = run(store, "save", "-o", str(path), ref)
    assert rc == 0, err
    with tarfile.open(path) as t:
        blobs = {m.name.split("/")[-1]: t.extractfile(m).read() for m in t.getmembers() if m.name.startswith("blobs/")}
    for name, data in blobs.items():
        assert hashlib.sha256(data).hexdigest() == name
    return blobs


def tree(path):
    (path / "d").mkdir(parents=True)
    (path / "d" / ("n" * 200)).write_bytes(b"long name" * 100)
    (path / "f").write_bytes(os.urandom(100000))
    os.link(path / "f", path / "h")
    os.symlink("f", path / "l")
    with open(path / "sparse", "wb") as f:
        f.truncate(5 << 20)
        f.seek(1 << 20)
        f.write(b"data")
    (path / "käse").write_bytes(b"utf-8")
    return path


MAKERS = {
    "gnu": lambda d: ig.gnu_tar(d, "--format=gnu"),
    "gnu-sparse": lambda d: ig.gnu_tar(d, "--format=gnu", "-S"),
    "pax-sparse": lambda d: ig.gnu_tar(d, "--format=pax", "-S"),
    "pax": lambda d: ig.gnu_tar(d, "--format=pax"),
    "ustar-blocked": lambda d: subprocess.run(["tar", "-C", str(d), "-c", "-b", "100", "--format=gnu", "."], check=True, stdout=subprocess.PIPE).stdout,
    "bsdtar": lambda d: subprocess.run(["bsdtar", "-C", str(d), "-cf", "-", "."], check=True, stdout=subprocess.PIPE).stdout,
    "python-gnu": lambda d: ig.tar([dir_("a"), file("a/f", "x" * 5000), file("long/" * 40 + "f", "y")], tarfile.GNU_FORMAT),
    "trailing": lambda d: ig.tar([file("f", "x")]) + b"what nobody reads" * 100,
    "no-end": lambda d: ig.tar([file("f", "x" * 1000)])[:512 + 1024],
}


@pytest.mark.parametrize("how", sorted(MAKERS))
def test_bit_for_bit(fake, store, tmp_path, how):
    if how == "bsdtar" and subprocess.run(["which", "bsdtar"], stdout=subprocess.DEVNULL).returncode:
        pytest.skip("no bsdtar")
    la = ig.Layer(MAKERS[how](tree(tmp_path / "t")), "gzip")
    ref = fake().add("exact", "1", ig.image([la]))
    store.pull(ref)
    assert (store.path / "layers" / la.hex / "tar").exists()
    assert saved_layers(store, ref)[la.hex] == la.raw


@pytest.mark.smoke
def test_whiteouts_links_and_duplicates(fake, store):
    good = ig.layer([dir_("d"), file("d/f", "1"), file(".wh.x", ""), file("d/.wh..wh..opq", ""), symlink("s", "d"), hardlink("h", "d/f")])
    twice = ig.layer([file("f", "first"), file("f", "second")])
    ref = fake().add("dup", "1", ig.image([good, twice]))
    store.pull(ref)
    assert (store.path / "layers" / good.hex / "tar").exists()
    assert not (store.path / "layers" / twice.hex / "tar").exists(), "a tar that the tree cannot give back has no record"
    blobs = saved_layers(store, ref)
    assert blobs[good.hex] == good.raw and twice.hex not in blobs
    again = [b for n, b in blobs.items() if n != good.hex and not b.startswith(b"{")]
    with tarfile.open(fileobj=io.BytesIO(again[0])) as t:
        assert t.extractfile("f").read() == b"second"


def test_check_knows_the_record(fake, store):
    la = ig.layer([file("f", "x" * 100)])
    store.pull(fake().add("rec", "1", ig.image([la])))
    assert worker.verify(store.path).bad == []
    rec = store.path / "layers" / la.hex / "tar"
    whole = rec.read_bytes()
    rec.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "record" in worker.verify(store.path).bad[0][1]
    rec.unlink()
    assert "record" in worker.verify(store.path).bad[0][1]
    rec.write_bytes(whole)
    assert worker.verify(store.path).bad == []


def test_store_of_an_older_version(fake, store, tmp_path):
    """Without records: everything works, save writes canonical layers, and the image that comes out loads."""
    la = ig.layer([dir_("d"), file("d/f", "hello"), file(".wh.y", "")])
    ref = fake().add("old", "1", ig.image([la]))
    store.pull(ref)
    d = store.path / "layers" / la.hex
    (d / "tar").unlink()
    listing = re.sub(r"crc64:\w+", ig.digest(b"hello"), (d / "files").read_text())
    (d / "files").write_text(listing)
    seal = json.loads((d / "seal").read_text())
    tree = ig.digest(listing.encode())
    (d / "seal").write_text(json.dumps({**{k: v for k, v in seal.items() if k not in ("tar", "tarSize")}, "v": 1, "min": 1, "tree": tree, "files": tree},
                                       separators=(",", ":")) + "\n")
    assert worker.verify(store.path).bad == []
    path = tmp_path / "s.tar"
    rc, out, err = run(store, "save", "-o", str(path), ref)
    assert rc == 0 and "no tar record" in err
    rc, out, err = run(store, "load", "-i", str(path))
    assert rc == 0 and "Loaded image: " in out, err
    assert worker.verify(store.path).bad == []
    rc, out, err = run(store, "system", "check", "--repair")  # the old image has no name any more
    assert rc == 0, out + err
    assert run(store, "system", "check")[0] == 0


def test_changed_file_is_noticed(fake, store, tmp_path):
    la = ig.layer([file("f", "hello")])
    ref = fake().add("chg", "1", ig.image([la]))
    store.pull(ref)
    f = store.path / "layers" / la.hex / "tree" / "f"
    f.write_text("jello")
    rc, out, err = run(store, "save", "-o", str(tmp_path / "x.tar"), ref)
    assert rc != 0 and "no longer make its tar" in err
    assert not (tmp_path / "x.tar").exists() and list(tmp_path.glob("x.tar*")) == []
