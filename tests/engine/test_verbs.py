"""ps, logs, exec, stop, kill, rm, wait, inspect."""
import json
import re
import signal
import subprocess
import threading
import time

import pytest
from conftest import wait_until


# --- ps ---

def test_ps_columns(skiff):
    skiff.sleeper('--name', 'web')
    lines = skiff.out('ps').splitlines()
    assert re.split(r'\s{2,}', lines[0].strip()) == ['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', 'PORTS', 'NAMES']
    assert re.match(r'^[0-9a-f]{12}   \S+\s+"sh -c trap \\"exit 0\\"…"\s+.* ago\s+Up .*second.*web$', lines[1]), lines[1]
    cid = skiff.out('ps', '-q', '--no-trunc').strip()
    assert len(cid) == 64 and skiff.out('ps', '-q').strip() == cid[:12]


def test_ps_order_and_filters(skiff):
    first = skiff.sleeper('--name', 'first')
    skiff('run', '--name', 'second', skiff.image, 'true')
    third = skiff.sleeper('--name', 'third')
    assert skiff.out('ps', '-aq', '--no-trunc').split()[0] == third
    assert skiff.out('ps', '-q', '--no-trunc').split() == [third, first]
    assert skiff.out('ps', '-lq', '--no-trunc').strip() == third
    assert len(skiff.out('ps', '-n', '2', '-q').split()) == 2
    assert skiff.out('ps', '-q', '--no-trunc', '-f', 'name=fir').strip() == first
    assert len(skiff.out('ps', '-aq', '-f', 'status=exited').split()) == 1
    assert len(skiff.out('ps', '-q', '-f', 'name=first', '-f', 'name=third').split()) == 2
    assert len(skiff.out('ps', '-aq', '-f', f'ancestor={skiff.image}').split()) == 3
    assert "invalid filter 'x'" in skiff('ps', '-f', 'x=y', rc=1).stderr


def test_hostile_command_in_ps(skiff):
    """A command line cannot drive the terminal or break the row."""
    skiff.detached('--name', 'h', '--', 'sleep', '5\n|%\x1b[2J')
    out = skiff.out('ps', '-a', '--no-trunc')
    assert '\x1b' not in out and len(out.splitlines()) == 2 and '"sleep 5\\n|%\\x1b[2J"' in out


# --- logs ---

@pytest.mark.smoke
def test_logs(skiff):
    skiff('run', '--name', 'l', skiff.image, 'sh', '-c', 'echo one; echo two >&2; echo three; printf unfinished')
    p = skiff('logs', 'l')
    assert (p.stdout, p.stderr) == ('one\nthree\nunfinished', 'two\n')
    assert skiff.out('logs', '--tail', '1', 'l') == 'unfinished'
    assert skiff.out('logs', '-n', '0', 'l') == ''
    assert skiff.out('logs', '--tail', 'all', 'l').startswith('one')
    assert re.match(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n', skiff.out('logs', '-t', 'l'))
    assert skiff.out('logs', '--since', '1h', 'l').startswith('one') and skiff.out('logs', '--until', '1h', 'l') == ''
    assert 'invalid --since' in skiff('logs', '--since', 'yesterday', 'l', rc=1).stderr
    assert "invalid --tail 'x'" in skiff('logs', '--tail', 'x', 'l', rc=1).stderr


def test_logs_odd_bytes(skiff):
    skiff('run', '--name', 'odd', skiff.image, 'sh', '-c', r'printf "nul\000 tab\t quote\" back\\\\ esc\033 umlaut\303\244 bad\377\n"')
    raw = subprocess.run(skiff.argv('logs', 'odd'), capture_output=True, check=True).stdout
    assert raw == b'nul\0 tab\t quote" back\\ esc\x1b umlaut\xc3\xa4 bad\xef\xbf\xbd\n'


def test_logs_long_line(skiff):
    skiff('run', '--name', 'long', skiff.image, 'sh', '-c', 'head -c 50000 /dev/zero | tr "\\0" x; echo')
    assert skiff.out('logs', 'long') == 'x' * 50000 + '\n'


def test_logs_rotation(skiff):
    skiff('run', '--name', 'rot', '--log-opt', 'max-size=10k', '--log-opt', 'max-file=3', skiff.image, 'sh', '-c',
          'i=0; while [ $i -lt 1000 ]; do echo line$i; i=$((i+1)); done')
    lines = skiff.out('logs', 'rot').splitlines()
    assert lines[-1] == 'line999' and 100 < len(lines) < 1000
    assert lines == [f'line{i}' for i in range(1000 - len(lines), 1000)]
    assert skiff.out('logs', '--tail', '200', 'rot').splitlines() == [f'line{i}' for i in range(800, 1000)]


def test_logs_follow(skiff):
    skiff.detached('--name', 'f', '--', 'sh', '-c', 'for i in 1 2 3; do echo $i; sleep 0.3; done')
    assert skiff.out('logs', '-f', 'f', timeout=20) == '1\n2\n3\n'
    assert skiff.out('logs', '-f', 'f', timeout=5) == '1\n2\n3\n'


def test_logs_follow_through_rotation(skiff):
    skiff.detached('--name', 'fr', '--log-opt', 'max-size=4k', '--log-opt', 'max-file=5', '--', 'sh', '-c',
                   'i=0; while [ $i -lt 300 ]; do echo line$i; i=$((i+1)); sleep 0.005; done')
    assert skiff.out('logs', '-f', 'fr', timeout=40).splitlines() == [f'line{i}' for i in range(300)]


# --- exec ---

@pytest.mark.smoke
def test_exec(skiff):
    skiff.sleeper('--name', 'e', '-e', 'A=1', '-w', '/tmp')
    assert skiff.out('exec', 'e', 'sh', '-c', 'pwd; echo $A $FOO $HOME') == '/tmp\n1 bar /root\n'
    p = skiff('exec', '-u', 'bob', '-w', '/', '-e', 'A=2', 'e', 'sh', '-c', 'id -un; pwd; echo $A $HOME; echo err >&2; exit 6', rc=6)
    assert (p.stdout, p.stderr) == ('bob\n/\n2 /home/bob\n', 'err\n')
    assert skiff.out('exec', '-i', 'e', 'cat', input='in') == 'in'
    assert skiff.out('exec', 'e', 'cat', input='in') == ''
    assert skiff.out('exec', 'e', 'sh', '-c', 'grep CapInh /proc/self/status').split()[1] == '0' * 16
    assert skiff.out('exec', 'e', 'cat', '/proc/self/cgroup') == skiff.out('exec', 'e', 'cat', '/proc/1/cgroup')


def test_exec_new_user(skiff):
    """The user is looked up in what the container has now, not in the image."""
    skiff.sleeper('--name', 'e')
    assert 'unable to find user eve' in skiff('exec', '-u', 'eve', 'e', 'id', rc=126).stderr
    skiff('exec', 'e', 'sh', '-c', 'echo eve:x:4711:4711::/:/bin/sh >> /etc/passwd')
    assert skiff.out('exec', '-u', 'eve', 'e', 'id', '-u') == '4711\n'


@pytest.mark.parametrize('make', ['rm /etc/passwd; ln -s /dev/zero /etc/passwd', 'rm /etc/passwd; mkfifo /etc/passwd',
                                  'rm /etc/passwd; ln -s /proc/kmsg /etc/passwd', 'rm /etc/passwd; ln -s ../../../../../etc/passwd /etc/passwd',
                                  'rm /etc/passwd; ln -s passwd /etc/passwd'])
def test_exec_hostile_passwd(skiff, make):
    """T14: never blocks, never leaves the container."""
    skiff.sleeper('--name', 'e')
    skiff('exec', 'e', 'sh', '-c', make)
    begin = time.monotonic()
    assert 'unable to find user' in skiff('exec', '-u', 'daemon', 'e', 'id', rc=126, timeout=10).stderr
    assert skiff.out('exec', '-u', '5:6', 'e', 'grep', '^Uid', '/proc/self/status', timeout=10).split()[1] == '5'
    assert time.monotonic() - begin < 5


def test_exec_errors(skiff):
    skiff.sleeper('--name', 'e')
    assert 'executable file not found' in skiff('exec', 'e', 'nosuch', rc=127).stderr
    assert 'permission denied' in skiff('exec', 'e', '/notexec', rc=126).stderr
    assert skiff('exec', 'nosuch', 'true', rc=1).stderr == 'skiff: No such container: nosuch.\n'
    assert "change to the working directory '/nowhere'" in skiff('exec', '-w', '/nowhere', 'e', 'true', rc=126).stderr
    assert 'requires at least 2 arguments' in skiff('exec', 'e', rc=125).stderr
    skiff('kill', 'e')
    skiff('wait', 'e')
    assert 'is not running' in skiff('exec', 'e', 'true', rc=1).stderr


def test_exec_detached(skiff):
    skiff.sleeper('--name', 'e')
    assert skiff.out('exec', '-d', 'e', 'sh', '-c', 'echo $$ > /pid; exec sleep 100') == ''
    assert wait_until(lambda: skiff('exec', 'e', 'cat', '/pid', rc=None).returncode == 0)
    skiff('exec', 'e', 'sh', '-c', 'kill $(cat /pid)')
    assert wait_until(lambda: not list(skiff.run_root.glob('containers/*/exec/*')))


def test_many_execs_leave_nothing(skiff):
    skiff.sleeper('--name', 'e')
    for i in range(10):
        assert skiff.out('exec', 'e', 'echo', i) == f'{i}\n'
    assert not list(skiff.run_root.glob('containers/*/exec/*'))


# --- stop, kill, wait, rm ---

@pytest.mark.smoke
def test_stop(skiff):
    skiff.sleeper('--name', 's')
    assert skiff.out('stop', 's') == 's\n'
    assert skiff.state('s')['ExitCode'] == 0
    assert skiff.out('stop', 's') == 's\n'


def test_stop_kills_after_its_time(skiff):
    skiff.detached('--name', 's', '--', 'sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done')
    begin = time.monotonic()
    assert skiff.out('stop', '-t', '1', 's') == 's\n'
    assert 0.9 < time.monotonic() - begin < 8
    assert skiff.state('s')['ExitCode'] == 137


def test_stop_signal(skiff):
    skiff.detached('--name', 's', '--stop-signal', 'USR2', '--', 'sh', '-c', 'trap "exit 12" USR2; while :; do sleep 0.1; done')
    skiff('stop', 's')
    assert skiff.state('s')['ExitCode'] == 12


def test_stop_timeout_of_the_container(skiff):
    skiff.detached('--name', 's', '--stop-timeout', '0', '--', 'sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done')
    begin = time.monotonic()
    skiff('stop', 's')
    assert time.monotonic() - begin < 5


@pytest.mark.smoke
def test_kill(skiff):
    skiff.detached('--name', 'k', '--', 'sh', '-c', 'trap "exit 9" HUP; while :; do sleep 0.1; done')
    assert skiff.out('kill', '-s', 'HUP', 'k') == 'k\n'
    assert skiff.out('wait', 'k') == '9\n'
    p = skiff('kill', 'k', rc=1)
    assert 'cannot kill container: k: container' in p.stderr and 'is not running' in p.stderr
    assert 'invalid signal: NOSUCH' in skiff('kill', '-s', 'NOSUCH', 'k', rc=1).stderr


def test_wait(skiff):
    cid = skiff.detached('--name', 'w', '--', 'sh', '-c', 'sleep 0.7; exit 21')
    results = []
    threads = [threading.Thread(target=lambda: results.append(skiff.out('wait', 'w', timeout=20))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == ['21\n'] * 3
    assert skiff.out('wait', cid[:8], 'w') == '21\n21\n'


def test_rm(skiff):
    skiff.sleeper('--name', 'r')
    p = skiff('rm', 'r', rc=1)
    assert 'cannot remove container "/r": container is running: stop the container before removing or force remove' in p.stderr
    assert skiff.out('rm', '-f', 'r') == 'r\n'
    assert skiff('rm', 'r', rc=1).stderr == 'skiff: No such container: r.\n'
    assert skiff('rm', '-f', 'r').stdout == ''


def test_rm_of_several(skiff):
    for n in 'ab':
        skiff('run', '--name', n, skiff.image, 'true')
    p = skiff('rm', 'a', 'nosuch', 'b', rc=1)
    assert p.stdout == 'a\nb\n' and 'No such container: nosuch' in p.stderr


def test_prefixes(skiff):
    ids = [skiff.sleeper() for _ in range(3)]
    for cid in ids:
        assert skiff.inspect(cid[:10])['Id'] == cid and skiff.inspect(cid)['Id'] == cid
    name = skiff.inspect(ids[0])['Name']
    assert skiff.inspect(name)['Id'] == ids[0]
    ambiguous = next((p for p in '0123456789abcdef' if sum(i.startswith(p) for i in ids) > 1), None)
    if ambiguous:
        assert f'Multiple IDs found with provided prefix: {ambiguous}' in skiff('rm', ambiguous, rc=1).stderr


def test_name_can_be_used_again(skiff):
    for _ in range(3):
        skiff.run('--name', 'again', '--', 'true')


# --- inspect ---

def test_inspect(skiff):
    host = skiff.tmp / 'v'
    cid = skiff.sleeper('--name', 'i', '-m', '64m', '-l', 'a=1', '-l', 'b', '-e', 'X=y', '-v', f'{host}:/v:ro', '--cap-add', 'SYS_TIME')
    d = skiff.inspect('i')
    assert d['Id'] == cid and d['Name'] == '/i' and d['Path'] == 'sh' and d['Args'][0] == '-c'
    assert d['State']['Status'] == 'running' and d['State']['Running'] and d['State']['Pid'] > 0
    assert d['Config']['Labels'] == {'maker': 'test', 'a': '1', 'b': ''} and 'X=y' in d['Config']['Env']
    assert d['HostConfig']['Memory'] == 64 << 20 and d['HostConfig']['NetworkMode'] == 'bridge' and d['HostConfig']['CapAdd'] == ['SYS_TIME']
    assert d['Mounts'] == [{'Type': 'bind', 'Source': str(host), 'Destination': '/v', 'Mode': 'ro', 'RW': False, 'Propagation': 'rprivate'}]
    assert d['Image'].startswith('sha256:') and d['Config']['Image'] == skiff.image
    assert d['LogPath'].endswith(f'{cid}-json.log')


def test_inspect_unknown(skiff):
    p = skiff('inspect', 'nosuch', rc=1)
    assert json.loads(p.stdout) == [] and p.stderr == 'skiff: No such object: nosuch.\n'
    cid = skiff.sleeper('--name', 'x')
    p = skiff('inspect', 'x', 'nosuch', skiff.image, rc=1)
    docs = json.loads(p.stdout)
    assert docs[0]['Id'] == cid and docs[1]['RepoTags'] and len(docs) == 2
    assert 'No such image' in skiff('inspect', '--type', 'image', 'x', rc=1).stderr
    assert 'No such container' in skiff('container', 'inspect', skiff.image, rc=1).stderr


def test_rm_link(skiff):
    """docker's answers where there are no links."""
    skiff.sleeper('--name', 'c1')
    assert 'cannot remove the default link name' in skiff('rm', '--link', 'c1', rc=1).stderr
    assert 'No such container: c1/x' in skiff('rm', '-l', 'c1/x', rc=1).stderr
    assert skiff.state('c1')['Running']


def test_inspect_names_what_is_hidden_and_who_is_there(skiff):
    """What audits of containers read: the paths as the runtime got them, the profile of AppArmor, the sessions of exec."""
    skiff.detached('--name', 'c', '--', 'sleep', '1000')
    skiff.detached('--name', 'p', '--privileged', '--', 'sleep', '1000')
    doc = skiff.inspect('c')
    assert '/proc/kcore' in doc['HostConfig']['MaskedPaths'] and '/proc/sys' in doc['HostConfig']['ReadonlyPaths']
    spec = json.loads((skiff.root / 'containers' / doc['Id'] / 'config.json').read_text())
    assert doc['HostConfig']['MaskedPaths'] == spec['linux']['maskedPaths']
    assert doc['AppArmorProfile'] == spec['process'].get('apparmorProfile', '')
    assert doc['ExecIDs'] is None
    privileged = skiff.inspect('p')['HostConfig']
    assert not privileged['MaskedPaths'] and not privileged['ReadonlyPaths']
    skiff('exec', '-d', 'c', 'sleep', '1000')
    ids = skiff.inspect('c')['ExecIDs']
    assert len(ids) == 1 and len(ids[0]) == 64
    skiff('exec', 'c', 'sh', '-c', 'kill -9 $(pidof sleep | tr " " "\\n" | grep -vx 1)')
    assert wait_until(lambda: skiff.inspect('c')['ExecIDs'] is None)
