"""The default network: addresses, the way out, published ports in all forms, leftovers."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from bridgelib import PATIENCE, PROBE, bridge_filter, run, wait_until


@pytest.mark.smoke
def test_main_line(skiff, outside):
    """Published on every address of the host, both families; a client from outside keeps its address."""
    skiff.server('web', '-p', '8080:80')
    ip, ip6 = skiff.ip('web'), skiff.ip('web', v6=True)
    assert skiff.ask('tcp', ip, 80)[1] == 'web' and skiff.ask('tcp', ip6, 80)[1] == 'web'
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web'
    assert skiff.ask('tcp', outside.near, 8080) == [outside.near, 'web'] and skiff.ask('tcp', outside.near6, 8080)[1] == 'web'
    assert outside(skiff.probe, 'ask', 'tcp', outside.near, 8080).stdout.split() == [outside.far, 'web']
    assert outside(skiff.probe, 'ask', 'tcp', outside.near6, 8080).stdout.split() == [outside.far6, 'web']
    assert '0.0.0.0:8080->80/tcp, [::]:8080->80/tcp' in skiff.out('ps')
    assert skiff.out('port', 'web') == '80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n'


def reached6(skiff):
    """Both protocols through [::1]; an answer may take longer than the probe waits for it on a slow machine."""
    return all(wait_until(lambda t=t: skiff.ask(t[0], '::1', t[1], rc=None)[1:] == [t[2]]) for t in (('tcp', 8080, 'web'), ('udp', 5300, 'u')))


@pytest.mark.parametrize('filtered', [False, True])
def test_loopback6(skiff, filtered):
    """Ports on ::1, as those on 127.0.0.1, with br_netfilter off and on for IPv6, on the default bridge and another one, and again after a flush."""
    if not bridge_filter('ip6tables', filtered) and filtered:
        pytest.skip('no br_netfilter here')
    skiff.server('web', '-p', '8080:80')
    skiff.server('u', '-p', '5300:53/udp', proto='udp', port=53)
    assert reached6(skiff)
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web'
    skiff('network', 'create', '--ipv6', 'n')
    skiff.server('other', '--network', 'n', '-p', '8081:80')
    assert wait_until(lambda: skiff.ask('tcp', '::1', 8081, rc=None)[1:] == ['other'])
    run('nft', 'flush', 'ruleset')
    skiff('network', 'reload')
    assert reached6(skiff) and wait_until(lambda: skiff.ask('tcp', '::1', 8081, rc=None)[1:] == ['other'])
    bridge = json.loads(skiff.out('network', 'inspect', 'n'))[0]['Interface']
    assert (f'chain bridge_{bridge} ' in run('nft', 'list', 'ruleset').stdout) == filtered
    skiff('rm', '-f', 'other')
    skiff('network', 'rm', 'n')
    assert f'chain bridge_{bridge} ' not in run('nft', 'list', 'ruleset').stdout
    assert reached6(skiff)
    skiff('rm', '-f', 'web', 'u')
    assert 'skiff' not in run('nft', 'list', 'tables').stdout


def test_loopback6_when_the_filter_changes(skiff):
    """Somebody loads br_netfilter when containers run already (docker does): a reload is enough."""
    bridge_filter('ip6tables', False)
    skiff.server('web', '-p', '8080:80')
    skiff.server('u', '-p', '5300:53/udp', proto='udp', port=53)
    if not bridge_filter('ip6tables', True):
        pytest.skip('no br_netfilter here')
    skiff('network', 'reload')
    assert reached6(skiff)
    bridge_filter('ip6tables', False)
    assert reached6(skiff), 'what is there for the other case does not disturb'


def test_loopback6_that_cannot_be_had(skiff):
    """Somebody else owns the table, as a kernel without the parts for it would refuse it, too: said with what is missing and what to do; all else works."""
    if not bridge_filter('ip6tables', True):
        pytest.skip('no br_netfilter here')
    with subprocess.Popen(['nft', '-i'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as owner:  # ends with its standard input
        owner.stdin.write('add table netdev skiff_v1 { flags owner; }\n')
        owner.stdin.flush()
        assert wait_until(lambda: 'netdev skiff_v1' in run('nft', 'list', 'tables').stdout)
        skiff.server('web', '-p', '8080:80')
        said = skiff('network', 'reload').stderr
        for word in ('refused on [::1]', 'CONFIG_NFT_FWD_NETDEV', 'net.bridge.bridge-nf-call-ip6tables', 'skiff network reload'):
            assert word in said, said
        assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web'
        skiff.ask('tcp', '::1', 8080, rc=1)  # refused at once; 2 is no answer
        bridge_filter('ip6tables', False)
        assert skiff('network', 'reload').stderr == ''
        assert wait_until(lambda: skiff.ask('tcp', '::1', 8080, rc=None)[1:] == ['web'])


@pytest.mark.parametrize('made, now', [(True, True), (True, False), (False, False)])
def test_loopback6_of_the_host_stays_shut(skiff, made, now):
    """The same as CVE-2020-8558 for ::1. made: br_netfilter is on when the rules are made; now: when the packet comes."""
    if not bridge_filter('ip6tables', made) and made:
        pytest.skip('no br_netfilter here')
    skiff.server('web', '-p', '8080:80')
    listener = subprocess.Popen([str(skiff.probe), 'serve', 'udp', '7777'], stdout=subprocess.PIPE, text=True)
    assert listener.stdout.readline() == 'ready\n'
    skiff.client('c', '--cap-add', 'NET_ADMIN')
    bridge_filter('ip6tables', now)
    gateway = skiff.inspect('c')['NetworkSettings']['Networks']['bridge']['IPv6Gateway']
    assert wait_until(lambda: len(skiff.ask_from('c', 'udp', gateway, 7777, rc=None)) == 2), 'it is open to who may'
    skiff('exec', '--privileged', 'c', 'ip', '-6', 'addr', 'del', '::1/128', 'dev', 'lo')
    skiff('exec', '--privileged', 'c', 'ip', '-6', 'route', 'add', '::1/128', 'via', gateway)
    sent = lambda: int(skiff.out('exec', 'c', 'cat', '/sys/class/net/eth0/statistics/tx_packets'))  # noqa: E731
    before = sent()
    for port in (7777, 8080):
        skiff('exec', 'c', PROBE, 'ask', 'udp', '::1', port, rc=2)
    assert sent() >= before + 2, 'the packets did leave'
    listener.kill()
    listener.wait()


def test_the_way_out(skiff, outside):
    """A container reaches a host outside with the host's address, by both families."""
    server = outside.popen(skiff.probe, 'serve', 'tcp', 7000, 'out')
    assert server.stdout.readline() == 'ready\n'
    skiff.client('c')
    assert skiff.ask_from('c', 'tcp', outside.far, 7000) == [outside.near, 'out']
    assert skiff.ask_from('c', 'tcp', outside.far6, 7000) == [outside.near6, 'out']
    server.kill()
    server.wait()


def test_unpublished_is_closed(skiff, outside):
    """Nobody outside reaches a container by its own address, even with a route."""
    skiff.server('web', '-p', '8080:80')
    skiff.server('shy', port=81)
    for name, port in (('web', 80), ('shy', 81)):
        outside('ip', 'route', 'replace', f'{skiff.ip(name)}/32', 'via', outside.near)
        outside(skiff.probe, 'ask', 'tcp', skiff.ip(name), port, rc=2)
    assert outside(skiff.probe, 'ask', 'tcp', outside.near, 8080).stdout.split()[1] == 'web'


@pytest.mark.parametrize('filtered', [True, False])
def test_hairpin(skiff, filtered):
    """A container reaches a published port of its own network, and its own, through the host's address; with br_netfilter on and off."""
    for f in ('iptables', 'ip6tables'):
        if not bridge_filter(f, filtered) and filtered:
            pytest.skip('no br_netfilter here')
    skiff.server('web', '-p', '8080:80')
    skiff.client('c')
    gateway = skiff.inspect('web')['NetworkSettings']['Networks']['bridge']['Gateway']
    assert skiff.ask_from('c', 'tcp', gateway, 8080)[1] == 'web'
    assert skiff.ask_from('web', 'tcp', gateway, 8080)[1] == 'web'
    assert skiff.ask_from('c', 'tcp', skiff.ip('web'), 80) == [skiff.ip('c'), 'web']


def test_udp(skiff, outside):
    skiff.server('u', '-p', '5300:53/udp', proto='udp', port=53)
    assert outside(skiff.probe, 'ask', 'udp', outside.near, 5300).stdout.split() == [outside.far, 'u']
    assert skiff.ask('udp', '127.0.0.1', 5300)[1] == 'u'


def test_forms_of_publish(skiff):
    skiff.server('web', '-p', '127.0.0.1:9000:80', '-p', '[::1]:9001:80', '-p', '9100-9102:81-83', '-p', '80', '-p', '9200-9210:90/udp')
    rows = re.findall(r'(\d+/\w+) -> (\S+):(\d+)', skiff.out('port', 'web'))
    assert ('80/tcp', '127.0.0.1', '9000') in rows and ('80/tcp', '[::1]', '9001') in rows
    assert {(c, p) for c, a, p in rows if a == '0.0.0.0' and c in ('81/tcp', '82/tcp', '83/tcp')} == {('81/tcp', '9100'), ('82/tcp', '9101'), ('83/tcp', '9102')}
    free = [p for c, a, p in rows if c == '80/tcp' and a == '0.0.0.0']
    assert len(free) == 1 and skiff.ask('tcp', '127.0.0.1', free[0])[1] == 'web'
    assert [p for c, a, p in rows if c == '90/udp' and a == '0.0.0.0'] == ['9200']
    ports = skiff.inspect('web')['NetworkSettings']['Ports']
    assert ports['81/tcp'] == [{'HostIp': '0.0.0.0', 'HostPort': '9100'}, {'HostIp': '::', 'HostPort': '9100'}] and ports['8000/tcp'] is None


def test_publish_all(skiff):
    skiff.server('web', '-P', '--expose', '8100', port=8000)
    ports = skiff.inspect('web')['NetworkSettings']['Ports']
    assert set(ports) == {'8000/tcp', '8001/udp', '8100/tcp'} and all(ports.values())
    assert skiff.ask('tcp', '127.0.0.1', ports['8000/tcp'][0]['HostPort'])[1] == 'web'


@pytest.mark.parametrize('spec, words', [
    ('80:x', 'invalid containerPort: x'), ('70000:80', 'invalid hostPort: 70000'), ('80-81:80-82', 'invalid ranges specified for container and host Ports: 80-82 and 80-81'),
    ('1.2.3:80:80', 'invalid IP address: 1.2.3'), ('80:80/icmp', 'invalid proto: icmp'), ('80:', 'no port specified: 80:<empty>')])
def test_publish_refused(skiff, spec, words):
    assert words in skiff.run('-p', spec, '--', 'true', rc=125).stderr


def test_port_conflicts(skiff):
    """With another container, with one address against all, and with a process of the host; nothing is left of the one that failed."""
    skiff.server('web', '-p', '8080:80')
    for spec in ('8080:80', '127.0.0.1:8080:80'):
        assert 'port is already allocated' in skiff.run('-p', spec, '--', 'true', rc=125).stderr
    skiff('rm', '-f', 'web')
    skiff.server('one', '-p', '127.0.0.1:8080:80')
    assert 'port is already allocated' in skiff.run('-p', '8080:80', '--', 'true', rc=125).stderr
    before = skiff.leases()
    listener = subprocess.Popen([str(skiff.probe), 'serve', 'tcp', '8081'], stdout=subprocess.PIPE, text=True)
    assert listener.stdout.readline() == 'ready\n'
    assert 'a process of the host listens there' in skiff.run('-p', '8081:80', '--', 'true', rc=125).stderr
    listener.kill()
    listener.wait()
    assert skiff.leases() == before
    skiff.run('-p', '8081:80', '--', 'true')


def test_loopback_of_the_host_stays_shut(skiff):
    """CVE-2020-8558: route_localnet on the bridge must not let containers into services on 127.0.0.1."""
    listener = subprocess.Popen([str(skiff.probe), 'serve', 'tcp', '7777'], stdout=subprocess.PIPE, text=True)
    assert listener.stdout.readline() == 'ready\n'
    skiff.client('c', '--cap-add', 'NET_ADMIN')
    gateway = skiff.inspect('c')['NetworkSettings']['Networks']['bridge']['Gateway']
    skiff('exec', '--privileged', 'c', 'ip', 'addr', 'del', '127.0.0.1/8', 'dev', 'lo')
    skiff('exec', '--privileged', 'c', 'ip', 'route', 'add', '127.0.0.0/8', 'via', gateway)
    skiff('exec', 'c', PROBE, 'ask', 'tcp', '127.0.0.1', '7777', rc=2)
    listener.kill()
    listener.wait()


def test_heals_after_a_flush(skiff):
    """Somebody flushes all rules: the next start, or `network reload`, brings everything back, also the ports of containers that run."""
    skiff.server('web', '-p', '8080:80')
    run('nft', 'flush', 'ruleset')
    skiff.run('--', 'true')
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web'
    run('nft', 'flush', 'ruleset')
    skiff('network', 'reload')
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'web'


def test_user_chain_and_host_firewall(skiff, outside):
    """The admin's chain is asked first and survives a reload; a policy of another table of the host counts as well."""
    skiff.server('web', '-p', '8080:80')
    run('nft', 'add', 'rule', 'inet', 'skiff_v1', 'skiff_user', 'ip', 'saddr', outside.far, 'drop')
    outside(skiff.probe, 'ask', 'tcp', outside.near, 8080, rc=2)
    skiff('network', 'reload')
    outside(skiff.probe, 'ask', 'tcp', outside.near, 8080, rc=2)
    run('nft', 'flush', 'chain', 'inet', 'skiff_v1', 'skiff_user')
    assert outside(skiff.probe, 'ask', 'tcp', outside.near, 8080).stdout.split()[1] == 'web'
    run('nft', 'add', 'table', 'ip', 'admin')
    run('nft', 'add', 'chain', 'ip', 'admin', 'strict', '{ type filter hook forward priority 10; policy drop; }')
    outside(skiff.probe, 'ask', 'tcp', outside.near, 8080, rc=2)
    run('nft', 'delete', 'table', 'ip', 'admin')


def test_what_every_packet_meets(skiff):
    """Work for each packet that a host forwards: no chain that only an egress policy needs, none that only br_netfilter needs, and of a connection that is
    known the second rule decides. A policy brings its chains along."""
    for f in ('iptables', 'ip6tables'):
        bridge_filter(f, False)
    hooks = lambda: re.findall(r'chain (\w+) {\s+type (\w+ hook \w+) ', run('nft', 'list', 'ruleset').stdout)  # noqa: E731
    skiff.server('web', '-p', '8080:80')
    always = [('raw', 'filter hook prerouting'), ('prerouting', 'nat hook prerouting'), ('output', 'nat hook output'), ('forward', 'filter hook forward'),
              ('postrouting', 'nat hook postrouting')]
    assert hooks() == always
    forward = [x.strip() for x in run('nft', 'list', 'chain', 'inet', 'skiff_v1', 'forward').stdout.partition('policy accept;')[2].splitlines() if x.strip()]
    assert forward[:2] == ['jump skiff_user', 'ct state established,related accept']
    skiff.client('shut', '--egress', 'deny')
    policy = [('egress_forward', 'filter hook forward'), ('egress_input', 'filter hook input'), ('from_port', 'filter hook prerouting')]
    assert sorted(hooks()) == sorted(always + policy)
    assert skiff.ask_from('shut', 'tcp', skiff.ip('web'), 80, rc=None) == []
    run('nft', 'flush', 'ruleset')
    skiff('network', 'reload')
    assert sorted(hooks()) == sorted(always + policy)
    assert skiff.ask_from('shut', 'tcp', skiff.ip('web'), 80, rc=None) == []


def test_modes(skiff):
    assert skiff.run('--network', 'none', '--', 'ls', '/sys/class/net').stdout.split() == ['lo']
    skiff.server('a')
    assert skiff.run('--network', 'container:a', '--', PROBE, 'ask', 'tcp', '127.0.0.1', '80').stdout.split()[1] == 'a'
    assert 'conflicting options: port publishing and the container type network mode' in skiff.run('--network', 'container:a', '-p', '80', '--', 'true', rc=125).stderr
    skiff('stop', '-t', '0', 'a')
    assert 'non running container' in skiff.run('--network', 'container:a', '--', 'true', rc=125).stderr


def test_a_network_namespace_by_path(skiff, outside):
    """podman's ns:PATH: the namespace is somebody else's, with its addresses; hosts and resolv.conf are the host's."""
    path = f'/proc/{outside.process.pid}/ns/net'
    skiff.client('c', '--network', f'ns:{path}')
    assert f'inet {outside.far}/24' in skiff.out('exec', 'c', 'ip', 'addr', 'show', 'eth0')
    assert skiff.out('exec', 'c', 'cat', '/etc/resolv.conf') == open('/etc/resolv.conf').read()
    assert skiff.inspect('c')['HostConfig']['NetworkMode'] == f'ns:{path}'
    skiff('restart', '-t', '0', 'c')
    assert f'inet {outside.far}/24' in skiff.out('exec', 'c', 'ip', 'addr', 'show', 'eth0')
    skiff('rm', '-f', 'c')
    assert f'inet {outside.far}/24' in outside('ip', 'addr').stdout
    assert 'is no network namespace' in skiff.run('--network', 'ns:/etc/passwd', '--', 'true', rc=125).stderr
    assert 'No such file' in skiff.run('--network', 'ns:/nowhere', '--', 'true', rc=125).stderr
    assert 'port publishing and the network mode' in skiff.run('--network', f'ns:{path}', '-p', '80', '--', 'true', rc=125).stderr


def test_files_of_a_shared_network(skiff):
    """--network container: has the other one's hosts and resolv.conf, so its names."""
    skiff('network', 'create', 'n')
    skiff.server('a', '--network', 'n', '--add-host', 'db:10.1.2.3')
    skiff.client('b', '--network', 'container:a')
    for f in ('hosts', 'resolv.conf'):
        assert skiff.out('exec', 'b', 'cat', f'/etc/{f}') == skiff.out('exec', 'a', 'cat', f'/etc/{f}')
    assert '10.1.2.3' in skiff.out('exec', 'b', 'cat', '/etc/hosts')


def test_ports_of_the_host_network(skiff):
    p = skiff.run('--network', 'host', '-p', '8080:80', '--', 'true')
    assert 'Published ports are discarded when using host network mode' in p.stderr
    assert 'discarded' not in skiff.run('--network', 'host', '--', 'true').stderr


def test_host_files(skiff):
    cid = skiff.client('c', '--add-host', 'db:10.1.2.3', '--add-host', 'me=host-gateway', '--dns', '192.0.2.53', '--dns-search', 'example.org', '--dns-option',
                       'ndots:3')
    gateway = skiff.inspect('c')['NetworkSettings']['Networks']['bridge']['Gateway']
    hosts = skiff.out('exec', 'c', 'cat', '/etc/hosts')
    for line in ('127.0.0.1\tlocalhost', '10.1.2.3\tdb', f'{gateway}\tme', f'{skiff.ip("c")}\t{cid[:12]}'):
        assert line in hosts.splitlines()
    assert skiff.out('exec', 'c', 'cat', '/etc/resolv.conf').splitlines() == ['nameserver 192.0.2.53', 'search example.org', 'options ndots:3']
    assert skiff.out('exec', 'c', 'cat', '/etc/hostname').strip() == cid[:12]


def test_restart_keeps_working(skiff):
    skiff.server('web', '-p', '8080:80')
    skiff('restart', '-t', '0', 'web')
    assert wait_until(lambda: run(skiff.probe, 'ask', 'tcp', '127.0.0.1', '8080', rc=None).stdout.split()[1:] == ['web'])
    skiff('stop', '-t', '0', 'web')
    skiff('start', 'web')
    assert wait_until(lambda: run(skiff.probe, 'ask', 'tcp', '127.0.0.1', '8080', rc=None).stdout.split()[1:] == ['web'])
    skiff('stop', '-t', '0', 'web')
    assert wait_until(lambda: skiff.leases() == [] and skiff.dnat() == '')


def test_last_link_still_there(skiff):
    """The kernel takes a namespace down late, here not at all: the next start finds the link of the last run and replaces it."""
    skiff.server('web', '-p', '8080:80')
    netns = os.open(f'/proc/{skiff.inspect("web")["State"]["Pid"]}/ns/net', os.O_RDONLY)
    try:
        links = [x for x in skiff.links() if x.startswith('veth')]
        skiff('stop', '-t', '0', 'web')
        assert [x for x in skiff.links() if x.startswith('veth')] == links
        skiff('start', 'web')
        assert wait_until(lambda: run(skiff.probe, 'ask', 'tcp', '127.0.0.1', '8080', rc=None).stdout.split()[1:] == ['web'])
        assert [x for x in skiff.links() if x.startswith('veth')] == links
    finally:
        os.close(netns)


def test_stop_and_start_in_a_loop(skiff):
    skiff('create', '--name', 'c', 'netimage', 'true')
    for _ in range(20 if PATIENCE == 1 else 6):
        skiff('start', '-a', 'c')


def test_killed_engine_leaves_nothing(skiff):
    """The engine is killed at each system call of its network step in turn: the check explains and undoes what is there."""
    skiff.run('--', 'true')
    for point in (1, 3, 6, 10, 15, 21, 28, 40)[::1 if PATIENCE == 1 else 3]:
        p = subprocess.run(['strace', '-f', '-o', '/dev/null', '-e', 'trace=symlinkat,sendto,renameat,unlinkat',
                            '-e', f'inject=symlinkat,sendto,renameat:signal=KILL:when={point}', *skiff.argv('run', '--rm', '-p', '8080:80', 'netimage', 'true')],
                           capture_output=True, text=True, env=skiff.env, timeout=60 * PATIENCE)
        if p.returncode == 0:
            break
        assert wait_until(lambda: 'orderly' in skiff('system', 'check', '--repair', rc=None).stdout or skiff('system', 'check', rc=None).returncode == 0, 10)
        assert wait_until(lambda: skiff.leases() == [], 5), (point, skiff.leases())
    assert skiff.leases() == [] and skiff.dnat() == ''


def test_killed_monitor(skiff):
    skiff.server('web', '--rm', '-p', '8080:80')
    os.kill(skiff.monitor_pid('web'), signal.SIGKILL)
    assert wait_until(lambda: skiff('system', 'check', '--repair', rc=None) and skiff.leases() == [] and skiff.dnat() == '', 10)


def test_many_at_once(skiff):
    """64 starts on one bridge: each finds its address in /etc/hosts with its first instruction."""
    n = int(os.environ.get('SKIFF_NET_PARALLEL', '64'))
    ps = [skiff.popen('run', '--rm', 'netimage', 'hostname', '-i', text=True) for _ in range(n)]
    out = [p.communicate(timeout=120 * PATIENCE) for p in ps]
    assert [(p.returncode, o) for p, o in zip(ps, out) if p.returncode] == []
    assert [o for o, _ in out if not re.fullmatch(r'172\.17(\.\d+){2}\n', o)] == []
    assert json.loads(skiff.out('network', 'inspect', 'bridge'))[0]['Containers'] == {}


def has_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


@pytest.mark.smoke
@pytest.mark.skipif(not has_sctp(), reason='this kernel has no SCTP')
def test_sctp(skiff, outside):
    """Published like the others: from outside with the client's address, on the loopback, by IPv6, and back through the host from the own network."""
    skiff.server('s', '-p', '3868:3868/sctp', proto='sctp', port=3868)
    skiff.client('c')
    assert '3868/sctp' in skiff.inspect('s')['NetworkSettings']['Ports'] and '0.0.0.0:3868->3868/sctp' in skiff.out('ps')
    assert skiff.ask('sctp', skiff.ip('s'), 3868)[1] == 's'
    assert outside(skiff.probe, 'ask', 'sctp', outside.near, 3868).stdout.split() == [outside.far, 's']
    assert outside(skiff.probe, 'ask', 'sctp', outside.near6, 3868).stdout.split() == [outside.far6, 's']
    gateway = skiff.inspect('s')['NetworkSettings']['Networks']['bridge']['Gateway']
    assert skiff.ask_from('c', 'sctp', gateway, 3868)[1] == 's'
    assert 'port is already allocated' in skiff.run('-p', '3868:3868/sctp', '--', 'true', rc=125).stderr
    skiff.run('-p', '3868:3868', '--', 'true')
