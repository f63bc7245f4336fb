"""linux.intelRdt where there is no resctrl file system, which is everywhere but on some machines. The groups themselves: unit test runtime-rdt."""
import pytest


def resctrl():
    with open("/proc/mounts") as f:
        return any(line.split()[2] == "resctrl" for line in f)


pytestmark = pytest.mark.skipif(resctrl(), reason="a resctrl file system is mounted here")


@pytest.mark.parametrize("rdt", [{}, {"closID": "x"}, {"l3CacheSchema": "L3:0=f"}, {"closID": "/", "enableMonitoring": True}])
@pytest.mark.skiff_only
def test_no_resctrl(box, rdt):
    box.c["linux"]["intelRdt"] = rdt
    r = box.run("true")
    assert r.returncode != 0 and "resctrl" in r.stderr and "intelRdt" in r.stderr
    assert box.has_traces() == []


def test_absent(box):
    box.c["linux"].pop("intelRdt", None)
    assert box.run("true").returncode == 0
