"""SELinux in the engine: labels of processes, mounts and volumes, and the pair of categories of each container.

Needs a kernel with SELinux: `tests/run vm-lsm`. The policy is a handful of types of our own with real categories, permissive; its contexts for
containers are at the place where container-selinux has them."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import wait_until


def text(path):
    try:
        return Path(path).read_text().rstrip('\0\n')
    except OSError:
        return ''


pytestmark = [
    pytest.mark.lsm,
    pytest.mark.skipif('selinux' not in text('/sys/kernel/security/lsm').split(','), reason='SELinux is off (tests/run vm-lsm)'),
    pytest.mark.skipif(not os.path.exists('/run/testvm'), reason='loads a policy of its own: only in the test machine'),
]

# sid: in the kernel's order, which gives them their numbers
POLICY = """class process
class process2
class filesystem
class file
class dir
class lnk_file
sid kernel
sid security
sid unlabeled
class process { fork transition dyntransition setexec setcurrent share }
class process2 { nnp_transition nosuid_transition }
class filesystem { mount relabelfrom relabelto associate }
class file { entrypoint execute read relabelto }
class dir { search }
class lnk_file { read }
sensitivity s0;
dominance { s0 }
""" + '\n'.join(f'category c{i};' for i in range(1024)) + """
level s0:c0.c1023;
mlsconstrain file { relabelto } ( h1 dom h2 );
policycap nnp_nosuid_transition;
type host_t;
type container_t;
type container_init_t;
type other_t;
type host_file_t;
type container_file_t;
type other_file_t;
role system_r;
role object_r;
role other_r;
role system_r types { host_t container_t container_init_t other_t host_file_t container_file_t other_file_t };
role other_r types { container_t other_t };
allow host_t host_t : process { transition };
user system_u roles { system_r other_r } level s0 range s0 - s0:c0.c1023;
user other_u roles { system_r other_r } level s0 range s0 - s0:c0.c1023;
sid kernel system_u:system_r:host_t:s0 - s0:c0.c1023
sid security system_u:system_r:host_t:s0
sid unlabeled system_u:object_r:host_file_t:s0
fs_use_xattr ext4 system_u:object_r:host_file_t:s0;
fs_use_xattr overlay system_u:object_r:host_file_t:s0;
fs_use_trans tmpfs system_u:object_r:host_file_t:s0;
fs_use_trans devpts system_u:object_r:host_file_t:s0;
fs_use_trans mqueue system_u:object_r:host_file_t:s0;
genfscon proc / system_u:object_r:host_file_t:s0
"""
PROCESS, FILE = 'system_u:system_r:container_t:s0', 'system_u:object_r:container_file_t:s0'
PRIVILEGED = FILE + ':c1022,c1023'


@pytest.fixture(scope='module', autouse=True)
def policy(tmp_path_factory):
    if not shutil.which('checkpolicy'):
        pytest.skip('needs checkpolicy')
    if not os.path.exists('/sys/fs/selinux/load'):
        subprocess.run(['mount', '-t', 'selinuxfs', 'selinuxfs', '/sys/fs/selinux'], check=True)
    d = tmp_path_factory.mktemp('policy')
    (d / 'policy.conf').write_text(POLICY)
    r = subprocess.run(['checkpolicy', '-M', '-U', 'allow', '-c', '30', '-o', str(d / 'policy'), str(d / 'policy.conf')], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr + r.stdout
    assert text('/sys/fs/selinux/enforce') == '0'
    with open('/sys/fs/selinux/load', 'wb', buffering=0) as f:
        data = (d / 'policy').read_bytes()
        assert f.write(data) == len(data)
    contexts = Path('/etc/selinux/skiff/contexts')
    contexts.mkdir(parents=True)
    Path('/etc/selinux/config').write_text('# of the tests\nSELINUX=permissive\nSELINUXTYPE=skiff\n')
    (contexts / 'lxc_contexts').write_text(f'process = "{PROCESS}"\ncontent = "system_u:object_r:other_file_t:s0"\nfile = "{FILE}"\n'
                                           'init_process = "system_u:system_r:container_init_t:s0"\n')
    yield
    shutil.rmtree('/etc/selinux/skiff')


def label(path):
    return os.getxattr(path, 'security.selinux', follow_symlinks=False).rstrip(b'\0').decode()


def labels(skiff, name):
    """Process and mount label as inspect has them, after a look at what the kernel says."""
    doc = skiff.inspect(name)
    if doc['State']['Running']:
        pid = doc['State']['Pid']
        kernel = text(f'/proc/{pid}/attr/current')
        assert kernel == doc['ProcessLabel'] or (not doc['ProcessLabel'] and kernel == text('/proc/self/attr/current'))
        for place in ('', 'etc', 'dev', 'dev/shm'):
            assert label(f'/proc/{pid}/root/{place}') == doc['MountLabel'], place
        for place in ('etc/hosts', 'etc/hostname', 'etc/resolv.conf'):
            assert label(f'/proc/{pid}/root/{place}') == doc['MountLabel'], place
    return doc['ProcessLabel'], doc['MountLabel']


def pair(got):
    return got.rpartition('s0:')[2]


def claims(skiff):
    d = skiff.root / 'selinux'
    return {e: os.readlink(d / e) for e in os.listdir(d)} if d.exists() else {}


def test_each_container_has_a_pair_of_its_own(skiff):
    a, b = skiff.sleeper('--name', 'a'), skiff.sleeper('--name', 'b', '--health-cmd', 'cat /proc/self/attr/current >/l && mv /l /label', '--health-interval', '1s')
    process, mount = labels(skiff, 'a')
    assert process.startswith(PROCESS + ':c') and mount.startswith(FILE + ':c') and pair(process) == pair(mount)
    assert pair(labels(skiff, 'b')[0]) != pair(process)
    assert claims(skiff) == {pair(process): a, pair(labels(skiff, 'b')[0]): b}
    assert skiff.out('exec', 'a', 'cat', '/proc/self/attr/current').rstrip('\0\n') == process
    assert wait_until(lambda: skiff.state('b')['Health']['Status'] == 'healthy')
    assert skiff.out('exec', 'b', 'cat', '/label').rstrip('\0\n') == labels(skiff, 'b')[0]
    lines = skiff.out('explain', 'a')
    assert process in lines and mount in lines
    skiff('restart', '-t', '0', 'a')
    assert labels(skiff, 'a') == (process, mount)
    skiff('rm', '-f', 'a')
    assert claims(skiff) == {pair(labels(skiff, 'b')[0]): b}
    assert skiff.out('system', 'check') == 'Everything is in order.\n'
    skiff('rm', '-f', 'b')
    assert claims(skiff) == {}
    (skiff.root / 'selinux' / 'c1,c2').symlink_to('0' * 63 + 'a')
    assert 'c1,c2' in skiff('system', 'check', rc=1).stdout
    skiff('system', 'check', '--repair')
    assert claims(skiff) == {}


@pytest.mark.parametrize('flags', [['--privileged'], ['--pid', 'host'], ['--ipc', 'host'], ['--security-opt', 'label=disable'],
                                   ['--security-opt', 'label:disable']])
def test_without_a_label(skiff, flags):
    skiff.sleeper('--name', 'x', *flags)
    doc = skiff.inspect('x')
    assert (doc['ProcessLabel'], doc['MountLabel']) == ('', PRIVILEGED) and claims(skiff) == {}
    assert text(f'/proc/{doc["State"]["Pid"]}/attr/current') == text('/proc/self/attr/current')


def test_options(skiff):
    opt = lambda *words: [w for x in words for w in ('--security-opt', f'label={x}')]  # noqa: E731
    skiff.sleeper('--name', 'x', *opt('type:other_t', 'level:s0:c1,c2', 'filetype:other_file_t', 'user:other_u', 'role:other_r'))
    assert labels(skiff, 'x') == ('other_u:other_r:other_t:s0:c1,c2', 'other_u:object_r:other_file_t:s0:c1,c2') and claims(skiff) == {}
    skiff.sleeper('--name', 'y', '--privileged', *opt('type:other_t'))  # a label that is asked for is more than what --privileged leaves out
    assert skiff.inspect('y')['ProcessLabel'].startswith('system_u:system_r:other_t:s0:c')
    assert 'nosuch_t' in skiff.run(*opt('type:nosuch_t'), '--', 'true', rc=None).stderr
    for word in ('type:', 'nosuch:x', 'x', ''):
        assert 'label=disable' in skiff.run(*opt(word), '--', 'true', rc=125).stderr
    assert skiff.run('--', 'sh', '-c', 'ls /sys/fs/selinux | wc -l').stdout == '0\n'
    assert 'enforce' in skiff.run(*opt('nested'), '--', 'ls', '/sys/fs/selinux').stdout


def test_systemd_is_an_init(skiff):
    assert labels(skiff, skiff.sleeper('--systemd', 'always'))[0].startswith('system_u:system_r:container_init_t:s0:c')


def test_who_shares_has_the_same_label(skiff):
    skiff.sleeper('--name', 'a', '--ipc', 'shareable')
    for flag in ('--ipc', '--pid'):
        skiff.sleeper('--name', 'b', flag, 'container:a')
        got, first = skiff.inspect('b'), skiff.inspect('a')
        assert (got['ProcessLabel'], got['MountLabel']) == (first['ProcessLabel'], first['MountLabel'])
        skiff('rm', '-f', 'b')
    skiff.sleeper('--name', 'p', '--privileged', '--ipc', 'shareable')
    skiff.sleeper('--name', 'q', '--ipc', 'container:p')
    assert skiff.inspect('q')['ProcessLabel'] == ''


def test_pod(skiff):
    pod = skiff.out('pod', 'create', 'p').strip()
    one = skiff.sleeper('--pod', 'p', '--name', 'one')
    skiff.sleeper('--pod', 'p', '--name', 'two')
    a, b = skiff.inspect('one'), skiff.inspect('two')
    assert a['ProcessLabel'] == b['ProcessLabel'] and a['MountLabel'] == b['MountLabel'] and claims(skiff) == {pair(a['MountLabel']): pod}
    assert label(f'/proc/{skiff.state("one")["Pid"]}/root/dev/shm') == a['MountLabel']
    assert label(f'/proc/{skiff.state("one")["Pid"]}/root/etc/hosts') == FILE and one
    skiff('pod', 'rm', '-f', 'p')
    assert claims(skiff) == {}
    skiff('pod', 'create', '--share', 'net', 'q')
    skiff.sleeper('--pod', 'q', '--name', 'one')
    skiff.sleeper('--pod', 'q', '--name', 'two')
    assert pair(skiff.inspect('one')['ProcessLabel']) != pair(skiff.inspect('two')['ProcessLabel']) and len(claims(skiff)) == 2
    skiff('pod', 'rm', '-f', 'q')


def tree(where):
    where.mkdir()
    (where / 'd').mkdir()
    (where / 'd' / 'f').write_text('x')
    (where / 'link').symlink_to('/etc/passwd')
    return [where, where / 'd', where / 'd' / 'f', where / 'link']


def test_relabelled_volumes(skiff):
    host = tree(skiff.tmp / 'v')
    passwd = label('/etc/passwd')
    before = {label(p) for p in host}
    skiff.run('-v', f'{host[0]}:/v', '--', 'true')
    assert {label(p) for p in host} == before
    skiff('create', '--name', 'x', '-v', f'{host[0]}:/v:Z', skiff.image, 'true')
    skiff('start', '-a', 'x')
    assert {label(p) for p in host} == {skiff.inspect('x')['MountLabel']}
    skiff.run('--mount', f'type=bind,source={host[0]},target=/v,relabel=shared', '--', 'true')
    assert {label(p) for p in host} == {FILE} and label('/etc/passwd') == passwd
    skiff('start', '-a', 'x')
    assert {label(p) for p in host} == {skiff.inspect('x')['MountLabel']}, 'at each start'
    for place in ('/', '/usr', '/etc/', '/home'):
        assert f'SELinux relabeling of {place.rstrip("/") or "/"} is not allowed' in skiff.run('-v', f'{place}:/v:z', '--', 'true', rc=125).stderr
    skiff.run('-v', f'{host[2]}:/f:z', '--', 'true')
    assert label(host[2]) == FILE and label(host[1]) != FILE, 'one file'


def test_named_volumes(skiff):
    where = skiff.root / 'volumes' / 'v' / '_data'
    skiff.run('-v', 'v:/v', '--', 'touch', '/v/f')
    assert label(where) == FILE, 'a new volume is for all'
    skiff.run('-v', 'v:/v:Z', '--', 'true')
    assert label(where).startswith(FILE + ':c') and label(where / 'f') == label(where)
    skiff.run('-v', 'v:/v', '--', 'true')
    assert label(where).startswith(FILE + ':c'), 'a volume with something in it keeps what it has'
    skiff.run('-v', 'v:/v:z', '--', 'true')
    assert label(where) == label(where / 'f') == FILE


def test_secrets_tmpfs_and_copies(skiff):
    (skiff.tmp / 's').write_text('secret')
    skiff('secret', 'create', 's', skiff.tmp / 's')
    skiff.sleeper('--name', 'x', '--secret', 's', '--tmpfs', '/t')
    pid, want = skiff.state('x')['Pid'], skiff.inspect('x')['MountLabel']
    assert label(f'/proc/{pid}/root/run/secrets/s') == label(f'/proc/{pid}/root/t') == want
    (skiff.tmp / 'conf').write_text('storage_driver = vfs\n')
    skiff('run', '-d', '--name', 'y', skiff.image, 'sleep', '1000', env={'SKIFF_CONF': str(skiff.tmp / 'conf')})
    assert skiff.inspect('y')['Driver'] == 'vfs' and 'context=' not in text(f'/proc/{skiff.state("y")["Pid"]}/mounts').split('\n')[0]
    labels(skiff, 'y')  # a root that is copied is labelled file by file
    assert label(f'/proc/{skiff.state("y")["Pid"]}/root/bin/busybox') == skiff.inspect('y')['MountLabel']


@pytest.mark.parametrize('way', ['fd', 'path', 'symlink'])
def test_ways_of_the_overlay(skiff, way):
    r = skiff.run('--', 'cat', '/proc/self/mounts', rc=None, env={'SKIFF_OVERLAY': way})
    if r.returncode and way != 'symlink':
        pytest.skip(f'this kernel does not know the way "{way}"')
    root = next(line for line in r.stdout.splitlines() if line.split()[1] == '/')
    assert 'context=' in root and 'container_file_t:s0:c' in root, root


def test_turned_off(skiff):
    (skiff.tmp / 'conf').write_text('selinux = false\n')
    skiff('run', '-d', '--name', 'x', skiff.image, 'sleep', '1000', env={'SKIFF_CONF': str(skiff.tmp / 'conf')})
    doc = skiff.inspect('x')
    assert doc['ProcessLabel'] == doc['MountLabel'] == '' and claims(skiff) == {}


def test_a_policy_without_contexts(skiff):
    path = Path('/etc/selinux/skiff/contexts/lxc_contexts')
    had = path.read_text()
    try:
        path.unlink()
        assert skiff.run('--', 'echo', 'in').stdout == 'in\n'
        assert 'no contexts for containers' in skiff.run('--security-opt', 'label=type:other_t', '--', 'true', rc=125).stderr
        path.write_text('process = "x"\n')
        assert 'lxc_contexts' in skiff.run('--', 'true', rc=125).stderr
    finally:
        path.write_text(had)
