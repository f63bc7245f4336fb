"""--device and --device-cgroup-rule, in docker's words."""
import os
import stat

import pytest

SHOW = 'stat -c "%F %t:%T %a" '


def test_a_device_is_there_and_usable(skiff):
    assert skiff.run('--device', '/dev/fuse:/dev/log2', '--', 'sh', '-c', SHOW + '/dev/log2').stdout.split()[:3] == ['character', 'special', 'file']
    assert skiff.run('--device', '/dev/loop-control', '--', 'sh', '-c', SHOW + '/dev/loop-control').returncode == 0
    assert skiff.run('--', 'ls', '/dev/fuse', rc=1).stdout == ''
    assert skiff.run('--device', '/dev/fuse', '--', 'sh', '-c', 'exec 3</dev/fuse && echo opened').stdout == 'opened\n'


def test_access_is_what_was_said(skiff):
    p = skiff.run('--device', '/dev/fuse:/dev/fuse:r', '--', 'sh', '-c', 'exec 3</dev/fuse && echo read; (exec 4>/dev/fuse) 2>&1 || echo no')
    assert p.stdout.startswith('read\n') and p.stdout.endswith('no\n') and 'ermitted' in p.stdout


def test_a_directory_of_devices(skiff, tmp_path):
    tmp_path = tmp_path / 'devs'
    os.makedirs(tmp_path / 'sub')
    os.mknod(tmp_path / 'one', 0o640 | stat.S_IFCHR, os.makedev(1, 7))
    os.mknod(tmp_path / 'sub' / 'two', 0o600 | stat.S_IFCHR, os.makedev(1, 8))
    (tmp_path / 'file').write_text('')
    out = skiff.run('--device', f'{tmp_path}:/dev/mine', '--', 'sh', '-c', 'find /dev/mine -type c | sort').stdout
    assert out == '/dev/mine/one\n/dev/mine/sub/two\n'


def test_rules_allow_what_the_container_makes(skiff):
    make = 'mknod /tmp/k c 10 229 && (exec 3</tmp/k) 2>&1 && echo opened'
    assert 'opened' not in skiff.run('--', 'sh', '-c', make, rc=None).stdout
    assert skiff.run('--device-cgroup-rule', 'c 10:229 r', '--', 'sh', '-c', make).stdout == 'opened\n'
    assert skiff.run('--device-cgroup-rule', 'c 10:* rmw', '--', 'sh', '-c', make).stdout == 'opened\n'


def test_inspect(skiff):
    cid = skiff.sleeper('--device', '/dev/fuse:/dev/x:r', '--device-cgroup-rule', 'c 7:* rmw')
    host = skiff.inspect(cid)['HostConfig']
    assert host['Devices'] == [{'PathOnHost': '/dev/fuse', 'PathInContainer': '/dev/x', 'CgroupPermissions': 'r'}]
    assert host['DeviceCgroupRules'] == ['c 7:* rmw']
    skiff('rm', '-f', cid)


@pytest.mark.parametrize('flag, word, says', [
    ('--device', '/dev/nothing', 'no such file or directory'), ('--device', '/etc/passwd', 'not a device node'),
    ('--device', '/dev/fuse:/dev/x:rz', 'invalid device mode: rz'), ('--device', 'fuse', 'invalid device specification'),
    ('--device', '/dev/fuse:x', 'invalid device specification'), ('--device', 'vendor.example/class=one', 'CDI'),
    ('--device-cgroup-rule', 'c 1:3', 'invalid device cgroup rule'), ('--device-cgroup-rule', 'x 1:3 r', 'invalid device cgroup rule'),
    ('--device-cgroup-rule', 'c 99999999:3 r', 'invalid device cgroup rule')])
def test_refusals(skiff, flag, word, says):
    assert says in skiff('run', '--rm', flag, word, skiff.image, 'true', rc=125).stderr
    assert skiff.out('ps', '-aq') == ''
