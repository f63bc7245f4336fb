"""What the fault tests share: one bundle with a bit of everything, the injector, and the question whether anything is left.

RUNTIME or SKIFF_BIN says which program is tested. FAULTS=all tries every call of every process with every error (make soak); without it every kind of
call fails once per verb, at a place that moves on from day to day (FAULT_ROUND=n to choose it).
"""
import contextlib
import errno
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "..", ".."))
RUNTIME = os.environ.get("RUNTIME") or os.path.join(os.path.realpath(os.environ.get("SKIFF_BIN", os.path.join(TOP, "build", "bin"))), "skiff-oci")
EVERYTHING = os.environ.get("FAULTS") == "all"
ROUND = int(os.environ.get("FAULT_ROUND", time.time() // 86400))
PARENT = f"skiff-fault-{os.getpid()}"
V1 = os.path.isdir("/sys/fs/cgroup/memory")
ERRORS = ["EIO", "ENOMEM", "EMFILE"]
LIMIT = 20  # seconds for one command: all of its own waits for a peer that cannot come are to be shorter
# Their failure says nothing. The end of a process and the return from a signal handler; brk, which answers with an address and never with an errno; and what
# cannot fail by its manual page as it is used: umask, the ids, the signal mask and actions, setsid of a process that was just born.
NOT_TRIED = {"exit", "exit_group", "rt_sigreturn", "restart_syscall", "brk", "umask", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "gettid",
             "rt_sigaction", "rt_sigprocmask", "setsid"}
# whatever they answer, the kernel has let go of what they name
FREES_ANYWAY = {"close", "munmap"}
# what must never reach a user: broken invariants, and the words of sanitizers and of the C library's abort
NO_SENTENCE = re.compile(r"without a reason|malformed record|sent step|AddressSanitizer|runtime error:|core dumped|Assertion|stack smashing|invalid pointer|double free")


def call_names():
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-"], input="", capture_output=True, text=True, check=True).stdout
    return {int(n): name for name, n in re.findall(r"#define __NR_(\w+) (\d+)\n", text)}


def build(out, name, *flags):
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O1", "-Wall", "-Wextra", *flags, "-o", out, f"{HERE}/{name}.c"], check=True)
    return out


def dynamic(program):
    """Whether a loader maps libraries first; what it says when that fails is the C library's."""
    with open(program, "rb") as f:
        return b"ld-linux" in f.read(4096)


def wait_for(condition, timeout=60, what="condition"):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come within {timeout} s"
        time.sleep(0.005)


SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"], "syscalls": [
    {"names": ["kexec_load", "reboot", "swapon"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}


def config(flavour, area):
    """rich: everything that needs no other party. hooks: all six. waiting: rich, and it stays. nocgroup: found by its pid
    alone. userns, terminal: what their names say."""
    caps = ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN"]
    c = {
        "ociVersion": "1.0.2", "hostname": "fault", "root": {"path": "rootfs"}, "annotations": {"a": "b"},
        "process": {"user": {"uid": 0, "gid": 0, "additionalGids": [5, 6]}, "args": ["/look"], "env": ["PATH=/bin", "A=1"], "cwd": "/tmp",
                    "capabilities": {s: caps for s in ("bounding", "effective", "permitted")}, "noNewPrivileges": True, "oomScoreAdj": 111,
                    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
            {"destination": "/new/volume", "type": "bind", "source": area + "/volume", "options": ["rbind", "ro", "nosuid"]},
            {"destination": "/new/file", "type": "bind", "source": area + "/volume/file", "options": ["bind"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "tmpcopyup"]},
        ],
        "linux": {
            "cgroupsPath": f"/{PARENT}/f",
            "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": ["/proc/cpuinfo", "/proc/fs", "/secret"], "readonlyPaths": ["/proc/sys", "/ro"],
            "sysctl": {"kernel.msgmax": "4242"}, "seccomp": SECCOMP, "rootfsPropagation": "private",
            "resources": {"devices": [{"allow": False, "access": "rwm"}], "memory": {"limit": 64 << 20}, "pids": {"limit": 50}, "cpu": {"shares": 500}},
            "devices": [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 7, "fileMode": 0o640, "uid": 3, "gid": 4}],
        },
    }
    if flavour == "hooks":
        true = {"path": "/bin/true", "args": ["true"]}
        c["hooks"] = {w: [true] for w in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")}
        c["mounts"], c["linux"]["seccomp"] = c["mounts"][:2], None
        c["process"]["cwd"] = "/"
        c["linux"] = {k: v for k, v in c["linux"].items() if k in ("cgroupsPath", "namespaces")}
    if flavour == "waiting":
        c["process"]["args"] = ["/look", "wait"]
    if flavour == "nocgroup":
        del c["linux"]["cgroupsPath"], c["linux"]["resources"]
        c["mounts"] = c["mounts"][:3]
    if flavour == "userns":
        del c["linux"]["devices"]  # taken from the host by name then
        c["linux"]["namespaces"].append({"type": "user"})
        c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    if flavour == "terminal":
        c["process"]["terminal"] = True
        c["process"]["consoleSize"] = {"height": 24, "width": 80}
        c["mounts"] = c["mounts"][:3]
    return c


def make_bundle(path, flavour, area, look):
    root = path + "/rootfs"
    for d in ("bin", "dev", "proc", "sys", "tmp", "ro", "etc"):
        os.makedirs(f"{root}/{d}")
    for d in (path, root):
        os.chmod(d, 0o755)
    shutil.copy(look, root + "/look")
    shutil.copy("/bin/busybox", root + "/bin/true")
    for name in ("secret", "tmp/copied", "etc/passwd"):
        with open(f"{root}/{name}", "w") as f:
            f.write("root:x:0:0:root:/root:/bin/sh\n")
    c = config(flavour, area)
    if flavour == "userns":
        subprocess.run(["chown", "-hR", "200000:200000", root], check=True)
    with open(path + "/config.json", "w") as f:
        json.dump(c, f)
    return path


def cgroup_dirs():
    tops = glob.glob(f"/sys/fs/cgroup/*/{PARENT}") + glob.glob(f"/sys/fs/cgroup/{PARENT}")
    return sorted((d for t in tops for d, _, _ in os.walk(t) if d != t), reverse=True)


def remove_parent():
    for d in cgroup_dirs() + glob.glob(f"/sys/fs/cgroup/*/{PARENT}") + glob.glob(f"/sys/fs/cgroup/{PARENT}"):
        with contextlib.suppress(OSError), open(d + "/cgroup.procs") as f:
            for pid in f.read().split():
                os.kill(int(pid), signal.SIGKILL)
        for _ in range(50):
            try:
                os.rmdir(d)
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)
            else:
                break


def procs_in_cgroup():
    out = set()
    for d in cgroup_dirs():
        with contextlib.suppress(OSError), open(d + "/cgroup.procs") as f:
            out |= set(f.read().split())
    return out


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


class Trace:
    """What the injector logged."""

    def __init__(self, path, names):
        self.where = None
        self.calls, self.hit, self.end, self.pids, self.execs = [], None, None, {}, {}
        with open(path) as f:
            for line in f:
                w = line.split()
                if w[0] == "call":
                    self.calls.append((int(w[1]), int(w[2]), names.get(int(w[3]), w[3]), int(w[4])))
                elif w[0] == "hit":
                    self.hit, self.where = names.get(int(w[3]), w[3]), (int(w[1]), int(w[2]))
                elif w[0] == "proc":
                    self.pids[int(w[1])] = int(w[2])
                elif w[0] == "exec":
                    self.execs[int(w[1])] = int(w[2])
                else:
                    self.end = (w[0], int(w[1]) if len(w) > 1 else None)

    def count(self, name, until=None):
        """How often the command itself made a call, at all or up to the one that was hit."""
        out = 0
        for role, index, n, _ in self.calls:
            if until and (role, index) == until:
                break
            out += role == 0 and n == name
        return out

    def places(self, skip_loader):
        """The calls that can be made to fail, as (role, index, name)."""
        out, loading = [], 0
        for role, index, name, execs in self.calls:
            if role == 0 and skip_loader:
                if execs > loading:  # the loader's last call after each execve is the munmap of ld.so.cache
                    loading = execs if name == "munmap" else loading
                    continue
                if name in ("execve", "execveat") and index == 1:
                    continue
            if name not in NOT_TRIED:
                out.append((role, index, name))
        return out


class Box:
    """The runtime with a state root of its own, and one container, always called f."""

    def __init__(self, area, tools, names):
        self.area, self.tools, self.names = area, tools, names
        self.root = area + "/state"
        self.skip_loader = dynamic(RUNTIME)
        self.reference = {}
        self.bundles, self.console, self.options = {}, None, []
        os.makedirs(area + "/volume")
        with open(area + "/volume/file", "w") as f:
            f.write("volume\n")

    def take_terminals(self):
        self.console = Console(self.area + "/console")
        return self.console.path

    def bundle(self, flavour):
        if flavour not in self.bundles:
            self.bundles[flavour] = make_bundle(f"{self.area}/{flavour}", flavour, self.area, self.tools["look"])
        return self.bundles[flavour]

    def command(self, *args):
        return [RUNTIME, "--root", self.root, *self.options, *args]

    def plain(self, *args, check=True, out=subprocess.PIPE, timeout=30):
        p = subprocess.run(self.command(*args), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace", timeout=timeout)
        assert not check or p.returncode == 0, f"{args}: {p.returncode}: {p.stderr}"
        return p

    def quiet(self, *args, check=True):
        """For what leaves a container with its standard streams behind: into files."""
        with open(self.area + "/out", "w") as out, open(self.area + "/err", "w") as err:
            p = subprocess.run(self.command(*args), stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=30)
        assert not check or p.returncode == 0, f"{args}: {p.returncode}: {self.said()[1]}"
        return p

    def said(self):
        out = []
        for name in ("out", "err"):
            with open(f"{self.area}/{name}", errors="replace") as f:
                out.append(f.read())
        return out

    def traced(self, *args, role=-1, index=0, name=None, error=None, kill=False, attach=0, after=False):
        """Runs a verb under the injector; answers with its trace."""
        log = self.area + "/trace"
        argv = [self.tools["inject"], "-o", log, "-t", str(LIMIT)]
        if attach:
            argv += ["-a", str(attach)]
        if index:
            argv += ["-p", str(role), "-n", str(index)]
            argv += ["-s", str(next(n for n, x in self.names.items() if x == name))] if name else []
            argv += ["-k"] if kill else ["-e", str(getattr(errno, error)), *(["-x"] if after else [])]
        with open(self.area + "/out", "w") as out, open(self.area + "/err", "w") as err:
            subprocess.run([*argv, "--", *self.command(*args)], stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=LIMIT + 30, check=True)
        return Trace(log, self.names)

    def left(self, pids=()):
        """What is there of the container, after a moment for what is just ending."""
        def now():
            out = []
            if os.path.isdir(self.root):
                out += [f"state directory {n}" for n in os.listdir(self.root) if not n.startswith(".")]
            out += [f"cgroup {d}" for d in cgroup_dirs()]
            with open("/proc/self/mountinfo") as f:
                out += [f"mount {line.split()[4]}" for line in f if self.area in line]
            out += [f"process {p}" for p in pids if running(p)]
            return out
        end = time.monotonic() + 1
        while (found := now()) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def force(self):
        """delete --force, which has to take everything away."""
        p = self.plain("delete", "--force", "f", check=False)
        if p.returncode:
            return [f"delete --force: {p.returncode}: {p.stderr.strip()}"]
        return ["after delete --force: " + x for x in self.left()]

    def clean(self):
        with contextlib.suppress(Exception):
            self.plain("delete", "--force", "f", check=False)
        for d in cgroup_dirs():
            with contextlib.suppress(OSError), open(d + "/cgroup.procs") as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
        for d in cgroup_dirs():
            for _ in range(100):
                with contextlib.suppress(OSError):
                    os.rmdir(d)
                if not os.path.isdir(d):
                    break
                time.sleep(0.01)
        shutil.rmtree(self.root + "/f", ignore_errors=True)

    def pid(self):
        return json.loads(self.plain("state", "f").stdout)["pid"]

    def status(self):
        return json.loads(self.plain("state", "f").stdout)["status"]


def sentence(text):
    """Why an error message is not good enough, or None."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return "no message"
    if NO_SENTENCE.search(text):
        return "no message for a user: " + text.strip()[-300:]
    if len(lines[-1]) > 1200 or len(lines[-1].split()) < 3:
        return "not one clear sentence: " + lines[-1][:200]
    return None


class Console:
    """An engine's side of --console-socket: keeps what the terminal says."""

    def __init__(self, path):
        self.text = ""
        with contextlib.suppress(OSError):
            os.unlink(path)
        self.path, self.socket = path, socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(4)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                c, _ = self.socket.accept()
                self.text = ""
                with c:
                    _, fds, _, _ = socket.recv_fds(c, 4096, 4)
                for fd in fds:
                    threading.Thread(target=self._read, args=(fd,), daemon=True).start()

    def _read(self, fd):
        with contextlib.suppress(OSError):
            while data := os.read(fd, 4096):
                self.text += data.decode(errors="replace").replace("\r", "")
        os.close(fd)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def choose(places):
    """EVERYTHING: each place with each error; else each kind of call once, at a place and with an error that depend on the day."""
    if EVERYTHING:
        return [(p, e) for p in places for e in ERRORS]
    kinds = {}
    for p in places:
        kinds.setdefault(p[2], []).append(p)
    return [(v[(ROUND * 7 + i) % len(v)], ERRORS[(ROUND + i) % len(ERRORS)]) for i, v in enumerate(kinds.values())]
