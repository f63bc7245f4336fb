"""T29: cp against links that a container exchanges. T30, T31: nothing of the container is loaded or executed by cp. T32: nor by top, stats, health."""
import os
import shutil
import subprocess
import threading

import pytest

from seclib_engine import registry, seed, skiff, wait_until  # noqa: F401

ROUNDS = int(os.environ.get("SKIFF_SOAK_ROUNDS", "0")) or 40

# Exchanges a directory and a link to the canary of the host as fast as a shell can.
SWAP = '''mkdir -p /p/real /p/links; ln -s {canary} /p/links/evil; mkdir /p/d; echo inside > /p/d/file; echo inside > /p/real/file; touch /ready
while :; do mv /p/d /p/t; ln -s {canary} /p/d; rm /p/d; mv /p/t /p/d; done'''


@pytest.fixture
def swapper(skiff, canary):  # noqa: F811
    skiff.detached("--name", "c", "--", "sh", "-c", SWAP.format(canary=canary))
    assert wait_until(lambda: skiff("exec", "c", "test", "-e", "/ready", rc=None).returncode == 0)
    return skiff


def test_T29_the_swap_works_on_who_resolves_paths(swapper, canary, tmp_path):
    """The control: whoever goes through the container's root by a path on the host reads the canary sooner or later."""
    root = f"/proc/{swapper.state('c')['Pid']}/root"
    assert wait_until(lambda: os.path.islink(f"{root}/p/d") and os.readlink(f"{root}/p/d") == canary, 20, 0)
    # a link made for good: by a plain path it is the host's file, by cp it is the container's
    assert open(f"{root}/p/links/evil/passwd").read() == "canary passwd\n", "followed on the host"
    assert "Could not find" in swapper("cp", "c:/p/links/evil/passwd", tmp_path / "x", rc=1).stderr


def test_T29_out(swapper, canary, tmp_path):
    for i in range(ROUNDS):
        to = tmp_path / f"o{i}"
        for word in ("c:/p/d/file", "c:/p/d", "c:/p/links/evil/passwd"):
            swapper("cp", word, to, rc=None)
            found = subprocess.run(["grep", "-rl", "canary [a-z]", to], capture_output=True, text=True).stdout if to.exists() and not to.is_symlink() else ""
            assert found == "", f"{word} read the host"
            if to.is_dir() and not to.is_symlink():
                shutil.rmtree(to)
            elif os.path.lexists(to):
                to.unlink()


def test_T29_in(swapper, canary, tmp_path):
    """The canary fixture looks afterwards whether anything was written there."""
    (tmp_path / "passwd").write_text("owned\n")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "passwd").write_text("owned\n")
    tar = subprocess.run(["tar", "-C", tmp_path, "-cf", "-", "passwd", "t"], capture_output=True, check=True).stdout
    for _ in range(ROUNDS):
        swapper("cp", tmp_path / "passwd", "c:/p/d/passwd", rc=None)
        swapper("cp", f"{tmp_path}/t/.", "c:/p/d", rc=None)
        subprocess.run(swapper.argv("cp", "-", "c:/p/d"), input=tar, capture_output=True, env=swapper.env)
        swapper("cp", tmp_path / "passwd", "c:/p/links/evil/passwd", rc=None)


def test_T29_links_of_the_container_still_work(skiff, tmp_path):  # noqa: F811
    """The regression of docker's fix: /var/run -> /run."""
    (tmp_path / "f").write_text("x")
    skiff("run", "--name", "v", skiff.image, "sh", "-c", "mkdir -p /run /var; ln -s /run /var/run")
    skiff("cp", tmp_path / "f", "v:/var/run/f")
    skiff("cp", "v:/run/f", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "x"


def test_T29_hostile_tar(skiff, canary, tmp_path):  # noqa: F811
    """Names with .., absolute names, links that lead out, and a link followed by a name below it."""
    import io
    import tarfile
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w") as t:
        for name in ("../../../../../../.." + canary + "/passwd", canary + "/passwd"):
            m = tarfile.TarInfo(name)
            m.size = 5
            t.addfile(m, io.BytesIO(b"owned"))
        for kind, name, link in ((tarfile.SYMTYPE, "evil", canary), (tarfile.SYMTYPE, "up", "../" * 12 + canary[1:]), (tarfile.LNKTYPE, "hard", canary + "/passwd")):
            m = tarfile.TarInfo(name)
            m.type, m.linkname = kind, link
            t.addfile(m)
        for name in ("evil/passwd", "up/passwd", "hard"):
            m = tarfile.TarInfo(name)
            m.size = 5
            t.addfile(m, io.BytesIO(b"owned"))
    skiff.detached("--name", "h", "--", "sleep", "1000")
    skiff("create", "--name", "s", skiff.image, "true")
    for c in "hs":
        subprocess.run(skiff.argv("cp", "-", f"{c}:/"), input=b.getvalue(), capture_output=True, env=skiff.env)


FAKES = ("xz", "unxz", "gzip", "gunzip", "unpigz", "zstd", "tar", "ps", "nsenter", "sh-evil")


@pytest.fixture
def trap(skiff, canary, tmp_path):  # noqa: F811
    """A container full of programs and libraries that would write to a place of the host that only the host's side can see."""
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\necho ran > {canary}/ran\n")
    script.chmod(0o755)
    skiff.detached("--name", "c", "--health-cmd", "true", "--health-interval", "50ms", "--", "sleep", "1000")
    for name in FAKES:
        for d in ("/usr/bin", "/bin", "/usr/local/bin"):
            skiff("exec", "c", "mkdir", "-p", d)
            skiff("cp", script, f"c:{d}/{name}")
    skiff("exec", "c", "mkdir", "-p", "/etc", "/lib/x86_64-linux-gnu", "/usr/lib/locale")
    for name in ("/etc/nsswitch.conf", "/lib/x86_64-linux-gnu/libnss_files.so.2", "/etc/ld.so.preload"):
        skiff("cp", script, f"c:{name}")
    return skiff


def test_T31_no_program_of_the_container_runs(trap, canary, tmp_path):
    for compress in (["gzip", "-c"], ["xz", "-c"], ["zstd", "-c", "-q"], ["cat"]):
        tar = subprocess.run(["tar", "-C", tmp_path, "-cf", "-", "evil"], capture_output=True, check=True).stdout
        data = subprocess.run(compress, input=tar, capture_output=True, check=True).stdout
        subprocess.run(trap.argv("cp", "-", "c:/"), input=data, capture_output=True, env=trap.env)
        subprocess.run(trap.argv("cp", "c:/usr/bin", "-"), capture_output=True, env=trap.env, check=True)
    assert not os.path.exists(canary + "/ran")


def test_T32_no_program_of_the_container_runs(trap, canary):
    trap("top", "c")
    trap("top", "c", "-ef")
    trap("top", "c", "pid,user,args")
    trap("stats", "--no-stream")
    assert wait_until(lambda: trap.state("c")["Health"]["Status"] == "healthy")
    trap("healthcheck", "run", "c")
    assert not os.path.exists(canary + "/ran")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_T30_nothing_is_loaded_from_the_container(trap, tmp_path):
    """Every file that cp opens below the container's root is one that it was asked to copy."""
    out = tmp_path / "trace"
    subprocess.run(["strace", "-f", "-y", "-e", "trace=open,openat,openat2,execve,execveat,chroot,setns,pivot_root", "-o", out, *trap.argv("cp", "c:/usr", tmp_path / "copy")],
                   check=True, env=trap.env)
    text = out.read_text()
    assert "chroot" not in text and "setns" not in text and text.count("execve") == 1, "cp stays where it is"
    asked = [line for line in text.splitlines() if "/usr/bin" in line]
    assert asked, "the trace sees what is opened below the root"
    for word in ("libnss", "nsswitch", "ld.so.preload", "/locale", "terminfo"):
        inside = [x for x in text.splitlines() if word in x and f"</proc" not in x and ("/root" in x.split("openat", 1)[-1] and "/proc/" in x)]
        assert inside == [], word
