"""skiff-monitor alone over plain child processes: logs, clients, terminal, exit. No container and no root needed."""
import os
import pty
import signal
import socket
import stat
import struct
import time

import pytest

from monlib import (ATTACH, ERROR, EXIT, EXITED, F_STDERR, F_STDIN, F_STDOUT, HELLO, KILL, M_RESIZE, MONITOR, OK, RESIZE, SIGNAL, STATE, UPDATE,
                    WAIT, Monitor, alive, exit_of, log_entries, log_text, read_all, read_until, record, recv, rollup, send, st, u32, wait_for)

pytestmark = pytest.mark.skipif(not os.access(MONITOR, os.X_OK), reason=f"{MONITOR} is not built")


@pytest.fixture
def start(tmp_path):
    made = []

    def make(*argv, **kw):
        m = Monitor(str(tmp_path), list(argv), **kw)
        made.append(m)
        return m

    yield make
    for m in made:
        m.stop()


def sh(script):
    return ["sh", "-c", script]


def test_output_exit_code_and_records(start):
    m = start(*sh("echo out; echo err >&2; printf tail; exit 7"))
    assert m.join() == 0
    assert log_text(m.log, "stdout") == "out\ntail"
    assert log_text(m.log, "stderr") == "err\n"
    e = log_entries(m.log)[0]
    assert list(e) == ["log", "stream", "time"] and e["time"].endswith("Z")
    x = m.exit_json()
    assert (x["v"], x["min"], x["exitCode"], x["signal"], x["oomKilled"], x["reason"]) == (1, 1, 7, 0, False, "exited")
    assert x["finishedAt"] >= x["startedAt"] > 0
    s = m.summary()
    assert s[3] == "exited" and s[4] == "0" and s[6] == "7" and int(s[9]) == x["finishedAt"]
    assert [(ev["action"], ev.get("exitCode")) for ev in m.events()] == [("die", 7)]
    assert not os.path.exists(os.path.join(m.run_dir, "ctl.sock"))
    assert not os.path.exists(os.path.join(m.run_dir, "monitor.log"))


def test_signal_gives_128_plus(start):
    m = start(*sh("kill -9 $$"))
    m.join()
    assert m.exit_json()["exitCode"] == 137 and m.exit_json()["signal"] == 9


def test_long_line_is_cut_as_docker_does(start):
    m = start(*sh("head -c 40000 /dev/zero | tr '\\0' x; echo; head -c 16384 /dev/zero | tr '\\0' y; echo; echo z"))
    m.join()
    e = log_entries(m.log)
    assert [len(x["log"]) for x in e] == [16384, 16384, 40000 - 32768 + 1, 16384, 1, 2]
    assert e[0]["time"] == e[1]["time"] == e[2]["time"]
    assert log_text(m.log) == "x" * 40000 + "\n" + "y" * 16384 + "\nz\n"


def test_bytes_survive_json(start):
    m = start("printf", 'quote" back\\\\slash \\t tab \\001 ctl \\xc3\\xa4 utf8 \\xff bad\\r\\n')
    m.join()
    assert log_text(m.log) == 'quote" back\\slash \t tab \x01 ctl \u00e4 utf8 \ufffd bad\r\n'


def test_bulk_is_complete_and_in_order(start):
    m = start(*sh("seq 1 200000"))
    m.join(60)
    assert log_text(m.log) == "".join(f"{i}\n" for i in range(1, 200001))


def test_rotation_keeps_whole_entries(start):
    m = start(*sh("i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); done"), max_size=4000, max_file=3)
    m.join()
    files = [m.log + s for s in (".2", ".1", "")]
    assert sorted(os.listdir(os.path.dirname(m.log))) == sorted(os.path.basename(f) for f in files)
    text = "".join(log_text(f) for f in files)
    assert text.endswith("line 399\n")
    first = int(text.split()[1])
    assert text == "".join(f"line {i}\n" for i in range(first, 400))
    assert all(4000 <= os.path.getsize(f) < 4200 for f in files[:2])


def test_rotation_to_one_file_truncates(start):
    m = start(*sh("i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done"), max_size=1000, max_file=1)
    m.join()
    assert os.listdir(os.path.dirname(m.log)) == [os.path.basename(m.log)]
    assert log_text(m.log).endswith("line 199\n")


def test_no_log(start):
    m = start(*sh("echo gone"), driver=0)
    m.join()
    assert not os.path.exists(m.log)


def test_foreground_client_gets_streams_and_exited(start):
    ro, wo = os.pipe()
    re_, we = os.pipe()
    m = start(*sh("echo out; echo err >&2; exit 3"), keep=True, att=(None, wo, we))
    os.close(wo), os.close(we)
    assert read_all(ro) == b"out\n" and read_all(re_) == b"err\n"
    f = recv(m.sock)
    assert f.type == EXITED and exit_of(f)["code"] == 3
    assert m.sock.recv(10) == b""
    m.join()


def test_stdin_half_close_ends_the_containers(start):
    ri, wi = os.pipe()
    ro, wo = os.pipe()
    m = start("cat", stdin=True, stdin_once=True, keep=True, att=(ri, wo, None))
    os.close(ri), os.close(wo)
    os.write(wi, b"hello")
    assert read_until(ro, b"hello") == b"hello"
    os.close(wi)
    assert read_all(ro) == b""
    assert exit_of(recv(m.sock))["code"] == 0
    m.join()
    assert log_text(m.log) == "hello"


def test_stdin_stays_open_without_once(start):
    m = start(*sh("read a; echo got $a; read b; echo got $b"), stdin=True)
    for word in (b"one\n", b"two\n"):
        c = m.client()
        r, w = os.pipe()
        assert c.ask(ATTACH, u32(F_STDIN), fds=[r]).type == OK
        os.close(r)
        os.write(w, word)
        os.close(w)
        wait_for(lambda: word.strip() in open(m.log, "rb").read(), what="the line in the log")
        c.close()
    m.join()
    assert log_text(m.log) == "got one\ngot two\n"


def test_closed_container_stdin_reaches_the_client(start):
    ri, wi = os.pipe()
    m = start(*sh("exec <&-; sleep 5"), stdin=True, att=(ri, None, None))
    os.close(ri)

    def broken():
        try:
            os.write(wi, b"x")
        except BrokenPipeError:
            return True

    wait_for(broken, what="EPIPE at the client")
    m.stop()


def test_back_pressure_holds_the_container_and_loses_nothing(start):
    ro, wo = os.pipe()
    m = start(*sh("seq 1 300000; echo end >&2"), keep=True, att=(None, wo, None))
    os.close(wo)
    time.sleep(0.7)
    size = os.path.getsize(m.log)
    time.sleep(0.5)
    assert os.path.getsize(m.log) == size, "the container ran on although its client does not read"
    assert alive(m.init)
    assert read_all(ro) == "".join(f"{i}\n" for i in range(1, 300001)).encode()
    assert exit_of(recv(m.sock))["code"] == 0
    m.join()
    assert log_text(m.log, "stdout").count("\n") == 300000


def test_slow_pager_gets_everything(start):
    ro, wo = os.pipe()
    m = start(*sh("head -c 150000 /dev/zero | tr '\\0' '\\n'"), keep=True, att=(None, wo, None))
    os.close(wo)
    first = os.read(ro, 30000)
    time.sleep(0.3)
    assert len(first + read_all(ro)) == 150000
    assert exit_of(recv(m.sock))["code"] == 0
    m.join()
    assert len(log_text(m.log)) == 150000


def test_unread_rest_is_recorded_after_the_drain(start):
    ro, wo = os.pipe()
    m = start(*sh("head -c 100000 /dev/zero | tr '\\0' '\\n'"), keep=True, att=(None, wo, None))
    os.close(wo)
    wait_for(lambda: os.path.exists(os.path.join(m.disk_dir, "exit.json")), 10, "exit.json although the client does not read")
    assert m.summary()[3] == "exited"
    assert alive(m.pid), "the monitor must still serve its client"
    assert len(read_all(ro)) == 100000
    assert exit_of(recv(m.sock))["code"] == 0
    m.join()
    assert len(log_text(m.log)) == 100000


def test_dead_client_is_dropped_and_the_container_lives(start):
    ro, wo = os.pipe()
    m = start(*sh("while :; do echo tick; sleep 0.05; done"), att=(None, wo, None))
    os.close(wo)
    read_until(ro, b"tick")
    os.close(ro)
    n = len(log_entries(m.log))
    wait_for(lambda: len(log_entries(m.log)) > n + 5, what="more log lines")
    assert alive(m.init)


def test_stranger_holding_the_pipe_does_not_hold_the_monitor(start):
    m = start(*sh("(exec setsid sh -c 'while :; do echo noise; sleep 0.01; done') & echo $!; exit 4"))
    pid = int(wait_for(lambda: [e["log"] for e in log_entries(m.log) if e["log"].strip().isdigit()], what="pid")[0])
    try:
        assert m.join(10) == 0
        assert m.exit_json()["exitCode"] == 4
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_control_messages(start):
    m = start(*sh("trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done"))
    wait_for(lambda: "ready\n" in log_text(m.log), what="the shell")
    c = m.client()
    f = c.ask(HELLO)
    assert f.type == HELLO and f.str() and f.u32() == 1 and f.u32() == m.pid
    f = c.ask(STATE)
    assert f.type == STATE and f.str() == "running" and f.u32() == m.init and f.u64() == m.start_time
    assert c.ask(KILL, u32(1), u32(0)).type == OK
    wait_for(lambda: "hup\n" in log_text(m.log), what="the signal's effect")
    for fields, rtype, kind in (((u32(0), u32(0)), KILL, "invalid"), ((u32(65), u32(0)), KILL, "invalid"), ((), UPDATE, "unsupported"),
                                ((u32(9),), M_RESIZE, "invalid"), ((u32(9), u32(9)), M_RESIZE, "conflict"), ((u32(2),), ATTACH, "invalid"),
                                ((), 1000, "unsupported")):
        f = c.ask(rtype, *fields)
        assert f.type == ERROR and f.err()[0] == kind, (rtype, fields)
    assert c.ask(STATE, cid="0" * 64).err()[0] == "not-found"
    send(c.s, b"\x04\0\0\0")
    assert recv(c.s).err()[0] == "invalid"
    send(c.s, record(HELLO, st("x" * 10000)))
    assert recv(c.s).err()[0] == "invalid"
    assert c.ask(HELLO).type == HELLO, "the connection survives all of these"
    w = m.client()
    w.send(WAIT)
    w.send(WAIT)
    assert c.ask(KILL, u32(9), u32(1)).type == OK
    x = exit_of(recv(w.s))
    assert x["code"] == 137 and x["signal"] == 9
    assert m.exit_json()["exitCode"] == 137, "whoever waited finds the record"
    assert recv(w.s) is None, "one wait, one answer"
    m.join()


def test_socket_is_private(start):
    m = start("sleep", "100")
    s = os.stat(os.path.join(m.run_dir, "ctl.sock"))
    assert stat.S_IMODE(s.st_mode) == 0o600
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    os.chmod(os.path.join(m.run_dir, "ctl.sock"), 0o666)
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open(m.run_dir, os.O_PATH)
            os.setresuid(65534, 65534, 65534)
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(f"/proc/self/fd/{fd}/ctl.sock")
            f = recv(s)
            os._exit(0 if f.type == ERROR and f.err()[0] == "denied" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_too_many_clients_are_told(start):
    m = start("sleep", "100")
    cs = [m.client() for _ in range(64)]
    assert cs[-1].ask(HELLO).type == HELLO
    c = m.client()
    assert recv(c.s).err()[0] == "limit"
    for x in cs:
        x.close()
    wait_for(lambda: len(os.listdir(f"/proc/{m.pid}/fd")) < 30, what="the descriptors to go")
    assert m.client().ask(HELLO).type == HELLO


def test_descriptors_stay_flat_under_attach(start):
    m = start(*sh("while :; do echo x; sleep 0.01; done"))
    c = m.client()
    before = None
    for i in range(200):
        r, w = os.pipe()
        assert c.ask(ATTACH, u32(F_STDOUT), fds=[w]).type == OK
        os.close(w)
        if i % 2:
            os.read(r, 2)
        os.close(r)
        if i == 20:
            before = len(os.listdir(f"/proc/{m.pid}/fd"))
    wait_for(lambda: len(os.listdir(f"/proc/{m.pid}/fd")) <= before + 2, what="dropped clients")


def test_terminal_with_resize(start):
    r, w = os.pipe()
    m = start(*sh("tty >/dev/null && echo is a tty; while :; do read x || exit 9; stty size; done"), tty=True, keep=True, att=(None, w, None))
    os.close(w)
    read_until(r, b"is a tty\r\n")
    c = m.client()
    assert c.ask(M_RESIZE, u32(33), u32(99)).type == OK
    ri, wi = os.pipe()
    assert c.ask(ATTACH, u32(F_STDIN), fds=[ri]).type == OK
    os.close(ri)
    os.write(wi, b"\n")
    read_until(r, b"33 99")
    send(m.sock, record(RESIZE, u32(44), u32(120)))
    time.sleep(0.1)
    os.write(wi, b"\n")
    read_until(r, b"44 120")
    os.write(wi, b"\x04")
    assert exit_of(recv(m.sock))["code"] == 9
    m.join()
    assert "33 99\r\n" in log_text(m.log)


def test_terminal_closed_and_opened_again(start):
    script = "t=$(tty); exec <&- >&- 2>&-; sleep 0.3; echo back >$t; sleep 0.3; echo again >$t; sleep 0.2; exit 6"
    m = start(*sh(script), tty=True)
    t0 = time.monotonic()
    assert m.join() == 0
    assert time.monotonic() - t0 < 5
    assert log_text(m.log) == "back\r\nagain\r\n"
    assert m.exit_json()["exitCode"] == 6


def test_quiet_terminal_costs_no_cpu(start):
    m = start(*sh("exec <&- >&- 2>&-; sleep 100"), tty=True)
    time.sleep(0.3)

    def ticks():
        w = open(f"/proc/{m.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(w[11]) + int(w[12])

    a = ticks()
    time.sleep(1)
    assert ticks() - a <= 2


def test_signal_from_the_engine(start):
    m = start("sleep", "100", keep=True)
    send(m.sock, record(SIGNAL, u32(15)))
    assert exit_of(recv(m.sock))["code"] == 143
    m.join()


def test_lives_on_without_the_engine_and_ignores_signals(start):
    r, w = os.pipe()
    m = start(*sh("while :; do echo tick; sleep 0.05; done"), keep=True, att=(None, w, None))
    os.close(w)
    m.sock.close()
    os.close(r)
    for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1):
        os.kill(m.pid, sig)
    n = len(log_entries(m.log))
    wait_for(lambda: len(log_entries(m.log)) > n + 5, what="more log lines")
    assert m.client().ask(HELLO).type == HELLO


def test_killed_monitor_takes_the_process_along(start):
    m = start("sleep", "1000")
    os.kill(m.pid, signal.SIGKILL)
    wait_for(lambda: not alive(m.init), what="the process to die")
    assert not os.path.exists(os.path.join(m.disk_dir, "exit.json"))


def test_reaper_runs_when_nobody_listens(start, tmp_path):
    said = tmp_path / "reaped"
    reaper = tmp_path / "reaper.sh"
    reaper.write_text(f'#!/bin/sh\n{{ echo "$@"; ls /proc/self/fd | wc -l; cat /proc/self/oom_score_adj; }} > {said}.new; mv {said}.new {said}\n')
    reaper.chmod(0o755)
    m = start("true", reaper=str(reaper))
    m.join()
    wait_for(said.exists, what="the reaper")
    lines = said.read_text().splitlines()
    assert lines[0] == f"--root {m.root} --run-root {m.run} system reap {m.id}"
    assert int(lines[1]) <= 4 and lines[2] == "0"


def test_reaper_does_not_run_when_the_engine_heard(start, tmp_path):
    reaper = tmp_path / "reaper.sh"
    reaper.write_text(f"#!/bin/sh\ntouch {tmp_path}/reaped\n")
    reaper.chmod(0o755)
    m = start("true", reaper=str(reaper), keep=True)
    assert recv(m.sock).type == EXITED
    m.join()
    time.sleep(0.3)
    assert not (tmp_path / "reaped").exists()
    m = start("sleep", "0.3", reaper=str(reaper), keep=True)
    m.sock.close()
    m.join()
    wait_for((tmp_path / "reaped").exists, what="the reaper after the engine's death")


def test_full_disk_does_not_stop_the_container(start, tmp_path):
    # a log that takes nothing: /dev/full behind the name that the monitor was given
    os.makedirs(tmp_path / "x", exist_ok=True)
    r, w = os.pipe()
    real_open = os.open

    def full(path, flags, *a, **k):
        return real_open("/dev/full", os.O_WRONLY) if str(path).endswith("-json.log") else real_open(path, flags, *a, **k)

    os.open = full
    try:
        m = start(*sh("seq 1 50000"), att=(None, w, None), keep=True)
    finally:
        os.open = real_open
    os.close(w)
    assert read_all(r).endswith(b"50000\n")
    assert exit_of(recv(m.sock))["code"] == 0
    m.join()
    warned = open(os.path.join(m.run_dir, "monitor.log")).read()
    assert "No space left" in warned and warned.count("\n") <= 2


def test_clients_terminal_keeps_its_flags(start):
    """A client may hand over its own terminal or pipe: their O_NONBLOCK belongs to everybody who has them open."""
    import fcntl
    master, slave = pty.openpty()
    r, w = os.pipe()
    m = start(*sh("echo both; echo e >&2; sleep 0.2"), keep=True, att=(None, slave, w))
    assert read_until(master, b"both")
    assert not fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK
    assert not fcntl.fcntl(w, fcntl.F_GETFL) & os.O_NONBLOCK
    assert recv(m.sock).type == EXITED
    m.join()
    os.close(master), os.close(slave), os.close(r), os.close(w)


def test_memory_of_idle_monitors(start):
    with open(MONITOR, "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("a sanitizer's own memory is not the program's")
    ms = [start(*sh("seq 1 5000; exec sleep 100")) for _ in range(20)]
    time.sleep(2)
    rs = [rollup(m.pid) for m in ms]
    dirty = sum(r["Private_Dirty"] for r in rs) / len(rs)
    anon = sum(r["Anonymous"] for r in rs) / len(rs)
    print(f"mean over {len(rs)}: private dirty {dirty:.0f} KB, anonymous {anon:.0f} KB, PSS {sum(r['Pss'] for r in rs) / len(rs):.0f} KB")
    assert anon < 64
