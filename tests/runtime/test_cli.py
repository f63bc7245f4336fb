"""The command line itself: global options, log file, formats of output, words of errors."""
import json
import os
import re
import subprocess

import pytest


def test_version(box):
    r = box.rt("--version")
    assert r.returncode == 0
    lines = r.stdout.splitlines()
    assert re.match(r"(skiff-oci|runc|crun) version \S+", lines[0])
    assert any(x.startswith("spec: 1.") for x in lines)


@pytest.mark.skiff_only
def test_help_names_every_verb(box):
    r = box.rt("--help")
    assert r.returncode == 0
    for verb in "spec create start run exec kill delete state list features".split():
        assert re.search(rf"^  {verb} ", r.stdout, re.M), verb
        h = box.rt(verb, "--help")
        assert h.returncode == 0 and h.stdout.startswith(f"skiff-oci {verb} ")


def test_spec_writes_a_bundle_that_runs(box):
    d = box.dir / "new"
    d.mkdir()
    assert box.rt("spec", "--bundle", str(d)).returncode == 0
    c = json.loads((d / "config.json").read_text())
    assert c["process"]["args"] == ["sh"] and c["root"]["path"] == "rootfs"
    assert box.rt("spec", "--bundle", str(d)).returncode != 0  # never overwritten
    (d / "rootfs").symlink_to(box.rootfs)
    c["process"]["terminal"] = False
    (d / "config.json").write_text(json.dumps(c))
    r = box.rt("run", "-b", str(d), box.id, input="echo from stdin\n", stdin=None)
    assert r.returncode == 0 and r.stdout == "from stdin\n", r.stderr


@pytest.mark.skiff_only
def test_spec_rootless(box):
    d = box.dir / "new"
    d.mkdir()
    assert box.rt("spec", "--rootless", "--bundle", str(d)).returncode == 0
    c = json.loads((d / "config.json").read_text())
    assert {"type": "user"} in c["linux"]["namespaces"] and c["linux"]["uidMappings"][0]["size"] == 1


@pytest.mark.skiff_only
def test_features(box):
    r = box.rt("features")
    f = json.loads(r.stdout)
    assert f["ociVersionMin"] == "1.0.0" and f["ociVersionMax"].startswith("1.3")
    assert "createRuntime" in f["hooks"] and "rbind" in f["mountOptions"]
    assert set(f["linux"]["namespaces"]) >= {"pid", "user", "cgroup"}


@pytest.mark.parametrize("fmt", ["json", "text"])
def test_log_file(box, fmt):
    log = box.dir / "log"
    box.p["args"] = ["nosuch"]
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id, glob=["--log", str(log), "--log-format", fmt])
    assert r.returncode == 1 and "executable file not found in $PATH" in r.stderr
    lines = log.read_text().splitlines()
    if fmt == "json":
        errors = [x for x in map(json.loads, lines) if x["level"] == "error"]
        assert "executable file not found in $PATH" in errors[-1]["msg"] and "time" in errors[-1]
    else:
        assert any("executable file not found" in x for x in lines)


@pytest.mark.skiff_only
def test_debug_goes_to_the_log_only(box):
    log = box.dir / "log"
    box.p["args"] = ["true"]
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id, glob=["--log", str(log), "--debug"])
    assert r.returncode == 0 and r.stderr == ""
    assert "step" in log.read_text()


@pytest.mark.skiff_only
@pytest.mark.parametrize("args", [["nosuch"], ["run"], ["run", "a", "b"], ["run", "--nosuch", "x"], ["kill"], ["state", "a", "b"],
                                  ["--log-format", "xml", "list"], ["create", "--preserve-fds", "x", "id"]])
def test_usage_errors(box, args):
    r = box.rt(*args)
    assert r.returncode == 1 and r.stderr.startswith("skiff-oci: ") and r.stderr.count("\n") == 1


@pytest.mark.skiff_only
@pytest.mark.parametrize("glob", [["--systemd-cgroup"], ["--cgroup-manager", "systemd"]])
def test_systemd_manager_is_refused_where_it_would_matter(box, glob):
    box.start("sleep", "100")
    assert box.rt("state", box.id, glob=glob).returncode == 0
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id + "x", glob=glob)
    assert r.returncode == 1 and "cgroupfs" in r.stderr


@pytest.mark.skiff_only
def test_cgroup_manager_disabled(box):
    before = open("/proc/self/cgroup").read()
    box.p["args"] = ["sleep", "100"]
    box.write()
    r = box.rt("run", "-d", "-b", str(box.bundle), box.id, glob=["--cgroup-manager=disabled"], stdout=subprocess.DEVNULL,
               stderr=subprocess.DEVNULL)
    assert r.returncode == 0
    assert open(f"/proc/{box.state()['pid']}/cgroup").read() == before
    assert box.rt("delete", "--force", box.id).returncode == 0


@pytest.mark.skiff_only
def test_accepted_for_compatibility(box):
    box.p["args"] = ["true"]
    box.write()
    for glob in (["--rootless", "auto"], ["--rootless=false"], ["--log-level", "info"], ["--cgroup-manager", "cgroupfs"], ["-root", str(box.state_root)]):
        assert box.rt("run", "-b", str(box.bundle), box.id, glob=glob).returncode == 0


def test_runs_from_the_bundle_directory(box):
    box.p["args"] = ["true"]
    box.write()
    assert box.rt("run", box.id, cwd=box.bundle).returncode == 0


@pytest.mark.skiff_only
def test_relative_root(box):
    box.p["args"] = ["true"]
    box.write()
    r = subprocess.run([box.cmd()[0], "--root", "relstate", "run", "-b", "bundle", box.id], cwd=box.dir, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert os.listdir(box.dir / "relstate") == []
