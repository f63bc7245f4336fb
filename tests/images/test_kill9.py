"""SIGKILL at any moment of pull, load, commit, rmi and prune: afterwards every image that was complete is complete, and after a collection the
store holds what names, containers and nothing else lead to, to the byte.

KILL9_IMAGES=n: rounds (`make soak` has 1,000); KILL9_SEED=n repeats a run.
"""
import json
import os
import random
import signal
import subprocess
import time

import imagegen as ig
import pytest
import worker
from imagegen import dir_, file
from test_archives import layout, ok
from test_commit import base  # noqa: F401 - a fixture
from test_crash import run

ROUNDS = int(os.environ.get("KILL9_IMAGES", 40))
SEED = int(os.environ.get("KILL9_SEED", time.time_ns() % 1000000))
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")


def load(path):
    with open(path) as f:
        return json.load(f)


def hexes(*digests):
    return {d.split(":")[1] for d in digests if d}


def reachable(store):
    """From references and containers, as docs/formats.md says: names in images/, blobs/ and layers/."""
    images, blobs, layers = set(), set(), set()
    for r in store.references():
        doc = load(store.path / "refs" / r)
        images |= hexes(doc["manifest"])
        blobs |= hexes(doc["digest"])
    for c in store.names("containers"):
        own = load(store.path / "containers" / c / "config.json")["skiff"]
        images |= hexes(own["manifest"])
        layers |= hexes(*own["layers"])
    for i in images:
        doc = load(store.path / "images" / i)
        blobs |= hexes(doc["manifest"], doc["config"])
        layers |= hexes(*[la["diffId"] for la in doc["layers"]])
    return images, blobs, layers


def assert_exact(store):
    images, blobs, layers = reachable(store)
    assert set(store.names("images")) == images
    assert set(store.names("layers")) == layers
    found = set(store.names("blobs/sha256"))
    kept = {la["digest"].split(":")[1] for i in images for la in load(store.path / "images" / i)["layers"]}
    assert blobs <= found <= blobs | kept, "a blob that nothing needs"
    assert store.names("ingest") == store.names("leases") == store.names("trash") == []
    for c in store.names("containers"):
        assert not os.path.exists(store.path / "containers" / c / ".tmp")
    df = ok(store, "system", "df", "-v")
    du = subprocess.run(["du", "-sx", "--block-size=1", str(store.path)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert f"Total on disk: {du} bytes" in df


class Box:
    def __init__(self, store, registry, tmp_path, rnd):
        self.store, self.rnd, self.times = store, rnd, {}
        shared = ig.layer([dir_("s"), *(file(f"s/{k}", os.urandom(20000)) for k in range(10))])
        self.pulled = ig.image([shared, ig.layer([file(f"p{k}", os.urandom(30000)) for k in range(20)], "plain"),
                                ig.layer([file(f"q{k}", os.urandom(30000)) for k in range(20)], "zstd")])
        self.ref = registry.push("kill9/pulled", "1", self.pulled)
        self.keep = registry.push("kill9/keep", "1", ig.image([shared, ig.layer([file("own", os.urandom(50000))])]))
        loaded = ig.image([shared, ig.layer([file(f"l{k}", os.urandom(20000)) for k in range(20)])])
        self.archive = str(layout(tmp_path / "archive", [loaded], ["example.com/loaded:1"]))
        self.base = str(tmp_path / "base")
        ok(store, "pull", self.keep)
        self.reset()

    def stage(self, verb):
        """Everything before the command; its arguments."""
        if verb in ("rmi", "prune"):
            ok(self.store, "pull", self.ref)
        return {"pull": ["pull", self.ref], "load": ["load", "-i", self.archive], "commit": ["commit", "c", "example.com/made:1"],
                "rmi": ["rmi", self.ref], "prune": ["system", "prune", "-af"] if self.rnd.random() < 0.3 else ["image", "prune", "-af"]}[verb]

    def start(self, args):
        return subprocess.Popen([worker.SKIFF, "--root", str(self.store.path), "--run-root", str(self.store.path.parent / "run"), *args],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def reset(self):
        for name in (self.ref, "example.com/loaded:1", "example.com/made:1"):
            run(self.store, "rmi", "-f", name)
        if run(self.store, "image", "inspect", "example.com/base:1")[0]:
            ok(self.store, "load", "-i", self.base)
        if not self.store.names("containers"):
            ok(self.store, "run", "--name", "c", "example.com/base:1", "sh", "-c", "echo x >/new; rm -r /gone; mkdir /d; echo y >/d/f")

    def time(self, verb):
        if verb not in self.times:
            args = self.stage(verb)
            t = time.monotonic()
            self.start(args).wait()
            self.times[verb] = time.monotonic() - t
        return self.times[verb]


def stat(path):
    with open(f"{path}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()


def members(session):
    """Processes of a session that still run. One whose first thread is a zombie has its files and locks until the last of the others is gone."""
    out = []
    for p in os.listdir("/proc"):
        try:
            if p.isdigit() and int(stat(f"/proc/{p}")[3]) == session and any(stat(f"/proc/{p}/task/{t}")[0] not in "ZX" for t in os.listdir(f"/proc/{p}/task")):
                out.append(int(p))
        except OSError:
            continue
    return out


def kill(p, who):
    if who == "all":
        os.killpg(p.pid, signal.SIGKILL)
    elif who == "front":
        os.kill(p.pid, signal.SIGKILL)
    else:
        for pid in members(p.pid):
            if pid != p.pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
    p.wait()
    end = time.monotonic() + 20
    while members(p.pid):  # a worker whose front end died cleans up and ends
        assert time.monotonic() < end, "the worker goes on without its front end"
        time.sleep(0.005)


def aftermath(box, verb, who, at):
    where = f"seed {SEED}: {verb}, {who} killed after {at * 1000:.1f} ms"
    store = box.store
    rc, out, err = run(store, "system", "check")
    # what a container's removal left (a lock file, a name) is garbage that repair takes; a layer, blob or record that is not whole is damage
    bad = [x for x in out.splitlines() if x.startswith(("layer ", "blob ", "image record "))]
    assert bad == [] and err == "", f"{where}: {out}{err}"
    for args in (("system", "check", "--repair"), ("image", "prune", "-f")):
        rc, out, err = run(store, *args)
        assert rc == 0 and err == "", f"{where}: {out}{err}"
    try:
        assert_exact(store)
    except AssertionError as x:
        raise AssertionError(f"{where}: {x}") from x


def test_at_random_moments(base, store, registry, tmp_path):  # noqa: F811
    rnd = random.Random(SEED)
    box = Box(store, registry, tmp_path, rnd)
    # the container holds its image, and the name "keep" holds what it shares with the pulled one
    verbs = ("pull", "load", "commit", "rmi", "prune")
    cut = 0
    for verb in verbs:
        box.time(verb)
        box.reset()
    for n in range(ROUNDS):
        verb = verbs[n % len(verbs)]
        if verb == "prune" and run(store, "image", "inspect", box.keep)[0]:
            ok(store, "pull", box.keep)
        args, who, at = box.stage(verb), rnd.choice(("all", "all", "front", "worker")), rnd.uniform(0, box.time(verb) * 1.05)
        p = box.start(args)
        t = time.monotonic()
        try:
            p.wait(at)
            box.times[verb] = time.monotonic() - t  # the machine has become faster
        except subprocess.TimeoutExpired:
            cut += 1
        kill(p, who) if p.returncode is None else None
        aftermath(box, verb, who, at)
        if verb in ("pull", "load", "commit") and n % 3 == 0:
            ok(store, *args)
            aftermath(box, verb, "nothing", at)
        box.reset()
    assert cut >= ROUNDS // 3, "hardly any was killed while it worked"
    run(store, "rm", "-f", "c")
    ok(store, "system", "prune", "-af")
    assert_exact(store)
    assert store.names("layers") == store.names("images") == store.names("containers") == []
