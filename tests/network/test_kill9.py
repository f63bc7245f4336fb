"""kill -9 at random points of what changes networks: a repair later there is no lease, element, link, namespace or bridge of nobody. 12 rounds, with SKIFF_SOAK 400 times that."""
import os
import random
import signal
import time
from pathlib import Path

from bridgelib import PATIENCE, run, wait_until
from test_cni_names import cni, left  # noqa: F401: a fixture
from test_many import SOAK

SEED = int(os.environ.get('SEED', random.SystemRandom().randrange(1 << 30)))


def descendants(pid):
    """The process, and what it started."""
    found = [pid]
    for p in found:
        try:  # the process may end in between
            for t in os.listdir(f'/proc/{p}/task'):
                found += [int(x) for x in Path(f'/proc/{p}/task/{t}/children').read_text().split()]
        except OSError:
            continue
    return found


def actions(skiff, rng):
    net = rng.choice(['a', 'b'])
    return rng.choice([
        ['run', '--rm', '--network', net, '-p', '8080:80', 'netimage', 'true'],
        ['run', '-d', '--network', net, '-p', '80', 'netimage', 'sleep', '1000'],
        ['run', '--rm', '--network', 'blue', '-p', '8081:80', 'netimage', 'true'],
        ['run', '-d', '--network', net, '--network', 'blue', 'netimage', 'sleep', '1000'],
        ['network', 'connect', rng.choice(['b', 'blue', 'bridge']), 'stay'],
        ['network', 'disconnect', rng.choice(['b', 'blue', 'bridge']), 'stay'],
        ['rm', '-f', *(skiff.out('ps', '-aq').split() or ['stay'])[:2]],
        ['network', 'rm', '-f', 'b'],
        ['network', 'create', 'b'],
        ['system', 'check', '--repair'],
    ])


def test_random_points(cni):
    skiff, rng = cni, random.Random(SEED)
    skiff('network', 'create', 'a')
    for i in range(max(12, int(400 * SOAK))):
        skiff('network', 'create', '--ignore', 'b', rc=None)
        skiff('run', '-d', '--name', 'stay', '--network', 'a', 'netimage', 'sleep', '1000', rc=None)
        words = actions(skiff, rng)
        p = skiff.popen(*words)
        time.sleep(rng.uniform(0, 0.12))
        try:
            os.kill(rng.choice(descendants(p.pid)), signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.communicate(timeout=60 * PATIENCE)
        if i % 4 == 3:
            skiff('system', 'check', '--repair', rc=None)
    for _ in range(3):
        skiff('system', 'check', '--repair', rc=None)
    skiff('rm', '-f', *skiff.out('ps', '-aq').split(), rc=None)
    for n in ('a', 'b'):
        skiff('network', 'rm', '-f', n, rc=None)
    skiff('system', 'check', '--repair', rc=None)
    note = f'SEED={SEED}'
    assert wait_until(lambda: skiff.findings() == []), (note, skiff.findings())
    assert skiff.leases() == [] and left(skiff) == [] and skiff.dnat() == '', note
    assert wait_until(lambda: [x for x in skiff.links() if x.startswith(('veth', 'sk-'))] == [], 5), (note, skiff.links())
    assert 'sk-' not in skiff.table(), note
    assert skiff.out('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}') == 'blue\n', note


def test_a_removal_that_was_killed(skiff):
    """At each of its system calls in turn: the check finishes it, and the name can be used again."""
    for point in range(1, 9):
        skiff('network', 'create', '--subnet', '10.5.0.0/24', 'n')
        skiff.run('--network', 'n', '--', 'true')
        run('strace', '-f', '-o', '/dev/null', '-e', 'trace=symlinkat,unlinkat,rmdir,sendto', '-e', f'inject=symlinkat,unlinkat,sendto:signal=KILL:when={point}',
            *skiff.argv('network', 'rm', 'n'), rc=None, env=skiff.env)
        skiff('system', 'check', '--repair', rc=None)
        skiff('network', 'rm', 'n', rc=None)
        assert skiff.findings() == [], point
        assert [x for x in skiff.links() if x.startswith('sk-')] == [] and 'sk-' not in skiff.table(), point
        assert [x.name for x in (skiff.run_root / 'networks').iterdir() if not (skiff.root / 'networks' / x.name).exists() and x.name[0] != '.'] == [], point


def test_a_creation_that_was_killed(skiff):
    for point in range(1, 6):
        run('strace', '-f', '-o', '/dev/null', '-e', 'trace=symlinkat,renameat,renameat2,mkdirat', '-e',
            f'inject=symlinkat,renameat,renameat2,mkdirat:signal=KILL:when={point}', *skiff.argv('network', 'create', 'n'), rc=None, env=skiff.env)
        skiff('system', 'check', '--repair', rc=None)
        assert skiff.findings() == [], point
        skiff('network', 'rm', 'n', rc=None)
        assert skiff.out('network', 'ls', '--filter', 'type=custom', '-q') == '', point


def test_a_disconnect_that_was_killed(skiff):
    """Between the configuration and the endpoint: another disconnect, or the forced removal of the network, finishes it."""
    skiff('network', 'create', 'n')
    cid = skiff.sleeper('--network', 'n')
    for point in range(1, 9):
        run('strace', '-f', '-o', '/dev/null', '-e', 'trace=renameat,renameat2,sendto', '-e', f'inject=renameat,renameat2,sendto:signal=KILL:when={point}',
            *skiff.argv('network', 'disconnect', 'n', cid), rc=None, env=skiff.env)
        if point % 2:
            skiff('network', 'disconnect', '-f', 'n', cid, timeout=20 * PATIENCE)
        else:
            skiff('network', 'rm', '-f', 'n', timeout=20 * PATIENCE)
            skiff('network', 'create', 'n')
        assert skiff.inspect(cid)['NetworkSettings']['Networks'] == {}, point
        assert [x for x in skiff.leases() if not x.startswith('.ctr/')] == [], point
        skiff('network', 'connect', 'n', cid)
    skiff('rm', '-f', cid)
    skiff('system', 'check', '--repair', rc=None)  # files that had no name yet
