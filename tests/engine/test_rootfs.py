"""run --rootfs: a container on a directory, without an image; and what run has of podman besides: --replace, --timeout, --group-add keep-groups."""
import io
import os
import subprocess
import tarfile
import time

import pytest

from conftest import wait_until


@pytest.fixture
def tree(skiff, tmp_path):
    """The test image's files as a directory of the host."""
    d = tmp_path / 'tree'
    d.mkdir()
    cid = skiff.out('create', skiff.image, 'true').strip()
    p = skiff.popen('export', cid)
    subprocess.run(['tar', '-xf', '-', '-C', str(d)], stdin=p.stdout, check=True)
    assert p.wait() == 0
    skiff('rm', cid)
    (d / 'mark').write_text('of the host\n')
    return d


def picture(d):
    return sorted((str(p.relative_to(d)), os.lstat(p).st_mode, os.lstat(p).st_uid, os.lstat(p).st_mtime_ns, p.read_bytes() if p.is_file() and not p.is_symlink() else None)
                  for p in d.rglob('*'))


@pytest.mark.smoke
def test_a_container_on_a_directory_writes_to_it_and_rm_leaves_it(skiff, tree):
    assert skiff.out('run', '--rm', '--rootfs', tree, 'sh', '-c', 'cat /mark; id -un; echo new >/new') == 'of the host\nroot\n'
    assert (tree / 'new').read_text() == 'new\n'
    cid = skiff.out('run', '-d', '--name', 'r', '--rootfs', tree, 'sleep', '60').strip()
    assert skiff.out('exec', '-u', '5', cid, 'sh', '-c', 'id -u; cat /mark') == '5\nof the host\n'
    doc = skiff.inspect(cid)
    assert (doc['Rootfs'], doc['Image'], doc['Config']['Image']) == (str(tree), '', '')
    assert skiff.out('ps', '--format', '{{.Image}} {{.Names}}') == f'{tree} r\n'
    assert 'cannot commit a container that uses an exploded rootfs' in skiff('commit', cid, 'x', rc=None).stderr
    assert 'nothing to compare' in skiff('diff', cid, rc=None).stderr
    (tree.parent / 'in').write_text('in')
    skiff('cp', tree.parent / 'in', f'{cid}:/in')
    assert (tree / 'in').read_text() == 'in'
    with tarfile.open(fileobj=io.BytesIO(skiff.popen('export', cid).communicate(timeout=60)[0])) as t:
        assert {'mark', 'in', 'bin/busybox'} <= {m.name.removeprefix('./') for m in t}
    skiff('rm', '-f', cid)
    assert (tree / 'mark').exists() and (tree / 'bin/busybox').exists()
    skiff('image', 'prune', '-a', '-f')  # the collection reads containers that name no image


def test_with_o_nothing_in_the_directory_changes(skiff, tree):
    before = picture(tree)
    cid = skiff.out('run', '-d', '--rootfs', f'{tree}:O', 'sh', '-c', 'rm /mark; echo new >/new; trap "exit 0" TERM; while :; do sleep 0.1; done').strip()
    assert wait_until(lambda: set(skiff.out('diff', cid).splitlines()) >= {'D /mark', 'A /new'})
    skiff('restart', '-t', '1', cid)
    assert skiff.out('exec', cid, 'cat', '/new') == 'new\n'
    with tarfile.open(fileobj=io.BytesIO(skiff.popen('export', cid).communicate(timeout=60)[0])) as t:
        names = {m.name.removeprefix('./') for m in t}
    assert 'new' in names and 'bin/busybox' in names and 'mark' not in names
    skiff('rm', '-f', cid)
    assert picture(tree) == before


def test_rootfs_in_a_user_namespace(skiff, tree):
    (tree / 'mark').chmod(0o600)
    for flags in (f'{tree}:idmap', f'{tree}:O:idmap'):
        out = skiff.out('run', '--rm', '--network=none', '--uidmap', '0:400000:2000', '--rootfs', flags, 'sh', '-c', 'stat -c %u /bin/busybox; cat /mark; echo x >/new; stat -c %u /new')
        assert out == '0\nof the host\n0\n', flags
    assert os.lstat(tree / 'new').st_uid == 0  # of the first: through the map it is the directory's own root
    out = skiff.out('run', '--rm', '--network=none', '--uidmap', '0:400000:2000', '--rootfs', f'{tree}:O', 'sh', '-c', 'stat -c %u /bin/busybox; cat /mark 2>/dev/null || echo no')
    assert out == '65534\nno\n'


@pytest.mark.parametrize('word,text', [('/no/such/dir', 'No such file or directory'), ('{tree}:X', "unknown option 'X'"), ('{tree}/mark', 'is not a directory'),
                                       ('{tree}:idmap', 'needs a user namespace')])
def test_wrong_rootfs(skiff, tree, word, text):
    assert text in skiff('run', '--rootfs', word.format(tree=tree), 'true', rc=125).stderr
    assert skiff.out('ps', '-aq') == ''


def test_replace(skiff):
    a = skiff.sleeper('--name', 'one')
    b = skiff.sleeper('--name', 'one', '--replace')
    assert skiff.out('ps', '-aq', '--no-trunc').split() == [b] and a != b
    assert skiff.out('create', '--name', 'two', '--replace', skiff.image).strip()  # there is none of that name
    assert 'without --name' in skiff.run('--replace', '--', 'true', rc=125).stderr
    assert 'invalid' in skiff('run', '--name', 'one', '--replace', '--restart', 'wrong', skiff.image, 'true', rc=125).stderr.lower()
    assert skiff.state('one')['Running'], 'a request that is refused replaces nothing'


def test_timeout_kills_each_run(skiff):
    t = time.monotonic()
    assert skiff.run('--timeout', '1', '--', 'sleep', '60', rc=None).returncode == 137
    assert time.monotonic() - t < 30
    assert skiff.run('--timeout', '60', '--', 'true').returncode == 0
    cid = skiff.detached('--timeout', '1', '--restart', 'on-failure:1', '--', 'sh', '-c', 'echo start; sleep 60')
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited', 30)
    assert skiff.out('logs', cid) == 'start\n' * 2 and skiff.state(cid)['ExitCode'] == 137


def test_keep_groups(skiff):
    argv = skiff.argv('run', '--rm', '--network=none', '--group-add', 'keep-groups', '-u', '1000', skiff.image, 'id', '-G')
    p = subprocess.run(argv, env=skiff.env, capture_output=True, text=True, extra_groups=[4242, 17], timeout=60)
    assert p.returncode == 0 and {'4242', '17'} <= set(p.stdout.split()), p
    assert 'not allowed with any other' in skiff.run('--group-add', 'keep-groups', '--group-add', '5', '--', 'true', rc=125).stderr
    argv = skiff.argv('run', '-d', '--network=none', '--group-add', 'keep-groups', skiff.image, 'sleep', '60')
    cid = subprocess.run(argv, env=skiff.env, capture_output=True, text=True, extra_groups=[4242], timeout=60, check=True).stdout.strip()
    assert skiff.out('exec', cid, 'id', '-u') == '0\n' and skiff.inspect(cid)['HostConfig']['GroupAdd'] == ['keep-groups']
