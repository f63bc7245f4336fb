"""Power cuts during pulls: a virtual machine whose store lies on a disk of its own loses everything that was not on that disk yet. Afterwards no layer that
the store takes for good is damaged, repair mends the rest, and the image runs.

Only with POWER_CUTS=n (`make test-vm` has 3, `make soak` 100): each cut is a boot of the machine.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import conftest
import imagegen as ig
import pytest
from imagegen import dir_, file

CUTS = int(os.environ.get("POWER_CUTS", 0))
SEED = int(os.environ.get("POWER_SEED", time.time_ns() % 1000000))
TOP = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.skipif(not CUTS or not shutil.which("qemu-system-x86_64"), reason="needs POWER_CUTS and qemu")

GUEST = r"""
say() { echo "$*" >>"$AREA/said"; }
docker-registry serve "$AREA/registry.yml" >/dev/null 2>&1 &
for _ in $(seq 200); do curl -fs http://127.0.0.1:5000/v2/ >/dev/null && break; sleep 0.1; done
S="$SKIFF_BIN/skiff --root /disk/lib --run-root /run/skiff-test"
if [ -d /disk/lib ]; then
	say "check $($S system check 2>&1 | tr '\n' '|')"
	say "repair $($S system check --repair 2>&1 | tr '\n' '|') status $?"
	say "again $($S system check 2>&1 | tr '\n' '|')"
	for i in $($S images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null); do
		$S save -o /dev/null "$i" 2>>"$AREA/said" && say "whole $i" || say "BROKEN $i"
	done
fi
[ "$CUT" != 0 ] || { $S pull -q 127.0.0.1:5000/cut/0:1 >>"$AREA/said" 2>&1 && say finished; exit; }
for i in $DROP; do $S rmi -f 127.0.0.1:5000/cut/$i:1 >/dev/null 2>&1; done
for i in $PULL; do $S pull -q 127.0.0.1:5000/cut/$i:1 >/dev/null 2>&1 & done
sleep "$CUT"
say cut
echo b >/proc/sysrq-trigger
sleep 60
"""


def area(tmp):
    """What the guest sees of this machine: a registry's data, and a file that it writes to."""
    (tmp / "registry").mkdir()
    registry = conftest.Real(tmp / "registry", {})
    where = TOP / "build" / f"power-{os.getpid()}"
    where.mkdir(parents=True)
    images = [ig.image([ig.layer([dir_("d"), *(file(f"d/{i}-{k}", os.urandom(4000) + bytes(4000)) for k in range(150))]),
                        ig.layer([file(f"big{i}", os.urandom(3 << 20))], "zstd"), ig.layer([file(f"plain{i}", os.urandom(1 << 20))], "plain")])
              for i in range(3)]
    for i, im in enumerate(images):
        registry.push(f"cut/{i}", "1", im)
    registry.proc.terminate()
    registry.proc.wait()
    shutil.copytree(tmp / "registry" / "data", where / "data")
    (where / "registry.yml").write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {where}/data}}}}\nhttp: {{addr: 127.0.0.1:5000}}\n")
    return where


def boot(where, disk, cut, drop, pull, timeout=280):
    env = {**os.environ, "TMPDIR": str(where)}
    argv = [str(TOP / "tests/vm/testvm"), "--timeout", str(timeout), "--mem", "1G", "--keep-disk", str(disk), "--disk", "1G"]
    for k, v in (("AREA", where), ("SKIFF_BIN", os.environ.get("SKIFF_BIN", TOP / "build/bin")), ("CUT", cut), ("DROP", drop), ("PULL", pull)):
        argv += ["--env", f"{k}={v}"]
    p = subprocess.Popen([*argv, "--", "bash", "-c", GUEST], cwd=TOP, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         start_new_session=True)
    try:
        out, _ = p.communicate(timeout=timeout + 60)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        raise
    return p.returncode, out


def judge(said, n):
    where = f"seed {SEED}, cut {n}: {said}"
    assert "BROKEN" not in said, where
    for line in said.splitlines():
        word, _, rest = line.partition(" ")
        if word == "check":
            # a layer that was never synced is told and not used; one that is used and differs is what must not be
            bad = [x for x in rest.split("|") if re.match(r"(layer|blob) ", x) and "was not synced" not in x and "it is missing" not in x]
            assert bad == [], where
        if word == "again":
            assert rest == "Everything is in order.|", where


def test_power_cuts(tmp_path):
    rnd = random.Random(SEED)
    where, disk = area(tmp_path), tmp_path / "disk"
    said = where / "said"
    looked = cuts = 0
    try:
        for n in range(CUTS + 1):
            said.write_text("")
            last = n == CUTS
            some = " ".join(str(i) for i in range(3) if rnd.random() < 0.6) or "1"
            rc, out = boot(where, disk, 0 if last else f"{rnd.uniform(0.2, 12):.2f}", some, some)
            text = said.read_text()
            assert text, f"the machine did not come up: {rc} {out}"
            judge(text, n)
            looked += "check " in text
            cuts += text.endswith("cut\n")
        assert "finished" in text and rc == 0, (rc, out, text)
        assert looked and cuts, "nothing was cut"
    finally:
        shutil.rmtree(where, ignore_errors=True)
        print(json.dumps({"cuts": cuts, "looked": looked}))
