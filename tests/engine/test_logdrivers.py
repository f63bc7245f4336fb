"""Log drivers: one suite for those that can be read, and what the others send; rotation; the mode non-blocking."""
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time
from urllib.parse import quote_plus

import pytest
from conftest import wait_until

FILES = ['json-file', 'k8s-file']
READABLE = [*FILES, 'local']


def files_of(skiff, cid):
    return sorted((skiff.root / 'containers' / cid / 'log').iterdir())


@pytest.mark.parametrize('driver', READABLE)
def test_readable_driver(skiff, driver):
    cid = skiff.out('run', '-d', '--name', 'l', '--log-driver', driver, skiff.image, 'sh', '-c',
                    'echo one; echo two >&2; head -c 40000 /dev/zero | tr "\\0" x; echo; printf end').strip()
    skiff('wait', 'l')
    p = skiff('logs', 'l')
    assert p.stdout == 'one\n' + 'x' * 40000 + '\nend' and p.stderr == 'two\n'
    assert skiff.out('logs', '--tail', '1', 'l') == 'end' and re.match(r'^\d{4}-\d\d-\d\dT[\d:.]+Z one\n', skiff.out('logs', '-t', 'l'))
    assert skiff.out('logs', '--until', '1h', 'l') == '' and skiff.out('logs', '--since', '1h', 'l').startswith('one')
    path = skiff.inspect('l')['LogPath']
    assert path == str(files_of(skiff, cid)[0]) and skiff.inspect('l')['HostConfig']['LogConfig']['Type'] == driver


def test_k8s_file_is_kubernetes_form(skiff):
    cid = skiff.out('run', '-d', '--name', 'l', '--log-driver', 'k8s-file', skiff.image, 'sh', '-c', 'echo a; echo b >&2; head -c 16385 /dev/zero | tr "\\0" x; echo').strip()
    skiff('wait', 'l')
    lines = sorted(files_of(skiff, cid)[0].read_text().splitlines(), key=lambda x: x.split(' ', 3)[1:])
    assert [x.split(' ', 3)[1:] for x in lines] == [['stderr', 'F', 'b'], ['stdout', 'F', 'a'], ['stdout', 'F', 'x'], ['stdout', 'P', 'x' * 16384]]


@pytest.mark.parametrize('driver', FILES)
@pytest.mark.parametrize('mode', ['blocking', 'non-blocking'])
def test_rotation_loses_nothing_in_the_newest(skiff, driver, mode):
    cid = skiff.out('run', '-d', '--name', 'r', '--log-driver', driver, '--log-opt', 'max-size=20k', '--log-opt', 'max-file=3', '--log-opt', f'mode={mode}', skiff.image,
                    'sh', '-c', 'i=0; while [ $i -lt 1500 ]; do echo line$i; i=$((i+1)); done').strip()
    skiff('wait', 'r')
    lines = skiff.out('logs', 'r').splitlines()
    assert lines == [f'line{i}' for i in range(1500 - len(lines), 1500)] and len(lines) > 500
    sizes = [f.stat().st_size for f in files_of(skiff, cid)]
    assert len(sizes) == 3 and max(sizes) < 20 * 1024 + 200, 'never above max-size plus one entry'
    for f in files_of(skiff, cid):
        assert f.read_text().endswith('\n')


@pytest.mark.parametrize('mode', ['blocking', 'non-blocking'])
def test_compressed_files_are_read_as_any(skiff, mode):
    """Every line of a fast writer is there once and in order, whatever is compressed by then, while it writes and afterwards; at the end nothing but the newest file is plain."""
    n, size, write = (30000, '100k', 'seq 1 30000') if mode == 'blocking' else \
        (3000, '10k', 'k=0; while [ $k -lt 3000 ]; do seq $((k+1)) $((k+50)); k=$((k+50)); sleep 0.01; done')  # slow enough that nothing is dropped
    cid = skiff.out('run', '-d', '--name', 'z', '--log-opt', f'max-size={size}', '--log-opt', 'max-file=40', '--log-opt', 'compress=true', '--log-opt', f'mode={mode}',
                    skiff.image, 'sh', '-c', f'{write}; exec sleep 1000').strip()
    follower = skiff.popen('logs', '-f', 'z')
    seen = []
    while not seen or seen[-1] != n:
        seen = [int(x) for x in skiff.out('logs', 'z').split()]
        assert seen == list(range(1, len(seen) + 1))
    log = skiff.root / 'containers' / cid / 'log'

    def names():
        return {f.name for f in log.iterdir()} - {'lock', 'squeeze'}

    skiff('system', 'squeeze-logs', 'z')  # what was rotated while the last one ended
    assert wait_until(lambda: all(x.endswith('.gz') for x in names() - {f'{cid}-json.log'}), 20), names()
    packed = [f for f in log.iterdir() if f.name.endswith('.gz')]
    assert len(packed) > 10 and all(f.stat().st_size < 20000 for f in packed)
    assert b'"log":"1\\n"' in subprocess.run(['gzip', '-dc', log / f'{cid}-json.log.{len(packed)}.gz'], stdout=subprocess.PIPE, check=True).stdout[:60], 'the oldest'
    assert [int(x) for x in skiff.out('logs', 'z').split()] == list(range(1, n + 1))
    assert [int(x) for x in skiff.out('logs', '--tail', '900', 'z').split()] == list(range(n - 899, n + 1))
    skiff('kill', 'z')
    out = follower.communicate(timeout=20)[0].split()
    assert [int(x) for x in out] == list(range(1, n + 1))


def test_a_compression_that_was_killed(skiff):
    """Both forms of a file are there: the plain one counts, and the next compression puts it in order."""
    cid = skiff.out('run', '-d', '--name', 'z', '--log-opt', 'max-size=10k', '--log-opt', 'max-file=3', '--log-opt', 'compress=true', skiff.image, 'sh', '-c', 'seq 1 400').strip()
    skiff('wait', 'z')
    lines = skiff.out('logs', 'z')
    log = skiff.root / 'containers' / cid / 'log'
    skiff('system', 'squeeze-logs', 'z')
    old = log / f'{cid}-json.log.1.gz'
    assert wait_until(old.exists, 20)
    (log / f'{cid}-json.log.1').write_bytes(subprocess.run(['gzip', '-dc', old], stdout=subprocess.PIPE, check=True).stdout)
    old.write_bytes(b'half')
    (log / 'squeezed').write_bytes(b'more')
    assert skiff.out('logs', 'z') == lines
    skiff('system', 'squeeze-logs', 'z')
    assert not (log / f'{cid}-json.log.1').exists() and not (log / 'squeezed').exists() and skiff.out('logs', 'z') == lines
    old.write_bytes(old.read_bytes()[:100])
    assert 'unpack the log' in skiff('logs', 'z', rc=1).stderr


def test_local_is_rotated_without_being_asked(skiff):
    """docker's defaults of it, 20 MB and 5 files, compressed; what is said counts more."""
    def limits(*opts):
        cid = skiff.out('create', '--log-driver', 'local', *opts, skiff.image, 'true').strip()
        c = json.loads((skiff.root / 'containers' / cid / 'config.json').read_text())['skiff']
        return c['logMaxSize'], c['logMaxFile'], c.get('logCompress', False)

    assert limits() == (20 << 20, 5, True)
    assert limits('--log-opt', 'max-size=1m', '--log-opt', 'max-file=2', '--log-opt', 'compress=false') == (1 << 20, 2, False)
    assert limits('--log-opt', 'max-size=-1') == (0, 5, False), 'nothing is rotated'
    assert limits('--log-opt', 'max-file=1') == (20 << 20, 1, False)
    for opts in (['compress=true'], ['compress=true', 'max-size=1m'], ['compress=true', 'max-file=3']):
        words = [w for o in opts for w in ('--log-opt', o)]
        assert 'max-file is less than 2 or max-size is not set' in skiff('create', *words, skiff.image, 'true', rc=125).stderr
    assert "invalid --log-opt 'compress=yes'" in skiff('create', '--log-opt', 'compress=yes', skiff.image, 'true', rc=125).stderr
    assert "unknown log opt 'tag'" in skiff('create', '--log-driver', 'local', '--log-opt', 'tag=x', skiff.image, 'true', rc=125).stderr


def test_fast_writer_blocking(skiff):
    """Nothing is lost, and no file is above its limit plus a buffer."""
    n, mb, files = (3000000, 20, 100) if os.environ.get('SKIFF_SOAK') else (200000, 4, 50)
    cid = skiff.out('run', '-d', '--name', 'f', '--log-opt', f'max-size={mb}m', '--log-opt', f'max-file={files}', skiff.image, 'sh', '-c', f'seq 1 {n}').strip()
    skiff('wait', 'f', timeout=600)
    out = skiff.out('logs', 'f')
    assert out == ''.join(f'{i}\n' for i in range(1, n + 1))
    assert max(f.stat().st_size for f in files_of(skiff, cid)) <= (mb << 20) + (112 << 10)


def test_writer_at_full_speed(skiff):
    """Lines as fast as the log takes them: the files are looked at all the while, and nothing is lost. SKIFF_SOAK=1: 2 GB."""
    n, mb = (20_000_000, 64) if os.environ.get('SKIFF_SOAK') else (200_000, 1)
    cid = skiff.out('run', '-d', '--name', 'f', '--network', 'none', '--log-opt', f'max-size={mb}m', '--log-opt', 'max-file=1000', skiff.image, 'sh', '-c',
                    f'while [ ! -e /go ]; do sleep 0.02; done; yes {"x" * 99} | head -n {n}').strip()
    began, largest = time.monotonic(), 0
    skiff('exec', 'f', 'touch', '/go')
    wait = skiff.popen('wait', 'f')
    while wait.poll() is None:
        for f in files_of(skiff, cid):
            try:
                largest = max(largest, f.stat().st_size)
            except FileNotFoundError:
                pass
    wait.communicate()
    print(f'{n * 100 / 1e6 / (time.monotonic() - began):.0f} MB/s')
    logs = skiff.popen('logs', 'f')
    lines = subprocess.run(['wc', '-lc'], stdin=logs.stdout, capture_output=True, text=True, check=True).stdout.split()
    logs.communicate()
    assert lines == [str(n), str(n * 100)] and largest <= (mb << 20) + (112 << 10)


def count(lines):
    dropped = sum(int(m.group(1)) for m in (re.match(r'skiff: (\d+) log entries were dropped here', x) for x in lines) if m)
    kept = [x for x in lines if not x.startswith('skiff: ')]
    return kept, dropped


@pytest.mark.parametrize('driver', FILES)
def test_fast_writer_non_blocking(skiff, driver, kill9):
    """A writer that is held up: the container runs on, and kept + dropped is exactly what it wrote."""
    cid = skiff.out('run', '-d', '--name', 'f', '--log-driver', driver, '--log-opt', 'mode=non-blocking', '--log-opt', 'max-buffer-size=64k', skiff.image, 'sh', '-c',
                    'while [ ! -e /go ]; do sleep 0.02; done; seq 1 100000; touch /done; sleep 1000').strip()
    monitor = skiff.monitor_pid('f')
    children = f'/proc/{monitor}/task/{monitor}/children'
    named = []  # it names itself
    assert wait_until(lambda: named.extend(int(c) for c in open(children).read().split() if open(f'/proc/{c}/comm').read() == 'skiff-log\n') or named)
    writer = named[0]
    os.kill(writer, 19)  # SIGSTOP: a disk that does not answer
    skiff('exec', 'f', 'touch', '/go')
    assert wait_until(lambda: skiff('exec', 'f', 'test', '-e', '/done', rc=None).returncode == 0), 'the container does not wait for the log'
    os.kill(writer, 18)
    skiff('kill', 'f')
    skiff('wait', 'f')
    p = skiff('logs', 'f')
    kept, dropped = count((p.stdout + p.stderr).splitlines())
    assert dropped > 0 and len(kept) + dropped == 100000 and kept == sorted(kept, key=int)
    assert wait_until(lambda: not os.path.exists(f'/proc/{writer}'))


def test_writer_ends_with_a_killed_monitor(skiff, kill9):
    skiff('run', '-d', '--name', 'k', '--log-opt', 'mode=non-blocking', skiff.image, 'sh', '-c', 'echo said; sleep 1000')
    monitor = skiff.monitor_pid('k')
    children = [int(c) for c in open(f'/proc/{monitor}/task/{monitor}/children').read().split()]
    assert len(children) == 2 and wait_until(lambda: skiff.out('logs', 'k') == 'said\n')
    kill9(monitor)
    assert wait_until(lambda: not any(os.path.exists(f'/proc/{c}') for c in children))


class Receiver:
    """A datagram socket that keeps what comes."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(str(path))
        self.s.settimeout(20)

    def take(self):
        return self.s.recv(1 << 17)


def test_syslog(skiff, tmp_path):
    r = Receiver(tmp_path / 's')
    cid = skiff.out('run', '-d', '--name', 'sys', '--log-driver', 'syslog', '--log-opt', f'syslog-address=unixgram://{tmp_path}/s', '--log-opt', 'syslog-facility=local1',
                    '--log-opt', 'tag={{.Name}}/{{.ID}}', skiff.image, 'sh', '-c', 'echo out; echo err >&2').strip()
    got = sorted(r.take().decode() for _ in range(2))
    assert re.match(rf'^<{17 * 8 + 3}>[A-Z][a-z][a-z] [ \d]\d [\d:]+ sys/{cid[:12]}\[\d+\]: err$', got[0]), got
    assert re.match(rf'^<{17 * 8 + 6}>.*: out$', got[1])
    assert 'does not support reading' in skiff('logs', 'sys', rc=1).stderr


def test_syslog_over_tcp_and_udp(skiff):
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(('127.0.0.1', 0))
        tcp.listen(1)
        udp.bind(('127.0.0.1', 0))
        udp.settimeout(20)
        tcp.settimeout(20)
        for s, proto in ((tcp, 'tcp'), (udp, 'udp')):
            skiff('run', '-d', '--rm', '--log-driver', 'syslog', '--log-opt', f'syslog-address={proto}://127.0.0.1:{s.getsockname()[1]}', skiff.image, 'sh', '-c',
                  'echo first; echo second; sleep 0.3')
        conn, _ = tcp.accept()
        data = b''
        conn.settimeout(20)
        while data.count(b'\n') < 2:
            data += conn.recv(4096)
        assert [x.rpartition(b': ')[2] for x in data.splitlines()] == [b'first', b'second']
        assert [udp.recv(4096).rpartition(b': ')[2] for _ in range(2)] == [b'first', b'second']


def test_syslog_receiver_that_is_gone(skiff, tmp_path):
    """The container runs on; what was lost is counted when somebody listens again."""
    skiff('run', '-d', '--name', 'g', '--log-driver', 'syslog', '--log-opt', f'syslog-address=unixgram://{tmp_path}/s', skiff.image, 'sh', '-c',
          'echo 1; echo 2; echo 3; touch /lost; while [ ! -e /go ]; do sleep 0.02; done; echo 4')
    assert wait_until(lambda: skiff('exec', 'g', 'test', '-e', '/lost', rc=None).returncode == 0)
    r = Receiver(tmp_path / 's')
    skiff('exec', 'g', 'touch', '/go')
    assert 'skiff: 3 log entries were dropped here' in r.take().decode() and r.take().decode().endswith(': 4')


def journal_fields(raw):
    """The native protocol, decoded."""
    found = {}
    while raw:
        name, sep, rest = raw.partition(b'\n')
        if b'=' in name:
            k, _, v = name.partition(b'=')
            found[k.decode()] = v
            raw = rest
        else:
            n, = struct.unpack_from('<Q', rest)
            found[name.decode()] = rest[8:8 + n]
            raw = rest[8 + n + 1:]
    return found


def test_journald(skiff, tmp_path):
    """In a mount namespace with a socket of ours at the journal's place."""
    (tmp_path / 'run').mkdir()
    script = f'mkdir -p /run/systemd/journal && mount --bind {tmp_path}/run /run/systemd/journal && exec "$@"'
    if not os.path.isdir('/run/systemd/journal'):
        script = f'mount -t tmpfs none /run/systemd 2>/dev/null || {{ mkdir -p {tmp_path}/s; mount --bind {tmp_path}/s /run; mkdir -p /run/systemd; }}; mkdir -p /run/systemd/journal; ' \
                 f'mount --bind {tmp_path}/run /run/systemd/journal && exec "$@"'
    r = Receiver(tmp_path / 'run' / 'socket')
    argv = skiff.argv('run', '-d', '--rm', '--name', 'j', '--log-driver', 'journald', '--log-opt', 'tag=my-{{.Name}}', '--log-opt', 'env=SHOWN', '-e', 'SHOWN=yes', '-e', 'HIDDEN=no',
                      skiff.image, 'sh', '-c', 'printf "out\\001\\n"; sleep 0.2; echo err >&2')
    p = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', *argv], capture_output=True, text=True, env=skiff.env)
    assert p.returncode == 0, p.stderr
    cid = p.stdout.strip()
    first, second = journal_fields(r.take()), journal_fields(r.take())
    assert first['MESSAGE'] == b'out\x01' and first['PRIORITY'] == b'6' and second['MESSAGE'] == b'err' and second['PRIORITY'] == b'3'
    assert first['CONTAINER_ID_FULL'] == cid.encode() and first['CONTAINER_NAME'] == b'j' and first['SYSLOG_IDENTIFIER'] == b'my-j' and first['SHOWN'] == b'yes'
    assert 'HIDDEN' not in first and first['CONTAINER_ID'] == cid[:12].encode()
    wait_until(lambda: skiff.out('ps', '-aq') == '')


def test_options_are_checked(skiff):
    for flags, words in [(['--log-driver', 'fluentd'], "no log driver named 'fluentd'"), (['--log-opt', 'max-size=x'], "invalid --log-opt 'max-size=x'"),
                         (['--log-opt', 'color=red'], "unknown log opt 'color' for json-file"), (['--log-opt', 'mode=fast'], "invalid --log-opt 'mode=fast'"),
                         (['--log-driver', 'none', '--log-opt', 'max-size=1m'], "unknown log opt 'max-size' for none"),
                         (['--log-driver', 'syslog', '--log-opt', 'syslog-address=ftp://x'], 'invalid --log-opt')]:
        assert words in skiff.run(*flags, '--', 'true', rc=125).stderr
    skiff('run', '--name', 'n', '--log-driver', 'none', skiff.image, 'echo', 'x')
    assert 'does not support reading' in skiff('logs', 'n', rc=1).stderr


def test_attributes_of_a_json_file(skiff):
    """docker's: chosen labels, variables and the tag in each entry, sorted; `logs --details` shows them as a query."""
    flags = ['--log-opt', 'labels=x,zz,nope', '--log-opt', 'env=E,PATH', '--log-opt', 'tag={{.Name}}/{{.ID}}', '--label', 'x=a b,c', '--label', 'zz=1', '-e', 'E=q="1']
    cid = skiff.detached('--name', 'a', *flags, '--', 'sh', '-c', 'echo hi; echo err >&2')
    skiff('wait', cid)
    path = skiff.root / 'containers' / cid / 'log' / f'{cid}-json.log'
    entry = path.read_text().splitlines()[0]
    assert entry.startswith('{"log":"hi\\n","stream":"stdout","attrs":{"E":"q=\\"1","PATH":"/usr'), entry
    tag = f'a/{cid[:12]}'
    attrs = json.loads(entry)['attrs']
    assert list(attrs) == ['E', 'PATH', 'tag', 'x', 'zz'] and (attrs['tag'], attrs['x'], attrs['zz']) == (tag, 'a b,c', '1')
    path_ = quote_plus(attrs['PATH'])
    p = skiff('logs', '--details', 'a')
    head = f'E=q%3D%221,PATH={path_},tag={quote_plus(tag)},x=a+b%2Cc,zz=1 '
    assert (p.stdout, p.stderr) == (head + 'hi\n', head + 'err\n')
    assert skiff.out('logs', 'a') == 'hi\n'
    time, rest = skiff.out('logs', '-t', '--details', 'a').split(' ', 1)
    assert time.endswith('Z') and rest == head + 'hi\n'
    cid = skiff.detached('--log-opt', 'labels-regex=^(x|z)', '--log-opt', 'env-regex=^E', '--label', 'x=1', '--label', 'y=2', '-e', 'EE=2', '--', 'echo', 'hi')
    skiff('wait', cid)
    assert skiff.out('logs', '--details', cid) == 'EE=2,x=1 hi\n'
    skiff.run('--name', 'plain', '--log-opt', 'compress=false', '--', 'true')
    cid = skiff.detached('--', 'echo', 'hi')
    skiff('wait', cid)
    assert skiff.out('logs', '--details', cid) == ' hi\n'
    assert 'invalid --log-opt' in skiff.run('--log-opt', 'labels-regex=(', '--', 'true', rc=125).stderr
    assert 'invalid --log-opt' in skiff.run('--log-opt', 'compress=', '--', 'true', rc=125).stderr


def test_attributes_of_a_non_blocking_log(skiff):
    cid = skiff.detached('--log-opt', 'mode=non-blocking', '--log-opt', 'tag=t', '--', 'seq', '1000')
    skiff('wait', cid)
    assert wait_until(lambda: skiff.out('logs', '--details', cid) == ''.join(f'tag=t {i}\n' for i in range(1, 1001)))
