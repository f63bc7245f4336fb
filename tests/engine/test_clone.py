"""podman's container clone and pod clone: one more of what exists, with other limits, another image, in another pod."""
import json

import pytest


@pytest.fixture
def net(skiff):
    skiff('network', 'create', '--subnet', '10.213.7.0/24', 'clonenet')
    yield 'clonenet'
    skiff('rm', '-f', '--all', rc=None)
    skiff('network', 'rm', '-f', 'clonenet', rc=None)


def test_a_clone_has_the_settings_of_the_original(skiff, net):
    skiff('create', '--name', 'o', '--network', net, '--ip', '10.213.7.9', '--mac-address', '92:d0:c6:0a:29:33', '--memory', '64m', '--cpu-quota', '50000', '-e', 'A=1', '-l', 'k=v',
          '-v', '/anon', '-v', 'named:/named', '-w', '/tmp', '--cap-drop', 'NET_RAW', '-p', '127.0.0.1::80', '--health-cmd', 'true', '--restart', 'on-failure:3',
          skiff.image, 'sh', '-c', 'exit 3')
    ids = [skiff.out('container', 'clone', 'o').strip() for _ in range(2)]
    ids.append(skiff.out('container', 'clone', '--cpus', '0.25', '--memory', '32m', 'o-clone1').strip())
    assert [skiff.inspect(i)['Name'] for i in ids] == ['/o-clone', '/o-clone1', '/o-clone2']
    a, b, limited = skiff.inspect('o'), skiff.inspect('o-clone'), skiff.inspect('o-clone2')
    same = lambda d: {k: d['Config'][k] for k in ('Image', 'Cmd', 'Env', 'Labels', 'WorkingDir', 'Healthcheck')}
    assert same(a) == same(b) == same(limited) and a['HostConfig'] == {**b['HostConfig'], 'NetworkMode': a['HostConfig']['NetworkMode']}
    assert limited['HostConfig']['NanoCpus'] == 250000000 and limited['HostConfig']['CpuQuota'] == 0 and limited['HostConfig']['Memory'] == 32 << 20
    volumes = lambda d: {m['Destination']: m['Name'] for m in d['Mounts']}
    assert volumes(a)['/named'] == volumes(b)['/named'] == 'named' and volumes(a)['/anon'] != volumes(b)['/anon']
    assert b['Config']['Hostname'] == b['Id'][:12]
    ways = b['NetworkSettings']['Networks'][net]
    assert list(b['NetworkSettings']['Networks']) == [net] and not (ways.get('IPAMConfig') or {}).get('IPv4Address') and '92:d0' not in (ways['MacAddress'] or '')
    skiff('volume', 'rm', 'named', rc=1)
    skiff('rm', '-v', 'o', *ids)
    skiff('volume', 'rm', 'named')


def test_name_image_destroy_and_run(skiff):
    cid = skiff.out('run', '-d', '--name', 'o', '--hostname', 'here', skiff.image, 'sh', '-c', 'hostname; exec sleep 1000').strip()
    skiff('tag', skiff.image, 'other:1')
    assert 'cannot set --force without --destroy' in skiff('container', 'clone', '-f', 'o', rc=125).stderr
    assert 'positional name' in skiff('container', 'clone', '--name', 'a', 'o', 'b', rc=125).stderr
    assert 'No such container: nope' in skiff('container', 'clone', 'nope', rc=125).stderr
    assert 'already in use' in skiff('container', 'clone', 'o', 'o', rc=125).stderr
    assert 'running' in skiff('container', 'clone', '--destroy', 'o', 'n', rc=125).stderr
    assert skiff.out('ps', '-aq', '--no-trunc').split() == [cid]
    new = skiff.out('container', 'clone', '--destroy', '--force', '--run', 'o', 'n', 'other:1').strip()
    assert skiff.out('ps', '-q', '--no-trunc').split() == [new] and skiff.out('ps', '-aq').count('\n') == 1
    d = skiff.inspect('n')
    assert d['Config']['Image'] == 'other:1' and d['Config']['Hostname'] == 'here' and skiff.out('logs', 'n') == 'here\n'
    skiff('rm', '-f', 'n')
    skiff('rmi', 'other:1')


def test_a_pod_with_its_containers(skiff):
    skiff('pod', 'create', '--name', 'p', '-l', 'a=1', '-l', 'b=2', '--share', 'net,uts', '-p', '127.0.0.1::80')
    skiff('create', '--pod', 'p', '--name', 'm', skiff.image, 'sh', '-c', 'hostname; sleep 1000')
    skiff('create', '--name', 'alone', skiff.image, 'sleep', '1000')
    new = skiff.out('pod', 'clone', '-l', 'b=3', '--start', 'p').strip()
    d = json.loads(skiff.out('pod', 'inspect', 'p-clone'))[0]
    assert d['Id'] == new and d['State'] == 'Running' and d['Labels'] == {'a': '1', 'b': '3'} and [c['Name'] for c in d['Containers']] == ['m-clone']
    assert sorted(d['SharedNamespaces']) == ['net', 'uts'] and d['Hostname'] == 'p-clone' and skiff.out('exec', 'm-clone', 'hostname') == 'p-clone\n'
    assert skiff.out('ps', '--format', '{{.Names}}').split() == ['m-clone']
    # a container into a pod, and one of a pod beside it
    joined = skiff.out('container', 'clone', '--pod', 'p-clone', '--run', 'alone').strip()
    assert skiff.out('exec', joined, 'hostname') == 'p-clone\n'
    skiff('container', 'clone', 'm', 'm2')
    assert sorted(c['Name'] for c in json.loads(skiff.out('pod', 'inspect', 'p'))[0]['Containers']) == ['m', 'm2']
    assert 'no such pod' in skiff('pod', 'clone', 'nope', rc=125).stderr and 'already in use' in skiff('pod', 'clone', 'p', 'alone', rc=125).stderr
    skiff('pod', 'clone', '--destroy', 'p-clone', 'q')
    assert skiff.out('pod', 'ps', '--format', '{{.Name}}').split() == ['q', 'p']
    skiff('pod', 'rm', '-f', 'q', 'p')
    skiff('rm', 'alone')


def test_a_pod_keeps_the_maps_of_its_user_namespace(skiff):
    skiff('pod', 'create', '--name', 'p', '--uidmap', '0:300000:5000')
    skiff('create', '--pod', 'p', '--name', 'm', skiff.image, 'sleep', '1000')
    skiff('pod', 'clone', '--start', 'p')
    assert skiff.out('exec', 'm-clone', 'cat', '/proc/self/uid_map').split() == ['0', '300000', '5000']
    skiff('pod', 'rm', '-f', 'p', 'p-clone')


def test_runlabel(skiff, tmp_path):
    cid = skiff('create', skiff.image, 'true').stdout.strip()
    labels = {'run': 'podman run --rm --name NAME -e IMAGE=IMAGE -e "Q=a  b" $IMAGE env', 'host': f'/bin/touch {tmp_path}/made', 'sh': f'docker run --rm IMAGE echo ; touch {tmp_path}/made',
              'open': 'podman run "IMAGE', 'bg': '/usr/bin/docker run -d --name ${NAME} IMAGE sleep 1000'}
    skiff('commit', *[x for k, v in labels.items() for x in ('--change', 'LABEL %s=%s' % (k, json.dumps(v).replace('$', '\\$')))], cid, 'labels:1')
    skiff('rm', cid)
    label = lambda *words, rc=0: skiff('container', 'runlabel', *words, rc=rc)
    assert label('--display', 'run', 'labels:1', 'x').stdout == 'command: skiff run --rm --name labels -e IMAGE=labels:1 -e Q=a  b labels:1 env x\n'
    assert label('--display', 'host', 'labels:1').stdout == f'command: /bin/touch {tmp_path}/made\n'
    assert {'IMAGE=labels:1', 'Q=a  b'} <= set(label('run', 'labels:1').stdout.splitlines())
    assert label('sh', 'labels:1').stdout == f'; touch {tmp_path}/made\n'
    assert "runs the host's program '/bin/touch'" in label('host', 'labels:1', rc=125).stderr and not (tmp_path / 'made').exists()
    assert 'cannot find the value of label: none in image: labels:1' in label('none', 'labels:1', rc=125).stderr and 'not closed' in label('open', 'labels:1', rc=125).stderr
    first = label('-n', 'here', 'bg', 'labels:1').stdout.strip()
    assert 'already in use' in label('-n', 'here', 'bg', 'labels:1', rc=125).stderr
    second = label('--replace', '-n', 'here', 'bg', 'labels:1').stdout.strip()
    assert skiff.out('ps', '-aq', '--no-trunc').split() == [second] != [first]
    skiff('rm', '-f', 'here')
    skiff('rmi', 'labels:1')
    (tmp_path / 'auth').write_text('{"auths":')  # it is read, for the pull of an image that is not there
    assert f"'{tmp_path}/auth'" in label('--authfile', tmp_path / 'auth', 'run', '127.0.0.1:1/a/b', rc=125).stderr
    assert 'please use unshare with rootless' in skiff('unshare', 'id', rc=125).stderr


def test_a_pod_that_cannot_be_cloned_whole_is_not_made(skiff, tmp_path):
    skiff('pod', 'create', '--name', 'p')
    (tmp_path / 'gone').mkdir()
    skiff('create', '--pod', 'p', '--name', 'a', skiff.image, 'true')
    skiff('create', '--pod', 'p', '--name', 'b', '--mount', f'type=bind,src={tmp_path}/gone,dst=/x', skiff.image, 'true')
    (tmp_path / 'gone').rmdir()
    error = skiff('pod', 'clone', '--destroy', 'p', rc=125).stderr
    assert "clone container 'b'" in error and 'gone' in error
    assert skiff.out('pod', 'ps', '--format', '{{.Name}}').split() == ['p'] and sorted(skiff.out('ps', '-a', '--format', '{{.Names}}').split()) == ['a', 'b']
    skiff('pod', 'rm', '-f', 'p')
