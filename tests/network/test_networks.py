"""User networks: objects, addresses, isolation, internal ones, macvlan, connect and disconnect."""
import json
import subprocess

import pytest
from bridgelib import PROBE, run, wait_until


def inspect_net(skiff, name):
    return json.loads(skiff.out('network', 'inspect', name))[0]


def test_published_ports_follow_the_network(skiff):
    """Off its network, a container's ports lead to the next one it is on, or nowhere: never to whoever gets the address then."""
    for x, subnet in (('n', '10.5.0.0/24'), ('m', '10.6.0.0/24')):
        skiff('network', 'create', '--subnet', subnet, x)
    skiff.server('web', '--network', 'n', '--network', 'm', '-p', '8080:80')
    skiff('network', 'disconnect', 'n', 'web')
    skiff.server('other', '--network', 'n', '--ip', '10.5.0.2')
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web' and '8080->80' in skiff.out('ps')
    skiff('network', 'disconnect', 'm', 'web')
    skiff.server('more', '--network', 'm', '--ip', '10.6.0.2')
    skiff.ask('tcp', '127.0.0.1', 8080, rc=1)
    assert skiff.dnat() == '' and skiff.out('port', 'web') == '' and '8080' not in skiff.out('ps')
    skiff('network', 'connect', 'n', 'web')
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web' and '8080->80' in skiff.out('ps')


def test_life_of_a_network(skiff):
    nid = skiff.out('network', 'create', '--subnet', '10.5.0.0/24', '--ip-range', '10.5.0.128/25', '--gateway', '10.5.0.254', '--label', 'a=b', '-o',
                    'com.docker.network.driver.mtu=1400', 'n1').strip()
    d = inspect_net(skiff, 'n1')
    assert d['Id'] == nid and d['Driver'] == 'bridge' and d['Labels'] == {'a': 'b'} and d['Options'] == {'com.docker.network.driver.mtu': '1400'}
    assert d['IPAM']['Config'] == [{'Subnet': '10.5.0.0/24', 'IPRange': '10.5.0.128/25', 'Gateway': '10.5.0.254'}] and d['Containers'] == {}
    assert skiff.out('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}} {{.Driver}}') == 'n1 bridge\n'
    assert skiff.out('network', 'ls', '-q', '--filter', 'label=a=b').strip() == nid[:12]
    skiff('network', 'exists', 'n1')
    skiff('network', 'exists', 'n2', rc=1)
    assert 'network with name n1 already exists' in skiff('network', 'create', 'n1', rc=1).stderr
    skiff.client('c', '--network', 'n1')
    assert skiff.ip('c').startswith('10.5.0.1') and int(skiff.ip('c').split('.')[3]) >= 128
    assert 'mtu 1400' in skiff.out('exec', 'c', 'ip', 'link', 'show', 'eth0')
    assert [x['Name'] for x in inspect_net(skiff, 'n1')['Containers'].values()] == ['c']
    assert 'has active endpoints' in skiff('network', 'rm', 'n1', rc=1).stderr
    skiff('rm', '-f', 'c')
    assert skiff.out('network', 'rm', nid[:12]) == nid[:12] + '\n'
    assert not [x for x in skiff.links() if x.startswith('sk-')]
    assert 'network n1 not found' in skiff('network', 'inspect', 'n1', rc=1).stderr


@pytest.mark.parametrize('args, words', [
    (['--subnet', '10.5.0.0/33', 'n'], 'invalid subnet 10.5.0.0/33'), (['--subnet', '10.5.0.0/24', '--gateway', '10.6.0.1', 'n'], 'no matching subnet for gateway 10.6.0.1'),
    (['--driver', 'overlay', 'n'], 'could not find plugin overlay'), (['-o', 'x=y', 'n'], 'unsupported network option x'), (['bridge'], 'operation is not permitted on predefined bridge network'),
    (['--dns', '192.0.2.1', '--disable-dns', 'n'], 'conflicting options: dns and disable-dns'),
    ([f'--dns=192.0.2.{i}' for i in range(9)] + ['n'], 'at most 8'),
    (['--subnet', '10.5.0.0/24', '--ip-range', '10.7.0.0/25', 'n'], 'no matching subnet for range 10.7.0.0/25'), (['-o', 'mtu=5', 'n'], 'expected an MTU')])
def test_create_refused(skiff, args, words):
    assert words in skiff('network', 'create', *args, rc=1).stderr
    assert skiff.out('network', 'ls', '--filter', 'type=custom', '-q') == ''


def test_pools_do_not_overlap(skiff, outside):
    """Neither with each other nor with a route of the host."""
    run('ip', 'route', 'add', '10.89.1.0/24', 'via', outside.far)
    subnets = []
    for i in range(3):
        skiff('network', 'create', f'n{i}')
        subnets.append(inspect_net(skiff, f'n{i}')['IPAM']['Config'][0]['Subnet'])
    assert subnets == ['10.89.0.0/24', '10.89.2.0/24', '10.89.3.0/24']
    assert 'Pool overlaps with other one' in skiff('network', 'create', '--subnet', '10.89.2.128/25', 'x', rc=1).stderr


def test_addresses(skiff):
    skiff('network', 'create', '--subnet', '10.5.0.0/29', '--ipv6', 'n')
    # who needs no link-local address has none: what it reports of it goes to every port of the bridge
    skiff('network', 'create', 'four')
    skiff.client('four', '--network', 'four')
    assert 'inet6' not in skiff.out('exec', 'four', 'ip', '-6', 'addr', 'show', 'dev', 'eth0')
    skiff('network', 'connect', 'n', 'four')
    assert 'inet6 fe80' in skiff.out('exec', 'four', 'ip', '-6', 'addr', 'show', 'dev', 'eth1')
    ends = [x.partition('@')[0] for x in run('ip', '-o', 'link').stdout.split() if x.startswith('veth')]
    assert len(ends) == 2 and [run('ip', '-6', 'addr', 'show', 'dev', x).stdout for x in ends] == ['', '']
    skiff('rm', '-f', 'four')
    skiff.client('a', '--network', 'n', '--ip', '10.5.0.5', '--mac-address', '02:11:22:33:44:55')
    assert skiff.ip('a') == '10.5.0.5' and '02:11:22:33:44:55' in skiff.out('exec', 'a', 'ip', 'link', 'show', 'eth0')
    assert 'Address already in use' in skiff.run('--network', 'n', '--ip', '10.5.0.5', '--', 'true', rc=125).stderr
    assert 'no configured subnet' in skiff.run('--network', 'n', '--ip', '10.6.0.5', '--', 'true', rc=125).stderr
    assert 'supported on user defined networks only' in skiff.run('--ip', '172.17.0.9', '--', 'true', rc=125).stderr
    for i in range(4):
        skiff.client(f'c{i}', '--network', 'n')
    assert sorted(skiff.ip(f'c{i}') for i in range(4)) == ['10.5.0.2', '10.5.0.3', '10.5.0.4', '10.5.0.6']
    err = skiff.run('--network', 'n', '--', 'true', rc=125).stderr
    assert "no available IPv4 addresses on this network's address pools: n (" in err
    skiff('rm', '-f', 'c2')
    skiff.run('--network', 'n', '--', 'true')


def test_isolation(skiff, outside):
    """Networks do not reach each other; an internal one reaches nothing, and its host side is not reachable from other networks either."""
    server = outside.popen(skiff.probe, 'serve', 'tcp', 7000, 'out')
    assert server.stdout.readline() == 'ready\n'
    skiff('network', 'create', 'n1')
    skiff('network', 'create', '--internal', 'n2')
    skiff.server('s1', '--network', 'n1')
    skiff.server('s2', '--network', 'n2')
    skiff.client('c1', '--network', 'n1')
    skiff.client('c2', '--network', 'n2')
    assert skiff.ask_from('c1', 'tcp', skiff.ip('s1'), 80)[1] == 's1' and skiff.ask_from('c2', 'tcp', skiff.ip('s2'), 80)[1] == 's2'
    assert skiff.ask_from('c1', 'tcp', outside.far, 7000)[1] == 'out'
    skiff.ask_from('c1', 'tcp', skiff.ip('s2'), 80, rc=2)
    skiff.ask_from('c2', 'tcp', skiff.ip('s1'), 80, rc=1)
    skiff.ask_from('c2', 'tcp', outside.far, 7000, rc=1)
    server.kill()
    server.wait()


def test_no_icc(skiff):
    skiff('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', 'n')
    skiff.server('s', '--network', 'n', '-p', '8080:80')
    skiff.client('c', '--network', 'n')
    skiff('exec', 'c', PROBE, 'ask', 'tcp', skiff.ip('s'), '80', rc=None)
    assert skiff('exec', 'c', PROBE, 'ask', 'tcp', skiff.ip('s'), '80', rc=None).returncode in (1, 2)
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 's'


def test_host_binding(skiff, outside):
    """Ports without an address of their own are published at the network's; in IPv4 only, as docker does."""
    skiff('network', 'create', '--ipv6', '-o', 'com.docker.network.bridge.host_binding_ipv4=127.0.0.1', 'n')
    skiff.server('web', '--network', 'n', '-p', '8080:80', '-p', '192.0.2.1:8081:80')
    assert skiff.out('port', 'web').split('\n')[:2] == ['80/tcp -> 127.0.0.1:8080', '80/tcp -> 192.0.2.1:8081']
    assert skiff.ask('tcp', '127.0.0.1', '8080')[1] == 'web'
    assert outside(skiff.probe, 'ask', 'tcp', '192.0.2.1', '8081').stdout.split()[1] == 'web'
    outside(skiff.probe, 'ask', 'tcp', '192.0.2.1', '8080', rc=1)


@pytest.mark.parametrize('args, words', [
    (['driver-opt=x=y'], 'driver option x=y is not supported'),
    (['driver-opt=com.docker.network.endpoint.ifname=a/b'], "invalid interface name 'a/b'"),
    (['interface_name=sixteen-letters-'], "invalid interface name 'sixteen-letters-'"), (['interface_name=lo'], "invalid interface name 'lo'"),
    (['ip=10.5.0.256'], 'invalid IPv4 address: 10.5.0.256'), (['mac-address=x'], 'invalid MAC address: x')])
def test_endpoint_refused(skiff, args, words):
    skiff('network', 'create', '--subnet', '10.5.0.0/24', 'n')
    assert words in skiff.run('--network', ','.join(['name=n', *args]), '--', 'true', rc=125).stderr
    assert skiff.out('ps', '-aq') == ''


def test_connect_refused(skiff):
    skiff('network', 'create', 'n')
    skiff('create', '--name', 'c', '--network', 'none', 'netimage', 'true')
    for args, words in ((['--driver-opt', 'x=y'], 'driver option x=y is not supported'), (['--ip', 'x'], 'invalid IPv4 address: x')):
        assert words in skiff('network', 'connect', *args, 'n', 'c', rc=1).stderr
    assert list(skiff.inspect('c')['NetworkSettings']['Networks']) in ([], ['none'])


def test_connect_beside_a_named_interface(skiff):
    skiff('network', 'create', 'n1')
    skiff('network', 'create', 'n2')
    skiff.client('c', '--network', 'name=n1,interface_name=lan')
    skiff('network', 'connect', 'n2', 'c')
    skiff('network', 'create', 'n3')
    skiff('network', 'connect', '--driver-opt', 'com.docker.network.endpoint.ifname=wan', 'n3', 'c')
    assert [x for x in ('lan', 'eth0', 'wan') if x in skiff.out('exec', 'c', 'ip', '-o', 'addr')] == ['lan', 'eth0', 'wan']


def test_connect_and_disconnect(skiff):
    skiff('network', 'create', '--subnet', '10.5.1.0/24', 'n1')
    skiff('network', 'create', '--subnet', '10.5.2.0/24', 'n2')
    skiff.client('c', '--network', 'n1')
    skiff.server('s', '--network', 'n2')
    skiff.ask_from('c', 'tcp', skiff.ip('s'), 80, rc=2)
    skiff('network', 'connect', '--ip', '10.5.2.77', '--alias', 'x', 'n2', 'c')
    assert skiff.ask_from('c', 'tcp', skiff.ip('s'), 80) == ['10.5.2.77', 's']
    assert set(skiff.inspect('c')['NetworkSettings']['Networks']) == {'n1', 'n2'} and '10.5.2.77' in skiff.out('exec', 'c', 'cat', '/etc/hosts')
    assert 'already exists in network n2' in skiff('network', 'connect', 'n2', 'c', rc=1).stderr
    skiff('network', 'disconnect', 'n1', 'c')
    assert 'default via 10.5.2.1' in skiff.out('exec', 'c', 'ip', 'route') and '10.5.1.' not in skiff.out('exec', 'c', 'cat', '/etc/hosts')
    assert 'not connected to network n1' in skiff('network', 'disconnect', 'n1', 'c', rc=1).stderr
    skiff('restart', '-t', '0', 'c')
    assert skiff.ip('c', 'n2') == '10.5.2.77'
    skiff('network', 'rm', '-f', 'n2')
    assert skiff.inspect('c')['NetworkSettings']['Networks'] == {}


def test_prefix_of_interfaces(skiff):
    """Docker's option of a network; numbers count for each prefix, names that were asked for are left out."""
    prefix = 'com.docker.network.container_iface_prefix'
    skiff('network', 'create', '-o', f'{prefix}=lan', 'blue')
    skiff('network', 'create', 'red')
    skiff.client('c', '--network', 'blue', '--network', 'red')
    skiff.client('d', '--network', 'blue', '--network', 'name=red,driver-opt=com.docker.network.endpoint.ifname=lan0')
    skiff.client('e', '--network', 'red')
    skiff('network', 'connect', 'blue', 'e')
    links = {n: sorted(skiff.out('exec', n, 'ls', '/sys/class/net').split()) for n in 'cde'}
    assert links == {'c': ['eth0', 'lan0', 'lo'], 'd': ['lan0', 'lan1', 'lo'], 'e': ['eth0', 'lan0', 'lo']}
    assert json.loads(skiff.out('network', 'inspect', 'blue'))[0]['Options'] == {prefix: 'lan'}
    for bad in ('', 'a/b', 'thirteenchars'):
        assert 'names of interfaces begin' in skiff('network', 'create', '-o', f'{prefix}={bad}', 'bad', rc=1).stderr


def test_several_networks(skiff):
    skiff('network', 'create', '--subnet', '10.5.1.0/24', 'n1')
    skiff('network', 'create', '--subnet', '10.5.2.0/24', 'n2')
    skiff.client('c', '--network', 'name=n1,ip=10.5.1.9', '--network', 'n2:ip=10.5.2.9,alias=x')
    assert skiff.ip('c', 'n1') == '10.5.1.9' and skiff.ip('c', 'n2') == '10.5.2.9'
    assert 'default via 10.5.1.1' in skiff.out('exec', 'c', 'ip', 'route')
    assert skiff.inspect('c')['NetworkSettings']['Networks']['n2']['Aliases'] == ['x']
    assert 'conflicting options' in skiff.run('--network', 'n1', '--network', 'host', '--', 'true', rc=125).stderr


def test_macvlan(skiff, outside):
    """Containers are on the parent's own network: the host outside reaches them without any rule of ours."""
    skiff('network', 'create', '-d', 'macvlan', '--subnet', '192.0.2.0/24', '--gateway', '192.0.2.2', '--ip-range', '192.0.2.128/25', '-o', f'parent={outside.link}', 'm')
    skiff.server('s', '--network', 'm')
    assert outside(skiff.probe, 'ask', 'tcp', skiff.ip('s'), 80).stdout.split() == [outside.far, 's']


@pytest.mark.parametrize('mode', [pytest.param('l2', marks=pytest.mark.smoke), 'l3'])
def test_ipvlan(skiff, outside, mode):
    """l2: on the parent's own network, as macvlan. l3: the parent is the router of another network, nobody answers ARP there, so the host outside has a route."""
    if run('ip', 'link', 'add', 'ipv0', 'link', outside.link, 'type', 'ipvlan', rc=None).returncode:
        pytest.skip('this kernel has no ipvlan')
    run('ip', 'link', 'del', 'ipv0')
    where = ['--subnet', '192.0.2.0/24', '--gateway', '192.0.2.2', '--ip-range', '192.0.2.128/25'] if mode == 'l2' else ['--subnet', '10.8.0.0/24']
    skiff('network', 'create', '-d', 'ipvlan', *where, '-o', f'parent={outside.link}', '-o', f'ipvlan_mode={mode}', 'm')
    if mode == 'l3':
        outside('ip', 'route', 'add', '10.8.0.0/24', 'via', outside.near)
    skiff.server('s', '--network', 'm')
    skiff.client('c', '--network', 'm')
    assert outside(skiff.probe, 'ask', 'tcp', skiff.ip('s'), 80).stdout.split() == [outside.far, 's']
    assert skiff.ask_from('c', 'tcp', skiff.ip('s'), 80) == [skiff.ip('c'), 's']
    server = outside.popen(skiff.probe, 'serve', 'tcp', 7000, 'out')
    assert server.stdout.readline() == 'ready\n'
    assert skiff.ask_from('c', 'tcp', outside.far, 7000) == [skiff.ip('c'), 'out']
    skiff.client('d', '--network', 'bridge', '--network', 'm')
    skiff('network', 'disconnect', 'bridge', 'd')
    assert skiff.out('exec', 'd', 'ip', 'route').splitlines()[0].strip() == ('default dev eth1 scope link' if mode == 'l3' else 'default via 192.0.2.2 dev eth1')
    assert skiff.ask_from('d', 'tcp', outside.far, 7000) == [skiff.ip('d'), 'out']
    server.kill()
    server.wait()


@pytest.mark.parametrize('driver', ['macvlan', 'ipvlan'])
def test_no_parent(skiff, driver):
    """Without a parent the network is alone on a dummy device of its own, which goes with it: containers reach each other and nobody else."""
    if run('ip', 'link', 'add', 'dum0', 'type', 'dummy', rc=None).returncode:
        pytest.skip('this kernel has no dummy devices')
    run('ip', 'link', 'del', 'dum0')
    before = skiff.links()
    skiff('network', 'create', '-d', driver, '--subnet', '10.8.0.0/24', 'm')
    skiff.server('s', '--network', 'm')
    skiff.client('c', '--network', 'm')
    assert [x[:3] for x in skiff.links() if x not in before] == ['dm-']
    assert skiff.ask_from('c', 'tcp', skiff.ip('s'), 80) == [skiff.ip('c'), 's']
    skiff('rm', '-f', 's', 'c')
    skiff('network', 'rm', 'm')
    assert skiff.links() == before


def test_prune(skiff):
    for n in ('n1', 'n2', 'n3'):
        skiff('network', 'create', n)
    skiff.client('c', '--network', 'n2')
    skiff('stop', '-t', '0', 'c')
    assert skiff.out('network', 'ls', '--filter', 'dangling=true', '--format', '{{.Name}}').split() == ['n1', 'n3']
    assert skiff.out('network', 'prune', '-f').split() == ['Deleted', 'Networks:', 'n1', 'n3']
    assert wait_until(lambda: skiff.leases() == [])


def test_filters(skiff):
    """ls: docker's words, and podman's until and label!; prune: label, label! and until only, as both."""
    skiff('network', 'create', '--label', 'a=1', 'one')
    skiff('network', 'create', '--label', 'a=2', '--label', 'b', 'two')
    ls = lambda *w: skiff.out('network', 'ls', *(x for y in w for x in ('--filter', y)), '--format', '{{.Name}}').split()  # noqa: E731
    for words, want in (('name=tw', ['two']), ('name=^o', ['one']), ('name=^one name=two', ['one', 'two']), ('label=a', ['one', 'two']), ('label=a=2', ['two']),
                        ('label=a label=b', ['two']), ('label!=b type=custom', ['one']), ('type=builtin', ['bridge', 'host', 'none']), ('driver=null', ['none']),
                        ('driver=host driver=bridge name=o', ['host', 'one', 'two']), ('scope=swarm', []), ('dangling=1', ['one', 'two']), ('until=1h type=custom', []),
                        ('until=2100-01-01 type=custom', ['one', 'two']), (f'id={json.loads(skiff.out("network", "inspect", "one"))[0]["Id"][:9]}', ['one'])):
        assert ls(*words.split()) == want, words
    for word, error in (('x=1', "invalid filter 'x'"), ('type=y', "invalid filter 'type=y'"), ('dangling=maybe', "invalid filter 'dangling=maybe'"), ('until=z', "'until=z'")):
        assert error in skiff('network', 'ls', '--filter', word, rc=1).stderr
    for word in ('name=one', 'driver=bridge', 'dangling=1', 'until=z', 'x=1'):
        assert 'invalid filter' in skiff('network', 'prune', '-f', '--filter', word, rc=1).stderr
    assert skiff.out('network', 'prune', '-f', '--filter', 'until=1h') == ''
    assert skiff.out('network', 'prune', '-f', '--filter', 'label!=b', '--filter', 'until=2100-01-01').split() == ['Deleted', 'Networks:', 'one']
    assert skiff.out('network', 'prune', '-f', '--filter', 'label=a=2').split() == ['Deleted', 'Networks:', 'two']


def test_update(skiff):
    """Other name servers, at once for who runs; a container's own count before them."""
    servers = [subprocess.Popen(['dnsmasq', '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file=', '--bind-interfaces', f'--listen-address=127.0.0.{n}',
                                 f'--address=/x.test/192.0.2.{n}'], stderr=subprocess.DEVNULL) for n in (61, 62, 63)]
    assert wait_until(lambda: run('ss', '-Hlun').stdout.count('127.0.0.6') == 3)
    try:
        skiff('network', 'create', '--dns', '127.0.0.61', 'n')
        skiff.client('c', '--network', 'n')
        skiff.client('own', '--network', 'n', '--dns', '127.0.0.63')
        asked = lambda c: skiff('exec', c, 'nslookup', 'x.test', '127.0.0.11', rc=None).stdout.split('192.0.2.')[1][:2]  # noqa: E731
        assert (asked('c'), asked('own')) == ('61', '63')
        assert skiff.out('network', 'update', '--dns-add', '127.0.0.62', '--dns-drop', '127.0.0.61,127.0.0.99', 'n') == 'n\n'
        assert (asked('c'), asked('own')) == ('62', '63')
        assert json.loads((skiff.root / 'networks' / skiff.inspect('c')['NetworkSettings']['Networks']['n']['NetworkID'] / 'network.json').read_text())['dnsServers'] == ['127.0.0.62']
        skiff('network', 'update', '--dns-add', '127.0.0.61', '--dns-add', '127.0.0.62', 'n')
        skiff('restart', '-t', '0', 'c')
        assert asked('c') == '62'
        assert 'is not an ip address' in skiff('network', 'update', '--dns-add', 'x', 'n', rc=1).stderr
        assert 'dns is disabled' in skiff('network', 'update', '--dns-add', '1.1.1.1', 'bridge', rc=1).stderr
        assert 'network nosuch not found' in skiff('network', 'update', '--dns-add', '1.1.1.1', 'nosuch', rc=1).stderr
        skiff('network', 'reload', '--all')
        assert 'nosuch' in skiff('network', 'reload', 'c', 'nosuch', rc=1).stderr
        assert not skiff.out('network', 'ls', '--noheading').startswith('NETWORK')
    finally:
        for p in servers:
            p.kill()
            p.wait()
