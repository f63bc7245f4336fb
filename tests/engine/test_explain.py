"""explain: what is in force, where it comes from, and what the kernel says; each source once, and a difference that is really there."""
import json
import os
from pathlib import Path


def explained(skiff, name, *flags, **kw):
    """Properties by (group, name)."""
    doc, = json.loads(skiff.out('explain', '--format', 'json', *flags, name, **kw))
    assert doc['Id'] and doc['Name']
    return doc, {(p['Group'], p['Name']): p for p in doc['Properties']}


def config(skiff, cid):
    return skiff.root / 'containers' / cid / 'config.json'


def test_of_flags_and_defaults_with_what_the_kernel_says(skiff):
    cid = skiff.sleeper('--name', 'e1', '--network', 'none', '--memory', '64m', '--pids-limit', '100', '--cap-add', 'NET_ADMIN', '--cap-drop', 'CHOWN',
                        '--ulimit', 'nofile=100:200', '--read-only', '--tmpfs', '/x', '--sysctl', 'kernel.msgmax=9000', '--user', '1:2', '--group-add', '77',
                        '--security-opt', 'no-new-privileges', '--oom-score-adj', '300', '--stop-signal', 'INT', '--log-opt', 'max-size=1m')
    doc, p = explained(skiff, 'e1')
    assert doc['State'] == 'running' and doc['Pid'] == skiff.state(cid)['Pid']
    for key, value, source, kernel in (
            (('security', 'CAP_NET_ADMIN'), 'yes', 'flag --cap-add', 'yes'),
            (('security', 'CAP_CHOWN'), 'no', 'flag --cap-drop', 'no'),
            (('security', 'CAP_KILL'), 'yes', 'default', 'yes'),
            (('security', 'no_new_privs'), 'yes', 'flag --security-opt no-new-privileges', 'yes'),
            (('process', 'user'), '1:2', 'flag --user', '1:2'),
            (('process', 'groups'), None, 'flag --group-add', None),
            (('process', 'oom_score_adj'), '300', 'flag --oom-score-adj', '300'),
            (('process', 'umask'), '0022', 'default', '0022'),
            (('process', 'ulimit nofile'), '100:200', 'flag --ulimit', '100:200'),
            (('files', 'root'), 'read-only', 'flag --read-only', 'read-only'),
            (('masked', '/sys/firmware'), 'masked', 'default', 'masked'),
            (('read-only', '/proc/sys'), 'read-only', 'default', 'read-only'),
            (('mount', '/x'), 'tmpfs tmpfs rw', 'flag --tmpfs', 'tmpfs rw private'),
            (('resources', 'memory'), '67108864 bytes', 'flag --memory', '67108864 bytes'),
            (('resources', 'processes'), '100', 'flag --pids-limit', '100'),
            (('resources', '/dev/shm'), '67108864', 'default', '67108864'),
            (('network', 'sysctl kernel.msgmax'), '9000', 'flag --sysctl', '9000'),
            (('network', 'network'), 'none', 'flag --network', 'lo'),
            (('network', 'host name'), cid[:12], 'default', cid[:12]),
            (('life', 'stop signal'), 'SIGINT', 'flag --stop-signal', ''),
            (('life', 'log max-size'), '1m', 'flag --log-opt', ''),
            (('life', 'stop timeout'), '10s', 'default', '')):
        have = p[key]
        assert (have['Source'], have['Differs']) == (source, False), have
        assert value is None or (have['Value'], have['Kernel']) == (value, kernel), have
    assert '77' in p['process', 'groups']['Kernel'].split()
    assert p['security', 'seccomp']['Kernel'].startswith('filter') and p['security', 'seccomp']['Source'] == 'default'
    net = os.readlink(f'/proc/{doc["Pid"]}/ns/net')
    assert p['namespace', 'network']['Kernel'] == 'its own ' + net[net.index('['):]
    assert p['namespace', 'user']['Value'] == 'host' and p['namespace', 'user']['Kernel'].startswith("the host's")
    assert not [x for x in doc['Properties'] if x['Differs']]


def test_of_image_configuration_and_update(skiff, tmp_path):
    conf = tmp_path / 'skiff.conf'
    conf.write_text('# comment\npids_limit = 55\nstop_timeout = 3\numask = 0027\nno_new_privileges = true\nulimits = core=0\nread_only = false\n')
    skiff('create', '--name', 'base', '--network', 'none', skiff.image, 'true')
    skiff('commit', '--change', 'USER 5:6', '--change', 'STOPSIGNAL SIGUSR1', '--change', 'WORKDIR /tmp', '--change', 'VOLUME /data',
          '--change', 'CMD ["sleep", "1000"]', 'base', 'made:1')
    skiff('run', '-d', '--name', 'e2', '--network', 'none', '--memory', '64m', 'made:1', env={'SKIFF_CONF': str(conf)})
    _, p = explained(skiff, 'e2')
    for key in (('process', 'user'), ('process', 'working directory'), ('process', 'command'), ('life', 'stop signal'), ('mount', '/data')):
        assert p[key]['Source'] == 'image', p[key]
    assert (p['process', 'user']['Value'], p['process', 'user']['Kernel']) == ('5:6', '5:6')
    for key, line, value in ((('resources', 'processes'), 2, '55'), (('life', 'stop timeout'), 3, '3s'), (('process', 'umask'), 4, '0027'),
                             (('security', 'no_new_privs'), 5, 'yes'), (('process', 'ulimit core'), 6, '0:0')):
        assert (p[key]['Source'], p[key]['Value']) == (f'{conf}:{line}', value), p[key]
        assert not p[key]['Differs']
    skiff('update', '--pids-limit', '60', '--memory', '48m', '--memory-swap', '96m', 'e2')
    _, p = explained(skiff, 'e2')
    assert [p['resources', 'processes'][k] for k in ('Value', 'Source', 'Kernel')] == ['60', 'update', '60']
    assert [p['resources', 'memory'][k] for k in ('Value', 'Source', 'Kernel')] == ['50331648 bytes', 'update', '50331648 bytes']
    skiff('rm', '-fv', 'e2', 'base')


def test_privileged_is_named_as_the_source_of_all_that_it_gives(skiff):
    skiff.sleeper('--name', 'e3', '--network', 'none', '--privileged')
    _, p = explained(skiff, 'e3', '--diff')
    assert p['security', 'CAP_SYS_ADMIN']['Source'] == 'flag --privileged' and p['security', 'CAP_SYS_ADMIN']['Kernel'] == 'yes'
    assert (p['security', 'seccomp']['Source'], p['security', 'seccomp']['Kernel']) == ('flag --privileged', 'off')
    assert p['masked', 'taken away']['Source'] == 'flag --privileged'
    assert ('security', 'CAP_KILL') not in p, 'a default is no difference'


def test_user_namespace_maps_and_ids_are_the_containers_own(skiff, tmp_path):
    conf = tmp_path / 'skiff.conf'
    conf.write_text('userns = auto\nuserns_ids = 3000000:100000\n')
    cid = skiff.out('run', '-d', '--name', 'e4', '--network', 'none', '--user', '3', skiff.image, 'sleep', '1000', env={'SKIFF_CONF': str(conf)}).strip()
    doc, p = explained(skiff, cid)
    assert [p['id map', 'users'][k] for k in ('Value', 'Source', 'Differs')] == ['0:3000000:1024', f'{conf}:1', False]
    assert p['process', 'user']['Kernel'].startswith('3:')
    assert p['namespace', 'user']['Kernel'].startswith('its own')
    assert not [x for x in doc['Properties'] if x['Differs']]


def test_what_the_kernel_says_differently_is_marked(skiff):
    cid = skiff.sleeper('--name', 'e5', '--network', 'none', '--pids-limit', '100', '--oom-score-adj', '300')
    pid = skiff.state(cid)['Pid']
    Path(f'/proc/{pid}/oom_score_adj').write_text('400')
    pids = next(c for c in Path(f'/proc/{pid}/cgroup').read_text().splitlines() if 'pids' in c or c.startswith('0::'))
    mount = '/sys/fs/cgroup/pids' if 'pids' in pids else '/sys/fs/cgroup'
    Path(mount + pids.split(':', 2)[2], 'pids.max').write_text('99')
    doc, p = explained(skiff, 'e5')
    assert {x['Name'] for x in doc['Properties'] if x['Differs']} == {'oom_score_adj', 'processes'}
    assert p['resources', 'processes']['Kernel'] == '99'
    table = skiff.out('explain', '--diff', 'e5')
    assert '2 differ from what is configured (!)' in table.splitlines()[0]
    assert sum('! ' in line for line in table.splitlines()) == 2


def test_stopped_old_and_several_containers(skiff):
    cid = skiff.out('create', '--name', 'e6', '--network', 'none', skiff.image, 'true').strip()
    doc, p = explained(skiff, 'e6')
    assert doc['Pid'] == 0 and p['resources', 'memory']['Kernel'] == 'not running' and p['life', 'init']['Kernel'] == ''
    d = json.loads(config(skiff, cid).read_text())
    assert d['skiff']['request'].pop('from')['*'] == 'default'
    config(skiff, cid).write_text(json.dumps(d))
    _, p = explained(skiff, 'e6')
    assert p['resources', 'processes']['Source'] == 'unknown (created by an older skiff)'
    assert p['resources', 'memory']['Source'] == 'default', 'only a flag could say it, and flags are all there'
    d['skiff']['request']['from'] = {'*': 'default', 'pidsLimit': 'the moon', 'unheard-of': 'x'}
    config(skiff, cid).write_text(json.dumps(d))
    assert explained(skiff, 'e6')[1]['resources', 'processes']['Source'] == 'the moon', 'a word of a newer skiff'
    skiff('create', '--name', 'e7', '--network', 'none', skiff.image, 'true')
    assert skiff.out('explain', '--format', '{{.Name}} {{.State}}', 'e6', 'e7') == 'e6 created\ne7 created\n'
    r = skiff('explain', 'nobody', 'e7', rc=1)
    assert 'No such container: nobody' in r.stderr and 'e7 (' in r.stdout


def test_a_pod_stands_for_its_containers_and_is_a_source(skiff):
    skiff('pod', 'create', '--name', 'p1', '--network', 'none')
    for name in 'p1a', 'p1b':
        skiff('run', '-d', '--name', name, '--pod', 'p1', skiff.image, 'sleep', '1000')
    assert skiff.out('explain', '--format', '{{.Name}}', 'p1').split() == ['p1a', 'p1b']
    doc, p = explained(skiff, 'p1a')
    assert p['namespace', 'network']['Source'] == p['namespace', 'ipc']['Source'] == 'pod p1'
    assert p['namespace', 'pid']['Source'] == 'default'
    assert not [x for x in doc['Properties'] if x['Differs']], 'nothing differs'
    skiff('pod', 'rm', '-f', 'p1')


def test_joined_namespaces_are_compared_with_their_owner(skiff):
    one = skiff.sleeper('--name', 'j1', '--network', 'none', '--ipc', 'shareable')
    skiff.sleeper('--name', 'j2', '--network', 'container:j1', '--ipc', 'container:j1', '--pid', 'host')
    doc, p = explained(skiff, 'j2')
    for kind in 'network', 'ipc':
        assert p['namespace', kind]['Value'] == f'container:{one[:12]}' and p['namespace', kind]['Kernel'].startswith('theirs'), p['namespace', kind]
    assert p['namespace', 'pid']['Value'] == 'host' and p['namespace', 'pid']['Source'] == 'flag --pid'
    assert not [x for x in doc['Properties'] if x['Differs']]
