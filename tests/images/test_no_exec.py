"""Nothing of an image is ever executed, mapped as code or loaded while it is received, unpacked, verified, packed or removed."""
import os
import re
import shutil
import subprocess

import imagegen as ig
import pytest
import worker
from imagegen import dir_, file, symlink
from test_archives import layout

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="no strace")


def elf():
    with open(os.path.realpath("/bin/true"), "rb") as f:
        return f.read()


def tempting():
    """What a program would load if it looked into the tree that it unpacks: NSS, locales, converters, preload, tools of its own name."""
    code = elf()
    names = ("lib/x86_64-linux-gnu/libnss_files.so.2", "lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", "usr/lib/libpwn.so",
             "bin/sh", "bin/tar", "bin/gzip", "usr/bin/unpigz", "usr/bin/zstd", "sbin/ldconfig", "usr/libexec/skiff/skiff-image", "sbin/init")
    low = ig.layer([dir_("bin"), dir_("sbin"), dir_("etc"), *(file(n, code, mode=0o4755) for n in names),
                    file("etc/ld.so.preload", "/usr/lib/libpwn.so\n"), file("etc/nsswitch.conf", "passwd: pwn\ngroup: pwn\n"),
                    file("etc/passwd", "pwn:x:0:0::/:/bin/sh\n"), symlink("etc/ld.so.cache", "../usr/lib/libpwn.so")])
    return ig.image([low, ig.layer([file("run.sh", "#!/bin/sh\nexit 1\n", mode=0o755)], "zstd"), ig.layer([file("x", code)], "plain")])


def traced(store, tmp_path, *args):
    """The command under strace; its lines."""
    log = tmp_path / "trace"
    p = subprocess.run(["strace", "-f", "-qq", "-y", "-s", "256", "-e", "trace=execve,execveat,mmap,mprotect,openat,openat2,open", "-o", str(log), worker.SKIFF, *args],
                       capture_output=True, text=True, timeout=120,
                       env={**os.environ, "SKIFF_ROOT": str(store.path), "SKIFF_RUN_ROOT": str(store.path.parent / "run")})
    if "ptrace" in p.stderr and p.returncode:
        pytest.skip("no ptrace here")
    assert p.returncode == 0, p.stderr
    return log.read_text(errors="replace").splitlines()


def check(lines, store):
    root = str(store.path)
    programs = [m.group(1) for x in lines if (m := re.search(r'execve(?:at)?\((?:[^"]*, )?"([^"]*)".*\) = 0', x))]
    assert {os.path.basename(p) for p in programs} <= {"skiff", "skiff-image"} and all(os.path.dirname(p) == os.path.dirname(worker.SKIFF) for p in programs), programs
    assert not [x for x in lines if re.search(r"execve(at)?\(", x) and root in x]
    mapped = [x for x in lines if "PROT_EXEC" in x and root in x]
    assert mapped == [], mapped[:3]
    # the dynamic linker opens by name; what skiff opens of a tree it opens below a directory's descriptor
    loaded = [m.group(1) for x in lines if (m := re.search(r'open(?:at)?\((?:AT_FDCWD[^"]*, )?"([^"]*\.so[^"]*)"', x))]
    assert all(re.match(r"(/usr)?/lib(64)?/|/etc/ld\.so\.", p) for p in loaded), loaded


def test_nothing_of_an_image_is_executed(registry, store, tmp_path):
    im = tempting()
    ref = registry.push("noexec", "1", im)
    check(traced(store, tmp_path, "pull", ref), store)
    lines = traced(store, tmp_path, "system", "check")
    assert any("libpwn.so" in x for x in lines), "the trace does not show what is read"
    check(lines, store)
    check(traced(store, tmp_path, "save", "-o", str(tmp_path / "a.tar"), ref), store)
    check(traced(store, tmp_path, "rmi", ref), store)
    check(traced(store, tmp_path, "load", "-i", str(tmp_path / "a.tar")), store)
    check(traced(store, tmp_path, "load", "-i", str(layout(tmp_path / "oci", [im], ["example.com/x:1"]))), store)


def test_the_check_sees_an_execution(store, tmp_path):
    """The look-out works: lines as strace writes them, of what must never be."""
    root = str(store.path)
    for bad in (f'1 execve("{root}/layers/x/tree/bin/sh", ["sh"], 0x0) = 0',
                f"1 mmap(NULL, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE, 5<{root}/layers/x/tree/lib.so>, 0) = 0x7f0000000000",
                f'1 openat(AT_FDCWD</tmp>, "{root}/layers/x/tree/lib/libnss_files.so.2", O_RDONLY|O_CLOEXEC) = 5',
                '1 openat(AT_FDCWD</tmp>, "lib/libnss_files.so.2", O_RDONLY|O_CLOEXEC) = 5'):
        with pytest.raises(AssertionError):
            check([bad], store)
