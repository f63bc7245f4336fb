"""CNI networks with the plugins of Debian's containernetworking-plugins, in namespaces of the test."""
import json
import shutil

import netns
import pytest

PLUGINS = '/usr/lib/cni'


@pytest.fixture
def cni(names, tmp_path):
    if not shutil.which('bridge', path=PLUGINS):
        pytest.skip('containernetworking-plugins is not installed')
    if not shutil.which('iptables'):
        pytest.skip('iptables is not installed: the plugins portmap and firewall need it')
    (tmp_path / 'net.d').mkdir()
    names.conf_dir = tmp_path / 'net.d'
    names.host.run('mount', '-t', 'tmpfs', 'none', '/var/lib/cni', check=False)
    names.host.run('sh', '-c', 'mkdir -p /var/lib/cni && mount -t tmpfs none /var/lib && mkdir /var/lib/cni && mount -t tmpfs none /run/lock')
    yield names


def conf(names, text, name='10-blue.conflist'):
    (names.conf_dir / name).write_text(json.dumps(text))


def call(names, verb, network, container, *more, **kw):
    return names.ctl(f'cni-{verb}', names.conf_dir, network, container.id, f'/proc/{container.pid}/ns/net', *more, **kw)


def blue(version='1.0.0', v6=False, **more):
    plugins = [
        {'type': 'bridge', 'bridge': 'cni-blue', 'isGateway': True, 'ipMasq': True, 'hairpinMode': True,
         'ipam': {'type': 'host-local', 'ranges': [[{'subnet': '10.77.0.0/24'}], *([[{'subnet': 'fd77::/64'}]] if v6 else [])], 'routes': [{'dst': '0.0.0.0/0'}]}, **more},
        {'type': 'portmap', 'capabilities': {'portMappings': True}, 'snat': True},
        {'type': 'firewall'}]
    return {'cniVersion': version, 'name': 'blue', 'plugins': plugins[:2] if version == '0.3.1' else plugins}  # firewall does not know that one


def addresses(c):
    links = json.loads(c.run('ip', '-j', 'addr', 'show', 'dev', 'eth0', check=False).stdout or '[]')
    return sorted(a['local'] for link in links for a in link['addr_info'] if a['scope'] == 'global')


@pytest.mark.parametrize('version', ['0.3.1', '1.0.0'])
def test_a_chain_of_real_plugins(cni, version):
    conf(cni, blue(version))
    a, b = cni.host.container(), cni.host.container()
    result = json.loads(call(cni, 'add', 'blue', a, 'port=18080:80:tcp').stdout)
    assert [i['address'] for i in result['ips']] == ['10.77.0.2/24']
    call(cni, 'add', 'blue', b)
    assert addresses(a) == ['10.77.0.2'] and addresses(b) == ['10.77.0.3']
    b.run('busybox', 'ping', '-c1', '-W5', '10.77.0.2')
    server = cni.host.serve('nsenter', '-t', str(a.pid), '-n', '--', 'socat', 'TCP-LISTEN:80,fork,reuseaddr', 'SYSTEM:echo hello')
    assert netns.wait_until(lambda: ':80 ' in a.run('ss', '-Hltn').stdout)
    assert cni.host.run('socat', f'-t{5 * netns.PATIENCE}', f'-T{5 * netns.PATIENCE}', '-', f'TCP:10.77.0.1:18080,connect-timeout={5 * netns.PATIENCE}').stdout == 'hello\n', 'the published port'
    server.kill()
    (cni.conf_dir / '10-blue.conflist').unlink()
    call(cni, 'del', 'blue', a)
    call(cni, 'del', 'blue', b)
    call(cni, 'del', 'blue', b)
    assert addresses(a) == [] and addresses(b) == []
    assert '18080' not in cni.host.run('iptables-save').stdout
    assert [p.name for p in (cni.host.root / 'cni/blue').iterdir()] == []
    assert cni.host.run('sh', '-c', 'ls /var/lib/cni/networks/blue | grep -c "^[0-9f].*[0-9]$"', check=False).stdout == '0\n', 'addresses are given back'


@pytest.mark.parametrize('version', ['0.3.1', '0.4.0'])
def test_check(cni, version):
    """An address that somebody took away is found, since 0.4.0; portmap, which fails without IPv6, is not asked."""
    conf(cni, blue(version))
    a = cni.host.container()
    assert call(cni, 'check', 'blue', a, check=False).returncode == 1
    call(cni, 'add', 'blue', a, 'port=18080:80:tcp')
    call(cni, 'check', 'blue', a)
    a.run('ip', 'addr', 'flush', 'dev', 'eth0')
    r = call(cni, 'check', 'blue', a, check=False)
    assert (r.returncode == 0) == (version == '0.3.1') and ('CHECK failed' in r.stderr) == (version != '0.3.1')
    call(cni, 'del', 'blue', a)


def test_ptp_and_loopback(cni):
    conf(cni, {'cniVersion': '0.4.0', 'name': 'p2p', 'type': 'ptp', 'ipMasq': True, 'ipam': {'type': 'host-local', 'subnet': '10.78.0.0/24'}}, '20.conf')
    conf(cni, {'cniVersion': '0.4.0', 'name': 'lo', 'type': 'loopback'}, '30.conf')
    c = cni.host.container()
    call(cni, 'add', 'p2p', c)
    assert addresses(c) == ['10.78.0.2']
    call(cni, 'check', 'p2p', c)
    cni.host.run('busybox', 'ping', '-c1', '-W5', '10.78.0.2')
    call(cni, 'add', 'lo', c)
    for network in ('p2p', 'lo'):
        call(cni, 'del', network, c)
    assert addresses(c) == []


def test_a_plugin_that_fails(cni):
    conf(cni, blue(ipam={'type': 'host-local', 'ranges': [[{'subnet': '10.77.0.0/30'}]]}))
    a, b = cni.host.container(), cni.host.container()
    call(cni, 'add', 'blue', a)
    r = call(cni, 'add', 'blue', b, check=False)
    assert r.returncode == 1 and "CNI plugin 'bridge' of network 'blue': ADD failed:" in r.stderr and 'no IP addresses available' in r.stderr
    assert addresses(b) == [] and [p.name for p in (cni.host.root / 'cni/blue').iterdir()] == [f'{a.id}-eth0']


def test_gc_gives_back_what_nobody_has(cni):
    conf(cni, blue(v6=True))
    a, b = cni.host.container(), cni.host.container()
    for c in (a, b):
        call(cni, 'add', 'blue', c)
    b.end()
    cni.ctl('cni-gc', cni.conf_dir, 'blue', a.id)
    assert [p.name for p in (cni.host.root / 'cni/blue').iterdir()] == [f'{a.id}-eth0'] and addresses(a) == ['10.77.0.2', 'fd77::2']
    c = cni.host.container()
    call(cni, 'add', 'blue', c)
    cni.ctl('cni-gc', cni.conf_dir, 'blue')
    assert [p.name for p in (cni.host.root / 'cni/blue').iterdir()] == [] and addresses(a) == []


def test_status(cni):
    conf(cni, blue())
    cni.ctl('cni-status', cni.conf_dir, 'blue')
    conf(cni, {'cniVersion': '1.0.0', 'name': 'red', 'plugins': [{'type': 'nosuch'}]}, '20.conflist')
    r = cni.ctl('cni-status', cni.conf_dir, 'red', check=False)
    assert r.returncode == 1 and "network 'red': CNI plugin 'nosuch' is not in" in r.stderr
    r = cni.ctl('cni-status', cni.conf_dir, 'green', check=False)
    assert r.returncode == 1 and "no CNI network 'green' in" in r.stderr
