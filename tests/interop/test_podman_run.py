"""podman --runtime skiff-oci: what a container is given when it starts."""
import socket
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from interoplib import BUSYBOX, DEBIAN, V1, alive, cgroup_dirs, status, wait_for

CAPS = {"chown": 0, "net_bind_service": 10, "net_admin": 12, "sys_chroot": 18, "sys_admin": 21}


def lines(p):
    return p.stdout.split("\n")[:-1]


@pytest.mark.smoke
def test_busybox(podman):
    p = podman.run("--rm", BUSYBOX, "sh", "-c", "echo out; echo err >&2; echo $$; hostname")
    assert lines(p)[:2] == ["out", "1"] and p.stderr == "err\n"
    assert re.fullmatch("[0-9a-f]{12}", lines(p)[2])
    assert lines(podman("ps", "-aq", check=True)) == []


def test_debian(podman):
    p = podman.run("--rm", DEBIAN, "bash", "-c", '. /etc/os-release; echo $ID $VERSION_ID; dpkg -s base-files | grep ^Status; stat -c "%U %a" /etc/shadow; id')
    assert lines(p) == ["debian 12", "Status: install ok installed", "root 640", "uid=0(root) gid=0(root) groups=0(root)"]


def test_stdin(podman):
    data = os.urandom(1 << 20).hex()
    p = podman.run("--rm", "-i", BUSYBOX, "sh", "-c", "wc -c; echo end", input=data)
    assert lines(p) == [str(len(data)), "end"]


@pytest.mark.parametrize("argv, code", [
    (["true"], 0),
    (["false"], 1),
    (["sh", "-c", "exit 42"], 42),
    (["sh", "-c", "kill -9 $$"], 137),
    (["/bin"], 126),
    (["/etc/passwd"], 126),
    (["/nothing/here"], 127),
    (["nothing"], 127),
], ids=lambda v: " ".join(v) if isinstance(v, list) else str(v))
def test_exit_code(podman, argv, code):
    args = ["--rm", BUSYBOX, *argv]
    if code == 137:  # the first process of a PID namespace does not get its own SIGKILL
        args = ["--rm", "--pid=host", BUSYBOX, *argv]
    assert podman.run(*args, check=False).returncode == code


def test_exit_code_125_and_a_refused_spec(podman):
    assert podman.run("--rm", "--no-such-option", BUSYBOX, "true", check=False).returncode == 125
    p = podman.run("--rm", "-v", "/tmp:/proc/1", BUSYBOX, "true", check=False)
    assert p.returncode in (125, 126) and "/proc" in p.stderr


def test_a_failed_start_leaves_nothing(podman):
    name = podman("create", f"--cgroup-parent=/{podman.parent}", "--network", "none", BUSYBOX, "/nothing", check=True).stdout.strip()
    assert podman("start", name).returncode != 0
    assert podman.leftovers() == []
    podman("rm", name, check=True)


def test_user(podman):
    def ids(*args):
        return re.sub(r"\(.*?\)", "", podman.run("--rm", *args, DEBIAN, "id").stdout.strip())
    assert ids("-u", "1234") == "uid=1234 gid=0 groups=0"
    assert ids("-u", "1234:5678") == "uid=1234 gid=5678 groups=5678"
    assert ids("-u", "nobody") == "uid=65534 gid=65534 groups=65534"
    assert ids("-u", "daemon:games") == "uid=1 gid=60 groups=60"
    assert ids("-u", "1234:5678", "--group-add", "27", "--group-add", "44") == "uid=1234 gid=5678 groups=5678,27,44"


def test_workdir_env_hostname(podman):
    p = podman.run("--rm", "-w", "/tmp", "-e", "A=one two", "-e", "B=", "--hostname", "box", BUSYBOX, "sh", "-c", 'pwd; echo "$A|$B|$HOSTNAME"; hostname')
    assert lines(p) == ["/tmp", "one two||box", "box"]
    assert lines(podman.run("--rm", "-w", "/made/here", BUSYBOX, "pwd", check=False)) in (["/made/here"], [])


def test_volumes(podman, tmp_path):
    (tmp_path / "file").write_text("host\n")
    v = str(tmp_path)
    p = podman.run("--rm", "-v", f"{v}:/rw", "-v", f"{v}:/ro:ro", "-v", f"{v}/file:/etc/one:ro", "--tmpfs", "/scratch:size=1m,mode=0700", BUSYBOX, "sh", "-c",
                   "cat /rw/file /etc/one; echo new >/rw/new; cat /ro/new; touch /ro/x; echo $?; echo x >/etc/one; echo $?; stat -c %a /scratch; "
                   "dd if=/dev/zero of=/scratch/big bs=1M count=2 2>/dev/null; stat -c %s /scratch/big")
    assert lines(p) == ["host", "host", "new", "1", "1", "700", str(1 << 20)]
    assert (tmp_path / "new").read_text() == "new\n" and (tmp_path / "file").read_text() == "host\n"
    assert "Read-only" in p.stderr


def test_a_named_volume_outlives_its_container(podman):
    podman("volume", "create", "data", check=True)
    podman.run("--rm", "-v", "data:/data", BUSYBOX, "sh", "-c", "echo kept >/data/f")
    assert lines(podman.run("--rm", "-v", "data:/data:ro", BUSYBOX, "cat", "/data/f")) == ["kept"]
    podman("volume", "rm", "data", check=True)


def test_read_only(podman):
    p = podman.run("--rm", "--read-only", BUSYBOX, "sh", "-c", "touch /x; echo $?; touch /tmp/x; echo $?; touch /run/x; echo $?; echo y >/dev/shm/y; echo $?")
    assert lines(p) == ["1", "0", "0", "0"]
    p = podman.run("--rm", "--read-only", "--read-only-tmpfs=false", BUSYBOX, "sh", "-c", "touch /tmp/x; echo $?")
    assert lines(p) == ["1"]


def caps(podman, *args, image=BUSYBOX):
    s = status(podman.run("--rm", *args, image, "cat", "/proc/self/status").stdout)
    return {k: int(s[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} | {"nnp": s["NoNewPrivs"], "seccomp": s["Seccomp"]}


def test_capabilities(podman):
    default = caps(podman)
    assert default["CapEff"] == default["CapBnd"] == default["CapPrm"] and default["CapEff"] & 1 << CAPS["chown"]
    assert not default["CapEff"] & 1 << CAPS["sys_admin"] and default["seccomp"] == "2"
    more = caps(podman, "--cap-add", "net_admin", "--cap-drop", "chown")
    assert more["CapEff"] == (default["CapEff"] | 1 << CAPS["net_admin"]) & ~1
    none = caps(podman, "--cap-drop", "all")
    assert none["CapEff"] == none["CapBnd"] == none["CapPrm"] == none["CapInh"] == none["CapAmb"] == 0
    one = caps(podman, "--cap-drop", "all", "--cap-add", "net_bind_service")
    assert one["CapEff"] == 1 << CAPS["net_bind_service"]
    user = caps(podman, "-u", "1000")
    assert user["CapEff"] == 0 and user["CapPrm"] == 0 and user["CapBnd"] == default["CapBnd"]


def test_a_dropped_capability_bites(podman):
    p = podman.run("--rm", "--cap-drop", "chown", BUSYBOX, "sh", "-c", "touch /f; chown 1:1 /f; echo $?; mount -t tmpfs t /tmp; echo $?")
    assert lines(p) == ["1", "1"]


def test_security_options(podman):
    assert caps(podman, "--security-opt", "no-new-privileges")["nnp"] == "1"
    assert caps(podman)["nnp"] == "0"
    assert caps(podman, "--security-opt", "seccomp=unconfined")["seccomp"] == "0"


def test_privileged(podman):
    with open("/proc/self/status") as f:
        bounding = int(status(f.read())["CapBnd"], 16)
    p = podman.run("--rm", "--privileged", BUSYBOX, "sh", "-c", "cat /proc/self/status; mount -t tmpfs t /tmp && echo mounted; ls /dev; echo -- ; "
                   "grep ' /sys ' /proc/mounts")
    s = status(p.stdout)
    assert int(s["CapEff"], 16) == bounding and s["Seccomp"] == "0"
    assert "mounted" in lines(p) and re.search("^sysfs /sys sysfs rw", p.stdout, re.M)
    assert set(os.listdir("/dev")) & {"vda", "sda", "loop0", "kmsg", "fuse"} <= set(lines(p))


def test_user_namespace(podman):
    name = podman.start("--uidmap", "0:200000:65536", "--gidmap", "0:300000:65536", "-u", "7:8")
    pid = podman.pid(name)
    assert os.stat(f"/proc/{pid}").st_uid == 200007 and os.stat(f"/proc/{pid}").st_gid == 300008
    with open(f"/proc/{pid}/uid_map") as u, open(f"/proc/{pid}/gid_map") as g:
        assert u.read().split() == ["0", "200000", "65536"] and g.read().split() == ["0", "300000", "65536"]
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    p = podman("exec", "-u", "0", name, "sh", "-c", "id -u; stat -c %u:%g /bin/busybox /proc/1/. /dev/null /sys; touch /made; echo $?; mount -t tmpfs t /tmp; echo $?",
               check=True)
    assert lines(p) == ["0", "0:0", "7:8", "65534:65534", "65534:65534", "0", "1"]


def test_namespaces_of_the_host(podman):
    def spaces(*args, network="none"):
        p = podman.run("--rm", *args, BUSYBOX, "sh", "-c", "for n in pid ipc uts net mnt; do readlink /proc/self/ns/$n; done", network=network)
        return dict(zip(["pid", "ipc", "uts", "net", "mnt"], lines(p)))
    host = {n: os.readlink(f"/proc/self/ns/{n}") for n in ("pid", "ipc", "uts", "net", "mnt")}
    own = spaces()
    assert not any(own[n] == host[n] for n in host)
    shared = spaces("--pid=host", "--ipc=host", "--uts=host", network="host")
    assert [n for n in host if shared[n] == host[n]] == ["pid", "ipc", "uts", "net"]


def test_pid_host_dies_as_a_whole(podman):
    name = podman.start("--pid=host", command=["sh", "-c", "sleep 7654 & sleep 7655"])
    parent = podman.pid(name)
    child = wait_for(lambda: subprocess.run(["pgrep", "-P", str(parent), "sleep"], capture_output=True, text=True).stdout.split(), what="the child")
    podman("rm", "-f", "-t", "0", name, check=True)
    wait_for(lambda: not any(alive(int(p)) for p in [parent, *child]), what="the end of all its processes")


def test_shared_namespaces_of_a_container(podman):
    first = podman.start("--name", "first", "--ipc", "shareable")
    p = podman.run("--rm", "--pid=container:first", "--ipc=container:first", BUSYBOX, "sh", "-c",
                   "for n in pid ipc net; do readlink /proc/self/ns/$n; done; tr '\\0' ' ' </proc/1/cmdline", network="container:first")
    pid = podman.pid(first)
    assert p.stdout.split("\n") == [os.readlink(f"/proc/{pid}/ns/{n}") for n in ("pid", "ipc", "net")] + ["sleep 1000 "]


def test_network_none_and_host(podman):
    assert sorted(podman.run("--rm", BUSYBOX, "ls", "/sys/class/net").stdout.split())[0] == "lo"
    assert "LOOPBACK,UP" in podman.run("--rm", BUSYBOX, "ip", "link", "show", "lo").stdout
    p = podman.run("--rm", BUSYBOX, "ls", "/sys/class/net", network="host")
    assert sorted(p.stdout.split()) == sorted(name for _, name in socket.if_nameindex())  # of this namespace: /sys may be another one's


def limits(podman, *args):
    files = (["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
              "/sys/fs/cgroup/cpu/cpu.shares"] if V1 else
             ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu.weight"])
    return lines(podman.run("--rm", *args, BUSYBOX, "cat", *files))


def test_limits_are_seen_inside(podman):
    memory, pids, quota, shares = limits(podman, "--memory", "48m", "--pids-limit", "33", "--cpus", "0.5", "--cpu-shares", "512")
    assert (memory, pids) == (str(48 << 20), "33")
    assert quota in ("50000", "50000 100000") and shares == ("512" if V1 else "20")


def test_memory_limit_bites(podman):
    name = podman.start("--memory", "32m", "--memory-swap", "32m", command=["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=200M count=1"])
    assert podman("wait", name, check=True).stdout.strip() == "137"


def test_pids_limit_bites(podman):
    p = podman.run("--rm", "--pids-limit", "10", BUSYBOX, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all", check=False)
    assert "can't fork" in p.stderr and "all" not in p.stdout


def test_cpu_limit_bites(podman):
    used = podman.run("--rm", "--cpus", "0.2", BUSYBOX, "sh", "-c", "timeout 1 sh -c 'while :; do :; done'; cat /proc/self/stat", check=False).stdout
    ticks = sum(int(n) for n in used.rsplit(") ", 1)[1].split()[11:15])
    spent = podman.run("--rm", "--cpus", "0.2", BUSYBOX, "sh", "-c", "time -p timeout 1 sh -c 'while :; do :; done'", check=False).stderr
    user = sum(float(v) for k, v in (line.split() for line in spent.splitlines() if line.startswith(("user", "sys"))))
    assert ticks < 45 and 0.05 < user < 0.45


def test_ulimits_sysctl_shm_and_oom_score(podman):
    p = podman.run("--rm", "--ulimit", "nofile=100:200", "--ulimit", "nproc=50:60", "--sysctl", "kernel.msgmax=1234", "--sysctl", "net.ipv4.ip_forward=1", "--shm-size", "2m",
                   "--oom-score-adj", "321", BUSYBOX, "sh", "-c",
                   "ulimit -Sn; ulimit -Hn; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; df -k /dev/shm | tail -n 1")
    assert lines(p)[:5] == ["100", "200", "1234", "1", "321"] and lines(p)[5].split()[1] == "2048"


def test_devices(podman):
    p = podman.run("--rm", "--device", "/dev/zero:/dev/nil:r", BUSYBOX, "sh", "-c",
                   "head -c 3 /dev/nil | wc -c; echo x 2>&1 >/dev/nil; mknod /tmp/mem c 1 1; cat /tmp/mem; ls -l /dev/null /dev/ptmx | cut -c1-10", check=False)
    assert lines(p)[0] == "3" and "not permitted" in p.stderr + p.stdout
    assert lines(p)[-2:] == ["crw-rw-rw-", "lrwxrwxrwx"]


def test_masked_and_read_only_paths(podman):
    masked = [f for f in ("kcore", "keys", "latency_stats", "timer_list", "sched_debug") if os.path.exists("/proc/" + f)]
    p = podman.run("--rm", BUSYBOX, "sh", "-c", "for f in %s; do head -c 1 /proc/$f | wc -c; done; ls /proc/acpi /sys/firmware /proc/scsi 2>/dev/null | grep -v :; "
                   "echo 1 >/proc/sys/kernel/panic; echo $?; echo h >/proc/sysrq-trigger; echo $?" % " ".join(masked), check=False)
    assert [n for n in lines(p) if n] == ["0"] * len(masked) + ["1", "1"]


def test_ten_at_once(podman):
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda n: podman.run("--rm", "--memory", "64m", "--name", f"many-{n}", BUSYBOX, "sh", "-c", f"echo {n}; sleep 1; exit {n}", check=False),
                             range(10)))
    assert [(p.returncode, p.stdout) for p in done] == [(n, f"{n}\n") for n in range(10)]
    assert [d for d in cgroup_dirs(podman.parent) if "libpod-" in d and "conmon" not in d] == []
