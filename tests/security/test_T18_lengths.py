"""T18: no length is cut on the way from the configuration to the kernel: a field at or above 65,535 bytes, or one entry more than fits, arrives whole or is
refused with a sentence."""
import hashlib
import json
import os
import subprocess

import pytest

from seclib import RUNTIME

EDGES = [255, 256, 4095, 4096, 32767, 32768, 65534, 65535, 65536, 65537, 131000]
TOO_LONG = 1 << 20


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def refused_whole(p, *words):
    """A refusal that says which field it is about, and does not repeat all of it."""
    assert p.returncode != 0
    said = p.stderr.strip()
    assert said and len(said) < 2000 and any(w in said for w in words), said[:300]


@pytest.mark.parametrize("n", EDGES)
def test_T18_environment_and_arguments_arrive_whole(runtime, bundle, n):
    b = bundle()
    big = "".join(chr(97 + i * 7 % 26) for i in range(n - 2))
    b.process["env"] = ["PATH=/bin", "B=" + big]
    b.args("sh", "-c", "printf %s \"$B\" | sha256sum; printf %s \"$1\" | sha256sum; echo ${#B} ${#1}", "x", big[:n])
    os.symlink("busybox", b.rootfs + "/bin/sha256sum")
    os.symlink("busybox", b.rootfs + "/bin/printf")
    p = runtime.run(b, check=True)
    lines = p.stdout.split("\n")
    assert lines[0].split()[0] == lines[1].split()[0] == digest(big) and lines[2] == f"{len(big)} {len(big)}"


def test_T18_more_than_the_kernel_takes(runtime, bundle):
    for what in ("env", "args"):
        b = bundle().args("true")
        b.process[what] = b.process[what] + ["A=" + "x" * TOO_LONG]
        refused_whole(runtime.run(b), "too long", "exec")


@pytest.mark.parametrize("n", [63, 64, 65, 255, 256, 65535, 65536, TOO_LONG])
def test_T18_host_name(runtime, bundle, n):
    b = bundle().shell("cat /proc/sys/kernel/hostname")
    b.spec["hostname"] = "h" * n
    p = runtime.run(b)
    if n <= 64:
        assert p.stdout == "h" * n + "\n"
    else:
        refused_whole(p, "hostname")


@pytest.mark.parametrize("n", [*EDGES, TOO_LONG])
def test_T18_annotations_in_the_state(runtime, bundle, n):
    b = bundle().args("sleep", "1000")
    b.spec["annotations"] = {"a" * (n // 2): "v" * n, "last": "there"}
    p = runtime.create(b, check=False)
    if p.returncode == 0:
        assert runtime.state(b)["annotations"] == b.spec["annotations"]
    else:
        refused_whole(p, "annotations")


@pytest.mark.parametrize("n", [1, 2, 5, 6, 339, 340, 341, 1000])
def test_T18_id_maps(runtime, bundle, n):
    """The kernel takes 340 lines and less than a page in one write; a write that it cut would leave ids unmapped."""
    b = bundle().user_namespace().args("cat", "/proc/self/uid_map", "/proc/self/gid_map")
    maps = [{"containerID": 0, "hostID": 200000, "size": 1}] + [{"containerID": 2 * i, "hostID": 1000 + 2 * i, "size": 1} for i in range(1, n)]
    b.linux["uidMappings"] = b.linux["gidMappings"] = maps
    p = runtime.run(b)
    if n > 340:
        refused_whole(p, "appings", "map")
        return
    assert p.returncode == 0, p.stderr
    rows = [[int(w) for w in line.split()] for line in p.stdout.splitlines()]
    want = sorted([m["containerID"], m["hostID"], m["size"]] for m in maps)
    assert sorted(rows[:n]) == want and sorted(rows[n:]) == want


@pytest.mark.parametrize("field", ["cgroupsPath", "cwd", "root", "destination", "source", "option", "device", "masked", "hook", "nspath", "sysctl", "rlimit"])
@pytest.mark.parametrize("n", [4095, 4096, 65535, 65536, TOO_LONG])
def test_T18_paths_and_names_are_refused(runtime, bundle, field, n):
    b = bundle().args("true")
    long = "/" + "p" * (n - 1)
    if field == "cgroupsPath":
        b.linux["cgroupsPath"] = long
    elif field == "cwd":
        b.process["cwd"] = long
    elif field == "root":
        b.spec["root"]["path"] = long
    elif field in ("destination", "source"):
        b.mounts.append({"destination": "/mnt", "type": "bind", "source": "/etc", "options": ["rbind"], field: long})
    elif field == "option":
        b.mounts.append({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["p" * n]})
    elif field == "device":
        b.linux["devices"] = [{"path": long, "type": "c", "major": 1, "minor": 3}]
    elif field == "masked":
        b.linux["maskedPaths"] = [long]
    elif field == "hook":
        b.spec["hooks"] = {"createRuntime": [{"path": long}]}
    elif field == "nspath":
        b.linux["namespaces"][0]["path"] = long
    elif field == "sysctl":
        b.linux["sysctl"] = {"net." + "p" * n: "1"}
    else:
        b.process["rlimits"] = [{"type": "RLIMIT_" + "X" * n, "soft": 1, "hard": 1}]
    p = runtime.run(b)
    assert p.returncode != 0 and p.stderr.strip() and len(p.stderr) < 4 * 4096 + 2000, p.stderr[:300]


def test_T18_a_document_that_is_too_big(runtime, bundle):
    b = bundle().args("true")
    b.write()
    with open(b.path + "/config.json", "a") as f:
        f.write(" " * (5 << 20))
    p = subprocess.run([RUNTIME, "--root", runtime.root, "run", "--bundle", b.path, b.id], capture_output=True, text=True, timeout=30)
    refused_whole(p, "config.json")
    with open(b.path + "/config.json", "w") as f:
        json.dump({**b.spec, "annotations": {f"k{i}": "v" for i in range(100000)}}, f)
    runtime.made.append(b.id)
    p = subprocess.run([RUNTIME, "--root", runtime.root, "run", "--bundle", b.path, b.id], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 or "annotations" in p.stderr, p.stderr[:300]
