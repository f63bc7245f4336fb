"""bench/mkimages.py TARS OCI: the images of bench/images as one OCI layout, made once. TARS is what bench/mkdebian made.

big-gzip   three layers of Debian, gzip -6        big-zstd  the same in zstd -3
big-again  the layers of big-gzip under another config     single  one gzip layer of 500 MB
tiny       100 layers of one small file            files   one layer of 100,000 small files
"""
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile

TARS, OUT = sys.argv[1:3]
OCI = "application/vnd.oci.image."
SINGLE_BYTES = 500_000_000


def blob(data=None, path=None):
    """Puts bytes or a file under its digest; (digest, size)."""
    if path:
        h = subprocess.run(["sha256sum", path], check=True, stdout=subprocess.PIPE).stdout.split()[0].decode()
        os.rename(path, f"{OUT}/blobs/sha256/{h}")
    else:
        h = hashlib.sha256(data).hexdigest()
        with open(f"{OUT}/blobs/sha256/{h}", "wb") as f:
            f.write(data)
    return "sha256:" + h, os.stat(f"{OUT}/blobs/sha256/{h}").st_size


def layer(tar, how):
    diff_id = "sha256:" + subprocess.run(["sha256sum", tar], check=True, stdout=subprocess.PIPE).stdout.split()[0].decode()
    packed = f"{OUT}/packed"
    with open(packed, "wb") as f:
        subprocess.run({"gzip": ["gzip", "-6nc", tar], "zstd": ["zstd", "-3qc", tar]}[how], check=True, stdout=f)
    return (how, diff_id, *blob(path=packed))


def image(name, layers, env="A=1"):
    config, config_size = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": [env], "Cmd": ["sh"]},
                                           "rootfs": {"type": "layers", "diff_ids": [la[1] for la in layers]}}).encode())
    doc = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
           "config": {"mediaType": OCI + "config.v1+json", "digest": config, "size": config_size},
           "layers": [{"mediaType": f"{OCI}layer.v1.tar+{la[0]}", "digest": la[2], "size": la[3]} for la in layers]}
    digest, size = blob(json.dumps(doc).encode())
    return {"mediaType": OCI + "manifest.v1+json", "digest": digest, "size": size, "annotations": {"org.opencontainers.image.ref.name": name}}


def make_tar(entries):
    path = f"{OUT}/new.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as t:
        for name, data in entries:
            i = tarfile.TarInfo(name)
            i.mtime = 1_600_000_000
            if data is None:
                i.type, i.mode = tarfile.DIRTYPE, 0o755
                t.addfile(i)
            else:
                i.size = len(data)
                t.addfile(i, io.BytesIO(data))
    return path


def single():
    """Entries of the largest Debian layer, repeated under other directories until they are 500 MB."""
    out, got, n = f"{OUT}/new.tar", 0, 0
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as t:
        while got < SINGLE_BYTES:
            with tarfile.open(f"{TARS}/2.tar") as src:
                for m in src:
                    if not m.isreg() or got >= SINGLE_BYTES:
                        continue
                    f = src.extractfile(m)
                    m.name = f"copy{n}/{m.name}"
                    t.addfile(m, f)
                    got += m.size
            n += 1
    return out


def small_files(count=100_000):
    rnd = random.Random(1)
    words = [bytes(rnd.choices(b"abcdefghijklmnopqrstuvwxyz \n", k=64)) for _ in range(256)]
    for i in range(count):
        if i % 100 == 0:
            yield f"d{i // 100}", None
        yield f"d{i // 100}/f{i}", b"".join(rnd.choices(words, k=rnd.randrange(1, 32)))


def main():
    if os.path.exists(f"{OUT}/index.json"):
        return
    os.makedirs(f"{OUT}/blobs/sha256", exist_ok=True)
    tars = [f"{TARS}/{i}.tar" for i in range(3)]
    gz = [layer(t, "gzip") for t in tars]
    index = [image("big-gzip", gz), image("big-again", gz, "A=2"), image("big-zstd", [layer(t, "zstd") for t in tars])]
    index.append(image("single", [layer(single(), "gzip")]))
    index.append(image("tiny", [layer(make_tar([(f"f{i}", f"layer {i}\n".encode() * 10)]), "gzip") for i in range(100)]))
    index.append(image("files", [layer(make_tar(small_files()), "gzip")]))
    os.unlink(f"{OUT}/new.tar")
    with open(f"{OUT}/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(f"{OUT}/index.json", "w") as f:
        json.dump({"schemaVersion": 2, "manifests": index}, f)


main()
