"""Many networks, no address left, one address for two, members that come and go under load: nothing fails, nothing stays."""
import json
import os
import statistics
import time

from bridgelib import PATIENCE, run, wait_until

SOAK = float(os.environ.get('SKIFF_SOAK') or 0)  # tests/soak


def net(skiff, name):
    return json.loads(skiff.out('network', 'inspect', name))[0]


def test_many_networks(skiff):
    """200 networks (24 without SKIFF_SOAK): the last is made as fast as the first, a container on some of them, nothing is left of all."""
    n, took = max(24, int(200 * SOAK)), []
    for i in range(n):
        begin = time.monotonic()
        skiff('network', 'create', f'n{i}')
        took.append(time.monotonic() - begin)
    names = skiff.out('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}').split()
    assert sorted(names) == sorted(f'n{i}' for i in range(n))
    documents = [net(skiff, x) for x in names]
    subnets = {d['IPAM']['Config'][0]['Subnet']: d['Id'] for d in documents}
    assert len(subnets) == n
    sample = names[:: n // 5]
    for x in sample:
        assert skiff.run('--network', x, '--', 'hostname', '-i').stdout.strip().rpartition('.')[0] == net(skiff, x)['IPAM']['Config'][0]['Subnet'].rpartition('.')[0]
    skiff('network', 'rm', *names)
    assert [x for x in skiff.links() if x.startswith('sk-')] == [] and 'sk-' not in skiff.table()
    assert [x.name for x in (skiff.root / 'networks').iterdir() if x.name[0] != '.'] == [net(skiff, 'bridge')['Id']]
    assert [x.name for x in (skiff.run_root / 'networks').iterdir() if x.name in subnets.values()] == []
    assert [x.name for x in (skiff.root / 'locks').glob('network-*') if x.name.partition('-')[2] in subnets.values()] == []
    quarter = n // 4
    assert statistics.median(took[-quarter:]) < 4 * statistics.median(took[:quarter]) + 0.05, (took[:5], took[-5:])


def test_parallel_starts(skiff):
    """64 (12 without SKIFF_SOAK) at the same moment on one bridge, each with a random port: all start, each has an address and a port of its own, all can be reached."""
    n = max(12, int(64 * SOAK))
    ps = [skiff.popen('run', '-d', '-p', '80', 'netimage', '/netprobe', 'serve', 'tcp', '80', f'n{i}', text=True) for i in range(n)]
    out = [p.communicate(timeout=300 * PATIENCE) for p in ps]
    assert [e for p, (_, e) in zip(ps, out) if p.returncode] == []
    docs = json.loads(skiff.out('inspect', *(o.strip() for o, _ in out)))
    assert len({d['NetworkSettings']['Networks']['bridge']['IPAddress'] for d in docs}) == n
    ports = [d['NetworkSettings']['Ports']['80/tcp'][0]['HostPort'] for d in docs]
    assert len(set(ports)) == n
    for i, port in enumerate(ports):
        assert wait_until(lambda p=port: skiff.ask('tcp', '127.0.0.1', p, rc=None)[1:] != []), i
        assert skiff.ask('tcp', '127.0.0.1', port)[1] == f'n{i}'
    skiff('rm', '-f', *(d['Id'] for d in docs))


def test_starts_with_many_alive(skiff):
    """The start of one more costs the same with 500 (15 without SKIFF_SOAK) alive on the network, and nothing is left of them."""
    n, took = max(15, int(500 * SOAK)), []
    skiff('network', 'create', '--subnet', '10.90.0.0/16', 'n')
    for _ in range(n):
        begin = time.monotonic()
        skiff.detached('--network', 'n', '-p', '80', '--', 'sleep', '10000')
        took.append(time.monotonic() - begin)
    first, last = statistics.median(took[:5]), statistics.median(took[-5:])
    assert last < 3 * first + 0.1, (first, last)
    assert len(net(skiff, 'n')['Containers']) == n
    ids = skiff.out('ps', '-q').split()
    assert len(ids) == n
    for i in range(0, n, 50):
        skiff('rm', '-f', *ids[i:i + 50])
    skiff('network', 'rm', 'n')


def test_exhausted_subnet(skiff):
    skiff('network', 'create', '--subnet', '10.5.0.0/30', 'small')
    skiff.client('a', '--network', 'small')
    before = skiff.leases()
    p = skiff.run('--name', 'b', '--network', 'small', '--', 'true', rc=125)
    assert "small" in p.stderr and 'no available' in p.stderr.lower(), p.stderr
    assert skiff.leases() == before and skiff.out('ps', '-aq', '--filter', 'name=b') == ''
    skiff('rm', '-f', 'a')
    skiff.run('--network', 'small', '--', 'true')


def test_one_address_for_two(skiff):
    skiff('network', 'create', '--subnet', '10.5.0.0/24', 'n')
    skiff.client('a', '--network', 'n', '--ip', '10.5.0.9')
    before = skiff.leases()
    p = skiff.run('--network', 'n', '--ip', '10.5.0.9', '--', 'true', rc=125)
    assert 'Address already in use' in p.stderr and '10.5.0.9' in p.stderr, p.stderr
    assert skiff.leases() == before
    skiff.client('b', '--network', 'none')
    assert 'Address already in use' in skiff('network', 'connect', '--ip', '10.5.0.9', 'n', 'b', rc=1).stderr
    assert skiff.leases() == [x for x in before] and 'eth0' not in skiff.out('exec', 'b', 'ip', 'link')
    # at the same moment: one gets it
    ps = [skiff.popen('run', '--rm', '--network', 'n', '--ip', '10.5.0.10', 'netimage', 'sleep', '2', text=True) for _ in range(4)]
    out = [p.communicate(timeout=120 * PATIENCE) for p in ps]
    assert sorted(p.returncode for p in ps) == [0, 125, 125, 125] and all('Address already in use' in e for p, (_, e) in zip(ps, out) if p.returncode)


def test_connect_and_disconnect_under_load(skiff):
    """Two containers join and leave three networks while others start and end on them."""
    for x in 'abc':
        skiff('network', 'create', x)
    skiff.server('s', '--network', 'a')
    skiff.server('t', '--network', 'a')
    work = [skiff.popen('run', '--rm', '--network', x, 'netimage', 'sh', '-c', 'sleep 0.2; wget -T 5 -q -O - http://nobody/ 2>/dev/null; true') for x in 'abc' * (8 if SOAK else 2)]
    for _ in range(12 if SOAK else 2):
        ps = [skiff.popen('network', verb, x, c, text=True) for verb in ('connect',) for x in 'bc' for c in 'st']
        assert [p.communicate(timeout=60 * PATIENCE)[1] for p in ps if p.wait(60 * PATIENCE)] == []
        for x in 'bc':
            ip = skiff.ip('t', x)
            assert ip in skiff.out('exec', 's', 'nslookup', f't.{x}', '127.0.0.11') and skiff.ask_from('s', 'tcp', ip, 80)[1] == 't'
        ps = [skiff.popen('network', 'disconnect', x, c, text=True) for x in 'bc' for c in 'st']
        assert [p.communicate(timeout=60 * PATIENCE)[1] for p in ps if p.wait(60 * PATIENCE)] == []
    for p in work:
        assert p.wait(60 * PATIENCE) == 0, p.stderr.read()
    assert skiff.ask_from('s', 'tcp', skiff.ip('t'), 80)[1] == 't'
    skiff('rm', '-f', 's', 't')
    skiff('network', 'rm', *'abc')
