"""--device VENDOR/CLASS=NAME and --gpus: specifications of the Container Device Interface and what they do to a container."""
import json
import os

import pytest


@pytest.fixture
def cdi(skiff, tmp_path):
    """Writes a specification; the directories are low and high, high wins."""
    dirs = {k: tmp_path / 'cdi' / k for k in ('low', 'high')}
    for d in dirs.values():
        d.mkdir(parents=True)
    (tmp_path / 'skiff.conf').write_text(f'cdi_dirs = {dirs["low"]} {dirs["high"]} {tmp_path}/absent\n')
    skiff.env['SKIFF_CONF'] = str(tmp_path / 'skiff.conf')

    def write(name, devices=None, where='low', kind='vendor.example/dev', text=None, version='0.8.0', **edits):
        doc = {'cdiVersion': version, 'kind': kind, 'devices': [{'name': n, 'containerEdits': e} for n, e in (devices or {}).items()]}
        if edits:
            doc['containerEdits'] = edits
        (dirs[where] / name).write_text(text if text is not None else json.dumps(doc))
    yield write
    skiff.env.pop('SKIFF_CONF')


def dev(skiff, *names, rc=0, flags=()):
    flags = [f for n in names for f in ('--device', f'vendor.example/dev={n}')] + [*flags]
    return lambda *command: skiff.run(*flags, '--', *command, rc=rc)


def test_everything_a_specification_may_ask_for(skiff, cdi, tmp_path):
    (tmp_path / 'lib.txt').write_text('of the vendor\n')
    hook = tmp_path / 'hook'
    hook.write_text(f'#!/bin/sh\necho "$1 $MARK" >> {tmp_path}/hooks\n')
    hook.chmod(0o755)
    cdi('v.json', {
        'one': {'env': ['ONE=1'], 'deviceNodes': [{'path': '/dev/mine', 'hostPath': '/dev/fuse', 'permissions': 'r', 'uid': 7, 'gid': 8, 'fileMode': 0o640}],
                'hooks': [{'hookName': 'createRuntime', 'path': str(hook), 'args': ['hook', 'created'], 'env': ['MARK=one'], 'timeout': 10}]},
        'two': {'deviceNodes': [{'path': '/dev/theirs', 'type': 'c', 'major': 1, 'minor': 7}], 'additionalGids': [0, 4242]}},
        env=['ALL=yes'], mounts=[{'hostPath': str(tmp_path / 'lib.txt'), 'containerPath': '/usr/vendor/lib.txt', 'options': ['ro', 'bind']}],
        hooks=[{'hookName': 'poststart', 'path': str(hook), 'args': ['hook', 'started']}])
    out = dev(skiff, 'one', 'two')('sh', '-c', 'echo $ONE $ALL; stat -c "%a %u:%g %t:%T" /dev/mine /dev/theirs; id -G; cat /usr/vendor/lib.txt; '
                                   '(exec 3</dev/mine) && echo read; (exec 3>/dev/mine) 2>/dev/null || echo no write; mount | grep -c " /usr/vendor/lib.txt"')
    lines = out.stdout.splitlines()
    assert lines.pop(3).split()[-1] == '4242'
    assert lines == ['1 yes', '640 7:8 a:e5', '666 0:0 1:7', 'of the vendor', 'read', 'no write', '1']
    assert (tmp_path / 'hooks').read_text().split() == ['created', 'one', 'started']


def test_only_the_named_device_and_the_common_edits(skiff, cdi):
    cdi('v.json', {'one': {'env': ['ONE=1']}, 'two': {'env': ['TWO=2']}}, env=['ALL=yes'])
    cdi('w.json', {'x': {'env': ['X=1']}}, kind='vendor.example/other', env=['OTHER=1'])
    assert dev(skiff, 'two')('sh', '-c', 'echo -$ONE-$TWO-$ALL-$OTHER-').stdout == '--2-yes--\n'
    assert skiff.run('-e', 'TWO=mine', '--device', 'vendor.example/dev=two', '--', 'sh', '-c', 'echo $TWO').stdout == 'mine\n'


def test_a_node_belongs_to_the_containers_user(skiff, cdi):
    cdi('v.json', {'one': {'deviceNodes': [{'path': '/dev/fuse'}]}})
    assert dev(skiff, 'one', flags=['-u', '12:34'])('stat', '-c', '%u:%g %a', '/dev/fuse').stdout == '12:34 666\n'


def test_yaml_and_its_numbers(skiff, cdi):
    cdi('v.yaml', text='# a comment\ncdiVersion: "0.5.0"\nkind: vendor.example/dev\ndevices:\n- name: "0"\n  containerEdits:\n    env: [A=1]\n    deviceNodes:\n'
        '    - path: /dev/y\n      type: c\n      major: 1\n      minor: 3\n      fileMode: 0600\n      uid: 5\ncontainerEdits:\n  additionalGids: [77]\n')
    cdi('broken.yaml', text='a: [')
    assert dev(skiff, '0')('sh', '-c', 'stat -c "%a %u" /dev/y; echo $A; id -G').stdout.split()[:3] == ['600', '5', '1']
    assert '77' in dev(skiff, '0')('id', '-G').stdout.split()
    cdi('broken.yaml', text='kind: vendor.example/dev\n- x')
    p = dev(skiff, 'nosuch', rc=125)('true')
    assert 'unresolvable CDI devices vendor.example/dev=nosuch' in p.stderr and 'broken.yaml' in p.stderr and 'line 2' in p.stderr


def test_a_later_directory_wins_and_one_directory_may_not_say_it_twice(skiff, cdi):
    cdi('a.json', {'one': {'env': ['FROM=low']}})
    cdi('z.json', {'one': {'env': ['FROM=high']}}, where='high')
    assert dev(skiff, 'one')('sh', '-c', 'echo $FROM').stdout == 'high\n'
    cdi('b.json', {'one': {'env': ['FROM=low, too']}})
    assert dev(skiff, 'one')('sh', '-c', 'echo $FROM').stdout == 'high\n'
    cdi('y.json', {'one': {'env': ['FROM=high, too']}}, where='high')
    p = dev(skiff, 'one', rc=125)('true')
    assert "conflicting CDI device 'vendor.example/dev=one'" in p.stderr and 'y.json' in p.stderr and 'z.json' in p.stderr


def test_mounts_of_a_device_win(skiff, cdi, tmp_path):
    for name in ('user', 'vendor'):
        (tmp_path / name).write_text(name)
    cdi('v.json', {'one': {'mounts': [{'hostPath': str(tmp_path / 'vendor'), 'containerPath': '/etc/who'}]}})
    assert dev(skiff, 'one', flags=['-v', f'{tmp_path}/user:/etc/who'])('cat', '/etc/who').stdout == 'vendor'


def test_gpus_are_names_of_nvidia(skiff, cdi):
    cdi('n.json', {n: {'env': [f'GPU_{n.upper()}=1']} for n in ('0', '1', '2', 'all')}, kind='nvidia.com/gpu')
    seen = 'env | grep GPU_ | sort | tr "\\n" " "'
    for word, expected in {'all': 'GPU_ALL', '2': 'GPU_0 GPU_1', 'device=1': 'GPU_1', '"device=0,2"': 'GPU_0 GPU_2', 'device=all': 'GPU_ALL',
                           'count=1,capabilities=utility,driver=nvidia': 'GPU_0', '"device=0,2",capabilities=gpu': 'GPU_0 GPU_2', '0': ''}.items():
        assert [x.split('=')[0] for x in skiff.run('--gpus', word, '--', 'sh', '-c', seen).stdout.split()] == expected.split(), word
    for word, says in {'many': 'expected all, a number, or device=LIST', '9': 'unresolvable CDI devices nvidia.com/gpu=3', 'device=x/y': 'no name of a device',
                       'driver=amd': 'there is the driver nvidia', '"device=0': 'a quote does not end', '': 'expected all', '-2': 'expected all'}.items():
        assert says in skiff('run', '--rm', f'--gpus={word}', skiff.image, 'true', rc=125).stderr, word


def test_inspect(skiff, cdi):
    cdi('n.json', {'all': {'env': ['G=1']}, '0': {'env': ['G=1']}}, kind='nvidia.com/gpu')
    cid = skiff('create', '--device', 'nvidia.com/gpu=0', '--gpus', 'all', '--gpus', 'device=0', skiff.image, 'true').stdout.strip()
    assert skiff.inspect(cid)['HostConfig']['DeviceRequests'] == [
        {'Driver': 'cdi', 'Count': 0, 'DeviceIDs': ['nvidia.com/gpu=0'], 'Capabilities': None, 'Options': None},
        {'Driver': '', 'Count': -1, 'DeviceIDs': None, 'Capabilities': [['gpu']], 'Options': {}},
        {'Driver': '', 'Count': 0, 'DeviceIDs': ['0'], 'Capabilities': [['gpu']], 'Options': {}}]


def test_resctrl_of_a_device_reaches_the_runtime(skiff, cdi):
    cdi('v.json', {'one': {'intelRdt': {'closID': 'gold', 'l3CacheSchema': 'L3:0=f', 'enableCMT': True}}})
    cid = skiff('create', '--device', 'vendor.example/dev=one', skiff.image, 'true').stdout.strip()
    config = json.loads((skiff.root / 'containers' / cid / 'config.json').read_text())
    assert config['linux']['intelRdt'] == {'closID': 'gold', 'l3CacheSchema': 'L3:0=f', 'enableMonitoring': True}


BROKEN = [
    ('{', 'bad.json'),
    ({'cdiVersion': '9.0.0'}, "unknown cdiVersion '9.0.0'"),
    ({'kind': 'vendor'}, "invalid kind 'vendor'"),
    ({'devices': []}, 'there are no devices'),
    ({'devices': [{'name': 'a', 'containerEdits': {}}]}, "'a' has empty edits"),
    ({'devices': [{'name': '-a', 'containerEdits': {'env': ['A=1']}}]}, "invalid device name '-a'"),
    ({'devices': [{'name': 'a', 'containerEdits': {'env': ['A=1']}}] * 2}, "'a' is there twice"),
    ({'devices': [{'name': 'a', 'containerEdits': {'env': ['A']}}]}, "invalid environment variable 'A'"),
    ({'devices': [{'name': 'a', 'containerEdits': {'surprise': []}}]}, '/devices/0/containerEdits'),
    ({'devices': [{'name': 'a', 'containerEdits': {'netDevices': []}}]}, '/devices/0/containerEdits/netDevices'),
    ({'devices': [{'name': 'a', 'containerEdits': {'hooks': [{'hookName': 'often', 'path': '/bin/true'}]}}]}, "invalid hook name 'often'"),
    ({'devices': [{'name': 'a', 'containerEdits': {'deviceNodes': [{'path': '/dev/x', 'type': 'z'}]}}]}, "'z' is no type of a device node"),
    ({'devices': [{'name': 'a', 'containerEdits': {'deviceNodes': [{'path': '/dev/x', 'permissions': 'q'}]}}]}, "invalid permissions 'q'"),
    ({'devices': [{'name': 'a', 'containerEdits': {'deviceNodes': [{'path': '/dev/x', 'major': '1'}]}}]}, '/devices/0/containerEdits/deviceNodes/0/major'),
    ({'devices': [{'name': 'a', 'containerEdits': {'additionalGids': [-1]}}]}, '-1 is no group'),
]

def test_a_broken_specification_is_named_and_hurts_nobody_else(skiff, cdi):
    good = {'cdiVersion': '0.8.0', 'kind': 'vendor.example/dev', 'devices': [{'name': 'one', 'containerEdits': {'env': ['A=1']}}]}
    for text, says in BROKEN:
        cdi('bad.json', text=text if isinstance(text, str) else json.dumps({**good, **text}))
        p = skiff('create', '--device', 'vendor.example/dev=one', skiff.image, 'true', rc=125)
        assert 'unresolvable CDI devices vendor.example/dev=one' in p.stderr and 'bad.json' in p.stderr and says in p.stderr
    cdi('good.json', {'one': {'env': ['A=good']}})
    assert dev(skiff, 'one')('sh', '-c', 'echo $A').stdout == 'good\n'


def test_what_the_host_does_not_have(skiff, cdi, tmp_path):
    os.mkfifo(tmp_path / 'fifo')
    cdi('v.json', {'gone': {'deviceNodes': [{'path': '/dev/nothing-here'}]}, 'file': {'deviceNodes': [{'path': '/dev/x', 'hostPath': '/etc/passwd'}]},
                   'type': {'deviceNodes': [{'path': '/dev/fuse', 'type': 'b'}]}, 'fifo': {'deviceNodes': [{'path': '/dev/pipe', 'hostPath': f'{tmp_path}/fifo'}]}})
    cdi('p.json', {'post': {'hooks': [{'hookName': 'poststop', 'path': '/bin/true'}]}})
    assert 'of the kind poststop' in dev(skiff, 'post', rc=125)('true').stderr
    assert "'/dev/nothing-here': No such file" in dev(skiff, 'gone', rc=125)('true').stderr
    assert "'/etc/passwd' is not a device node" in dev(skiff, 'file', rc=125)('true').stderr
    assert "has the type 'c', expected 'b'" in dev(skiff, 'type', rc=125)('true').stderr
    assert dev(skiff, 'fifo')('stat', '-c', '%F', '/dev/pipe').stdout == 'fifo\n'
