"""--runtime: the same verbs over runc and crun, and what goes with them: terminal, network, restart, exec, limits, kill -9, and nothing left behind."""
import ctypes
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import wait_until

RUNTIMES = [n for n in ('runc', 'crun', 'runsc') if shutil.which(n)]
UNIFIED = Path('/sys/fs/cgroup/unified/cgroup.controllers')  # of a hybrid host
CLONE_NEWNS, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x20000, 4096, 8192, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source, target, fs, flags, data=None):
    if LIBC.mount(str(source).encode(), str(target).encode(), fs and fs.encode(), flags, data and data.encode()):
        raise OSError(ctypes.get_errno(), f'mount {source} {target}')


def as_crun_wants_it(tmp_path):
    """crun refuses a hybrid host whose cgroup v2 has a controller left, and wants a hierarchy in each directory of /sys/fs/cgroup: a view of the host that
    is so, in a mount namespace of this process. Answers with what leads back."""
    back = os.open('/proc/self/ns/mnt', os.O_RDONLY | os.O_CLOEXEC)
    assert LIBC.unshare(CLONE_NEWNS) == 0
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    view, none = tmp_path / 'cgroup', tmp_path / 'none'
    view.mkdir()
    none.touch()
    mount('cgroup', view, 'tmpfs', 0, 'mode=755')
    for d in Path('/sys/fs/cgroup').iterdir():
        if d.is_mount():
            (view / d.name).mkdir()
            mount(d, view / d.name, None, MS_BIND)
    mount(view, '/sys/fs/cgroup', None, MS_MOVE)
    mount(none, UNIFIED, None, MS_BIND)
    return back


@pytest.fixture(params=RUNTIMES)
def runtime(request, tmp_path):
    """The name of a runtime; asked for before `skiff`, which is cleaned up in the same view of the host."""
    if request.param == 'crun' and UNIFIED.exists():
        back = as_crun_wants_it(tmp_path)
        yield request.param
        assert LIBC.setns(back, CLONE_NEWNS) == 0
        os.close(back)
    else:
        yield request.param


@pytest.fixture
def conf(runtime, skiff):
    """runsc of Debian 12: no KVM is needed with ptrace, and its own network stack finds its namespace to be the host's on Linux 6.12 and newer."""
    f = skiff.tmp / 'skiff.conf'
    skiff.env['SKIFF_CONF'] = str(f)
    f.write_text('runtime_flags = runsc=platform=ptrace runsc=network=host\n')
    return f


def left(skiff):
    """What a runtime still knows."""
    d = skiff.run_root / 'runtime'
    return [x.name for x in d.iterdir()] if d.exists() else []


def sleeper(skiff, runtime, *flags):
    return skiff.sleeper('--runtime', runtime, *flags)


def test_run_streams_and_exit_codes(runtime, skiff, conf):
    p = skiff.run('--runtime', runtime, '--network', 'none', '-i', '--', 'sh', '-c', 'cat; echo err >&2; cat /proc/1/comm >/dev/null; exit 7', input='in\n', rc=7)
    assert (p.stdout, p.stderr) == ('in\n', 'err\n')
    assert skiff.run('--runtime', runtime, '--', 'nosuchcommand', rc=127).returncode == 127
    assert runtime == 'runsc' or skiff.run('--runtime', runtime, '--', '/hello.txt', rc=126).returncode == 126  # seconds each
    assert skiff.run('--runtime', runtime, '--network', 'none', '-t', '--', 'sh', '-c', 'test -t 1 && stty size', rc=None).stdout.split() != []
    assert skiff.out('ps', '-aq') == '' and wait_until(lambda: left(skiff) == [])
    if runtime == 'runsc':  # of a start that failed it leaves directories where no hierarchy is mounted
        for d in Path('/sys/fs/cgroup').glob('*/skiff/c/*'):
            if d.is_dir() and not d.parents[2].is_mount():
                d.rmdir()


def test_life(runtime, skiff, conf):
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
    if runtime == 'runsc':  # it has no such verb
        assert 'update' in skiff('update', '--memory', '32m', cid, rc=1).stderr
    else:
        skiff('update', '--memory', '32m', cid)
        v1 = Path('/sys/fs/cgroup/memory/skiff/c') / cid / 'memory.limit_in_bytes'
        if v1.exists():
            assert v1.read_text().strip() == str(32 << 20)
    skiff('pause', cid)
    assert skiff.state(cid)['Status'] == 'paused'
    skiff('unpause', cid)
    assert ('exe' if runtime == 'runsc' else 'sleep') in skiff.out('top', cid) and cid[:12] in skiff.out('ps')  # the host sees gVisor's processes only
    (skiff.tmp / 'f').write_text('cp')
    if runtime == 'runsc':
        assert 'stop the container to copy' in skiff('cp', skiff.tmp / 'f', f'{cid}:/f', rc=1).stderr
        skiff('stop', '-t', '5', cid)
    skiff('cp', skiff.tmp / 'f', f'{cid}:/f')
    skiff('start', cid)
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


def test_restart_policy_and_logs(runtime, skiff, conf):
    cid = skiff.detached('--runtime', runtime, '--restart', 'on-failure:2', '--', 'sh', '-c', 'echo run; ip addr show eth0 | grep -c "inet "; exit 3')
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited', 30)
    assert skiff.state(cid)['ExitCode'] == 3 and skiff.inspect(cid)['RestartCount'] == 2
    assert skiff.out('logs', cid).split() == ['run', '1'] * 3


def test_kill_9_of_the_monitor_leaves_nothing(runtime, skiff, conf, kill9):
    cid = sleeper(skiff, runtime)
    pid = skiff.state(cid)['Pid']
    kill9(skiff.monitor_pid(cid))
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited') and skiff.state(cid)['ExitCode'] == 137
    skiff('rm', '-f', cid)
    assert not Path(f'/proc/{pid}').exists() or 'Z' in Path(f'/proc/{pid}/stat').read_text()
    assert wait_until(lambda: left(skiff) == [])


def test_names_paths_and_flags(runtime, skiff, conf):
    conf.write_text(f'runtime_flags = mine=platform=ptrace mine=network=host\n' * (runtime == 'runsc') + f'runtimes = mine=/nowhere/x:{shutil.which(runtime)} lost=/nowhere/y\nruntime = mine\n')
    cid = skiff.out('create', skiff.image, 'true').strip()
    assert skiff.inspect(cid)['HostConfig']['Runtime'] == 'mine'
    assert skiff('start', '-a', cid).returncode == 0
    assert skiff.run('--runtime', 'skiff', '--network', 'none', '--', 'echo', 'ours').stdout == 'ours\n'
    flags = ['platform=ptrace', 'network=none'] if runtime == 'runsc' else ['debug']
    assert skiff.run('--runtime', shutil.which(runtime), *(f'--runtime-flag={x}' for x in flags), '--network', 'none', '--', 'echo', 'by path').stdout == 'by path\n'
    assert 'at none of the paths' in skiff.run('--runtime', 'lost', '--', 'true', rc=125).stderr
    assert 'unknown or invalid runtime name: nosuch' in skiff.run('--runtime', 'nosuch', '--', 'true', rc=125).stderr
    assert 'No such file' in skiff.run('--runtime', '/nosuch', '--', 'true', rc=125).stderr
    conf.write_text('runtime_flags = nonsense\n')
    assert "runtime_flags: 'nonsense' is not NAME=FLAG" in skiff.run('--runtime', runtime, '--', 'true', rc=125).stderr
    assert 'name one with --runtime' in skiff.run('--runtime', 'skiff', '--runtime-flag', 'debug', '--', 'true', rc=125).stderr


def test_user_namespace(runtime, skiff, conf, tmp_path):
    """The runtime makes the namespaces, and everything that it mounts is where the container's root may look."""
    (tmp_path / 'closed').mkdir(mode=0o700)
    (tmp_path / 'closed' / 'in').mkdir(mode=0o755)
    (tmp_path / 'closed' / 'in' / 'f').write_text('bound\n')
    script = 'cat /proc/self/uid_map; cat /b/f; stat -c %u /etc /v /b; echo x >/v/f; ip addr show eth0 | grep -c "inet "; (echo x >/proc/sys/kernel/core_pattern) 2>/dev/null && echo too much; exit 4'
    flags = ['--runtime', runtime, *['--runtime-flag=network=none'] * (runtime == 'runsc'), '--uidmap', '0:200000:65536', '-v', f'{tmp_path}/closed/in:/b', '-v', 'vol:/v']
    p = skiff.run(*flags, '--', 'sh', '-c', script, rc=4)
    words = p.stdout.split()
    assert words[:3] == ['0', '0' if runtime == 'runsc' else '200000', '4294967295' if runtime == 'runsc' else '65536'], 'gVisor shows its own'
    assert words[3:] == ['bound', '0', '0', '65534', '0' if runtime == 'runsc' else '1'], p.stdout + p.stderr
    assert (skiff.root / 'volumes/vol/_data/f').stat().st_uid == 200000
    cid = sleeper(skiff, *flags[1:], '--restart', 'always')
    assert runtime == 'runsc' or Path(f'/proc/{skiff.state(cid)["Pid"]}/uid_map').read_text().split()[1] == '200000'
    assert skiff.out('exec', cid, 'cat', '/v/f') == 'x\n'
    if runtime == 'runsc':
        return  # it does not go into a user namespace that exists, which is where the network of a restarted container is at home
    pid = skiff.state(cid)['Pid']
    os.kill(pid, 9)
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'running' and skiff.state(cid)['Pid'] not in (0, pid), 20), skiff.state(cid)
    assert skiff.out('exec', cid, 'cat', '/b/f') == 'bound\n'
    assert skiff.inspect(cid)['NetworkSettings']['IPAddress'] in skiff.out('exec', cid, 'ip', 'addr')


def test_secrets(runtime, skiff, conf):
    """Variables and files, in the process, what is executed beside it and its health check."""
    skiff('secret', 'create', 's', '-', input='hidden')
    cid = sleeper(skiff, runtime, '--secret', 's,type=env,target=S', '--secret', 's', '--health-cmd', 'test "$S" = hidden', '--health-interval', '200ms', '--health-retries', '1')
    assert skiff.out('exec', cid, 'sh', '-c', 'echo $S; cat /run/secrets/s') == 'hidden\nhidden'
    assert 'S=hidden' in skiff.out('exec', cid, 'sh', '-c', 'tr "\\0" "\\n" </proc/1/environ')
    assert wait_until(lambda: skiff.state(cid)['Health']['Status'] == 'healthy')
    assert 'hidden' not in skiff.out('inspect', cid).replace('= hidden', '')


def test_signals(runtime, skiff, conf):
    cid = skiff.detached('--runtime', runtime, '--network', 'none', '--', 'sh', '-c', 'trap "echo hup" HUP; trap "echo usr; exit 9" USR1; echo ready; while :; do sleep 0.1; done')
    assert wait_until(lambda: skiff.out('logs', cid) == 'ready\n')
    skiff('kill', '-s', 'HUP', cid)
    assert wait_until(lambda: skiff.out('logs', cid) == 'ready\nhup\n')
    skiff('kill', '-s', 'USR1', cid)
    assert skiff.out('wait', cid) == '9\n'
