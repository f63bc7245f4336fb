"""T01: the container makes the runtime run itself and then writes to its executable."""
import contextlib
import errno
import os
import shutil
import subprocess
import time

import pytest

from seclib import RUNTIME, digest, sh, wait_for


@pytest.fixture(params=[False, True], ids=["plain", "ptrace"])
def entry(request, bundle):
    """A root in which the runtime can run too: its libraries are there. With CAP_SYS_PTRACE the attacker sees more of the runtime."""
    b = bundle()
    b.replace("evil", text="#!/proc/self/exe\n")
    for line in sh("ldd", RUNTIME, check=False).stdout.splitlines():
        lib = next((w for w in line.split() if w.startswith("/")), None)
        if lib:
            os.makedirs(b.rootfs + os.path.dirname(lib), exist_ok=True)
            shutil.copy(lib, b.rootfs + lib)
    if request.param:
        for caps in b.process["capabilities"].values():
            caps.append("CAP_SYS_PTRACE")
    return b


@pytest.mark.smoke
def test_T01_start_of_the_runtime_itself(runtime, entry):
    """/proc/self/exe as interpreter of the entry point is the runtime: it may run as a program without a container, and can change nothing."""
    before = digest(RUNTIME)
    entry.args("/evil", "--version")
    p = runtime.run(entry)
    assert digest(RUNTIME) == before
    assert "Traceback" not in p.stderr


def attack(runtime, b, seconds, verb="exe"):
    """The attacker as the container's first process, its output in a file."""
    b.args("probe", verb, str(seconds))
    runtime.start(b)
    out = b.path + "/out"
    wait_for(lambda: "ready" in open(out).read(), what="the attacker")
    return lambda: open(out).read()


def test_T01_exec_is_watched_from_inside(runtime, entry):
    said = attack(runtime, entry, 2)
    end = time.monotonic() + 2.2
    n = 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # ETXTBSY has a test of its own
            runtime.exec(entry, *(["/evil", "--help"] if n % 2 else ["/bin/probe", "fds"]))
        n += 1
    wait_for(lambda: "done" in said(), what="the end of the attack")
    assert n > 20 and "wrote" not in said(), said()
    assert b"owned" not in open(RUNTIME, "rb").read()[-5:]


def test_T01_start_is_watched_from_a_shared_pid_namespace(runtime, entry, bundle):
    """A neighbour that shares the PID namespace looks at the runtime while it starts another container there."""
    said = attack(runtime, entry, 2)
    pid = runtime.state(entry)["pid"]
    for _ in range(15):
        b = bundle()
        for n in b.linux["namespaces"]:
            if n["type"] == "pid":
                n["path"] = f"/proc/{pid}/ns/pid"
        b.replace("evil", text="#!/proc/self/exe\n").args("/evil")
        runtime.run(b)
    wait_for(lambda: "done" in said(), what="the end of the attack")
    assert "wrote" not in said(), said()


@pytest.mark.parametrize("entry", [False], indirect=True, ids=["plain"])
def test_T01_a_container_cannot_keep_the_host_from_running_it(runtime, entry):
    """An open for writing that is refused at the end (EROFS) still marks the file as being written for a moment: ETXTBSY for everybody who executes it."""
    said = attack(runtime, entry, 3, "busy")
    end = time.monotonic() + 1.5
    while time.monotonic() < end and "pinned" not in said():
        with contextlib.suppress(OSError):
            runtime.exec(entry, "/evil", "--help")
    for _ in range(300):
        try:
            subprocess.run([RUNTIME, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError as e:
            assert e.errno != errno.ETXTBSY, f"a start on the host failed with ETXTBSY\n{said()}"
            raise
    # what it holds must be another inode: the collision above is rare, about one of a thousand starts. An overlay shows the number of the file
    # below, but is another device with an inode object of its own, which is what an open for writing is counted on.
    st = os.stat(RUNTIME)
    assert f"device {st.st_dev} inode {st.st_ino}\n" not in said(), said()


def test_T01_memory_of_a_start(runtime, bundle):
    """The defence is no copy of the runtime in the memory of every container (runc#3973): a start fits into 6 MB."""
    b = bundle().args("sleep", "100")
    b.linux["resources"]["memory"] = {"limit": 6 << 20}
    pid = runtime.start(b)
    assert os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("entry", [True], indirect=True, ids=["ptrace"])
def test_T01_the_attack_works_on_a_program_without_a_defence(runtime, entry, area):
    """The same attacker does overwrite a plain program that enters the container: the tests above can fail."""
    victim = area + "/busybox"
    shutil.copy("/bin/busybox", victim)
    said = attack(runtime, entry, 4)
    pid = runtime.state(entry)["pid"]
    end = time.monotonic() + 4
    while time.monotonic() < end and "wrote" not in said():
        with contextlib.suppress(OSError):
            subprocess.run([victim, "nsenter", "-t", str(pid), "-m", "-p", "--", "/evil"], capture_output=True, timeout=5)
    assert "wrote" in said(), said()
    assert sh("tail", "-c", "5", victim).stdout == "owned"
