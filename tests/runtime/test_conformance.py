"""Every property of the schema of runtime-spec 1.3.0 is known to the decoder: a value of the wrong type is an error that names its path.

A property that the decoder does not know would be ignored (as the spec demands for unknown ones), and the container would be created.
"""
import copy
import json
import subprocess
from pathlib import Path

import pytest

from conftest import RUNTIME

PROPERTIES = [line.split() for line in (Path(__file__).parent / "properties.txt").read_text().splitlines() if line.startswith("/")]
FOREIGN = ("vm", "windows", "solaris", "freebsd", "zos")
# Of other systems, inside of objects that Linux has: ignored.
NOT_LINUX = {"/process/commandLine", "/process/user/username"}
KEYS = {"sysctl": "net.ipv4.ip_forward", "unified": "memory.max"}


def path_of(prop):
    out, before = [], ""
    for part in prop.strip("/").split("/"):
        out.append(KEYS.get(before, "x") if part == "*" else part)
        before = part
    return out


# What must stand beside a property, so that the first thing wrong is the property itself.
BESIDE = {
    "process/rlimits/0": {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    "process/scheduler": {"policy": "SCHED_OTHER"},
    "process/ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    "process/consoleSize": {"height": 1, "width": 1},
    "mounts/0": {"destination": "/mnt"},
    "linux/namespaces/0": {"type": "mount"},
    "linux/devices/0": {"path": "/dev/x", "type": "c", "major": 1, "minor": 3},
    "linux/memoryPolicy": {"mode": "MPOL_DEFAULT"},
    "linux/personality": {"domain": "LINUX"},
    "linux/resources/devices/0": {"allow": True},
    "linux/resources/hugepageLimits/0": {"pageSize": "2MB", "limit": 0},
    "linux/resources/network/priorities/0": {"name": "lo", "priority": 1},
    "linux/resources/rdma/x": {"hcaHandles": 1},
    "linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
    "linux/seccomp/syscalls/0": {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
    "linux/seccomp/syscalls/0/args/0": {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
    "linux/uidMappings/0": {"containerID": 0, "hostID": 0, "size": 1},
    "linux/gidMappings/0": {"containerID": 0, "hostID": 0, "size": 1},
    "mounts/0/uidMappings/0": {"containerID": 0, "hostID": 0, "size": 1},
    "mounts/0/gidMappings/0": {"containerID": 0, "hostID": 0, "size": 1},
    **{f"linux/resources/blockIO/{name}/0": {"major": 8, "minor": 0, "rate": 1} for name in (
        "throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")},
    "linux/resources/blockIO/weightDevice/0": {"major": 8, "minor": 0},
    **{f"hooks/{name}/0": {"path": "/bin/true"} for name in (
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")},
}


def with_value(config, path, value):
    at = config
    for i, part in enumerate(path[:-1]):
        new = copy.deepcopy(BESIDE.get("/".join(path[:i + 1]), [] if path[i + 1] == "0" else {}))
        if isinstance(at, list):
            at.append(new)
            at = new
        else:
            at = at.setdefault(part, new)
    if isinstance(at, list):
        at.insert(0, value)
    else:
        at[path[-1]] = value
    return config


def create(tmp_path, config):
    (tmp_path / "rootfs").mkdir(exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps(config))
    return subprocess.run([RUNTIME, "--root", tmp_path / "state", "create", "--bundle", tmp_path, "conformance"],
                          capture_output=True, text=True, timeout=30)


def minimal():
    return {"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"cwd": "/", "args": ["true"]}, "linux": {}}


@pytest.mark.skiff_only
@pytest.mark.parametrize("prop,kind", [(p, k) for p, k in PROPERTIES if p.split("/")[1] not in FOREIGN and p not in NOT_LINUX])
def test_wrong_type_names_the_property(tmp_path, prop, kind):
    path = path_of(prop)
    wrong = "yes" if kind in ("integer", "boolean", "object") else {"is": "an object"}
    r = create(tmp_path, with_value(minimal(), path, wrong))
    assert r.returncode != 0, "created"
    assert "/" + "/".join(path) in r.stderr and "expected" in r.stderr


@pytest.mark.skiff_only
@pytest.mark.parametrize("section", FOREIGN)
def test_section_of_another_platform_is_refused(tmp_path, section):
    r = create(tmp_path, {**minimal(), section: {"x": {"y": 1}}})
    assert r.returncode != 0 and f"/{section}" in r.stderr and "not supported" in r.stderr
