"""What stays when a pull does not end as it should: killed workers, full disks; and several pulls at once."""
import os
import random
import signal
import subprocess
import threading
import time

import imagegen as ig
import pytest
import worker
from imagegen import dir_, file


def run(store, *args, timeout=60):
    p = subprocess.run([worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), *args], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=timeout, env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")})
    return p.returncode, p.stdout.decode(), p.stderr.decode(errors="replace")


def collect(store):
    """`system check --repair` takes everything that a dead pull left but its download, `image prune` takes that; a second check finds nothing."""
    rc, out, err = run(store, "system", "check", "--repair")
    assert rc == 0, out + err
    rc, out, err = run(store, "image", "prune", "-f")
    assert rc == 0, out + err
    assert store.names("leases") == [] and store.names("ingest") == [] and store.names("trash") == []
    assert [n for n in store.names("layers") if n.startswith(".")] == []
    store.no_leftovers()
    rc, out, err = run(store, "system", "check")
    assert rc == 0, out + err


def several(n=5, size=1 << 20):
    return ig.image([ig.layer([dir_(f"d{i}")] + [file(f"d{i}/{k}", os.urandom(size // 20)) for k in range(20)], ("gzip", "plain", "zstd")[i % 3])
                     for i in range(n)])


# --- killed ---
def test_killed_at_any_moment(registry, store):
    """Whatever moment: what has a reference is whole, a new pull works, and collection takes the rest."""
    im = several()
    ref = registry.push("killed", "1", im)
    t = time.monotonic()
    store.pull(ref)
    whole = time.monotonic() - t
    rnd = random.Random(int(time.time()))
    states = set()
    for n in range(16):
        run(store, "rmi", ref)
        collect(store)
        assert store.layers() == [] and store.references() == []
        w = worker.Worker()
        w.pull(store.path, ref)
        time.sleep(rnd.uniform(0.005, whole * 1.1))
        w.kill()
        states.add((len(store.layers()), len(store.references())))
        if store.references():
            assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
        assert worker.verify(store.path).bad == []
        if n % 4 == 0:
            collect(store)
            if not store.references():
                assert store.layers() == [] and store.names("images") == []
        res = store.pull(ref)
        assert res.manifest == im.manifest
        assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert worker.verify(store.path).bad == []
    collect(store)
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    assert len(states) > 1, states


@pytest.mark.smoke
def test_killed_while_a_layer_is_half(fake, store):
    """Certainly in the middle: the server holds the second half back. What is left is named, taken, and in nobody's way."""
    reg = fake()
    la = ig.layer([file("f", os.urandom(2 << 20))], "plain")
    ref = reg.add("half", "1", ig.image([la]))
    gate = threading.Event()

    @reg.rule(la.digest, times=1)
    def half(h, n):
        h.reply(200, la.blob[:1 << 20], length=len(la.blob))
        h.wfile.flush()
        gate.wait(30)
    w = worker.Worker()
    w.pull(store.path, ref)
    while not (w.recv().type == worker.PROGRESS and any(n.startswith(".tmp") for n in store.names("layers"))):
        pass
    # under way: its lease, download and unfinished layer are no garbage
    before = store.names("leases") + store.names("ingest") + store.names("layers")
    assert run(store, "system", "check", "--repair")[0] == 0
    assert store.names("leases") + store.names("ingest") + store.names("layers") == before
    w.kill()
    assert store.names("leases") != [] and store.names("ingest") == [la.digest.split(":")[1]]
    rc, out, err = run(store, "system", "check")
    assert rc != 0 and out.strip(), "garbage is reported: " + out + err
    collect(store)
    assert store.names("layers") == [] and store.names("blobs/sha256") == []
    gate.set()
    store.pull(ref)
    assert store.layers() == [la.hex]


def test_interrupted_skiff(fake, store):
    """^C: skiff and its worker end at once, nothing is committed, and what is left is garbage that is known as such."""
    reg = fake()
    la = ig.layer([file("f", os.urandom(2 << 20))], "plain")
    ref = reg.add("cancel", "1", ig.image([la]))
    gate = threading.Event()

    @reg.rule(la.digest, times=1)
    def half(h, n):
        h.reply(200, la.blob[:1 << 20], length=len(la.blob))
        h.wfile.flush()
        gate.wait(30)
    for sig in (signal.SIGINT, signal.SIGTERM):
        reg.log.clear()
        reg.rules.clear()
        reg.rule(la.digest, times=1)(half)
        p = subprocess.Popen([worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), "pull", ref],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored in what a script starts in the background
        end = time.monotonic() + 20
        while not any(n.startswith(".tmp") for n in store.names("layers")) and time.monotonic() < end:
            time.sleep(0.01)
        t = time.monotonic()
        p.send_signal(sig)
        out, err = p.communicate(timeout=20)
        assert p.returncode != 0 and time.monotonic() - t < 5
        assert store.layers() == [] and store.references() == []
        end = time.monotonic() + 5
        while run(store, "system", "check", "--repair")[0] or store.names("leases"):  # the worker may end a moment after skiff
            assert time.monotonic() < end
        collect(store)
        assert store.names("layers") == []
    gate.set()
    store.pull(ref)


# --- full ---
@pytest.fixture
def small_disk(tmp_path):
    """A store on a file system of a given size."""
    made = []

    def make(options):
        path = tmp_path / "disk"
        path.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(path)], stderr=subprocess.DEVNULL).returncode:
            pytest.skip("no mount here")
        made.append(path)
        from conftest import Store
        return Store(path / "lib")
    yield make
    for p in made:
        subprocess.run(["umount", str(p)], check=True)


def used(store):
    st = os.statvfs(store.path)
    return (st.f_blocks - st.f_bfree) * st.f_frsize


@pytest.mark.parametrize("how", ["plain", pytest.param("gzip", marks=pytest.mark.smoke)])
def test_full_disk(fake, small_disk, how):
    reg, store = fake(), small_disk("size=8m")
    ref = reg.add("large", "1", ig.image([ig.layer([file(f"f{i}{k}", os.urandom(1 << 20)) for k in range(4)], how) for i in range(5)]))
    small = ig.layer([file("f", "small")])
    small_ref = reg.add("small", "1", ig.image([small]))
    store.pull(small_ref)
    before = used(store)
    err = store.fails("limit", ref, "no space left")
    assert "\n" not in err.message
    collect(store)
    assert store.layers() == [small.hex] and used(store) < before + (1 << 20)
    assert worker.verify(store.path).bad == []
    other = ig.layer([file("g", os.urandom(2 << 20))])
    store.pull(reg.add("other", "1", ig.image([other])))


def test_bomb_against_a_small_disk(fake, small_disk):
    """gzip's best ratio is below the limit of ratios: the disk ends it, and gets everything back."""
    reg, store = fake(), small_disk("size=8m")
    member = ig.compress(bytes(4 << 20), "gzip")
    big = [file(f"f{i}", os.urandom(4096) * 512) for i in range(8)]
    la = ig.layer(big)
    store.fails("limit", reg.add("a", "1", ig.image([la])), "no space left")
    assert used(store) < 1 << 20
    from test_attacks import header
    zeros = ig.Layer(b"", blob=ig.compress(header("z", raw_size=b"\x80" + (40 << 30).to_bytes(11, "big")), "gzip") + member * 256)
    store.fails(("limit", "corrupt"), reg.add("b", "1", ig.image([zeros])))
    assert used(store) < 1 << 20


def test_no_inodes_left(fake, small_disk):
    reg, store = fake(), small_disk("size=64m,nr_inodes=400")
    la = ig.layer([file(f"f{i}", "x") for i in range(1000)])
    store.fails("limit", reg.add("a", "1", ig.image([la])), "no space left")
    store.pull(reg.add("b", "1", ig.image([ig.layer([file("f", "x")])])))


def test_store_that_cannot_be_written(fake, small_disk):
    reg, store = fake(), small_disk("size=8m")
    store.pull(reg.add("a", "1", ig.image([ig.layer([file("f", "x")])])))
    ref = reg.add("b", "1", ig.image([ig.layer([file("f", "y")])]))
    subprocess.run(["mount", "-o", "remount,ro", str(store.path.parent)], check=True)
    with pytest.raises(worker.PullFailed) as x:
        worker.pull(store.path, ref)
    assert "Read-only" in x.value.message and str(store.path) in x.value.message


# --- at once ---
def together(jobs):
    """Runs them in threads; their results or exceptions in order."""
    out = [None] * len(jobs)

    def one(i):
        try:
            out[i] = jobs[i]()
        except Exception as x:  # noqa: BLE001 - handed to the caller
            out[i] = x
    ts = [threading.Thread(target=one, args=(i,)) for i in range(len(jobs))]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    return out


def slowly(reg, la, seconds=0.3):
    @reg.rule(la.digest)
    def slow(h, n):
        time.sleep(seconds)
        return False


@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.smoke), 5])
def test_same_image_at_once(fake, store, n):
    """Each layer crosses the wire once, and all are content."""
    reg = fake()
    im = several(4, 1 << 19)
    ref = reg.add("same", "1", im)
    for la in im.layers:
        slowly(reg, la)
    out = together([lambda: store.pull(ref)] * n)
    assert all(isinstance(r, worker.Result) and r.manifest == im.manifest for r in out), out
    for la in im.layers:
        assert len(reg.seen(la.digest)) == 1
    assert sorted(store.layers()) == sorted(la.hex for la in im.layers)
    store.no_leftovers()
    collect(store)


def test_images_that_share_layers_at_once(fake, store):
    reg = fake()
    ls = [ig.layer([file(f"f{i}", os.urandom(300000))]) for i in range(6)]
    images = [ig.image([ls[k] for k in order]) for order in ((0, 1, 2, 3), (3, 2, 1, 4), (5, 0, 3, 1), (4, 5, 2, 0))]
    refs = [reg.add(f"share{i}", "1", im) for i, im in enumerate(images)]
    for la in ls:
        slowly(reg, la, 0.1)
    out = together([lambda r=r: store.pull(r) for r in refs])
    assert all(isinstance(r, worker.Result) for r in out), out
    assert [len(reg.seen(la.digest)) for la in ls] == [1] * 6
    assert sorted(store.layers()) == sorted(la.hex for la in ls)
    assert worker.verify(store.path).bad == []


def test_waiting_pull_takes_over_from_a_killed_one(fake, store):
    reg = fake()
    la = ig.layer([file("f", os.urandom(1 << 20))], "plain")
    im = ig.image([la])
    ref = reg.add("over", "1", im)
    gate = threading.Event()

    @reg.rule(la.digest, times=1)
    def half(h, n):
        h.reply(200, la.blob[:1 << 19], length=len(la.blob))
        h.wfile.flush()
        gate.wait(30)
    first = worker.Worker()
    first.pull(store.path, ref)
    end = time.monotonic() + 10
    while not reg.seen(la.digest) and time.monotonic() < end:
        time.sleep(0.01)
    second = worker.Worker()
    second.pull(store.path, ref)
    time.sleep(0.3)
    assert len(reg.seen(la.digest)) == 1, "the second one waits"
    first.kill()
    assert second.finish(20).manifest == im.manifest
    second.close()
    gate.set()
    assert store.layers() == [la.hex]
    collect(store)


def test_collection_beside_pulls(registry, store):
    """`check --repair` and `rmi` all the time: no pull fails for it, nothing that has a reference is taken."""
    images = [several(3, 1 << 18) for _ in range(4)]
    refs = [registry.push(f"beside/{i}", "1", im) for i, im in enumerate(images)]
    stop = threading.Event()

    def sweep():
        bad = []
        while not stop.is_set():
            rc, out, err = run(store, "system", "check", "--repair")
            if rc:
                bad.append(out + err)
        return bad

    def pull(ref):
        for _ in range(4):
            store.pull(ref)
            rc, out, err = run(store, "rmi", ref)
            assert rc == 0, err
        return store.pull(ref)
    store.pull(refs[0])
    sweeper = []
    t = threading.Thread(target=lambda: sweeper.append(sweep()))
    t.start()
    out = together([lambda r=r: pull(r) for r in refs])
    stop.set()
    t.join()
    assert all(isinstance(r, worker.Result) for r in out), out
    assert sweeper == [[]]
    assert sorted(store.layers()) == sorted({la.hex for im in images for la in im.layers})
    assert worker.verify(store.path).bad == []


def test_one_bad_layer_ends_the_others(fake, store):
    """A layer that is wrong is an answer at once, also while another one's server is silent."""
    reg = fake()
    bad, slow = ig.layer([file("bad", os.urandom(1000))]), ig.layer([file("slow", os.urandom(1 << 20))])
    ref = reg.add("bad", "1", ig.image([bad, slow]))
    reg.blobs[bad.digest] = bad.blob[:-20] + bytes(20)
    gate = threading.Event()

    @reg.rule(slow.digest)
    def silent(h, n):
        h.reply(200, slow.blob[:1000], length=len(slow.blob))
        h.wfile.flush()
        gate.wait(20)
    t = time.monotonic()
    store.fails("corrupt", ref, bad.digest)
    assert time.monotonic() - t < 5
    gate.set()
