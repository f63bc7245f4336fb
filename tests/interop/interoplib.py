"""What the interop tests share: podman with storage of its own, a registry on loopback, a terminal, and cleaning up.

RUNTIME_REF names another OCI runtime (/usr/sbin/runc): the same tests must pass with it, which shows that they ask for nothing odd.
"""
import contextlib
import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import termios
import time
import urllib.request

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.path.realpath(os.environ.get("SKIFF_BIN", os.path.join(TOP, "build", "bin")))
RUNTIME = os.environ.get("RUNTIME_REF") or os.path.join(BIN, "skiff-oci")
SKIFF = os.path.join(BIN, "skiff")
CACHE = os.environ.get("SKIFF_DEMO_CACHE", os.path.join(TOP, "build", "demo-cache"))
BUSYBOX, DEBIAN, PAUSE = "localhost/busybox", "localhost/debian", "localhost/pause"
V1 = os.path.isdir("/sys/fs/cgroup/memory")
MANY = int(os.environ.get("MANY", 40))  # containers alive at the same time; make soak: 200


def sh(*argv, check=True, timeout=60, **kw):
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


def mounts_below(path):
    with open("/proc/self/mountinfo") as f:
        return [m for m in (line.split()[4] for line in f) if m == path or m.startswith(path + "/")]


def remove_tree(path):
    for m in sorted(mounts_below(path), reverse=True):
        subprocess.run(["umount", "-l", m], check=False)
    shutil.rmtree(path, ignore_errors=True)


def cgroup_dirs(name):
    """Directories of this name in every hierarchy, deepest first."""
    tops = glob.glob(f"/sys/fs/cgroup/*/{name}") + glob.glob(f"/sys/fs/cgroup/{name}")
    return sorted((d for t in tops for d, _, _ in os.walk(t)), reverse=True)


def cgroup_pids(name):
    pids = set()
    for d in cgroup_dirs(name):
        with contextlib.suppress(OSError), open(d + "/cgroup.procs") as f:
            pids.update(int(p) for p in f.read().split())
    return pids


def remove_cgroups(name):
    for pid in cgroup_pids(name):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for top in glob.glob("/sys/fs/cgroup/*/" + name):
        if V1 and not os.path.ismount(os.path.dirname(top)):  # podman makes directories and files for hierarchies that are not there
            shutil.rmtree(top)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(top))
    for d in cgroup_dirs(name):
        for _ in range(50):
            try:
                os.rmdir(d)
            except OSError as e:
                if e.errno == errno.ENOENT:
                    break
                time.sleep(0.02)
            else:
                break


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def status(text):
    """/proc/PID/status as a dictionary."""
    return {k: v.strip() for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)}


def busybox_tree(path):
    for d in ("bin", "etc", "tmp", "root"):
        os.makedirs(f"{path}/{d}")
    shutil.copy("/bin/busybox", path + "/bin/busybox")
    for name in sh("/bin/busybox", "--list").stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{path}/bin/{name}")
    with open(path + "/etc/passwd", "w") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    with open(path + "/etc/group", "w") as f:
        f.write("root:x:0:\nnogroup:x:65534:\n")


def image_archive(path, tree, images):
    """A docker-archive of one layer; images: {name: command}."""
    layer = path + ".layer"
    sh("tar", "-C", tree, "-c", "--owner=0", "--group=0", "-f", layer, ".")
    with open(layer, "rb") as f:
        diff = hashlib.sha256(f.read()).hexdigest()
    manifest = []
    with tarfile.open(path, "w") as t:
        t.add(layer, "layer.tar")

        def add(name, value):
            data = json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for n, (name, command) in enumerate(images.items()):
            add(f"config{n}.json", {"architecture": platform_arch(), "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": command},
                                    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff]}})
            manifest.append({"Config": f"config{n}.json", "RepoTags": [name + ":latest"], "Layers": ["layer.tar"]})
        add("manifest.json", manifest)
    os.unlink(layer)


def platform_arch():
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def debian_tree():
    """The debootstrap tree that tools/mkimages keeps too."""
    tree = CACHE + "/debian"
    if not os.path.exists(tree + "/.complete"):
        shutil.rmtree(tree, ignore_errors=True)
        os.makedirs(CACHE, exist_ok=True)
        site = [s for s in sh("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages").stdout.split() if "security" not in s]
        host = os.environ.get("SKIFF_TEST_HOST_NET")
        sh(*(["nsenter", "--net=" + host] if host else []), "debootstrap", "--variant=minbase", "bookworm", tree, *site[:1], timeout=900)
        for f in glob.glob(tree + "/var/cache/apt/archives/*.deb"):
            os.unlink(f)
        shutil.rmtree(tree + "/var/lib/apt/lists", ignore_errors=True)
        open(tree + "/.complete", "w").close()
    return tree


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, argv, rows=24, cols=80, **kw):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)

        def lead():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.p = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=lead, **kw)
        os.close(slave)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        os.close(self.master)

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def write(self, text):
        os.write(self.master, text.encode())

    def until(self, text, timeout=60):
        """Reads until `text` comes; answers with all that came since the last call."""
        end = time.monotonic() + timeout
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and self._more(left), f"'{text}' did not come: {self.seen!r}"
        at = self.seen.index(text) + len(text)
        out, self.seen = self.seen[:at], self.seen[at:]
        return out

    def _more(self, timeout):
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def finish(self, timeout=15):
        """Reads to the end; answers with (exit status, what came)."""
        end = time.monotonic() + timeout
        while self._more(max(0, end - time.monotonic())):
            pass
        return self.p.wait(timeout), self.seen


class Podman:
    def __init__(self, root, runtime=RUNTIME):
        self.root, self.runtime = root, runtime
        self.parent = f"skiff-interop-{os.getpid()}"
        os.makedirs(root)
        conf = root + "/containers.conf"
        with open(conf, "w") as f:
            f.write('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
                    '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nlock_type = "file"\n'
                    f'runtime_supports_nocgroup = ["{os.path.basename(runtime)}"]\n')
        os.makedirs(root + "/home")
        self.env = {"CONTAINERS_CONF": conf, "PATH": (os.path.dirname(CRIU) + ":" if CRIU else "") + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": root + "/home"}
        self.base = ["podman", "--root", root + "/root", "--runroot", root + "/run", "--tmpdir", root + "/tmp", "--storage-driver", "overlay",
                     "--events-backend", "file", "--cgroup-manager", "cgroupfs", "--log-level", "error", "--runtime", runtime]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self("rm", "-af", "-t", "0")
        remove_cgroups(self.parent)
        remove_tree(self.root)

    def __call__(self, *args, check=False, timeout=60, **kw):
        # conmon leaves files ("oom") in the directory that it was started in
        return sh(*self.base, *args, check=check, timeout=timeout, env=self.env, cwd=self.root, **kw)

    def import_tree(self, tree, name, *changes):
        tar = subprocess.Popen(["tar", "-C", tree, "-c", "--exclude=./.complete", "."], stdout=subprocess.PIPE)
        try:
            self("import", "-q", *(w for c in changes for w in ("-c", c)), "-", name, check=True, stdin=tar.stdout, timeout=120)
        finally:
            tar.stdout.close()
            assert tar.wait() == 0

    def argv(self, verb, *args, network="none"):
        """podman run or create, below a cgroup of this session."""
        return [*self.base, verb, f"--cgroup-parent=/{self.parent}", "--network", network, *args]

    def run(self, *args, network="none", check=True, timeout=60, **kw):
        return sh(*self.argv("run", *args, network=network), check=check, timeout=timeout, env=self.env, cwd=self.root, **kw)

    def start(self, *args, image=BUSYBOX, command=("sleep", "1000"), **kw):
        """A container in the background; answers with its id."""
        return self.run("-d", *args, image, *command, **kw).stdout.strip()

    def popen(self, *args, network="none", **kw):
        return subprocess.Popen(self.argv("run", *args, network=network), env=self.env, text=True, cwd=self.root, **kw)

    def terminal(self, argv, **kw):
        return Terminal(argv, env=dict(self.env, TERM="xterm"), cwd=self.root, **kw)

    def inspect(self, name):
        return json.loads(self("inspect", name, check=True).stdout)[0]

    def pid(self, name):
        return self.inspect(name)["State"]["Pid"]

    def remove_all(self):
        """Every container. podman's rm and the `container cleanup` that conmon starts at the same container's end both mount and unmount its
        /dev/shm, and rm gives up with EBUSY when it loses that race; what counts here is that a second rm finds nothing in its way."""
        p = self("rm", "-af", "-t", "0")
        if p.returncode and "device or resource busy" in p.stderr:
            p = self("rm", "-af", "-t", "0")
        assert p.returncode == 0, p.stdout + p.stderr

    def leftovers(self):
        """Cgroups, mounts and processes of containers that are still there, a moment after the last one was removed."""
        def left():
            dirs = [d for d in cgroup_dirs(self.parent) if "libpod-" in d and "conmon" not in d]
            mounts = [m for m in mounts_below(self.root) if m.endswith("/merged") or m.endswith("/shm")]
            return dirs + mounts + sorted(cgroup_pids(self.parent))
        end = time.monotonic() + 5
        while left() and time.monotonic() < end:
            time.sleep(0.05)
        return left()


@contextlib.contextmanager
def undo(daemon, log):
    """The rest of a daemon's __enter__: when it fails, the daemon is ended and the end of its log is shown."""
    try:
        yield
    except BaseException:
        print(sh("tail", "-n", "20", log, check=False).stdout)
        daemon.__exit__()
        raise


class Containerd:
    """containerd with directories and a socket of its own, whose shims call the runtime; called, it is ctr."""

    def __init__(self, root, settings="", disabled=()):
        self.root, self.runc_root = root, root + "/runc"
        self.address = root + "/c.sock"
        self.fresh = not os.path.exists("/run/containerd")  # the shims' sockets are always there
        os.makedirs(root)
        with open(root + "/config.toml", "w") as f:
            f.write(f'version = 2\nroot = "{root}/root"\nstate = "{root}/state"\ndisabled_plugins = {json.dumps(list(disabled))}\n'
                    f'[grpc]\naddress = "{self.address}"\n[ttrpc]\naddress = "{self.address}.ttrpc"\n{settings}')

    def __enter__(self):
        with open(self.root + "/log", "w") as log:
            self.p = subprocess.Popen(["containerd", "-c", self.root + "/config.toml"], stdout=log, stderr=log, env=daemon_env())
        with undo(self, self.root + "/log"):
            wait_for(lambda: os.path.exists(self.address) and self("version", check=False).returncode == 0, timeout=60, what="containerd")
        return self

    def __exit__(self, *_):
        kill_shims(self.root)
        self.p.kill()
        self.p.wait()
        remove_tree(self.root)
        if self.fresh:
            remove_tree("/run/containerd")

    def __call__(self, *args, **kw):
        return sh("ctr", "-a", self.address, *args, **kw)


def daemon_env():
    """The environment of a daemon: with the criu that tests/runtime/get-criu made, when it is there."""
    return dict(os.environ, PATH=os.path.dirname(CRIU) + ":" + os.environ["PATH"]) if CRIU else dict(os.environ)


def kill_shims(root):
    for pid in re.findall(r"^\s*(\d+) \S*containerd-shim-runc-v2 .*" + re.escape(root), sh("ps", "-eo", "pid,args").stdout, re.M):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def find_criu():
    """A criu that understands this kernel, or None."""
    own = os.path.join(TOP, "build", "criu", "criu")
    path = os.environ.get("SKIFF_TEST_CRIU") or (own if os.path.exists(own) else shutil.which("criu"))
    return path if path and sh(path, "check", check=False).returncode == 0 else None


CRIU = find_criu()


class Registry:
    def __init__(self, root):
        self.root = root
        os.makedirs(root + "/data")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.name = "127.0.0.1:%d" % s.getsockname()[1]
        with open(root + "/config.yml", "w") as f:
            f.write(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}\n"
                    f'http: {{addr: "{self.name}"}}\n')

    def __enter__(self):
        self.log = open(self.root + "/log", "w")
        self.p = subprocess.Popen(["docker-registry", "serve", self.root + "/config.yml"], stdout=self.log, stderr=self.log)

        def up():
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"http://{self.name}/v2/", timeout=5).status == 200
        with undo(self, self.root + "/log"):
            wait_for(up, timeout=60, what="the registry")
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.log.close()
