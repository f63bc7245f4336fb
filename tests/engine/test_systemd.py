"""--systemd: what a container gets whose first process is systemd; and a Debian with systemd that boots in one (SKIFF_SOAK=1, needs debootstrap)."""
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import wait_until

V1 = Path('/sys/fs/cgroup/memory').is_dir()
TMPFS = {'/run', '/run/lock', '/tmp', '/var/log/journal'}


def config(skiff, cid):
    import json
    return json.loads((skiff.root / 'containers' / cid / 'config.json').read_text())


@pytest.mark.parametrize('command,on', [(['/sbin/init'], True), (['/usr/sbin/init'], True), (['/usr/local/sbin/init'], True), (['/lib/systemd/systemd', '--unit=x'], True),
                                        (['systemd'], True), (['/bin/sh', '-c', '/sbin/init'], True), (['init'], False), (['sleep', '/sbin/init'], False)])
def test_an_init_is_known_by_its_name(skiff, command, on):
    cid = skiff.out('create', '--network', 'none', skiff.image, *command).strip()
    doc = config(skiff, cid)
    assert TMPFS <= {m['destination'] for m in doc['mounts'] if m['type'] == 'tmpfs'} if on else not TMPFS & {m['destination'] for m in doc['mounts']}
    assert skiff.inspect(cid)['Config']['StopSignal'] == ('SIGRTMIN+3' if on else 'SIGTERM')
    assert any(v.startswith('container_uuid=') for v in doc['process']['env']) == on


def test_always_and_false(skiff):
    script = 'env | grep ^container; grep -c tmpfs /proc/mounts >/dev/null; for d in /run /run/lock /tmp /var/log/journal; do touch $d/x || echo no $d; done; ' + (
        'mkdir /sys/fs/cgroup/systemd/sub && echo own; mkdir /sys/fs/cgroup/memory/sub 2>/dev/null && echo too much; rmdir /sys/fs/cgroup/systemd/sub; [ ! -e /sys/fs/cgroup/unified/cgroup.procs ] || echo not hidden' if V1 else
        'mkdir /sys/fs/cgroup/sub && echo own; rmdir /sys/fs/cgroup/sub')
    cid = skiff.out('create', '--network', 'none', '--read-only', '--systemd=always', skiff.image, 'sh', '-c', script).strip()
    p = skiff('start', '-a', cid)
    uuid = f'{cid[:8]}-{cid[8:12]}-{cid[12:16]}-{cid[16:20]}-{cid[20:32]}'
    assert sorted(p.stdout.split()) == sorted(['container=skiff', f'container_uuid={uuid}', 'own']), p.stdout + p.stderr
    cid = skiff.out('create', '--systemd=false', skiff.image, '/sbin/init').strip()
    assert skiff.inspect(cid)['Config']['StopSignal'] == 'SIGTERM' and not TMPFS & {m['destination'] for m in config(skiff, cid)['mounts']}
    assert 'expected true, false or always' in skiff.run('--systemd=maybe', '--', 'true', rc=125).stderr


def test_what_the_user_says_comes_first(skiff, tmp_path):
    cid = skiff.out('create', '--network', 'none', '--stop-signal', 'INT', '-v', f'{tmp_path}:/run', skiff.image, '/sbin/init').strip()
    assert skiff.inspect(cid)['Config']['StopSignal'] == 'SIGINT'
    assert [m['type'] for m in config(skiff, cid)['mounts'] if m['destination'] == '/run'] == ['bind']


def test_rdt_class_is_in_the_configuration(skiff):
    cid = skiff.out('create', '--rdt-class', 'gold', skiff.image, 'true').strip()
    assert config(skiff, cid)['linux']['intelRdt'] == {'closID': 'gold'}
    if not Path('/sys/fs/resctrl/schemata').exists():
        assert 'resctrl' in skiff('start', '-a', cid, rc=None).stderr


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A Debian with systemd; SKIFF_SYSTEMD_TREE keeps it for the next time."""
    tree = Path(os.environ.get('SKIFF_SYSTEMD_TREE', tmp_path_factory.mktemp('systemd') / 'debian'))
    if not tree.exists():
        mirror = os.environ.get('MIRROR') or subprocess.run(['apt-get', 'indextargets', '--format', '$(SITE)', 'Created-By: Packages'], capture_output=True, text=True,
                                                            check=True).stdout.split()[0]
        enter = ['nsenter', f'--net={os.environ["SKIFF_TEST_HOST_NET"]}'] if 'SKIFF_TEST_HOST_NET' in os.environ else []
        subprocess.run([*enter, 'debootstrap', '--variant=minbase', '--include=systemd,systemd-sysv', 'bookworm', str(tree), mirror], check=True, timeout=1800,
                       stdout=subprocess.DEVNULL)
    return tree


@pytest.mark.skipif(not {'SKIFF_SOAK', 'SKIFF_SYSTEMD_TREE'} & set(os.environ), reason='fetches and boots a whole system: SKIFF_SOAK=1')
@pytest.mark.skipif(not shutil.which('debootstrap'), reason='debootstrap is not installed')
@pytest.mark.parametrize('mode', ['true', 'always'])
def test_debian_boots_and_shuts_down(skiff, tree, mode):
    command = {'true': ['/sbin/init'], 'always': ['sh', '-c', 'exec /lib/systemd/systemd']}[mode]
    cid = skiff.out('run', '-d', f'--systemd={mode}', '--rootfs', f'{tree}:O', *command).strip()
    state = lambda: skiff('exec', cid, 'systemctl', 'is-system-running', rc=None).stdout.strip()
    assert wait_until(lambda: state() == 'running', 300, 0.5), (state(), skiff.out('logs', cid)[-2000:], skiff('exec', cid, 'systemctl', '--failed', rc=None).stdout)
    assert skiff.out('exec', cid, 'systemd-detect-virt', '-c').strip() == 'container-other'
    assert 'systemd-journald' in skiff.out('exec', cid, 'systemctl', 'list-units', '--type=service', '--state=running', '--no-legend', '--plain')
    skiff('exec', cid, 'systemctl', 'start', 'systemd-tmpfiles-clean.service')
    assert skiff.out('exec', cid, 'systemctl', 'show', '-p', 'Result', 'systemd-tmpfiles-clean.service') == 'Result=success\n'
    skiff('restart', '-t', '120', cid)
    assert wait_until(lambda: state() == 'running', 300, 0.5)
    assert skiff.inspect(cid)['Config']['StopSignal'] == 'SIGRTMIN+3'
    began = time.monotonic()
    skiff('stop', '-t', '120', cid, timeout=180)
    assert time.monotonic() - began < 100 and skiff.state(cid)['ExitCode'] in (0, 130), 'it shut down by itself'
