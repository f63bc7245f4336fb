"""Mounts: flags of bind mounts (as runc's mount(8)-like rules), kinds of sources and destinations, recursive options, propagation, masks,
and containers without a mount namespace."""
import os
import shutil
import socket
import stat
import subprocess

import pytest

from conftest import IS_SKIFF, RUNTIME

VERSION = subprocess.run([RUNTIME, "--version"], capture_output=True, text=True).stdout
OLD_RUNC = not IS_SKIFF and "runc version 1.1" in VERSION
IS_RUNC = "runc" in VERSION and not IS_SKIFF
newer = pytest.mark.skipif(OLD_RUNC, reason="rules of runc 1.2 and newer")
of_crun = pytest.mark.skipif(IS_RUNC, reason="an option of crun")


def add(box, dest, source=None, options=("bind",), kind="bind"):
    box.c["mounts"].append({"destination": dest, "type": kind, "source": str(source or kind), "options": list(options)})


def options_of(text, dest):
    """Options of the topmost mount on dest: per mount, and optional fields."""
    found = None
    for line in text.splitlines():
        f = line.split()
        if len(f) > 6 and f[4] == dest:
            found = set(f[5].split(",")), f[6:f.index("-")], f[f.index("-") + 3].split(",")
    assert found, f"{dest} is no mount in\n{text}"
    return found


def mountinfo(box, dest, **kw):
    r = box.run("cat", "/proc/self/mountinfo", **kw)
    assert r.returncode == 0, r.stderr
    return options_of(r.stdout, dest)


@pytest.fixture
def volume(box):
    """A tmpfs of the host whose mount gets flags of the test's choice, with another one below."""
    d = box.dir / "vol"
    d.mkdir()

    def flags(text):
        subprocess.run(["mount", "--bind", "-o", "remount,diratime,atime,strictatime", str(d)], check=True)
        subprocess.run(["mount", "--bind", "-o", "remount," + text, str(d)], check=True)
        return d

    subprocess.run(["mount", "-t", "tmpfs", "-o", "rw,suid,dev,exec,diratime,strictatime", "tmpfs", str(d)], check=True)
    (d / "foo").write_text("foo\n")
    (d / "sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(d / "sub")], check=True)
    (d / "sub" / "bar").write_text("bar\n")
    yield flags
    subprocess.run(["umount", "-R", str(d)], check=True)


# --- flags of a bind mount: mounts_sshfs.bats ---

# host's flags, options, what must be there, what not; the same in a user namespace (None: the start must fail)
BIND = [
    ("ro,noexec,nosymfollow,nodiratime", "bind", "ro noexec nosymfollow nodiratime", "rw", "ro noexec nosymfollow nodiratime", "rw"),
    ("ro,noexec,nosymfollow,nodiratime", "bind,dev", "rw nodiratime", "ro noexec nosymfollow", "ro noexec nodiratime", "rw nosymfollow"),
    ("ro", "bind,nosuid,nodev,rprivate", "rw nosuid nodev", "ro", "ro nosuid nodev", "rw"),
    ("ro", "bind,rw,nosuid,nodev,rprivate", "rw nosuid nodev", "ro", None, None),
    ("nosuid,nodev,noexec,noatime", "bind,dev,suid,exec,atime", "rw noatime", "ro nosuid nodev noexec", None, None),
    ("rw,nodev,nosuid,noexec,noatime", "bind,ro", "ro", "nosuid nodev noexec", "ro nosuid nodev noexec", "rw"),
    ("rw,nodev,nosymfollow", "bind,ro,symfollow", "ro", "rw nodev nosymfollow", "ro nodev", "nosymfollow"),
    ("rw,nodev,nosymfollow", "bind,rw", "rw", "nodev nosymfollow", "rw nodev", "nosymfollow"),
    ("nodev,nosuid,noatime", "bind,ro,exec", "ro noatime", "noexec nosuid nodev", "ro nosuid nodev noatime", "noexec"),
    ("noatime", "bind", "noatime", "relatime", "noatime", "relatime"),
    ("noatime", "bind,norelatime", "noatime", "relatime", "noatime", "relatime"),
    ("noatime", "bind,atime", "noatime", "relatime", "noatime", "relatime"),
    ("noatime", "bind,relatime", "relatime", "noatime", None, None),
    ("noatime", "bind,nodiratime", "nodiratime relatime", "noatime", None, None),
    ("nodiratime", "bind,strictatime", "rw", "noatime relatime nodiratime", None, None),
    ("noatime", "bind,nodiratime,strictatime", "nodiratime", "noatime relatime", None, None),
    ("noatime", "bind,nodiratime,norelatime", "nodiratime relatime", "noatime", None, None),
    ("strictatime", "bind", "rw", "noatime relatime nodiratime", "rw", "noatime relatime nodiratime"),
    ("relatime", "bind", "relatime", "noatime", "relatime", "noatime"),
    ("noatime,nodiratime", "bind,norelatime", "noatime nodiratime", "relatime", "noatime nodiratime", "relatime"),
    ("relatime", "bind,strictatime", "rw", "relatime noatime", None, None),
    ("relatime", "bind,noatime", "noatime", "relatime", None, None),
    ("strictatime", "bind,relatime", "relatime", "noatime", None, None),
    ("strictatime", "bind,nostrictatime", "rw", "noatime relatime", "rw", "noatime relatime"),
    ("nodiratime", "bind,diratime", "nodiratime", "noatime", "nodiratime", "noatime"),
    ("relatime", "bind,norelatime", "relatime", "noatime", "relatime", "noatime"),
]


@newer
@pytest.mark.parametrize("row", BIND, ids=lambda r: f"{r[0]}-{r[1]}")
@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
def test_flags_of_a_bind_mount(box, volume, row, userns):
    host, options, *want = row
    need, absent = want[2:] if userns else want[:2]
    if userns:
        box.userns()
    options = options.split(",")
    if need is not None and (userns or "ro" in host):
        options = ["rbind" if o == "bind" else o for o in options]  # what is mounted below may not be shown
    add(box, "/mnt", volume(host), ["rbind" if o == "bind" else o for o in options])
    if need is None:
        r = box.run("true")
        assert r.returncode != 0 and "operation not permitted" in r.stderr.lower()
        return
    have, _, _ = mountinfo(box, "/mnt")
    assert set(need.split()) <= have and not set(absent.split()) & have, have


@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
@pytest.mark.parametrize("options,foo,bar", [
    (["rbind", "ro"], False, True), (["rbind", "rro"], False, False), (["rbind", "ro", "rro"], False, False), (["rbind"], True, True)])
def test_read_only(box, volume, options, foo, bar, userns):
    d = volume("rw")
    if userns:
        box.userns()
        for p in (d, d / "sub", d / "foo", d / "sub" / "bar"):
            os.chown(p, 100000, 100000)
    add(box, "/mnt", d, options)
    r = box.sh("touch /mnt/foo; echo $?; touch /mnt/sub/bar; echo $?")
    assert r.stdout.split() == ["0" if ok else "1" for ok in (foo, bar)], r.stderr
    assert r.stderr.count("Read-only file system") == (not foo) + (not bar)


ATTRS = [("ratime", "relatime"), ("rnoatime", "noatime"), ("rstrictatime", "!relatime"), ("rnostrictatime", "relatime"), ("rrelatime", "relatime"),
         ("rnorelatime", "relatime"), ("rnosuid", "nosuid"), ("rsuid", "!nosuid"), ("rnodev", "nodev"), ("rdev", "!nodev"), ("rnoexec", "noexec"),
         ("rexec", "!noexec"), ("rnodiratime", "nodiratime"), ("rdiratime", "!nodiratime"), ("rnosymfollow", "nosymfollow"),
         ("rsymfollow", "!nosymfollow"), ("rro", "ro"), ("rrw", "rw")]


@pytest.mark.parametrize("option,want", ATTRS)
def test_recursive_attributes(box, volume, option, want):
    if OLD_RUNC and option in ("ratime", "rnostrictatime", "rnorelatime"):
        pytest.skip("fixed in runc 1.4")
    add(box, "/mnt", volume("rw"), ["rbind", option])
    out = box.run("cat", "/proc/self/mountinfo").stdout
    for d in ("/mnt", "/mnt/sub"):
        have = options_of(out, d)[0]
        assert (want[1:] not in have) if want[0] == "!" else want in have


PLAIN = [("ro", "ro"), ("rw", "rw"), ("nosuid", "nosuid"), ("suid", "!nosuid"), ("nodev", "nodev"), ("dev", "!nodev"), ("noexec", "noexec"),
         ("exec", "!noexec"), ("noatime", "noatime"), ("relatime", "relatime"), ("strictatime", "!relatime"), ("nodiratime", "nodiratime"),
         ("nosymfollow", "nosymfollow"), ("defaults", "rw"), ("norelatime", "rw"), ("symfollow", "!nosymfollow"), ("silent", "rw"), ("loud", "rw"),
         ("async", "rw"), ("nostrictatime", "rw"), ("diratime", "!nodiratime"), ("atime", "rw"), ("noiversion", "rw"), ("nolazytime", "rw"), ("nomand", "rw")]


@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
@pytest.mark.parametrize("kind", ["tmpfs", "dir", "file"])
@pytest.mark.parametrize("option,want", PLAIN)
def test_options(box, option, want, kind, userns):
    if IS_RUNC and option in ("nosymfollow", "symfollow", "silent", "loud", "defaults"):
        pytest.skip("not every release of runc knows it")
    dest = "/opt-" + kind
    if userns:
        box.userns()
    if kind == "tmpfs":
        add(box, dest, None, [option], "tmpfs")
    else:
        src = box.dir / "src"
        src.mkdir() if kind == "dir" else src.touch()
        add(box, dest, src, ["bind", "rprivate", option])
    if userns and kind != "tmpfs" and option in ("strictatime", "noatime", "nodiratime"):
        r = box.run("true")
        assert r.returncode != 0 and "not permitted" in r.stderr
        return
    have, _, _ = mountinfo(box, dest)
    assert (want[1:] not in have) if want[0] == "!" else want in have


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime"])
def test_options_of_the_file_system(box, option):
    add(box, "/mnt", None, [option], "tmpfs")
    assert option in mountinfo(box, "/mnt")[2] or option == "lazytime"


# --- sources and destinations ---

@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
@pytest.mark.parametrize("options", [["bind"], ["bind", "ro"], ["bind", "rro"]], ids=lambda o: o[-1])
@pytest.mark.parametrize("kind", ["file", "fifo", "socket", "device"])
def test_bind_of_what_is_no_directory(box, kind, options, userns):
    src = box.dir / "src"
    if userns:
        box.userns()
    if kind == "file":
        src.write_text("x")
    elif kind == "fifo":
        os.mkfifo(src)
    elif kind == "socket":
        s = socket.socket(socket.AF_UNIX)
        os.chdir(box.dir)
        s.bind("src")
    else:
        os.mknod(src, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    add(box, "/deep/er/x", src, options)
    r = box.sh("stat -c %F /deep/er/x")
    assert {"file": "regular"}.get(kind, "character" if kind == "device" else kind) in r.stdout, r.stderr


@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
def test_source_that_the_mapped_root_cannot_reach(box, userns):
    parent = box.dir / "private"
    (parent / "m").mkdir(parents=True)
    (parent / "m" / "content").write_text("hello")
    (parent / "link").symlink_to(parent / "m")
    parent.chmod(0)
    if userns:
        box.userns()
    add(box, "/foo", parent / "m", ["bind", "ro"])
    add(box, "/bar", parent / "link", ["bind", "ro"])
    assert box.run("cat", "/foo/content", "/bar/content").stdout == "hellohello"
    parent.chmod(0o755)


def test_relative_source_and_destination(box):
    add(box, "tmp//bind", ".", ["bind"])
    assert box.run("ls", "/tmp/bind").stdout == "config.json\n"


def test_symlinks_on_the_way(box):
    root = box.own_rootfs()
    (root / "real" / "conf").mkdir(parents=True)
    (root / "conf").symlink_to("/real/conf")
    (root / "jump").symlink_to("/tmp/foo/bar")
    (root / "etc" / "hosts").symlink_to("/jump/baz/hosts")
    (root / "etc" / "dangling").symlink_to("/tmp/new")
    (box.dir / "file").write_text("volume")
    (box.dir / "dir").mkdir()
    (box.dir / "dir" / "in").write_text("in dir")
    add(box, "/conf/stack", None, ["ro", "nodev", "nosuid"], "tmpfs")
    add(box, "/etc/hosts", box.dir / "file")
    add(box, "/etc/dangling", box.dir / "dir")
    if IS_RUNC:
        box.c["mounts"] = box.c["mounts"][:-2]
        assert box.run("true").returncode == 0
        return
    r = box.sh("cat /tmp/foo/bar/baz/hosts /tmp/new/in; cat /proc/self/mountinfo")
    assert r.stdout.startswith("volumein dir"), r.stderr
    for d in ("/real/conf/stack", "/tmp/foo/bar/baz/hosts", "/tmp/new"):
        options_of(r.stdout, d)


@of_crun
@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
@pytest.mark.parametrize("what", ["file", "link"])
@pytest.mark.parametrize("src_nofollow", [False, True], ids=["follow", "src-nofollow"])
def test_nofollow(box, userns, what, src_nofollow):
    if not IS_SKIFF and "1.8" in VERSION:
        pytest.skip("newer than this crun")
    box.userns() if userns else box.own_rootfs()
    (box.rootfs / "target").symlink_to("point-to-nowhere")
    (box.dir / "file").write_text("content")
    (box.dir / "link").symlink_to("file")
    add(box, "/target", box.dir / what, ["bind", "dest-nofollow", *(["src-nofollow"] if src_nofollow else [])])
    if what == "link" and src_nofollow:
        r = box.run("readlink", "/target")
        assert r.stdout == "file\n", r.stderr
    else:
        r = box.run("cat", "/target")
        assert r.stdout == "content", r.stderr
    assert os.readlink(box.rootfs / "target") == "point-to-nowhere"


@of_crun
def test_nofollow_never_covers_proc(box):
    (box.dir / "link").symlink_to("x")
    add(box, "/proc/self", box.dir / "link", ["bind", "dest-nofollow", "src-nofollow"])
    assert box.run("true").returncode != 0


@of_crun
def test_copy_symlink(box):
    box.own_rootfs()
    (box.dir / "link").symlink_to("point-to-nowhere")
    add(box, "/a/sym/link", box.dir / "link", ["rbind", "copy-symlink"])
    assert box.run("readlink", "/a/sym/link").stdout == "point-to-nowhere\n"


@of_crun
@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
def test_bind_on_the_root(box, userns):
    """What covers the root is the root; later mounts land in it."""
    other = box.dir / "other"
    shutil.copytree(box.rootfs, other, symlinks=True)
    (other / "here").write_text("other root")
    if userns:
        box.userns()
        subprocess.run(["chown", "-hR", "100000:100000", str(other)], check=True)
    box.c["mounts"].insert(0, {"destination": "/", "type": "bind", "source": str(other), "options": ["bind"]})
    r = box.sh("cat /here; echo x > /dev/null; grep -c ' / / ' /proc/self/mountinfo; ls -d /proc/self")
    assert r.stdout.startswith("other root") and "/proc/self" in r.stdout, r.stderr


def test_directories_made_under_setgid(box):
    root = box.own_rootfs()
    (root / "setgid").mkdir()
    (root / "setgid").chmod(0o7755)
    add(box, "/setgid/a/b/c", None, ["ro", "nodev", "nosuid"], "tmpfs")
    assert box.run("true").returncode == 0
    assert [oct((root / p).stat().st_mode & 0o7777) for p in ("setgid", "setgid/a", "setgid/a/b", "setgid/a/b/c")] == ["0o7755"] + ["0o2755"] * 3


# --- tmpfs ---

@newer
@pytest.mark.parametrize("options,mode", [([], "710"), (["mode=1500"], "1500")])
def test_tmpfs_mode(box, options, mode):
    root = box.own_rootfs()
    (root / "tmpfs").mkdir()
    (root / "tmpfs").chmod(0o710)
    add(box, "/tmpfs", None, ["rw", "nodev", "nosuid", *options], "tmpfs")
    r = box.sh("stat -c %a /tmpfs; cat /proc/self/mountinfo")
    assert r.stdout.split()[0] == mode and f"mode={mode}" in options_of(r.stdout, "/tmpfs")[2]
    assert (root / "tmpfs").stat().st_mode & 0o7777 == 0o710


@newer
def test_tmpfs_mode_of_a_new_mount_point(box):
    root = box.own_rootfs()
    add(box, "/new/foo", None, ["rw"], "tmpfs")
    r = box.sh("stat -c %a /new/foo; cat /proc/self/mountinfo")
    assert r.stdout.split()[0] == "1777" and not [o for o in options_of(r.stdout, "/new/foo")[2] if o.startswith("mode=")]
    assert (root / "new" / "foo").stat().st_mode & 0o7777 == 0o755


@newer
def test_tmpcopyup(box):
    root = box.own_rootfs()
    (root / "dir1" / "dir2").mkdir(parents=True)
    (root / "dir1" / "dir2").chmod(0o777)
    (root / "dir1" / "f").write_text("kept")
    add(box, "/dir1", None, ["tmpcopyup"], "tmpfs")
    old = os.umask(0o22)
    r = box.sh("stat -c %a /dir1/dir2; cat /dir1/f; echo new > /dir1/f")
    os.umask(old)
    assert r.stdout == "777\nkept" and (root / "dir1" / "f").read_text() == "kept"


@pytest.mark.parametrize("dest", ["/mnt", "/dev"])
def test_read_only_tmpfs(box, dest):
    if dest == "/dev":
        next(m for m in box.c["mounts"] if m["destination"] == "/dev")["options"].append("ro")
    else:
        add(box, dest, None, ["ro", "nodev", "nosuid", "mode=755"], "tmpfs")
    assert "ro" in mountinfo(box, dest)[0]


def test_modes_of_kernel_file_systems(box):
    root = box.own_rootfs()
    (root / "proc").chmod(0o755)
    assert box.run("stat", "-c", "%a", "/proc").stdout == "555\n"


# --- propagation ---

PROPAGATION = [("private", None), ("rprivate", None), ("shared", "shared:"), ("rshared", "shared:"), ("slave", None), ("rslave", None), ("unbindable", "unbindable"),
               ("runbindable", "unbindable")]


@pytest.mark.parametrize("option,want", PROPAGATION)
def test_propagation_of_a_mount(box, option, want):
    d = box.dir / "v"
    d.mkdir()
    add(box, "/mnt", d, ["rbind", option])
    _, fields, _ = mountinfo(box, "/mnt")
    if want:
        assert [f for f in fields if f.startswith(want)]
    else:
        assert not [f for f in fields if f.startswith("shared:") or f == "unbindable"]


@newer
@pytest.mark.parametrize("option,want", [("shared", "shared:"), ("rshared", "shared:"), ("private", ""), ("rslave", ""), ("", ""), ("unbindable", "unbindable")])
def test_propagation_of_the_root(box, option, want):
    if option:
        box.c["linux"]["rootfsPropagation"] = option
    _, fields, _ = mountinfo(box, "/")
    if want:
        assert [f for f in fields if f.startswith(want)]
    else:
        assert not [f for f in fields if f.startswith("shared:") or f == "unbindable"]


def test_slave_root_of_a_shared_host(box):
    """rootfsPropagation slave, where the host's mounts are shared: the root is a slave of the host's."""
    box.c["linux"]["rootfsPropagation"] = "slave"
    box.p["args"] = ["cat", "/proc/self/mountinfo"]
    box.write()
    r = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount --make-rshared / && exec "$@"', "sh",
                        *box.cmd("run", "--bundle", str(box.bundle), box.id)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    _, fields, _ = options_of(r.stdout, "/")
    assert [f for f in fields if f.startswith("master:")] and not [f for f in fields if f.startswith("shared:")]


# --- masks and read-only paths ---

def test_duplicate_masks(box):
    root = box.own_rootfs()
    (root / "testdir").mkdir()
    (root / "testfile").write_text("secret")
    box.c["linux"]["maskedPaths"] += ["/testdir", "/testfile"] * (1 if OLD_RUNC else 2)
    out = box.run("cat", "/proc/self/mountinfo").stdout
    assert [sum(1 for line in out.splitlines() if line.split()[4] == p) for p in ("/testdir", "/testfile")] == [1, 1]


def test_masks(box):
    root = box.own_rootfs()
    for d in ("testdir", "testdir2"):
        (root / d).mkdir()
        (root / d / "f").touch()
    (root / "testfile").write_text("secret")
    box.c["root"]["readonly"] = True
    box.c["linux"]["maskedPaths"] += ["/testdir", "/testfile", "/testdir2", "/not/there"]
    r = box.sh("cat /testfile; ls /testdir /testdir2; touch /testdir/x; rm -f /testfile; umount /testdir; stat -c %d /testdir /testdir2")
    assert r.stderr.count("Read-only file system") == 2 and "secret" not in r.stdout
    if not OLD_RUNC:
        a, b = r.stdout.split()[-2:]
        assert a == b


def test_read_only_path_keeps_the_flags_of_its_mount(box):
    d = box.dir / "v"
    (d / "world").mkdir(parents=True)
    add(box, "/test", d, ["rbind", "nosuid", "noexec", "nodev"])
    next(m for m in box.c["mounts"] if m["destination"] == "/proc")["options"] = ["nosuid", "noexec", "nodev"]
    box.c["linux"]["readonlyPaths"] = ["/test/world", "/proc/bus"]
    out = box.run("cat", "/proc/self/mountinfo").stdout
    assert {"ro", "nosuid", "nodev", "noexec"} <= options_of(out, "/test/world")[0]
    assert {"ro", "nosuid", "nodev", "noexec"} <= options_of(out, "/proc/bus")[0]


# --- kernel file systems ---

@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("how", ["link", "file"])
def test_proc_and_sys_want_a_directory(box, name, how):
    root = box.own_rootfs()
    (root / name).rmdir()
    (root / "bad").mkdir()
    (root / name).symlink_to("/bad") if how == "link" else (root / name).touch()
    r = box.run("true")
    assert r.returncode != 0
    if name == "proc" and how == "link":
        assert "must be mounted on ordinary directory" in r.stderr


@pytest.mark.parametrize("userns", [False, True], ids=["plain", "userns"])
@pytest.mark.parametrize("own_net", [False, True], ids=["host-net", "own-net"])
def test_sysfs_and_network_namespace(box, userns, own_net):
    """Without a network namespace of its own a user namespace may not mount sysfs; the host's serves, read-only."""
    if userns:
        box.userns()
    if not own_net:
        box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "network"]
    box.c["mounts"] = [m for m in box.c["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    if IS_RUNC and userns and not own_net:
        pytest.skip("runc wants a bind mount in the spec")
    assert "ro" in mountinfo(box, "/sys")[0]


def test_mqueue_and_devpts(box):
    r = box.sh("stat -f -c %T /dev/mqueue /dev/pts; stat -c %a /dev/pts/ptmx; readlink /dev/ptmx; grep ' /dev/pts ' /proc/self/mountinfo")
    assert "gid=5" in r.stdout and "ptmxmode=666" in r.stdout and "pts/ptmx" in r.stdout


# --- no mount namespace ---

@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "hook"])
def test_mount_namespace_of_the_host(box, hooked):
    """As with runc, the mounts are made below the root in the caller's namespace, and stay: the caller undoes them."""
    box.own_rootfs()
    box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "mount"]
    box.c["linux"]["maskedPaths"] = []
    box.c["linux"]["readonlyPaths"] = []
    if hooked:
        box.c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"mountpoint {box.rootfs}/proc > {box.dir}/hook"]}]}
    box.p["args"] = ["sh", "-c", "cat /proc/self/mountinfo; echo x > /dev/null; ls -d /sys/kernel; pwd"]
    box.write()
    script = f"""mount --make-rprivate / && "$@"; r=$?; echo $r > {box.dir}/rc
        grep -c '{box.rootfs}' /proc/self/mountinfo > {box.dir}/left; umount -R -l {box.rootfs}; exit $r"""
    r = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *box.cmd("run", "--bundle", str(box.bundle), box.id)], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL)
    assert r.returncode == 0 and "/sys/kernel" in r.stdout, r.stderr
    assert int((box.dir / "left").read_text()) > 5
    if hooked:
        assert "is a mountpoint" in (box.dir / "hook").read_text()


@pytest.mark.skiff_only
def test_failed_start_in_the_mount_namespace_of_the_host_leaves_nothing(box):
    box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "mount"]
    box.c["linux"]["maskedPaths"] = []
    box.c["linux"]["readonlyPaths"] = []
    add(box, "/x", "/not/there")
    root = str(box.own_rootfs())
    assert box.run("true").returncode != 0
    assert [line for line in open("/proc/self/mountinfo") if root in line] == []


@pytest.mark.parametrize("kind", ["maskedPaths", "readonlyPaths"])
def test_masks_need_a_mount_namespace(box, kind):
    box.c["linux"]["namespaces"] = [n for n in box.c["linux"]["namespaces"] if n["type"] != "mount"]
    box.c["linux"] |= {"maskedPaths": [], "readonlyPaths": [], kind: ["/tmp"]}
    r = box.run("true")
    assert r.returncode != 0 and "without a private" in r.stderr


# --- sysctl ---

@newer
def test_net_sysctl_of_the_callers_own_namespace(box):
    next(n for n in box.c["linux"]["namespaces"] if n["type"] == "network")["path"] = "/proc/self/ns/net"
    box.c["linux"]["sysctl"] = {"net.ipv4.ping_group_range": "0 0"}
    r = box.run("true")
    assert r.returncode != 0 and "not allowed in host network namespace" in r.stderr


@pytest.mark.parametrize("key", ["net.ipv4.conf.lo.rp_filter", "net/ipv4/conf/lo/rp_filter"])
def test_sysctl_names(box, key):
    box.c["linux"]["sysctl"] = {key: "2"}
    assert box.run("cat", "/proc/sys/net/ipv4/conf/lo/rp_filter").stdout == "2\n"


def test_tmpfs_over_the_root_takes_its_content(box):
    root = box.own_rootfs()
    (root / "etc" / "mark").write_text("from the image\n")
    box.c["mounts"].insert(0, {"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
    r = box.sh("cat /etc/mark; echo new > /etc/mark && stat -f -c %T / && ls /proc/self/status")
    assert r.returncode == 0, r.stderr
    assert r.stdout.splitlines() == ["from the image", "tmpfs", "/proc/self/status"], r.stdout
    assert (root / "etc" / "mark").read_text() == "from the image\n"


@pytest.mark.skiff_only
def test_no_other_file_system_over_the_root(box):
    box.c["mounts"].insert(0, {"destination": "/", "type": "tmpfs", "source": "tmpfs"})
    r = box.run("true")
    assert r.returncode == 1 and "tmpcopyup" in r.stderr
