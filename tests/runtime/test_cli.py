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
    assert re.match(r"(skiff-oci|runc|crun) version \d+\.\d+\.\d+", lines[0])
    assert lines[1].startswith("commit: ")
    assert any(x.startswith("spec: 1.") for x in lines)


@pytest.mark.skiff_only
def test_version_lines_of_both_peers(box):
    lines = box.rt("-v").stdout.splitlines()
    assert re.fullmatch(r"spec: 1\.\d+\.\d+", lines[2]) and lines[3] == f"rundir: {box.state_root}" and lines[4].startswith("+")


@pytest.mark.skiff_only
@pytest.mark.parametrize("name", ["runc", "crun"])
def test_is_called_what_its_link_says(box, name):
    link = box.dir / name
    link.symlink_to(box.cmd()[0])

    def call(*args):
        return subprocess.run([link, "--root", box.state_root, *args], capture_output=True, text=True, timeout=30)

    assert call("--version").stdout.startswith(f"{name} version ")
    assert call("--help").stdout.splitlines()[1].strip() == f"{name} - Open Container Initiative runtime"
    assert f"Usage: {name} [OPTION...] exec CONTAINER cmd" in call("exec", "--help").stdout
    assert call("state", "nosuch").stderr.startswith(f"{name}: ")
    box.p["args"] = ["true"]
    box.write()
    assert call("run", "-b", box.bundle, box.id).returncode == 0


@pytest.mark.skiff_only
def test_odd_names_are_not_repeated(box):
    r = subprocess.run(["x\033[31m y", "state"], executable=box.cmd()[0], capture_output=True, text=True)
    assert r.returncode == 1 and r.stderr.startswith("skiff-oci: ")


@pytest.mark.skiff_only
def test_help_names_every_verb(box):
    r = box.rt("--help")
    assert r.returncode == 0
    verbs = ("checkpoint create delete events exec features kill list mounts pause ps restore resume run spec start state update").split()
    for verb in verbs:
        assert re.search(rf"^  {verb} ", r.stdout, re.M), verb
        for h in (box.rt(verb, "--help"), box.rt(verb, "-h"), box.rt("help", verb)):
            lines = h.stdout.splitlines()
            assert h.returncode == 0 and lines[0] == "NAME:" and lines[1].startswith(f"   skiff-oci {verb} - ")
            assert f"Usage: skiff-oci [OPTION...] {verb}" in h.stdout
    for args in (["foo", "-h"], ["help", "foo"]):
        r = box.rt(*args)
        assert r.returncode == 1 and "No help topic for 'foo'" in r.stderr


# Every option of runc 1.5 and crun 1.27, verb by verb.
OPTIONS = {
    "create": "bundle config console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds no-subreaper",
    "run": "bundle config console-socket pidfd-socket detach keep pid-file no-subreaper no-pivot no-new-keyring preserve-fds",
    "exec": "console-socket pidfd-socket cwd env tty user additional-gids process detach pid-file process-label apparmor no-new-privs cap"
            " preserve-fds cgroup ignore-paused",
    "kill": "all regex",
    "delete": "force regex",
    "list": "format quiet",
    "ps": "format",
    "spec": "bundle file rootless",
    "events": "interval stats",
    "update": "resources blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpu-idle cpuset-cpus cpuset-mems"
              " kernel-memory kernel-memory-tcp memory memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema",
    "checkpoint": "image-path work-path parent-path leave-running tcp-established tcp-skip-in-flight link-remap ext-unix-sk shell-job lazy-pages"
                  " status-fd page-server file-locks pre-dump manage-cgroups-mode empty-ns auto-dedup network-lock",
    "restore": "console-socket image-path work-path tcp-established tcp-close ext-unix-sk shell-job file-locks manage-cgroups-mode bundle detach"
               " pid-file no-subreaper no-pivot empty-ns auto-dedup lazy-pages lsm-profile lsm-mount-context network-lock",
}


@pytest.mark.skiff_only
@pytest.mark.parametrize("verb", OPTIONS)
def test_union_of_options(box, verb):
    text = box.rt(verb, "--help").stdout
    for name in OPTIONS[verb].split():
        assert re.search(rf"^  --{name}[ ,]", text, re.M), name


@pytest.mark.skiff_only
def test_letters_together(box):
    box.start("sleep", "100")
    r = box.exec("id", "-u", opts=["-u1000", "-eA=b"])
    assert r.stdout == "1000\n", r.stderr
    pidfile = box.dir / "p"
    assert box.exec("sleep", "9", opts=["-du", "1000", "--pid-file", str(pidfile)], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL).returncode == 0
    assert os.stat(f"/proc/{pidfile.read_text()}").st_uid == 1000
    r = box.exec("true", opts=["-dZ"])
    assert r.returncode == 1 and "unknown option '-dZ'" in r.stderr


@pytest.mark.skiff_only
def test_spec_file(box):
    d = box.dir / "new"
    (d / "sub").mkdir(parents=True)
    assert box.rt("spec", "-f", "sub/other.json", "-b", str(d)).returncode == 0
    assert json.loads((d / "sub" / "other.json").read_text())["ociVersion"]
    assert box.rt("spec", "-f", str(d / "abs.json")).returncode == 0
    r = box.rt("spec", "-f", str(d / "abs.json"))
    assert r.returncode == 1 and "file abs.json exists. Remove it first" in r.stderr
    assert box.rt("spec", "-f", str(d) + "/").returncode == 1


@pytest.mark.skiff_only
def test_root_cannot_be_slash(box):
    r = subprocess.run([box.cmd()[0], "--root", "/", "list"], capture_output=True, text=True)
    assert r.returncode == 1 and "should not be set to /" in r.stderr


def test_config_and_keep(box):
    if box.cmd()[0].endswith("runc"):
        pytest.skip("--config is crun's")
    box.p["args"] = ["true"]
    (box.bundle / "other.json").write_text(json.dumps(box.c))
    r = box.rt("run", "--config", "other.json" if "crun" not in box.cmd()[0] else str(box.bundle / "other.json"), "--keep", "-b", str(box.bundle), box.id)
    assert r.returncode == 0, r.stderr
    assert box.state()["status"] == "stopped"
    assert box.rt("delete", box.id).returncode == 0


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
    assert "level=debug" in log.read_text()
    r = box.rt("run", "-b", str(box.bundle), box.id, glob=["--debug"])
    assert r.returncode == 0 and "level=debug" in r.stderr


@pytest.mark.skiff_only
@pytest.mark.parametrize("args", [["nosuch"], ["run"], ["run", "a", "b"], ["run", "--nosuch", "x"], ["kill"], ["state", "a", "b"],
                                  ["--log-format", "xml", "list"], ["--rootless", "maybe", "list"], ["create", "--preserve-fds", "x", "id"]])
def test_usage_errors(box, args):
    r = box.rt(*args)
    assert r.returncode == 1 and r.stderr.startswith("skiff-oci: ") and r.stderr.count("\n") == 1


@pytest.mark.skiff_only
@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs here: test_systemd.py")
@pytest.mark.parametrize("glob", [["--systemd-cgroup"], ["--cgroup-manager", "systemd"]])
def test_systemd_manager_where_there_is_no_systemd(box, glob):
    box.start("sleep", "100")
    assert box.rt("state", box.id, glob=glob).returncode == 0
    box.c["linux"]["cgroupsPath"] = f"system.slice:skf:{box.id}"
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id + "x", glob=glob)
    assert r.returncode == 1 and r.stderr.count("\n") == 1
    assert "systemd" in r.stderr and "cgroupfs" in r.stderr and "/run/systemd" in r.stderr, r.stderr
    assert "does not exist" in box.rt("state", box.id + "x").stderr


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
