"""Egress policy: rules and sets of one container, learned names, counters; with real traffic."""
import json

import netns
import pytest

NET = 'n' * 12
UP = '127.0.0.53'


@pytest.fixture
def one(names):
    """A container behind a veth, and an outside with several addresses, on a host that forwards."""
    h, c, out = names.host, names.host.container(), names.host.container()
    h.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding')
    for name, k, net in (('c', c, 1), ('out', out, 2)):
        h.run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', str(k.pid))
        h.run('ip', 'link', 'set', name, 'up')
        for a in (f'10.{net}.0.1/24', f'fd0{net}::1/64'):
            h.run('ip', 'addr', 'add', a, 'dev', name, *(['nodad'] if ':' in a else []))
            a = a.replace('1/', '2/')
            k.run('ip', 'addr', 'add', a, 'dev', 'eth0', *(['nodad'] if ':' in a else []))
        k.run('ip', 'link', 'set', 'eth0', 'up')
        k.run('ip', 'route', 'add', 'default', 'via', f'10.{net}.0.1')
        k.run('ip', '-6', 'route', 'add', 'default', 'via', f'fd0{net}::1')
    out.run('ip', 'addr', 'add', '10.2.0.3/24', 'dev', 'eth0')
    for port in (80, 443):
        for family in ('TCP4', 'TCP6'):
            h.serve('nsenter', '-t', str(out.pid), '-n', '--', 'socat', f'{family}-LISTEN:{port},fork,reuseaddr' + (',ipv6only=1' if family == 'TCP6' else ''),
                    'SYSTEM:echo hello')
    assert netns.wait_until(lambda: out.run('ss', '-Hltn').stdout.count('LISTEN') == 4)
    names.ctl('egress-load')
    names.out = out
    return c


def reaches(c, address, port=80):
    a = f'[{address}]' if ':' in address else address
    r = c.run('socat', f'-t{3 * netns.PATIENCE}', f'-T{3 * netns.PATIENCE}', '-', f'TCP:{a}:{port},connect-timeout={3 * netns.PATIENCE}', check=False)
    assert r.returncode == 0 or 'timed out' not in r.stderr, 'a refusal comes at once'
    return r.stdout == 'hello\n'


def deny(names, c, *words):
    names.ctl('egress-add', c.id, '10.1.0.2,fd01::2', *words)


def denied(names, c):
    return int(names.ctl('egress-denied', c.id).stdout.split()[0])


def test_allow_is_the_default(names, one):
    assert reaches(one, '10.2.0.2') and reaches(one, 'fd02::2')
    r = names.ctl('egress-denied', one.id, check=False)
    assert r.returncode == 1 and 'has no egress policy' in r.stderr


def test_deny(names, one):
    deny(names, one)
    assert not reaches(one, '10.2.0.2') and not reaches(one, 'fd02::2')
    before = denied(names, one)
    assert 2 <= before <= 4, 'a packet each, or one more: a refused connection is not tried for long'
    assert one.run('busybox', 'ping', '-c1', '-W3', '10.2.0.2', check=False).returncode != 0
    assert one.run('busybox', 'ping', '-6', '-c1', '-W3', 'fd02::2', check=False).returncode != 0
    assert denied(names, one) == before + 2
    # the host itself
    names.host.serve('socat', 'TCP4-LISTEN:80,fork,reuseaddr', 'SYSTEM:echo hello')
    assert netns.wait_until(lambda: ':80 ' in names.host.run('ss', '-Hltn').stdout)
    assert not reaches(one, '10.1.0.1') and not reaches(one, '10.2.0.1')
    # others may still begin a connection with it
    names.host.serve('nsenter', '-t', str(one.pid), '-n', '--', 'socat', 'TCP4-LISTEN:80,fork,reuseaddr', 'SYSTEM:echo hello')
    assert netns.wait_until(lambda: ':80 ' in one.run('ss', '-Hltn').stdout)
    assert reaches(names.out, '10.1.0.2')


def test_cidr_and_port(names, one):
    deny(names, one, '10.2.0.3', 'fd02::/16', '10.2.0.2:443')
    assert reaches(one, '10.2.0.3') and reaches(one, '10.2.0.3', 443) and reaches(one, 'fd02::2')
    assert reaches(one, '10.2.0.2', 443) and not reaches(one, '10.2.0.2', 80)
    assert one.run('busybox', 'ping', '-c1', '-W3', '10.2.0.3', check=False).returncode == 0, 'without a port: every protocol'
    assert one.run('busybox', 'ping', '-c1', '-W3', '10.2.0.2', check=False).returncode != 0
    deny(names, one, '10.2.0.2', '10.2.0.0/24:80', '10.0.0.0/8:443')  # overlaps; replaces
    assert reaches(one, '10.2.0.2') and reaches(one, '10.2.0.3', 80) and reaches(one, '10.2.0.3', 443) and not reaches(one, 'fd02::2')


def test_remove(names, one):
    deny(names, one)
    names.ctl('egress-remove', one.id, '10.1.0.2,fd01::2')
    assert reaches(one, '10.2.0.2') and reaches(one, 'fd02::2')
    names.ctl('egress-remove', one.id, '10.1.0.2,fd01::2')
    assert one.id[:16] not in names.host.run('nft', 'list', 'ruleset').stdout
    deny(names, one)
    names.host.run('nft', 'flush', 'ruleset')
    names.ctl('egress-remove', one.id, '10.1.0.2,fd01::2')
    names.ctl('egress-load')
    deny(names, one)
    assert not reaches(one, '10.2.0.2')


def learned(names, c):
    """The container's learned addresses."""
    found = []
    for s in json.loads(names.host.run('nft', '-j', 'list', 'table', 'inet', 'skiff_v1').stdout)['nftables']:
        s = s.get('set', {})
        if s.get('name', '').endswith(c.id[:16]):
            found += [(e['elem']['val']['concat'][0], e['elem']['val']['concat'][1], e['elem']['timeout']) for e in s.get('elem', [])]
    return sorted(found)


def test_names(names, one):
    names.host.dnsmasq(UP, '--address=/up.example/10.2.0.3', '--address=/up.example/fd02::2', '--address=/other.example/10.2.0.2',
                       '--cname=www.example,sub.up.example', '--host-record=sub.up.example,10.2.0.2,300', '--max-ttl=100')
    names.host.conf.write_text(f'nameserver {UP}\n')
    words = ('up.example:80', 'www.example:443')
    deny(names, one, *words)
    names.join(one, f'network={NET}:blue', *(f'egress={w}' for w in words))
    assert not reaches(one, '10.2.0.3'), 'nobody has asked yet'
    assert one.dig('UP.example') == ['10.2.0.3'] and one.dig('up.example', 'AAAA') == ['fd02::2']
    assert reaches(one, '10.2.0.3') and reaches(one, 'fd02::2') and not reaches(one, '10.2.0.3', 443)
    assert one.dig('other.example') == ['10.2.0.2'] and not reaches(one, '10.2.0.2'), 'not allowed, only known'
    assert '10.2.0.2' in one.dig('www.example', '+tcp') and reaches(one, '10.2.0.2', 443), 'the end of a CNAME'
    assert [(a, p) for a, p, _ in learned(names, one)] == [('10.2.0.2', 443), ('10.2.0.3', 80), ('fd02::2', 80)]
    assert all(30 <= t <= 300 for _, _, t in learned(names, one))
    assert one.dig('up.example') == ['10.2.0.3'], 'again'
    assert len(learned(names, one)) == 3 and names.log() == ''


def test_names_of_containers_and_below_a_domain(names, one):
    names.host.dnsmasq(UP, '--address=/up.example/10.2.0.3')
    names.host.conf.write_text(f'nameserver {UP}\n')
    names.ctl('names-add', NET, 'd' * 64, 'db', '10.2.0.2')
    words = ('db', '*.up.example:80')
    deny(names, one, *words)
    names.join(one, f'network={NET}:blue', *(f'egress={w}' for w in words))
    assert one.dig('db') == ['10.2.0.2'] and reaches(one, '10.2.0.2') and reaches(one, '10.2.0.2', 443)
    assert one.dig('up.example') == ['10.2.0.3'] and not reaches(one, '10.2.0.3')
    assert one.dig('a.up.example') == ['10.2.0.3'] and reaches(one, '10.2.0.3')


def test_bad_words(names, one):
    for word in ('10.0.0.0/33', 'a b', '*', '10.0.0.1:0', '10.0.0.1:65536', '[fd00::1', 'a..b', '256.1.1.1', 'x/24'):
        r = names.ctl('egress-add', one.id, '10.1.0.2', word, check=False)
        assert (word, r.returncode) == (word, 1) and f"egress rule '{word}'" in r.stderr
    assert reaches(one, '10.2.0.2')
