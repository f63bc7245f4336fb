"""system check recomputes every layer and blob; --repair pulls again what is damaged or missing, from where its image came."""
import json
import os
import re


def layer_dirs(skiff):
    return sorted(x for x in skiff.root.glob('layers/*') if not x.name.startswith('.'))


def a_file(layer):
    return max((p for p in (layer / 'tree').rglob('*') if p.is_file() and not p.is_symlink()), key=lambda p: p.stat().st_size)


def change(path):
    """One byte, with size and times as they were."""
    st = path.stat()
    with open(path, 'r+b') as f:
        f.seek(st.st_size // 2)
        b = f.read(1)
        f.seek(st.st_size // 2)
        f.write(bytes([b[0] ^ 1]))
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def findings(p):
    return [x for x in p.stdout.splitlines() if not x.endswith('repairs them.') and 'of no container here' not in x]


def test_changed_file(skiff):
    layer = max(layer_dirs(skiff), key=lambda x: a_file(x).stat().st_size)
    path = a_file(layer)
    good = path.read_bytes()
    change(path)
    assert skiff('system', 'check', '--quick', rc=None).returncode == 0
    rows = findings(skiff('system', 'check', rc=1))
    assert len(rows) == 1 and rows[0].startswith(f'layer sha256:{layer.name}: ') and path.name in rows[0]
    assert path.read_bytes() != good, 'a check alone repairs nothing'
    refs = sorted(skiff.root.glob('refs/**/*'))
    rows = findings(skiff('system', 'check', '--repair'))
    assert len(rows) == 1 and re.search(r'; pulled again from \S+/test/busybox$', rows[0]), rows
    assert path.read_bytes() == good and findings(skiff('system', 'check')) == ['Everything is in order.']
    assert sorted(skiff.root.glob('refs/**/*')) == refs and not list(skiff.root.glob('trash/*'))
    assert skiff.run('--', 'echo', 'well').stdout == 'well\n'


def test_missing_and_half_layers(skiff):
    gone, unsealed, cut = layer_dirs(skiff)
    os.rename(gone, skiff.root / 'moved')
    (unsealed / 'seal').unlink()
    (cut / 'seal').write_text('{"v":1')
    rows = findings(skiff('system', 'check', rc=1))
    assert {re.match(r'layer sha256:(\w+)', r).group(1) for r in rows} == {gone.name, unsealed.name, cut.name}
    findings(skiff('system', 'check', '--repair'))
    assert findings(skiff('system', 'check')) == ['Everything is in order.']
    assert skiff.run('--', 'cat', '/hello.txt').stdout == 'hello\n'
    os.system(f'rm -rf {skiff.root}/moved')


def test_blobs(skiff):
    doc = json.loads(skiff.out('image', 'inspect', skiff.image))[0]
    config = skiff.root / 'blobs/sha256' / doc['Id'].split(':')[1]
    manifest = skiff.root / 'blobs/sha256' / doc['Descriptor']['digest'].split(':')[1]
    good = config.read_bytes(), manifest.read_bytes()
    change(config)
    manifest.unlink()
    rows = findings(skiff('system', 'check', rc=1))
    assert sorted(r.split()[0] for r in rows) == ['blob', 'blob'] and any('missing' in r for r in rows) and any('was changed' in r for r in rows)
    rows = findings(skiff('system', 'check', '--repair'))
    assert all('pulled again' in r for r in rows), rows
    assert (config.read_bytes(), manifest.read_bytes()) == good and findings(skiff('system', 'check')) == ['Everything is in order.']


def test_registry_that_is_gone(skiff):
    """Nothing is thrown away, and nothing starts from it."""
    layer = max(layer_dirs(skiff), key=lambda x: a_file(x).stat().st_size)
    path = a_file(layer)
    change(path)
    for record in skiff.root.glob('images/*'):
        doc = json.loads(record.read_text())
        doc['from'] = '127.0.0.1:1/test/busybox'
        record.write_text(json.dumps(doc))
    rows = findings(skiff('system', 'check', '--repair', rc=1))
    assert len(rows) == 1 and 'repair failed: ' in rows[0] and '127.0.0.1:1' in rows[0]
    assert path.exists() and 'damaged' in skiff('run', '--rm', '--pull', 'never', skiff.image, 'true', rc=125).stderr
    skiff('pull', skiff.image)
    assert skiff.run('--', 'echo', 'well').stdout == 'well\n' and findings(skiff('system', 'check')) == ['Everything is in order.']


def test_image_from_nowhere(skiff, tmp_path):
    skiff('save', '-o', tmp_path / 'a.tar', skiff.image)
    skiff('rmi', skiff.image)
    skiff('load', '-i', tmp_path / 'a.tar')
    change(a_file(max(layer_dirs(skiff), key=lambda x: a_file(x).stat().st_size)))
    rows = findings(skiff('system', 'check', '--repair', rc=1))
    assert len(rows) == 1 and 'kept: the image came from no registry' in rows[0]
    skiff('load', '-i', tmp_path / 'a.tar')
    assert findings(skiff('system', 'check')) == ['Everything is in order.']


def test_under_a_running_container(skiff):
    cid = skiff.sleeper()
    path = a_file(max(layer_dirs(skiff), key=lambda x: a_file(x).stat().st_size))
    change(path)
    rows = findings(skiff('system', 'check', '--repair', rc=1))
    assert len(rows) == 1 and f'kept: container {cid[:12]} runs on it' in rows[0]
    assert skiff.out('exec', cid, 'cat', '/hello.txt') == 'hello\n'
    skiff('rm', '-f', cid)
    skiff('system', 'check', '--repair')
    assert findings(skiff('system', 'check')) == ['Everything is in order.']
