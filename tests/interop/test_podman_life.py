"""podman --runtime skiff-oci: exec, terminals, signals, logs and the end of a container."""
import os
import re
import signal
import time

import pytest

from interoplib import BUSYBOX, DEBIAN, alive, cgroup_dirs, status, wait_for

TRAP = ["sh", "-c", "trap 'echo got term; exit 7' TERM; trap 'echo got usr1' USR1; echo ready; while :; do sleep 0.05; done"]


def lines(p):
    return p.stdout.split("\n")[:-1]


def logged(podman, name, text):
    return lambda: text in podman("logs", name).stdout


def test_create_start_wait_inspect(podman):
    name = podman("create", f"--cgroup-parent=/{podman.parent}", "--network", "none", "--name", "one", BUSYBOX, "sh", "-c", "sleep 0.3; exit 5", check=True).stdout.strip()
    assert podman.inspect(name)["State"]["Status"] in ("created", "configured")
    podman("start", name, check=True)
    state = podman.inspect(name)["State"]
    assert state["Status"] == "running" and alive(state["Pid"])
    assert podman("wait", name, check=True).stdout.strip() == "5"
    state = podman.inspect(name)["State"]
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 5, False)
    podman("start", name, check=True)  # a second life of the same container
    assert podman("wait", name, check=True).stdout.strip() == "5"
    podman("rm", name, check=True)


def test_restart_gives_a_new_process_and_the_same_files(podman):
    name = podman.start()
    podman("exec", name, "touch", "/kept", check=True)
    before = podman.pid(name)
    podman("restart", "-t", "0", name, check=True)
    assert podman.pid(name) != before and not alive(before)
    podman("exec", name, "test", "-e", "/kept", check=True)


@pytest.mark.smoke
def test_exec(podman):
    name = podman.start("-e", "OF=container")
    p = podman("exec", "-e", "A=b c", "-w", "/tmp", name, "sh", "-c", 'pwd; echo "$A $OF"; id -u; echo err >&2', check=True)
    assert lines(p) == ["/tmp", "b c container", "0"] and p.stderr == "err\n"
    p = podman("exec", "-u", "12:34", name, "sh", "-c", "id -u; id -g; cat /proc/self/status", check=True)
    assert lines(p)[:2] == ["12", "34"] and int(status(p.stdout)["CapEff"], 16) == 0
    assert podman("exec", "-i", name, "cat", input="through\n", check=True).stdout == "through\n"
    spaces = podman("exec", name, "sh", "-c", "cd /proc; for n in pid mnt net ipc uts cgroup; do readlink self/ns/$n; readlink 1/ns/$n; done", check=True).stdout.split()
    assert spaces[0::2] == spaces[1::2]
    assert lines(podman("exec", name, "cat", "/proc/self/cgroup", check=True)) == lines(podman("exec", name, "cat", "/proc/1/cgroup", check=True))


@pytest.mark.parametrize("argv, code", [(["true"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["/tmp"], 126), (["/nothing"], 127), (["nothing"], 127)],
                         ids=lambda v: " ".join(v) if isinstance(v, list) else str(v))
def test_exec_exit_code(podman, argv, code):
    name = podman.start()
    assert podman("exec", name, *argv).returncode == code
    assert podman("exec", name, "true").returncode == 0  # nothing broken by it


def test_exec_detached(podman):
    name = podman.start()
    podman("exec", "-d", name, "sh", "-c", "sleep 0.2; echo done >/made", check=True)
    wait_for(lambda: podman("exec", name, "cat", "/made").stdout == "done\n", what="the file of the detached exec")


def test_exec_in_a_stopped_container_is_refused(podman):
    name = podman.start(command=["true"])
    podman("wait", name, check=True)
    assert podman("exec", name, "true").returncode not in (0, 126, 127)


def test_exec_many_at_once(podman):
    from concurrent.futures import ThreadPoolExecutor
    name = podman.start()
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda n: podman("exec", name, "sh", "-c", f"exit {n}").returncode, range(8)))
    assert codes == list(range(8))


def test_terminal(podman):
    with podman.terminal(podman.argv("run", "-it", "--rm", "--name", "tty", BUSYBOX, "sh"), rows=31, cols=97) as t:
        t.until("# ")
        t.write("tty; stty size; ls -l /dev/console | cut -c1-10\n")
        out = t.until("crw-") + t.until("# ")
        assert "/dev/pts/0" in out or "/dev/console" in out
        assert "31 97" in out
        t.resize(40, 120)
        t.write("until stty size | grep '40 120'; do sleep 0.05; done\n")
        t.until("40 120\r\n")
        t.write("sh -c 'echo re\"\"ady; exec cat'; echo out\n")
        t.until("ready")  # before that the interrupt would be the shell's, and what is typed next the job's
        t.write("\x03")  # the interrupt character reaches the foreground job
        t.until("# ")
        t.write("echo $((6*7)); exit 9\n")
        t.until("42")
        code, _ = t.finish()
    assert code == 9


def test_terminal_in_debian(podman):
    with podman.terminal(podman.argv("run", "-it", "--rm", DEBIAN, "bash", "--norc")) as t:
        t.write("test -t 0 && test -t 1 && test -t 2 && echo t''ty; jobs -l; sleep 100 & jobs; exit\n")
        t.until("tty")
        t.until("Running")
        t.write("exit\n")
        assert t.finish()[0] in (0, 1)


def test_terminal_of_exec(podman):
    name = podman.start()
    with podman.terminal([*podman.base, "exec", "-it", name, "sh"], rows=22, cols=66) as t:
        t.until("# ")
        t.write("stty size; tty; exit 4\n")
        t.until("22 66")
        t.until("/dev/pts/")
        assert t.finish()[0] == 4


def test_terminal_without_a_client(podman):
    name = podman.start("-t", command=["sh", "-c", "tty; test -t 1 && echo yes; sleep 1000"])
    wait_for(logged(podman, name, "yes"), what="the log")


def test_stop_lets_it_finish(podman):
    name = podman.start(command=TRAP)
    wait_for(logged(podman, name, "ready"))
    podman("stop", "-t", "10", name, check=True)
    assert podman.inspect(name)["State"]["ExitCode"] == 7
    assert lines(podman("logs", name)) == ["ready", "got term"]


def test_stop_kills_in_the_end(podman):
    name = podman.start(command=["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
    began = time.monotonic()
    podman("stop", "-t", "1", name, check=True)
    assert 0.8 < time.monotonic() - began < 9
    assert podman.inspect(name)["State"]["ExitCode"] == 137


def test_kill(podman):
    name = podman.start(command=TRAP)
    wait_for(logged(podman, name, "ready"))
    podman("kill", "-s", "USR1", name, check=True)
    wait_for(logged(podman, name, "got usr1"))
    podman("kill", name, check=True)
    assert podman("wait", name, check=True).stdout.strip() == "137"
    assert podman("kill", name).returncode != 0


def test_killed_from_outside(podman):
    name = podman.start()
    os.kill(podman.pid(name), signal.SIGKILL)
    assert podman("wait", name, check=True).stdout.strip() == "137"


def test_rm_force(podman):
    name = podman.start(command=["sh", "-c", "trap '' TERM; sleep 2000 & sleep 2001 & wait; wait"])
    pid = podman.pid(name)
    podman("rm", "-f", "-t", "0", name, check=True)
    assert not alive(pid)
    assert [d for d in cgroup_dirs(podman.parent) if name in d and "conmon" not in d] == []
    assert podman("inspect", name).returncode != 0


def test_rm_of_a_running_one_is_refused(podman):
    name = podman.start()
    assert podman("rm", name).returncode != 0
    assert alive(podman.pid(name))


def test_logs(podman):
    name = podman.start(command=["sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf partial"])
    podman("wait", name, check=True)
    p = podman("logs", name, check=True)
    assert re.findall("out .", p.stdout) == ["out 1", "out 2", "out 3"] and p.stdout.rstrip("\n").endswith("partial")
    assert lines(type(p)(p.args, 0, p.stderr, "")) == ["err 1", "err 2", "err 3"]


def test_top_and_stats_read_what_the_runtime_made(podman):
    name = podman.start("--memory", "64m")
    assert "sleep 1000" in podman("top", name, "args", check=True).stdout
    p = podman("stats", "--no-stream", "--no-reset", "--format", "{{.MemUsage}} {{.PIDs}}", name, check=True)
    assert "67.11MB" in p.stdout and p.stdout.split()[-1] == "1"


def test_state_that_podman_relies_on(podman):
    """The runtime's own list and state agree with podman."""
    from interoplib import sh
    name = podman.start()
    import json
    roots = [d for d, dirs, _ in os.walk(podman.root + "/run") if name in dirs] + [d for d, dirs, _ in os.walk("/run/" + os.path.basename(podman.runtime)) if name in dirs]
    states = [p for p in (sh(podman.runtime, "--root", r, "state", name, check=False) for r in roots) if p.returncode == 0]
    assert states, roots
    state = json.loads(states[0].stdout)
    assert (state["id"], state["status"], state["pid"]) == (name, "running", podman.pid(name)) and os.path.isdir(state["bundle"])
