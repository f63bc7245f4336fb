"""events: runc's documents on stdout, one per line."""
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def stats(box):
    r = box.rt("events", "--stats", box.id)
    assert r.returncode == 0, r.stderr
    lines = r.stdout.splitlines()
    assert len(lines) == 1
    return lines[0], json.loads(lines[0])


def test_stats(box):
    box.c["linux"]["resources"] = {"pids": {"limit": 42}, "memory": {"limit": 64 << 20}}
    box.start("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 100")
    time.sleep(0.3)
    line, d = stats(box)
    assert line.startswith(f'{{"type":"stats","id":"{box.id}","data":{{"cpu":{{"usage":')
    s = d["data"]
    assert s["pids"]["current"] >= 1 and s["pids"]["limit"] == 42
    assert s["memory"]["usage"]["limit"] == 64 << 20 and s["memory"]["usage"]["usage"] > 0
    assert s["cpu"]["usage"]["total"] > 0 and {"kernel", "user"} <= set(s["cpu"]["usage"])
    assert s["memory"]["raw"] and all(isinstance(v, int) for v in s["memory"]["raw"].values())
    assert {"cpuset", "blkio", "hugetlb", "intel_rdt", "network_interfaces"} <= set(s)
    assert s["cpuset"]["cpus"] and s["cpuset"]["mems"]
    if not V2:
        assert len(s["cpu"]["usage"]["percpu"]) >= 1 and len(s["cpu"]["usage"]["percpu_user"]) == len(s["cpu"]["usage"]["percpu"])


def test_throttling(box):
    box.c["linux"]["resources"] = {"cpu": {"quota": 10000, "period": 100000}}
    box.start("sh", "-c", "while :; do :; done")
    # The object is there from the start, its members appear when the first period has ended.
    box.wait_until(lambda: {"periods", "throttledPeriods", "throttledTime"} <= stats(box)[1]["data"]["cpu"]["throttling"].keys())


def test_throttling_of_an_idle_container_is_an_empty_object(box):
    box.start("sleep", "100")
    assert stats(box)[1]["data"]["cpu"]["throttling"] == {}


def test_pressure(box):
    if not V2 or not os.path.exists("/proc/pressure"):
        pytest.skip("needs cgroup v2 and PSI")
    box.start("sleep", "100")
    s = stats(box)[1]["data"]
    for kind in ("some", "full"):
        assert set(s["cpu"]["psi"][kind]) == {"avg10", "avg60", "avg300", "total"}
    assert "psi" in s["memory"] and "psi" in s["blkio"]


@pytest.mark.skiff_only
def test_hugetlb_and_network(box):
    box.start("sh", "-c", "ip link add dummy0 type dummy 2>/dev/null; sleep 100")
    time.sleep(0.2)
    s = stats(box)[1]["data"]
    if os.path.isdir("/sys/kernel/mm/hugepages") and "hugetlb" in open("/proc/self/cgroup").read():
        assert all(re.fullmatch(r"\d+[KMG]B", k) and "failcnt" in v for k, v in s["hugetlb"].items())
    assert isinstance(s["network_interfaces"], list)  # lo is not worth a word
    for i in s["network_interfaces"]:
        assert {"Name", "RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxPackets", "TxErrors", "TxDropped"} == set(i)


def follow(box, *opts):
    return subprocess.Popen(box.cmd("events", *opts, box.id), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_interval_and_end(box):
    box.start("sleep", "100")
    p = follow(box, "--interval", "100ms")
    t = time.time()
    for _ in range(3):
        d = json.loads(p.stdout.readline())
        assert d["type"] == "stats" and d["id"] == box.id
    assert 0.15 < time.time() - t
    assert box.rt("delete", "--force", box.id).returncode == 0
    p.communicate(timeout=30)
    assert p.returncode == 0


@pytest.mark.skiff_only
def test_ends_with_the_init(box):
    box.start("sleep", "4")
    p = follow(box)
    out, err = p.communicate(timeout=30)
    assert (p.returncode, out, err) == (0, "", "")


def test_out_of_memory(box):
    box.c["linux"]["resources"] = {"memory": {"limit": 32 << 20}}
    box.start("sleep", "100")
    p = follow(box, "--interval", "60s")
    box.wait_until(lambda: any("eventfd" in os.readlink(f) or "inotify" in os.readlink(f) for f in Path(f"/proc/{p.pid}/fd").iterdir()))
    # on cgroup v1 without swap accounting the limit counts memory alone: the victim is bigger than that
    box.exec("sh", "-c", "x=$(dd if=/dev/zero bs=1M count=512 2>/dev/null | tr '\\0' x)")
    line = p.stdout.readline()
    assert line == f'{{"type":"oom","id":"{box.id}"}}\n'
    box.rt("delete", "--force", box.id)
    out = p.stdout.read()  # not communicate(), which does not know what readline() took beyond its line; v1 tells of one death many times
    assert p.wait(timeout=30) == 0
    assert all(json.loads(x)["type"] in ("oom", "stats") for x in out.splitlines())


def test_not_running(box):
    assert box.rt("events", "--stats", box.id).returncode == 1
    box.start("true")
    box.wait_stopped()
    for args in (["--stats"], []):
        r = box.rt("events", *args, box.id)
        assert r.returncode == 1 and "is not running" in r.stderr


@pytest.mark.parametrize("interval", ["0", "-1s", "0s", "5", "x", "1d", "", "99999999999s"])
def test_bad_interval(box, interval):
    box.start("sleep", "100")
    assert box.rt("events", "--interval", interval, box.id, timeout=5).returncode == 1


@pytest.mark.skiff_only
@pytest.mark.parametrize("interval", ["1m30s", "1.5s", "250us", "1h"])
def test_good_interval(box, interval):
    box.start("sleep", "100")
    assert box.rt("events", "--stats", "--interval", interval, box.id).returncode == 0
