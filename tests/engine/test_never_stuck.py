"""Never stuck, nothing lost: many at once, processes killed at random points, full disks, readers that stop. SKIFF_SOAK=1 (make soak) runs the full counts."""
import os
import random
import select
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BIN, wait_until

SOAK = float(os.environ.get('SKIFF_SOAK') or 0)  # 1: full counts; 0.1: a tenth of them


def rounds(few, many):
    return max(few, int(many * SOAK))


def rss_kb(pid):
    return next(int(x.split()[1]) for x in Path(f'/proc/{pid}/status').read_text().splitlines() if x.startswith('VmRSS'))


def zombies_of(pid):
    found = []
    for c in Path(f'/proc/{pid}/task/{pid}/children').read_text().split():
        try:
            if Path(f'/proc/{c}/stat').read_text().rpartition(')')[2].split()[0] == 'Z':
                found.append(c)
        except OSError:
            pass
    return found


def test_many_starts_at_once(skiff):
    """No start fails, and ps answers all the while."""
    n = rounds(40, 800)
    with ThreadPoolExecutor(64 if SOAK else 16) as pool:
        runs = [pool.submit(skiff, 'run', '-d', '--network', 'none', skiff.image, 'sleep', '1000', timeout=600) for _ in range(n)]
        seen, times = [], []
        while not all(r.done() for r in runs):
            began = time.monotonic()
            seen.append(len(skiff.out('ps', '-q').split()))
            times.append(time.monotonic() - began)
        print(f'{n} starts, {len(times)} ps meanwhile: median {sorted(times)[len(times) // 2] * 1000:.1f} ms, longest {max(times) * 1000:.1f} ms')
        failed = [r.exception() for r in runs if r.exception()]
    assert failed == [] and seen == sorted(seen), 'a container that was shown is shown again'
    assert len(set(skiff.out('ps', '-q', '--no-trunc').split())) == n
    skiff('kill', '--all', timeout=600)
    skiff('rm', '-f', '--all', timeout=600)


def test_failing_execs_leave_nothing(skiff):
    skiff.detached('--name', 'x', '--', 'sleep', '1000000')  # the full count takes long
    monitor, init = skiff.monitor_pid('x'), skiff.state('x')['Pid']
    for _ in range(10):
        skiff('exec', 'x', '/nowhere', rc=127)
    rss, fds = rss_kb(monitor), len(os.listdir(f'/proc/{monitor}/fd'))
    lane = f'for i in $(seq {rounds(60, 100000) // 4}); do {" ".join(skiff.argv("exec", "x", "/nowhere"))} 2>/dev/null; [ $? = 127 ] || echo bad; done'
    lanes = [subprocess.Popen(['sh', '-c', lane], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, env=skiff.env) for _ in range(4)]
    assert [p.communicate()[0] for p in lanes] == [''] * 4
    assert rss_kb(monitor) <= rss + 8 and len(os.listdir(f'/proc/{monitor}/fd')) == fds
    assert zombies_of(monitor) == [] and zombies_of(init) == []
    assert not list((skiff.run_root / 'containers').glob('*/exec/*'))


def comm(pid):
    try:
        return Path(f'/proc/{pid}/comm').read_text().strip()
    except OSError:
        return ''


def ended(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] in 'ZX'
    except OSError:
        return True


def stop(pid):
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        pass


def below(pid):
    """The process and all below it."""
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        try:
            todo += [int(c) for c in Path(f'/proc/{p}/task/{p}/children').read_text().split()]
        except OSError:
            pass
    return found


def test_orphaned_start_is_waited_for(skiff, kill9):
    """The front end dies while launch makes the container: who removes it waits for the end of that start, and then nothing of it lives."""
    for _ in range(100):
        p = skiff.popen('run', '-d', '--name', 'v', skiff.image, 'sleep', '1000')
        launch = None
        while p.poll() is None and launch is None:
            launch = next((c for c in below(p.pid)[1:] if comm(c) == 'skiff-launch'), None)
        if launch:
            stop(launch)
        caught = launch and comm(launch) == 'skiff-launch' and skiff.out('ps', '-a', '--format', '{{.State}}') == 'created\n'
        if caught:
            kill9(p.pid)
            p.communicate()
            rm = skiff.popen('rm', '-f', 'v')
            early = wait_until(lambda: rm.poll() is not None, 0.3)  # right when launch had not been asked for this container yet
            os.kill(launch, signal.SIGCONT)
            assert rm.wait(30) == 0
            assert wait_until(lambda: ended(launch), 10), f'{comm(launch)} lives on'
            assert skiff.out('ps', '-aq') == ''
            if not early:
                return
            continue
        if launch:
            os.kill(launch, signal.SIGCONT)
        p.communicate()
        skiff('rm', '-f', 'v')
    pytest.fail('launch was never seen at work')


@pytest.mark.parametrize('summary', [False, True])
def test_half_made_container_gives_its_name_back(skiff, summary):
    """What a create leaves that was killed before config.json was there: rm takes it away by its name."""
    cid = 'ab' * 32
    other = skiff.out('create', '--name', 'o', skiff.image, 'true').strip()
    (skiff.root / 'containers' / cid).mkdir(mode=0o700)
    (skiff.root / 'names' / 'v').symlink_to(cid)
    if summary:
        line = os.readlink(skiff.run_root / 'summary' / other).split('|')
        os.symlink('|'.join('v' if x == 'o' else x for x in line), skiff.run_root / 'summary' / cid)
        assert f'{cid[:12]} v created' in skiff.out('ps', '-a', '--format', '{{.ID}} {{.Names}} {{.State}}')
    assert 'is already in use' in skiff('create', '--name', 'v', skiff.image, 'true', rc=125).stderr
    skiff('rm', 'v')
    skiff.run('--name', 'v', '--', 'true')
    assert not (skiff.root / 'containers' / cid).exists()


@pytest.mark.parametrize('verb', ['run', 'run --rm', 'restart', 'exec', 'stop'])
def test_killed_at_a_random_point(skiff, kill9, verb):
    """kill -9 of the front end or of what it started, anywhere in a verb: the container can be managed afterwards and nothing is left (fixture)."""
    rng = random.Random(int(os.environ.get('SKIFF_SEED', '7')))
    for i in range(rounds(8, 2500)):
        if verb not in ('run', 'run --rm'):
            skiff.detached('--name', 'v', '--stop-timeout', '1', '--', 'sleep', '1000')
        words = {'run': ['run', '-d', '--name', 'v', skiff.image, 'sleep', '1000'], 'run --rm': ['run', '--rm', '--name', 'v', skiff.image, 'sleep', '1000'],
                 'restart': ['restart', '-t', '0', 'v'], 'exec': ['exec', 'v', 'sleep', '1000'], 'stop': ['stop', '-t', '0', 'v']}[verb]
        p = skiff.popen(*words)
        end = time.monotonic() + rng.random() * 0.06
        while time.monotonic() < end:
            pass
        victim = rng.choice(below(p.pid))
        try:
            kill9(victim)
        except ProcessLookupError:
            pass
        if victim != p.pid and verb in ('run --rm', 'exec'):
            wait_until(lambda: p.poll() is not None, 1)
        p.kill()
        p.communicate()
        skiff('ps', '-a')
        if skiff.out('ps', '-aq'):
            skiff('rm', '-f', '--all')
        skiff('system', 'check', '--repair', rc=None)
        assert skiff.out('ps', '-aq') == ''


def test_killed_monitor_at_a_random_point(skiff, kill9):
    """Also one with a restart policy and a health check at work."""
    for i in range(rounds(6, 1000)):
        skiff.detached('--name', 'm', '--restart', 'always', '--health-cmd', 'true', '--health-interval', '5ms', '--', 'sh', '-c', 'sleep 0.05; exit 1')
        try:
            monitor = skiff.monitor_pid('m')
        except (FileNotFoundError, ProcessLookupError):
            monitor = None
        time.sleep(random.random() * 0.2)
        if monitor and monitor != 1:
            kill9(monitor)
        assert wait_until(lambda: skiff.state('m')['Status'] in ('exited', 'running', 'restarting'))
        skiff('rm', '-f', 'm')
        skiff('system', 'check', '--repair', rc=None)


def over(pidfd):
    """Also when its new parent has not reaped it yet."""
    return bool(select.select([pidfd], [], [], 0)[0])


def restart_seen(monitor, seconds):
    """A pidfd of the skiff-launch that makes the container of this monitor anew, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid in Path(f'/proc/{monitor}/task/{monitor}/children').read_text().split():
            try:
                fd = os.pidfd_open(int(pid))
            except ProcessLookupError:
                continue
            try:
                if Path(f'/proc/{pid}/cmdline').read_bytes().startswith(b'skiff-launch\0restart\0'):
                    return fd
            except OSError:
                pass
            os.close(fd)
    return None


def test_restart_that_outlives_its_monitor(skiff, kill9):
    """`rm -f` waits for it, or it finds no container any more: a late one would make cgroups and mounts that nobody knows."""
    def left(cid):
        return [str(p) for p in (*Path('/sys/fs/cgroup').glob(f'*/skiff/c/{cid}'), *skiff.run_root.glob(f'*/{cid}'))]
    for _ in range(rounds(12, 500)):
        cid = skiff.detached('--name', 'm', '--restart', 'always', '--', 'sleep', '1000')
        monitor, launch = skiff.monitor_pid('m'), None
        while launch is None:  # on a loaded machine a restart may be over before it is seen
            init = skiff.state('m')['Pid']
            if init > 0:
                kill9(init)
            launch = restart_seen(monitor, 2)
        time.sleep(random.choice((0, 0.001, 0.002, 0.004, 0.008)))
        if not over(launch):
            signal.pidfd_send_signal(launch, signal.SIGSTOP)
        kill9(monitor)
        rm = skiff.popen('rm', '-f', 'm')
        time.sleep(random.choice((0, 0.05, 0.2)))
        if not over(launch):
            signal.pidfd_send_signal(launch, signal.SIGCONT)
        assert rm.wait(60) == 0 and left(cid) == []
        assert wait_until(lambda: over(launch)), 'the restart does not end'
        os.close(launch)
        assert left(cid) == []


def in_small_disk(skiff, script, megabytes):
    """Runs a shell script with $S (skiff and its roots) on a file system of its own that is full soon."""
    root = skiff.tmp / 'small'
    root.mkdir()
    head = f'mount -t tmpfs -o size={megabytes}m small {root} && cp -a {skiff.root} {root}/lib && mkdir {root}/run || exit 99\n' \
           f'S="{BIN}/skiff --root {root}/lib --run-root {root}/run"\nI={skiff.image}\nfill() {{ cat /dev/zero >{root}/filler 2>/dev/null; true; }}\nroom() {{ rm -f {root}/filler; }}\n'
    return subprocess.run(['unshare', '-m', '--propagation', 'private', 'bash', '-c', head + script], capture_output=True, text=True, env=skiff.env, timeout=120)


@pytest.fixture
def megabytes(skiff):
    used = sum(f.stat().st_blocks * 512 for f in skiff.root.rglob('*') if f.is_file() and not f.is_symlink())
    return used // (1 << 20) + 6


def test_disk_full_while_logging(skiff, megabytes):
    p = in_small_disk(skiff, '''
$S run -d --name l $I sh -c 'while [ ! -e /go ]; do sleep 0.02; done; seq 1 100000; touch /dev/shm/done; sleep 1000' >/dev/null || exit 1
fill; $S exec l touch /go || { room; $S exec l touch /go || exit 2; fill; }
for i in $(seq 200); do $S exec l test -e /dev/shm/done && break; sleep 0.05; done
$S exec l test -e /dev/shm/done || exit 3
room; $S stop -t 0 l >/dev/null || exit 4
$S logs l | tail -1 >/dev/null || exit 5
$S rm l >/dev/null || exit 6
$S system check | grep -v 'of no container here' | grep -q . && [ "$($S system check | grep -vc 'of no container here')" != 1 ] && exit 7
exit 0''', megabytes)
    assert p.returncode == 0, (p.returncode, p.stdout, p.stderr)


def test_disk_full_while_starting(skiff, megabytes):
    p = in_small_disk(skiff, '''
fill
$S run -d --name f $I sleep 1000 >/dev/null 2>&1 && { $S rm -f f >/dev/null; }
room
$S rm -f f >/dev/null 2>&1
$S run --rm --name f $I true || exit 2
[ -z "$($S ps -aq)" ] || exit 3''', megabytes)
    assert p.returncode == 0, (p.returncode, p.stdout, p.stderr)


def test_disk_full_while_committing(skiff, megabytes):
    p = in_small_disk(skiff, '''
$S run --name c $I sh -c 'head -c 3000000 /dev/urandom > /data' || exit 1
$S commit c full:1 >/dev/null 2>&1 && exit 2
$S rm c >/dev/null || exit 3
$S image prune -f >/dev/null; $S system prune -f >/dev/null 2>&1
$S run --rm $I true || exit 4
$S images -q full | grep -q . && exit 5; exit 0''', megabytes)
    assert p.returncode == 0, (p.returncode, p.stdout, p.stderr)


def test_reader_that_stops(skiff):
    """A stopped `logs -f` holds nobody up; a stopped `attach` holds its container up, as docker's, until it is gone."""
    skiff.detached('--name', 'r', '--', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.02; done; seq 1 100000; touch /done; sleep 1000')
    follower, attached = skiff.popen('logs', '-f', 'r'), skiff.popen('attach', '--no-stdin', 'r')
    fd_dir = f'/proc/{attached.pid}/fd'
    assert wait_until(lambda: any('signalfd' in os.readlink(f'{fd_dir}/{f}') for f in os.listdir(fd_dir)))
    for p in (follower, attached):
        p.send_signal(signal.SIGSTOP)
    skiff('exec', 'r', 'touch', '/go')
    done = lambda: skiff('exec', 'r', 'test', '-e', '/done', rc=None).returncode == 0  # noqa: E731
    assert not wait_until(done, 0.3), 'docker: who is attached gets every byte'
    attached.kill()
    attached.communicate()
    assert wait_until(done), 'a dead one holds nobody up'
    assert skiff.out('logs', 'r').count('\n') == 100000
    follower.kill()
    follower.communicate()


def test_clients_that_go_away_leave_nothing(skiff):
    """T62: exec, attach, logs, whose front ends die at a random moment."""
    skiff.detached('--name', 'c', '--', 'sh', '-c', 'while :; do echo x; sleep 0.01; done')
    monitor = skiff.monitor_pid('c')
    assert wait_until(lambda: skiff.out('logs', 'c'))
    fds, rss = len(os.listdir(f'/proc/{monitor}/fd')), rss_kb(monitor)
    rng = random.Random(3)
    for i in range(rounds(30, 30000)):
        words = [['exec', 'c', 'sleep', '1000'], ['attach', '--no-stdin', 'c'], ['logs', '-f', 'c']][i % 3]
        p = skiff.popen(*words)
        time.sleep(rng.random() * 0.04)
        p.kill()
        p.communicate()
    for line in skiff.out('top', 'c', 'hpid,args').splitlines()[1:]:
        pid, args = line.split(None, 1)
        if args.startswith('sleep 1000'):
            os.kill(int(pid), signal.SIGKILL)
    assert wait_until(lambda: len(os.listdir(f'/proc/{monitor}/fd')) <= fds) and zombies_of(monitor) == []
    assert rss_kb(monitor) <= rss + 128


def test_killed_session_monitor(skiff, kill9):
    """kill -9 of the monitor of an exec: its process ends with it, the container and its monitor do not notice, and nothing of the session is left."""
    cid = skiff.detached('--name', 's', '--', 'sleep', '1000000')
    monitor, init = skiff.monitor_pid('s'), skiff.state('s')['Pid']
    fds, rng = None, random.Random(5)
    for i in range(rounds(12, 10000)):
        skiff('exec', '-d', 's', 'sleep', '999')
        pids = [int(x.split()[0]) for x in skiff.out('top', 's', 'hpid,args').splitlines()[1:] if x.endswith('sleep 999')]
        assert len(pids) == 1, skiff.out('top', 's', 'hpid,args')
        session = int(Path(f'/proc/{pids[0]}/stat').read_text().rpartition(')')[2].split()[1])
        assert comm(session) == 'skiff-monitor' and session != monitor
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.02)
        kill9(session)
        assert wait_until(lambda: ended(pids[0])), 'its process outlives it'
        fds = fds or len(os.listdir(f'/proc/{monitor}/fd'))
    assert skiff.state('s')['Pid'] == init and len(os.listdir(f'/proc/{monitor}/fd')) == fds and zombies_of(monitor) == []
    sessions = skiff.run_root / 'containers' / cid / 'exec'
    for d in list(sessions.iterdir()):
        os.utime(d, (1, 1))  # long ago
    for _ in range(3):
        skiff('exec', '-d', 's', 'true')  # each sweeps a few of the dead ones
    assert SOAK or wait_until(lambda: len(list(sessions.iterdir())) == 0), list(sessions.iterdir())
    skiff('exec', 's', 'true')
    skiff('stop', '-t', '0', 's')
    assert wait_until(lambda: not (skiff.run_root / 'containers' / cid).exists())
