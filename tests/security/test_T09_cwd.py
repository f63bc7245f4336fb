"""T09: working directory or program through a descriptor of the host that leaked, for start and exec."""
import os

import pytest

from seclib import RUNTIME, sh

UP = "/../../../../../../../../../../.."


@pytest.fixture
def leak(canary):
    """Descriptors of the host's root directory that the caller left open for its children."""
    fds = [os.open("/", os.O_RDONLY | os.O_DIRECTORY) for _ in range(3)]
    for fd in fds:
        os.set_inheritable(fd, True)
    assert os.path.basename(canary) in sh("ls", f"/proc/self/fd/{fds[0]}{os.path.dirname(canary)}", close_fds=False).stdout, "a plain child is not let out"
    yield fds
    for fd in fds:
        os.close(fd)


def outside(p):
    """Whether what ran saw the host."""
    return "canary" in p.stdout or "(unreachable)" in p.stdout or "HOST" in p.stdout


def script(canary):
    return f"pwd; cat .{canary}/passwd; cat ..{UP}{canary}/passwd; test -e .{canary} && echo HOST; true"


@pytest.mark.parametrize("n", [*range(3, 30), 63, 127, 255, 1023])
def test_T09_cwd_of_start(runtime, bundle, canary, leak, n):
    b = bundle().shell(script(canary))
    b.process["cwd"] = f"/proc/self/fd/{n}"
    p = runtime.run(b, close_fds=False)
    assert not outside(p), p.stdout
    assert p.returncode != 0


@pytest.mark.parametrize("cwd", ["/proc/self/cwd", "/proc/1/cwd", "/proc/self/root", "/proc/self/fd/8" + UP, "/l", "relative", "", "/proc/self/ns"])
def test_T09_other_directories(runtime, bundle, canary, leak, cwd):
    b = bundle().shell(script(canary))
    b.replace("l", link="/proc/self/fd/8")
    b.process["cwd"] = cwd
    assert not outside(runtime.run(b, close_fds=False))


def test_T09_program_of_start(runtime, bundle, canary, leak):
    for n in range(3, 30):
        b = bundle().args(f"/proc/self/fd/{n}/bin/sh", "-c", script(canary))
        p = runtime.run(b, close_fds=False)
        assert not outside(p) and p.returncode != 0, p.stdout
        runtime.delete(b)
        if n == 3:
            assert p.stderr


@pytest.mark.smoke
def test_T09_exec(runtime, bundle, canary, leak):
    b = bundle().args("sleep", "1000")
    runtime.start(b, close_fds=False)
    for n in range(3, 24):
        p = runtime.exec(b, "sh", "-c", script(canary), options=["--cwd", f"/proc/self/fd/{n}"], close_fds=False)
        assert not outside(p) and p.returncode != 0, (n, p.stdout)
        p = runtime.exec(b, f"/proc/self/fd/{n}/bin/sh", "-c", script(canary), close_fds=False)
        assert not outside(p) and p.returncode != 0, (n, p.stdout)


def test_T09_preserved_directory_is_still_refused(runtime, bundle, canary, leak):
    """A descriptor that is passed on purpose is no way to a working directory outside."""
    b = bundle().shell(script(canary))
    b.process["cwd"] = f"/proc/self/fd/{leak[0]}"
    b.write()
    runtime.made.append(b.id)
    p = sh(RUNTIME, "--root", runtime.root, "run", "--preserve-fds", str(leak[-1] - 2), "--bundle", b.path, b.id, check=False, close_fds=False)
    assert not outside(p), p.stdout
