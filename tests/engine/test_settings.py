"""Flags of run that set resources, namespaces, security and the process: what the container and the kernel say."""
import json
import os
import subprocess
from pathlib import Path

import pytest

V1 = Path('/sys/fs/cgroup/memory/memory.limit_in_bytes').exists() or Path('/sys/fs/cgroup/memory').is_dir()


def cgroup_file(controller, cid, name, parent='/skiff/c'):
    top = Path('/sys/fs/cgroup') / controller if V1 else Path('/sys/fs/cgroup')
    return (top / parent.strip('/') / cid / name)


def host_config(skiff, cid):
    return json.loads(skiff.out('inspect', cid))[0]['HostConfig']


@pytest.mark.skipif(not V1, reason='file names of cgroup v1')
def test_resources_v1(skiff):
    cid = skiff.detached('--memory', '64m', '--memory-swap', '96m', '--memory-reservation', '32m', '--memory-swappiness', '10',
                         '--cpu-shares', '512', '--cpu-period', '50000', '--cpu-quota', '25000', '--cpuset-cpus', '0',
                         '--cpuset-mems', '0', '--pids-limit', '77', '--oom-kill-disable', '--', 'sleep', '60')
    for controller, name, value in (('memory', 'memory.limit_in_bytes', '67108864'), ('memory', 'memory.soft_limit_in_bytes', '33554432'),
                                    ('memory', 'memory.swappiness', '10'), ('cpu', 'cpu.shares', '512'), ('cpu', 'cpu.cfs_period_us', '50000'),
                                    ('cpu', 'cpu.cfs_quota_us', '25000'), ('cpuset', 'cpuset.cpus', '0'), ('pids', 'pids.max', '77')):
        f = cgroup_file(controller, cid, name)
        if f.parent.exists():
            assert f.read_text().strip() == value, name
    if (f := cgroup_file('memory', cid, 'memory.memsw.limit_in_bytes')).exists():
        assert f.read_text().strip() == '100663296'
    assert 'oom_kill_disable 1' in cgroup_file('memory', cid, 'memory.oom_control').read_text()
    h = host_config(skiff, cid)
    assert (h['Memory'], h['MemorySwap'], h['MemoryReservation'], h['MemorySwappiness']) == (67108864, 100663296, 33554432, 10)
    assert (h['CpuShares'], h['CpuPeriod'], h['CpuQuota'], h['CpusetCpus'], h['PidsLimit'], h['OomKillDisable']) == (512, 50000, 25000, '0', 77, True)


def test_defaults_are_sane(skiff):
    cid = skiff.detached('--', 'sleep', '60')
    f = cgroup_file('pids', cid, 'pids.max')
    assert f.read_text().strip() == '2048'
    h = host_config(skiff, cid)
    assert (h['PidsLimit'], h['ShmSize'], h['IpcMode'], h['CgroupnsMode'], h['MemorySwappiness']) == (2048, 67108864, 'private', 'private', None)
    unlimited = skiff.detached('--pids-limit', '0', '--', 'sleep', '60')
    assert cgroup_file('pids', unlimited, 'pids.max').read_text().strip() == 'max'


def test_t68_fork_bomb_is_held(skiff):
    bomb = skiff.detached('--pids-limit', '30', '--', 'sh', '-c', 'b() { b | b & }; b; exec sleep 60')  # a shell that cannot fork ends
    assert skiff.run('--', 'echo', 'alive').stdout == 'alive\n'
    assert int(cgroup_file('pids', bomb, 'pids.current').read_text()) <= 30
    skiff('rm', '-f', bomb)


def test_cgroup_parent(skiff):
    parent = f'/skiff-test-{os.getpid()}'
    cid = skiff.detached('--cgroup-parent', parent, '--', 'sleep', '60')
    assert cgroup_file('pids', cid, 'pids.max', parent).exists()
    skiff('kill', cid)
    skiff('rm', '-f', cid)
    left = [d for d in Path('/sys/fs/cgroup').glob(f'*{parent}/*') if d.is_dir()]
    for d in Path('/sys/fs/cgroup').glob(f'*{parent}'):
        d.rmdir()
    assert left == []


def test_process(skiff):
    run = skiff.run
    out = run('--ulimit', 'nofile=100:200', '--ulimit', 'core=0', '--umask', '0077', '--oom-score-adj', '300', '--group-add', 'wheel',
              '--group-add', '4321', '--', 'sh', '-c', 'ulimit -n; ulimit -Hn; ulimit -c; umask; cat /proc/self/oom_score_adj; id -G').stdout
    assert out.splitlines() == ['100', '200', '0', '0077', '300', '0 10 4321']
    cid = skiff.detached('--ulimit', 'nofile=100', '--umask', '027', '--group-add', '4321', '--', 'sleep', '60')
    assert skiff.out('exec', cid, 'sh', '-c', 'ulimit -n; umask; id -G').splitlines() == ['100', '0027', '0 10 4321']
    assert run('--unsetenv', 'FOO', '--', 'sh', '-c', 'echo ${FOO-none}').stdout == 'none\n'
    assert run('--unsetenv-all', '-e', 'A=1', '--', 'env').stdout.count('FOO=') == 0
    assert run('--env-merge', 'FOO=x${FOO}y', '--', 'sh', '-c', 'echo $FOO').stdout == 'xbary\n'
    assert run('--env-host', '--', 'sh', '-c', 'echo $SKIFF_TEST_HOST', env={'SKIFF_TEST_HOST': 'seen'}).stdout == 'seen\n'
    if os.path.exists('/usr/share/zoneinfo/Asia/Tokyo'):
        assert 'JST' in run('--tz', 'Asia/Tokyo', '--', 'cat', '/etc/localtime').stdout


def test_namespaces(skiff):
    def ns(kind, pid='self'):
        return os.readlink(f'/proc/{pid}/ns/{kind}')
    run = skiff.run
    assert run('--uts', 'host', '--', 'readlink', '/proc/self/ns/uts').stdout.strip() == ns('uts')
    assert run('--ipc', 'host', '--', 'readlink', '/proc/self/ns/ipc').stdout.strip() == ns('ipc')
    assert run('--pid', 'host', '--', 'readlink', '/proc/self/ns/pid').stdout.strip() == ns('pid')
    assert run('--cgroupns', 'host', '--', 'readlink', '/proc/self/ns/cgroup').stdout.strip() == ns('cgroup')
    assert run('--domainname', 'example.org', '--', 'cat', '/proc/sys/kernel/domainname').stdout == 'example.org\n'
    assert run('--ipc', 'none', '--', 'grep', '-c', '/dev/shm', '/proc/mounts', rc=1).stdout == '0\n'
    assert 'size=1024k' in run('--shm-size', '1m', '--', 'grep', '/dev/shm', '/proc/mounts').stdout
    a = skiff.detached('--ipc', 'shareable', '--name', 'a', '--', 'sleep', '60')
    skiff('exec', a, 'sh', '-c', 'echo shared > /dev/shm/f')
    b = skiff.detached('--ipc', 'container:a', '--pid', 'container:a', '--uts', 'container:a', '--', 'sleep', '61')
    assert skiff.out('exec', b, 'cat', '/dev/shm/f') == 'shared\n'
    for kind in ('ipc', 'pid', 'uts'):
        assert skiff.out('exec', a, 'readlink', f'/proc/self/ns/{kind}') == skiff.out('exec', b, 'readlink', f'/proc/self/ns/{kind}')
    assert 'sleep 61' in skiff.out('exec', a, 'ps')
    skiff('rm', '-f', b, a)
    assert 'No such container: a' in run('--ipc', 'container:a', '--', 'true', rc=125).stderr


def test_sysctl_and_annotations(skiff):
    assert skiff.run('--sysctl', 'net.ipv4.ip_forward=1', '--', 'cat', '/proc/sys/net/ipv4/ip_forward').stdout == '1\n'
    assert skiff.run('--sysctl', 'kernel.shmmax=12345678', '--', 'cat', '/proc/sys/kernel/shmmax').stdout == '12345678\n'
    cid = skiff.detached('--annotation', 'a.b=c', '--annotation', 'a.b=d', '--', 'sleep', '60')
    assert json.loads((skiff.root / 'containers' / cid / 'config.json').read_text())['annotations'] == {'a.b': 'd'}
    assert host_config(skiff, cid)['Annotations']['a.b'] in ('c', 'd')


def status(skiff, *flags):
    text = skiff.run(*flags, '--', 'cat', '/proc/self/status').stdout
    return dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)


def test_security_options(skiff, tmp_path):
    profile = tmp_path / 'seccomp.json'
    profile.write_text(json.dumps({
        'defaultAction': 'SCMP_ACT_ALLOW', 'archMap': [{'architecture': 'SCMP_ARCH_X86_64', 'subArchitectures': ['SCMP_ARCH_X86']}],
        'syscalls': [{'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 38, 'args': None, 'comment': 'x'},
                     {'names': ['chmod', 'fchmodat'], 'action': 'SCMP_ACT_ERRNO', 'includes': {'caps': ['CAP_SYS_ADMIN']}},
                     {'names': ['symlink', 'symlinkat'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 13, 'excludes': {'caps': ['CAP_SYS_ADMIN']}}]}))
    script = 'mkdir /d; chmod 600 /hello.txt && echo chmod; ln -s a /l'
    p = skiff.run('--security-opt', f'seccomp={profile}', '--', 'sh', '-c', script, rc=1)
    assert 'Function not implemented' in p.stderr and p.stdout == 'chmod\n' and 'Permission denied' in p.stderr
    p = skiff.run('--cap-add', 'SYS_ADMIN', '--security-opt', f'seccomp={profile}', '--', 'sh', '-c', script)
    assert 'Operation not permitted' in p.stderr and p.stdout == ''
    profile.write_text('{"defaultAction":"NOSUCH"}')
    p = skiff.run('--security-opt', f'seccomp={profile}', '--', 'true', rc=125)
    assert str(profile) in p.stderr and 'defaultAction' in p.stderr
    assert status(skiff, '--security-opt', 'seccomp=unconfined')['Seccomp'] == '0'
    assert status(skiff, '--security-opt', 'seccomp=builtin')['Seccomp'] == '2'
    assert status(skiff, '--security-opt', 'no-new-privileges')['NoNewPrivs'] == '1'
    assert status(skiff, '--security-opt', 'no-new-privileges:false')['NoNewPrivs'] == '0'
    assert skiff.run('--security-opt', 'mask=/hello.txt:/bin', '--', '/bin/true', rc=None).returncode != 0
    assert skiff.run('--security-opt', 'mask=/hello.txt', '--', 'cat', '/hello.txt').stdout == ''
    ro = ' /proc/sys '
    assert ro in skiff.run('--', 'cat', '/proc/mounts').stdout
    for opt in ('unmask=ALL', 'systempaths=unconfined', 'unmask=/proc/sys'):
        assert ro not in skiff.run('--security-opt', opt, '--', 'cat', '/proc/mounts').stdout
    assert ' /proc/irq ' in skiff.run('--security-opt', 'unmask=/proc/sys*', '--', 'cat', '/proc/mounts').stdout
    assert 'hidepid' in skiff.run('--security-opt', 'proc-opts=hidepid=2', '--', 'grep', ' /proc proc', '/proc/mounts').stdout
    assert 'rw' in skiff.run('--security-opt', 'writable-cgroups', '--', 'sh', '-c', "grep 'cgroup' /proc/mounts | head -1").stdout
    skiff.run('--security-opt', 'label=disable', '--', 'true')
    for bad in ('label=nosuch', 'mask=', 'mask=x', 'systempaths=x', 'no-new-privileges=maybe'):
        assert 'invalid --security-opt 1' in skiff.run('--security-opt', bad, '--', 'true', rc=125).stderr
