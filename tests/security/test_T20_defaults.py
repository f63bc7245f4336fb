"""T20: what a container of `skiff run` sees and may do by default, against a reviewed list; T01, T10, T59, T60, T68 through skiff."""
import os
import stat
import time

import pytest

from seclib import EPERM, V1, abstract_sockets, digest, open_many, sh, status, wait_for
from seclib_image import Skiff

MASKED = ["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
          "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write setfcap
DOCKER_CAPS = 0x00000000A80425FB
REFUSED = ["acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "fsopen", "init_module", "io_uring_setup", "kexec_load", "keyctl", "mount",
           "mount_setattr", "move_mount", "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key", "setdomainname", "setns",
           "settimeofday", "swapon", "swapoff", "syslog", "umount2", "unshare", "userfaultfd", "vhangup"]
# without a seccomp profile the kernel answers these of the list with something else to a process without capabilities
SECCOMP_ONLY = {"add_key", "io_uring_setup", "keyctl", "request_key", "userfaultfd"}


@pytest.mark.smoke
def test_T20_masked_and_read_only(skiff, image):
    script = ("for f in " + " ".join(MASKED) + "; do [ -e $f ] || continue; if [ -d $f ]; then echo \"$f dir $(ls -A $f | wc -l) $(mkdir $f/x 2>&1 | grep -c Read-only)\"; "
              "else echo \"$f $(stat -L -c %t:%T $f) $(head -c 1 $f | wc -c)\"; fi; done; "
              "for f in " + " ".join(READ_ONLY) + "; do [ -e $f ] || continue; echo \"$f $(grep -c \" $f ro,\" /proc/self/mountinfo)\"; done; "
              "echo \"sys $(probe write /proc/sys/kernel/panic 1)\"; echo \"trigger $(probe write /proc/sysrq-trigger h)\"")
    rows = dict(line.split(" ", 1) for line in skiff.run(image, "sh", "-c", script, check=True).stdout.splitlines())
    for f in MASKED:
        if os.path.exists(f):
            assert rows[f] == ("dir 0 1" if os.path.isdir(f) else "1:3 0"), f
    for f in READ_ONLY:
        if os.path.exists(f):
            assert rows[f] == "1", f
    assert rows["sys"] == "30" and rows["trigger"] in ("30", "2")


def test_T20_mounts(skiff, image):
    rows = [line.split() for line in skiff.run(image, "cat", "/proc/self/mountinfo", check=True).stdout.splitlines()]
    options = {r[4]: set(r[5].split(",")) for r in rows}
    assert {"nosuid", "nodev", "noexec"} <= options["/proc"]
    assert {"nosuid", "nodev", "noexec", "ro"} <= options["/sys"]
    for f in ("/dev/pts", "/dev/shm", "/dev/mqueue"):
        assert {"nosuid", "noexec"} <= options[f], f
    assert "nosuid" in options["/dev"]
    assert all("ro" in v for k, v in options.items() if k.startswith("/sys/fs/cgroup"))
    known = ("/proc", "/sys", "/dev", "/etc/")
    assert [m for m in options if m != "/" and not m.startswith(known)] == []


def test_T20_capabilities_and_seccomp(skiff, image):
    s = status(skiff.run(image, "cat", "/proc/self/status", check=True).stdout)
    assert int(s["CapEff"], 16) | DOCKER_CAPS == DOCKER_CAPS and s["CapEff"] == s["CapPrm"] == s["CapBnd"]
    assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0 and s["Seccomp"] == "2"
    s = status(skiff.run(image, "cat", "/proc/self/status", options=["-u", "web", "--cap-add", "NET_ADMIN"], check=True).stdout)
    assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == int(s["CapEff"], 16) == 0


def answers(text):
    out = {}
    for line in text.splitlines():
        name, number = line.split()
        out.setdefault(name, []).append(int(number))
    return out


@pytest.mark.smoke
def test_T20_system_calls(skiff, image):
    got = answers(skiff.run(image, "probe", "calls", check=True).stdout)
    assert got.pop("getppid") == [0]
    assert sorted(got) == sorted(REFUSED)
    assert {k: v for k, v in got.items() if set(v) != {EPERM}} == {}
    free = answers(skiff.run(image, "probe", "calls", options=["--security-opt", "seccomp=unconfined"], check=True).stdout)
    assert {k for k in SECCOMP_ONLY if set(free[k]) != {EPERM}}, "the probe cannot tell a profile from none"


def test_T20_devices(skiff, image):
    p = skiff.run(image, "sh", "-c", "ls /dev; mknod /tmp/m c 1 1 && head -c 1 /tmp/m; mknod /tmp/b b 7 0; head -c 1 /tmp/b")
    assert "not permitted" in p.stderr
    assert set(p.stdout.split()) <= {"console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}


def test_T01_exec_of_skiff(skiff, image, server, base):
    from seclib_image import entry, layer
    evil = server.add("evil", [base, layer(entry("evil", b"#!/proc/self/exe\n", mode=0o755))])
    programs = {n: digest(os.path.join(os.path.dirname(Skiff.program), n)) for n in ("skiff", "skiff-launch", "skiff-monitor", "skiff-image")}
    c = skiff.start(evil, "probe", "exe", "2", options=["--cap-add", "SYS_PTRACE"])
    wait_for(lambda: "ready" in skiff("logs", c).stdout, what="the attacker")
    for _ in range(15):
        skiff("exec", c, "/evil")
        skiff("exec", c, "probe", "fds")
    skiff("wait", c)
    out = skiff("logs", c).stdout
    assert "done" in out and "wrote" not in out
    skiff.run(evil, "/evil")
    assert programs == {n: digest(os.path.join(os.path.dirname(Skiff.program), n)) for n in programs}


def test_T10_descriptors_of_the_caller(skiff, image):
    skiff("pull", "-q", image, check=True)
    fds = open_many()
    try:
        run = skiff.run(image, "probe", "fds", close_fds=False, check=True).stdout
        c = skiff.start(image, "sh", "-c", "probe fds; sleep 1000", close_fds=False)
        run2 = skiff("exec", c, "probe", "fds", close_fds=False, check=True).stdout
        log = wait_for(lambda: "2 " in skiff("logs", c).stdout and skiff("logs", c).stdout, what="the list")
        monitor = sh("sh", "-c", f"cat /proc/{skiff.pid(c)}/stat").stdout.rpartition(")")[2].split()[1]
        held = [os.readlink(f"/proc/{monitor}/fd/{n}") for n in os.listdir(f"/proc/{monitor}/fd")]
    finally:
        for fd in fds:
            os.close(fd)
    for text in (run, run2, log):
        assert sorted(int(line.split()[0]) for line in text.splitlines()) == [0, 1, 2], text
    assert "/" not in held and not any("memfd:leak" in h for h in held), held


@pytest.mark.smoke
def test_T59_sockets(skiff, image):
    before = abstract_sockets()
    c = skiff.start(image, "sleep", "1000", options=["--network", "host"])
    assert abstract_sockets() <= before
    assert skiff("exec", c, "grep", "-c", "@", "/proc/net/unix").stdout.strip() in ("0", str(len(before))) or abstract_sockets() <= before
    found = [os.path.join(d, f) for d, _, files in os.walk(skiff.run_root) for f in files if stat.S_ISSOCK(os.lstat(os.path.join(d, f)).st_mode)]
    assert found and all(stat.S_IMODE(os.lstat(f).st_mode) == 0o600 for f in found), found


def test_T60_other_users(skiff, image, area):
    for d in (skiff.root, skiff.run_root):
        os.makedirs(d)
        os.chmod(d, 0o755)
    old = os.umask(0)
    try:
        c = skiff.start(image, "sleep", "1000")
    finally:
        os.umask(old)
    bad = []
    for top in (skiff.root, skiff.run_root):
        for d, dirs, files in os.walk(top):
            if "/tree" in d or d.endswith("/rw") or "/rw/" in d:
                dirs[:] = []
                continue
            bad += [f"{d}/{n}" for n in [*dirs, *files] if not os.path.islink(f"{d}/{n}") and os.lstat(f"{d}/{n}").st_mode & 0o022]
    assert bad == []

    def nobody(*argv):
        return sh("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv, check=False)
    seen = nobody("find", skiff.root, skiff.run_root, "-maxdepth", "8", "-path", "*/tree/*", "-o", "-maxdepth", "8", "-path", "*/rw/*", "-o", "-name", "*.json", "-size", "-1000").stdout
    assert [line for line in seen.splitlines() if "/tree/" in line or "/rw/" in line] == []
    for p in (f"{skiff.root}/containers/{c}", f"{skiff.run_root}/containers/{c}", skiff.root + "/layers", skiff.root + "/blobs"):
        assert os.path.isdir(p) and nobody("ls", p).stdout == "", p
    assert nobody(Skiff.program, "--root", skiff.root, "--run-root", skiff.run_root, "exec", c, "true").returncode != 0


def test_T68_fork_bomb(skiff, image):
    c = skiff.start(image, "sh", "-c", "f() { f | f & }; f; sleep 1000", options=["--pids-limit", "40", "--cpus", "0.2"])
    d = f"/sys/fs/cgroup/pids/skiff/c/{c}" if V1 else f"/sys/fs/cgroup/skiff/c/{c}"

    def current():
        with open(d + "/pids.current") as f:
            return int(f.read())
    wait_for(lambda: current() > 10, what="the bomb")
    assert current() <= 41
    began = time.monotonic()
    assert skiff.run(image, "echo", "well", check=True).stdout == "well\n"
    assert time.monotonic() - began < 3
    assert skiff("rm", "-f", c).returncode == 0
    wait_for(lambda: not os.path.exists(d), what="the end of the bomb")


def test_T35_environment_of_the_caller(skiff, image):
    env = dict(skiff.env, SECRET_OF_HOST="1")
    p = skiff.run(image, "sh", "-c", "cat /proc/self/environ /proc/1/environ", env=env, check=True)
    assert "SECRET" not in p.stdout
