"""--runtime: the same verbs over runc and crun, and what goes with them: terminal, network, restart, exec, limits, kill -9, and nothing left behind."""
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import wait_until

RUNTIMES = [n for n in ('runc', 'crun') if shutil.which(n)]
HUGETLB = not Path('/sys/fs/cgroup/hugetlb').is_dir() or Path('/sys/fs/cgroup/hugetlb/cgroup.procs').exists()  # crun wants every hierarchy that has a directory


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    if request.param == 'crun' and not HUGETLB:
        pytest.skip('crun: this host has an empty hugetlb hierarchy')
    return request.param


def left(skiff):
    """What a runtime still knows."""
    d = skiff.run_root / 'runtime'
    return [x.name for x in d.iterdir()] if d.exists() else []


def sleeper(skiff, runtime, *flags):
    return skiff.sleeper('--runtime', runtime, *flags)


def test_run_streams_and_exit_codes(skiff, runtime):
    p = skiff.run('--runtime', runtime, '--network', 'none', '-i', '--', 'sh', '-c', 'cat; echo err >&2; cat /proc/1/comm >/dev/null; exit 7', input='in\n', rc=7)
    assert (p.stdout, p.stderr) == ('in\n', 'err\n')
    assert skiff.run('--runtime', runtime, '--', 'nosuchcommand', rc=127).returncode == 127
    assert skiff.run('--runtime', runtime, '--', '/hello.txt', rc=126).returncode == 126
    assert skiff.run('--runtime', runtime, '--network', 'none', '-t', '--', 'sh', '-c', 'test -t 1 && stty size', rc=None).stdout.split() != []
    assert skiff.out('ps', '-aq') == '' and wait_until(lambda: left(skiff) == [])


def test_life(skiff, runtime):
    cid = sleeper(skiff, runtime, '--name', 'one', '-v', 'vol:/v', '--memory', '64m')
    doc = skiff.inspect(cid)
    assert doc['HostConfig']['Runtime'] == runtime and doc['State']['Running']
    state = json.loads(subprocess.run([runtime, '--root', str(skiff.run_root / 'runtime'), 'state', cid], capture_output=True, text=True, check=True).stdout)
    assert (state['status'], state['pid']) == ('running', doc['State']['Pid'])
    assert skiff.out('exec', '-e', 'A=b', '-w', '/tmp', cid, 'sh', '-c', 'echo $A; pwd; echo x >/v/f') == 'b\n/tmp\n'
    assert skiff('exec', cid, 'sh', '-c', 'exit 5', rc=5).returncode == 5
    assert skiff.out('exec', '-i', cid, 'cat', input='through\n') == 'through\n'
    assert (skiff.root / 'volumes/vol/_data/f').read_text() == 'x\n'
    assert skiff.out('exec', cid, 'cat', '/etc/hostname').strip() == skiff.out('exec', cid, 'hostname').strip()
    assert 'eth0' in skiff.out('exec', cid, 'ls', '/sys/class/net')
    assert doc['NetworkSettings']['IPAddress'] in skiff.out('exec', cid, 'ip', 'addr')
    skiff('update', '--memory', '32m', cid)
    v1 = Path('/sys/fs/cgroup/memory/skiff/c') / cid / 'memory.limit_in_bytes'
    if v1.exists():
        assert v1.read_text().strip() == str(32 << 20)
    skiff('pause', cid)
    assert skiff.state(cid)['Status'] == 'paused'
    skiff('unpause', cid)
    assert 'sleep' in skiff.out('top', cid) and cid[:12] in skiff.out('ps')
    (skiff.tmp / 'f').write_text('cp')
    skiff('cp', skiff.tmp / 'f', f'{cid}:/f')
    assert skiff.out('exec', cid, 'cat', '/f') == 'cp'
    skiff('restart', '-t', '5', cid)
    assert skiff.out('exec', cid, 'cat', '/f') == 'cp'
    skiff('stop', '-t', '5', cid)
    assert skiff.state(cid)['ExitCode'] == 0 and wait_until(lambda: left(skiff) == [])
    skiff('start', cid)
    skiff('kill', cid)
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited') and skiff.state(cid)['ExitCode'] == 137
    skiff('rm', cid)
    skiff('volume', 'rm', 'vol')


def test_restart_policy_and_logs(skiff, runtime):
    cid = skiff.detached('--runtime', runtime, '--restart', 'on-failure:2', '--', 'sh', '-c', 'echo run; ip addr show eth0 | grep -c "inet "; exit 3')
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited', 30)
    assert skiff.state(cid)['ExitCode'] == 3 and skiff.inspect(cid)['RestartCount'] == 2
    assert skiff.out('logs', cid).split() == ['run', '1'] * 3


def test_kill_9_of_the_monitor_leaves_nothing(skiff, runtime, kill9):
    cid = sleeper(skiff, runtime)
    pid = skiff.state(cid)['Pid']
    kill9(skiff.monitor_pid(cid))
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited') and skiff.state(cid)['ExitCode'] == 137
    skiff('rm', '-f', cid)
    assert not Path(f'/proc/{pid}').exists() or 'Z' in Path(f'/proc/{pid}/stat').read_text()
    assert wait_until(lambda: left(skiff) == [])


def test_names_paths_and_flags(skiff, runtime):
    conf = skiff.tmp / 'skiff.conf'
    skiff.env['SKIFF_CONF'] = str(conf)
    conf.write_text(f'runtimes = mine=/nowhere/x:{shutil.which(runtime)} lost=/nowhere/y\nruntime = mine\n')
    cid = skiff.out('create', skiff.image, 'true').strip()
    assert skiff.inspect(cid)['HostConfig']['Runtime'] == 'mine'
    assert skiff('start', '-a', cid).returncode == 0
    assert skiff.run('--runtime', 'skiff', '--network', 'none', '--', 'echo', 'ours').stdout == 'ours\n'
    assert skiff.run('--runtime', shutil.which(runtime), '--runtime-flag', 'debug', '--network', 'none', '--', 'echo', 'by path').stdout == 'by path\n'
    assert 'at none of the paths' in skiff.run('--runtime', 'lost', '--', 'true', rc=125).stderr
    assert 'unknown or invalid runtime name: nosuch' in skiff.run('--runtime', 'nosuch', '--', 'true', rc=125).stderr
    assert 'No such file' in skiff.run('--runtime', '/nosuch', '--', 'true', rc=125).stderr
    assert 'skiff\'s own runtime only' in skiff.run('--runtime', runtime, '--uidmap', '0:1:9', '--', 'true', rc=125).stderr
    assert 'name one with --runtime' in skiff.run('--runtime', 'skiff', '--runtime-flag', 'debug', '--', 'true', rc=125).stderr
