"""Pods: containers that share namespaces and are listed, started, stopped and removed together, in podman's words."""
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, wait_until

LOOP = ('sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done')


def ns(pid, kind):
    return os.readlink(f'/proc/{pid}/ns/{kind}')


def pod_row(skiff, name, *flags):
    rows = [json.loads(line) for line in skiff.out('pod', 'ps', '--format', 'json', *flags).splitlines()]
    return next((r for r in rows if r['Name'] == name), None)


def in_pod(skiff, pod, *flags, command=LOOP):
    return skiff.out('run', '-d', '--pod', pod, *flags, skiff.image, *command).strip()


@pytest.fixture
def pod(skiff):
    skiff('pod', 'create', '--name', 'p')
    yield 'p'
    skiff('pod', 'rm', '-f', 'p', rc=None)


def holder(skiff, pod):
    """The process that holds the pod's namespaces: the one that listens on its control socket."""
    pid = json.loads(skiff.out('pod', 'inspect', pod))[0]['Id']
    for p in Path('/proc').iterdir():
        if not p.name.isdigit():
            continue
        try:
            words = (p / 'cmdline').read_bytes().split(b'\0')
        except OSError:
            continue
        if words[:3] == [b'skiff-monitor', b'pod', pid[:12].encode()]:
            return int(p.name)
    return None


@pytest.mark.smoke
def test_containers_of_a_pod_share_network_ipc_and_host_name_but_not_processes(skiff, pod):
    a, b = in_pod(skiff, pod, '--name', 'a'), in_pod(skiff, pod, '--name', 'b')
    pa, pb = skiff.state(a)['Pid'], skiff.state(b)['Pid']
    for kind in ('net', 'ipc', 'uts'):
        assert ns(pa, kind) == ns(pb, kind) != ns('self', kind), kind
    for kind in ('pid', 'mnt'):
        assert ns(pa, kind) != ns(pb, kind), kind
    assert skiff.out('exec', 'a', 'hostname') == skiff.out('exec', 'b', 'hostname') == 'p\n'
    row = pod_row(skiff, 'p')
    assert row['Status'] == 'Running' and row['NumberOfContainers'] == '2' and row['ContainerNames'] == 'a,b'


def test_the_check_leaves_a_running_pod_alone(skiff, pod):
    skiff('start', skiff.out('create', '--pod', 'p', skiff.image, 'sleep', '1000').strip())
    assert skiff.out('system', 'check', '--repair') == 'Everything is in order.\n'
    assert skiff.out('pod', 'inspect', '--format', '{{.State}}', 'p').strip() == 'Running'


def test_a_server_in_one_container_is_reached_on_loopback_by_another(skiff, pod):
    in_pod(skiff, pod, '--name', 'server', command=('sh', '-c', 'while :; do echo hello | nc -l -p 7000; done'))
    assert wait_until(lambda: skiff.out('run', '--rm', '--pod', pod, skiff.image, 'sh', '-c', 'nc 127.0.0.1 7000 </dev/null || true') == 'hello\n')


def test_other_namespaces_when_share_says_so(skiff):
    skiff('pod', 'create', '--name', 'q', '--share', 'ipc')
    try:
        a, b = in_pod(skiff, 'q'), in_pod(skiff, 'q')
        pa, pb = skiff.state(a)['Pid'], skiff.state(b)['Pid']
        assert ns(pa, 'ipc') == ns(pb, 'ipc') and ns(pa, 'uts') != ns(pb, 'uts') and ns(pa, 'net') != ns(pb, 'net')
    finally:
        skiff('pod', 'rm', '-f', 'q')


def test_stop_start_restart_kill_pause_reach_every_container(skiff, pod):
    ids = [in_pod(skiff, pod) for _ in range(2)]
    states = lambda: {skiff.state(i)['Status'] for i in ids}
    skiff('pod', 'pause', 'p')
    assert states() == {'paused'} and pod_row(skiff, 'p')['Status'] == 'Paused'
    skiff('pod', 'unpause', 'p')
    assert states() == {'running'}
    skiff('pod', 'stop', '-t', '5', 'p')
    assert states() == {'exited'} and pod_row(skiff, 'p')['Status'] == 'Exited' and holder(skiff, 'p') is None
    skiff('pod', 'start', 'p')
    assert states() == {'running'} and holder(skiff, 'p')
    old = [skiff.state(i)['Pid'] for i in ids]
    skiff('pod', 'restart', '-t', '5', 'p')
    assert states() == {'running'} and not set(old) & {skiff.state(i)['Pid'] for i in ids}
    skiff('pod', 'kill', 'p')
    assert wait_until(lambda: states() == {'exited'})


def test_a_container_starts_its_pod(skiff, pod):
    assert pod_row(skiff, 'p')['Status'] == 'Created' and holder(skiff, 'p') is None
    in_pod(skiff, pod)
    assert holder(skiff, 'p')


def test_pod_new_makes_one(skiff):
    in_pod(skiff, 'new:fresh')
    assert pod_row(skiff, 'fresh')['Status'] == 'Running'
    skiff('pod', 'rm', '-f', 'fresh')
    assert skiff.out('ps', '-aq') == ''


def test_rm_refuses_a_pod_with_containers_unless_forced(skiff, pod):
    in_pod(skiff, pod)
    p = skiff('pod', 'rm', 'p', rc=125)
    assert 'has 1 containers' in p.stderr
    skiff('pod', 'rm', '-f', 'p')
    assert skiff('pod', 'exists', 'p', rc=1) and skiff.out('ps', '-aq') == '' and skiff.out('pod', 'ps', '-q') == ''


def test_pods_and_containers_have_one_name_space(skiff, pod):
    assert 'already in use' in skiff('run', '--name', 'p', skiff.image, 'true', rc=125).stderr
    assert 'already in use' in skiff('pod', 'create', 'p', rc=125).stderr


def test_a_host_name_of_its_own_is_refused_in_a_pod_that_shares_it(skiff, pod):
    p = skiff('run', '--pod', 'p', '--hostname', 'x', skiff.image, 'true', rc=125)
    assert 'hostname' in p.stderr and 'pod' in p.stderr


def test_exit_policy_stop_ends_the_holder_with_the_last_container(skiff):
    skiff('pod', 'create', '--name', 'e', '--exit-policy', 'stop')
    try:
        skiff('run', '--pod', 'e', skiff.image, 'true')
        assert wait_until(lambda: holder(skiff, 'e') is None)
    finally:
        skiff('pod', 'rm', '-f', 'e')


def test_a_killed_holder_is_started_again_by_the_next_container(skiff, pod):
    in_pod(skiff, pod, '--name', 'a')
    os.kill(holder(skiff, 'p'), signal.SIGKILL)
    assert wait_until(lambda: holder(skiff, 'p') is None)
    assert skiff.state('a')['Status'] == 'running', 'a container has a monitor of its own'
    in_pod(skiff, pod, '--name', 'b')
    assert holder(skiff, 'p') and pod_row(skiff, 'p')['Status'] == 'Running'


def test_a_holder_whose_run_root_was_removed_by_hand(skiff, tmp_path):
    """Found by the check of any root, ended by its repair; one that can be reached stays. In a PID namespace, so that no check of another test ends it."""
    script = """set -e
        for x in lost kept; do
            mkdir "$2/$x"
            "$1" --root "$2/$x/lib" --run-root "$2/$x/run" pod create --share ipc,uts --name $x >&2
            "$1" --root "$2/$x/lib" --run-root "$2/$x/run" pod start $x >&2
        done
        rm -rf "$2/lost/run"
        check() { "$1" --root "$2/$3/lib" --run-root "$2/$3/run" system check --quick $4 || :; echo --; }
        check "$1" "$2" kept
        check "$1" "$2" lost
        check "$1" "$2" kept --repair
        check "$1" "$2" kept
        "$1" --root "$2/kept/lib" --run-root "$2/kept/run" pod ps
        "$1" --root "$2/kept/lib" --run-root "$2/kept/run" pod rm -f kept >&2"""
    p = subprocess.run(['unshare', '-p', '-f', '--mount-proc', '--kill-child', 'sh', '-c', script, 'sh', BIN / 'skiff', tmp_path], capture_output=True, text=True,
                       timeout=60, env=skiff.env)
    assert p.returncode == 0, (p.stdout, p.stderr)
    pid = next((tmp_path / 'lost' / 'lib' / 'pods').glob('[0-9a-f]' * 64)).name
    there, again, repaired, gone, rest = p.stdout.split('--\n')
    row = [x for x in there.splitlines() if 'run directory was removed' in x]
    assert len(row) == 1 and pid[:12] in row[0] and 'run directory was removed' in again, p.stdout
    assert [x.split()[-1] for x in repaired.splitlines() if 'run directory was removed' in x] == ['ended'], p.stdout
    assert 'run directory was removed' not in gone and 'Running' in rest, p.stdout


def test_filters_and_bad_words(skiff, pod):
    skiff('pod', 'create', '--name', 'other', '--label', 'k=v')
    try:
        names = lambda *f: skiff.out('pod', 'ps', '--format', '{{.Name}}', *f).split()
        assert sorted(names()) == ['other', 'p'] and names('--filter', 'label=k=v') == ['other'] and names('--filter', 'name=oth') == ['other']
        assert names('--filter', 'ctr-number=1') == [] and 'invalid filter' in skiff('pod', 'ps', '--filter', 'no=1', rc=125).stderr
        assert 'options are' in skiff('pod', 'create', '--share', 'mnt', rc=125).stderr
        assert 'no such pod' in skiff('pod', 'start', 'nobody', rc=125).stderr
        assert 'no such pod' in skiff('run', '--pod', 'nobody', skiff.image, 'true', rc=125).stderr
    finally:
        skiff('pod', 'rm', 'other')


def test_the_cgroup_of_a_container_is_below_its_pod(skiff, pod):
    cid = in_pod(skiff, pod)
    pid = json.loads(skiff.out('pod', 'inspect', 'p'))[0]['Id']
    assert f'/skiff/p/{pid}/{cid}' in Path(f'/proc/{skiff.state(cid)["Pid"]}/cgroup').read_text()
    skiff('pod', 'rm', '-f', 'p')
    assert not list(Path('/sys/fs/cgroup').glob(f'*/skiff/p/{pid}')) and not Path(f'/sys/fs/cgroup/skiff/p/{pid}').exists()


def test_a_pod_in_a_user_namespace(skiff):
    conf = skiff.tmp / 'skiff.conf'
    conf.write_text('userns_ids = 300000:8192\n')
    skiff.env['SKIFF_CONF'] = str(conf)
    for share in ('net,ipc,uts', 'net,ipc,uts,pid', 'none'):
        skiff('pod', 'create', '--name', 'u', '--userns=auto:size=4096', '--share', share)
        a, b = in_pod(skiff, 'u'), in_pod(skiff, 'u')
        pa, pb = skiff.state(a)['Pid'], skiff.state(b)['Pid']
        assert Path(f'/proc/{pa}/uid_map').read_text().split() == ['0', '300000', '4096'], share
        assert (ns(pa, 'user') == ns(pb, 'user')) == (share != 'none') and ns(pa, 'user') != ns('self', 'user')
        assert all((ns(pa, k) == ns(pb, k)) == (n in share.split(',')) for k, n in (('net', 'net'), ('ipc', 'ipc'), ('uts', 'uts'), ('pid', 'pid')))
        out = skiff.out('exec', a, 'sh', '-c', 'touch /new; stat -c %u /new /bin/busybox /etc/hosts; cat /sys/class/net/lo/operstate >/dev/null && echo sys')
        assert out.split()[:4] == ['0', '0', '0', 'sys'], share
        assert '--userns and --pod' in skiff('run', '--pod', 'u', '--userns=host', skiff.image, 'true', rc=125).stderr
        skiff('restart', '-t', '1', a)
        assert Path(f'/proc/{skiff.state(a)["Pid"]}/uid_map').read_text().split()[1] == '300000'
        skiff('pod', 'stop', '-t', '1', 'u')
        skiff('pod', 'start', 'u')
        assert wait_until(lambda: skiff.state(b)['Running'])
        skiff('pod', 'rm', '-f', 'u')
    skiff('pod', 'create', '--name', 'h')  # a container with ids of its own in a pod of the host's
    try:
        c = in_pod(skiff, 'h', '--userns=auto:size=1000')
        assert Path(f'/proc/{skiff.state(c)["Pid"]}/uid_map').read_text().split() == ['0', '300000', '1000']
        assert skiff.out('exec', c, 'sh', '-c', 'ls /sys >/dev/null; id -u').split() == ['0']
    finally:
        skiff('pod', 'rm', '-f', 'h')


@pytest.mark.parametrize('flags', [[], ['--uidmap', '0:200000:65536']])
def test_containers_share_dev_shm(skiff, flags):
    """As podman's, with the IPC namespace: what one leaves there another finds, also when the first has ended."""
    skiff('pod', 'create', '--name', 'p', *flags)
    skiff('run', '--rm', '--pod', 'p', skiff.image, 'sh', '-c', 'echo one >/dev/shm/f; stat -c "%a %u" /dev/shm')
    b = skiff.detached('--pod', 'p', '--', 'sh', '-c', 'cat /dev/shm/f; df -k /dev/shm | tail -1; grep " /dev/shm " /proc/mounts; sleep 1000')
    assert wait_until(lambda: len(skiff.out('logs', b).splitlines()) == 3), skiff.out('logs', b)
    text, df, mount = skiff.out('logs', b).splitlines()
    assert text == 'one' and df.split()[1] == str(64 << 10) and {'nosuid', 'nodev', 'noexec', 'rw'} <= set(mount.split()[3].split(','))
    skiff('exec', b, 'sh', '-c', 'echo two >/dev/shm/f')
    assert skiff.out('run', '--rm', '--pod', 'p', skiff.image, 'cat', '/dev/shm/f') == 'two\n'
    assert skiff.out('run', '--rm', '--pod', 'p', '--tmpfs', '/dev/shm', skiff.image, 'ls', '/dev/shm') == '', 'what the user mounts there comes first'
    skiff('pod', 'rm', '-f', '-t', '0', 'p')


def test_dev_shm_is_not_shared_without_ipc(skiff):
    skiff('pod', 'create', '--name', 'p', '--share', 'uts')
    skiff('run', '--rm', '--pod', 'p', skiff.image, 'touch', '/dev/shm/f')
    assert skiff.out('run', '--rm', '--pod', 'p', skiff.image, 'ls', '/dev/shm') == ''
    skiff('pod', 'rm', '-f', 'p')
