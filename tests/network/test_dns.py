"""skiff-resolver: names of containers, forwarding, and its life."""
import os
import signal
import socket
import struct
import threading

import netns
import pytest

NET, OTHER = 'n' * 12, 'o' * 12
UP = '127.0.0.53'  # where systemd-resolved listens


@pytest.fixture
def two(names):
    """Two containers on one network that is called blue."""
    a, b = names.host.container(), names.host.container()
    names.add(NET, a, 'web,cache', '10.89.0.2,fd00::2')
    names.add(NET, b, 'db,cache', '10.89.0.3')
    for c in (a, b):
        names.join(c, f'network={NET}:blue')
    return a, b


def test_names_of_a_network(names, two):
    a, b = two
    for c in two:
        assert c.dig('db') == ['10.89.0.3']
        assert c.dig('DB.', 'A') == ['10.89.0.3']
        assert c.dig('db.Blue') == ['10.89.0.3'], 'a name with its network'
        assert c.dig('web', 'AAAA') == ['fd00::2']
        assert sorted(c.dig('cache')) == ['10.89.0.2', '10.89.0.3'], 'an alias of two containers'
        assert c.dig('-x', '10.89.0.2') == ['web.blue.']
        assert c.dig('-x', 'fd00::2') == ['web.blue.']
        assert c.dig('db', '+tcp') == ['10.89.0.3']
    assert a.status('db', 'AAAA')[0] == 'NOERROR' and a.dig('db', 'AAAA') == [], 'a name without an address of the family'
    assert a.status('db', 'MX')[0] == 'NOERROR'
    assert a.run('dig', '@127.0.0.11', '+short', '+notcp', '+edns=1', '+noednsneg', 'db').stdout == '', 'a later version of EDNS'
    assert a.status('db', '+edns=1', '+noednsneg')[0] == 'BADVERS'
    assert a.status('db', '+opcode=5')[0] == 'NOTIMP'


def test_shared_names_take_turns(two):
    assert {two[0].dig('cache')[0] for _ in range(8)} == {'10.89.0.2', '10.89.0.3'}


def test_files_are_all_that_changes(names, two):
    """Connect, disconnect and restart of others: nobody tells the resolver."""
    a, _ = two
    assert a.status('new')[0] == 'SERVFAIL', 'nobody to ask'
    names.ctl('names-add', NET, 'c' * 64, 'new', '10.89.0.9')
    assert a.dig('new') == ['10.89.0.9']
    names.ctl('names-add', NET, 'c' * 64, 'new', '10.89.0.10')
    assert a.dig('new') == ['10.89.0.10'] and a.status('-x', '10.89.0.9')[0] == 'SERVFAIL'
    names.ctl('names-remove', NET, 'c' * 64)
    assert a.status('new')[0] == 'SERVFAIL'


def test_networks_do_not_see_each_other(names, two):
    a, _ = two
    c = names.host.container()
    names.add(OTHER, c, 'lonely', '10.90.0.2')
    names.join(c, f'network={OTHER}:red')
    assert a.status('lonely')[0] == 'SERVFAIL' and c.status('db')[0] == 'SERVFAIL'
    names.join(c, f'network={OTHER}:red', f'network={NET}:blue')  # connect
    assert c.dig('db') == ['10.89.0.3'] and c.dig('lonely') == ['10.90.0.2']
    names.join(c, f'network={OTHER}:red')
    assert c.status('db')[0] == 'SERVFAIL'
    assert names.ping()[1] == 3


def test_large_answers(names, two):
    """More addresses than a datagram holds: cut with TC, whole by TCP, whole with a large EDNS size."""
    a, _ = two
    for i in range(60):
        names.ctl('names-add', NET, f'{i:016x}' + 48 * '0', 'many', f'10.88.1.{i}')
    status, flags = a.status('many', '+noedns', '+ignore')
    assert status == 'NOERROR' and 'tc' in flags
    assert len(a.dig('many', '+noedns', '+ignore')) == 30
    assert len(a.dig('many')) == 60
    assert len(a.dig('many', '+tcp')) == 60
    assert len(a.dig('many', '+bufsize=4096', '+ignore')) == 60


def test_a_workload_may_own_port_53(names, two):
    a, b = two
    p = a.process and names.host.serve('nsenter', '-t', str(a.pid), '-n', '--', 'dnsmasq', '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts',
                                       '--pid-file=', '--bind-interfaces', '--listen-address=127.0.0.1', '--address=/own.example/192.0.2.9')
    assert netns.wait_until(lambda: '127.0.0.1:53' in a.run('ss', '-Hlun').stdout)
    assert a.run('dig', '@127.0.0.1', '+short', 'own.example').stdout == '192.0.2.9\n'
    assert a.dig('db') == ['10.89.0.3']
    assert ':53 ' not in a.run('ss', '-Hln', 'src', '127.0.0.11').stdout
    p.kill()


# --- forwarding ---

def test_forwards_to_the_hosts_loopback(names, two):
    a, _ = two
    names.host.dnsmasq(UP, '--address=/up.example/192.0.2.1', '--txt-record=big.example,' + ','.join('x' * 250 for _ in range(8)))
    names.host.conf.write_text(f'# a comment\nsearch example\nnameserver {UP}\n')
    assert a.dig('up.example') == ['192.0.2.1']
    assert a.dig('up.example', '+tcp') == ['192.0.2.1']
    assert 'ra' in a.status('up.example')[1]
    assert a.status('nothere.invalid')[0] == 'REFUSED', 'as the server says'
    assert a.dig('db') == ['10.89.0.3'] and 'db' not in names.host.asked(UP), 'own names are not told to the outside'
    status, flags = a.status('big.example', 'TXT', '+ignore', '+bufsize=1232')
    assert 'tc' in flags
    assert len(a.dig('big.example', 'TXT')[0]) > 2000, 'by TCP after TC'


def test_the_hosts_resolvers_change(names, two):
    a, _ = two
    names.host.dnsmasq(UP, '--address=/up.example/192.0.2.1')
    names.host.dnsmasq('127.0.0.54', '--address=/up.example/192.0.2.2')
    names.host.conf.write_text(f'nameserver {UP}\n')
    assert a.dig('up.example') == ['192.0.2.1']
    names.host.conf.write_text('nameserver 127.0.0.54\n')
    assert a.dig('up.example') == ['192.0.2.2']
    names.host.conf.write_text('')
    assert a.status('up.example')[0] == 'SERVFAIL'


def test_the_hosts_file_is_another_one(names, two):
    """Replaced by rename, a symlink that is pointed elsewhere (systemd-resolved, resolvconf), a target that is rewritten, no file at all."""
    a, _ = two
    for n in (1, 2):
        names.host.dnsmasq(f'127.0.0.{60 + n}', f'--address=/up.example/192.0.2.{n}')
    etc = names.host.where / 'etc'
    etc.mkdir()
    (etc / 'resolv.conf').write_text('nameserver 127.0.0.61\n')
    os.kill(names.ping()[0], signal.SIGKILL)  # the next one is started where /etc is that directory
    names.host.run('umount', os.path.realpath('/etc/resolv.conf'))
    names.host.run('mount', '--bind', etc, '/etc')
    names.ctl('restart')
    assert a.dig('up.example') == ['192.0.2.1']
    (etc / 'new').write_text('nameserver 127.0.0.62\n')
    os.rename(etc / 'new', etc / 'resolv.conf')
    assert a.dig('up.example') == ['192.0.2.2']
    (etc / 'stub').write_text('nameserver 127.0.0.61\n')
    (etc / 'link').symlink_to('stub')
    os.rename(etc / 'link', etc / 'resolv.conf')
    assert a.dig('up.example') == ['192.0.2.1']
    (etc / 'stub').write_text('# rewritten in place\nnameserver 127.0.0.62\n')
    assert a.dig('up.example') == ['192.0.2.2']
    (etc / 'stub').unlink()
    assert a.status('up.example')[0] == 'SERVFAIL'
    (etc / 'stub').write_text('nameserver 127.0.0.61\n')
    assert a.dig('up.example') == ['192.0.2.1']


def test_an_ipv6_server(names, two):
    """By its address, and by a link-local one with its interface."""
    a, _ = two
    names.host.run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
    for link in ('up0', 'up1'):
        names.host.run('ip', 'link', 'set', link, 'up')
    names.host.run('ip', 'addr', 'add', 'fe80::53/64', 'dev', 'up0', 'nodad')
    p = names.host.serve('dnsmasq', '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file=', '--bind-interfaces', '--interface=lo',
                         '--interface=up0', '--address=/up.example/192.0.2.6', '--address=/up.example/2001:db8::6')
    assert netns.wait_until(lambda: names.host.run('ss', '-Hlun').stdout.count(':53 ') >= 2 or p.poll() is not None) and p.poll() is None
    for server in ('::1', 'fe80::53%up0'):
        names.host.conf.write_text(f'nameserver {server}\n')
        assert a.dig('up.example') == ['192.0.2.6'], server
        assert a.dig('up.example', 'AAAA', '+tcp') == ['2001:db8::6'], server


def test_own_servers(names, two):
    a, b = two
    names.host.dnsmasq(UP, '--address=/up.example/192.0.2.1')
    names.host.dnsmasq('127.0.0.54', '--address=/up.example/192.0.2.2', port=5353)
    names.host.conf.write_text(f'nameserver {UP}\n')
    names.join(a, f'network={NET}:blue', 'server=127.0.0.54:5353')
    assert a.dig('up.example') == ['192.0.2.2'] and b.dig('up.example') == ['192.0.2.1']
    r = names.join(a, f'network={NET}:blue', 'server=nowhere', check=False)
    assert r.returncode == 1 and "'nowhere' is not the address of a DNS server" in r.stderr
    assert a.dig('up.example') == ['192.0.2.2'], 'what was refused changed nothing'


def test_the_next_server_answers(names, two):
    """Refused by the first (nothing listens), SERVFAIL by the second."""
    a, _ = two
    names.host.dnsmasq(UP, '--address=/up.example/192.0.2.1')
    names.join(a, f'network={NET}:blue', 'server=127.0.0.60', f'server={UP}')
    assert a.dig('up.example') == ['192.0.2.1']
    assert a.dig('up.example', '+tcp') == ['192.0.2.1']


def test_internal_networks_ask_nobody(names, two):
    a, _ = two
    names.host.dnsmasq(UP, '--address=/up.example/192.0.2.1')
    names.host.conf.write_text(f'nameserver {UP}\n')
    names.join(a, f'network={NET}:blue', 'internal')
    assert a.status('up.example')[0] == 'SERVFAIL' and a.dig('db') == ['10.89.0.3']
    assert names.host.asked(UP) == []


def test_single_labels(names, two):
    """As docker: forwarded, unless the user has set ndots."""
    a, _ = two
    names.host.dnsmasq(UP, '--address=/printer/192.0.2.1')
    names.host.conf.write_text(f'nameserver {UP}\n')
    assert a.dig('printer') == ['192.0.2.1']
    names.join(a, f'network={NET}:blue', 'ndots')
    assert a.status('printer')[0] == 'NOERROR' and a.dig('printer') == []


class Liar(threading.Thread):
    """An upstream server that answers what `reply` makes of a query; lives in the host's namespace by setns of its thread."""

    def __init__(self, host, address, reply):
        super().__init__(daemon=True)
        self.reply, self.seen = reply, []
        ready = threading.Event()
        self.host, self.address, self.ready = host, address, ready
        self.start()
        assert ready.wait(10)

    def run(self):
        import ctypes
        with open(f'/proc/{self.host.pid}/ns/net', encoding='ascii') as f:
            assert ctypes.CDLL(None).setns(f.fileno(), 0) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((self.address, 53))
            self.ready.set()
            while True:
                q, peer = s.recvfrom(4096)
                if q == b'end':
                    return
                self.seen.append((q, peer))
                for r in self.reply(q):
                    s.sendto(r, peer)

    def close(self):
        self.host.run('sh', '-c', f'printf end >/dev/udp/{self.address}/53 2>/dev/null || printf end | socat - UDP:{self.address}:53')
        self.join(10)


def answer(q, address, qid=None):
    return (qid or q[:2]) + b'\x81\x80\0\1\0\1\0\0\0\0' + q[12:q.index(b'\0', 12) + 5] + b'\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4' + socket.inet_aton(address)


def test_forged_answers_are_not_believed(names, two):
    a, _ = two
    other = b'\4evil\7example\0\0\1\0\1'
    liar = Liar(names.host, '127.0.0.60', lambda q: [
        answer(q, '192.0.2.66', bytes([q[0] ^ 1, q[1]])),                                             # another id
        q[:2] + b'\x81\x80\0\1\0\1\0\0\0\0' + other + b'\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\x42',  # another question
        b'', b'x', q[:12],
        answer(q, '192.0.2.1')])
    names.join(a, f'network={NET}:blue', 'server=127.0.0.60')
    assert [a.dig('up.example', '+noedns') for _ in range(5)] == [['192.0.2.1']] * 5
    assert len({peer[1] for _, peer in liar.seen}) > 1, 'source ports differ'
    assert len({q[:2] for q, _ in liar.seen}) > 1, 'ids differ'
    liar.close()


def test_a_silent_server_makes_room_for_the_next(names, two):
    a, _ = two
    names.host.dnsmasq(UP, '--address=/up.example/192.0.2.1')
    silent = Liar(names.host, '127.0.0.60', lambda q: [])
    names.join(a, f'network={NET}:blue', 'server=127.0.0.60', f'server={UP}')
    assert a.dig('up.example') == ['192.0.2.1']
    assert len(silent.seen) == 1
    silent.close()


def test_waiting_queries_are_bounded(names, two):
    """One container cannot take all the places: one query too many gets SERVFAIL at once, and others are served."""
    a, b = two
    silent = Liar(names.host, '127.0.0.60', lambda q: [])
    names.join(a, f'network={NET}:blue', 'server=127.0.0.60')
    code = ('import socket,struct\n'
            's=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n'
            's.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,1<<20)\n'
            'for i in range(130):\n'
            '  s.sendto(struct.pack(">HHHHHH",i,0x100,1,0,0,0)+b"\\1a\\1b\\0\\0\\1\\0\\1",("127.0.0.11",53))\n'
            's.settimeout(1)\n'
            'print([r[3]&15 for r in (s.recv(512) for _ in range(2))])\n')
    assert a.run('/usr/bin/python3', '-c', code).stdout == '[2, 2]\n'
    assert a.dig('db') == ['10.89.0.3'] and b.dig('web') == ['10.89.0.2']
    silent.close()


def test_tcp_clients(names, two):
    """Several questions on one connection, cut anywhere; too many connections; nonsense."""
    a, _ = two
    code = ('import socket,struct,time\n'
            'q=struct.pack(">HHHHHH",7,0x100,1,0,0,0)+b"\\2db\\0\\0\\1\\0\\1"\n'
            'm=struct.pack(">H",len(q))+q\n'
            's=socket.create_connection(("127.0.0.11",53),5)\n'
            's.setsockopt(socket.IPPROTO_TCP,socket.TCP_NODELAY,1)\n'
            's.sendall(m+m[:5]); s.sendall(m[5:]+m)\n'
            's.shutdown(socket.SHUT_WR)\n'
            'b=b""\n'
            'while True:\n'
            '  r=s.recv(4096)\n'
            '  if not r: break\n'
            '  b+=r\n'
            'n=struct.unpack(">H",b[:2])[0]\n'
            'print(len(b)//(n+2), b[2:4])\n'
            'many=[socket.create_connection(("127.0.0.11",53),5) for _ in range(17)]\n'
            'print(many[16].recv(10))\n')
    assert a.run('/usr/bin/python3', '-c', code).stdout == "3 b'\\x00\\x07'\nb''\n"
    assert a.dig('db', '+tcp') == ['10.89.0.3']


# --- its life ---

def test_ends_with_its_last_container(names, two):
    pid, n = names.ping()
    assert n == 2 and names.files() == sorted(c.id for c in two)
    two[0].end()
    assert netns.wait_until(lambda: names.ping() == (pid, 1)) and names.files() == [two[1].id]
    two[1].end()
    assert netns.wait_until(lambda: names.ping() == (0, 0))
    assert names.files() == [] and netns.wait_until(lambda: not netns.alive(pid))
    assert names.log() == ''


def test_leave(names, two):
    names.ctl('leave', two[0].id)
    names.ctl('leave', two[0].id)
    assert names.ping()[1] == 1 and names.files() == [two[1].id]
    assert two[0].run('dig', '@127.0.0.11', '+tries=1', '+timeout=1', 'db', check=False).returncode != 0
    assert two[1].dig('web') == ['10.89.0.2']


def test_a_killed_resolver_is_replaced_by_the_next_join(names, two):
    pid = names.ping()[0]
    os.kill(pid, signal.SIGKILL)
    assert netns.wait_until(lambda: names.ping() == (0, 0))
    c = names.host.container()
    names.join(c, f'network={NET}:blue')
    assert names.ping()[1] == 3
    for k in (*two, c):
        assert k.dig('db') == ['10.89.0.3'] and k.dig('db', '+tcp') == ['10.89.0.3']
    assert names.log() == ''


def test_a_killed_resolver_is_replaced_by_reload(names, two):
    os.kill(names.ping()[0], signal.SIGKILL)
    two[1].end()
    names.ctl('restart')
    assert names.ping()[1] == 1 and names.files() == [two[0].id]
    assert two[0].dig('web') == ['10.89.0.2']
    names.ctl('restart')
    assert names.ping()[1] == 1


def test_a_process_that_is_gone_cannot_join(names):
    c = names.host.container()
    c.end()
    r = names.join(c, f'network={NET}', check=False)
    assert r.returncode == 1 and names.files() == []


def test_the_same_container_in_its_next_life(names, two):
    a, _ = two
    again = names.host.container()
    again.id = a.id
    names.join(again, f'network={NET}:blue')
    assert again.dig('db') == ['10.89.0.3'] and names.ping()[1] == 2
    a.end()
    assert again.dig('db') == ['10.89.0.3']


def test_joins_side_by_side(names):
    """Sixteen at once, with no resolver there: one is started, all are served."""
    containers = [names.host.container() for _ in range(16)]
    for i, c in enumerate(containers):
        names.add(NET, c, f'c{i}', f'10.89.0.{i + 2}')
    threads = [threading.Thread(target=names.join, args=(c, f'network={NET}')) for c in containers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert names.ping()[1] == 16
    assert [c.dig('c0') for c in containers] == [['10.89.0.2']] * 16


def test_only_its_owner_may_speak_to_it(names, two):
    sock = names.host.root / 'resolver' / 'ctl.sock'
    assert sock.stat().st_mode & 0o777 == 0o600
    for p in (names.host.root, names.host.root / 'resolver'):
        p.chmod(0o755)
    for p in (names.host.where, *names.host.where.parents):
        if str(p).startswith('/tmp/'):
            p.chmod(p.stat().st_mode | 0o111)
    sock.chmod(0o666)
    code = f'import socket;s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET);s.connect("{sock}");print(b"owner" in s.recv(4096))'
    assert names.host.run('setpriv', '--reuid', '65534', '--clear-groups', '/usr/bin/python3', '-c', code).stdout == 'True\n'


def status(pid):
    return dict(line.split(':\t', 1) for line in open(f'/proc/{pid}/status', encoding='ascii').read().splitlines() if ':\t' in line)


def test_no_rights(names, two):
    """Who reads packets of containers has no capability, no user of anybody, no way to get more, and few system calls; its parent has four, and reads none."""
    pid = names.ping()[0]
    s = status(pid)
    assert (s['NoNewPrivs'], s['Seccomp'], s['Uid'].split(), s['Groups'].split()) == ('1', '2', ['65533'] * 4, [])
    assert [int(s[k], 16) for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')] == [0] * 5
    keeper = status(s['PPid'])
    assert keeper['NoNewPrivs'] == '1' and keeper['Name'] == s['Name'] == 'skiff-resolver'
    assert int(keeper['CapPrm'], 16) == 1 << 21 | 1 << 12 | 1 << 10 | 1 << 19, 'SYS_ADMIN, NET_ADMIN, NET_BIND_SERVICE, SYS_PTRACE'
    links = {os.readlink(f'/proc/{s["PPid"]}/fd/{fd}').split(':')[0] for fd in os.listdir(f'/proc/{s["PPid"]}/fd')}
    assert len([x for x in links if x == 'socket']) <= 1
    assert two[0].dig('db') == ['10.89.0.3'], 'and it does its work'


@pytest.mark.parametrize('which', ['reader', 'keeper'])
def test_neither_lives_without_the_other(names, two, which):
    pid = names.ping()[0]
    keeper = int(status(pid)['PPid'])
    os.kill(pid if which == 'reader' else keeper, signal.SIGKILL)
    assert netns.wait_until(lambda: not netns.alive(pid) and not netns.alive(keeper))
    names.ctl('restart')
    assert names.ping()[1] == 2 and two[0].dig('db') == ['10.89.0.3']


def test_malformed_requests(names, two):
    sock = names.host.root / 'resolver' / 'ctl.sock'
    for bad in (b'', b'x', struct.pack('=IHH', 8, 99, 1), struct.pack('=IHH', 8, 3, 1), struct.pack('=IHHI', 12, 3, 1, 1 << 31)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(str(sock))
            s.send(bad)
            s.recv(4096)
    assert names.ping()[1] == 2 and two[0].dig('db') == ['10.89.0.3']
