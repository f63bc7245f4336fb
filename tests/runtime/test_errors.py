"""Bad input: one clear sentence, non-zero status, nothing left behind."""
import json
import os
import subprocess

import pytest


def fails(box, *words, status=1):
    r = box.rt("run", "-b", str(box.bundle), box.id)
    assert r.returncode == status, (r.stdout, r.stderr)
    if box.cmd()[0].endswith("skiff-oci"):
        assert r.stderr.startswith("skiff-oci: ") and r.stderr.count("\n") == 1, r.stderr
        for w in words:
            assert w in r.stderr, r.stderr
    assert box.has_traces() == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"ociVersion": 5}', "\0", "{}", '{"ociVersion":"1.0.0"} x', "\x7fELF"])
def test_corrupt_config(box, text):
    (box.bundle / "config.json").write_text(text)
    fails(box)


def test_truncated_config(box):
    box.p["args"] = ["true"]
    box.write()
    text = (box.bundle / "config.json").read_text()
    for cut in (1, 10, len(text) // 2, len(text) - 1):
        (box.bundle / "config.json").write_text(text[:cut])
        fails(box, "config.json")


def test_missing_config(box):
    fails(box, "config.json")


@pytest.mark.skiff_only
def test_missing_bundle(box):
    r = box.rt("run", "-b", "/no/such/bundle", box.id)
    assert r.returncode == 1 and "/no/such/bundle" in r.stderr


@pytest.mark.skiff_only
@pytest.mark.parametrize("path,value,word", [
    (["ociVersion"], "2.0.0", "ociVersion"),
    (["process", "args"], [], "args"),
    (["process", "args"], "sh", "/process/args"),
    (["process", "cwd"], "relative", "/process/cwd"),
    (["process", "user", "uid"], -1, "uid"),
    (["process", "user", "uid"], "root", "uid"),
    (["process", "rlimits"], [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}], "rlimits"),
    (["root", "path"], "/no/such/rootfs", "/no/such/rootfs"),
    (["root"], None, "root"),
    (["mounts"], [{"destination": "/x", "type": "nosuchfs", "source": "none"}], "/x"),
    (["mounts"], [{"destination": "/x", "type": "bind", "source": "/no/such/source", "options": ["bind"]}], "/no/such/source"),
    (["linux", "namespaces"], [{"type": "nosuch"}], "namespaces"),
    (["linux", "sysctl"], {"kernel.nosuch": "1"}, "kernel.nosuch"),
    (["linux", "seccomp"], {"defaultAction": "NOSUCH"}, "defaultAction"),
    (["process", "apparmorProfile"], "nosuch-profile", "nosuch-profile"),
    (["process", "selinuxLabel"], "nosuch-label", "nosuch-label"),
    (["linux", "intelRdt"], {"closID": "x"}, "/linux/intelRdt"),
])
def test_bad_values_name_their_place(box, path, value, word):
    box.p["args"] = ["true"]
    at = box.c
    for k in path[:-1]:
        at = at[k]
    if value is None:
        at.pop(path[-1])
    else:
        at[path[-1]] = value
    box.write()
    fails(box, word)


@pytest.mark.parametrize("id_", ["", ".", "..", "a/b", "../x", "a b", "a\nb", "x" * 300])
def test_bad_ids(box, id_):
    box.p["args"] = ["true"]
    box.write()
    for verb in (["run", "-b", str(box.bundle)], ["state"], ["delete"], ["kill"], ["delete", "--force"]):
        r = box.rt(*verb, id_)
        if box.cmd()[0].endswith("skiff-oci"):
            assert r.returncode == 1, (verb, r.stderr)
    assert not (box.dir / "x").exists()


@pytest.mark.parametrize("args,word", [
    (["nosuch"], "executable file not found in $PATH"),
    (["/no/such"], "no such file or directory"),
    (["/etc/passwd"], "permission denied"),
    (["/etc"], ""),
    ([""], ""),
])
def test_program_cannot_be_executed(box, args, word):
    box.p["args"] = args
    box.write()
    fails(box, word)


@pytest.mark.skiff_only
def test_missing_program_fails_create_already(box):
    r = box.create("nosuch")
    assert r.returncode == 1 and "executable file not found in $PATH" in r.stderr
    assert box.has_traces() == []


def test_missing_interpreter_and_wrong_format(box):
    root = box.own_rootfs()
    for name, text, words in (("noint", "#!/no/such/interp\n", ["/no/such/interp", "no such file or directory"]), ("garbage", "garbage", ["format"])):
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)
        box.p["args"] = [name]
        box.write()
        fails(box, *words)


@pytest.mark.skiff_only
def test_failed_execve_at_start_is_told(box):
    root = box.own_rootfs()
    (root / "bin" / "garbage").write_text("garbage")
    (root / "bin" / "garbage").chmod(0o755)
    assert box.create("garbage").returncode == 0
    r = box.rt("start", box.id)
    assert r.returncode == 1 and "exec format error" in r.stderr
    box.wait_stopped()


@pytest.mark.skiff_only
def test_rlimit_above_the_hard_limit(box):
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    caps = int([x for x in open("/proc/self/status") if x.startswith("CapEff")][0].split()[1], 16)
    if caps & (1 << 24):
        pytest.skip("CAP_SYS_RESOURCE is there")
    box.p["args"] = ["true"]
    box.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}]
    box.write()
    fails(box, "RLIMIT_NOFILE", str(hard), "CAP_SYS_RESOURCE")


@pytest.mark.skiff_only
def test_pid_file_that_cannot_be_written(box):
    r = box.create("sleep", "100", opts=["--pid-file", "/no/such/dir/pid"])
    assert r.returncode == 1 and "/no/such/dir/pid" in r.stderr
    assert box.has_traces() == []


@pytest.mark.skiff_only
def test_state_from_the_future_and_corrupt_state(box):
    box.start("sleep", "100")
    f = box.state_root / box.id / "state.json"
    text = f.read_text()
    f.write_text(text.replace('"v":1,"min":1', '"v":9,"min":9'))
    r = box.rt("state", box.id)
    assert r.returncode == 1 and "newer" in r.stderr
    f.write_text(text.replace('"v":1,"min":1', '"v":9,"min":1,"unknown":[1]'))
    assert box.rt("state", box.id).returncode == 0
    f.write_text(text[: len(text) // 2])
    assert box.rt("state", box.id).returncode == 1
    assert box.rt("list").returncode == 0
    assert box.rt("delete", box.id).returncode == 1
    assert box.rt("delete", "--force", box.id).returncode == 0
    assert box.has_traces() == []


@pytest.mark.skiff_only
def test_full_state_file_system(box):
    box.state_root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=64", "tmpfs", str(box.state_root)], check=True)
    try:
        (box.state_root / "filler").write_bytes(b"x" * 4096)
        r = box.create("sleep", "100")
        assert r.returncode == 1 and "No space left" in r.stderr
        assert os.listdir(box.state_root) == ["filler"]
    finally:
        subprocess.run(["umount", str(box.state_root)], check=True)
    assert [x for x in box.has_traces() if "cgroup" in x] == []


@pytest.mark.skiff_only
def test_a_state_root_for_everybody_is_refused(box):
    box.state_root.mkdir()
    box.state_root.chmod(0o777)
    r = box.rt("list")
    assert r.returncode == 1 and "--root" in r.stderr
