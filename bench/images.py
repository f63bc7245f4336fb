"""bench/images.py: what bench/images measures. The programs take turns; a figure is the median of the runs, with the least beside it. Processor time is
that of the client and all it waited for, plus that of the daemon; peak memory is the largest resident size of any one process."""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

W, M, BIN, REG = (os.environ[k] for k in ("W", "M", "BIN", "REGISTRY"))
IMAGES = os.environ["BENCH_IMAGES"]
TICK = os.sysconf("SC_CLK_TCK")


def have(p):
    return shutil.which(p) is not None


class Tool:
    name, daemons, root, pushes = "", (), "", True

    def prepare(self, image):
        """Nothing of the image is left."""

    def pull(self, image):
        raise NotImplementedError

    def push(self, image, to):
        raise NotImplementedError

    def remove_only(self, image):
        """The image's name goes, its layers stay (another image has them)."""
        return self.prepare(image)


class Skiff(Tool):
    name, root = "skiff", f"{W}/skiff/lib"
    cmd = [f"{BIN}/skiff", "--root", f"{W}/skiff/lib", "--run-root", f"{M}/skiff"]

    def prepare(self, image):
        quiet(self.cmd + ["rmi", "-f", f"{REG}/{image}"])

    def pull(self, image):
        return self.cmd + ["pull", "-q", f"{REG}/{image}"]

    def push(self, image, to):
        quiet(self.cmd + ["tag", f"{REG}/{image}", f"{REG}/{to}"])
        return self.cmd + ["push", "-q", f"{REG}/{to}"]


class Podman(Tool):
    name, root = "podman", f"{W}/podman/root"
    cmd = ["podman", "--root", f"{W}/podman/root", "--runroot", f"{M}/podman", "--tmpdir", f"{W}/podman/tmp", "--storage-driver", "overlay",
           "--cgroup-manager", "cgroupfs", "--events-backend", "file"]

    def prepare(self, image):
        quiet(self.cmd + ["rmi", "-f", f"{REG}/{image}"])

    def pull(self, image):
        return self.cmd + ["pull", "-q", "--tls-verify=false", f"docker://{REG}/{image}"]

    def push(self, image, to):
        return self.cmd + ["push", "-q", "--tls-verify=false", f"{REG}/{image}", f"docker://{REG}/{to}"]


class Docker(Tool):
    name, root = "docker", f"{W}/docker/root"
    daemons = (os.environ["DOCKERD_PID"],)
    cmd = ["docker", "-H", f"unix://{W}/docker/sock"]

    def prepare(self, image):
        quiet(self.cmd + ["rmi", "-f", f"{REG}/{image}"])

    def pull(self, image):
        return self.cmd + ["pull", "-q", f"{REG}/{image}"]

    def push(self, image, to):
        quiet(self.cmd + ["tag", f"{REG}/{image}", f"{REG}/{to}"])
        return self.cmd + ["push", "-q", f"{REG}/{to}"]


class Containerd(Tool):
    name, root = "containerd", f"{W}/ctd/root"
    daemons = (os.environ["CONTAINERD_PID"],)
    cmd = ["ctr", "-a", f"{W}/ctd/sock", "-n", "b"]

    def prepare(self, image):
        quiet(self.cmd + ["images", "rm", "--sync", f"{REG}/{image}:latest"])
        quiet(self.cmd + ["content", "prune", "references"])

    def pull(self, image):
        return self.cmd + ["images", "pull", "--plain-http", f"{REG}/{image}:latest"]

    def push(self, image, to):
        quiet(self.cmd + ["images", "tag", "--force", f"{REG}/{image}:latest", f"{REG}/{to}:latest"])
        return self.cmd + ["images", "push", "--plain-http", f"{REG}/{to}:latest"]


class Skopeo(Tool):
    """Downloads only: no layer is unpacked."""
    name, root = "skopeo (no unpack)", f"{W}/skopeo"

    def prepare(self, image):
        shutil.rmtree(f"{self.root}/{image}", ignore_errors=True)
        os.makedirs(self.root, exist_ok=True)

    def pull(self, image):
        return ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{REG}/{image}", f"dir:{self.root}/{image}"]

    def push(self, image, to):
        return ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"dir:{self.root}/{image}", f"docker://{REG}/{to}"]


def quiet(cmd):
    return subprocess.run(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return sum(map(int, v[11:15])) / TICK  # with children that it waited for


def peak_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def measure(tool, cmd):
    """(wall s, cpu s, peak KB) or None."""
    before = sum(cpu_of(p) for p in tool.daemons)
    for p in tool.daemons:
        reset_peak(p)
    log = open(f"{W}/log", "w+")
    t = time.monotonic()
    p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _, status, ru = os.wait4(p.pid, 0)
    wall = time.monotonic() - t
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        log.seek(0)
        print(f"FAILED: {' '.join(cmd)}: {log.read()[-300:]}", file=sys.stderr)
        return None
    cpu = ru.ru_utime + ru.ru_stime + sum(cpu_of(p) for p in tool.daemons) - before
    return wall, cpu, max([ru.ru_maxrss] + [peak_of(p) for p in tool.daemons])


def table(title, results):
    print(f"\n== {title}\n{'':20} {'median s':>9} {'least s':>9} {'cpu s':>8} {'peak MB':>8} {'x skiff':>8} {'cpu x':>7}")
    base = None
    for name, v in results.items():
        v = [x for x in v if x]
        if not v:
            print(f"{name:20} failed")
            continue
        med, cpu = statistics.median(x[0] for x in v), statistics.median(x[1] for x in v)
        base = base or (med, cpu)
        print(f"{name:20} {med:9.3f} {min(x[0] for x in v):9.3f} {cpu:8.3f} {max(x[2] for x in v) / 1024:8.1f} {med / base[0]:8.2f} {cpu / base[1]:7.2f}")
    sys.stdout.flush()


def pulls(tools, image, runs, before=None):
    out = {t.name: [] for t in tools}
    for _ in range(runs):
        for t in tools:
            if before:
                before(t)
            else:
                t.prepare(image)
            os.sync()
            out[t.name].append(measure(t, t.pull(image)))
    for t in tools:
        t.prepare(image)
    return out


def present(tools, runs):
    for t in tools:
        quiet(t.pull("big-gzip"))
    out = pulls([t for t in tools if t.name != Skopeo.name], "big-again", runs, lambda t: t.remove_only("big-again"))
    for t in tools:
        t.prepare("big-gzip")
    return out


def pushes(tools, image, runs):
    """To a repository that does not exist yet. docker-registry links what it already holds, so every byte is sent but stored once."""
    out = {t.name: [] for t in tools}
    for t in tools:
        t.prepare(image)
        quiet(t.pull(image))
    for n in range(runs):
        for t in tools:
            cmd = t.push(image, f"{image}-{t.name.split()[0]}-{n}")
            os.sync()
            out[t.name].append(measure(t, cmd))
    for t in tools:
        t.prepare(image)
    return out


def disk(path):
    return int(subprocess.run(["du", "-sx", "--block-size=1", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.split()[0])


def store_sizes(tools):
    print("\n== size of the store on disk for big-gzip, MB (blocks)")
    for t in tools:
        t.prepare("big-gzip")
        os.makedirs(t.root, exist_ok=True)
        os.sync()
        before = disk(t.root)
        quiet(t.pull("big-gzip"))
        os.sync()
        print(f"{t.name:20} {(disk(t.root) - before) / 1e6:9.1f}")
        t.prepare("big-gzip")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--rows", default="stages gzip zstd present single tiny files push store")
    o = a.parse_args()
    tools = [Skiff()] + [t for t, p in ((Podman(), "podman"), (Docker(), "dockerd"), (Containerd(), "containerd"), (Skopeo(), "skopeo")) if have(p)]
    if not os.environ["DOCKERD_PID"]:
        tools = [t for t in tools if t.name not in ("docker", "containerd")]
    images = {"gzip": ("pull: three layers of Debian, gzip", "big-gzip"), "zstd": ("pull: the same in zstd", "big-zstd"),
              "single": ("pull: one layer of 500 MB", "single"), "tiny": ("pull: 100 tiny layers", "tiny"), "files": ("pull: 100,000 small files", "files")}
    for row in o.rows.split():
        if row in images:
            table(images[row][0], pulls(tools, images[row][1], o.runs))
        elif row == "present":
            table("pull: another image of the same layers", present(tools, o.runs))
        elif row == "push":
            for i in ("big-gzip", "single", "tiny", "files"):
                table(f"push: {i}", pushes(tools, i, o.runs))
        elif row == "store":
            store_sizes(tools)
        elif row == "stages":
            for i in ("big-gzip", "big-zstd"):
                subprocess.run([f"{W}/stages", f"http://{REG}", i, f"{IMAGES}/oci", f"{W}/stage"], check=True)


main()
