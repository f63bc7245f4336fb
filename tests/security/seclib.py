"""What the security tests share: bundles, the runtime, a canary tree, and proofs that the host is as it was.

RUNTIME_REF names another OCI runtime, to see what a test says about it. One that falls for T04 writes to the host's sysctls: the
fixture puts them back.
"""
import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "..", ".."))
BIN = os.path.realpath(os.environ.get("SKIFF_BIN", os.path.join(TOP, "build", "bin")))
RUNTIME = os.environ.get("RUNTIME_REF") or os.path.join(BIN, "skiff-oci")
PARENT = f"skiff-sec-{os.getpid()}"
V1 = os.path.isdir("/sys/fs/cgroup/memory")
DEFAULT_CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN"]
APPLETS = ("cat", "chmod", "echo", "false", "find", "head", "id", "ls", "ln", "mkdir", "mount", "mv", "pwd", "readlink", "rm", "sh", "sleep", "stat", "stty", "tail", "test",
           "touch", "true", "tty", "umount", "wc")
SYSCTLS = ["kernel/core_pattern", "kernel/hostname", "kernel/msgmax", "kernel/panic", "kernel/sysrq", "net/ipv4/ip_forward", "vm/swappiness",
           "kernel/randomize_va_space", "fs/protected_symlinks"]


def sh(*argv, check=True, timeout=30, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL if "input" not in kw else None)
    if "input" in kw:
        kw.pop("stdin")
    p = subprocess.run([str(a) for a in argv], capture_output=True, text=True, errors="replace", timeout=timeout, **kw)
    assert not check or p.returncode == 0, f"{argv}: {p.returncode}\n{p.stdout}{p.stderr}"
    return p


def wait_for(condition, timeout=60, what="condition"):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come within {timeout} s"
        time.sleep(0.02)


def tree(path):
    """Everything below path that an attack could change."""
    out = {}
    for d, dirs, files in os.walk(path):
        for name in [".", *dirs, *files]:
            p = os.path.normpath(os.path.join(d, name))
            st = os.lstat(p)
            body = os.readlink(p) if stat.S_ISLNK(st.st_mode) else ""
            if stat.S_ISREG(st.st_mode):
                with open(p, "rb") as f:
                    body = hashlib.sha256(f.read()).hexdigest()
            out[os.path.relpath(p, path)] = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_ino, st.st_nlink, st.st_size, st.st_rdev, st.st_mtime_ns, body,
                                             tuple(os.listxattr(p, follow_symlinks=False)))
    return out


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def sysctls():
    out = {}
    for name in SYSCTLS:
        with contextlib.suppress(OSError), open("/proc/sys/" + name) as f:
            out[name] = f.read()
    return out


def restore_sysctls(before):
    for name, value in before.items():
        with contextlib.suppress(OSError), open("/proc/sys/" + name, "r+") as f:
            if f.read() != value:
                f.seek(0)
                f.write(value)


def mounts_below(path):
    with open("/proc/self/mountinfo") as f:
        return sorted(" ".join(line.split()[3:5]) for line in f if path in line)


def host_nodes():
    """Owner and mode of what a careless runtime changes through a bind mount or an inherited descriptor."""
    out = {}
    for p in ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/random", "/dev/urandom", "/etc/passwd", "/etc/hosts"):
        with contextlib.suppress(OSError):
            st = os.stat(p)
            out[p] = (st.st_uid, st.st_gid, oct(st.st_mode), st.st_rdev, st.st_ino)
    return out


def cgroup_dirs(name=PARENT):
    tops = glob.glob(f"/sys/fs/cgroup/*/{name}") + glob.glob(f"/sys/fs/cgroup/{name}")
    return sorted((d for t in tops for d, _, _ in os.walk(t)), reverse=True)


def remove_cgroups(name=PARENT):
    for _ in range(100):
        dirs = cgroup_dirs(name)
        for d in dirs:
            with contextlib.suppress(OSError), open(d + "/cgroup.procs") as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.rmdir(d)
        if not dirs:
            return
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def status(text):
    return {k: v.strip() for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)}


def abstract_sockets():
    """Names in the abstract name space of this network namespace that somebody listens on or is bound to."""
    with open("/proc/net/unix") as f:
        return {w[7] for w in (line.split() for line in f) if len(w) > 7 and w[7].startswith("@")}


def make_rootfs(path, probe):
    for d in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "mnt"):
        os.makedirs(f"{path}/{d}")
    os.link(os.path.dirname(probe) + "/busybox", path + "/bin/busybox")
    for name in APPLETS:
        os.symlink("busybox", f"{path}/bin/{name}")
    os.link(probe, path + "/bin/probe")
    with open(path + "/etc/passwd", "w") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    with open(path + "/etc/group", "w") as f:
        f.write("root:x:0:\nnogroup:x:65534:\n")


def default_spec():
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": {s: list(DEFAULT_CAPS) for s in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "sec",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": [], "readonlyPaths": [],
        },
    }


class Bundle:
    count = 0

    def __init__(self, path, probe):
        Bundle.count += 1
        self.path, self.id = path, f"sec-{os.getpid()}-{Bundle.count}"
        self.rootfs = path + "/rootfs"
        os.makedirs(path)
        make_rootfs(self.rootfs, probe)
        self.spec = default_spec()
        self.linux, self.process, self.mounts = self.spec["linux"], self.spec["process"], self.spec["mounts"]
        self.linux["cgroupsPath"] = f"/{PARENT}/{self.id}"

    def args(self, *argv):
        self.process["args"] = list(argv)
        return self

    def shell(self, script):
        return self.args("sh", "-c", script)

    def without_mount(self, destination):
        self.mounts[:] = [m for m in self.mounts if m["destination"] != destination]
        return self

    def bind(self, source, destination, *options):
        self.mounts.append({"destination": destination, "type": "bind", "source": source, "options": ["rbind", *options]})
        return self

    def user_namespace(self):
        self.linux["namespaces"].append({"type": "user"})
        self.linux["uidMappings"] = self.linux["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
        sh("chown", "-hR", "200000:200000", self.rootfs)
        return self

    def replace(self, name, link=None, text=None):
        """Another kind of thing in the place of a name in the rootfs."""
        p = f"{self.rootfs}/{name}"
        if os.path.islink(p) or os.path.isfile(p):
            os.unlink(p)
        elif os.path.isdir(p):
            shutil.rmtree(p)
        if link is not None:
            os.symlink(link, p)
        elif text is not None:
            with open(p, "w") as f:
                f.write(text)
            os.chmod(p, 0o755)
        return self

    def write(self):
        with open(self.path + "/config.json", "w") as f:
            json.dump(self.spec, f)


class Runtime:
    """The runtime with a state directory of its own."""

    def __init__(self, root):
        self.root = root
        self.made = []

    def __call__(self, *args, check=False, **kw):
        return sh(RUNTIME, "--root", self.root, *args, check=check, **kw)

    def run(self, b, *options, **kw):
        b.write()
        self.made.append(b.id)
        return self("run", *options, "--bundle", b.path, b.id, **kw)

    def create(self, b, *options, check=True, out=None, **kw):
        b.write()
        self.made.append(b.id)
        with open(out or b.path + "/out", "w") as f:  # a pipe would stay open as long as the container lives
            p = subprocess.run([RUNTIME, "--root", self.root, "create", *options, "--bundle", b.path, b.id], stdin=subprocess.DEVNULL, stdout=f,
                               stderr=subprocess.STDOUT, timeout=30, **kw)
        text = open(out or b.path + "/out").read()
        assert not check or p.returncode == 0, text
        p.stderr = text
        return p

    def start(self, b, **kw):
        """create and start in the background; answers with the pid."""
        self.create(b, **kw)
        self("start", b.id, check=True)
        return self.state(b)["pid"]

    def exec(self, b, *args, options=(), **kw):
        return self("exec", *options, b.id, *args, **kw)

    def state(self, b):
        return json.loads(self("state", b.id, check=True).stdout)

    def delete(self, b):
        self.made.remove(b.id)
        return self("delete", "-f", b.id)

    def clean(self):
        for name in self.made:
            self("delete", "-f", name)
        self.made.clear()


def open_many():
    """50 descriptors that a careless caller would leak; every second one is not close-on-exec."""
    import socket
    fds = []
    for i in range(50):
        if i % 3 == 0:
            fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        elif i % 3 == 1:
            fd = os.memfd_create("leak")
        else:
            fd = socket.socket(socket.AF_UNIX).detach()
        os.set_inheritable(fd, i % 2 == 0)
        fds.append(fd)
    return fds


ENOENT, EPERM = errno.ENOENT, errno.EPERM
