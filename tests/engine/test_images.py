"""pull, images, image inspect, rmi."""
import json
import re

import ociimage


def test_pull_output(empty):
    p = empty('pull', empty.image)
    lines = p.stdout.splitlines()
    assert lines[0] == 'Using default tag: latest' and lines[1] == 'latest: Pulling from test/busybox'
    assert sum(bool(re.match(r'^[0-9a-f]{12}: Pull complete$', x)) for x in lines) == 3
    assert re.match(r'^Digest: sha256:[0-9a-f]{64}$', lines[-3])
    assert lines[-2] == f'Status: Downloaded newer image for {empty.image}:latest' and lines[-1] == f'{empty.image}:latest'
    p = empty('pull', empty.image + ':latest')
    assert f'Status: Image is up to date for {empty.image}:latest' in p.stdout and 'Using default tag' not in p.stdout
    assert empty.out('pull', '-q', empty.image) == f'{empty.image}:latest\n'
    empty('rmi', empty.image)


def test_pull_errors(empty, registry):
    assert 'not' in empty('pull', registry.name('no/such'), rc=1).stderr
    assert 'cannot be reached' in empty('pull', '127.0.0.1:1/x', rc=1).stderr
    assert 'invalid reference format' in empty('pull', 'a//b', rc=1).stderr
    assert empty.out('images', '-q') == ''


def test_images(skiff, registry):
    lines = skiff.out('images').splitlines()
    assert re.split(r'\s{2,}', lines[0]) == ['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE']
    cells = re.split(r'\s{2,}', lines[1])
    assert cells[:2] == [skiff.image, 'latest'] and re.match(r'^[0-9a-f]{12}$', cells[2]) and cells[3].endswith(' ago') and cells[4].endswith('MB')
    assert skiff.out('images', '-q').split() == [cells[2]]
    assert skiff.out('images', '-q', '--no-trunc').startswith('sha256:' + cells[2])
    assert 'DIGEST' in skiff.out('images', '--digests')
    assert len(skiff.out('images', skiff.image).splitlines()) == 2 and len(skiff.out('images', 'other').splitlines()) == 1
    d = json.loads(skiff.out('image', 'inspect', cells[2]))[0]
    assert d['RepoTags'] == [f'{skiff.image}:latest'] and d['Config']['Env'][1] == 'FOO=bar' and len(d['RootFS']['Layers']) == 3
    assert d['Os'] == 'linux' and d['Id'].startswith('sha256:' + cells[2]) and d['RepoDigests'][0].startswith(f'{skiff.image}@sha256:')


def test_run_by_id_and_digest(skiff):
    iid = skiff.out('images', '-q').strip()
    assert skiff.out('run', '--rm', iid, 'echo', 'id') == 'id\n'
    full = skiff.out('images', '-q', '--no-trunc').strip()
    assert skiff.out('run', '--rm', full, 'echo', 'full') == 'full\n'


def test_rmi(skiff):
    iid = skiff.out('images', '-q', '--no-trunc').strip()
    lines = skiff.out('rmi', skiff.image).splitlines()
    assert lines[0] == f'Untagged: {skiff.image}:latest' and f'Deleted: {iid}' in lines and sum(x.startswith('Deleted:') for x in lines) == 4
    assert skiff.out('images', '-q') == ''
    assert not list(skiff.root.glob('layers/*')) and not list(skiff.root.glob('blobs/sha256/*')) and not list(skiff.root.glob('images/*'))
    assert skiff('rmi', 'nosuch', rc=1).stderr == 'skiff: No such image: nosuch.\n'


def test_rmi_of_one_of_two_names(skiff, registry):
    other = registry.name('other/busybox:two')
    skiff('pull', other)
    iid = skiff.out('images', '-q').split()[0]
    assert 'image is referenced in multiple repositories' in skiff('rmi', iid, rc=1).stderr
    lines = skiff.out('rmi', other).splitlines()
    assert lines[0] == f'Untagged: {other}' and not any(x.startswith('Deleted') for x in lines)
    assert skiff.run('--', 'echo', 'still').stdout == 'still\n'
    skiff('pull', other)
    assert len([x for x in skiff.out('rmi', '-f', iid).splitlines() if x.startswith('Untagged')]) >= 2
    assert skiff.out('images', '-q') == ''


def test_rmi_of_a_used_image(skiff):
    cid = skiff.sleeper()
    p = skiff('rmi', skiff.image, rc=1)
    assert f'container {cid[:12]} is using its referenced image' in p.stderr
    iid = skiff.out('images', '-q').strip()
    assert 'image is being used by running container' in skiff('rmi', '-f', iid, rc=1).stderr
    assert skiff.out('rmi', '-f', skiff.image).startswith('Untagged')
    assert '<none>' in skiff.out('images')
    assert skiff.out('exec', cid, 'cat', '/hello.txt') == 'hello\n'
    skiff('rm', '-f', cid)
    skiff('system', 'check', '--repair', rc=None)
    assert skiff.out('images', '-q') == '' and not list(skiff.root.glob('layers/*'))


def test_layer_that_is_there_twice(skiff, registry, tmp_path):
    """Many images have one (of `WORKDIR`, of a copy of the same file); the kernel's overlay refuses it."""
    with open(ociimage.BUSYBOX, 'rb') as f:
        base = ociimage.layer([(d, 'd', None, 0o755) for d in ('bin', 'proc', 'sys', 'dev', 'etc')] + [('bin/busybox', 'f', f.read(), 0o755), ('bin/cat', 'l', 'busybox', 0o777)])
    twice, between = ociimage.layer([('d', 'd', None, 0o755), ('d/f', 'f', b'twice\n', 0o644)]), ociimage.layer([('d/f', 'w', None, 0), ('g', 'f', b'between\n', 0o644)])
    ociimage.write(str(tmp_path / 'layout'), [base, twice, between, twice], {'Env': ['PATH=/bin']})
    registry.push(tmp_path / 'layout', 'test/twice')
    skiff('pull', registry.name('test/twice'))
    assert skiff.out('run', '--rm', registry.name('test/twice'), 'cat', '/d/f', '/g') == 'twice\nbetween\n'


def test_order_and_no_titles(skiff):
    """As podman: --sort id, repository, size, tag, created; --noheading also for a table of one's own."""
    skiff('tag', skiff.image, 'aa/x:9')
    skiff('tag', skiff.image, 'zz/y:0')

    def rows(*args):
        return skiff.out('images', '--format', '{{.Repository}}:{{.Tag}}', *args).split()
    here = f'{skiff.image}:latest'
    assert rows('--sort', 'repository') == sorted([here, 'aa/x:9', 'zz/y:0'])
    assert rows('--sort', 'tag') == ['zz/y:0', 'aa/x:9', here]
    assert sorted(rows('--sort', 'created')) == sorted(rows()) and rows('--sort', 'size') == rows('--sort', 'repository')
    skiff('run', '--name', 'c', skiff.image, 'sh', '-c', 'echo more >/more')
    skiff('commit', 'c', 'mm/big:1')
    assert rows('--sort', 'size')[-1] == 'mm/big:1' and rows('--sort', 'created')[0] == 'mm/big:1'
    ids = skiff.out('images', '-q', '--no-trunc', '--sort', 'id').split()
    assert ids == sorted(ids) and len(set(ids)) == 2
    plain = skiff.out('images', '-n').splitlines()
    assert len(plain) == 4 and not any('REPOSITORY' in x for x in plain)
    assert [x.split()[:3] for x in plain] == [x.split()[:3] for x in skiff.out('images').splitlines()[1:]]
    assert skiff.out('images', '--noheading', '--format', 'table {{.Tag}}', 'aa/x').split() == ['9']
    assert '"bogus" is not a valid field for sorting. Choose from: id, repository, size, tag, created' in skiff('images', '--sort', 'bogus', rc=125).stderr


def test_rmi_all_and_ignore(skiff):
    """As podman: --ignore is silent about what does not exist, --all takes every name and every image without one, and no words."""
    p = skiff('rmi', '--ignore', 'nosuch')
    assert (p.stdout, p.stderr) == ('', '')
    assert skiff('rmi', 'nosuch', rc=1).stderr == 'skiff: No such image: nosuch.\n'
    skiff('tag', skiff.image, 'aa/x:9')
    assert skiff.out('rmi', '-i', 'nosuch', 'aa/x:9') == 'Untagged: aa/x:9\n'
    assert 'when using the --all switch, you may not pass any images names or IDs' in skiff('rmi', '--all', skiff.image, rc=125).stderr
    assert 'requires at least 1 argument' in skiff('rmi', rc=125).stderr
    skiff('tag', skiff.image, 'aa/x:9')
    skiff('run', '--name', 'c', skiff.image, 'true')
    bare = skiff.out('commit', 'c').strip()
    assert 'is using its referenced image' in skiff('rmi', '-a', rc=1).stderr
    assert [x for x in skiff.out('images', '-q').split()], 'the container keeps its image'
    skiff('rm', 'c')
    skiff.out('rmi', '-a')
    assert skiff.out('images', '-q') == '' and not list(skiff.root.glob('layers/*')) and bare.startswith('sha256:')
    assert skiff.out('rmi', '-a') == ''
