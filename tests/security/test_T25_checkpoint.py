"""T25: what a checkpoint brings along decides nothing but the memory of its processes: devices, mounts, names and hooks come from the bundle of the request,
and files of the image directory that are links, FIFOs or endless are refused.

criu follows links when it writes its log and its images, as root, so nothing is begun in a directory that has any. It is played by a program that only
says that it was run.
"""
import json
import os
import time

import pytest

from seclib import RUNTIME, sh

FAKE = """#!/bin/sh
echo "$@" >>{area}/criu-was-run
exit 1
"""


@pytest.fixture
def criu(area):
    os.makedirs(area + "/bin")
    with open(area + "/bin/criu", "w") as f:
        f.write(FAKE.format(area=area))
    os.chmod(area + "/bin/criu", 0o755)
    return {**os.environ, "PATH": area + "/bin:" + os.environ["PATH"]}


@pytest.fixture
def image_dir(area):
    path = area + "/image"
    os.makedirs(path)
    with open(path + "/descriptors.json", "w") as f:
        f.write('["/dev/null","/dev/null","/dev/null"]')
    return path


def restore(runtime, b, env, image_dir, *options):
    b.write()
    runtime.made.append(b.id)
    began = time.monotonic()
    p = sh(RUNTIME, "--root", runtime.root, "restore", "--image-path", image_dir, "--work-path", image_dir, *options, "--bundle", b.path, b.id, check=False, timeout=30, env=env)
    assert time.monotonic() - began < 20
    assert p.returncode != 0 and p.stderr.strip()
    assert not os.path.exists(f"{runtime.root}/{b.id}"), "a restore that failed leaves no state"
    return p


@pytest.mark.parametrize("name", ["restore.log", "descriptors.json", "stats-restore", "inventory.img", "status", "config.dump", "spec.dump"])
def test_T25_links_in_the_image(runtime, bundle, canary, criu, image_dir, name):
    for target in (canary + "/passwd", "../canary/passwd"):
        if os.path.lexists(f"{image_dir}/{name}"):
            os.unlink(f"{image_dir}/{name}")
        os.symlink(target, f"{image_dir}/{name}")
        p = restore(runtime, bundle().args("sleep", "1000"), criu, image_dir)
        assert name in p.stderr and "canary passwd" not in p.stderr, p.stderr


def test_T25_a_hard_link_in_the_image(runtime, bundle, canary, criu, image_dir, area):
    with open(area + "/file", "w") as f:
        f.write("of the host\n")
    os.link(area + "/file", image_dir + "/restore.log")
    assert "restore.log" in restore(runtime, bundle().args("sleep", "1000"), criu, image_dir).stderr


def test_T25_a_plain_image_reaches_criu(runtime, bundle, criu, image_dir, area):
    """The tests here fail on a program that refuses all restores."""
    with open(image_dir + "/restore.log", "w") as f:
        f.write("of the last one\n")
    assert "criu" in restore(runtime, bundle().args("sleep", "1000"), criu, image_dir).stderr
    assert os.path.exists(area + "/criu-was-run")


def test_T25_checkpoint_into_a_directory_with_links(runtime, bundle, canary, criu, image_dir):
    b = bundle().args("sleep", "1000")
    runtime.start(b)
    for name in ("dump.log", "descriptors.json", "stats-dump"):
        if os.path.lexists(f"{image_dir}/{name}"):
            os.unlink(f"{image_dir}/{name}")
        os.symlink(canary + "/passwd", f"{image_dir}/{name}")
    p = sh(RUNTIME, "--root", runtime.root, "checkpoint", "--image-path", image_dir, "--work-path", image_dir, b.id, check=False, env=criu)
    assert p.returncode != 0 and any(n in p.stderr for n in ("dump.log", "descriptors.json", "stats-dump")), p.stderr
    assert runtime.state(b)["status"] == "running"


@pytest.mark.parametrize("kind", ["fifo", "endless", "directory", "nonsense", "deep", "many"])
def test_T25_descriptors(runtime, bundle, criu, image_dir, kind):
    path = image_dir + "/descriptors.json"
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        os.symlink("/dev/zero", path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        with open(path, "w") as f:
            f.write({"nonsense": '{"fds":"}', "deep": "[" * 100000, "many": json.dumps(["pipe:[1]"] * 100000)}[kind])
    restore(runtime, bundle().args("sleep", "1000"), criu, image_dir)


def test_T25_a_specification_in_the_image_is_not_used(runtime, bundle, canary, criu, image_dir, area):
    """An archive of another engine carries a config: its mounts, devices, hooks and annotations are not those of the request."""
    evil = {"ociVersion": "1.0.2", "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}, "root": {"path": canary},
            "mounts": [{"destination": "/host", "type": "bind", "source": "/", "options": ["rbind"]}],
            "hooks": {w: [{"path": "/bin/touch", "args": ["touch", area + "/hooked"]}] for w in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")},
            "linux": {"devices": [{"path": "/dev/evil", "type": "b", "major": 8, "minor": 0}]}, "annotations": {"run.oci.hooks.stdout": area + "/hooked"}}
    for name in ("config.json", "config.dump", "spec.dump", "state.json", "network.status"):
        with open(f"{image_dir}/{name}", "w") as f:
            json.dump(evil, f)
    b = bundle().args("sleep", "1000")
    restore(runtime, b, criu, image_dir)
    assert not os.path.exists(area + "/hooked")
    assert not os.path.lexists(b.rootfs + "/host") and not os.path.lexists(b.rootfs + "/dev/evil")
