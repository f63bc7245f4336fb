"""mount and unmount of containers: one root file system, for the container and on the host."""
import json
import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def unmounted(skiff):
    yield skiff
    skiff('unmount', '--all', '--force', rc=None)
    assert str(skiff.root) not in Path('/proc/self/mountinfo').read_text()


def test_counted(unmounted):
    skiff = unmounted
    cid = skiff.out('create', '--name', 'x', skiff.image, 'true').strip()
    assert skiff.out('mount') == '' and skiff.out('unmount', 'x') == 'x\n'
    path = skiff.out('mount', 'x').strip()
    assert Path(path, 'hello.txt').read_text() == 'hello\n' and skiff.out('mount', '--latest').strip() == path
    assert skiff.out('mount') == f'{cid[:12]}  {path}\n' and skiff.out('container', 'mount', '--no-trunc') == f'{cid}  {path}\n'
    assert json.loads(skiff.out('mount', '--format', 'json')) == [{'id': cid, 'Names': ['x'], 'mountpoint': path}]
    assert 'unknown --format argument: "{{.ID}}"' in skiff('mount', '--format', '{{.ID}}', rc=1).stderr
    assert 'No such container: nope' in skiff('mount', 'nope', rc=1).stderr
    assert skiff.out('umount', 'x') == 'x\n' and os.path.ismount(path)
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE, cwd=path) as p:
        assert 'is in use: somebody works in it' in skiff('unmount', 'x', rc=1).stderr and os.path.ismount(path)
        p.communicate()
    assert skiff.out('container', 'umount', 'x') == 'x\n' and not os.path.ismount(path)
    assert skiff.out('mount', '--all').strip() == path and skiff.out('mount', 'x').strip() == path
    assert skiff.out('unmount', '--all') == cid + '\n' and os.path.ismount(path)
    assert skiff.out('unmount', '-f', 'x') == 'x\n' and not os.path.ismount(path)
    skiff('mount', 'x')
    skiff('rm', 'x')
    assert not os.path.exists(path) and skiff.out('system', 'check') == 'Everything is in order.\n'


def test_the_same_files_in_the_container(unmounted):
    skiff = unmounted
    skiff('create', '--name', 'x', '--rm', '-v', 'v:/vol', skiff.image, 'sh', '-c', 'cat /new > /seen; touch /vol/a; sleep 1000')
    path = Path(skiff.out('mount', 'x').strip())
    (path / 'new').write_text('from the host')
    skiff('start', 'x')
    assert skiff.out('exec', 'x', 'sh', '-c', 'until [ -s /seen ]; do :; done; cat /seen') == 'from the host'
    assert (path / 'seen').read_text() == 'from the host' and not os.listdir(path / 'proc') and not os.listdir(path / 'vol')
    skiff('rm', '-f', 'x')
    assert not path.exists()
    skiff.sleeper('--name', 'y', '--read-only')  # one that runs already
    path = Path(skiff.out('mount', 'y').strip())
    (path / 'new').write_text('2')
    assert skiff.out('exec', 'y', 'cat', '/new') == '2' and not os.listdir(path / 'proc')
    skiff('stop', '-t', '0', 'y')
    assert (path / 'new').read_text() == '2' and 'new' in skiff.out('diff', 'y')
    skiff('restart', 'y')
    assert skiff.out('exec', 'y', 'cat', '/new') == '2'
