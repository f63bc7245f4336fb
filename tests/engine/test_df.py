"""system df, system prune: every byte of the store is told, and given back."""
import json
import os
import re
import subprocess
import time


def disk(path):
    return int(subprocess.run(['du', '-sx', '--block-size=1', str(path)], capture_output=True, text=True, check=True).stdout.split()[0])


def table(skiff, *args):
    lines = [re.split(r'\s{2,}', x.strip()) for x in skiff.out('system', 'df', *args).splitlines()]
    return lines[0], {x[0]: x[1:] for x in lines[1:]}


def total(skiff):
    return int(re.search(r'^Total on disk: (\d+) bytes$', skiff.out('system', 'df', '-v'), re.M).group(1))


def test_table(skiff):
    head, rows = table(skiff)
    assert head == ['TYPE', 'TOTAL', 'ACTIVE', 'SIZE', 'RECLAIMABLE']
    assert list(rows) == ['Images', 'Containers', 'Local Volumes', 'Build Cache']
    assert rows['Images'][:2] == ['1', '0'] and rows['Images'][3].endswith('(100%)') and rows['Containers'] == ['0', '0', '0B', '0B']
    running = skiff.sleeper()
    skiff.out('run', '--name', 'ended', skiff.image, 'sh', '-c', 'head -c 3000000 /dev/urandom >/f')
    rows = table(skiff)[1]
    assert rows['Images'][:2] == ['1', '1'] and rows['Images'][3] == '0B (0%)'
    assert rows['Containers'][:2] == ['2', '1'] and re.match(r'^3\.\d+MB$', rows['Containers'][2]) and '0B' not in rows['Containers'][3]
    docs = [json.loads(x) for x in skiff.out('system', 'df', '--format', 'json').splitlines()]
    assert [d['Type'] for d in docs] == list(rows) and docs[1]['TotalCount'] == '2' and docs[1]['Active'] == '1'
    assert skiff.out('system', 'df', '--format', '{{.Type}}:{{.TotalCount}}').splitlines()[0] == 'Images:1'
    skiff('rm', '-f', running)
    skiff('rm', 'ended')


def test_verbose_adds_up(skiff, registry):
    """Shared and own bytes per image; the sum of all files is what du says."""
    skiff('pull', registry.name('other/busybox:two'))
    cid = skiff.out('run', '-d', '--name', 'one', skiff.image, 'sh', '-c', 'echo log line; head -c 500000 /dev/urandom >/f; ln /f /g').strip()
    skiff('wait', cid)
    text = skiff.out('system', 'df', '-v')
    assert re.search(r'^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE +SHARED SIZE +UNIQUE SIZE +CONTAINERS$', text, re.M)
    assert re.search(r'^CONTAINER ID +IMAGE +COMMAND +LOCAL VOLUMES +SIZE +CREATED +STATUS +NAMES$', text, re.M)
    assert 'VOLUME NAME' in text and 'Build cache usage: 0B' in text
    assert re.search(rf'^{cid[:12]} .* one$', text, re.M)
    parts = re.findall(r'^(\d+) +(\d+) +(\S+) ', text[text.index('Store space usage'):], re.M)
    assert {'layers', 'blobs', 'containers', 'images', 'refs'} <= {p[2] for p in parts}
    assert sum(int(p[1]) for p in parts) == total(skiff) == disk(skiff.root)
    skiff('rm', cid)


def test_unfinished(empty):
    """What a dead pull left is told, kept for a day by check, and taken by prune."""
    empty('images')
    d = empty.root / 'ingest' / ('ab' * 32)
    d.mkdir(parents=True)
    (d / 'data').write_bytes(os.urandom(1 << 20))
    (empty.root / 'trash' / 'old').mkdir(parents=True)
    rows = table(empty)[1]
    assert rows['Unfinished'][:2] == ['2', '0'] and rows['Unfinished'][3].endswith('(100%)')
    assert total(empty) == disk(empty.root)
    assert d.exists() and empty('system', 'check', '--repair').returncode == 0 and d.exists()
    os.utime(d / 'data', (time.time() - 90000,) * 2)
    assert 'unused' in empty('system', 'check', rc=1).stdout
    os.utime(d / 'data')
    out = empty.out('system', 'prune', '-f')
    assert out.endswith('Total reclaimed space: 1.05MB\n') and not d.exists() and list(empty.root.glob('trash/*')) == []
    assert 'Unfinished' not in table(empty)[1]


def test_prune_networks_and_volumes(skiff):
    """In docker's order: what a stopped container held is free when its turn comes. Volumes only when asked, and only those without a name."""
    for n in ('used', 'free'):
        skiff('network', 'create', *(['--label', 'keep=1'] if n == 'free' else []), n)
    skiff('volume', 'create', 'named')
    running = skiff.sleeper('--network', 'used', '-v', '/anon')
    for network in ('none', 'free'):
        cid = skiff.out('create', '--network', network, '-v', '/data', '-v', 'named:/n', skiff.image, 'true').strip()
        if network == 'none':
            skiff('rm', cid)  # leaves its volume
    out = skiff.out('system', 'prune', '-f', '--filter', 'label!=keep')
    assert 'Deleted Containers' in out and 'Deleted Networks' not in out and 'Deleted Volumes' not in out
    assert 'Deleted Networks' not in skiff.out('system', 'prune', '-f', '--filter', 'until=24h')
    assert 'Deleted Networks:\nfree\n' in skiff.out('system', 'prune', '-f')
    assert len(skiff.out('volume', 'ls', '-q').split()) == 4  # docker keeps what a pruned container had without a name
    out = skiff.out('system', 'prune', '-f', '--volumes')
    assert len(re.search(r'Deleted Volumes:\n((?:\w+\n)+)', out)[1].split()) == 2
    left = skiff.out('volume', 'ls', '-q').split()
    assert len(left) == 2 and 'named' in left and 'used' in skiff.out('network', 'ls')
    skiff('rm', '-fv', running)
    skiff('network', 'rm', 'used')
    skiff('volume', 'rm', 'named')


def test_prune(skiff, registry):
    skiff('pull', registry.name('other/busybox:two'))
    old = skiff.out('run', '-d', '--label', 'keep=yes', skiff.image, 'true').strip()
    skiff('wait', old)
    running = skiff.sleeper()
    assert skiff.out('system', 'prune', input='n\n').rstrip().endswith('[y/N]')
    assert 'Total reclaimed space: 0B' in skiff.out('system', 'prune', '-f', '--filter', 'label=other')
    assert 'Total reclaimed space: 0B' in skiff.out('system', 'prune', '-f', '--filter', 'until=1h')
    out = skiff.out('system', 'prune', input='y\n')
    assert f'Deleted Containers:\n{old}\n' in out and 'Deleted Images' not in out
    assert len(skiff.out('images', '-q').split()) == 2 and running in skiff.out('ps', '-q', '--no-trunc')
    out = skiff.out('system', 'prune', '-af')
    assert 'Deleted Containers' not in out
    skiff('rm', '-f', running)
    out = skiff.out('system', 'prune', '-af')
    assert 'Deleted Images:\nuntagged: ' in out and re.search(r'^Total reclaimed space: [\d.]+MB$', out, re.M)
    assert not list(skiff.root.glob('layers/*')) and not list(skiff.root.glob('blobs/sha256/*'))
    assert 'invalid filter' in skiff('system', 'prune', '-f', '--filter', 'x=1', rc=1).stderr
