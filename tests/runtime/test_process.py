"""process.* of config.json, as the process sees it."""
import re

import pytest

DOCKER_CAPS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
               "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"]


def caps(**kw):
    return {k: kw.get(k, []) for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}


@pytest.mark.smoke
def test_env_home_cwd(box):
    box.p["env"] = ["PATH=/bin", "A=b c", "X="]
    box.p["cwd"] = "/desk"
    r = box.sh("echo $A:$HOME; pwd; env | grep -c ^X=")
    assert r.stdout == "b c:/root\n/desk\n1\n"


def test_home_of_another_user_and_explicit_home(box):
    box.p["user"] = {"uid": 1000, "gid": 1000}
    assert box.sh("echo $HOME").stdout == "/home/user\n"
    box.p["env"].append("HOME=/elsewhere")
    assert box.sh("echo $HOME").stdout == "/elsewhere\n"


def test_cwd_is_made(box):
    box.own_rootfs()
    box.p["cwd"] = "/not/there"
    assert box.sh("pwd").stdout == "/not/there\n"


def test_user_groups_umask(box):
    box.p["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o27}
    r = box.sh("id -u; id -g; grep Groups /proc/self/status; umask")
    assert r.stdout.split() == ["1000", "1001", "Groups:", "5", "6", "0027"]


def test_stdio_can_be_reopened_by_another_user(box):
    box.p["user"] = {"uid": 1000, "gid": 1000}
    r = box.sh("echo hello > /dev/stdout")
    assert r.stdout == "hello\n", r.stderr


@pytest.mark.smoke
@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("nnp", [True, False])
def test_capabilities(box, uid, nnp):
    box.p["user"] = {"uid": uid, "gid": uid}
    box.p["noNewPrivileges"] = nnp
    box.p["capabilities"] = caps(bounding=DOCKER_CAPS, effective=DOCKER_CAPS, permitted=DOCKER_CAPS)
    r = box.sh("grep -E 'Cap|NoNew' /proc/self/status")
    got = dict(re.findall(r"(\w+):\s+(\w+)", r.stdout))
    want = "00000000a80425fb"
    assert got["CapBnd"] == want and got["CapInh"] == "0" * 16 and got["CapAmb"] == "0" * 16
    assert got["CapEff"] == got["CapPrm"] == (want if uid == 0 else "0" * 16)
    assert got["NoNewPrivs"] == ("1" if nnp else "0")


def test_ambient_capabilities(box):
    one = ["CAP_NET_BIND_SERVICE"]
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["capabilities"] = caps(bounding=one, effective=one, permitted=one, inheritable=one, ambient=one)
    got = dict(re.findall(r"(Cap\w+):\s+(\w+)", box.sh("grep Cap /proc/self/status").stdout))
    assert got == {k: "0000000000000400" for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def test_no_capabilities(box):
    del box.p["capabilities"]
    got = dict(re.findall(r"(Cap\w+):\s+(\w+)", box.sh("grep Cap /proc/self/status").stdout))
    assert set(got.values()) == {"0" * 16}


@pytest.mark.skiff_only
def test_unavailable_capability_is_a_warning(box):
    box.p["capabilities"] = caps(bounding=["CAP_SYS_RESOURCE"], permitted=["CAP_SYS_RESOURCE"], effective=["CAP_SYS_RESOURCE"])
    host = int(re.search(r"CapPrm:\s+(\w+)", open("/proc/self/status").read()).group(1), 16)
    r = box.run("true")
    assert r.returncode == 0
    assert ("CAP_SYS_RESOURCE" in r.stderr) == (not host & (1 << 24))


def test_rlimits(box):
    box.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    r = box.sh("ulimit -Sn; ulimit -Hn; ulimit -c")
    assert r.stdout.split() == ["64", "128", "0"], r.stderr


@pytest.mark.skiff_only
def test_rlimit_lower_than_what_setup_needs(box):
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}]
    assert box.sh("ulimit -n").stdout.strip() == "4"


def test_oom_score_adj(box):
    box.p["oomScoreAdj"] = 321
    assert box.sh("cat /proc/self/oom_score_adj").stdout == "321\n"


@pytest.mark.skiff_only
def test_signals_are_reset(box):
    import signal

    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        r = box.sh("grep -E 'Sig(Ign|Blk)' /proc/1/status")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
        signal.signal(signal.SIGUSR1, old)
    got = {k: int(v, 16) for k, v in re.findall(r"(Sig\w+):\s+(\w+)", r.stdout)}
    assert not got["SigIgn"] & (1 << (signal.SIGUSR1 - 1))
    assert not got["SigBlk"] & (1 << (signal.SIGUSR2 - 1))


@pytest.mark.smoke
def test_seccomp_filter(box):
    # mkdir and chmod: errno by the filter, not by anything else
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 55}]}
    for nnp in (True, False):
        box.p["noNewPrivileges"] = nnp
        r = box.sh("grep Seccomp: /proc/self/status; mkdir /tmp/x")
        assert r.stdout.split()[:2] == ["Seccomp:", "2"]
        assert "No anode" in r.stderr or "55" in r.stderr


@pytest.mark.skiff_only
def test_strict_filter_needs_little(box):
    """Between the filter and the execve we use capset, prctl, read, write (and execve) only."""
    allow = ["capset", "capget", "prctl", "read", "write", "execve",
             # the workload's own
             "exit_group", "exit", "brk", "mmap", "arch_prctl", "set_tid_address",
             "set_robust_list", "rseq", "prlimit64", "readlinkat", "getrandom", "mprotect", "readlink", "getuid", "geteuid", "getgid", "getegid",
             "rt_sigaction", "rt_sigprocmask", "poll", "ioctl", "fstat", "newfstatat", "close", "getpid", "lseek"]
    box.c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_KILL_PROCESS", "architectures": ["SCMP_ARCH_X86_64"],
                                 "syscalls": [{"names": allow, "action": "SCMP_ACT_ALLOW"}]}
    box.p["noNewPrivileges"] = False
    r = box.run("echo", "hello")
    assert r.stdout == "hello\n", (r.returncode, r.stderr)


def test_cwd_that_only_root_may_enter(box):
    """As runc: the directory is entered with the runtime's rights first, so a workload can be started in one that its user could not reach."""
    root = box.own_rootfs()
    (root / "private").mkdir(mode=0o700)
    box.p["user"] = {"uid": 1000, "gid": 1000}
    box.p["cwd"] = "/private"
    assert box.sh("pwd; id -u").stdout.split() == ["/private", "1000"]


@pytest.mark.skiff_only
def test_pipe_of_stdout_is_the_users(box):
    box.p["user"] = {"uid": 1000, "gid": 1001}
    assert box.run("stat", "-L", "-c", "%u:%g", "/proc/self/fd/1").stdout == "1000:1001\n"
