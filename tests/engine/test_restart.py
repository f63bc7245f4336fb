"""Restart policies, system boot and health checks."""
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from conftest import wait_until
from test_life import events


def count(skiff, name):
    return skiff.inspect(name)['RestartCount']


def actions(skiff, name):
    return [e['Action'] for e in events(skiff, '--filter', f'container={name}')]


# --- policies ---

def test_on_failure_gives_up(skiff):
    skiff.detached('--name', 'f', '--restart', 'on-failure:2', '--', 'sh', '-c', 'echo life; exit 3')
    assert wait_until(lambda: skiff.state('f')['Status'] == 'exited')
    assert skiff.out('logs', 'f') == 'life\n' * 3 and count(skiff, 'f') == 2 and skiff.state('f')['ExitCode'] == 3
    assert actions(skiff, 'f') == ['create'] + ['start', 'die'] * 3
    assert skiff.inspect('f')['HostConfig']['RestartPolicy'] == {'Name': 'on-failure', 'MaximumRetryCount': 2}
    skiff('start', 'f')
    assert wait_until(lambda: skiff.out('logs', 'f') == 'life\n' * 6), 'a start by hand begins to count again'


def test_on_failure_ends_with_success(skiff):
    skiff.detached('--name', 'f', '--restart', 'on-failure', '--', 'sh', '-c', 'test -e /been || { touch /been; exit 1; }')
    assert wait_until(lambda: skiff.state('f')['Status'] == 'exited')
    assert count(skiff, 'f') == 1 and skiff.state('f')['ExitCode'] == 0


def test_always_until_stopped(skiff):
    cid = skiff.detached('--name', 'a', '--restart', 'always', '--', 'sh', '-c', 'echo $(cat /proc/1/stat | cut -d" " -f4); exit 0')
    monitor = next(int(p.name) for p in Path('/proc').glob('[0-9]*') if is_monitor(p, cid))
    assert wait_until(lambda: count(skiff, 'a') >= 2)
    assert skiff.state('a')['Restarting'] in (True, False) and re.search(r'Restarting \(0\)|Up ', skiff.out('ps'))
    assert skiff.out('stop', 'a') == 'a\n', 'also in the back-off'
    assert skiff.state('a')['Status'] == 'exited' and wait_until(lambda: not Path(f'/proc/{monitor}').exists())
    n = count(skiff, 'a')
    assert not wait_until(lambda: count(skiff, 'a') != n, 0.5)
    exit_json = json.loads((skiff.root / 'containers' / cid / 'exit.json').read_text())
    assert exit_json['manuallyStopped'] is True


def is_monitor(p, cid):
    try:
        return f'skiff-monitor\0{cid[:12]}'.encode() in (p / 'cmdline').read_bytes()
    except OSError:
        return False


def children(pid):
    return [int(c) for c in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def test_restarted_init_is_the_monitors_child(skiff):
    """The same monitor goes on; init is its child, so that its death is the container's; nothing else is left."""
    cid = skiff.detached('--name', 'c', '--restart', 'always', '--', 'sleep', '1000')
    monitor = skiff.monitor_pid('c')
    fds = sorted(os.listdir(f'/proc/{monitor}/fd'))
    for i in range(3):
        old = skiff.state('c')['Pid']
        os.kill(old, signal.SIGKILL)
        assert wait_until(lambda: count(skiff, 'c') == i + 1 and skiff.state('c')['Status'] == 'running')
        assert skiff.monitor_pid('c') == monitor and wait_until(lambda: children(monitor) == [skiff.state('c')['Pid']])
    assert wait_until(lambda: len(os.listdir(f'/proc/{monitor}/fd')) <= len(fds)), 'no descriptor is leaked'
    assert skiff.out('exec', 'c', 'echo', 'works') == 'works\n'
    os.kill(monitor, signal.SIGKILL)
    assert wait_until(lambda: skiff.state('c')['Status'] == 'exited') and skiff.state('c')['Error'] == 'monitor-lost'
    assert wait_until(lambda: not any(cid in c for c in cgroup_texts()))


def cgroup_texts():
    for p in Path('/proc').glob('[0-9]*'):
        try:
            yield (p / 'cgroup').read_text()
        except OSError:
            pass


def test_netns_is_kept(skiff):
    skiff.detached('--name', 'n', '--restart', 'always', '--', 'sleep', '1000')
    first = os.readlink(f"/proc/{skiff.state('n')['Pid']}/ns/net")
    os.kill(skiff.state('n')['Pid'], signal.SIGKILL)
    assert wait_until(lambda: count(skiff, 'n') == 1 and skiff.state('n')['Status'] == 'running')
    assert os.readlink(f"/proc/{skiff.state('n')['Pid']}/ns/net") == first


def test_restart_with_terminal(skiff):
    skiff.detached('-t', '--name', 't', '--restart', 'on-failure:1', '--', 'sh', '-c', 'tty && exit 1')
    assert wait_until(lambda: skiff.state('t')['Status'] == 'exited')
    assert skiff.out('logs', 't') == '/dev/pts/0\r\n' * 2 or skiff.out('logs', 't').count('/dev/') == 2


def test_kill_by_hand_ends_a_hangup_does_not(skiff):
    skiff.detached('--name', 'h', '--restart', 'always', '--', 'sleep', '1000')
    skiff.detached('--name', 'k', '--restart', 'always', '--', 'sleep', '1000')
    skiff('kill', '-s', 'ILL', 'h')
    skiff('kill', 'k')
    assert skiff.out('wait', 'k') == '137\n' and wait_until(lambda: skiff.state('k')['Status'] == 'exited')
    sig = skiff.state('h')
    assert sig['Running']


def test_wait_sees_each_end(skiff):
    skiff('create', '--name', 'w', '--restart', 'always', skiff.image, 'sh', '-c', 'sleep 0.3; exit 9')
    skiff('start', 'w')
    assert skiff.out('wait', 'w') == '9\n' and skiff.out('wait', 'w') == '9\n'


def test_foreground_ends_with_the_first_life(skiff):
    p = skiff('run', '--name', 'fg', '--restart', 'always', skiff.image, 'sh', '-c', 'echo one; exit 4', rc=4)
    assert p.stdout == 'one\n'
    assert wait_until(lambda: count(skiff, 'fg') >= 1), 'and it goes on'


def test_program_that_is_gone_is_tried_again(skiff):
    """A start that fails counts as an end; the state says why, and stop still ends it."""
    skiff.detached('--name', 'g', '--restart', 'always', '--', 'sh', '-c', 'rm /bin/sh')
    assert wait_until(lambda: count(skiff, 'g') >= 3)
    s = skiff.state('g')
    assert s['Restarting'] and s['ExitCode'] == 127
    skiff('stop', 'g')
    assert '"sh"' in skiff.state('g')['Error'] and skiff.state('g')['ExitCode'] == 127


def test_update_of_the_policy(skiff):
    skiff.detached('--name', 'u', '--', 'sleep', '1000')
    skiff('update', '--restart', 'on-failure:5', 'u')
    os.kill(skiff.state('u')['Pid'], signal.SIGKILL)
    assert wait_until(lambda: count(skiff, 'u') == 1 and skiff.state('u')['Status'] == 'running')
    skiff('update', '--restart', 'no', 'u')
    os.kill(skiff.state('u')['Pid'], signal.SIGKILL)
    assert skiff.out('wait', 'u') == '137\n' and wait_until(lambda: skiff.state('u')['Status'] == 'exited')


def test_conflicts(skiff):
    assert 'conflicting options: --restart and --rm' in skiff.run('--restart', 'always', '--', 'true', rc=125).stderr
    assert 'unknown policy' in skiff('run', '-d', '--restart', 'sometimes', skiff.image, 'true', rc=125).stderr
    assert "can only be used with 'on-failure'" in skiff('run', '-d', '--restart', 'always:3', skiff.image, 'true', rc=125).stderr


def test_rm_of_a_restarting_container(skiff):
    skiff.detached('--name', 'r', '--restart', 'always', '--', 'false')
    assert wait_until(lambda: count(skiff, 'r') >= 2)
    assert skiff('rm', 'r', rc=None).returncode == 1
    skiff('rm', '-f', 'r')
    assert skiff.out('ps', '-aq') == ''


# --- boot ---

def power_cut(skiff):
    """What a machine that went down leaves: nothing runs, /run is empty, the disk as it was."""
    import shutil
    for row in skiff.out('ps', '-q', '--no-trunc').split():
        os.kill(skiff.monitor_pid(row), signal.SIGKILL)
    assert wait_until(lambda: skiff.out('ps', '-q') == '')
    for top in [Path('/sys/fs/cgroup'), *Path('/sys/fs/cgroup').iterdir()]:
        for c in (top / 'skiff/c').glob('*'):
            if (skiff.root / 'containers' / c.name).exists():
                assert wait_until(lambda c=c: not (c / 'cgroup.procs').read_text())
                c.rmdir()
    shutil.rmtree(skiff.run_root)


def test_boot(skiff):
    for policy in ('no', 'always', 'unless-stopped', 'on-failure'):
        skiff.detached('--name', policy, '--restart', policy, '--', 'sleep', '1000')
        skiff.detached('--name', f'{policy}-stopped', '--restart', policy, '--', 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done')
        skiff('stop', f'{policy}-stopped')
    skiff('create', '--name', 'never-ran', '--restart', 'always', skiff.image, 'sleep', '1000')
    skiff.detached('--rm', '--name', 'gone', '--', 'sleep', '1000')
    power_cut(skiff)
    assert sorted(skiff.out('system', 'boot').split()) == ['always', 'always-stopped', 'on-failure', 'unless-stopped']
    up = skiff.out('ps', '--format', '{{.Names}}').split()
    assert sorted(up) == ['always', 'always-stopped', 'on-failure', 'unless-stopped']
    assert skiff.state('no')['ExitCode'] == 137 and skiff.state('never-ran')['Status'] == 'created'
    assert 'gone' not in skiff.out('ps', '-a')
    assert skiff.out('system', 'boot') == '', 'a second one finds nothing to do'


def test_shutdown_then_boot(skiff):
    """All get their signal at once, and those that are to run come back; stopped by hand they do not."""
    for n in 'abc':
        skiff.detached('--name', n, '--restart', 'unless-stopped', '--', 'sh', '-c', 'trap "sleep 0.4; exit 0" TERM; while :; do sleep 0.02; done')
    skiff.detached('--name', 'deaf', '--restart', 'unless-stopped', '--stop-timeout', '1', '--', 'sleep', '1000')
    skiff.sleeper('--name', 'plain')
    skiff('stop', 'c')
    assert sorted(skiff.out('system', 'shutdown').split()) == ['a', 'b', 'deaf', 'plain']
    assert skiff.out('ps', '-q') == '' and skiff.state('a')['ExitCode'] == 0 and skiff.state('deaf')['ExitCode'] == 137
    power_cut(skiff)
    assert sorted(skiff.out('system', 'boot').split()) == ['a', 'b', 'deaf']


# --- health ---

def health(skiff, name):
    return skiff.state(name)['Health']


def test_health_turns_and_is_told(skiff):
    cid = skiff.detached('--name', 'h', '--health-cmd', 'echo probe; test -e /ok', '--health-interval', '50ms', '--health-retries', '2', '--',
                         'sh', '-c', 'touch /ok; sleep 1000')
    assert health(skiff, 'h')['Status'] in ('starting', 'healthy')
    assert wait_until(lambda: health(skiff, 'h')['Status'] == 'healthy')
    assert '(healthy)' in skiff.out('ps') and skiff.out('ps', '-q', '--no-trunc', '-f', 'health=healthy').strip() == cid
    skiff('exec', 'h', 'rm', '/ok')
    assert skiff.out('wait', '--condition', 'unhealthy', 'h') == '0\n'
    h = health(skiff, 'h')
    assert h['Status'] == 'unhealthy' and h['FailingStreak'] >= 2 and h['Log'][-1]['ExitCode'] == 1 and h['Log'][-1]['Output'] == 'probe\n'
    assert 0 < len(h['Log']) <= 5 and h['Log'] == sorted(h['Log'], key=lambda x: x['Start'])
    assert '(unhealthy)' in skiff.out('ps')
    told = [a for a in actions(skiff, 'h') if a.startswith('health')]
    assert told == ['health_status: healthy', 'health_status: unhealthy'] and len(events(skiff, '--filter', 'event=health_status')) == 2
    assert 'exec_die' not in actions(skiff, 'h')[2:3], 'probes are no news'
    skiff('exec', 'h', 'touch', '/ok')
    assert skiff.out('wait', '--condition', 'healthy', 'h') == '0\n'
    config = skiff.inspect('h')['Config']['Healthcheck']
    assert config == {'Test': ['CMD-SHELL', 'echo probe; test -e /ok'], 'Interval': 50000000, 'Timeout': 30000000000, 'StartPeriod': 0,
                      'StartInterval': 5000000000, 'Retries': 2}


def test_health_time_out_and_output(skiff):
    skiff.detached('--name', 't', '--health-cmd', 'sleep 1000', '--health-interval', '20ms', '--health-timeout', '60ms', '--health-retries', '1', '--',
                   'sleep', '1000')
    skiff.detached('--name', 'o', '--health-cmd', 'head -c 20000 /dev/zero | tr "\\0" x', '--health-interval', '50ms', '--', 'sleep', '1000')
    assert wait_until(lambda: health(skiff, 't')['Status'] == 'unhealthy')
    last = health(skiff, 't')['Log'][-1]
    assert last['ExitCode'] == -1 and last['Output'] == 'Health check exceeded timeout (0.06s)'
    assert wait_until(lambda: health(skiff, 'o')['Status'] == 'healthy')
    assert health(skiff, 'o')['Log'][-1]['Output'] == 'x' * 4096


def test_health_leaves_nothing(skiff):
    """Probes one after the other: no zombie, no descriptor, no memory stays in the monitor."""
    skiff.detached('--name', 'z', '--health-cmd', 'exit 1', '--health-interval', '10ms', '--health-retries', '1000000', '--', 'sleep', '1000')
    monitor = skiff.monitor_pid('z')
    init = skiff.state('z')['Pid']
    assert wait_until(lambda: health(skiff, 'z')['FailingStreak'] >= 5)
    fds, rss = len(os.listdir(f'/proc/{monitor}/fd')), rss_kb(monitor)
    assert wait_until(lambda: health(skiff, 'z')['FailingStreak'] >= 60, 30)
    assert wait_until(lambda: len(os.listdir(f'/proc/{monitor}/fd')) <= fds), 'between two probes it has as many as before'
    assert rss_kb(monitor) <= rss + 64
    assert wait_until(lambda: len(children(monitor)) <= 2)
    states = [Path(f'/proc/{c}/stat').read_text().rpartition(')')[2].split()[0] for c in children(monitor)]
    assert init in children(monitor) and len(states) <= 2 and len(children(init)) == 0


def rss_kb(pid):
    return next(int(x.split()[1]) for x in Path(f'/proc/{pid}/status').read_text().splitlines() if x.startswith('VmRSS'))


@pytest.mark.parametrize('action, status, restarts', [('kill', 'exited', 0), ('stop', 'exited', 0), ('restart', 'running', 1)])
def test_health_actions(skiff, action, status, restarts):
    skiff.detached('--name', 'x', '--health-cmd', 'test ! -e /bad', '--health-interval', '20ms', '--health-retries', '1', '--health-on-failure', action,
                   '--stop-timeout', '5', '--', 'sh', '-c', 'trap "exit 8" TERM; rm -f /bad; while :; do sleep 0.05; done')
    assert wait_until(lambda: health(skiff, 'x')['Status'] == 'healthy')
    skiff('exec', 'x', 'touch', '/bad')
    assert wait_until(lambda: skiff.state('x')['Status'] == status and count(skiff, 'x') == restarts)
    if status == 'exited':
        assert skiff.state('x')['ExitCode'] == (137 if action == 'kill' else 8)


def test_health_start_period(skiff):
    """In it failures do not count, and the start interval is used."""
    skiff.detached('--name', 's', '--health-cmd', 'false', '--health-interval', '50ms', '--health-start-period', '1h', '--health-start-interval', '20ms',
                   '--health-retries', '1', '--', 'sleep', '1000')
    assert wait_until(lambda: len(health(skiff, 's')['Log']) == 5)
    assert health(skiff, 's')['Status'] == 'starting' and health(skiff, 's')['FailingStreak'] == 0
    assert '(health: starting)' in skiff.out('ps')


def test_healthcheck_run(skiff):
    skiff.detached('--name', 'm', '--health-cmd', '["CMD", "test", "-e", "/ok"]', '--health-interval', '1h', '--health-retries', '1', '--', 'sleep', '1000')
    assert skiff('healthcheck', 'run', 'm', rc=1).stdout == 'unhealthy\n'
    skiff('exec', 'm', 'touch', '/ok')
    assert skiff.out('healthcheck', 'run', 'm') == '' and health(skiff, 'm')['Status'] == 'healthy'
    skiff.sleeper('--name', 'none')
    assert 'has no defined healthcheck' in skiff('healthcheck', 'run', 'none', rc=125).stderr


def test_health_flags(skiff):
    skiff.detached('--name', 'n', '--no-healthcheck', '--', 'sleep', '1000')
    assert 'Health' not in skiff.state('n') and 'Healthcheck' not in skiff.inspect('n')['Config']
    assert 'conflicts with --health-*' in skiff('run', '-d', '--no-healthcheck', '--health-cmd', 'x', skiff.image, 'true', rc=125).stderr
    assert 'expected a duration' in skiff('run', '-d', '--health-interval', '5', skiff.image, 'true', rc=125).stderr
    assert 'at least 1ms' in skiff('run', '-d', '--health-interval', '5us', skiff.image, 'true', rc=125).stderr
