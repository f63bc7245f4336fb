"""`restore --import` of archives that somebody made up. criu is not needed: a program of that name only says that it was run, and fails."""
import io
import json
import os
import tarfile

import pytest


@pytest.fixture
def made(skiff, tmp_path):
    """What an archive of a container has, as {name: bytes}; the container is gone."""
    (tmp_path / 'bin').mkdir()
    fake = tmp_path / 'bin/criu'
    fake.write_text(f'#!/bin/sh\necho ran >>{tmp_path}/ran\nexit 1\n')
    fake.chmod(0o755)
    skiff.env['PATH'] = f'{tmp_path}/bin:' + skiff.env['PATH']
    cid = skiff.out('create', '--name', 'c', '--network', 'none', '-v', 'vol:/v', skiff.image, 'sleep', '1000').strip()
    place = skiff.root / 'containers' / cid
    d = skiff.inspect('c')
    head = {'v': 1, 'min': 1, 'id': cid, 'name': 'c', 'rootfsImageName': d['Config']['Image'], 'rootfsImageID': d['Image'], 'createdTime': d['Created'], 'checkpointedTime': d['Created'],
            'skiffVersion': '1', 'rootfsChanges': True, 'volumes': [{'name': 'vol', 'destination': '/v'}]}
    files = {'config.dump': head, 'spec.dump': (place / 'config.json').read_bytes(), 'network.dump': (place / 'network.json').read_bytes(),
             'rootfs-diff.tar': tar({'f': b'x'}), 'volumes/0.tar': tar({'g': b'y'}), 'checkpoint/inventory.img': b'i'}
    skiff('rm', 'c')
    skiff('volume', 'rm', 'vol')
    return files


def tar(files):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode='w') as t:
        for name, data in files.items():
            i = tarfile.TarInfo(name)
            if isinstance(data, dict):
                data = json.dumps(data).encode()
            if isinstance(data, str):
                i.type, i.linkname, data = tarfile.SYMTYPE, data, b''
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))
    return b.getvalue()


def refused(skiff, tmp_path, files):
    a = tmp_path / 'a.tar'
    a.write_bytes(tar(files))
    err = skiff('restore', '-i', a, rc=125).stderr
    assert skiff.out('ps', '-aq') == '' and skiff.out('images', '-aqf', 'dangling=true') == '' and skiff.out('volume', 'ls', '-q') == '', err
    return err


def test_what_is_missing_wrong_or_leads_elsewhere(skiff, made, tmp_path):
    (tmp_path / 'host').mkdir()
    (tmp_path / 'host/head').write_text(json.dumps(made['config.dump']))
    for name in ('config.dump', 'spec.dump', 'network.dump'):
        assert f"has no file '{name}'" in refused(skiff, tmp_path, {k: v for k, v in made.items() if k != name})
    assert "has no file 'config.dump'" in refused(skiff, tmp_path, {**made, 'config.dump': f'{tmp_path}/host/head'})
    without = {k: v for k, v in made.items() if not k.startswith(('checkpoint', 'volumes'))}
    assert "no file 'volumes/0.tar'" in refused(skiff, tmp_path, {**without, 'volumes': f'{tmp_path}/host', 'checkpoint/inventory.img': b'i'})
    assert "no directory 'checkpoint'" in refused(skiff, tmp_path, {**without, 'volumes/0.tar': made['volumes/0.tar'], 'checkpoint': f'{tmp_path}/host'})
    assert 'rootfs-diff.tar' in refused(skiff, tmp_path, {**made, 'rootfs-diff.tar': b'no tar at all' * 100})
    assert 'rootfs-diff.tar' in refused(skiff, tmp_path, {**made, 'rootfs-diff.tar': tar({'../../../evil': b'x'})})
    assert refused(skiff, tmp_path, {**made, '../evil': b'x'})
    assert not list(tmp_path.rglob('evil'))
    assert os.listdir(tmp_path / 'host') == ['head'] and not (tmp_path / 'ran').exists(), 'criu was not asked'
    # a link in a volume leads to places of the volume: this one is in order
    assert 'criu' in refused(skiff, tmp_path, {**made, 'volumes/0.tar': tar({'l': '/etc', 'l/evil-of-a-checkpoint': b'x'})})
    assert not os.path.exists('/etc/evil-of-a-checkpoint')


def test_documents_that_say_nonsense(skiff, made, tmp_path):
    head = made['config.dump']
    spec = json.loads(made['spec.dump'])
    for change, why in [({'name': '../x'}, 'Invalid container name'), ({'volumes': [{'name': 'vol', 'destination': '/elsewhere'}]}, 'where the container mounts none'),
                        ({'volumes': 7}, 'config.dump: /volumes'), ({'rootfsImageID': 'sha256:' + '0' * 64}, 'is not the one that the container had')]:
        err = refused(skiff, tmp_path, {**made, 'config.dump': {**head, **change}})
        assert why in err
    for change, why in [({'capAdd': ['NOSUCH']}, 'NOSUCH'), ({'securityOpt': ['x=y']}, 'x=y'), ({'binds': ['rel/../..:/x']}, 'rel')]:
        request = {**spec['skiff']['request'], **change}
        assert why in refused(skiff, tmp_path, {**made, 'spec.dump': {**spec, 'skiff': {**spec['skiff'], 'request': request}}})
    assert 'skiff' in refused(skiff, tmp_path, {**made, 'spec.dump': b'{"skiff": 1}'})
    assert not (tmp_path / 'ran').exists()
    # One that is in order gets as far as criu, whose failure leaves nothing either; a link among its images does not.
    assert 'inventory.img' in refused(skiff, tmp_path, {**made, 'checkpoint/inventory.img': '/etc/passwd'})
    assert not (tmp_path / 'ran').exists()
    assert 'criu' in refused(skiff, tmp_path, made)
    assert (tmp_path / 'ran').exists()
