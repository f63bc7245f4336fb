"""image mount and unmount: an image's files, read-only, until the last one unmounts."""
import os
import subprocess

import pytest


@pytest.fixture
def unmounted(skiff):
    yield skiff
    skiff('image', 'unmount', '--all', '--force', rc=None)
    assert str(skiff.root) not in open('/proc/self/mountinfo').read()


def test_mount(unmounted):
    skiff = unmounted
    assert skiff.out('image', 'mount') == ''
    path = skiff.out('image', 'mount', skiff.image).strip()
    assert open(path + '/hello.txt').read() == 'hello\n' and os.access(path + '/bin/busybox', os.X_OK)
    with pytest.raises(OSError):
        open(path + '/new', 'w')
    assert subprocess.run(['chmod', '600', path + '/hello.txt'], capture_output=True).returncode != 0
    assert skiff.out('image', 'mount') == f'{skiff.image}:latest  {path}\n'
    options = [x.split()[5] for x in open('/proc/self/mountinfo') if x.split()[4] == path][0].split(',')
    assert {'ro', 'nosuid', 'nodev'} <= set(options)
    # counted
    assert skiff.out('image', 'mount', skiff.image).strip() == path
    full = skiff.out('images', '-q', '--no-trunc').strip().split(':')[1]
    assert skiff.out('image', 'unmount', skiff.image).strip() == full and os.path.exists(path + '/hello.txt')
    assert skiff.out('image', 'unmount', skiff.image).strip() == full and not os.path.exists(path)
    assert 'is not mounted' in skiff('image', 'unmount', skiff.image, rc=1).stderr
    assert 'No such image' in skiff('image', 'mount', 'nosuch', rc=1).stderr
    assert list((skiff.root / 'mounts').iterdir()) == []


def test_a_mounted_image_is_kept(unmounted):
    skiff = unmounted
    path = skiff.out('image', 'mount', skiff.image).strip()
    iid = skiff.out('images', '-q').strip()
    skiff('rmi', '-f', skiff.image)
    skiff('system', 'prune', '-af')
    skiff('system', 'check', '--repair')
    assert open(path + '/hello.txt').read() == 'hello\n'
    skiff('image', 'unmount', iid)
    skiff('system', 'prune', '-af')
    assert list(skiff.root.glob('layers/*')) == []


def test_in_use_and_all(unmounted, registry):
    skiff = unmounted
    skiff('pull', registry.name('other/busybox:two'))
    lines = skiff.out('image', 'mount', '--all').splitlines()
    assert len(lines) == len({x.split()[0] for x in lines}) >= 1
    path = lines[0].split()[1]
    p = subprocess.Popen(['sleep', '60'], cwd=path)
    try:
        assert 'is in use' in skiff('image', 'unmount', '--all', rc=1).stderr
    finally:
        p.kill()
        p.wait()
    skiff('image', 'unmount', '--all')
    assert skiff.out('image', 'mount') == ''


def test_after_a_reboot(unmounted):
    """The mount is gone, its place and counter are not: the next mount begins anew, and a collection takes the place."""
    skiff = unmounted
    path = skiff.out('image', 'mount', skiff.image).strip()
    skiff('image', 'mount', skiff.image)
    subprocess.run(['umount', path], check=True)
    assert skiff.out('image', 'mount') == ''
    assert skiff.out('image', 'mount', skiff.image).strip() == path and os.path.exists(path + '/hello.txt')
    skiff('image', 'unmount', skiff.image)
    assert not os.path.exists(path)
    skiff('image', 'mount', skiff.image)
    subprocess.run(['umount', path], check=True)
    skiff('system', 'prune', '-f')
    assert list((skiff.root / 'mounts').iterdir()) == []
