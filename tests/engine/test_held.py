"""init: a container that is ready and whose process waits for `start`, under its monitor."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import TIMEOUT, wait_until


def test_ready_then_started(skiff):
    cid = skiff.out('create', '--name', 'x', '-p', '0:80', skiff.image, 'sh', '-c', 'echo hello; exit 3').strip()
    waiting = skiff.popen('wait', '--condition', 'initialized', 'x')
    assert skiff.out('init', 'x') == 'x\n' and waiting.wait(20) == 0
    assert skiff.out('ps', '-q') == '' and skiff.out('ps', '-a', '--format', '{{.Status}}|{{.State}}') == 'Initialized|initialized\n'
    assert skiff.out('ps', '-aq', '--no-trunc', '--filter', 'status=initialized') == cid + '\n'
    state = skiff.state('x')
    assert state['Status'] == 'initialized' and not state['Running'] and state['StartedAt'].startswith('0001')
    assert 'eth0:' in Path(f'/proc/{state["Pid"]}/net/dev').read_text() and skiff.out('port', 'x').startswith('80/tcp')
    assert skiff.out('logs', 'x') == ''
    for args in (('exec', 'x', 'true'), ('pause', 'x'), ('top', 'x'), ('kill', 'x')):
        assert 'is not running' in skiff(*args, rc=1).stderr
    assert f'container {cid} has already been created in runtime: container state improper' in skiff('init', 'x', rc=1).stderr
    (skiff.tmp / 'f').write_text('in')
    skiff('cp', skiff.tmp / 'f', 'x:/f')
    skiff('update', '--memory', '32m', '--memory-swap', '32m', 'x')
    assert skiff.run('--network', 'container:x', '--', 'cat', '/proc/net/dev').stdout.count('eth0') == 1
    assert skiff.out('start', '-a', 'x', rc=3) == 'hello\n' and skiff.state('x')['ExitCode'] == 3
    actions = skiff.out('events', '--since', '5m', '--until', '0s', '--filter', 'container=x', '--format', '{{.Action}}').split()
    assert [a for a in actions if a in ('create', 'init', 'start', 'die')] == ['create', 'init', 'start', 'die']
    assert skiff.out('init', '--all').strip() == cid and skiff.out('restart', 'x') == 'x\n'
    assert skiff.out('wait', 'x') == '3\n' and skiff.out('system', 'check') == 'Everything is in order.\n'


def test_ends_without_a_start(skiff):
    skiff('create', '--name', 'x', '--restart', 'always', '--health-cmd', 'true', '--health-interval', '100ms', skiff.image, 'sleep', '1000')
    skiff('init', 'x')
    assert skiff.out('stop', '-t', '0', 'x') == 'x\n' and skiff.state('x')['Status'] == 'exited'  # no policy for what never ran
    skiff('init', 'x')
    assert 'Health' not in skiff.state('x') or skiff.state('x')['Health']['Log'] in (None, [])
    os.kill(skiff.state('x')['Pid'], signal.SIGKILL)
    assert wait_until(lambda: skiff.state('x')['Status'] == 'exited')
    skiff('init', 'x')
    pid = skiff.state('x')['Pid']
    os.kill(skiff.monitor_pid('x'), signal.SIGKILL)  # and its container with it
    assert wait_until(lambda: not Path(f'/proc/{pid}').exists()) and skiff.state('x')['Status'] == 'exited'
    skiff('init', 'x')
    skiff('start', 'x')
    assert wait_until(lambda: skiff.state('x')['Health']['Status'] == 'healthy')
    os.kill(skiff.state('x')['Pid'], signal.SIGKILL)
    assert wait_until(lambda: skiff.inspect('x')['RestartCount'] == 1), 'from the start on it is as any other'
    skiff('rm', '-f', 'x')
    skiff('create', '--name', 'y', '--rm', skiff.image, 'true')
    skiff('init', 'y')
    assert skiff.out('rm', 'y') == 'y\n' and skiff.out('ps', '-aq') == ''


def test_starts_that_fail(skiff):
    skiff('create', '--name', 'x', skiff.image, 'nosuch')
    assert '"nosuch": executable file not found in $PATH' in skiff('init', 'x', rc=1).stderr and skiff.state('x')['Status'] == 'created'
    bad = skiff.tmp / 'bad'
    bad.write_bytes(b'\x7fELF no program')
    bad.chmod(0o755)
    skiff('create', '--name', 'y', '--restart', 'always', '-v', f'{bad}:/bad', skiff.image, '/bad')
    skiff('init', 'y')  # only the kernel knows that it is none
    assert '/bad' in skiff('start', 'y', rc=None).stderr
    state = skiff.state('y')
    assert state['Status'] == 'created' and '/bad' in state['Error'] and state['Pid'] == 0
    # A start that was killed after it said so, and before the process ran: the next one goes on.
    skiff('create', '--name', 'z', skiff.image, 'sh', '-c', 'exit 4')
    skiff('init', 'z')
    link = skiff.run_root / 'summary' / skiff.inspect('z')['Id']
    line = os.readlink(link).replace('|initialized|', '|running|')
    link.unlink()
    link.symlink_to(line)
    assert skiff.out('start', 'z') == 'z\n' and skiff.out('wait', 'z') == '4\n'


def ready(skiff):
    skiff('create', '--name', 'x', skiff.image, 'sh', '-c', 'trap "exit 5" TERM; echo once; while :; do sleep 0.1; done')
    skiff('init', 'x')
    return skiff.state('x')['Pid'], skiff.run_root / 'containers' / skiff.inspect('x')['Id']


def test_a_start_killed_after_the_process_ran(skiff):
    """The process runs, and the fifos that it waited on are still there: the next start ends what the first began, and kills nothing."""
    pid, run = ready(skiff)
    skiff('start', 'x')
    os.mkfifo(run / 'exec.fifo', 0o600)  # as before the last thing that a start does
    (run / 'answer').mkdir()
    os.mkfifo(run / 'answer' / 'exec.fifo', 0o600)
    assert skiff.state('x')['Status'] == 'running' and skiff.out('exec', 'x', 'echo', 'in') == 'in\n'
    assert skiff.out('start', 'x') == 'x\n' and skiff.state('x')['Pid'] == pid and skiff.out('start', 'x') == 'x\n'
    assert not (run / 'exec.fifo').exists() and not (run / 'answer').exists()
    assert wait_until(lambda: skiff.out('logs', 'x') == 'once\n')
    skiff('stop', 'x')
    assert skiff.out('wait', 'x') == '5\n' and skiff.out('system', 'check') == 'Everything is in order.\n'


def test_a_start_killed_in_two_places(skiff):
    """skiff-launch before it removes the fifo, skiff while it undoes what failed: the next start is a new life."""
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    pid, _ = ready(skiff)
    subprocess.run(['strace', '-f', '-o', str(skiff.tmp / 'trace'), '-P', 'exec.fifo', '-e', 'trace=unlinkat',
                    '-e', 'inject=unlinkat:error=EIO:signal=KILL', *skiff.argv('start', 'x')],
                   env=skiff.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    assert (skiff.tmp / 'trace').read_text().count('killed by SIGKILL') == 2
    assert wait_until(lambda: not Path(f'/proc/{pid}').exists()) and not skiff.state('x')['Running']
    assert skiff.out('start', 'x') == 'x\n' and skiff.state('x')['Pid'] not in (0, pid)
    assert wait_until(lambda: skiff.out('logs', 'x').endswith('once\n'))
    assert skiff.out('system', 'check') == 'Everything is in order.\n'
