"""checkpoint and restore of containers, with a real criu (tests/runtime/get-criu); without one that says "Looks good." all is skipped.

The container counts in a shell variable: it goes on where it was only if its memory came back.
"""
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import wait_until

TOP = Path(__file__).resolve().parents[2]
COUNT = 'i=0; trap "exit 7" TERM; while :; do i=$((i+1)); echo $i; sleep 0.05; done'


def find_criu():
    own = TOP / 'build/criu/criu'
    path = os.environ.get('SKIFF_TEST_CRIU') or (str(own) if own.exists() else shutil.which('criu'))
    if not path:
        return None, 'no criu: run tests/runtime/get-criu, or set SKIFF_TEST_CRIU'
    with tempfile.TemporaryDirectory() as d:
        r = subprocess.run([path, 'check'], capture_output=True, text=True, timeout=60, cwd=d)
    return (str(Path(path).parent), None) if r.returncode == 0 else (None, f"'{path} check' fails on this kernel: {r.stderr.strip()[-200:]}")


@pytest.fixture(scope='module')
def criu():
    d, why = find_criu()
    if not d:
        pytest.skip(why)
    return d


@pytest.fixture
def skiff(skiff, criu):
    skiff.env['PATH'] = criu + ':' + skiff.env['PATH']
    return skiff


def numbers(skiff, cid):
    return [int(x) for x in skiff.out('logs', cid).split()]


def counts(skiff, cid, more=3):
    n = len(numbers(skiff, cid))
    assert wait_until(lambda: len(numbers(skiff, cid)) >= n + more, 20)


def counter(skiff, *flags):
    cid = skiff.detached(*flags, '--', 'sh', '-c', COUNT)
    assert wait_until(lambda: len(numbers(skiff, cid)) >= 3, 20)
    return cid


def in_order(skiff, cid):
    v = numbers(skiff, cid)
    assert v == list(range(1, len(v) + 1))


def test_goes_on_where_it_was_and_is_a_container_as_any_other(skiff):
    cid = counter(skiff, '--restart', 'always')
    assert skiff.out('container', 'checkpoint', cid) == cid + '\n'
    s = skiff.state(cid)
    assert s['Status'] == 'exited' and s['ExitCode'] == 137
    at = len(numbers(skiff, cid))
    assert skiff.out('restore', cid) == cid + '\n'
    counts(skiff, cid)
    in_order(skiff, cid)
    assert len(numbers(skiff, cid)) > at
    assert skiff.out('exec', cid, 'echo', 'here') == 'here\n' and 'sleep' in skiff.out('top', cid)
    assert not (skiff.root / 'containers' / cid / 'checkpoints/checkpoint').exists()
    skiff('stop', cid)
    assert skiff.state(cid)['ExitCode'] == 7
    skiff('rm', cid)


def test_left_running_kept_and_restored_twice(skiff):
    cid = counter(skiff)
    skiff('container', 'checkpoint', '--leave-running', cid)
    counts(skiff, cid)
    in_order(skiff, cid)
    doc = json.loads(skiff.out('container', 'checkpoint', '--keep', '--print-stats', cid))
    assert doc['podman_checkpoint_duration'] > 0 and doc['container_statistics'][0]['Id'] == cid
    images = skiff.root / 'containers' / cid / 'checkpoints/checkpoint'
    assert (images / 'dump.log').exists() and os.stat(images).st_mode & 0o777 == 0o700
    for _ in range(2):
        assert 'podman_restore_duration' in skiff.out('container', 'restore', '--keep', '--print-stats', cid)
        counts(skiff, cid)
        skiff('kill', cid)
        skiff('wait', cid)
    v = numbers(skiff, cid)
    assert v != sorted(set(v)), 'the second restore counts over what the first has counted'
    skiff('rm', cid)


def test_what_a_container_has(skiff, tmp_path):
    """Volume, bind mount, secret, tmpfs, limits, environment, written files."""
    (tmp_path / 'host').mkdir()
    skiff('secret', 'create', 's', '-', input='pass')
    cid = skiff.detached('-v', 'vol:/data', '-v', f'{tmp_path}/host:/host', '--secret', 's,mode=0400', '--tmpfs', '/t', '-m', '64m', '--pids-limit', '50', '-e', 'A=b',
                         '--network', 'none', '--', 'sh', '-c', 'echo x > /t/file; echo y > /written; ' + COUNT.replace('echo $i;', 'echo $i > /data/n; echo $i > /host/n;'))
    n = tmp_path / 'host/n'
    assert wait_until(lambda: n.exists() and n.read_text().strip(), 20)
    skiff('container', 'checkpoint', cid)
    before = int(n.read_text() or 0)
    skiff('restore', cid)
    assert wait_until(lambda: int(n.read_text() or 0) > before + 2, 20)
    assert skiff.out('exec', cid, 'sh', '-c', 'cat /t/file /written /run/secrets/s; echo; stat -c %a /run/secrets/s; test -f /data/n && echo data; echo $A').split() == \
        ['x', 'y', 'pass', '400', 'data', 'b']
    skiff('rm', '-f', cid)
    skiff('volume', 'rm', 'vol')
    skiff('secret', 'rm', 's')


def test_network_of_a_restored_container(skiff):
    skiff('network', 'create', '--subnet', '10.211.77.0/24', 'ck')
    cid = counter(skiff, '--network', 'ck', '--ip', '10.211.77.9')
    skiff('container', 'checkpoint', cid)
    skiff('restore', cid)
    counts(skiff, cid)
    assert '10.211.77.9/24' in skiff.out('exec', cid, 'ip', '-4', 'addr', 'show', 'eth0')
    assert skiff('exec', cid, 'ping', '-c', '1', '-W', '5', '10.211.77.1').returncode == 0
    skiff('rm', '-f', cid)
    skiff('network', 'rm', 'ck')


def test_pre_checkpoint_and_with_previous(skiff):
    cid = counter(skiff)
    assert 'has no pre-checkpoint' in skiff('container', 'checkpoint', '--with-previous', cid, rc=1).stderr
    p = skiff('container', 'checkpoint', '--pre-checkpoint', cid, rc=None)
    if p.returncode:
        assert 'CONFIG_MEM_SOFT_DIRTY' in p.stderr
        counts(skiff, cid)
        pytest.skip('this kernel does not track changes of memory')
    counts(skiff, cid)
    skiff('container', 'checkpoint', '--with-previous', cid)
    skiff('restore', cid)
    counts(skiff, cid)
    in_order(skiff, cid)
    skiff('rm', '-f', cid)


def test_dockers_words(skiff, tmp_path):
    cid = counter(skiff, '--name', 'c')
    assert skiff.out('checkpoint', 'create', '--leave-running', 'c', 'one') == 'one\n'
    assert 'checkpoint with name one already exists for container c' in skiff('checkpoint', 'create', 'c', 'one', rc=1).stderr
    skiff('checkpoint', 'create', '--checkpoint-dir', tmp_path / 'ck', 'c', 'two')
    assert skiff.out('checkpoint', 'ls', 'c').split('\n')[:2] == ['CHECKPOINT NAME', 'one']
    assert skiff.out('checkpoint', 'ls', '--checkpoint-dir', tmp_path / 'ck', 'c').split() == ['CHECKPOINT', 'NAME', 'two']
    assert 'checkpoint three does not exist for container c' in skiff('start', '--checkpoint', 'three', 'c', rc=1).stderr
    skiff('start', '--checkpoint', 'two', '--checkpoint-dir', tmp_path / 'ck', 'c')
    counts(skiff, cid)
    in_order(skiff, cid)
    skiff('checkpoint', 'rm', 'c', 'one')
    assert 'checkpoint one does not exist' in skiff('checkpoint', 'rm', 'c', 'one', rc=1).stderr
    skiff('rm', '-f', 'c')
    shutil.rmtree(tmp_path / 'ck')


def test_a_terminal_and_a_paused_container(skiff):
    cid = counter(skiff, '-t', '-i')
    skiff('pause', cid)
    skiff('container', 'checkpoint', cid)
    skiff('start', '--checkpoint', 'checkpoint', cid)
    if skiff.state(cid)['Status'] == 'paused':
        skiff('unpause', cid)
    counts(skiff, cid)
    in_order(skiff, cid)
    skiff('rm', '-f', cid)


def test_refusals_leave_the_container_as_it_is(skiff):
    cid = skiff('create', skiff.image, 'true').stdout.strip()
    assert 'it is created, not running' in skiff('container', 'checkpoint', cid, rc=1).stderr
    assert 'does not exist' in skiff('restore', cid, rc=1).stderr
    run = counter(skiff, '--rm', '--restart', 'no')
    assert 'started with --rm' in skiff('container', 'checkpoint', run, rc=1).stderr
    other = counter(skiff, '--ipc', 'shareable')
    joined = counter(skiff, '--ipc', f'container:{other}')
    assert 'shares namespaces of another container' in skiff('container', 'checkpoint', joined, rc=1).stderr
    assert 'it is running' in skiff('restore', other, rc=1).stderr
    path = skiff.env['PATH']
    skiff.env['PATH'] = '/nonexistent'
    assert 'criu' in skiff('container', 'checkpoint', other, rc=1).stderr
    skiff.env['PATH'] = path
    for c in (run, other, joined):
        counts(skiff, c)
    assert os.listdir(skiff.root / 'containers' / other / 'checkpoints') == []
    skiff('rm', '-f', cid, run, other, joined)


def exported(skiff, tmp_path, *flags, cmd=COUNT, ck=()):
    cid = skiff.detached(*flags, '--', 'sh', '-c', cmd)
    assert wait_until(lambda: len(numbers(skiff, cid)) >= 3, 20)
    skiff('container', 'checkpoint', '--export', tmp_path / 'a.tar', *ck, cid)
    return cid


def last(skiff, cid):
    return numbers(skiff, cid)[-1]


def test_export_and_import(skiff, tmp_path):
    """All that a container has comes back in a new one, the old one gone: memory, files, volumes, tmpfs, settings; twice under other names."""
    archive = tmp_path / 'a.tar'
    cid = exported(skiff, tmp_path, '--rm', '--name', 'old', '-v', 'vol:/data', '-v', '/anon', '--tmpfs', '/t', '-m', '64m', '-e', 'A=b', '-l', 'k=v', '--network', 'none',
                   cmd='echo x > /t/f; echo y > /written; rm -r /srv; mkdir /srv; echo z > /srv/z; echo d > /data/d; echo n > /anon/n; ' + COUNT)
    assert skiff('inspect', 'old', rc=1).returncode == 1, '--rm'
    names = subprocess.run(['tar', '--zstd', '-tf', archive], capture_output=True, text=True).stdout.split()
    assert {'./config.dump', './spec.dump', './network.dump', './rootfs-diff.tar', './volumes/0.tar'} <= set(names) and any(n.startswith('checkpoint/pages-') for n in names)
    assert os.stat(archive).st_mode & 0o777 == 0o600
    assert 'volume with name vol already exists' in skiff('container', 'restore', '--import', archive, rc=125).stderr
    skiff('volume', 'rm', 'vol')
    new = skiff.out('container', 'restore', '--import', archive, '--print-stats')
    doc = json.loads(new)
    new = doc['container_statistics'][0]['Id']
    assert new != cid and doc['container_statistics'][0]['criu_statistics']['pages_restored'] > 0
    counts(skiff, new)
    v = numbers(skiff, new)
    assert v[0] > 3 and v == list(range(v[0], v[0] + len(v)))
    assert skiff.out('exec', 'old', 'sh', '-c', 'cat /t/f /written /srv/z /data/d /anon/n; ls /srv; echo $A; hostname').split() == ['x', 'y', 'z', 'd', 'n', 'z', 'b', cid[:12]]
    d = skiff.inspect('old')
    assert d['Config']['Labels']['k'] == 'v' and d['HostConfig']['Memory'] == 64 << 20 and d['HostConfig']['AutoRemove']
    # once more beside it
    assert 'already in use' in skiff('container', 'restore', '--import', archive, '--ignore-volumes', rc=125).stderr
    other = skiff.out('restore', '--import', archive, '--ignore-volumes', '--ignore-rootfs', '--name', 'two', '--keep').strip()
    counts(skiff, other)
    assert 'No such file' in skiff('exec', 'two', 'cat', '/written', rc=1).stderr
    assert (skiff.root / 'containers' / other / 'checkpoints/checkpoint').is_dir()
    skiff('rm', '-f', 'old', 'two')
    skiff('volume', 'rm', 'vol')
    assert skiff.out('images', '-aqf', 'dangling=true') == '', 'nothing of the archive stays'


def test_export_of_a_network_with_ports(skiff, tmp_path):
    skiff('network', 'create', '--subnet', '10.211.78.0/24', 'ckx')
    cid = exported(skiff, tmp_path, '--name', 'n', '--network', 'ckx', '--ip', '10.211.78.9', '-p', '80', ck=('--compress', 'gzip', '--leave-running'))
    counts(skiff, cid)
    assert (tmp_path / 'a.tar').read_bytes()[:2] == b'\x1f\x8b'
    two = skiff.out('restore', '-i', tmp_path / 'a.tar', '-n', 'm', '-p', '81/udp').strip()
    counts(skiff, two)
    assert '10.211.78.9/' not in skiff.out('exec', two, 'ip', '-4', 'addr', 'show', 'eth0')
    assert list(skiff.inspect('m')['HostConfig']['PortBindings']) == ['81/udp']
    skiff('rm', '-f', 'n', 'm')
    skiff('container', 'restore', '-i', tmp_path / 'a.tar')
    assert '10.211.78.9/' in skiff.out('exec', 'n', 'ip', '-4', 'addr', 'show', 'eth0')
    skiff('rm', '-f', 'n')
    skiff('network', 'rm', 'ckx')


def test_create_image(skiff):
    cid = counter(skiff, '--name', 'c')
    assert 'is no checkpoint' in skiff('restore', skiff.image, rc=1).stderr
    skiff('container', 'checkpoint', '--create-image', 'saved:1', 'c')
    at = last(skiff, cid)
    skiff('restore', '--name', 'd', 'saved:1')
    counts(skiff, 'd')
    assert numbers(skiff, 'd')[0] == at + 1
    skiff('restore', 'c')  # it is kept here, too
    counts(skiff, 'c')
    assert any(b'"io.podman.annotations.checkpoint.name":"c"' in b.read_bytes() for b in (skiff.root / 'blobs/sha256').iterdir() if b.stat().st_size < 10000)
    skiff('rm', '-f', 'c', 'd')
    skiff('rmi', 'saved:1')


def test_archives_that_are_none_and_words_that_do_not_go_together(skiff, tmp_path):
    bad = tmp_path / 'bad.tar'
    bad.write_bytes(b'no tar')
    assert 'archive' in skiff('restore', '-i', bad, rc=125).stderr
    (tmp_path / 'x').mkdir()
    subprocess.run(['tar', '-cf', bad, '-C', tmp_path, 'x'], check=True)
    assert "it has no file 'config.dump'" in skiff('restore', '-i', bad, rc=125).stderr
    assert "open '" in skiff('restore', '-i', tmp_path / 'none', rc=125).stderr
    cid = counter(skiff)
    out = tmp_path / 'o'
    for flags, why, rc in [(('--ignore-rootfs', cid), 'only be used with --export', 125), (('-c', 'xz', '-e', out, cid), 'not supported', 1),
                           (('-P', '-e', out, cid), 'not exported', 125), (('-e', out, cid, cid), 'of one container', 125),
                           (('--create-image', 'UPPER', cid), 'UPPER', 1)]:
        assert why in skiff('container', 'checkpoint', *flags, rc=rc).stderr
    assert 'only be used with --import' in skiff('restore', '--ignore-volumes', '-a', rc=125).stderr
    counts(skiff, cid)
    skiff('rm', '-f', cid)
    assert skiff.out('images', '-aqf', 'dangling=true') == '' and not out.exists()
