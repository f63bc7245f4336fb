"""zstd:chunked: what `image copy --dest-compress-format zstd:chunked` writes, read by the format's description: any reader of zstd gets the tar, and a reader of
the list gets each file by its place, and from tar-split's lines the tar again."""
import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

import imagegen as ig
import pytest
from imagegen import chardev, dir_, file, hardlink, symlink
from test_archives import needs_skopeo, ok, skopeo
from test_crash import run

NOTE = "io.github.containers.zstd-chunked."


def unzstd(data):
    return subprocess.run(["zstd", "-dqc"], input=data, check=True, stdout=subprocess.PIPE).stdout


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def crc64_iso(data):
    crc = 2**64 - 1
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0xD800000000000000 if crc & 1 else 0)
    return (crc ^ (2**64 - 1)).to_bytes(8, "big")


@pytest.fixture
def chunked(fake, store):
    """chunked(layer): the layer's row of the manifest, and its bytes, as they arrive at another registry."""
    def make(la, *args, rc=0):
        src, dst = fake(), fake()
        got, out, err = run(store, "image", "copy", "--dest-compress-format", "zstd:chunked", *args, "docker://" + src.add("a", "1", ig.image([la])),
                            f"docker://{dst.host}/c:1")
        assert got == rc, err
        row = json.loads(dst.docs["c", "1"][0])["layers"][0]
        make.registry, make.said = dst, err
        return row, dst.blobs[row["digest"]]
    return make


def lists(row, blob):
    """The list of entries and tar-split's lines, by annotations and by the footer, which say the same."""
    notes = {k[len(NOTE):]: v for k, v in row["annotations"].items() if k.startswith(NOTE)}
    at, size, raw, kind = map(int, notes["manifest-position"].split(":"))
    at2, size2, raw2 = map(int, notes["tarsplit-position"].split(":"))
    assert blob[-72:-64] == bytes.fromhex("502a4d18") + (64).to_bytes(4, "little") and blob[-8:] == b"GNUlInUx"
    assert [int.from_bytes(blob[-64 + 8 * i:-56 + 8 * i], "little") for i in range(7)] == [at, size, raw, 1, at2, size2, raw2] and kind == 1
    assert blob[at - 8:at] == bytes.fromhex("502a4d18") + size.to_bytes(4, "little")
    toc, split = blob[at:at + size], blob[at2:at2 + size2]
    assert sha256(toc) == notes["manifest-checksum"]
    doc, lines = unzstd(toc), unzstd(split)
    assert (len(doc), len(lines)) == (raw, raw2)
    doc = json.loads(doc)
    assert doc["version"] == 1 and doc["tarSplitDigest"] == sha256(split)
    return doc["entries"], [json.loads(x) for x in lines.decode().splitlines()]


def data_of(entry, blob):
    data = unzstd(blob[entry["offset"]:entry["endOffset"]])
    assert len(data) == entry["size"] and sha256(data) == entry["digest"]
    return data


def rebuild(lines, files):
    out = b""
    for n, line in enumerate(lines):
        assert line["position"] == n
        if line["type"] == 2:
            out += base64.b64decode(line["payload"])
        elif line.get("size"):
            assert base64.b64decode(line["payload"]) == crc64_iso(files[line["name"]]) and line["size"] == len(files[line["name"]])
            out += files[line["name"]]
        else:
            assert line["payload"] is None
    return out


def test_every_file_by_its_place_and_the_tar_again(chunked, store):
    big = os.urandom(600_000)
    la = ig.layer([dir_("d", mode=0o1777), file("d/f", "hello", uid=3, gid=4, mode=0o4755), file("d/empty", ""), file("big", big), hardlink("d/h", "d/f"), symlink("l", "d/f"),
                   file("x" * 130 + "é", "long", xattrs={"user.a": b"\x01b"}), chardev("null", 1, 3), file(".wh.gone", ""), file('q"\\', "q", mtime=1_600_000_000.25)])
    row, blob = chunked(la)
    entries, lines = lists(row, blob)
    with tarfile.open(fileobj=io.BytesIO(la.raw)) as t:
        want = t.getmembers()
    kinds = {tarfile.REGTYPE: "reg", tarfile.LNKTYPE: "hardlink", tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char", tarfile.DIRTYPE: "dir"}
    assert [(e["type"], e["name"].rstrip("/"), e.get("mode", 0), e.get("uid", 0), e.get("gid", 0), e.get("linkName", "")) for e in entries] == \
        [(kinds[m.type], m.name, m.mode, m.uid, m.gid, m.linkname) for m in want]
    by_name = {e["name"]: e for e in entries}
    assert (by_name["d/f"]["modtime"], by_name['q"\\']["modtime"]) == ("2020-09-13T12:26:40Z", "2020-09-13T12:26:40.250000000Z")
    assert by_name["x" * 130 + "é"]["xattrs"] == {"user.a": base64.b64encode(b"\x01b").decode()}
    assert (by_name["null"]["devMajor"], by_name["null"]["devMinor"]) == (1, 3)
    files = {e["name"]: data_of(e, blob) for e in entries if e.get("size")}
    assert files["big"] == big and files["d/f"] == b"hello" and "digest" not in by_name["d/empty"]
    assert rebuild(lines, files) == la.raw
    assert unzstd(blob) == la.raw and row["mediaType"].endswith("tar+zstd")
    store.pull(f"{chunked.registry.host}/c:1")
    assert store.layers() == [la.hex]


@pytest.mark.parametrize("entries", [[file("f", "1"), file("f", "2")], [file("caf\udce9", "x")]], ids=["twice", "no-utf8"])
def test_what_a_list_cannot_say_is_plain_zstd(chunked, entries):
    la = ig.layer(entries, fmt=tarfile.GNU_FORMAT)
    row, blob = chunked(la)
    assert "annotations" not in row and "becomes plain zstd" in chunked.said
    assert unzstd(blob) == la.raw


def test_again_changes_nothing_and_other_formats_lose_the_annotations(chunked, store, fake):
    la = ig.layer([file("f", "hello" * 100)])
    row, blob = chunked(la)
    reg, other = chunked.registry, fake()
    ok(store, "image", "copy", "--dest-compress-format", "zstd:chunked", f"docker://{reg.host}/c:1", f"docker://{other.host}/same:1")
    assert other.docs["same", "1"][0] == reg.docs["c", "1"][0]
    ok(store, "image", "copy", "--dest-compress-format", "gzip", f"docker://{reg.host}/c:1", f"docker://{other.host}/gz:1")
    row = json.loads(other.docs["gz", "1"][0])["layers"][0]
    assert not row.get("annotations") and row["mediaType"].endswith("gzip")


@needs_skopeo
def test_skopeo_takes_it(chunked, tmp_path):
    la = ig.layer([file("f", "hello"), dir_("d"), file("d/g", os.urandom(50000))])
    chunked(la)
    skopeo("copy", "--src-tls-verify=false", "--dest-decompress", f"docker://{chunked.registry.host}/c:1", f"dir:{tmp_path}/out")
    assert (tmp_path / "out" / la.hex).read_bytes() == la.raw


@pytest.mark.skipif(not shutil.which("podman") or os.geteuid() != 0, reason="podman as root")
def test_podman_pulls_in_part(registry, store, tmp_path):
    """podman with enable_partial_images takes our layers by their lists of entries, and has the same files."""
    la = ig.layer([dir_("d"), file("d/big", os.urandom(300_000)), file("hello", "hello\n"), hardlink("link", "hello"), symlink("sym", "d")])
    name = f"{registry.host}/chunked:1"
    registry.client.push("plain", "1", ig.image([la]))
    ok(store, "image", "copy", "--dest-compress-format", "zstd:chunked", f"docker://{registry.host}/plain:1", "docker://" + name)
    where = tempfile.mkdtemp(prefix="skfp", dir="/tmp")  # podman refuses run roots of more than 50 characters
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{where}/r"\ngraphroot = "{where}/g"\n'
                    '[storage.options]\npull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}\n')
    env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(conf)}

    def podman(*args):
        return subprocess.run(["podman", *args], env=env, capture_output=True, text=True, timeout=60, check=True)
    try:
        said = podman("--log-level=debug", "pull", "--tls-verify=false", name).stderr
        assert "Retrieved partial blob" in said and "Failed to retrieve partial blob" not in said
        root = podman("image", "mount", name).stdout.strip()
        with open(root + "/d/big", "rb") as f:
            assert sha256(f.read()) == sha256(next(e.payload for e in la.entries if e.name == "d/big"))
        assert open(root + "/link").read() == "hello\n" and os.readlink(root + "/sym") == "d"
        podman("image", "unmount", "-a")
    finally:
        subprocess.run(["podman", "rmi", "-af"], env=env, capture_output=True, timeout=60)
        subprocess.run(["umount", f"{where}/g/overlay"], capture_output=True)
        shutil.rmtree(where)
