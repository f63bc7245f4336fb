"""kill -9 of every process of ours, and crashes at every stage: `system check --repair` (or the reap before it) leaves nothing."""
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import wait_until


def alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


def repair(skiff):
    return skiff('system', 'check', '--repair', rc=None).stdout


def test_monitor_killed(skiff, kill9):
    cid = skiff.sleeper('--name', 'm')
    init = skiff.state('m')['Pid']
    kill9(skiff.monitor_pid('m'))
    assert wait_until(lambda: not alive(init)), 'init outlived its monitor'
    st = skiff.state('m')
    assert (st['Status'], st['ExitCode'], st['Running']) == ('exited', 137, False)
    assert 'Exited (137)' in skiff.out('ps', '-a') and skiff.out('ps', '-q') == ''
    assert skiff.out('wait', 'm') == '137\n'
    assert f'container {cid}: its monitor is gone; recorded as exited (137)' in repair(skiff)
    assert not list(skiff.run_root.glob(f'containers/{cid}'))
    assert skiff.state('m')['ExitCode'] == 137
    assert skiff.out('rm', 'm') == 'm\n'


def test_monitor_of_rm_container_killed(skiff, kill9):
    skiff.detached('--rm', '--name', 'm', '--', 'sleep', '100')
    kill9(skiff.monitor_pid('m'))
    repair(skiff)
    skiff.assert_clean()


def test_monitor_and_daemonised_child(skiff, kill9):
    """Processes that outlive init's death signal are found by their cgroup."""
    skiff.detached('--name', 'm', '--', 'sh', '-c', 'setsid sleep 1000 & sleep 1000')
    kill9(skiff.monitor_pid('m'))
    repair(skiff)
    skiff('rm', 'm')
    skiff.assert_clean()


def test_monitor_killed_under_a_foreground_run(skiff, kill9):
    p = skiff.popen('run', '--rm', '--name', 'fg', skiff.image, 'sh', '-c', 'echo up; sleep 100')
    assert p.stdout.readline() == b'up\n'
    kill9(skiff.monitor_pid('fg'))
    out, err = p.communicate(timeout=30)
    assert p.returncode == 137 and b'monitor' in err
    skiff.assert_clean()


def test_stop_and_rm_after_the_monitor(skiff, kill9):
    for name in 'ab':
        skiff.sleeper('--name', name)
        kill9(skiff.monitor_pid(name))
    assert skiff.out('stop', 'a') == 'a\n'
    assert skiff.out('rm', 'a') == 'a\n'
    assert skiff.out('rm', '-f', 'b') == 'b\n'
    skiff.assert_clean()


def test_init_killed(skiff, kill9):
    skiff.sleeper('--name', 'i')
    kill9(skiff.state('i')['Pid'])
    assert skiff.out('wait', 'i') == '137\n'
    assert skiff.state('i')['ExitCode'] == 137


def test_exec_monitor_killed(skiff, kill9):
    skiff.sleeper('--name', 'e')
    p = skiff.popen('exec', 'e', 'sh', '-c', 'echo up; sleep 1000')
    assert p.stdout.readline() == b'up\n'
    found = [x for x in Path('/proc').glob('[0-9]*') if x.joinpath('stat').exists() and
             f' {p.pid} ' in x.joinpath('stat').read_text().rpartition(')')[2][:12]]
    for x in found:
        kill9(int(x.name))
    p.communicate(timeout=20)
    assert p.returncode == 137
    assert skiff.out('exec', 'e', 'echo', 'on') == 'on\n'


@pytest.mark.parametrize('delay_ms', [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30])
def test_client_killed_at_any_moment(skiff, kill9, delay_ms):
    """The client is killed while it creates, starts or cleans up."""
    for i in range(3):
        p = skiff.popen('run', '--rm', '--name', f'c{i}', skiff.image, 'true')
        time.sleep(delay_ms / 1000 + random.random() / 500)
        kill9(p.pid)
        p.wait()
    # a container whose start went on without us ends and is reaped by its monitor
    wait_until(lambda: skiff.out('ps', '-q') == '' and not running_ours(skiff), 10)
    repair(skiff)
    skiff.assert_clean()


def running_ours(skiff):
    for p in Path('/proc').glob('[0-9]*'):
        try:
            text = (p / 'cmdline').read_bytes().decode(errors='replace')
        except OSError:
            continue
        if 'skiff-launch' in text or ('skiff' in text and str(skiff.run_root) in text):
            return True
    return False


@pytest.mark.parametrize('delay_ms', [2, 4, 6, 8, 10, 14])
def test_launch_killed_at_any_moment(skiff, kill9, delay_ms):
    for i in range(3):
        p = skiff.popen('run', '--rm', '--name', f'c{i}', skiff.image, 'sleep', '0.2')
        time.sleep(delay_ms / 1000)
        for child in children(p.pid):
            kill9(child)
        p.communicate(timeout=70)
    repair(skiff)
    skiff.assert_clean()


def children(pid):
    try:
        return [int(x) for x in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
    except OSError:
        return []


def test_pull_killed(empty, kill9):
    for delay in (0.005, 0.02, 0.05, 0.1):
        p = empty.popen('pull', empty.image)
        time.sleep(delay)
        kill9(p.pid)
        p.wait()
        wait_until(lambda: not [x for x in Path('/proc').glob('[0-9]*/comm') if safe_read(x) == 'skiff-image\n' and in_root(x.parent, empty)], 5)
    repair(empty)
    assert empty.run('--pull', 'missing', '--', 'echo', 'ok').stdout == 'ok\n'
    empty('rmi', empty.image)
    repair(empty)


def safe_read(path):
    try:
        return path.read_text()
    except OSError:
        return ''


def in_root(proc, skiff):
    try:
        return any(str(skiff.root) in os.readlink(x) for x in (proc / 'fd').iterdir())
    except OSError:
        return False


# --- things that do not belong there ---

def test_litter_is_found_and_removed(skiff):
    fake = 'f' * 64
    (skiff.root / 'containers' / fake).mkdir(parents=True)
    skiff('ps')  # makes the run tree
    (skiff.run_root / 'containers' / ('e' * 64)).mkdir()
    os.symlink(fake, skiff.root / 'names' / 'ghost')
    os.symlink('1|x|y|exited|0|0|0|0|0|0||', skiff.run_root / 'summary' / ('d' * 64))
    os.symlink('1|', skiff.run_root / 'summary' / f'.{"b" * 64}.0123456789abcdef')
    (skiff.root / 'locks' / f'container-{"c" * 64}').touch()
    (skiff.root / 'trash' / 'old').mkdir()
    seen = skiff('system', 'check', rc=1).stdout
    for kind in ('container ' + fake, 'run directory ' + 'e' * 64, 'name ghost', 'summary ' + 'd' * 64, 'summary .' + 'b' * 64, 'lock file container-' + 'c' * 64):
        assert kind in seen
    repair(skiff)
    skiff.assert_clean()


def test_lost_summary_and_name_come_back(skiff):
    cid = skiff.sleeper('--name', 'web')
    skiff('stop', 'web')
    os.unlink(skiff.run_root / 'summary' / cid)
    os.unlink(skiff.root / 'names' / 'web')
    assert skiff.state(cid)['Status'] == 'exited'
    out = repair(skiff)
    assert 'its name is not registered; registered' in out and f'summary {cid}: it is missing or damaged; rebuilt' in out
    assert skiff.state('web')['Status'] == 'exited' and 'web' in skiff.out('ps', '-a')


def test_after_a_reboot(skiff):
    """/run is empty and nothing runs: the containers on the disk are still there."""
    skiff('run', '--name', 'done', skiff.image, 'sh', '-c', 'exit 5', rc=5)
    skiff('run', '--name', 'never', skiff.image, 'nosuch', rc=127)
    shutil.rmtree(skiff.run_root)
    out = skiff.out('ps', '-a')
    assert 'Exited (5)' in out and 'done' in out and 'Created' in out and 'never' in out
    assert skiff.out('logs', 'done') == ''
    skiff('rm', 'done', 'never')


@pytest.mark.smoke
def test_check_leaves_the_living_alone(skiff):
    a, b = skiff.sleeper('--name', 'a'), skiff.detached('--rm', '--name', 'b', '--', 'sleep', '100')
    out = repair(skiff)
    assert a not in out and b not in out
    assert sorted(skiff.out('ps', '-q', '--no-trunc').split()) == sorted([a, b])


def test_check_leaves_other_roots_alone(skiff, tmp_path):
    """Two roots share the cgroup tree: nothing of the other one is killed or removed."""
    cid = skiff.sleeper('--name', 'a')
    other = [str(x) for x in ('--root', tmp_path / 'o', '--run-root', tmp_path / 'r')]
    out = subprocess.run([skiff.argv()[0], *other, 'system', 'check', '--repair'], capture_output=True, text=True).stdout
    assert cid not in out and skiff.state('a')['Running']


def test_check_beside_runs(skiff):
    """A check while containers come and go: nothing is disturbed."""
    checks = [skiff.popen('system', 'check', '--repair') for _ in range(2)]
    for i in range(5):
        assert skiff.run('--', 'echo', i).stdout == f'{i}\n'
    for c in checks:
        c.communicate(timeout=30)


def test_damaged_config(skiff):
    cid = skiff.sleeper('--name', 'x')
    skiff('stop', 'x')
    (skiff.root / 'containers' / cid / 'config.json').write_text('{"v":1,')
    p = skiff('inspect', 'x', rc=1)
    assert 'config.json' in p.stderr and p.stderr.count('\n') == 1
    assert 'x' in skiff.out('ps', '-a')
    skiff('rm', '-f', 'x')


def test_newer_format_is_refused(skiff):
    (skiff.root / 'format').write_text('2\n')
    p = skiff('ps', rc=1)
    assert 'format' in p.stderr and p.stderr.count('\n') == 1
    (skiff.root / 'format').write_text('1\n')


def age_layers(skiff):
    """As after a power cut: the layers were not on the disk when the machine went down."""
    for seal in skiff.root.glob('layers/*/seal'):
        doc = json.loads(seal.read_text())
        doc['synced'] = '00000000-0000-0000-0000-000000000000'
        seal.write_text(json.dumps(doc, separators=(',', ':')))


def test_unsynced_layers_are_verified_by_run(skiff):
    age_layers(skiff)
    assert skiff.run('--', 'echo', 'verified').stdout == 'verified\n'
    assert all(json.loads(x.read_text())['synced'] == 'yes' for x in skiff.root.glob('layers/*/seal'))


def test_unsynced_layers_are_verified_by_check(skiff):
    age_layers(skiff)
    assert skiff('system', 'check', rc=1).stdout.count('was not synced to the disk before the last boot') == 3
    assert repair(skiff).count('; verified') == 3
    skiff.run('--pull', 'never', '--', 'true')


def test_damaged_layer_is_refused(skiff):
    age_layers(skiff)
    next(skiff.root.glob('layers/*/tree/hello.txt')).write_text('HELLO\n')
    p = skiff.run('--pull', 'never', '--', 'true', rc=125)
    assert 'is damaged' in p.stderr and p.stderr.count('\n') == 1
    assert skiff.out('ps', '-aq') == ''
    assert 'pulled again from' in repair(skiff)
    skiff('pull', skiff.image)
    assert skiff.run('--pull', 'never', '--', 'cat', '/hello.txt').stdout == 'hello\n'


def test_events(skiff):
    skiff('run', '--name', 'ev', skiff.image, 'true')
    skiff('rm', 'ev')
    lines = [json.loads(x) for x in (skiff.run_root / 'events' / 'log.0').read_text().splitlines()]
    assert [x['action'] for x in lines if x['type'] == 'container' and x['name'] == 'ev'] == ['create', 'start', 'die', 'destroy']


def test_interrupted_pull_cleans_up_after_itself(empty):
    """^C reaches the whole foreground group; the worker must not die of it but cancel: no lease and no half layer stay (a manifest that arrived is
    unused content, as after any failed pull)."""
    p = subprocess.Popen(empty.argv('pull', empty.image), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    time.sleep(0.06)
    os.killpg(p.pid, signal.SIGINT)
    p.communicate(timeout=60)  # the pipe ends with the last of them: the worker goes on for a moment, holding what a repair must not take

    def left(where):
        return os.listdir(empty.root / where) if (empty.root / where).is_dir() else []

    wait_until(lambda: not left('leases'), 10)
    assert left('leases') == []
    assert [x for x in left('layers') if x.startswith('.tmp')] == []
    repair(empty)
