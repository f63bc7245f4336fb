"""Tests of an OCI runtime through its command line.

RUNTIME names the binary under test (default: skiff-oci of SKIFF_BIN or build/bin). The same tests run with RUNTIME=runc or crun as reference:
what fails there is a wrong test. Tests of our own words or promises carry @pytest.mark.skiff_only and are skipped then.
"""
import copy
import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from ready import trapped, wait_for_traps

TOP = Path(__file__).resolve().parents[2]
DEFAULT = Path(os.environ.get("SKIFF_BIN", TOP / "build" / "bin")) / "skiff-oci"
RUNTIME = os.environ.get("RUNTIME", str(DEFAULT))
IS_SKIFF = Path(RUNTIME).name == "skiff-oci"

# What reference runtimes do differently, each looked at: none of it is asked for by the runtime-spec.
DEVIATIONS = {
    "test_spec_writes_a_bundle_that_runs": "runc refuses a root that is a symlink",
    "test_corrupt_config[null]": "runc 1.1 panics",
    "test_options": "runc's flag parser wants the command after '--'",
    "test_all_stages": "runc 1.1 runs poststart hooks at create",
    "test_failing_poststop_is_a_warning": "runc 1.1 stops at the first failing poststop hook",
    "test_join_user_namespace_with_new_others": "runc needs the root file system to be reachable for the mapped root",
    "test_run_on_terminal": "runc sets the terminal's size after the start",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "skiff_only: our own words or promises; not for reference runtimes")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if not IS_SKIFF and item.get_closest_marker("skiff_only"):
            item.add_marker(pytest.mark.skip(reason="not a promise of " + RUNTIME))
        if not IS_SKIFF and item.name in DEVIATIONS:
            item.add_marker(pytest.mark.skip(reason=DEVIATIONS[item.name]))
        if os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def base_rootfs(tmp_path_factory):
    root = tmp_path_factory.mktemp("busybox") / "rootfs"
    for d in ("bin", "etc", "tmp", "root", "dev", "proc", "sys", "desk"):
        (root / d).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox:
        pytest.skip("busybox (static) is not installed")
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nuser:x:1000:\n")
    (root / "tmp").chmod(0o1777)
    for p in [root, *root.parents][:4]:  # containers with a user namespace walk through
        p.chmod(p.stat().st_mode | 0o555)
    return root


@pytest.fixture(scope="session")
def base_config(tmp_path_factory):
    d = tmp_path_factory.mktemp("spec")
    subprocess.run([RUNTIME, "spec"], cwd=d, check=True, capture_output=True)
    c = json.loads((d / "config.json").read_text())
    c["process"]["terminal"] = False
    c["process"].pop("rlimits", None)
    c["root"]["readonly"] = False
    return c


class Box:
    """One container's bundle and its runtime."""

    def __init__(self, tmp, config, rootfs):
        self.dir = tmp
        self.id = "skftest-" + uuid.uuid4().hex[:12]
        self.state_root = tmp / "state"
        self.bundle = tmp / "bundle"
        self.bundle.mkdir(exist_ok=True)
        self.c = copy.deepcopy(config)
        self.c["root"]["path"] = str(rootfs)
        self.rootfs = rootfs

    @property
    def p(self):
        return self.c["process"]

    def own_rootfs(self):
        """A copy that the test may write to."""
        to = self.dir / "rootfs"
        shutil.copytree(self.rootfs, to, symlinks=True)
        to.parent.chmod(0o755)
        self.rootfs = to
        self.c["root"]["path"] = str(to)
        return to

    def write(self):
        (self.bundle / "config.json").write_text(json.dumps(self.c))

    def cmd(self, *args, glob=()):
        return [RUNTIME, "--root", str(self.state_root), *glob, *args]

    def rt(self, *args, glob=(), timeout=60, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        return subprocess.run(self.cmd(*args, glob=glob), text=True, timeout=timeout, **kw)

    def run(self, *argv, opts=(), **kw):
        """`run` of argv in the foreground."""
        if argv:
            self.p["args"] = list(argv)
        self.write()
        return self.rt("run", *opts, "--bundle", str(self.bundle), self.id, **kw)

    def sh(self, script, **kw):
        return self.run("sh", "-c", script, **kw)

    def create(self, *argv, opts=(), **kw):
        if argv:
            self.p["args"] = list(argv)
        self.write()
        # a container that lives on keeps its stdio: not ours
        kw.setdefault("stdout", subprocess.DEVNULL)
        err = self.dir / "create.err"
        with open(err, "w") as f:
            r = self.rt("create", *opts, "--bundle", str(self.bundle), self.id, stderr=f, **kw)
        r.stderr = err.read_text()
        return r

    def start(self, *argv, **kw):
        """create and start; the container runs on."""
        r = self.create(*argv, **kw)
        assert r.returncode == 0, r.stderr
        r = self.rt("start", self.id)
        assert r.returncode == 0, r.stderr
        if trapped(argv):
            wait_for_traps(self.state()["pid"], argv)
        return self

    def state(self):
        r = self.rt("state", self.id)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    def exec(self, *argv, opts=(), **kw):
        return self.rt("exec", *opts, self.id, *argv, **kw)

    def wait_until(self, what, seconds=30):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"did not come true within {seconds} s; {self.rt('state', self.id).stdout}"
            time.sleep(0.01)

    def wait_stopped(self, seconds=30):
        end = time.time() + seconds
        while time.time() < end:
            if self.state()["status"] == "stopped":
                return
            time.sleep(0.01)
        raise AssertionError("still " + self.state()["status"])

    def userns(self, host=100000, size=65536):
        """A user namespace with a root file system of its own ids."""
        root = self.own_rootfs()
        subprocess.run(["chown", "-hR", f"{host}:{host}", str(root)], check=True)
        self.c["linux"]["namespaces"].append({"type": "user"})
        m = [{"containerID": 0, "hostID": host, "size": size}]
        self.c["linux"]["uidMappings"] = m
        self.c["linux"]["gidMappings"] = m

    def has_traces(self):
        """What is left of the container on the host."""
        left = [str(Path(d) / n) for d, names, _ in os.walk("/sys/fs/cgroup") for n in names if n.startswith(self.id)]
        state = self.state_root / self.id
        if state.exists():
            left.append(str(state))
        with open("/proc/self/mountinfo") as f:
            left += [line for line in f if self.id in line]
        return left


@pytest.fixture
def box_factory(tmp_path, base_config, base_rootfs):
    boxes = []
    for p in [tmp_path, *tmp_path.parents][:4]:
        p.chmod(p.stat().st_mode | 0o555)

    def make():
        d = tmp_path / f"b{len(boxes)}"
        d.mkdir(mode=0o755)
        b = Box(d, base_config, base_rootfs)
        boxes.append(b)
        return b

    yield make
    for b in boxes:
        if (b.state_root / b.id).exists():
            subprocess.run(b.cmd("delete", "--force", b.id), capture_output=True, timeout=60)
    # after all of them are deleted: a failure here must not keep the others alive
    assert [t for b in boxes for t in b.has_traces()] == []


@pytest.fixture
def box(box_factory):
    return box_factory()
