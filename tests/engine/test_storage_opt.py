"""--storage-opt size= and inodes=: project quotas of ext4 and xfs. Where the file system has none the refusal is the test; the virtual
machine of `make test-vm` has both."""
import os
import shutil
import subprocess

import pytest

MB = 1 << 20


def has_quota(s):
    p = s('run', '--rm', '--storage-opt', 'size=64m', s.image, 'true', rc=None)
    if p.returncode == 0:
        return True
    assert p.returncode == 125 and 'has no project quotas' in p.stderr and 'prjquota' in p.stderr, p.stderr
    assert s.out('ps', '-aq') == ''
    return False


@pytest.fixture(params=['here', 'xfs'])
def limited(request, skiff, tmp_path):
    """skiff with its trees on a file system with project quotas."""
    if request.param == 'here':
        if not has_quota(skiff):
            pytest.skip('this file system has no project quotas')
        yield skiff
        return
    disk, image = tmp_path / 'xfs', tmp_path / 'image'
    if not shutil.which('mkfs.xfs'):
        pytest.skip('no mkfs.xfs')
    disk.mkdir()
    with open(image, 'wb') as f:
        f.truncate(400 * MB)
    subprocess.run(['mkfs.xfs', '-q', str(image)], check=True)
    subprocess.run(['modprobe', '-qa', 'loop', 'xfs'])
    if subprocess.run(['mount', '-o', 'loop,prjquota', str(image), str(disk)], stderr=subprocess.DEVNULL).returncode:
        pytest.skip('no xfs with quotas here')
    shutil.rmtree(skiff.root, ignore_errors=True)
    old, skiff.root = skiff.root, disk / 'lib'
    skiff('pull', skiff.image)
    assert has_quota(skiff)
    yield skiff
    skiff.clean_up()
    skiff.assert_clean()
    subprocess.run(['umount', str(disk)], check=True)
    skiff.root = old


def test_refused_in_words(skiff):
    for bad in ('size=x', 'size=0', 'inodes=-1', 'other=1', 'size'):
        p = skiff('run', '--rm', '--storage-opt', bad, skiff.image, 'true', rc=125)
        assert 'invalid --storage-opt' in p.stderr and 'size=BYTES' in p.stderr
    has_quota(skiff)


def test_size(limited):
    """What is written beyond it fails in the container; other containers and the log are not held back; the number is given back."""
    write = 'dd if=/dev/zero of=/a bs=1M count=12; s=$?; rm -f /a; dd if=/dev/zero of=/b bs=1M count=4 && exit $s'
    p = limited('run', '--name', 'small', '--storage-opt', 'size=8m', limited.image, 'sh', '-c', write, rc=1)
    assert 'quota exceeded' in p.stderr.lower() or 'no space left' in p.stderr.lower()
    assert limited.inspect('small')['HostConfig']['StorageOpt'] == {'size': '8m'}
    assert limited.run('--', 'dd', 'if=/dev/zero', 'of=/a', 'bs=1M', 'count=12').returncode == 0
    # what it has written still counts when it runs again
    limited('rm', 'small')
    cid = limited.detached('--storage-opt', 'size=8m', '--', 'sh', '-c', 'dd if=/dev/zero of=/a bs=1M count=6; dd if=/dev/zero of=/c bs=1M count=6; echo $?')
    limited('wait', cid)
    assert limited.out('logs', cid).strip().splitlines()[-1] == '1'
    limited('rm', cid)


def test_size_of_copied_up_files(limited):
    """A file of the image that is changed counts whole."""
    p = limited('run', '--rm', '--storage-opt', 'size=64k', limited.image, 'sh', '-c', 'chmod 700 /bin/busybox', rc=None)
    assert p.returncode != 0
    assert limited('run', '--rm', '--storage-opt', 'size=16m', limited.image, 'sh', '-c', 'chmod 700 /bin/busybox').returncode == 0


def test_inodes(limited):
    p = limited('run', '--rm', '--storage-opt', 'inodes=50', limited.image, 'sh', '-c', 'for i in $(seq 100); do : >/f$i || exit 3; done', rc=None)
    assert p.returncode != 0
    assert limited('run', '--rm', '--storage-opt', 'inodes=500', limited.image, 'sh', '-c', 'for i in $(seq 100); do : >/f$i || exit 3; done').returncode == 0
    assert os.path.isdir(limited.root)
