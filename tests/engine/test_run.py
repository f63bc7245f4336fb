"""run in the foreground and background: streams, statuses, the image's config, flags, bad input."""
import os
import re
import signal
import subprocess
import time

import pytest
from conftest import wait_until


@pytest.mark.smoke
def test_output_and_status(skiff):
    p = skiff.run('--', 'sh', '-c', 'echo out; echo err >&2; exit 3', rc=3)
    assert (p.stdout, p.stderr) == ('out\n', 'err\n')


def test_much_output_arrives_whole(skiff):
    p = skiff.run('--', 'sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo line$i; i=$((i+1)); done')
    assert p.stdout == ''.join(f'line{i}\n' for i in range(20000))


def test_status_of_a_signal(skiff):
    # a shell as PID 1 cannot be killed by a child of its own namespace without a handler, so a child of it dies
    assert skiff.run('--', 'sh', '-c', 'sh -c "kill -9 \\$\\$"; exit $?', rc=None).returncode == 137


def test_stdin_half_close(skiff):
    assert skiff.run('-i', '--', 'cat', input='one\ntwo\n').stdout == 'one\ntwo\n'


def test_stdin_large(skiff):
    data = 'x' * 79 + '\n'
    assert skiff.run('-i', '--', 'wc', '-c', input=data * 20000).stdout.strip() == str(80 * 20000)


def test_no_stdin_without_i(skiff):
    assert skiff.run('--', 'cat', input='secret').stdout == ''


def test_reader_goes_away(skiff):
    """Our output is closed: the container's own writes must not hang us."""
    p = skiff.popen('run', '--rm', skiff.image, 'sh', '-c', 'i=0; while [ $i -lt 50000 ]; do echo 0123456789; i=$((i+1)); done')
    p.stdout.close()
    p.wait(timeout=30)


@pytest.mark.smoke
def test_rm_leaves_nothing(skiff):
    skiff.run('--', 'true')
    skiff.assert_clean()


def test_rm_gives_the_name_back_before_the_files_are_unlinked(skiff):
    """The end of a run does not wait for the disk: what was removed is in the trash, and the monitor, which holds no stream of ours, unlinks it."""
    p = skiff.popen('run', '--rm', '--network', 'none', '--name', 'many', skiff.image, 'sh', '-c',
                    'mkdir /m; cd /m; i=0; while [ $i -lt 5000 ]; do : >f$i; i=$((i+1)); done; echo made', stdout=subprocess.PIPE)
    out = p.stdout.read()  # to its end: whoever unlinks does not hold it
    assert (out, p.wait(30)) == (b'made\n', 0)
    assert skiff.out('ps', '-aq') == '' and list(skiff.root.glob('containers/*')) == []
    wait_until(lambda: not list(skiff.root.glob('trash/*')), 10)
    (skiff.root / 'trash/left').mkdir()  # by a monitor that was killed
    skiff.run('--name', 'many', '--', 'true')
    wait_until(lambda: not list(skiff.root.glob('trash/*')), 10)
    skiff.assert_clean()


def test_without_rm_stays(skiff):
    skiff('run', '--name', 'one', skiff.image, 'sh', '-c', 'exit 4', rc=4)
    st = skiff.state('one')
    assert (st['Status'], st['ExitCode'], st['Pid']) == ('exited', 4, 0)
    assert 'Exited (4)' in skiff.out('ps', '-a')
    assert skiff.out('ps', '-q') == ''
    assert skiff.out('rm', 'one') == 'one\n'


@pytest.mark.parametrize('command, status, words', [
    (['nosuch'], 127, 'executable file not found in $PATH'),
    (['/no/such'], 127, 'no such file'),
    (['/notexec'], 126, 'permission denied'),
    (['/badinterp'], 127, 'interpreter'),
    (['/etc'], 126, 'directory'),
])
def test_cannot_execute(skiff, command, status, words):
    p = skiff.run('--', *command, rc=status)
    assert words.lower() in p.stderr.lower() and p.stderr.count('\n') == 1 and command[0] in p.stderr
    p = skiff('run', '--name', 'kept', skiff.image, *command, rc=status)
    st = skiff.state('kept')
    assert (st['Status'], st['ExitCode']) == ('created', status)
    assert words.lower() in st['Error'].lower()


@pytest.mark.parametrize('flags, words', [
    (['-u', 'nosuch'], 'unable to find user nosuch: no matching entries in passwd file'),
    (['-u', 'old'], 'unable to find user old'),  # only in a lower layer's passwd
    (['-u', 'bob:nogroup'], 'nogroup'),
    (['-u', '99999999999'], '99999999999'),
    (['--network', 'nosuch'], 'network nosuch not found'),
    (['-w', 'relative'], "the working directory 'relative' is invalid, it needs to be an absolute path"),
    (['-v', 'relative/x:/data'], 'includes invalid characters for a local volume name'),
    (['-v', '/a:relative'], 'mount path must be absolute'),
    (['-v', '/a:/'], "destination can't be '/'"),
    (['-v', '/tmp:/x', '-v', '/:/x'], 'Duplicate mount point: /x'),
    (['-v', '/tmp:/x:bogus'], 'invalid mode: bogus'),
    (['--name', '-bad'], 'Invalid container name (-bad)'),
    (['--name', 'a/b'], 'Invalid container name (a/b)'),
    (['--cap-add', 'NOSUCH'], 'unknown capability: "NOSUCH"'),
    (['--memory', '1m'], 'Minimum memory limit allowed is 6MB'),
    (['--cpus', '100000'], 'range of CPUs is from 0.01'),
    (['--stop-signal', 'NOSUCH'], 'invalid signal: NOSUCH'),
    (['--pull', 'sometimes'], "invalid pull option: 'sometimes'"),
    (['--security-opt', 'nosuch=x'], 'invalid --security-opt 2: "nosuch=x"'),
    (['--security-opt', 'seccomp=/no/such'], 'opening seccomp profile (/no/such) failed'),
    (['--memory-swap', '64m'], 'You should always set the Memory limit when using Memoryswap limit'),
    (['--memory', '64m', '--memory-swap', '32m'], 'Minimum memoryswap limit should be larger than memory limit'),
    (['--memory', '64m', '--memory-reservation', '128m'], 'can not be less than memory reservation limit'),
    (['--memory-swappiness', '101'], 'valid memory swappiness range is 0-100'),
    (['--kernel-memory', '64m'], '--kernel-memory is not supported'),
    (['--blkio-weight', '5'], 'range of blkio weight is from 10 to 1000'),
    (['--blkio-weight-device', '/dev/null:100'], "'/dev/null' is not a block device"),
    (['--device-read-bps', 'x'], 'bad format'),
    (['--cpu-shares', '1'], 'invalid CPU shares (1)'),
    (['--cpu-period', '10'], 'CPU cfs period can not be less than 1ms'),
    (['--cpu-quota', '10'], 'CPU cfs quota can not be less than 1ms'),
    (['--cpus', '1', '--cpu-quota', '5000'], 'Conflicting options: Nano CPUs and CPU Quota cannot both be set'),
    (['--cpuset-cpus', '0-'], 'invalid value 0- for cpuset cpus'),
    (['--oom-score-adj', '1001'], 'range for oom score adj is [-1000, 1000]'),
    (['--ulimit', 'nosuch=1'], 'invalid ulimit type: nosuch'),
    (['--ulimit', 'nofile'], 'invalid ulimit argument: nofile'),
    (['--ulimit', 'nofile=5:4'], 'ulimit soft limit must be less than or equal to hard limit: 5 > 4'),
    (['--umask', '9'], "invalid umask '9'"),
    (['--ipc', 'nosuch'], '--ipc: invalid ipc mode: nosuch'),
    (['--pid', 'container:nosuch'], 'No such container: nosuch'),
    (['--uts', 'host', '--hostname', 'x'], 'conflicting options: hostname and the UTS mode'),
    (['--sysctl', 'x'], "sysctl 'x' must be in the form NAME=VALUE"),
    (['--sysctl', 'kernel.pid_max=5'], 'kernel.pid_max'),
    (['--cgroup-parent', '../x'], "it must not go up by '..'"),
    (['--annotation', 'x'], "invalid annotation 'x'"),
    (['--mount', 'type=bind,src=/no/such,dst=/x'], 'bind source path does not exist: /no/such'),
    (['--mount', 'type=image,src=no/such,dst=/x'], 'No such image'),
    (['--mount', 'type=glob,src=/no/such/*,dst=/x'], "no file matches '/no/such/*'"),
    (['--tmpfs', 'x'], 'mount path must be absolute'),
    (['--volumes-from', 'nosuch'], 'No such container: nosuch'),
    (['--volume-driver', 'nosuch', '-v', '/x'], "the volume driver 'nosuch' is not supported"),
    (['--tz', '../x'], "invalid time zone '../x'"),
    (['--env-file', '/no/such/file'], '/no/such/file'),
    (['-e', '=x'], 'invalid environment variable: =x'),
    (['--hostname', 'a b'], "invalid hostname 'a b'"),
])
def test_refused(skiff, flags, words):
    p = skiff.run(*flags, '--', 'true', rc=125)
    assert p.stderr.startswith('skiff: ') and p.stderr.endswith('.\n') and p.stderr.count('\n') == 1
    assert words in p.stderr
    assert skiff.out('ps', '-aq') == ''


@pytest.mark.parametrize('flags, line', [
    (['--nosuch'], 'unknown flag: --nosuch'),
    (['-Z'], "unknown shorthand flag: 'Z' in -Z"),
    (['--name'], 'flag needs an argument: --name'),
    (['-m', 'lots'], 'invalid argument "lots" for "-m, --memory" flag'),
    (['--rm=perhaps'], 'invalid argument "perhaps" for "--rm" flag'),
])
def test_usage(skiff, flags, line):
    p = skiff('run', *flags, rc=125)
    assert p.stderr.startswith(line) and p.stderr.endswith("See 'skiff run --help'.\n")


def test_no_image(empty):
    assert 'requires at least 1 argument' in empty('run', rc=125).stderr
    p = empty('run', '--pull', 'never', 'nosuch', rc=125)
    assert p.stderr == 'skiff: No such image: nosuch:latest.\n'
    assert 'invalid reference format' in empty('run', 'x/UPPER', rc=125).stderr


def test_name_in_use(skiff):
    cid = skiff.sleeper('--name', 'web')
    p = skiff('run', '--name', 'web', skiff.image, 'true', rc=125)
    assert f'Conflict. The container name "/web" is already in use by container "{cid}"' in p.stderr
    assert skiff.out('ps', '-aq').split() == [cid[:12]]


@pytest.mark.smoke
def test_environment(skiff):
    lines = skiff.run('-e', 'A=1', '-e', 'FROM_HOST', '-e', 'UNSET_HERE', '-e', 'FOO', '--', 'env', env={'FROM_HOST': 'yes'}).stdout.splitlines()
    env = dict(x.split('=', 1) for x in lines)
    assert env['A'] == '1' and env['FROM_HOST'] == 'yes' and env['HOME'] == '/root' and 'UNSET_HERE' not in env and 'FOO' not in env
    assert env['PATH'] == '/usr/local/bin:/usr/bin:/bin' and len(env['HOSTNAME']) == 12 and 'TERM' not in env


def test_env_file(skiff):
    f = skiff.tmp / 'env'
    f.write_text('# comment\n\nA=from file\n  B=2\nFROM_HOST\n')
    out = skiff.run('--env-file', f, '-e', 'A=flag', '--', 'sh', '-c', 'echo $A,$B,$FROM_HOST', env={'FROM_HOST': 'h'}).stdout
    assert out == 'flag,2,h\n'


def test_users(skiff):
    assert skiff.run('-u', 'bob', '--', 'id').stdout == 'uid=1000(bob) gid=1000(bob) groups=10(wheel),1000(bob)\n'
    assert skiff.run('-u', '1234:77', '--', 'sh', '-c', 'id -u; id -g; echo $HOME').stdout == '1234\n77\n/\n'
    assert skiff.run('-u', 'bob', '--', 'sh', '-c', 'echo $HOME').stdout == '/home/bob\n'


def test_whiteout(skiff):
    assert skiff.run('--', 'ls', '/gone.txt', rc=1).stdout == ''
    assert skiff.run('--', 'cat', '/hello.txt').stdout == 'hello\n'


def test_entrypoint_and_workdir(skiff):
    assert skiff.run('--entrypoint', 'echo', '--', 'a', 'b').stdout == 'a b\n'
    p = skiff('run', '--rm', '--entrypoint', 'pwd', '-w', '/made/here', skiff.image)
    assert p.stdout == '/made/here\n'
    assert 'no command specified' in skiff('run', '--rm', '--entrypoint', '', skiff.image, rc=125).stderr


def test_hostname_and_hosts(skiff):
    assert skiff.run('--hostname', 'box', '--', 'sh', '-c', 'hostname; cat /etc/hostname').stdout == 'box\nbox\n'
    assert 'localhost' in skiff.run('--', 'cat', '/etc/hosts').stdout


def test_volumes(skiff):
    host = skiff.tmp / 'data'
    skiff.run('-v', f'{host}:/data', '--', 'sh', '-c', 'echo hi > /data/f')
    assert (host / 'f').read_text() == 'hi\n'
    p = skiff.run('-v', f'{host}:/data:ro', '--', 'sh', '-c', 'cat /data/f; echo x > /data/g', rc=1)
    assert p.stdout == 'hi\n' and 'Read-only' in p.stderr
    p = skiff.run('-v', f'{host}/f:/etc/hosts', '--', 'cat', '/etc/hosts')
    assert p.stdout == 'hi\n'


def test_read_only(skiff):
    assert 'Read-only' in skiff.run('--read-only', '--', 'touch', '/x', rc=1).stderr


@pytest.mark.smoke
def test_networks(skiff):
    assert skiff.run('--', 'ls', '/sys/class/net').stdout.split() == ['eth0', 'lo']
    assert skiff.run('--network', 'none', '--', 'ls', '/sys/class/net').stdout.split() == ['lo']
    assert skiff.run('--network', 'none', '--', 'ip', '-o', 'addr').stdout.count('127.0.0.1') == 1
    host = subprocess.run(['ip', '-o', 'link'], capture_output=True, text=True, check=True).stdout
    assert skiff.run('--net', 'host', '--', 'ls', '/sys/class/net').stdout.split() == sorted(re.findall(r'^\d+: ([^:@]+)', host, re.M))
    assert skiff.run('--network', 'host', '--', 'hostname').stdout.strip() == os.uname().nodename


def caps(text):
    return {k: int(v, 16) for k, v in (x.split(':\t') for x in text.splitlines() if x.startswith('Cap'))}


def test_capabilities(skiff):
    status = ['grep', '-e', 'Cap', '-e', 'Seccomp:', '-e', 'NoNewPrivs', '/proc/self/status']
    out = skiff.run('--', *status).stdout
    assert caps(out) == {'CapInh': 0, 'CapPrm': 0xa80425fb, 'CapEff': 0xa80425fb, 'CapBnd': 0xa80425fb, 'CapAmb': 0}
    assert 'Seccomp:\t2' in out and 'NoNewPrivs:\t0' in out
    out = skiff.run('-u', 'bob', '--security-opt', 'no-new-privileges', '--', *status).stdout
    assert caps(out)['CapEff'] == 0 and caps(out)['CapInh'] == 0 and 'NoNewPrivs:\t1' in out
    assert caps(skiff.run('--cap-drop', 'ALL', '--cap-add', 'chown', '--', *status).stdout)['CapEff'] == 1
    out = skiff.run('--cap-drop', 'all', '--', *status).stdout
    assert caps(out)['CapBnd'] == 0
    out = skiff.run('--privileged', '--', *status).stdout
    assert caps(out)['CapEff'] > 0xa80425fb and caps(out)['CapInh'] == 0 and 'Seccomp:\t0' in out
    assert 'Seccomp:\t0' in skiff.run('--security-opt', 'seccomp=unconfined', '--', *status).stdout


def test_privileged_devices(skiff):
    host = {x for x in os.listdir('/dev') if not os.path.islink(f'/dev/{x}') and not os.path.isdir(f'/dev/{x}')}
    inside = set(skiff.run('--privileged', '--', 'ls', '/dev').stdout.split())
    assert host - {'console'} <= inside
    assert skiff.run('--privileged', '--', 'cat', '/proc/sys/kernel/hostname').stdout


def test_masks(skiff):
    assert skiff.run('--', 'sh', '-c', 'cat /proc/keys /proc/timer_list | wc -c').stdout.strip() == '0'
    assert skiff.run('--', 'sh', '-c', 'echo 1 > /proc/sys/kernel/panic', rc=1).returncode == 1


@pytest.mark.smoke
def test_limits(skiff):
    script = ('cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us'
              if os.path.exists('/sys/fs/cgroup/memory') else 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; cut -d" " -f1 /sys/fs/cgroup/cpu.max')
    out = skiff.run('-m', '64m', '--pids-limit', '33', '--cpus', '0.5', '--', 'sh', '-c', script).stdout
    assert out.split() == [str(64 << 20), '33', '50000']


@pytest.mark.smoke
def test_oom(skiff):
    skiff('run', '--name', 'hungry', '-m', '16m', skiff.image, 'sh', '-c', 'x=0123456789; while :; do x=$x$x; done', rc=137)
    assert skiff.state('hungry')['OOMKilled'] is True


def test_signals_are_forwarded(skiff):
    p = skiff.popen('run', '--rm', '--name', 'sig', skiff.image, 'sh', '-c', 'trap "echo usr1; exit 5" USR1; echo ready; while :; do sleep 0.1; done')
    assert p.stdout.readline() == b'ready\n'
    p.send_signal(signal.SIGUSR1)
    assert p.communicate(timeout=20)[0] == b'usr1\n' and p.returncode == 5


def test_cidfile_and_name(skiff):
    f = skiff.tmp / 'cid'
    cid = skiff.sleeper('--cidfile', f)
    assert f.read_text() == cid
    assert 'container ID file found' in skiff.run('--cidfile', f, '--', 'true', rc=125).stderr
    name = skiff.inspect(cid)['Name']
    assert name.startswith('/') and name.count('_') == 1


@pytest.mark.smoke
def test_detached_rm_goes_by_itself(skiff):
    skiff.detached('--rm', '--', 'true')
    assert wait_until(lambda: skiff.out('ps', '-aq') == '')


def test_implied_pull(empty):
    p = empty('run', '--rm', empty.image, 'echo', 'pulled')
    assert p.stdout == 'pulled\n'
    assert f"Unable to find image '{empty.image}:latest' locally" in p.stderr and 'Pull complete' in p.stderr


def test_foreground_client_killed(skiff, kill9):
    """The container outlives its client; --rm is honoured all the same."""
    p = skiff.popen('run', '--rm', '--name', 'orphan', skiff.image, 'sh', '-c', 'echo up; sleep 2')
    assert p.stdout.readline() == b'up\n'
    kill9(p.pid)
    p.wait()
    assert skiff.state('orphan')['Running']
    assert wait_until(lambda: skiff.out('ps', '-aq') == '', 15)


def test_sig_proxy_off(skiff):
    p = skiff.popen('run', '--rm', '--sig-proxy=false', '--name', 'alone', skiff.image, 'sh', '-c', 'echo up; sleep 2')
    assert p.stdout.readline() == b'up\n'
    p.send_signal(signal.SIGTERM) # SIGINT is ignored in what a shell starts in the background
    assert p.wait(timeout=10) == -signal.SIGTERM
    assert skiff.state('alone')['Running']
    assert wait_until(lambda: skiff.out('ps', '-aq') == '', 15)


def test_one_process_besides_the_workload(skiff):
    """DESIGN 7.1: as root, run spawns exactly one process (skiff-launch, which becomes the monitor)."""
    trace = skiff.tmp / 'trace'
    try:
        subprocess.run(['strace', '-f', '-e', 'trace=clone,clone3,fork,vfork', '-o', str(trace), *skiff.argv('run', '--rm', skiff.image, 'true')],
                       check=True, timeout=60, capture_output=True)
    except FileNotFoundError:
        pytest.skip('strace is not installed')
    started = [x for x in trace.read_text().splitlines() if ('clone' in x or 'fork' in x) and not x.rstrip().endswith('= ?') and 'resumed' not in x]
    assert len(started) == 2, started
