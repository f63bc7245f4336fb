"""What networks have on the host is whose: two roots in one network namespace, what nobody uses, and what belongs to nothing."""
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from bridgelib import PATIENCE, Net, engine, run, wait_until


@pytest.fixture
def other(tmp_path, seed, probe, skiff):
    """A second root beside `skiff`."""
    where = tmp_path / 'other'
    where.mkdir()
    subprocess.run(['cp', '-a', str(seed.root), str(where / 'lib')], check=True)
    s = Net(where, 'netimage')
    s.probe = probe
    yield s
    s.clean_up()
    s('system', 'check', '--quick', '--repair', rc=None)


def bridge(s):
    return json.loads(s.out('network', 'inspect', 'bridge'))[0]


def tables():
    return sorted(x.split()[2] for x in run('nft', 'list', 'tables').stdout.splitlines() if 'inet skiff' in x)


def findings(s, *flags):
    """Rows of the check. All roots of the machine share the cgroup tree, and a check tells of empty cgroups of any of them: what other tests left there,
    or are just taking down, is not this test's business."""
    p = s('system', 'check', '--quick', *flags, rc=None)
    lines = p.stdout.splitlines()
    assert p.stderr == '' and lines and ('in order' in lines[-1] or 'findings;' in lines[-1] or flags), (lines, p.stderr)
    return [x for x in lines if not x.startswith('Everything is in order.') and 'of no container here' not in x and '`skiff system check --repair`' not in x]


def in_order(s):
    """What ended a moment ago may still be on its way."""
    said = []
    assert wait_until(lambda: said.append(findings(s)) or not said[-1]), said[-1]


def have_their_own(skiff, other):
    one, two = bridge(skiff), bridge(other)
    assert one['Interface'] == 'skiff0' and two['Interface'].startswith('skiff-')
    assert one['IPAM']['Config'][0]['Subnet'] != two['IPAM']['Config'][0]['Subnet']
    assert len(tables()) == 2 and tables()[0] == 'skiff_v1'
    return two


def test_two_roots_that_chose_one_bridge(skiff, other):
    """Before either was there; the second to start takes another."""
    for s in (skiff, other):
        s('network', 'ls')
    assert bridge(skiff)['Interface'] == bridge(other)['Interface'] == 'skiff0'
    for s in (skiff, other):
        s.server('a')
    have_their_own(skiff, other)
    for s in (skiff, other):
        assert s.ask('tcp', s.ip('a'), 80)[1] == 'a'


def test_two_roots(skiff, other):
    """Each has its own bridge, subnet and firewall table; names, ports and reloads of one do not disturb the other."""
    skiff.server('a', '-p', '8080:80')
    other.server('b', '-p', '8081:80')
    two = have_their_own(skiff, other)
    for s in (skiff, other):
        assert skiff.ask('tcp', skiff.ip('a'), 80)[1] == 'a' and other.ask('tcp', other.ip('b'), 80)[1] == 'b'
        assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a' and skiff.ask('tcp', '127.0.0.1', 8081)[1] == 'b'
        s('network', 'reload')
        s('system', 'check', '--quick', '--repair')
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a' and skiff.ask('tcp', '127.0.0.1', 8081)[1] == 'b'
    for s in (skiff, other):
        in_order(s)
    # a policy of the second root is in its own table
    other.client('shut', '--egress', 'deny')
    assert other.ask_from('shut', 'tcp', other.ip('b'), 80, rc=None) == []
    assert bridge(other)['Containers'][other.inspect('shut')['Id']]['EgressDenied']['Packets'] >= 1
    # one goes, the other stays
    other('rm', '-f', 'b', 'shut')  # its directories may be removed by hand now
    assert two['Interface'] not in skiff.links() and tables() == ['skiff_v1']
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'
    other.server('b', '-p', '8081:80')
    assert skiff.ask('tcp', '127.0.0.1', 8081)[1] == 'b' and skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'


def test_the_root_of_the_host_keeps_what_it_has(skiff):
    """/var/lib/skiff and /run/skiff, here in a mount namespace of their own: bridge and table stay between containers, until a repair."""
    script = """set -e
        mount -t tmpfs none /run && mkdir /run/skiff && mount -t tmpfs none /var/lib && mkdir /var/lib/skiff && mount --bind "$2" /var/lib/skiff
        "$1" run --rm netimage true && ip link show skiff0 && nft list table inet skiff_v1
        "$1" system check --quick --repair
        ! ip link show skiff0 && ! nft list table inet skiff_v1"""
    p = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', engine.BIN / 'skiff', skiff.root], capture_output=True, text=True, timeout=60,
                       env={k: v for k, v in os.environ.items() if not k.startswith('SKIFF_')})
    assert p.returncode == 0, (p.stdout, p.stderr)


def host_check(skiff, *flags):
    """What the check of the host's root says about other roots' networks."""
    script = 'mount -t tmpfs none /run && mkdir /run/skiff && mount -t tmpfs none /var/lib && mkdir /var/lib/skiff && exec "$@"'
    p = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', engine.BIN / 'skiff', 'system', 'check', '--quick', *flags], capture_output=True, text=True,
                       timeout=60 * PATIENCE, env={k: v for k, v in os.environ.items() if not k.startswith('SKIFF_')})
    assert p.stderr == '' and p.returncode in (0, 1), (p.stdout, p.stderr)
    return [x for x in p.stdout.splitlines() if 'of its root was removed' in x]


def end_all(s, *names):
    """Containers and their monitors, as something outside would that knows nothing of the root."""
    for name in names:
        pid, monitor = s.inspect(name)['State']['Pid'], s.monitor_pid(name)
        yield lambda pid=pid, monitor=monitor: [os.kill(x, signal.SIGKILL) for x in (monitor, pid)]


def has_handles(path):
    """As findmnt says: an overlay has none that can be opened, unless it was mounted with nfs_export."""
    return 'overlay' not in run('stat', '-f', '-c', '%T', path).stdout


def root_to_remove(tmp_path, seed, probe, *flags):
    """Another root with a server on each of its two networks; flags are of the second one. The root, its directory, its bridges."""
    where = tmp_path / 'gone'
    where.mkdir()
    subprocess.run(['cp', '-a', str(seed.root), str(where / 'lib')], check=True)
    gone = Net(where, 'netimage')
    gone.probe = probe
    gone.server('b', '-p', '8081:80')
    gone('network', 'create', 'n')
    gone.server('c', '--network', 'n', *flags)
    return gone, where, [bridge(gone)['Interface'], json.loads(gone.out('network', 'inspect', 'n'))[0]['Interface']]


def test_a_root_that_was_removed(skiff, tmp_path, seed, probe):
    """rm -rf of a root whose containers run: the check of the host's root finds what it left. Nothing goes while one of them runs, nor anything of a root
    that is there."""
    if not has_handles(tmp_path):
        pytest.skip('this file system has no handles')
    skiff.server('a', '-p', '8080:80')
    gone, where, bridges = root_to_remove(tmp_path, seed, probe, '--egress', 'deny')
    table = tables()[1]
    address = gone.ip('b')
    kill = list(end_all(gone, 'b', 'c'))
    assert host_check(skiff, '--repair') == [], 'it is there'
    (where / 'lib').rename(where / 'elsewhere')
    assert host_check(skiff, '--repair') == [], 'it is called something else'
    subprocess.run(['rm', '-rf', str(where)], check=True)
    rows = host_check(skiff, '--repair')
    assert len(rows) == 3 and all('kept: a container of it runs' in x for x in rows), rows
    assert tables() == ['skiff_v1', table] and gone.ask('tcp', address, 80)[1] == 'b'
    for k in kill:
        k()
    assert wait_until(lambda: [x for x in host_check(skiff) if 'runs' in x] == [] and not any(f'master {b} ' in run('ip', 'link').stdout for b in bridges))
    rows = host_check(skiff)
    assert len(rows) == 3 and [w for w in (*bridges, table) if not any(w in x for x in rows)] == [], rows
    assert set(bridges) <= set(skiff.links()) and tables() == ['skiff_v1', table], 'without --repair nothing goes'
    run('nft', 'add', 'rule', 'inet', table, 'skiff_user', 'counter')
    assert ['rules of the administrator' in x for x in host_check(skiff, '--repair') if table in x] == [True]
    run('nft', 'flush', 'chain', 'inet', table, 'skiff_user')
    assert [x for x in host_check(skiff, '--repair') if 'removed' not in x.partition('was removed')[2]] == []
    assert not set(bridges) & set(skiff.links()) and tables() == ['skiff_v1'] and table not in run('nft', 'list', 'ruleset').stdout
    assert host_check(skiff) == [] and skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'


def test_a_root_that_was_removed_after_a_flush(skiff, tmp_path, seed, probe):
    """Its table is gone, too: its bridges say themselves whose they are. Those of a root that is there, and of somebody else, stay."""
    if not has_handles(tmp_path):
        pytest.skip('this file system has no handles')
    skiff.server('a', '-p', '8080:80')
    gone, where, bridges = root_to_remove(tmp_path, seed, probe)
    kill = list(end_all(gone, 'b', 'c'))
    run('ip', 'link', 'add', 'sk-foreign', 'type', 'bridge')
    run('ip', 'link', 'set', 'sk-foreign', 'alias', 'skiff 00000000 home_of_nobody')
    run('nft', 'flush', 'ruleset')
    skiff('network', 'reload')
    assert host_check(skiff, '--repair') == [] and set(bridges) <= set(skiff.links()), 'it is there'
    subprocess.run(['rm', '-rf', str(where)], check=True)
    rows = host_check(skiff, '--repair')
    assert len(rows) == 2 and all('kept: a container of it runs' in x for x in rows), rows
    for k in kill:
        k()
    assert wait_until(lambda: not any(f'master {b} ' in run('ip', 'link').stdout for b in bridges))
    rows = host_check(skiff)
    assert len(rows) == 2 and [w for w in bridges if not any(w in x for x in rows)] == [], rows
    assert set(bridges) <= set(skiff.links()), 'without --repair nothing goes'
    rows = host_check(skiff, '--repair')
    assert len(rows) == 2 and [x for x in rows if 'removed' not in x.partition('was removed')[2]] == [], rows
    assert not set(bridges) & set(skiff.links()) and 'sk-foreign' in skiff.links() and host_check(skiff) == []
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'
    run('ip', 'link', 'del', 'sk-foreign')


def test_a_root_of_another_mount_namespace(skiff, tmp_path, seed):
    """Its directory is nowhere to be seen from here, and is there all the same; its container was killed, so that only the directory speaks for it."""
    where = tmp_path / 'hidden'
    where.mkdir()
    script = f"""mount -t tmpfs none {where} && cp -a {seed.root} {where}/lib || exit
        SKIFF_ROOT={where}/lib SKIFF_RUN_ROOT={where}/run {engine.BIN}/skiff run -d --name b netimage sleep 1000 >{where}/id || exit
        SKIFF_ROOT={where}/lib SKIFF_RUN_ROOT={where}/run {engine.BIN}/skiff inspect -f '{{{{.State.Pid}}}}' b || exit
        read word && rm -rf {where}/lib {where}/run; echo done; read word"""
    p = subprocess.Popen(['unshare', '-m', 'sh', '-c', script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        pid = int(p.stdout.readline())
        monitor = int((Path('/proc') / str(pid) / 'stat').read_text().rpartition(')')[2].split()[1])
        table = tables()
        assert len(table) == 1
        for x in (monitor, pid):
            os.kill(x, signal.SIGKILL)
        assert wait_until(lambda: not any(x.startswith('veth') for x in skiff.links()))
        assert host_check(skiff, '--repair') == [] and tables() == table
        p.stdin.write('go\n')
        p.stdin.flush()
        assert p.stdout.readline() == 'done\n'
        assert host_check(skiff, '--repair') == [] and tables() == table, 'gone, but nobody can know it here'
    finally:
        p.kill()
        p.wait()
        run('nft', 'flush', 'ruleset')
        for x in skiff.links():
            if x.startswith('skiff'):
                run('ip', 'link', 'del', x)


def test_nothing_is_left_when_nobody_uses_it(skiff):
    """Default bridge and table of another root go with its last container, though it was the first to have them: its directories may be removed by
    hand then. Else they go with prune or a repair; not while a container runs, and not with rules of the admin."""
    skiff.server('a', '-p', '8080:80')
    skiff('system', 'check', '--quick', '--repair')
    skiff('system', 'prune', '-f')
    assert 'skiff0' in skiff.links() and tables() == ['skiff_v1'] and skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'
    skiff('rm', '-f', 'a')
    assert 'skiff0' not in skiff.links() and tables() == []
    skiff.server('a')
    run('nft', 'add', 'rule', 'inet', 'skiff_v1', 'skiff_user', 'counter')
    skiff('rm', '-f', 'a')
    assert 'skiff0' not in skiff.links() and tables() == ['skiff_v1']
    run('nft', 'flush', 'chain', 'inet', 'skiff_v1', 'skiff_user')
    skiff('system', 'prune', '-f')
    assert tables() == []
    skiff('network', 'create', 'n')
    skiff.run('--network', 'n', '--', 'true')
    skiff('system', 'check', '--quick', '--repair')
    assert tables() == ['skiff_v1'], 'a network has its bridge'
    skiff('network', 'rm', 'n')
    skiff('system', 'check', '--quick', '--repair')
    assert tables() == []
    skiff.server('a', '-p', '8080:80')
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'


def test_a_table_of_an_admin_is_taken(skiff):
    """skiff_user may be there before the first container (a ruleset loaded at boot)."""
    subprocess.run(['nft', '-f', '-'], input='table inet skiff_v1 {\n chain skiff_user {\n counter comment "mine"\n }\n}\n', text=True, check=True)
    skiff.server('a', '-p', '8080:80')
    assert tables() == ['skiff_v1'] and 'mine' in skiff.table() and skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'


def test_orphans(skiff):
    """Bridges, ports, elements and chains of ours without a network or record are found, and go; everybody else's stay."""
    skiff('network', 'create', 'n')
    skiff.server('a', '--network', 'n', '-p', '8080:80', '--egress', 'deny')
    mine = next(x for x in skiff.links() if x.startswith('sk-'))
    alias = next(x.strip() for x in run('ip', 'link', 'show', mine).stdout.splitlines() if 'alias' in x).partition(' ')[2]
    for name, a in (('sk-dead', alias), ('sk-foreign', 'skiff 00000000')):
        run('ip', 'link', 'add', name, 'type', 'bridge')
        run('ip', 'link', 'set', name, 'alias', a)
    t = ['inet', 'skiff_v1']
    run('nft', 'add', 'element', *t, 'dnat4_any', '{ tcp . 9999 : 10.1.2.3 . 80 }')
    run('nft', 'add', 'chain', *t, 'e_0123456789abcdef')
    run('nft', 'add', 'element', *t, 'egress4', '{ 10.1.2.3 : jump e_0123456789abcdef }')
    run('nft', 'add', 'element', 'bridge', 'skiff_v1', 'ports', '{ "veth0123456700" }')
    found = findings(skiff)
    words = ['sk-dead', 'e_0123456789abcdef', '3 elements belong to nothing']
    assert [[w in x for w in words].index(True) for x in found] == [0, 2, 1], found
    assert {'sk-dead', 'sk-foreign'} <= set(skiff.links()), 'without --repair nothing goes'
    for name, master in (('veth0123456700', mine), ('veth0123456711', 'sk-foreign')):
        run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', name[::-1][:10])
        run('ip', 'link', 'set', name, 'master', master)
    found = findings(skiff, '--repair')
    words.insert(0, 'veth0123456700')
    assert [[w in x for w in words].index(True) for x in found] == [0, 1, 3, 2], found
    links = skiff.links()
    assert 'sk-dead' not in links and 'veth0123456700' not in links and {'sk-foreign', 'veth0123456711'} <= set(links)
    assert '0123456789abcdef' not in skiff.table() and '9999' not in skiff.dnat()
    in_order(skiff)
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'
    # missing: somebody took an element
    run('nft', 'flush', 'map', *t, 'dnat4_any')
    assert ['missing' in x for x in findings(skiff, '--repair')] == [True]
    in_order(skiff)
    assert skiff.ask('tcp', '127.0.0.1', 8080)[1] == 'a'
    for name in ('sk-foreign', 'veth0123456711'):
        run('ip', 'link', 'del', name)
