"""T26: the path of an image's VOLUME is a link out of the image. T27: the files that the engine puts into a root are links, directories or FIFOs there; a volume
that has something in it is not filled again. T28: links planted in a volume, export and import. T37: layers that fail at each step, many pulls at once. T66:
words of 64 KB. All through skiff, canary tree beside it (conftest)."""
import gzip
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from seclib_image import Skiff, entry, layer

LINK, DIR, FIFO = tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE
ENGINE_FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf")


@pytest.mark.parametrize("depth", range(1, 6))
def test_T26_volume_path_is_a_link(skiff, server, base, canary, depth):
    """/v -> a/b/..., the last of which leads to the canary, absolute or with ..; what is copied up is what the image has there: nothing."""
    target = canary if depth % 2 else "../" * 12 + canary[1:]
    links = [entry(f"l{i}", kind=LINK, link=f"/l{i + 1}" if i + 1 < depth else target) for i in range(1, depth)]
    image = server.add(f"t26-{depth}", [base, layer(*links, entry("v", kind=LINK, link="/l1" if depth > 1 else target))], {"Volumes": {"/v": {}}})
    p = skiff("create", "--name", "c", image, check=True)
    control = f"{skiff.root}/containers/{p.stdout.strip()}"
    assert os.path.isdir(control)
    p = skiff("start", "-a", "c")
    found = [os.path.join(d, f) for d, _, files in os.walk(skiff.root + "/volumes") for f in files]
    assert not any("canary" in open(f, errors="replace").read() for f in found), found
    p = skiff.run(image, "sh", "-c", "find /v/ -type f | head; cat /v/passwd")
    assert "canary" not in p.stdout, p.stdout


def test_T26_control_the_same_link_is_followed_by_a_path_on_the_host(skiff, server, base, canary):
    """Inside the test: who copies by a path reads the canary, and a volume with content of the image is filled."""
    image = server.add("t26-control", [base, layer(entry("v", kind=LINK, link=canary), entry("w", kind=DIR, mode=0o755), entry("w/file", b"of the image\n"))],
                       {"Volumes": {"/w": {}}})
    c = skiff.start(image, "sleep", "1000")
    with open(f"/proc/{skiff.pid(c)}/root/v/passwd") as f:
        assert f.read() == "canary passwd\n"
    assert skiff("exec", c, "cat", "/w/file").stdout == "of the image\n"


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "fifo"])
def test_T27_files_of_the_engine(skiff, server, base, canary, kind):
    """None blocks, none is written through. What starts has its own hosts file, or it says why it does not start."""
    made = {"link": lambda n: entry(n, kind=LINK, link=canary + "/passwd"), "dangling": lambda n: entry(n, kind=LINK, link=canary + "/made"),
            "directory": lambda n: entry(n, kind=DIR, mode=0o755), "fifo": lambda n: entry(n, kind=FIFO)}[kind]
    image = server.add(f"t27-{kind}", [base, layer(*(made(n) for n in (*ENGINE_FILES, "etc/mtab")))])
    p = skiff.run(image, "cat", "/etc/hosts", "/etc/hostname", options=["--hostname", "box", "--add-host", "there:192.0.2.7"], timeout=30)
    if p.returncode == 0:
        assert "192.0.2.7" in p.stdout and "box" in p.stdout and "canary" not in p.stdout
    else:
        assert p.returncode in (125, 126) and "/etc/" in p.stderr, (p.returncode, p.stderr)
    assert not os.path.exists(canary + "/made")
    assert skiff("ps", "-aq").stdout == ""


def test_T27_secrets(skiff, server, base, canary):
    image = server.add("t27-secrets", [base, layer(entry("run", kind=LINK, link=canary))])
    skiff("secret", "create", "s", "-", input="hidden", check=True)
    p = skiff.run(image, "cat", "/run/secrets/s", options=["--secret", "s"], timeout=30)
    assert (p.returncode == 0 and p.stdout == "hidden") or p.returncode in (125, 126), p
    assert "secrets" not in os.listdir(canary)


def test_T27_filled_volume_is_left_alone(skiff, server, base):
    image = server.add("t27-volume", [base, layer(entry("w", kind=DIR, mode=0o755), entry("w/file", b"of the image\n"), entry("w/more", b"of the image\n"))])
    skiff.run(image, "sh", "-c", "rm /w/more; echo mine >/w/file", options=["-v", "vol:/w"], check=True)
    assert skiff.run(image, "sh", "-c", "ls /w; cat /w/file", options=["-v", "vol:/w"], check=True).stdout == "file\nmine\n"


def test_T28_links_in_a_volume(skiff, image, canary, area):
    """Planted links are exported as links, twice, and an import goes nowhere through them."""
    plant = f"ln -s {canary} /w/out; ln -s {canary}/passwd /w/file; ln -s ../../../../../..{canary}/passwd /w/up"
    plant = f"busybox {plant}".replace("; ln", "; busybox ln")
    skiff.run(image, "sh", "-c", plant, options=["-v", "vol:/w"], check=True)
    for _ in range(2):
        p = skiff("volume", "export", "-o", area + "/v.tar", "vol")
        assert p.returncode == 0, p.stderr
        with tarfile.open(area + "/v.tar") as t:
            kinds = {m.name.lstrip("./"): (m.type, m.linkname) for m in t if m.name.strip("./")}
        assert kinds["out"] == (LINK, canary) and kinds["file"] == (LINK, canary + "/passwd") and kinds["up"][0] == LINK
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as t:
        for m, data in (entry("out", kind=LINK, link=canary), entry("out/passwd", b"owned"), entry("file", b"owned"), entry("up", b"owned")):
            t.addfile(m, io.BytesIO(data))
    with open(area + "/evil.tar", "wb") as f:
        f.write(evil.getvalue())
    skiff("volume", "import", "vol", area + "/evil.tar")  # refused or in the volume: the canary fixture looks


def broken(server, base, how, i):
    """An image whose pull fails at the step `how`; every one has a layer of its own beside the base."""
    good = layer(entry("own", f"{how} {i}\n".encode() * 1000))
    bad = {"tar": b"\xff" * 2048, "entry": layer(entry("../" * 8 + "evil", b"x")), "link": layer(entry("x", kind=LINK, link="/"), entry("x/../../evil", b"x"))}.get(how, good)
    name = server.add(f"t37-{how}-{i}", [base, good, bad])
    if how in ("gzip", "gone", "digest"):
        key = next(k for k, v in server.docs.items() if f"/t37-{how}-{i}/blobs/" in k and v[1][:2] == b"\x1f\x8b" and len(v[1]) < 3000)
        data = {"gzip": gzip.compress(good)[:-9], "gone": None, "digest": gzip.compress(b"other")}[how]
        server.docs[key] = (server.docs[key][0], data)
    return name


def test_T37_failing_pulls_hold_nobody_up(skiff, server, base):
    """Layers that fail at each step beside good ones, many at once: the bad ones say why, the good ones come, and the store is free and in order afterwards."""
    hows = ["good", "gzip", "gone", "digest", "tar", "entry", "link"]
    names = [(how, broken(server, base, how, i)) for i in range(int(os.environ.get("PULLS", "2"))) for how in hows]
    with ThreadPoolExecutor(len(names)) as pool:
        done = list(pool.map(lambda x: (x[0], skiff("pull", x[1], timeout=120)), names))
    for how, p in done:
        assert (p.returncode == 0) == (how == "good"), (how, p.stderr)
        assert how == "good" or len(p.stderr) > 20
    assert skiff.run(names[0][1], "cat", "/own", timeout=20, check=True).stdout == "good 0\n" * 1000
    assert skiff("rmi", names[0][1], timeout=20).returncode == 0
    # An empty cgroup may be that of another test's root, beside this one; it is counted in the last line, too.
    rows = skiff("system", "check", timeout=60).stdout.splitlines()
    assert rows == ["Everything is in order."] or all("of no container here" in x for x in rows[:-1]), rows


@pytest.mark.parametrize("words", [["--name", "A" * 65536], ["--hostname", "A" * 65536], ["--log-opt", "max-size=" + "1" * 65536], ["--label", "a=" + "A" * 65536],
                                   ["--stop-signal", "A" * 65536], ["--oom-score-adj", "9" * 65536], ["--log-opt", "tag=" + "%" * 65536], ["--health-cmd", "A" * 65536]],
                         ids=lambda w: w[0] + "-" + w[1][:4])
def test_T66_words_of_64_kb(skiff, image, words):
    """Refused in a sentence or taken whole; launch and monitor live through it. (The suite runs under ASan and UBSan and the parsers are fuzzed: make unit.)"""
    p = skiff("run", "-d", *words, image, "sleep", "1000", timeout=30)
    assert p.returncode in (0, 125), (p.returncode, p.stderr[-300:])
    if p.returncode:
        assert 10 < len(p.stderr) < 70000 and "without an answer" not in p.stderr
        assert skiff("ps", "-aq").stdout == ""
    else:
        assert skiff("exec", p.stdout.strip(), "echo", "well").stdout == "well\n"


def test_T66_exec_and_top_words(skiff, image):
    c = skiff.start(image, "sleep", "1000")
    assert skiff("exec", c, "echo", "A" * 65536).stdout == "A" * 65536 + "\n"
    for argv in (["exec", "-e", "X=" + "A" * 65536, c, "true"], ["exec", "-w", "/" + "A" * 65536, c, "true"], ["exec", "-u", "A" * 65536, c, "true"],
                 ["top", c, "A" * 65536], ["kill", "-s", "A" * 65536, c], ["rename", c, "A" * 65536]):
        p = skiff(*argv)
        assert 0 <= p.returncode < 128 and "without an answer" not in p.stderr, argv[:2]
    assert skiff("exec", c, "true").returncode == 0 and isinstance(skiff, Skiff)
