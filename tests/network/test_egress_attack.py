"""Attacks on the egress policy from inside: root in the container with NET_ADMIN and NET_RAW sends as somebody else, or without IP. Each attack is made
from a container without the policy as well, where it has to succeed: otherwise it would prove nothing."""
import ipaddress
import json
import os
import re
import signal
import subprocess

import pytest
from bridgelib import PATIENCE, PROBE, bridge_filter, run, wait_until

CAPS = ['--cap-add', 'NET_ADMIN', '--cap-add', 'NET_RAW']


@pytest.fixture
def two(skiff, outside):
    """Containers `open` and `shut` on the default bridge, servers on the host and outside."""
    skiff.client('open', *CAPS)
    skiff.client('shut', '--egress', 'deny', *CAPS)
    there = outside.popen(skiff.probe, 'serve', 'tcp', 7000, 'out')
    here = subprocess.Popen([skiff.probe, 'serve', 'tcp', '7001', 'host'], stdout=subprocess.PIPE, text=True)
    assert [p.stdout.readline() for p in (there, here)] == ['ready\n'] * 2
    yield skiff
    for p in (there, here):
        p.kill()
        p.wait()


def reaches(skiff, name, address, port):
    return len(skiff.ask_from(name, 'tcp', address, port, rc=None)) == 2


def become(skiff, name, address, v6=False):
    """The container gives itself another address of its subnet, and has no other."""
    own = skiff.ip(name, v6=v6)
    prefix = 64 if v6 else 16
    family = '-6' if v6 else '-4'
    gateway = skiff.inspect(name)['NetworkSettings']['Networks'].popitem()[1]['IPv6Gateway' if v6 else 'Gateway']
    skiff('exec', name, 'ip', family, 'addr', 'del', f'{own}/{prefix}', 'dev', 'eth0')
    skiff('exec', name, 'ip', family, 'addr', 'add', f'{address}/{prefix}', 'dev', 'eth0')
    skiff('exec', name, 'ip', family, 'route', 'replace', 'default', 'via', gateway, rc=None)
    # what the kernel tries out first is nobody's address yet
    assert wait_until(lambda: 'tentative' not in skiff.out('exec', name, 'ip', 'addr'))


def dropped():
    return sum(map(int, re.findall(r'counter packets (\d+)', run('nft', 'list', 'chain', 'bridge', 'skiff_v1', 'from_port').stdout)))


@pytest.mark.parametrize('v6', [False, True])
def test_an_address_of_nobody(two, outside, v6):
    far = outside.far6 if v6 else outside.far
    assert reaches(two, 'open', far, 7000) and not reaches(two, 'shut', far, 7000)
    for i, name in enumerate(('open', 'shut')):
        become(two, name, str(ipaddress.ip_address(two.ip('open', v6=v6)) + 77 + i), v6)
    assert reaches(two, 'open', far, 7000), 'the attack works where nothing stops it'
    before = dropped()
    assert not reaches(two, 'shut', far, 7000)
    assert dropped() > before


@pytest.mark.parametrize('v6', [False, True])
def test_the_address_of_a_neighbour(two, outside, v6):
    """The neighbour is gone from the link, so that even the answers would come back."""
    address = two.ip('open', v6=v6)
    far = outside.far6 if v6 else outside.far
    two('stop', '-t', '0', 'open')
    become(two, 'shut', address, v6)
    assert not reaches(two, 'shut', far, 7000)


def test_the_host_by_its_link_local_address(two):
    """No policy speaks of these addresses; the container's own one counts as its own, and it has no other."""
    host = run('ip', '-6', '-o', 'addr', 'show', 'dev', 'skiff0', 'scope', 'link').stdout.split()[3].partition('/')[0]
    assert wait_until(lambda: 'fe80' in two.out('exec', 'open', 'ip', '-6', 'addr') and reaches(two, 'open', f'{host}%eth0', 7001))
    assert not reaches(two, 'shut', f'{host}%eth0', 7001)
    for i, name in enumerate(('open', 'shut')):
        two('exec', name, 'ip', '-6', 'addr', 'flush', 'dev', 'eth0', 'scope', 'link')
        two('exec', name, 'ip', '-6', 'addr', 'add', f'fe80::bad:{i}/64', 'dev', 'eth0')
    assert wait_until(lambda: 'tentative' not in two.out('exec', 'open', 'ip', '-6', 'addr') + two.out('exec', 'shut', 'ip', '-6', 'addr'))
    assert reaches(two, 'open', f'{host}%eth0', 7001) and not reaches(two, 'shut', f'{host}%eth0', 7001)


def test_another_mac(two):
    """The gateway may be spoken to where that is allowed, but not as somebody else."""
    gateway = two.inspect('shut')['NetworkSettings']['Networks']['bridge']['Gateway']
    two('rm', '-f', 'shut')
    two.client('shut', '--egress', 'deny', '--egress-allow', gateway, *CAPS)
    assert reaches(two, 'open', gateway, 7001) and reaches(two, 'shut', gateway, 7001)
    for i, name in enumerate(('open', 'shut')):
        two('exec', name, 'ip', 'link', 'set', 'eth0', 'down')
        two('exec', name, 'ip', 'link', 'set', 'eth0', 'address', f'02:42:00:00:bb:0{i}')
        two('exec', name, 'ip', 'link', 'set', 'eth0', 'up')
    assert reaches(two, 'open', gateway, 7001) and not reaches(two, 'shut', gateway, 7001)


@pytest.mark.parametrize('v6', [False, True])
def test_neighbours(two, v6):
    """Members of the same bridge are not reached, whatever the frame's address; they reach it, and get their answers."""
    two.server('web')
    two.server('udp', proto='udp')
    two('rm', '-f', 'shut')
    two.server('shut', '--egress', 'deny', *CAPS)
    web, shut = two.ip('web', v6=v6), two.ip('shut', v6=v6)
    assert reaches(two, 'open', web, 80) and not reaches(two, 'shut', web, 80)
    assert len(two.ask_from('open', 'udp', two.ip('udp', v6=v6), 80)) == 2 and two.ask_from('shut', 'udp', two.ip('udp', v6=v6), 80, rc=None) == []
    assert two.ask_from('open', 'tcp', shut, 80) == [two.ip('open', v6=v6), 'shut'], 'answers, and the client has its own address'
    # by the frame's address: the gateway's MAC, the neighbour's, all of them
    mac = next(iter(two.inspect('web')['NetworkSettings']['Networks'].values()))['MacAddress']
    bridge = run('ip', '-br', 'link', 'show', 'skiff0').stdout.split()[2]
    family = '-6' if v6 else '-4'
    for name in ('open', 'shut'):
        for to in (mac, bridge, 'ff:ff:ff:ff:ff:ff'):
            two('exec', name, 'ip', family, 'neigh', 'replace', web, 'lladdr', to, 'dev', 'eth0', rc=None)
            reached = reaches(two, name, web, 80)
            assert reached == (name == 'open') or to == 'ff:ff:ff:ff:ff:ff', (name, to)
            assert not reached or name == 'open'
    assert int(json.loads(two.out('network', 'inspect', 'bridge'))[0]['Containers'][two.inspect('shut')['Id']]['EgressDenied']['Packets']) >= 4


def test_groups(two):
    """Broadcast and multicast are for neighbours, too."""
    two.client('ear', *CAPS)
    subnet = json.loads(two.out('network', 'inspect', 'bridge'))[0]['IPAM']['Config'][0]['Subnet']
    for to in (str(ipaddress.ip_network(subnet).broadcast_address), '224.0.0.251'):
        heard = two.popen('exec', 'ear', PROBE, 'hear-udp', '5353', str(30 * PATIENCE), text=True)
        assert heard.stdout.readline() == 'ready\n'
        two('exec', 'shut', PROBE, 'say-udp', to, '5353', rc=None)
        two('exec', 'open', PROBE, 'say-udp', to, '5353', rc=None)
        assert heard.stdout.readline().strip() == two.ip('open'), f'{to}: the first to be heard is the second that spoke'
        assert heard.wait(30 * PATIENCE) == 0


def test_allowed_neighbours(skiff):
    """By name and by address; the others of the network stay out of reach."""
    skiff('network', 'create', 'red')
    skiff.server('web', '--network', 'red')
    skiff.server('other', '--network', 'red')
    skiff.client('shut', '--network', 'red', '--egress', 'deny', '--egress-allow', 'web:80')
    assert not reaches(skiff, 'shut', skiff.ip('web'), 80), 'nobody asked for its name'
    for name in ('web', 'other'):
        skiff('exec', 'shut', 'nslookup', name, '127.0.0.11')
    assert reaches(skiff, 'shut', skiff.ip('web'), 80) and not reaches(skiff, 'shut', skiff.ip('other'), 80)
    skiff.client('two', '--network', 'red', '--egress', 'deny', '--egress-allow', skiff.ip('other'))
    assert not reaches(skiff, 'two', skiff.ip('web'), 80) and reaches(skiff, 'two', skiff.ip('other'), 80)
    # two that are denied: neither reaches the other
    skiff.server('three', '--network', 'red', '--egress', 'deny')
    assert not reaches(skiff, 'two', skiff.ip('three'), 80) and reaches(skiff, 'web', skiff.ip('three'), 80)


def test_frames_without_ip(two):
    two.client('ear', *CAPS)
    ear = two.popen('exec', 'ear', PROBE, 'hear', 'eth0', str(30 * PATIENCE), text=True)
    assert ear.stdout.readline() == 'ready\n'
    for name in ('shut', 'open'):
        two('exec', name, PROBE, 'shout', 'eth0', name)
    assert ear.stdout.readline() == 'open\n', 'the first to be heard is the second that spoke'
    assert ear.wait(30 * PATIENCE) == 0


def test_guarded_ports_come_and_go(skiff):
    """Connect, flush, disconnect, removal: the sets are what runs."""
    skiff('network', 'create', 'red')
    skiff.client('shut', '--egress', 'deny')
    ports = lambda: run('nft', 'list', 'set', 'bridge', 'skiff_v1', 'ports', rc=None).stdout.count('veth')  # noqa: E731
    assert ports() == 1
    skiff('network', 'connect', 'red', 'shut')
    assert ports() == 2
    subprocess.run(['nft', 'flush', 'ruleset'], check=True)
    skiff('network', 'reload')
    assert ports() == 2
    skiff('network', 'disconnect', 'red', 'shut')
    assert ports() == 1
    skiff('kill', 'shut')
    assert wait_until(lambda: ports() == 0)
    assert 'veth' not in run('nft', 'list', 'table', 'bridge', 'skiff_v1').stdout


def test_what_a_killed_monitor_leaves_is_found_and_removed(skiff):
    """Policy, guarded port, lease, published port, record: a finding, and gone after --repair."""
    cid = skiff.client('shut', '--egress', 'deny', '-p', '8080:80')
    os.kill(skiff.monitor_pid(cid), signal.SIGKILL)
    assert wait_until(lambda: skiff.state('shut')['Status'] != 'running')
    guarded = lambda: run('nft', 'list', 'set', 'bridge', 'skiff_v1', 'ports', rc=None).stdout.count('veth')  # noqa: E731
    assert guarded() == 1 and f'e_{cid[:16]}' in skiff.table() and skiff.dnat() and skiff.leases()
    found = skiff('system', 'check', rc=None)
    assert found.returncode and f'network record {cid[:12]}' in found.stdout.replace("'", '')
    skiff('system', 'check', '--repair', rc=None)
    assert guarded() == 0 and cid[:16] not in skiff.table() and skiff.dnat() == '' and skiff.leases() == []
    assert 'network record' not in skiff('system', 'check', rc=None).stdout


def test_a_policy_that_nobody_can_keep_is_refused(skiff, outside):
    """What a macvlan network carries does not pass the host."""
    skiff('network', 'create', '-d', 'macvlan', '--subnet', '192.0.2.0/24', '--ip-range', '192.0.2.128/25', '-o', f'parent={outside.link}', 'm')
    r = skiff('run', '--rm', '--network', 'm', '--egress', 'deny', 'netimage', 'true', rc=None)
    assert r.returncode and "cannot be kept on network 'm'" in r.stderr
    skiff.client('shut', '--egress', 'deny')
    assert "cannot be kept on network 'm'" in skiff('network', 'connect', 'm', 'shut', rc=None).stderr
    assert list(skiff.inspect('shut')['NetworkSettings']['Networks']) == ['bridge']
    skiff('run', '--rm', '--network', 'm', 'netimage', 'true')


@pytest.fixture
def user_bridge(skiff):
    """A bridge that an admin made, with the gateway's address, and a network on it."""
    run('ip', 'link', 'add', 'admin0', 'type', 'bridge')
    run('ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'admin0')
    run('ip', '-6', 'addr', 'add', 'fd09::1/64', 'dev', 'admin0', 'nodad')
    yield 'admin0'
    for name in skiff.out('ps', '-aq').split():
        skiff('rm', '-f', name)
    skiff('network', 'rm', 'mine')
    assert 'admin0' in skiff.links(), 'network rm leaves a bridge that skiff did not make'
    assert '10.9.0.1/24' in run('ip', '-br', 'addr', 'show', 'admin0').stdout
    assert 'local ::1 ' not in run('ip', '-6', 'route', 'show', 'table', 'local', 'dev', 'admin0').stdout
    run('ip', 'link', 'del', 'admin0')


def test_a_bridge_that_skiff_did_not_make(skiff, outside, user_bridge):
    """It serves as any other, also when the firewall table was there before its network; an egress policy could not be kept on it, and is refused."""
    bridge_filter('ip6tables', False)
    skiff.client('first')
    skiff('network', 'create', '--subnet', '10.9.0.0/24', '--subnet', 'fd09::/64', '-o', f'com.docker.network.bridge.name={user_bridge}', 'mine')
    there = outside.popen(skiff.probe, 'serve', 'tcp', 7000, 'out')
    assert there.stdout.readline() == 'ready\n'
    skiff.server('web', '--network', 'mine', '-p', '8080:80')
    for address in ('127.0.0.1', '::1', 'fd09::1'):
        assert skiff.ask('tcp', address, 8080)[1] == 'web'
    skiff('restart', '-t', '0', 'web')
    assert wait_until(lambda: skiff.ask('tcp', '::1', 8080, rc=None)[1:] == ['web']), 'what the first start did to the bridge is no error at the next'
    assert skiff.ask_from('web', 'tcp', outside.far, 7000) == [outside.near, 'out'], 'masquerade'
    there.kill()
    there.wait()
    before = skiff.leases()
    r = skiff('run', '--rm', '--network', 'mine', '--egress', 'deny', 'netimage', 'true', rc=None)
    assert r.returncode and f"cannot be kept on network 'mine': skiff did not make its bridge '{user_bridge}'" in r.stderr
    assert wait_until(lambda: skiff.leases() == before), 'nothing is left'
    skiff.client('shut', '--egress', 'deny')
    assert "skiff did not make its bridge 'admin0'" in skiff('network', 'connect', 'mine', 'shut', rc=None).stderr
    assert list(skiff.inspect('shut')['NetworkSettings']['Networks']) == ['bridge']


def test_one_mac_for_two_policies(skiff):
    """Rules are found by MAC: the second is refused, with both names, and its end takes nothing of the first."""
    mac = '02:42:0a:07:00:09'
    skiff('network', 'create', '--subnet', '10.7.0.0/24', 'red')
    skiff('network', 'create', '--subnet', '10.8.0.0/24', 'blue')
    skiff.client('one', '--network', 'red', '--mac-address', mac, '--egress', 'deny')
    guard = lambda: run('nft', 'list', 'table', 'bridge', 'skiff_v1').stdout.partition('chain')[0]  # noqa: E731
    egress = lambda: run('nft', 'list', 'map', 'inet', 'skiff_v1', 'egress6').stdout  # noqa: E731
    before, before6, leases = guard(), egress(), skiff.leases()
    assert mac in before and 'fe80::42:aff:fe07:9' in before6
    says = f"cannot have MAC address {mac} on network '{{}}': container one has it on network 'red'"
    r = skiff('run', '--rm', '--name', 'two', '--network', 'blue', '--mac-address', mac.upper(), '--egress', 'deny', 'netimage', 'true', rc=None)
    assert r.returncode and says.format('blue').lower() in r.stderr.lower() and 'container two' in r.stderr, r.stderr
    assert wait_until(lambda: skiff.leases() == leases) and (guard(), egress()) == (before, before6)
    # by connect; by an address that makes that MAC
    skiff('rm', '-f', 'one')
    skiff.client('one', '--network', 'red', '--ip', '10.7.0.3', '--mac-address', '02:42:0a:08:00:05', '--egress', 'deny')
    before, before6 = guard(), egress()
    r = skiff('run', '--rm', '--network', 'blue', '--ip', '10.8.0.5', '--egress', 'deny', 'netimage', 'true', rc=None)
    assert r.returncode and '02:42:0a:08:00:05' in r.stderr and 'container one has it' in r.stderr
    assert wait_until(lambda: (guard(), egress()) == (before, before6))
    r = skiff('network', 'connect', '--ip', '10.8.0.5', 'blue', 'one', rc=None)
    assert r.returncode and 'container one has it' in r.stderr and wait_until(lambda: (guard(), egress()) == (before, before6))
    assert list(skiff.inspect('one')['NetworkSettings']['Networks']) == ['red']
    # without the policy nobody minds, and another address is another MAC
    skiff('run', '--rm', '--network', 'blue', '--mac-address', '02:42:0a:08:00:05', 'netimage', 'true')
    skiff('network', 'connect', 'blue', 'one')
