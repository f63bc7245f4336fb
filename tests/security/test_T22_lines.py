"""T22 and T23: what becomes a line of the runtime's own files, or the name of something outside, brings no second line; annotations steer nothing but what
their exact, documented names say. (For the files that `skiff run` makes: test_T12_user.py.)"""
import json
import os
import re
import subprocess

import pytest

from seclib import PARENT, RUNTIME, sh

BAD = ["a\nb", "a\rb", "\n", "x\npid 1 1 00000000-0000-0000-0000-000000000000", "x\ncgroup 2 /", "a\tb", "a\x1bb", "a" * 65536]


def journal(runtime, b):
    with open(f"{runtime.root}/{b.id}/journal", newline="") as f:
        return f.read()


def shape(text):
    return [line.split(" ")[0] for line in text.split("\n")]


@pytest.mark.parametrize("value", BAD, ids=lambda v: repr(v[:12]))
@pytest.mark.parametrize("field", ["cgroupsPath", "hostname", "domainname", "HOME", "cwd", "annotation", "arg", "closID", "mountLabel", "mount"])
def test_T22_journal_and_state_have_no_smuggled_line(runtime, bundle, field, value):
    plain = bundle().args("sleep", "1000")
    runtime.create(plain)
    want = shape(journal(runtime, plain))
    runtime.delete(plain)
    b = bundle().args("sleep", "1000")
    if field == "cgroupsPath":
        b.linux["cgroupsPath"] = f"/{PARENT}/{value}"
    elif field in ("hostname", "domainname"):
        b.spec[field] = value
    elif field == "HOME":
        b.process["env"].append("HOME=/" + value)
    elif field == "cwd":
        b.process["cwd"] = "/" + value
    elif field == "annotation":
        b.spec["annotations"] = {value: value}
    elif field == "arg":
        b.process["args"] += [value]
    elif field == "closID":
        b.linux["intelRdt"] = {"closID": value}
    elif field == "mountLabel":
        b.linux["mountLabel"] = value
    else:
        b.mounts.append({"destination": "/" + value, "type": "tmpfs", "source": value})
    p = runtime.create(b, check=False)
    if p.returncode:
        assert p.stderr.strip()
        assert len(p.stderr.strip().split("\n")) <= 1 + value.count("\n"), p.stderr
        if field == "cgroupsPath" and "\n" in value:  # by ourselves, before the journal has it: the kernel refuses such a directory too late
            assert "newline" in p.stderr
        return
    text = journal(runtime, b)
    assert shape(text) == want, text
    with open(f"{runtime.root}/{b.id}/state.json") as f:
        assert f.read().count("\n") == 1
    assert json.loads(runtime("state", b.id, check=True).stdout)["id"] == b.id
    rows = runtime("list", "--quiet", check=True).stdout.splitlines()
    assert rows == [b.id]


@pytest.mark.parametrize("name", ["a\nb", "a\n", "../x", "a/b", ".", "..", "", "a b", "a\x1b[2J", "é", "x" * 1025, ".seccomp-cache"], ids=lambda v: repr(v[:12]))
def test_T22_ids(runtime, bundle, name):
    b = bundle().args("true")
    b.write()
    p = sh(RUNTIME, "--root", runtime.root, "run", "--bundle", b.path, name, check=False)
    assert p.returncode != 0 and "id" in p.stderr and "\x1b" not in p.stderr
    assert not os.path.exists(runtime.root) or [n for n in os.listdir(runtime.root) if not n.startswith(".")] == []


def test_T22_log_lines(runtime, bundle, area):
    """An error with a newline from the configuration is one line of the log, in both formats."""
    for form in ("json", "text"):
        b = bundle().args("/no\nlevel=info msg=fake\n{\"msg\":\"fake\"}")
        log = f"{area}/log.{form}"
        b.write()
        p = subprocess.run([RUNTIME, "--root", runtime.root, "--log", log, "--log-format", form, "run", "--bundle", b.path, b.id], capture_output=True, text=True, timeout=30)
        assert p.returncode != 0
        with open(log) as f:
            lines = f.read().splitlines()
        assert len(lines) >= 1
        if form == "json":
            assert all(json.loads(line)["msg"] != "fake" for line in lines)
        else:
            assert not any(line.startswith("level=info msg=fake") for line in lines), lines


STRANGE = ["org.systemd.property.ExecStartPre", "org.systemd.property.MemoryMax", "org.systemd.property.", "org.systemd.propertyX.TimeoutStopUSec", " org.systemd.property.TasksMax",
           "run.oci.hooks.stdout ", "Run.Oci.Hooks.Stdout", "xrun.oci.hooks.stdout", "run.oci.hooks.stdoutx", "run.oci.keep_original_groupsx", "run.oci.keep_original_groups.", "run.oci",
           "run.oci.", "io.kubernetes.cri-o.Devices", "io.katacontainers.config.hypervisor.path", "skiff", "skiff.rootfs", "io.skiff.log", "cpu-load-balancing.crio.io"]


def effective(runtime, b):
    p = runtime.run(b.shell("cat /proc/self/status | grep -E 'Cap|Groups|Seccomp|NoNew'; cat /proc/self/mountinfo | sed 's/^[0-9]* [0-9]* [0-9:]* //'; env; ls /dev; id"), check=True)
    return re.sub(r"sec-\d+-\d+|/b\d+/", "ID", p.stdout)


def test_T23_names_that_only_look_like_ours(runtime, bundle, area):
    want = effective(runtime, bundle())
    out = area + "/out"
    for name in STRANGE:
        b = bundle()
        b.spec["annotations"] = {name: "'" + out + "'" if "property" in name else out}
        assert effective(runtime, b) == want, name
        assert not os.path.exists(out), name
    b = bundle()
    b.spec["annotations"] = {n: out for n in STRANGE}
    assert effective(runtime, b) == want


def test_T23_what_steers_is_listed(runtime):
    """Each annotation name in the program that changes what is done is in potentiallyUnsafeConfigAnnotations of `features`."""
    p = runtime("features", check=True)
    listed = json.loads(p.stdout).get("potentiallyUnsafeConfigAnnotations", [])
    with open(RUNTIME, "rb") as f:
        names = {m.decode() for m in re.findall(rb"\0((?:run\.oci|org\.systemd|org\.criu)\.[A-Za-z0-9_.-]+)(?=\0)", f.read())}
    missing = [n for n in names if not any(n == x or (x.endswith(".") and n.startswith(x)) for x in listed)]
    assert missing == [] and (names == set() or listed), (names, listed)


@pytest.mark.parametrize("value", ["relative", "", "/proc/self/fd/0\n/x", "/dev/../etc/../etc/passwd\0", "../../x"], ids=repr)
def test_T23_values_of_paths(runtime, bundle, value, canary):
    """An annotation that names a file of the host is an absolute, plain path or it is refused."""
    b = bundle().args("true")
    b.spec["annotations"] = {"run.oci.hooks.stdout": value}
    b.spec["hooks"] = {"createRuntime": [{"path": "/bin/echo", "args": ["echo", "hello"]}]}
    p = runtime.run(b)
    assert p.returncode == 0 or p.stderr.strip()
    assert sorted(os.listdir(b.path)) == ["config.json", "rootfs"]
