"""Volumes and mounts: -v, --mount, --tmpfs, --volumes-from, the volume verbs, and who removes what."""
import json
import os

import pytest

import ociimage


def volumes(skiff, *args):
    return skiff.out('volume', 'ls', '-q', *args).split()


def test_named_volume_keeps_data_and_is_in_use(skiff):
    skiff.run('-v', 'data:/v', '--', 'sh', '-c', 'echo kept > /v/f')
    assert skiff.run('-v', 'data:/v:ro', '--', 'cat', '/v/f').stdout == 'kept\n'
    assert skiff.run('-v', 'data:/v:ro', '--', 'sh', '-c', 'echo x > /v/f', rc=1).stderr.count('Read-only file system') == 1
    assert volumes(skiff) == ['data']
    doc = json.loads(skiff.out('volume', 'inspect', 'data'))[0]
    assert doc['Name'] == 'data' and doc['Driver'] == 'local' and doc['Mountpoint'] == str(skiff.root / 'volumes/data/_data')
    assert open(doc['Mountpoint'] + '/f').read() == 'kept\n'
    cid = skiff.detached('-v', 'data:/v', '--', 'sleep', '60')
    assert f'remove data: volume is in use - [{cid[:12]}]' in skiff('volume', 'rm', 'data', rc=1).stderr
    m = json.loads(skiff.out('inspect', cid))[0]['Mounts'][0]
    assert (m['Type'], m['Name'], m['Destination'], m['RW']) == ('volume', 'data', '/v', True)
    skiff('rm', '-f', '-v', cid)
    assert volumes(skiff) == ['data']  # one with a name stays
    assert skiff.out('volume', 'rm', 'data') == 'data\n'
    assert 'no such volume' in skiff('volume', 'rm', 'data', rc=1).stderr
    assert skiff.out('volume', 'rm', '-f', 'data') == 'data\n'
    assert skiff('volume', 'exists', 'data', rc=1).stderr == ''


def test_anonymous_volumes_go_with_the_container(skiff):
    skiff.run('-v', '/v', '--', 'touch', '/v/x')
    assert volumes(skiff) == []
    a = skiff.detached('-v', '/v', '--', 'sleep', '60')
    assert len(volumes(skiff)) == 1
    b = skiff.detached('--volumes-from', a + ':ro', '--', 'sleep', '60')
    assert 'Read-only' in skiff('exec', b, 'touch', '/v/y', rc=1).stderr
    skiff('exec', a, 'touch', '/v/y')
    assert skiff.out('exec', b, 'ls', '/v') == 'y\n'
    skiff('rm', '-f', '-v', a)
    assert len(volumes(skiff)) == 1  # b still has it
    skiff('rm', '-f', b)
    assert len(volumes(skiff)) == 1  # without -v it stays
    assert 'Deleted Volumes:' in skiff.out('volume', 'prune', '-f') and volumes(skiff) == []


def test_copy_up_on_first_use(skiff):
    # docker's rule: an empty volume gets the image's files, with owner and mode of the directory
    assert skiff.run('-v', 'up:/etc', '--', 'cat', '/etc/passwd').stdout.startswith('root:')
    assert os.stat(skiff.root / 'volumes/up/_data').st_mode & 0o777 == 0o755
    skiff.run('-v', 'up:/etc', '--', 'rm', '/etc/group')
    assert skiff.run('-v', 'up:/etc', '--', 'ls', '/etc/group', rc=1).stdout == ''  # not filled again
    assert skiff.run('-v', 'none:/etc:nocopy', '--', 'ls', '/etc').stdout.split() == ['hostname', 'hosts', 'resolv.conf']
    assert skiff.run('--mount', 'type=volume,src=mode,dst=/tmp', '--', 'stat', '-c', '%a', '/tmp').stdout == '1777\n'


def test_mount_types(skiff, tmp_path):
    tmp_path = tmp_path / 'host'  # not where the layers are
    tmp_path.mkdir()
    (tmp_path / 'a.txt').write_text('a\n')
    (tmp_path / 'b.txt').write_text('b\n')
    run = skiff.run
    assert run('--mount', f'type=bind,src={tmp_path},dst=/b,ro', '--', 'cat', '/b/a.txt').stdout == 'a\n'
    line = run('--mount', 'type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770', '--', 'grep', ' /t ', '/proc/mounts').stdout
    assert 'size=1024k' in line and 'mode=1770' in line and 'noexec' in line
    assert 'exec' not in run('--tmpfs', '/t:exec', '--', 'grep', ' /t ', '/proc/mounts').stdout
    assert run('--mount', f'type=glob,src={tmp_path}/*.txt,dst=/g', '--', 'cat', '/g/a.txt', '/g/b.txt').stdout == 'a\nb\n'
    assert run('--mount', f'type=image,src={skiff.image},dst=/i', '--', 'cat', '/i/hello.txt').stdout == 'hello\n'
    assert run('--mount', f'type=image,src={skiff.image},dst=/i', '--', 'touch', '/i/x', rc=1).stderr.count('Read-only') == 1
    assert run('--mount', 'type=ramfs,dst=/r', '--', 'grep', '-c', ' /r ramfs', '/proc/mounts').stdout == '1\n'
    assert run('--mount', 'type=devpts,dst=/p,mode=0600', '--', 'grep', '-c', ' /p devpts', '/proc/mounts').stdout == '1\n'
    p = run('-v', f'{tmp_path}:/o:O', '--', 'sh', '-c', 'echo new > /o/a.txt; cat /o/a.txt')
    assert p.stdout == 'new\n' and (tmp_path / 'a.txt').read_text() == 'a\n'
    run('-v', f'{tmp_path}:/u:U', '-u', '1000:1000', '--', 'touch', '/u/mine')
    assert os.stat(tmp_path / 'a.txt').st_uid == 1000


def test_subpath_stays_inside(skiff):
    skiff.run('-v', 'v:/v', '--', 'sh', '-c', 'mkdir -p /v/d/e && echo in > /v/d/e/f && ln -s / /v/out && ln -s ../../.. /v/up')
    assert skiff.run('--mount', 'src=v,dst=/m,volume-subpath=d/e', '--', 'cat', '/m/f').stdout == 'in\n'
    for bad in ('out', 'out/etc', 'up', 'nosuch', '../..'):
        p = skiff.run('--mount', f'src=v,dst=/m,volume-subpath={bad}', '--', 'ls', '/m', rc=None)
        assert p.returncode in (125, 126, 127) or (bad == '../..' and p.stdout.split() == ['d', 'out', 'up']), (bad, p.stdout)
    if skiff.run('--mount', f'type=image,src={skiff.image},dst=/i,image-subpath=etc', '--', 'true', rc=None).returncode == 0:
        assert 'passwd' in skiff.run('--mount', f'type=image,src={skiff.image},dst=/i,subpath=etc', '--', 'ls', '/i').stdout


def test_local_driver_options(skiff, tmp_path):
    (tmp_path / 'x').write_text('host\n')
    skiff('volume', 'create', '-o', 'type=none', '-o', 'o=bind', '-o', f'device={tmp_path}', 'b')
    assert skiff.run('-v', 'b:/v', '--', 'cat', '/v/x').stdout == 'host\n'
    skiff('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m,uid=1000', 't')
    assert 'size=1024k' in skiff.run('-v', 't:/v', '--', 'grep', ' /v ', '/proc/mounts').stdout
    assert 'already exists with other options' in skiff('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=x', 't', rc=1).stderr
    assert skiff.out('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m,uid=1000', 't') == 't\n'
    for opts, words in ((['nosuch=1'], 'invalid option: "nosuch"'), (['type=tmpfs'], 'missing device'), (['device=/x'], 'missing type'),
                        (['size=x'], "invalid size for volume 'q'"), (['size=0'], 'invalid size')):
        p = skiff('volume', 'create', *(w for o in opts for w in ('-o', o)), 'q', rc=1)
        assert words in p.stderr
    assert 'there is local' in skiff('volume', 'create', '-d', 'nosuch', 'q', rc=1).stderr
    assert 'includes invalid characters' in skiff('volume', 'create', '../q', rc=1).stderr
    assert sorted(volumes(skiff)) == ['b', 't']


def test_list_filters_and_prune(skiff):
    for n, label in (('one', 'k=1'), ('two', 'k=2'), ('three', 'x')):
        assert skiff.out('volume', 'create', '--label', label, n) == n + '\n'
    anonymous = skiff.out('volume', 'create').strip()
    assert len(anonymous) == 64
    cid = skiff.detached('-v', 'one:/v', '--', 'sleep', '60')
    assert volumes(skiff, '-f', 'label=k') == ['one', 'two'] and volumes(skiff, '-f', 'label=k=2') == ['two']
    assert volumes(skiff, '-f', 'name=t') == ['three', 'two'] and volumes(skiff, '-f', 'dangling=false') == ['one']
    assert skiff.out('volume', 'ls', '--format', '{{.Name}} {{.Labels}} {{.Links}}', '-f', 'name=one') == 'one k=1 1\n'
    assert skiff.out('volume', 'ls').splitlines()[0].split() == ['DRIVER', 'VOLUME', 'NAME']
    assert json.loads(skiff.out('volume', 'ls', '--format', 'json', '-f', 'name=two'))['Name'] == 'two'
    assert "invalid filter 'nosuch'" in skiff('volume', 'ls', '-f', 'nosuch=1', rc=1).stderr
    assert 'Total reclaimed space: 0B' in skiff('volume', 'prune', input='n\n').stdout or len(volumes(skiff)) == 4
    skiff('volume', 'prune', '-f')
    assert volumes(skiff) == ['one', 'three', 'two']
    skiff('volume', 'prune', '-a', '-f', '--filter', 'label!=x')
    assert volumes(skiff) == ['one', 'three']
    skiff('rm', '-f', cid)


def test_image_volumes(registry, empty, tmp_path):
    layout = tmp_path / 'layout'
    ociimage.busybox(str(layout), Volumes={'/home/bob': {}, '/fresh': {}})
    registry.push(layout, 'test/volumes')
    skiff = empty
    skiff('pull', '-q', '--plain-http', registry.name('test/volumes'))
    image = registry.name('test/volumes')
    cid = skiff.out('run', '-d', image, 'sleep', '60').strip()
    mounts = json.loads(skiff.out('inspect', cid))[0]['Mounts']
    assert sorted(m['Destination'] for m in mounts) == ['/fresh', '/home/bob'] and len(volumes(skiff)) == 2
    skiff('rm', '-f', '-v', cid)
    assert volumes(skiff) == []
    assert ' /fresh tmpfs' in skiff.out('run', '--rm', '--tmpfs', '/fresh', image, 'cat', '/proc/mounts')


def test_read_only_tmpfs(skiff):
    script = 'touch /x 2>/dev/null || echo ro; touch /tmp/x && touch /run/x && echo rw'
    assert skiff.run('--read-only', '--read-only-tmpfs', '--', 'sh', '-c', script).stdout == 'ro\nrw\n'


def test_prune_of_containers_keeps_anonymous_volumes(skiff):
    """As docker's, which leaves them to `volume prune`."""
    skiff('create', '-v', '/data', skiff.image, 'true')
    volumes = skiff.out('volume', 'ls', '-q')
    skiff('container', 'prune', '-f')
    assert volumes.count('\n') == 1 and skiff.out('volume', 'ls', '-q') == volumes
    skiff('volume', 'prune', '-f')
    assert skiff.out('volume', 'ls', '-q') == ''
