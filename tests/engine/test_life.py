"""create, start, restart, attach, rename, pause, wait, update, top, stats, events, prune: the life of a container beyond run."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import wait_until


# --- create, start ---

def test_create_then_start(skiff):
    cid = skiff.out('create', '--name', 'c', skiff.image, 'sh', '-c', 'echo hello; exit 3').strip()
    assert len(cid) == 64 and skiff.state('c')['Status'] == 'created' and 'Created' in skiff.out('ps', '-a')
    assert skiff.out('start', 'c') == 'c\n'
    assert skiff.out('wait', 'c') == '3\n' and skiff.out('logs', 'c') == 'hello\n'
    assert skiff.out('start', '-a', 'c', rc=3) == 'hello\n', 'a second life has the same root and writes to the same log'
    assert skiff.out('logs', 'c') == 'hello\nhello\n'


def test_create_has_no_flags_of_a_foreground(skiff):
    assert "unknown shorthand flag: 'd' in -d" in skiff('create', '-d', skiff.image, rc=125).stderr


def test_start_keeps_what_was_written(skiff):
    skiff('run', '--name', 'w', skiff.image, 'sh', '-c', 'echo x >> /count')
    for _ in range(2):
        skiff('start', '-a', 'w')
    skiff('start', '-a', 'w')
    out = subprocess.run(skiff.argv('export', 'w'), capture_output=True, check=True, env=skiff.env).stdout
    assert subprocess.run(['tar', 'xO', 'count'], input=out, capture_output=True, check=True).stdout == b'x\n' * 4


def test_start_of_what_runs_is_no_error(skiff):
    skiff.sleeper('--name', 's')
    pid = skiff.state('s')['Pid']
    assert skiff.out('start', 's') == 's\n' and skiff.state('s')['Pid'] == pid
    assert 'No such container: nope' in skiff('start', 'nope', rc=1).stderr


def test_start_interactive(skiff):
    skiff('create', '-i', '--name', 'cat', skiff.image, 'cat')
    assert skiff.out('start', '-ai', 'cat', input='over\n') == 'over\n'


def test_failed_start_is_said_again(skiff):
    skiff('create', '--name', 'bad', skiff.image, '/nowhere')
    p = skiff('start', 'bad', rc=1)
    assert '/nowhere' in p.stderr and skiff.state('bad')['Status'] == 'created' and '/nowhere' in skiff.state('bad')['Error']


# --- restart ---

def test_restart(skiff):
    cid = skiff.sleeper('--name', 'r')
    first = skiff.state('r')
    assert skiff.out('restart', '-t', '5', 'r') == 'r\n'
    second = skiff.state('r')
    assert second['Running'] and second['Pid'] != first['Pid'] and second['StartedAt'] > first['StartedAt'] and skiff.inspect('r')['Id'] == cid
    skiff('stop', 'r')
    skiff('restart', 'r')
    assert skiff.state('r')['Running'], 'one that does not run is started'


def test_restart_of_rm_does_not_remove(skiff):
    """docker: --rm waits for an end that is not part of a restart."""
    skiff.sleeper('--rm', '--name', 'r')
    for _ in range(3):
        skiff('restart', '-t', '5', 'r')
        assert skiff.state('r')['Running']
    skiff('stop', 'r')
    assert wait_until(lambda: skiff.out('ps', '-aq') == '')


# --- rename ---

def test_rename(skiff):
    cid = skiff.sleeper('--name', 'old')
    skiff.sleeper('--name', 'taken')
    assert 'is already in use' in skiff('rename', 'old', 'taken', rc=1).stderr
    assert 'Invalid container name (a/b)' in skiff('rename', 'old', 'a/b', rc=1).stderr
    assert 'same name' in skiff('rename', 'old', 'old', rc=1).stderr
    assert skiff.out('rename', 'old', 'new') == ''
    assert skiff.inspect('new')['Id'] == cid and skiff.inspect('new')['Name'] == '/new' and 'No such' in skiff('inspect', 'old', rc=1).stderr
    assert skiff.out('ps', '-f', 'name=new', '--format', '{{.Names}}') == 'new\n'
    skiff('run', '--name', 'old', skiff.image, 'true')  # the old name is free
    skiff('stop', 'new')
    assert skiff.state('new')['Status'] == 'exited'


# --- pause ---

def test_pause(skiff):
    cid = skiff.detached('--name', 'p', '--', 'sh', '-c', 'trap "exit 5" TERM; while :; do echo x; sleep 0.01; done')
    assert skiff.out('pause', 'p') == 'p\n'
    assert skiff.state('p')['Paused'] and skiff.state('p')['Running'] and skiff.state('p')['Status'] == 'paused'
    assert '(Paused)' in skiff.out('ps') and 'is already paused' in skiff('pause', 'p', rc=1).stderr
    assert 'unpause' in skiff('exec', 'p', 'true', rc=1).stderr and 'cannot start a paused container' in skiff('start', 'p', rc=1).stderr
    log = skiff.root / 'containers' / cid / 'log' / f'{cid}-json.log'
    wait_until(lambda: False, 0.1)  # what was in the pipe is written
    size = log.stat().st_size
    wait_until(lambda: log.stat().st_size != size, 0.3)
    assert log.stat().st_size == size
    assert skiff.out('unpause', 'p') == 'p\n' and wait_until(lambda: log.stat().st_size > size)
    assert 'is not paused' in skiff('unpause', 'p', rc=1).stderr
    skiff('pause', 'p')
    skiff('stop', '-t', '5', 'p')
    assert skiff.state('p')['ExitCode'] == 5, 'stop thaws, so that the workload can end by itself'


def test_kill_of_paused(skiff):
    skiff.sleeper('--name', 'p')
    skiff('pause', 'p')
    skiff('kill', 'p')
    assert skiff.out('wait', 'p') == '137\n'
    assert 'is not running' in skiff('pause', 'p', rc=1).stderr


# --- attach ---

def test_attach_reads_and_ends_with_the_status(skiff):
    skiff('create', '-i', '--name', 'a', skiff.image, 'sh', '-c', 'read x; echo got $x; exit 4')
    skiff('start', 'a')
    p = skiff.popen('attach', 'a', stdin=subprocess.PIPE)
    out, err = p.communicate(b'word\n', timeout=20)
    assert (out, p.returncode) == (b'got word\n', 4), err
    assert 'You cannot attach to a stopped container, start it first' in skiff('attach', 'a', rc=1).stderr


def test_attach_passes_signals_on(skiff):
    skiff.detached('--name', 'a', '--', 'sh', '-c', 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done')
    assert wait_until(lambda: 'up' in skiff.out('logs', 'a'))
    p = skiff.popen('attach', '--no-stdin', 'a')
    assert wait_until(lambda: 'signalfd' in fds_of(p.pid))
    p.send_signal(signal.SIGTERM)
    assert p.wait(20) == 7


def test_attach_without_sig_proxy(skiff):
    skiff.sleeper('--name', 'a')
    p = skiff.popen('attach', '--no-stdin', '--sig-proxy=false', 'a')
    assert wait_until(lambda: 'signalfd' in fds_of(p.pid))
    p.send_signal(signal.SIGTERM)
    p.wait(20)
    assert skiff.state('a')['Running']


def fds_of(pid):
    found = ''
    for f in Path(f'/proc/{pid}/fd').iterdir():
        try:
            found += os.readlink(f)
        except OSError:
            pass
    return found


def test_run_attached_to_some_streams(skiff):
    p = skiff.run('-a', 'stdout', '--', 'sh', '-c', 'echo out; echo err >&2')
    assert (p.stdout, p.stderr) == ('out\n', '')
    p = skiff.run('-a', 'stderr', '--', 'sh', '-c', 'echo out; echo err >&2')
    assert (p.stdout, p.stderr) == ('', 'err\n')
    assert skiff.run('-i', '-a', 'stdin', '-a', 'STDOUT', '--', 'cat', input='x').stdout == 'x'
    assert 'valid streams are' in skiff.run('-a', 'all', '--', 'true', rc=125).stderr
    assert 'Conflicting options: -a and -d' in skiff('run', '-d', '-a', 'stdout', skiff.image, 'true', rc=125).stderr


# --- wait ---

def test_wait_conditions(skiff):
    skiff('create', '--name', 'w', skiff.image, 'sh', '-c', 'exit 6')
    assert skiff.out('wait', '--condition', 'created', 'w') == '0\n' and skiff.out('wait', 'w') == '0\n'
    assert 'invalid condition: "nope"' in skiff('wait', '--condition', 'nope', 'w', rc=1).stderr
    skiff('start', '-a', 'w', rc=6)  # a life before the wait is not waited for
    waiting = {c: skiff.popen('wait', '--condition', c, 'w') for c in ('running', 'next-exit', 'removed')}
    assert all(wait_until(lambda p=p: 'inotify' in fds_of(p.pid) and 'poll' in Path(f'/proc/{p.pid}/wchan').read_text()) for p in waiting.values())
    os.kill(waiting['running'].pid, signal.SIGSTOP)  # sees the container only when it has ended
    skiff('start', '-a', 'w', rc=6)
    os.kill(waiting['running'].pid, signal.SIGCONT)
    assert waiting['running'].wait(20) == 0
    assert waiting['next-exit'].communicate(timeout=20)[0] == b'6\n'
    skiff('rm', 'w')
    assert waiting['removed'].wait(20) == 0
    assert 'No such container' in skiff('wait', 'w', rc=1).stderr and skiff.out('wait', '--ignore', 'w') == ''
    skiff.sleeper('--name', 'up')
    assert skiff.out('wait', '--condition', 'running', 'up') == '0\n'


# --- several at once ---

def test_all_latest_filter(skiff):
    for n in 'abc':
        skiff.sleeper('--name', n, '--label', f'is={n}')
    assert len(skiff.out('pause', '--all').split()) == 3 and len(skiff.out('unpause', '--filter', 'name=a', '--filter', 'name=b').split()) == 2
    assert skiff.out('kill', '--filter', 'label=is=a').strip() and wait_until(lambda: skiff.state('a')['Status'] == 'exited')
    assert skiff.out('stop', '--latest', '-t', '1').strip() and skiff.state('c')['Status'] == 'exited'
    assert skiff.state('b')['Running']
    assert len(skiff.out('stop', '--all', '-t', '1').split()) == 1
    assert len(skiff.out('start', '--all').split()) == 3
    assert '"skiff stop" requires at least 1 argument.' in skiff('stop', rc=125).stderr
    assert 'cannot be combined' in skiff('stop', '--all', 'a', rc=125).stderr
    assert len(skiff.out('rm', '-f', '--all').split()) == 3 and skiff.out('ps', '-aq') == ''


def test_exists(skiff):
    skiff.sleeper('--name', 'there')
    assert skiff('container', 'exists', 'there').stdout == '' and skiff('container', 'exists', 'not', rc=1).stderr == ''


def test_prune(skiff):
    skiff.sleeper('--name', 'up')
    old = skiff.out('create', '--label', 'keep=yes', skiff.image, 'true').strip()
    done = skiff.out('create', skiff.image, 'true').strip()
    assert 'Are you sure' in skiff.out('container', 'prune', input='n\n') and len(skiff.out('ps', '-aq').split()) == 3
    assert skiff.out('container', 'prune', '-f', '--filter', 'until=1h') == 'Total reclaimed space: 0B\n'
    out = skiff.out('container', 'prune', '-f', '--filter', 'label!=keep')
    assert out.startswith(f'Deleted Containers:\n{done}\n\nTotal reclaimed space: ')
    assert old in skiff.out('container', 'prune', '-f', '--filter', 'label=keep=yes')
    assert skiff.out('ps', '-aq', '--format', '{{.Names}}') == 'up\n'
    assert "invalid filter 'x'" in skiff('container', 'prune', '-f', '--filter', 'x=y', rc=1).stderr


# --- top ---

def test_top(skiff):
    skiff.detached('--name', 't', '-u', '4242', '--', 'sh', '-c', 'sleep 1000 & wait')
    lines = skiff.out('top', 't').splitlines()
    assert lines[0].split() == ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'] and len(lines) == 3
    assert lines[1].split()[0] == '4242' and lines[2].endswith('sleep 1000')
    assert int(lines[1].split()[1]) == skiff.state('t')['Pid']
    own = [r.split() for r in skiff.out('top', 't', 'pid,ppid', 'comm', 'seccomp', 'capeff').splitlines()]
    assert own[1] == ['1', '0', 'sh', 'filter', 'none'] and own[2][1:3] == ['1', 'sleep']
    ps = skiff.out('top', 't', '-o', 'pid,args').splitlines()
    assert ps[0].split() == ['PID', 'COMMAND'] and len(ps) == 3 and ps[2].endswith('sleep 1000')
    assert len(skiff.out('top', 't', 'aux').splitlines()) == 3
    assert "Couldn't find PID field" in skiff('top', 't', '-o', 'args', rc=1).stderr
    assert "is no descriptor" in skiff('top', 't', 'pid', 'nope', rc=1).stderr
    skiff('kill', 't')
    skiff('wait', 't')
    assert 'is not running' in skiff('top', 't', rc=1).stderr


# --- stats ---

def test_stats(skiff):
    cid = skiff.detached('--name', 'busy', '-m', '64m', '--', 'sh', '-c', 'while :; do :; done')
    skiff('create', '--name', 'idle', skiff.image, 'true')
    lines = skiff.out('stats', '--no-stream').splitlines()
    assert re.split(r'\s{2,}', lines[0].strip()) == ['CONTAINER ID', 'NAME', 'CPU %', 'MEM USAGE / LIMIT', 'MEM %', 'NET I/O', 'BLOCK I/O', 'PIDS']
    assert len(lines) == 2 and re.match(rf'{cid[:12]}   busy +\d+\.\d\d% +[\d.]+[KM]iB / 64MiB +\d+\.\d\d% +\S+ / \S+ +.* / .* +1$', lines[1]), lines[1]
    assert len(skiff.out('stats', '--no-stream', '-a').splitlines()) == 3
    row = json.loads(skiff.out('stats', '--no-stream', '--format', 'json', 'busy'))
    assert row['Name'] == 'busy' and row['ID'] == cid[:12] and row['PIDs'] == '1'
    assert wait_until(lambda: float(skiff.out('stats', '--no-stream', '--format', '{{.CPUPerc}}', 'busy').strip()[:-1]) > 5)
    assert skiff.out('stats', '--no-stream', '--format', '{{.Container}} {{.PIDs}}', 'busy') == 'busy 1\n'
    assert 'No such container' in skiff('stats', '--no-stream', 'nope', rc=1).stderr
    p = skiff.popen('stats', '--format', '{{.Name}}')
    assert p.stdout.readline() == b'busy\n'
    p.kill()
    p.wait()


# --- update ---

def cgroup_value(cid, v1, v2):
    for f in [Path('/sys/fs/cgroup') / v1.format(cid), Path('/sys/fs/cgroup') / v2.format(cid)]:
        if f.exists():
            return f.read_text().strip()
    raise AssertionError('no cgroup file')


def test_update_of_a_running_container(skiff):
    cid = skiff.sleeper('--name', 'u', '-m', '64m')
    assert skiff.out('update', '-m', '96m', '--pids-limit', '33', '--cpus', '0.5', 'u') == 'u\n'
    assert cgroup_value(cid, 'memory/skiff/c/{}/memory.limit_in_bytes', 'skiff/c/{}/memory.max') == str(96 << 20)
    assert cgroup_value(cid, 'pids/skiff/c/{}/pids.max', 'skiff/c/{}/pids.max') == '33'
    assert skiff.inspect('u')['HostConfig']['Memory'] == 96 << 20 and skiff.inspect('u')['HostConfig']['NanoCpus'] == 500000000
    skiff('restart', '-t', '5', 'u')
    assert cgroup_value(cid, 'memory/skiff/c/{}/memory.limit_in_bytes', 'skiff/c/{}/memory.max') == str(96 << 20), 'and it stays'
    assert 'Minimum memory limit allowed is 6MB' in skiff('update', '-m', '1m', 'u', rc=1).stderr
    assert 'unknown policy' in skiff('update', '--restart', 'sometimes', 'u', rc=1).stderr


# --- events ---

def events(skiff, *args):
    return [json.loads(x) for x in skiff.out('events', '--format', 'json', '--until', '0s', *args).splitlines()]


def test_events(skiff):
    cid = skiff.out('run', '-d', '--name', 'e', '--label', 'a=b', skiff.image, 'sh', '-c', 'exit 3').strip()
    skiff('wait', 'e')
    skiff('rename', 'e', 'f')
    got = [(e['Type'], e['Action']) for e in events(skiff)]
    assert got == [('container', 'create'), ('container', 'start'), ('container', 'die'), ('container', 'rename')]
    die = events(skiff, '--filter', 'event=die')
    assert len(die) == 1 and die[0]['Actor'] == {'ID': cid, 'Attributes': {'exitCode': '3', 'image': skiff.image, 'name': 'e'}}
    assert die[0]['timeNano'] // 10 ** 9 == die[0]['time'] and die[0]['status'] == 'die'
    assert events(skiff, '--filter', 'type=image') == [] and len(events(skiff, '--filter', f'container={cid[:8]}')) == 4
    assert len(events(skiff, '--filter', 'label=a=b')) == 4 and events(skiff, '--filter', 'label=a=c') == []
    assert "invalid filter 'x'" in skiff('events', '--until', '0s', '--filter', 'x=y', rc=1).stderr
    line = skiff.out('events', '--until', '0s', '--filter', 'event=die')
    assert re.match(r'^\d{4}-\d\d-\d\dT[\d:.]+Z container die ' + cid + r' \(exitCode=3, image=\S+, name=e\)\n$', line), line


def test_events_resume_by_cursor(skiff):
    skiff('create', '--name', 'one', skiff.image, 'true')
    cursor = events(skiff)[-1]['Cursor']
    skiff('create', '--name', 'two', skiff.image, 'true')
    assert [e['Actor']['Attributes']['name'] for e in events(skiff, '--cursor', cursor)] == ['two']
    assert 'invalid cursor' in skiff('events', '--until', '0s', '--cursor', 'x', rc=1).stderr
    boot, ino, off = cursor.split(':')
    assert 'not kept any more' in skiff('events', '--until', '0s', '--cursor', f'{boot}:{int(ino) + 1}:{off}', rc=1).stderr


def test_events_follow_across_rotation(skiff):
    """A follower misses nothing when the log is rotated under it."""
    p = skiff.popen('events', '--filter', 'event=create', '--format', '{{.Actor.Attributes.name}}')
    assert wait_until(lambda: 'inotify' in fds_of(p.pid))
    skiff('create', '--name', 'before', skiff.image, 'true')
    assert p.stdout.readline() == b'before\n'
    log = skiff.run_root / 'events' / 'log.0'
    filler = json.dumps({'v': 1, 'time': 1, 'type': 'image', 'action': 'pull', 'id': '', 'name': 'x' * 900, 'image': ''}) + '\n'
    with log.open('a') as f:
        f.write(filler * ((4 << 20) // len(filler) + 1))
    for n in ('rotates', 'after'):
        skiff('create', '--name', n, skiff.image, 'true')
    assert (skiff.run_root / 'events' / 'log.1').exists()
    assert [p.stdout.readline() for _ in range(2)] == [b'rotates\n', b'after\n']
    p.kill()
    p.wait()


# --- logs of several ---

def test_logs_of_several(skiff):
    for n in 'ab':
        skiff('run', '--name', n, skiff.image, 'echo', f'from {n}')
    assert sorted(skiff.out('logs', '--names', 'a', 'b').splitlines()) == ['a from a', 'b from b']
    assert skiff.out('logs', 'a', 'b') == 'from a\nfrom b\n'


if __name__ == '__main__':
    pytest.main([__file__])
