"""Where messages go: stderr, a file, the journal, syslog; text and JSON."""
import json
import os
import re
import socket
import subprocess

import pytest

TEXT = r'time="\d{4}-\d\d-\d\dT[^"]+" level=(error|warning|debug) msg="'


def failing(box, *glob):
    return box.rt("state", "nosuch", glob=glob)


@pytest.mark.skiff_only
def test_stderr_is_one_human_line(box):
    for glob in ([], ["--log", ""], ["--log=/dev/stderr"], ["--log-format", "text"]):
        r = failing(box, *glob)
        assert r.stderr == "skiff-oci: container 'nosuch' does not exist\n"


def test_json_on_stderr(box):
    r = failing(box, "--log-format", "json")
    d = json.loads(r.stderr.splitlines()[0])
    assert d["level"] == "error" and "does not exist" in d["msg"] and d["time"]


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_file(box, prefix):
    if prefix and box.cmd()[0].endswith("runc"):
        pytest.skip("crun's form")
    log = box.dir / "log"
    for _ in range(2):  # appended
        r = failing(box, "--log", f"{prefix}{log}", "--log-format", "json")
        assert r.returncode == 1 and "does not exist" in r.stderr
    lines = [json.loads(x) for x in log.read_text().splitlines()]
    assert len(lines) == 2 and all(x["level"] == "error" and "does not exist" in x["msg"] for x in lines)


@pytest.mark.skiff_only
def test_text_file(box):
    log = box.dir / "log"
    failing(box, "--log", str(log))
    assert re.fullmatch(TEXT + r'container .nosuch. does not exist"\n', log.read_text())


@pytest.mark.skiff_only
@pytest.mark.parametrize("level, seen", [("error", {"error"}), ("warning", {"error"}), ("debug", {"error", "debug"})])
def test_levels(box, level, seen):
    log = box.dir / "log"
    box.p["args"] = ["nosuch"]
    box.write()
    box.rt("run", "-b", str(box.bundle), box.id, glob=["--log", str(log), "--log-level", level])
    assert {re.match(TEXT, x).group(1) for x in log.read_text().splitlines()} == seen


@pytest.mark.skiff_only
def test_debug_records_on_stderr(box):
    box.p["args"] = ["true"]
    box.write()
    r = box.rt("run", "-b", str(box.bundle), box.id, glob=["--debug"])
    assert r.returncode == 0 and r.stderr
    assert all(re.match(TEXT, x) for x in r.stderr.splitlines())


@pytest.mark.skiff_only
def test_foreign_text_cannot_forge_a_line(box):
    log = box.dir / "log"
    evil = 'x" level=error msg="forged\nPRIORITY=0\x1b[31m'
    for fmt in ("text", "json"):
        box.rt("state", evil, glob=["--log", str(log), "--log-format", fmt])
    text, js = log.read_text().splitlines()
    assert "\x1b" not in text + js and re.fullmatch(TEXT + r'[^"\\]*(\\.[^"\\]*)*"', text)  # one quoted string to the end
    json.loads(js)


def unused(path):
    return not os.path.lexists(path)


class Daemon:
    """A datagram socket in the place of the daemon's, when there is none."""

    def __init__(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.path = path
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(path)
        self.s.settimeout(5)

    def read(self):
        return self.s.recv(8192).decode()

    def close(self):
        self.s.close()
        os.unlink(self.path)


@pytest.fixture
def daemon(request):
    if not unused(request.param):
        pytest.skip(f"{request.param} belongs to a real daemon")
    d = Daemon(request.param)
    yield d
    d.close()


@pytest.mark.skiff_only
@pytest.mark.parametrize("daemon", ["/run/systemd/journal/socket"], indirect=True)
@pytest.mark.parametrize("ident, want", [("me", "me"), ("", "skiff-oci")])
def test_journald(box, daemon, ident, want):
    r = failing(box, "--log", f"journald:{ident}")
    assert r.stderr.startswith("skiff-oci: ")
    fields = dict(x.split("=", 1) for x in daemon.read().splitlines())
    assert fields == {"PRIORITY": "3", "SYSLOG_IDENTIFIER": want, "MESSAGE": "container 'nosuch' does not exist"}


@pytest.mark.skiff_only
@pytest.mark.parametrize("daemon", ["/dev/log"], indirect=True)
def test_syslog(box, daemon):
    failing(box, "--log", "syslog:me")
    assert re.fullmatch(r"<11>me\[\d+\]: container 'nosuch' does not exist", daemon.read())


@pytest.mark.skiff_only
@pytest.mark.parametrize("daemon", ["/run/systemd/journal/socket"], indirect=True)
def test_journal_fields_cannot_be_forged(box, daemon):
    box.rt("state", "x\nPRIORITY=0", glob=["--log", "journald:me"])
    lines = daemon.read().splitlines()
    assert lines[0] == "PRIORITY=3" and len(lines) == 3


@pytest.mark.skiff_only
@pytest.mark.parametrize("log, path", [("journald:x", "/run/systemd/journal/socket"), ("syslog:x", "/dev/log")])
def test_no_daemon(box, log, path):
    if not unused(path):
        pytest.skip(f"{path} is there")
    r = failing(box, "--log", log)
    assert r.returncode == 1 and path in r.stderr
