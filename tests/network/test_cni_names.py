"""CNI networks by name: --network, pods, connect, ports, addresses, what is left after kill -9; Debian's plugins, real traffic."""
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from bridgelib import PROBE, run, wait_until

@pytest.fixture
def cni(skiff, tmp_path):
    """skiff with a CNI network blue: bridge, host-local, portmap, firewall."""
    if not shutil.which('bridge', path='/usr/lib/cni') or not shutil.which('iptables'):
        pytest.skip('containernetworking-plugins or iptables is not installed')
    skiff.leased = tmp_path / 'host-local'

    def write(name, plugins, version='0.4.0', **more):
        (skiff.cni / f'{name}.conflist').write_text(json.dumps({'cniVersion': version, 'name': name, 'plugins': plugins, **more}))

    def bridge(name, subnet, *, dns=None, gateway=True, capabilities=True, **ipam):
        p = {'type': 'bridge', 'bridge': f'cni-{name}', 'isGateway': True, 'ipMasq': True, 'hairpinMode': True, **({'dns': dns} if dns else {}),
             'ipam': {'type': 'host-local', 'ranges': [[{'subnet': subnet}]], 'dataDir': str(skiff.leased), **({'routes': [{'dst': '0.0.0.0/0'}]} if gateway else {}), **ipam}}
        return {**p, 'capabilities': {'ips': True, 'mac': True}} if capabilities else p

    skiff.conf, skiff.bridge = write, bridge
    write('blue', [bridge('blue', '10.77.0.0/24', dns={'nameservers': ['192.0.2.53'], 'search': ['blue.test'], 'options': ['ndots:2']}),
                   {'type': 'portmap', 'capabilities': {'portMappings': True}, 'snat': True}, {'type': 'firewall'}])
    yield skiff
    skiff.clean_up()
    assert wait_until(lambda: left(skiff) == [], 20), left(skiff)


def left(skiff):
    """What CNI may leave: leases of host-local, cached results, namespaces, rules of portmap."""
    found = [str(p) for d in (skiff.leased, skiff.run_root / 'netns', skiff.run_root / 'cni') if d.exists() for p in d.rglob('*')
             if p.is_file() and not p.name.startswith(('last_reserved_ip', 'lock'))]
    return found + [x for x in run('iptables-save').stdout.splitlines() if '--dport' in x or 'CNI-DN-' in x]


def test_main_line(cni, outside):
    cid = cni.server('web', '--network', 'blue', '-p', '8080:80', '--hostname', 'web')
    net = cni.inspect('web')['NetworkSettings']['Networks']['blue']
    assert net['IPAddress'] == '10.77.0.2' and net['IPPrefixLen'] == 24 and net['Gateway'] == '10.77.0.1' and net['MacAddress'].count(':') == 5
    assert cni.ask('tcp', '10.77.0.2', 80)[1] == 'web' and cni.ask('tcp', '127.0.0.1', 8080)[1] == 'web'
    assert outside(cni.probe, 'ask', 'tcp', outside.near, 8080).stdout.split() == [outside.far, 'web']
    assert '0.0.0.0:8080->80/tcp' in cni.out('ps') and cni.out('port', 'web') == '80/tcp -> 0.0.0.0:8080\n'
    cni.client('c', '--network', 'blue')
    assert cni.ask_from('c', 'tcp', '10.77.0.2', 80) == ['10.77.0.3', 'web']
    assert cni.out('exec', 'c', 'cat', '/etc/resolv.conf').splitlines() == ['nameserver 192.0.2.53', 'search blue.test', 'options ndots:2']
    assert '10.77.0.2\tweb' in cni.out('exec', 'web', 'cat', '/etc/hosts').splitlines()
    server = outside.popen(cni.probe, 'serve', 'tcp', 7000, 'out')
    assert server.stdout.readline() == 'ready\n'
    assert cni.ask_from('c', 'tcp', outside.far, 7000) == [outside.near, 'out']
    server.kill()
    server.wait()
    assert (cni.run_root / 'netns' / cid).exists() and cni.findings() == []
    cni('restart', '-t', '0', 'web')
    assert wait_until(lambda: run(cni.probe, 'ask', 'tcp', '127.0.0.1', '8080', rc=None).stdout.split()[1:] == ['web'])
    cni('stop', '-t', '0', 'web')
    assert wait_until(lambda: not (cni.run_root / 'netns' / cid).exists() and not [x for x in left(cni) if '8080' in x], 20), left(cni)


def test_as_an_object(cni):
    """ls, inspect, exists; made and removed only by its file."""
    cni.conf('red', [{'type': 'nosuch'}])
    cni.client('c', '--network', 'blue')
    assert [x for x in cni.out('network', 'ls', '--format', '{{.Name}} {{.Driver}}').splitlines() if x.endswith(' cni')] == ['blue cni', 'red cni']
    nid = cni.out('network', 'ls', '-q', '--filter', 'name=blue').strip()
    d = json.loads(cni.out('network', 'inspect', nid))[0]
    assert d['Name'] == 'blue' and d['Driver'] == 'cni' and d['CNI']['Ready'] and d['CNI']['Config']['plugins'][0]['type'] == 'bridge'
    assert d['CNI']['File'] == f'{cni.cni}/blue.conflist' and d['CNI']['Version'] == '0.4.0'
    assert [(x['Name'], x['IPv4Address']) for x in d['Containers'].values()] == [('c', '10.77.0.2/24')]
    red = json.loads(cni.out('network', 'inspect', 'red'))[0]['CNI']
    assert not red['Ready'] and "CNI plugin 'nosuch' is not in" in red['Problem']
    cni('network', 'exists', 'blue')
    for words in (['rm', 'blue'], ['create', 'blue']):
        p = cni('network', *words, rc=1)
        assert 'is a CNI network' in p.stderr and f'{cni.cni}/blue.conflist' in p.stderr
    assert 'blue' not in cni.out('network', 'prune', '-f')
    assert "CNI plugin 'nosuch' is not in" in cni.run('--network', 'red', '--', 'true', rc=125).stderr
    assert 'network green not found' in cni.run('--network', 'green', '--', 'true', rc=125).stderr
    (cni.cni / 'green.conflist').write_text('{')
    assert 'green.conflist' in cni.run('--network', 'green', '--', 'true', rc=125).stderr


def test_addresses_and_mac(cni):
    """By the capabilities; an address that is taken, and a network that gives another one, are errors that leave nothing."""
    cni.client('c', '--network', 'blue', '--ip', '10.77.0.77', '--mac-address', '02:11:22:33:44:55')
    link = cni.out('exec', 'c', 'ip', 'addr', 'show', 'eth0')
    assert 'inet 10.77.0.77/24' in link and 'link/ether 02:11:22:33:44:55' in link
    assert '10.77.0.77' in cni.run('--network', 'blue', '--ip', '10.77.0.77', '--', 'true', rc=125).stderr
    cni.conf('red', [{'type': 'ptp', 'ipam': {'type': 'static', 'addresses': [{'address': '10.78.0.9/24', 'gateway': '10.78.0.1'}]}}])
    cni.run('--network', 'red', '--', 'true')
    assert "network 'red' gave the container" in cni.run('--network', 'red', '--mac-address', '02:11:22:33:44:66', '--', 'true', rc=125).stderr
    assert 'no plugin in' in cni.run('--network', 'red', '-p', '8080:80', '--', 'true', rc=125).stderr
    cni('rm', '-f', 'c')
    assert wait_until(lambda: left(cni) == [], 5), left(cni)


def test_with_networks_of_ours(cni):
    """Two networks of a container, one of them of CNI; connect and disconnect while it runs."""
    cni('network', 'create', '--subnet', '10.5.0.0/24', 'own')
    cni.server('web', '--network', 'own', '--network', 'blue')
    assert cni.ask('tcp', cni.ip('web', 'own'), 80)[1] == 'web' and cni.ask('tcp', cni.ip('web', 'blue'), 80)[1] == 'web'
    cid = cni.client('c', '--network', 'own')
    cni('network', 'connect', '--ip', '10.77.0.50', 'blue', 'c')
    assert cni.ask_from('c', 'tcp', cni.ip('web', 'blue'), 80) == ['10.77.0.50', 'web']
    cni('network', 'disconnect', 'blue', 'c')
    assert 'eth1' not in cni.out('exec', 'c', 'ip', 'link') and not (cni.run_root / 'netns' / cid).exists()
    assert not (cni.leased / 'blue' / '10.77.0.50').exists()


def test_pod(cni):
    cni('pod', 'create', '--name', 'p', '--network', 'blue', '-p', '8080:80')
    cni.server('web', '--pod', 'p')
    assert cni.ask('tcp', '127.0.0.1', 8080)[1] == 'web'
    assert cni.findings() == []
    cni('pod', 'rm', '-f', 'p')
    assert wait_until(lambda: left(cni) == [], 5), left(cni)


@pytest.mark.parametrize('plugins, address', [
    ([{'type': 'ptp', 'ipMasq': True}], '10.79.0.2'), ([{'type': 'macvlan', 'master': 'h1', 'mode': 'bridge'}], '10.79.0.2')])
def test_other_plugins(cni, outside, plugins, address):
    cni.conf('other', [{**plugins[0], 'ipam': {'type': 'host-local', 'subnet': '10.79.0.0/24', 'dataDir': str(cni.leased)}}, *plugins[1:]])
    cni.server('web', '--network', 'other')
    if plugins[0]['type'] == 'macvlan':
        outside('ip', 'addr', 'add', '10.79.0.200/24', 'dev', 'eth0')
        assert outside(cni.probe, 'ask', 'tcp', address, 80).stdout.split()[1] == 'web'
    else:
        assert cni.ask('tcp', address, 80)[1] == 'web'
    cni('rm', '-f', 'web')


def test_killed_monitor(cni):
    """Monitor and container are gone; the namespace is kept until DEL was run."""
    cid = cni.server('web', '--network', 'blue', '-p', '8080:80')
    os.kill(cni.monitor_pid('web'), signal.SIGKILL)
    assert (cni.run_root / 'netns' / cid).exists() and left(cni)
    assert wait_until(lambda: cni('system', 'check', '--repair', rc=None) and left(cni) == [], 10), left(cni)
    assert '8080' not in run('iptables-save').stdout
    cni('start', 'web')
    assert wait_until(lambda: run(cni.probe, 'ask', 'tcp', '127.0.0.1', '8080', rc=None).stdout.split()[1:] == ['web'])


def test_killed_engine(cni):
    """The engine is killed while plugins run: the check takes everything away."""
    for point in (1, 2, 3, 4):
        cni('run', '--rm', '--network', 'blue', '-p', '8080:80', 'netimage', 'true') if point == 1 else None
        p = cni.popen('run', '--rm', '--network', 'blue', '-p', '8080:80', 'netimage', 'true')
        cache = cni.run_root / 'cni' / 'blue'
        wait_until(lambda: [*cache.glob('*-eth0')] and len([*cni.leased.rglob('10.*')]) + point > 3 or p.poll() is not None, 10, step=0.001)
        p.kill()
        p.communicate()
        assert wait_until(lambda: cni('system', 'check', '--repair', rc=None) and left(cni) == [] and cni.leases() == [], 10), (point, left(cni))


def test_a_plugin_that_fails_at_del(cni, tmp_path):
    """The container can be removed all the same; what is left is known, and the check asks again."""
    bad = tmp_path / 'plugins'
    bad.mkdir()
    (bad / 'moody').write_text(f'#!/bin/sh\ncat >/dev/null\n[ "$CNI_COMMAND" = ADD ] && exec echo \'{{"cniVersion":"0.4.0"}}\'\n[ -e {bad}/good ] && exit 0\n'
                               'echo \'{"code": 11, "msg": "not today"}\'; exit 1\n')
    (bad / 'moody').chmod(0o755)
    with open(cni.env['SKIFF_CONF'], 'a') as f:
        f.write(f'cni_plugin_dirs = /usr/lib/cni {bad}\n')
    cni.conf('moody', [{'type': 'moody'}])
    p = cni.run('--network', 'moody', '--', 'true')
    assert 'not today' in p.stderr and 'system check --repair' in p.stderr
    assert [x for x in left(cni) if '/cni/moody/' in x] and 'CNI attachment' in cni('system', 'check', rc=1).stdout
    (bad / 'good').touch()
    cni('system', 'check', '--repair', rc=None)
    assert left(cni) == []


def test_after_a_reboot(cni):
    """run/ is gone, host-local's leases are on the disk: boot gives them back."""
    cid = cni.server('web', '--network', 'blue')
    os.kill(cni.monitor_pid('web'), signal.SIGKILL)
    assert wait_until(lambda: cni('system', 'check', '--repair', rc=None) and left(cni) == [], 10)
    lease = cni.leased / 'blue' / '10.77.0.2'
    lease.write_text(f'{cid}\r\neth0')
    cni('system', 'boot')
    assert not lease.exists()


def test_gc_and_status_of_1_1(cni, tmp_path):
    """What a plugin is told: GC with the attachments that are valid, at prune and boot when skiff.conf says so; STATUS by inspect; ADD and DEL with cniVersion."""
    where = tmp_path / 'plugins'
    where.mkdir()
    (where / 'note').write_text(f'#!/bin/sh\nx=$(tr -d "\\n")\nprintf "%s %s\\n" "$CNI_COMMAND" "$x" >>{where}/log\n'
                                '[ "$CNI_COMMAND" = ADD ] && echo \'{"cniVersion":"1.1.0","ips":[{"address":"10.9.9.9/24"}]}\'\n'
                                f'[ "$CNI_COMMAND" = STATUS ] && [ -e {where}/busy ] && echo \'{{"code": 50, "msg": "not yet"}}\' && exit 1\nexit 0\n')
    (where / 'note').chmod(0o755)
    with open(cni.env['SKIFF_CONF'], 'a') as f:
        f.write(f'cni_plugin_dirs = /usr/lib/cni {where}\n')
    cni.conf('n', [{'type': 'note'}], version='1.1.0')

    def told(*verbs):
        log = [(line.partition(' ')[0], json.loads(line.partition(' ')[2] or '{}')) for line in (where / 'log').read_text().splitlines()]
        return [d for v, d in log if v in verbs]
    cid = cni.client('c', '--network', 'n')
    assert [(d['name'], d['type'], d['cniVersion']) for d in told('ADD')] == [('n', 'note', '1.1.0')]
    assert json.loads(cni.out('network', 'inspect', 'n'))[0]['CNI']['Ready'] and len(told('STATUS')) == 1
    (where / 'busy').touch()
    d = json.loads(cni.out('network', 'inspect', 'n'))[0]['CNI']
    assert not d['Ready'] and 'not yet' in d['Problem']
    cni('network', 'prune', '-f')
    assert told('GC') == [], 'others may have containers on it'
    with open(cni.env['SKIFF_CONF'], 'a') as f:
        f.write('cni_gc = true\n')
    cni('network', 'prune', '-f')
    assert [d['cni.dev/valid-attachments'] for d in told('GC')] == [[{'containerID': cid, 'ifname': 'eth0'}]]
    cni('rm', '-f', 'c')
    assert [d['prevResult']['ips'][0]['address'] for d in told('DEL')] == ['10.9.9.9/24']
    cni('network', 'prune', '-f')
    assert told('GC')[-1]['cni.dev/valid-attachments'] == []
