"""A container in a user namespace of its own: its root shows the image's files under the container's ids, without a copy of a layer, whichever way the
kernel is told of the layers."""
import json
import os

import pytest

BASE, COUNT = 200000, 65536


def mapped(skiff, *command, env=None):
    """A container made as usual, whose config.json is then given a user namespace."""
    cid = skiff.out('create', skiff.image, *command).strip()
    path = skiff.root / 'containers' / cid / 'config.json'
    doc = json.loads(path.read_text())
    maps = [{'containerID': 0, 'hostID': BASE, 'size': COUNT}]
    doc['linux']['namespaces'].append({'type': 'user'})
    doc['linux']['uidMappings'] = doc['linux']['gidMappings'] = maps
    doc['mounts'] = [m for m in doc['mounts'] if m.get('type') not in ('bind', None) and m['destination'] not in ('/sys/fs/cgroup',)]
    doc['linux'].pop('sysctl', None)  # its range of groups is larger than the mapping
    path.write_text(json.dumps(doc))
    p = skiff('start', '-a', cid, env=env, rc=None)
    return cid, p


@pytest.mark.parametrize('way', ['', 'fd', 'path', 'symlink'])
def test_ids(skiff, way):
    script = 'stat -c "%u:%g" / /bin/busybox; touch /new && stat -c %u:%g /new; chmod 700 /hello.txt && stat -c %u:%g /hello.txt; cat /proc/self/uid_map'
    before = sorted(str(p) for p in skiff.root.glob('layers/*/*'))
    cid, p = mapped(skiff, 'sh', '-c', script, env={'SKIFF_OVERLAY': way} if way else None)
    if p.returncode and way in ('fd', 'path') and ('mount an overlay' in p.stderr or 'to overlay as' in p.stderr):
        skiff('rm', '-f', cid)
        pytest.skip(f'this kernel has no {way} way with id-mapped layers')
    assert p.returncode == 0, p.stderr
    lines = p.stdout.split('\n')
    assert lines[:4] == ['0:0'] * 4, p.stdout + p.stderr
    assert lines[4].split() == ['0', str(BASE), str(COUNT)]
    rw = skiff.root / 'containers' / cid / 'rw'
    assert {os.lstat(rw / n).st_uid for n in ('.', 'new', 'hello.txt')} == {BASE}, 'what is written belongs to the mapped root'
    assert sorted(str(p) for p in skiff.root.glob('layers/*/*')) == before, 'no copy of a layer'
    assert all(os.lstat(p).st_uid == 0 for p in skiff.root.glob('layers/*/tree/*'))
    # it starts again, and what it wrote is still its own
    assert skiff('start', '-a', cid, env={'SKIFF_OVERLAY': way} if way else None).stdout.split('\n')[:4] == ['0:0'] * 4
    skiff('rm', cid)
