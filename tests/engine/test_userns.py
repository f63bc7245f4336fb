"""--userns and its relatives: ids inside and outside, whose the files are, free ids for `auto`, and what cp, commit, export, diff, exec and restart make of it."""
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from conftest import wait_until

IDS = 'userns_ids = 300000:8192\n'


@pytest.fixture
def conf(skiff):
    """auto gives away ids of its own choice here, whatever /etc/subuid says."""
    path = skiff.tmp / 'skiff.conf'
    path.write_text(IDS)
    skiff.env['SKIFF_CONF'] = str(path)
    return path


def uid_map(skiff, cid, kind='uid'):
    return [tuple(map(int, line.split())) for line in Path(f'/proc/{skiff.state(cid)["Pid"]}/{kind}_map').read_text().splitlines()]


def host_uid(pid):
    return int(next(x for x in Path(f'/proc/{pid}/status').read_text().splitlines() if x.startswith('Uid:')).split()[1])


def owner(skiff, cid, path):
    st = os.lstat(skiff.root / 'containers' / cid / 'rw' / path.lstrip('/'))
    return st.st_uid, st.st_gid


@pytest.mark.smoke
def test_uidmap_maps_root_of_the_container_to_an_ordinary_user_of_the_host(skiff):
    cid = skiff.sleeper('--uidmap', '0:400000:2000', '--gidmap', '0:410000:1000')
    assert uid_map(skiff, cid) == [(0, 400000, 2000)] and uid_map(skiff, cid, 'gid') == [(0, 410000, 1000)]
    assert host_uid(skiff.state(cid)['Pid']) == 400000
    script = 'id -u; stat -c %u:%g / /bin/busybox /etc/hosts /etc/resolv.conf; touch /new; chmod 600 /hello.txt; cat /proc/sys/net/ipv4/ping_group_range; echo x >/etc/hosts; echo fine >/dev/stdout'
    assert skiff.out('exec', cid, 'sh', '-c', script).split() == ['0'] + ['0:0'] * 4 + ['0', '999', 'fine']
    assert owner(skiff, cid, '.') == owner(skiff, cid, 'new') == owner(skiff, cid, 'hello.txt') == (400000, 410000)
    assert all(os.lstat(p).st_uid == 0 for p in skiff.root.glob('layers/*/tree/*')), 'the layers are as they were'
    assert not list(skiff.root.glob('layers/*/map-*')), 'no copy of a layer'
    h = skiff.inspect(cid)['HostConfig']
    assert h['IDMappings'] == {'UidMap': ['0:400000:2000'], 'GidMap': ['0:410000:1000']} and h['UsernsMode'] == 'private'


def test_of_one_map_alone_podman_takes_both_and_the_size_is_one(skiff):
    out = skiff.run('--network', 'none', '--gidmap', '0:400000:30', '--gidmap', '70:500000', '--', 'cat', '/proc/self/uid_map', '/proc/self/gid_map').stdout
    assert [x.split() for x in out.splitlines()] == [['0', '400000', '30'], ['70', '500000', '1']] * 2


def test_the_process_and_what_it_starts_with(skiff):
    out = skiff.run('--uidmap', '0:400000:2000', '-u', '1000:1001', '--', 'sh', '-c', 'id -u; id -g; echo out >/dev/stdout; echo err >/dev/stderr; touch /tmp/mine && stat -c %u:%g /tmp/mine')
    assert out.stdout.split() == ['1000', '1001', 'out', '1000:1001'] and out.stderr == 'err\n'
    assert skiff.run('--uidmap', '0:400000:30', '-t', '--', 'sh', '-c', 'test -w /dev/tty && stat -c %u $(tty)').stdout.split() == ['0']
    out = skiff.run('--uidmap', '0:400000:70000', '--privileged', '--', 'sh', '-c', 'mount -t tmpfs x /tmp && echo mounted').stdout
    assert out == 'mounted\n'


def test_two_auto_containers_have_no_id_in_common_and_give_them_back(skiff, conf):
    a, b = skiff.sleeper('--userns', 'auto:size=4096'), skiff.sleeper('--userns=auto:size=4096')
    ranges = [uid_map(skiff, c) for c in (a, b)]
    assert sorted(r[0][1] for r in ranges) == [300000, 304096] and all(len(r) == 1 and r[0][2] == 4096 for r in ranges)
    err = skiff.run('--userns=auto:size=1', '--', 'true', rc=125).stderr
    assert 'not enough unused ids' in err and 'userns_ids' in err
    skiff('rm', '-f', a)
    assert skiff.run('--userns=auto:size=4096', '--', 'cat', '/proc/self/uid_map').stdout.split()[1] == str(ranges[0][0][1])
    # --rm gave it back, too; and an id that a stopped container has stays its own
    skiff('stop', '-t', '5', b)
    assert skiff.run('--userns=auto:size=4096', '--', 'cat', '/proc/self/uid_map').stdout.split()[1] == str(ranges[0][0][1])
    skiff('start', b)
    assert uid_map(skiff, b) == ranges[1]


def test_many_at_once_do_not_overlap(skiff, conf):
    ps = [skiff.popen('create', '--network', 'none', '--userns=auto:size=1000', skiff.image, 'true') for _ in range(8)]
    ids = [p.communicate(timeout=60)[0].decode().strip() for p in ps]
    assert [p.returncode for p in ps] == [0] * 8
    maps = [[tuple(map(int, m.split(':'))) for m in skiff.inspect(i)['HostConfig']['IDMappings']['UidMap']] for i in ids]
    taken = sorted((h, h + n) for m in maps for _, h, n in m)
    assert sum(e - s for s, e in taken) == 8000 and all(taken[i][1] <= taken[i + 1][0] for i in range(len(taken) - 1)), taken


def test_auto_size_is_what_the_users_of_the_image_need(skiff, conf):
    size = lambda *flags: int(skiff.run('--network', 'none', '--userns=auto', *flags, '--', 'cat', '/proc/self/uid_map').stdout.split()[2])
    assert size() == 1024
    assert size('-u', '3000') == 3001
    assert size('--group-add', '2047') == 2048
    assert 'userns_max_size' in skiff.run('--userns=auto', '-u', '70000', '--', 'true', rc=125).stderr
    conf.write_text(IDS + 'userns_min_size = 2000\n')
    assert size() == 2000


def test_auto_with_a_mapping_that_is_given(skiff, conf):
    out = skiff.run('--network', 'none', '--userns=auto:size=100,uidmapping=50:1000:10,gidmapping=0:77:1', '--', 'cat', '/proc/self/uid_map', '/proc/self/gid_map').stdout
    rows = [tuple(map(int, x.split())) for x in out.splitlines()]
    assert rows == [(0, 300000, 50), (50, 1000, 10), (60, 300050, 40), (0, 77, 1), (1, 300000, 99)]


def test_auto_in_pieces_when_there_is_no_room_in_one(skiff, conf):
    conf.write_text('userns_ids = 300000:100 500000:100\n')
    out = skiff.run('--network', 'none', '--userns=auto:size=150', '--', 'cat', '/proc/self/uid_map').stdout
    assert [tuple(map(int, x.split())) for x in out.splitlines()] == [(0, 300000, 100), (100, 500000, 50)]


def test_auto_is_what_the_configuration_says_unless_host_is_asked_for(skiff, conf):
    conf.write_text(IDS + 'userns = auto\n')
    script = ('--network', 'none', '--', 'cat', '/proc/self/uid_map')
    assert skiff.run(*script).stdout.split()[1] == '300000'
    own = Path('/proc/self/uid_map').read_text().split()
    assert skiff.run('--userns=host', *script).stdout.split() == own


def test_subordinate_ids_by_name(skiff, conf):
    conf.write_text('userns_user = nobody-has-this-name\n')
    assert 'no ranges of ids found for user "nobody-has-this-name" in /etc/subuid' in skiff.run('--userns=auto', '--', 'true', rc=125).stderr
    assert 'no ranges of ids found for user "nor-this" in /etc/subuid' in skiff.run('--subuidname', 'nor-this', '--', 'true', rc=125).stderr


def test_keep_id_as_root_is_a_namespace_of_its_own_with_the_same_ids(skiff):
    out = skiff.run('--network', 'none', '--userns=keep-id:uid=12,gid=34', '--', 'sh', '-c', 'readlink /proc/self/ns/user; id -u; id -g; cat /proc/self/uid_map; touch /tmp/x')
    ns, uid, gid, *ids = out.stdout.split()
    assert ns != os.readlink('/proc/self/ns/user') and (uid, gid) == ('12', '34')
    assert ids == [Path('/proc/self/uid_map').read_text().split()[0]] * 2 + [Path('/proc/self/uid_map').read_text().split()[2]]


@pytest.mark.parametrize('flags,word', [
    (['--userns=nomap'], 'only for a plain user'), (['--userns=wrong'], 'invalid user namespace mode'), (['--userns=auto:siz=1'], "unknown option 'siz=1'"),
    (['--userns=auto:size=0'], 'invalid size'), (['--uidmap', '0:1'*20], 'invalid mapping'), (['--uidmap', '0:1:2', '--uidmap', '1:10:1'], 'mapped twice'),
    (['--uidmap', '0:1:2', '--uidmap', '5:2:1'], 'mapped twice'), (['--uidmap', '0:1:0'], 'empty'), (['--userns=auto', '--uidmap', '0:1:1'], 'mutually exclusive'),
    (['--uidmap', '0:1:1', '--subuidname', 'x'], 'mutually exclusive'), (['--userns=ns:rel'], 'absolute path'), (['--userns=container:nobody'], 'No such container'),
    (['--userns=keep-id:uid=x'], 'invalid uid'), (['--uidmap', '0:400000:9', '-u', '9'], 'user 9 of the process is not mapped'),
    (['--uidmap', '0:400000:9', '-u', '0:0', '--group-add', '9'], 'group 9 is not mapped'),
])
def test_what_is_wrong_is_refused_by_name_and_leaves_nothing(skiff, flags, word):
    assert word in skiff.run(*flags, '--', 'true', rc=125).stderr
    assert skiff.out('ps', '-aq') == ''


def test_namespace_of_another_container_and_by_path(skiff, conf):
    a = skiff.sleeper('--userns=auto')
    pid, m = skiff.state(a)['Pid'], uid_map(skiff, a)
    ns = os.readlink(f'/proc/{pid}/ns/user')
    for mode in (f'container:{a[:12]}', f'ns:/proc/{pid}/ns/user'):
        b = skiff.sleeper(f'--userns={mode}')
        assert os.readlink(f'/proc/{skiff.state(b)["Pid"]}/ns/user') == ns, mode
        assert skiff.out('exec', b, 'sh', '-c', 'touch /new; stat -c %u / /new /bin/busybox').split() == ['0'] * 3, mode
        assert owner(skiff, b, 'new')[0] == m[0][1] and skiff.inspect(b)['HostConfig']['IDMappings']['UidMap'] == [':'.join(map(str, m[0]))]
        skiff('rm', '-f', b)
    b = skiff.sleeper(f'--userns=container:{a}', f'--network=container:{a}', f'--ipc=container:{a}', f'--pid=container:{a}')
    assert skiff.out('exec', b, 'sh', '-c', 'test -d /sys/class/net/lo && ls /dev/mqueue && stat -c %u /proc/1').split() == ['0']
    skiff('rm', '-f', b)
    # of a container on the host's, from a namespace of one's own
    h = skiff.sleeper()
    assert skiff.run('--userns=auto', f'--network=container:{h}', f'--ipc=container:{h}', f'--pid=container:{h}', '--', 'sh', '-c', 'id -u; ls /sys >/dev/null').stdout.split() == ['0']
    assert skiff.run(f'--userns=container:{h}', '--', 'cat', '/proc/self/uid_map').stdout == Path('/proc/self/uid_map').read_text()


def test_with_namespaces_of_the_host(skiff):
    for flags in (['--network=host'], ['--ipc=host'], ['--pid=host'], ['--uts=host', '--read-only'], ['--cgroupns=host', '--init', '--network=none']):
        assert skiff.run('--uidmap', '0:400000:1000', *flags, '--', 'sh', '-c', 'id -u; ls /proc /sys /dev/shm >/dev/null && echo fine').stdout.split() == ['0', 'fine']


def test_files_of_volumes(skiff, conf, tmp_path):
    (tmp_path / 'd').mkdir()
    (tmp_path / 'd/f').write_text('x')
    os.chown(tmp_path / 'd/f', 7, 8)
    first = lambda *flags, script: skiff.run('--network=none', '--uidmap', '0:400000:1000', *flags, '--', 'sh', '-c', script).stdout.split()
    # a named volume: of the image's directory and a new place
    assert first('-v', 'v1:/tmp', '-v', 'v2:/fresh', script='touch /tmp/a /fresh/a; stat -c %u /tmp /tmp/a /fresh /fresh/a') == ['0'] * 4
    assert os.lstat(skiff.root / 'volumes/v1/_data/a').st_uid == os.lstat(skiff.root / 'volumes/v2/_data').st_uid == 400000
    # a directory of the host: nobody's; its own with idmap; given away with U
    assert first('-v', f'{tmp_path}/d:/d', script='stat -c %u:%g /d/f') == ['65534:65534']
    assert first('--mount', f'type=bind,source={tmp_path}/d,target=/d,idmap', script='stat -c %u:%g /d/f; touch /d/new') == ['7:8']
    assert (os.lstat(tmp_path / 'd/new').st_uid, os.lstat(tmp_path / 'd/f').st_uid) == (0, 7)
    assert first('-v', f'{tmp_path}/d:/d:O', script='stat -c %u:%g /d/f') == ['65534:65534']
    assert first('--mount', f'type=image,source={skiff.image},target=/i', script='stat -c %u:%g /i /i/bin/busybox') == ['0:0', '0:0']
    assert first('--tmpfs', '/t', '--shm-size=1m', script='touch /t/x /dev/shm/x; stat -c %u /t/x /dev/shm/x') == ['0', '0']
    assert first('-v', f'{tmp_path}/d:/d:U', '-u', '5:6', script='stat -c %u:%g /d/f') == ['5:6']
    assert (os.lstat(tmp_path / 'd/f').st_uid, os.lstat(tmp_path / 'd/f').st_gid) == (400005, 400006)
    skiff('volume', 'rm', 'v1', 'v2')


def test_cp_speaks_the_ids_of_the_container_running_or_not(skiff, tmp_path):
    cid = skiff.sleeper('--uidmap', '0:400000:1000')
    skiff('exec', cid, 'sh', '-c', 'mkdir /d; echo text >/d/f; chown 5:6 /d/f; ln -s f /d/l')
    (tmp_path / 'in').write_text('in')
    os.chown(tmp_path / 'in', 9, 10)
    for running in (True, False):
        skiff('cp', tmp_path / 'in', f'{cid}:/in')
        assert owner(skiff, cid, 'in') == (400000, 400000)
        skiff('cp', '-a', tmp_path / 'in', f'{cid}:/in')
        assert owner(skiff, cid, 'in') == (400009, 400010)
        skiff('cp', '-a', f'{cid}:/d', tmp_path / f'out{running}')
        st = os.lstat(tmp_path / f'out{running}/f')
        assert (st.st_uid, st.st_gid) == (5, 6)
        with tarfile.open(fileobj=io.BytesIO(skiff.popen('cp', f'{cid}:/d', '-').communicate(timeout=60)[0])) as t:
            assert {(m.name, m.uid, m.gid) for m in t} == {('d', 0, 0), ('d/f', 5, 6), ('d/l', 0, 0)}
        skiff('stop', '-t', '1', cid)
    os.chown(tmp_path / 'in', 1000, 0)
    assert 'Value too large' in skiff('cp', '-a', tmp_path / 'in', f'{cid}:/in', rc=None).stderr  # an id that the container does not have


def test_commit_export_and_diff_show_the_ids_of_the_container(skiff, conf):
    cid = skiff.sleeper('--userns=auto')
    skiff('exec', cid, 'sh', '-c', 'touch /new; chown 5:6 /new; touch /hello.txt; rm /etc/group 2>/dev/null; chmod 755 /bin')
    diff = skiff.out('diff', cid).splitlines()
    assert 'A /new' in diff and 'C /bin' not in diff, diff
    with tarfile.open(fileobj=io.BytesIO(skiff.popen('export', cid).communicate(timeout=60)[0])) as t:
        rows = {m.name.strip('./'): (m.uid, m.gid) for m in t}
    assert rows['new'] == (5, 6) and rows['hello.txt'] == (0, 0) and {u for u, _ in rows.values()} == {0, 5}
    skiff('commit', cid, 'committed')
    out = skiff.out('run', '--rm', '--network=none', 'committed', 'stat', '-c', '%u:%g', '/new', '/hello.txt', '/bin/busybox')
    assert out.split() == ['5:6', '0:0', '0:0']
    skiff('rm', '-f', cid)
    skiff('rmi', 'committed')


def test_restart_keeps_ids_and_files(skiff, conf):
    cid = skiff.detached('--userns=auto', '--restart=on-failure:2', '--', 'sh', '-c', 'echo x >>/count; test $(wc -l </count) -ge 3; exit $?')
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited', 20)
    assert skiff.state(cid)['ExitCode'] == 0 and owner(skiff, cid, 'count')[0] == 300000, (skiff.state(cid), skiff.out('logs', cid), (skiff.root / 'containers' / cid / 'exit.json').read_text())
    cid = skiff.sleeper('--userns=auto')
    before = uid_map(skiff, cid)
    skiff('restart', '-t', '1', cid)
    assert uid_map(skiff, cid) == before
    skiff('kill', cid)
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited')

