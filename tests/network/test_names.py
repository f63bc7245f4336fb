"""Names and egress policy through the engine: networks, connect and disconnect, a resolver that is killed."""
import json
import os
import shutil
import signal
import subprocess

import pytest
from bridgelib import run, wait_until


def lookup(skiff, container, name, server='127.0.0.11'):
    """Addresses that busybox's nslookup finds, sorted."""
    out = skiff('exec', container, 'nslookup', name, server, rc=None).stdout
    answers = out.partition('\n\n')[2]
    return sorted({line.split(': ', 1)[1].strip() for line in answers.splitlines() if line.startswith('Address')})


def resolver(skiff):
    """Its pid; 0: none."""
    for p in os.listdir('/proc'):
        try:
            argv = open(f'/proc/{p}/cmdline', encoding='utf-8').read().split('\0') if p.isdigit() else []
        except OSError:
            continue
        if argv and argv[0] == 'skiff-resolver' and argv[1] == str(skiff.run_root):
            return int(p)
    return 0


def test_names_of_a_user_network(skiff):
    skiff('network', 'create', '--ipv6', 'blue')
    skiff.server('web', '--network', 'blue', '--network-alias', 'svc')
    skiff.server('db', '--network', 'blue', '--network-alias', 'svc')
    skiff.client('c', '--network', 'blue')
    for name in ('web', 'WEB', 'web.blue', skiff.inspect('web')['Id'][:12]):
        assert lookup(skiff, 'c', name) == sorted([skiff.ip('web'), skiff.ip('web', v6=True)]), name
    assert lookup(skiff, 'c', 'svc') == sorted(skiff.ip(n, v6=v6) for n in ('web', 'db') for v6 in (False, True))
    assert lookup(skiff, 'c', 'nothere') == []
    assert 'name = web.blue' in skiff('exec', 'c', 'nslookup', skiff.ip('web'), '127.0.0.11').stdout
    assert skiff.ask_from('c', 'tcp', skiff.ip('web'), 80)[-1] == 'web'
    conf = skiff('exec', 'c', 'cat', '/etc/resolv.conf').stdout
    assert conf.startswith('nameserver 127.0.0.11\n') and 'ndots:0' in conf
    pid = resolver(skiff)
    assert pid
    skiff('rm', '-f', 'web', 'db', 'c')
    assert wait_until(lambda: resolver(skiff) == 0, 10)


def test_servers_of_a_network(skiff):
    """--dns of a network counts for containers that name none."""
    skiff('network', 'create', '--dns', '127.0.0.54', 'blue')
    servers = [subprocess.Popen(['dnsmasq', '-k', '-C', '/dev/null', '-u', 'root', '-R', '-h', '--pid-file=', '--bind-interfaces', f'--listen-address={a}',
                                 f'--address=/up.example/{answer}']) for a, answer in (('127.0.0.54', '192.0.2.9'), ('127.0.0.55', '192.0.2.8'))]
    try:
        skiff.client('c', '--network', 'blue')
        skiff.client('own', '--network', 'blue', '--dns', '127.0.0.55')
        assert wait_until(lambda: lookup(skiff, 'c', 'up.example') == ['192.0.2.9'])
        assert wait_until(lambda: lookup(skiff, 'own', 'up.example') == ['192.0.2.8'])
    finally:
        for s in servers:
            s.kill()
            s.wait()


@pytest.fixture
def pod(skiff):
    """A pod on network blue, which is the first there that needs a resolver."""
    skiff('network', 'create', 'blue')
    skiff('pod', 'create', '--name', 'p', '--network', 'blue')
    skiff.server('web', '--pod', 'p')
    skiff.client('c', '--network', 'blue')
    yield 'p'
    skiff('pod', 'rm', '-f', 'p', rc=None)


def test_the_name_of_a_pod(skiff, pod):
    """On a user network a pod is found as a container is, by name and address; its members ask as one."""
    address = skiff.out('exec', 'web', 'ip', '-4', '-o', 'addr', 'show', 'eth0').split()[3].partition('/')[0]
    assert lookup(skiff, 'c', 'p') == [address] == lookup(skiff, 'c', 'p.blue') and skiff.ask_from('c', 'tcp', address, 80)[1] == 'web'
    assert 'name = p.blue' in skiff('exec', 'c', 'nslookup', address, '127.0.0.11').stdout
    assert lookup(skiff, 'web', 'c') == [skiff.ip('c')]
    skiff('pod', 'rm', '-f', 'p')
    assert lookup(skiff, 'c', 'p') == []


def test_a_resolver_that_is_new_takes_a_pod_over(skiff, pod):
    """The holder of a pod is in the host's network namespace: the resolver must find the pod's, and leave the host's sockets and firewall alone."""
    sockets = lambda: [x for x in run('ss', '-Hlnut').stdout.splitlines() if '127.0.0.11' in x]  # noqa: E731
    before = skiff.table()
    assert sockets() == [] and 'dnat4_any' in before
    pid = resolver(skiff)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: resolver(skiff) == 0)
    skiff.client('d', '--network', 'blue')
    assert resolver(skiff) not in (0, pid)
    assert lookup(skiff, 'web', 'd') == [skiff.ip('d')] and lookup(skiff, 'web', 'c') == [skiff.ip('c')]
    assert sockets() == [] and skiff.table() == before


def test_search_domains(skiff, tmp_path):
    """What a program in the container means by a short name: the host's search list, or --dns-search instead of it."""
    conf = tmp_path / 'conf'
    conf.write_text('nameserver 127.0.0.54\nsearch host.test\n')
    server = subprocess.Popen(['dnsmasq', '-k', '-C', '/dev/null', '-u', 'root', '-R', '-h', '--pid-file=', '--bind-interfaces', '--listen-address=127.0.0.54',
                               '--address=/printer.host.test/192.0.2.1', '--address=/printer.own.test/192.0.2.2', '--address=/host.test/', '--address=/own.test/'])
    try:
        assert wait_until(lambda: '127.0.0.54' in run('ss', '-Hlun').stdout)
        skiff('network', 'create', 'blue')
        script = f'mount --bind {conf} {os.path.realpath("/etc/resolv.conf")} && exec "$@"'
        for flags, want in (([], '192.0.2.1'), (['--dns-search', 'own.test'], '192.0.2.2'), (['--dns-search', '.'], None)):
            out = run('unshare', '-m', 'sh', '-c', script, '-', *skiff.argv('run', '--rm', '--network', 'blue', *flags, 'netimage', 'ping', '-c', '1', '-W', '1', 'printer'),
                      env=skiff.env, rc=None)
            assert (f'PING printer ({want})' in out.stdout) if want else 'bad address' in out.stderr, (flags, out.stdout, out.stderr)
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize('proto', ['udp', 'tcp'])
def test_a_workload_on_port_53_of_all_addresses(skiff, outside, proto):
    """A DNS server in a container, published: it gets what comes for it, and names are still answered inside it."""
    skiff('network', 'create', 'blue')
    skiff.server('dns', '--network', 'blue', '-p', f'53:53/{proto}', proto=proto, port=53)
    skiff.client('c', '--network', 'blue')
    assert outside(skiff.probe, 'ask', proto, outside.near, 53).stdout.split() == [outside.far, 'dns']
    assert skiff.ask_from('c', proto, skiff.ip('dns'), 53)[1] == 'dns' and skiff.ask_from('dns', proto, '127.0.0.1', 53)[1] == 'dns'
    assert lookup(skiff, 'dns', 'c') == [skiff.ip('c')] and lookup(skiff, 'c', 'dns') == [skiff.ip('dns')]


def test_connect_disconnect_restart(skiff):
    for n in ('blue', 'red'):
        skiff('network', 'create', n)
    skiff.client('a', '--network', 'blue')
    skiff.client('b', '--network', 'red')
    assert lookup(skiff, 'a', 'b') == [] and lookup(skiff, 'b', 'a') == []
    skiff('network', 'connect', '--alias', 'bee', 'blue', 'b')
    assert lookup(skiff, 'a', 'b') == [skiff.ip('b', 'blue')] == lookup(skiff, 'a', 'bee')
    assert lookup(skiff, 'b', 'a') == [skiff.ip('a')]
    skiff('network', 'disconnect', 'blue', 'b')
    assert lookup(skiff, 'a', 'b') == [] and lookup(skiff, 'b', 'a') == []
    skiff('network', 'connect', 'blue', 'b')
    skiff('restart', '-t', '0', 'b')
    assert lookup(skiff, 'a', 'b') == [skiff.ip('b', 'blue')] and lookup(skiff, 'b', 'a') == [skiff.ip('a')]
    skiff('stop', '-t', '0', 'b')
    assert lookup(skiff, 'a', 'b') == []


def test_files_after_connect_and_disconnect(skiff):
    """hosts has the addresses of this moment, resolv.conf the resolver while there is a network with names, hostname stays."""
    skiff('network', 'create', '--subnet', '10.5.0.0/24', 'blue')
    skiff.client('c', '--hostname', 'kiel', '--add-host', 'db:192.0.2.7')
    cat = lambda f: skiff.out('exec', 'c', 'cat', f'/etc/{f}').splitlines()  # noqa: E731
    own = skiff.ip('c', 'bridge')
    assert f'{own}\tkiel' in cat('hosts') and '192.0.2.7\tdb' in cat('hosts')
    skiff('network', 'connect', '--ip', '10.5.0.9', 'blue', 'c')
    assert f'{own}\tkiel' in cat('hosts') and '10.5.0.9\tkiel' in cat('hosts') and '192.0.2.7\tdb' in cat('hosts')
    assert cat('resolv.conf')[0] == 'nameserver 127.0.0.11' and cat('hostname') == ['kiel']
    skiff('network', 'disconnect', 'bridge', 'c')
    assert not [x for x in cat('hosts') if x.startswith(own)] and '10.5.0.9\tkiel' in cat('hosts') and '192.0.2.7\tdb' in cat('hosts')
    skiff('network', 'disconnect', 'blue', 'c')
    assert not [x for x in cat('hosts') if 'kiel' in x and not x.startswith('127.')] and cat('hostname') == ['kiel']
    skiff('network', 'connect', 'bridge', 'c')
    assert [x for x in cat('hosts') if x.endswith('\tkiel') and x.startswith(skiff.ip('c', 'bridge'))]


def test_a_host_with_a_stub_only(skiff, tmp_path):
    """127.0.0.53 of systemd-resolved is the host's own loopback: a container of the default network asks it through our resolver."""
    conf = tmp_path / 'stub-resolv.conf'
    conf.write_text('nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.test\n')
    server = subprocess.Popen(['dnsmasq', '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file=', '--bind-interfaces', '--listen-address=127.0.0.53',
                               '--address=/x.test/192.0.2.53'], stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: '127.0.0.53' in run('ss', '-Hlun').stdout)
        script = f'mount --bind {conf} {os.path.realpath("/etc/resolv.conf")} && exec "$@"'
        out = run('unshare', '-m', 'sh', '-c', script, '-', *skiff.argv('run', '--rm', 'netimage', 'sh', '-c', 'cat /etc/resolv.conf; nslookup x.test; true'), env=skiff.env).stdout
        assert 'nameserver 127.0.0.11\n' in out and 'search example.test\n' in out and '192.0.2.53' in out, out
    finally:
        server.kill()
        server.wait()


def test_a_host_with_a_stub_and_its_servers(skiff, outside, tmp_path):
    """systemd-resolved writes the servers behind 127.0.0.53 to a file of its own: a container of the default network gets those, and its search list."""
    (tmp_path / 'stub').write_text('nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch stub.test\n')
    (tmp_path / 'real').write_text(f'nameserver {outside.far}\nsearch real.test\n')
    server = outside.popen('dnsmasq', '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file=', '--bind-interfaces', f'--listen-address={outside.far}',
                           '--address=/x.test/192.0.2.54')
    try:
        assert wait_until(lambda: f'{outside.far}:53' in outside('ss', '-Hlun').stdout)
        over = '/run/systemd' if os.path.isdir('/run/systemd') else '/run'
        script = (f'mount --bind {tmp_path}/stub {os.path.realpath("/etc/resolv.conf")} && mount -t tmpfs none {over} && mkdir -p /run/systemd/resolve && '
                  f'cp {tmp_path}/real /run/systemd/resolve/resolv.conf && exec "$@"')
        out = run('unshare', '-m', 'sh', '-c', script, '-', *skiff.argv('run', '--rm', 'netimage', 'sh', '-c', 'cat /etc/resolv.conf; nslookup x.test; true'), env=skiff.env).stdout
        assert [x for x in out.splitlines() if x.startswith('nameserver')] == [f'nameserver {outside.far}'], out
        assert 'search real.test\n' in out and 'stub.test' not in out and '192.0.2.54' in out, out
    finally:
        server.kill()
        server.wait()


def test_a_killed_resolver(skiff):
    skiff('network', 'create', 'blue')
    skiff.client('a', '--network', 'blue')
    pid = resolver(skiff)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: resolver(skiff) == 0)
    skiff.client('b', '--network', 'blue')
    assert resolver(skiff) not in (0, pid)
    assert lookup(skiff, 'a', 'b') == [skiff.ip('b')] and lookup(skiff, 'b', 'a') == [skiff.ip('a')]
    os.kill(resolver(skiff), signal.SIGKILL)
    assert wait_until(lambda: resolver(skiff) == 0)
    skiff('network', 'reload')
    assert lookup(skiff, 'a', 'b') == [skiff.ip('b')]


def test_a_resolver_ends_with_its_directory(skiff):
    """Somebody removes the run directory before the resolver has seen that nobody is left."""
    skiff('network', 'create', 'blue')
    skiff.client('a', '--network', 'blue')
    assert resolver(skiff)
    skiff('rm', '-f', 'a')
    shutil.rmtree(skiff.run_root)
    assert wait_until(lambda: resolver(skiff) == 0, 10)


@pytest.mark.parametrize('how', ['run', 'network'])
def test_egress(skiff, outside, how):
    """A run flag, or the default of a network."""
    allow = f'{outside.far}:80'
    flags = ['--egress', 'deny', '--egress-allow', allow]
    skiff('network', 'create', 'blue', *(flags if how == 'network' else []))
    servers = [outside.popen(skiff.probe, 'serve', 'tcp', port, 'out') for port in ('80', '81')]
    assert [p.stdout.readline() for p in servers] == ['ready\n'] * 2
    skiff.client('free', '--network', 'blue', '--egress', 'allow')
    skiff.client('c', '--network', 'blue', *(flags if how == 'run' else []))
    chain = skiff.inspect('c')['Id'][:16]
    assert f'e_{chain}' in skiff.table() and skiff.inspect('free')['Id'][:16] not in skiff.table()

    def reaches(name, port):
        return skiff.ask_from(name, 'tcp', outside.far, port, rc=None)[-1:] == ['out']
    assert reaches('free', 80) and reaches('free', 81) and reaches('c', 80) and not reaches('c', 81)
    members = json.loads(skiff('network', 'inspect', 'blue').stdout)[0]['Containers']
    assert [m['Name'] for m in members.values() if m.get('EgressDenied', {}).get('Packets')] == ['c'], 'what was refused is counted'
    subprocess.run(['nft', 'flush', 'ruleset'], check=True)
    skiff('network', 'reload')
    assert f'e_{chain}' in skiff.table() and reaches('c', 80) and not reaches('c', 81)
    for p in servers:
        p.kill()
        p.wait()
    skiff('rm', '-f', 'c', 'free')
    assert wait_until(lambda: chain not in skiff.table())


def test_egress_of_an_address_that_was_given_back(skiff):
    for n in ('blue', 'red'):
        skiff('network', 'create', n)
    skiff.client('c', '--network', 'blue', '--egress', 'deny')
    skiff('network', 'connect', 'red', 'c')
    address = skiff.ip('c', 'red')
    m = lambda: run('nft', 'list', 'map', 'inet', 'skiff_v1', 'egress4').stdout  # noqa: E731
    assert address in m()
    skiff('network', 'disconnect', 'red', 'c')
    assert address not in m() and skiff.ip('c', 'blue') in m()


def test_bad_egress(skiff):
    r = skiff('run', '--rm', '--egress', 'maybe', 'netimage', 'true', rc=125)
    assert 'expected allow or deny' in r.stderr
    r = skiff('run', '--rm', '--egress', 'deny', '--egress-allow', '10.0.0.0/99', 'netimage', 'true', rc=125)
    assert "egress rule '10.0.0.0/99'" in r.stderr
