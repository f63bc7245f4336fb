"""T12: who a container runs as. T13: its groups. T14: hostile /etc/passwd and /etc/group. T22: lines that are smuggled."""
import os
import subprocess
import tarfile
import time

import pytest

from seclib import status
from seclib_image import entry, layer, users

# what runs as it, as "uid gid", or None: refused
USERS = [
    ("0", "0 0"), ("root", "0 0"), ("1", "1 0"), ("1000", "1000 1000"), ("1000:5", "1000 5"), ("web", "1000 1000"), ("web:extra", "1000 2000"), ("web:7", "1000 7"),
    ("lonely", "1001 4000"), ("2147483647", "2147483647 0"), ("007", "7 0"),
    ("0x0", None), ("0x3e8", None), ("+0", None), ("+1", None), (" 0", None), ("0 ", None), ("1 000", None), ("-1", None), ("-0", None), ("1e3", None),
    ("2147483648", None), ("4294967295", None), ("4294967296", None), ("18446744073709551616", None), ("1" * 30, None), ("0" * 30 + "x", None),
    ("1:4294967295", None), ("1:4294967296", None), ("1:-1", None), ("1:0x0", None), ("1:nosuch", None), ("nosuch", None), ("web:web:web", None), ("1:2:3", None),
    ("web\n", None), ("ro\not", None), ("root:x", None), ("\u0660", None), ("a" * 65536, None), ("*", None), ("/etc/passwd", None),
]
# either is in use elsewhere: refused, or this
LOOSE = {"1:": "1 0", ":1": "0 1", ":": "0 0", "web:": "1000 1000", "0" * 30: "0 0"}


def ids(p):
    return " ".join(p.stdout.split()) if p.returncode == 0 else None


@pytest.fixture(scope="module")
def names(server, base):
    """An image whose users have names like numbers, all of them root."""
    like = ["4294967296", "-1", "+0", "2147483648", "0x0", " 0", "1" * 30, "4294967295", "1"]
    return server.add("names", [base, layer(*users("".join(f"{n}:x:0:0::/:/bin/sh\n" for n in like), "".join(f"{n}:x:0:\n" for n in like)))])


@pytest.mark.smoke
def test_T12_table(skiff, image):
    got = {u: ids(skiff.run(image, "sh", "-c", "id -u; id -g", options=["-u", u])) for u, _ in USERS}
    assert {k[:40]: v for k, v in got.items()} == {k[:40]: v for k, v in USERS}


def test_T12_loose_forms(skiff, image):
    for user, want in LOOSE.items():
        assert ids(skiff.run(image, "sh", "-c", "id -u; id -g", options=["-u", user])) in (None, want), user


def test_T12_numbers_are_never_names(skiff, names):
    for user in ("4294967296", "-1", "+0", "2147483648", "1" * 30, "4294967295"):
        assert ids(skiff.run(names, "id", "-u", options=["-u", user])) is None, user
    assert ids(skiff.run(names, "sh", "-c", "id -u; id -g", options=["-u", "1"])) in ("1 0", "1 1")


def test_T12_user_of_the_image(skiff, server, base):
    """The same rules for the image's own User."""
    for user, want in (("web", "1000 1000"), ("4294967296", None), ("0x0", None), ("1000:extra", "1000 2000")):
        name = server.add("user-" + user.replace(":", "-"), [base], {"User": user})
        assert ids(skiff.run(name, "sh", "-c", "id -u; id -g")) == want


def test_T12_exec(skiff, names):
    c = skiff.start(names, "sleep", "1000", options=["-u", "web"])
    for user, want in (("0", "0 0"), ("web", "1000 1000"), ("4294967296", None), ("-1", None), ("0x3e8", None), ("+0", None), ("nosuch", None)):
        assert ids(skiff("exec", "-u", user, c, "sh", "-c", "id -u; id -g")) == want, user
    assert ids(skiff("exec", c, "sh", "-c", "id -u; id -g")) == "1000 1000"


def test_T12_oci_numbers(runtime, bundle):
    """In the spec a uid is a number of 32 bits and nothing else."""
    for uid in (-1, 4294967296, "0", "1000", 1.5, 1e20, None, [0], {}, True, 10**30):
        b = bundle().args("id", "-u")
        b.process["user"] = {"uid": uid, "gid": 0}
        p = runtime.run(b)
        assert p.returncode != 0 or (uid is None and p.stdout == "0\n"), (uid, p.stdout)
        assert "uid" in p.stderr or p.returncode == 0, p.stderr


def test_T12_oci_exec(runtime, bundle):
    b = bundle().args("sleep", "1000")
    runtime.start(b)
    for user, want in (("1", "1 0"), ("1:2", "1 2"), ("0x0", None), ("+0", None), (" 0", None), ("-1", None), ("4294967296", None), ("1:4294967296", None), ("9" * 30, None),
                       ("1:x", None)):
        assert ids(runtime.exec(b, "sh", "-c", "id -u; id -g", options=["--user", user])) == want, user


@pytest.mark.smoke
def test_T13_groups(skiff, image):
    def groups(user):
        s = status(skiff.run(image, "cat", "/proc/self/status", options=["-u", user], check=True).stdout)
        return s["Gid"].split()[0], set(s["Groups"].split())
    assert groups("web") == ("1000", {"1000", "2000", "3000"})
    assert groups("1000") == ("1000", {"1000", "2000", "3000"})
    assert groups("root") == ("0", {"0", "3000"})
    assert groups("4242") == ("0", {"0"})
    assert groups("4242:77") == ("77", {"77"})
    assert groups("web:extra") == ("2000", {"2000"})
    assert groups("lonely") == ("4000", {"4000"})


def sparse_layer(area, size):
    os.makedirs(area + "/sparse/etc")
    with open(area + "/sparse/etc/group", "w") as f:
        f.write("root:x:0:\n")
        f.truncate(size)
    return subprocess.run(["tar", "--sparse", "--format=posix", "--owner=0", "--group=0", "-C", area + "/sparse", "-cf", "-", "etc/group"], check=True, capture_output=True).stdout


HOSTILE = {
    "fifo": lambda n: [entry(n, kind=tarfile.FIFOTYPE)],
    "directory": lambda n: [entry(n, kind=tarfile.DIRTYPE, mode=0o755)],
    "zero": lambda n: [entry(n, kind=tarfile.SYMTYPE, link="/dev/zero")],
    "kmsg": lambda n: [entry(n, kind=tarfile.SYMTYPE, link="/proc/kmsg")],
    "host": lambda n: [entry(n, kind=tarfile.SYMTYPE, link="../../../../../../../../../../etc/passwd")],
    "loop": lambda n: [entry(n, kind=tarfile.SYMTYPE, link="loop"), entry("etc/loop", kind=tarfile.SYMTYPE, link=os.path.basename(n))],
    "self": lambda n: [entry(n, kind=tarfile.SYMTYPE, link="/proc/self/fd/0")],
    "device": lambda n: [entry(n, kind=tarfile.CHRTYPE, dev=(1, 5), mode=0o666)],
    "tty": lambda n: [entry(n, kind=tarfile.CHRTYPE, dev=(5, 0), mode=0o666)],
    "field": lambda n: [entry(n, b"root:x:0:" + b",".join(b"u%d" % i for i in range(300000)) + b"\n")],
    "colons": lambda n: [entry(n, b":" * 1000000 + b"\n")],
    "nul": lambda n: [entry(n, b"\0" * 4096 + b"root:x:0:0::/:/bin/sh\n")],
}


@pytest.mark.parametrize("name", ["etc/passwd", "etc/group"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_T14_hostile_file(skiff, server, base, kind, name):
    image = server.add(f"hostile-{kind}-{os.path.basename(name)}", [base, layer(*HOSTILE[kind](name))])
    p = skiff("pull", "-q", image, check=True)
    for user in ("web", "1000", "web:extra"):
        began = time.monotonic()
        # nothing in the container may look at the file itself: id and sh do
        p, kb = skiff.timed("run", "--rm", "-u", user, image, "cat", "/proc/self/status")
        spent = time.monotonic() - began
        assert spent < 5 and kb < 20000, (user, spent, kb)
        said = p.stderr.split("\nCommand exited")[0]
        if p.returncode:
            assert p.returncode == 125 and len(said) < 600 and any(w in said for w in ("passwd", "group", "user")), (user, said)
        else:
            assert status(p.stdout)["Uid"].split()[0] == "1000", (user, p.stdout)


def test_T14_two_gigabytes_of_group(skiff, server, base, area):
    image = server.add("sparse", [base, sparse_layer(area, 2 << 30)])
    skiff("pull", "-q", image, check=True)
    began = time.monotonic()
    p, kb = skiff.timed("run", "--rm", "-u", "web:nosuch", image, "id")
    assert p.returncode == 125 and time.monotonic() - began < 5 and kb < 20000, (kb, p.stderr)


def test_T22_no_line_is_smuggled(skiff, image):
    """Names that become lines of hosts, hostname, passwd or resolv.conf cannot bring lines of their own."""
    for option in (["--hostname", "a\n1.2.3.4 evil"], ["--hostname", "a b"], ["--name", "a\nb"], ["--name", "../x"], ["--name", "a/b"],
                   ["--hostname", "x" * 65536]):
        p = skiff.run(image, "sh", "-c", "cat /etc/hosts /etc/hostname", options=option)
        assert p.returncode == 125 and "evil" not in p.stdout, option
    plain = skiff.run(image, "cat", "/etc/hosts", "/etc/hostname", check=True).stdout
    p = skiff.run(image, "cat", "/etc/hosts", "/etc/hostname", options=["--hostname", "a\\nb"])  # a backslash is no newline
    assert p.returncode == 125 or p.stdout.count("\n") == plain.count("\n")
    p = skiff.run(image, "sh", "-c", "cat /etc/hosts /etc/hostname /etc/passwd; echo \"$HOME|$A\"", check=True, options=["--hostname", "good", "-e", "HOME=/x\nevil:x:0:0::/:/bin/sh",
                                                                                                                         "-e", "A=1\n9.9.9.9 evil"])
    assert p.stdout.count("evil") == 2 and p.stdout.endswith("|1\n9.9.9.9 evil\n")
