"""What the command line of docker and podman does for its user: relative sources of mounts, ~/.docker/config.json, ps --pod, volumes as tars."""
import socket
import io
import json
import tarfile
from pathlib import Path

import pytest
from conftest import wait_until


def test_sources_relative_to_the_current_directory(skiff, tmp_path, monkeypatch):
    (tmp_path / 'here/sub').mkdir(parents=True)
    (tmp_path / 'here/file').write_text('in it')
    monkeypatch.chdir(tmp_path / 'here/sub')
    for flag, word in (('-v', '..:/y'), ('-v', '../:/y:ro'), ('-v', './../../here:/y'), ('--mount', 'type=bind,source=..,target=/y'), ('--mount', 'type=bind,src=./..,dst=/y,ro')):
        assert skiff.run(flag, word, '--', 'cat', '/y/file').stdout == 'in it', word
    cid = skiff('create', '-v', './new:/y', skiff.image, 'true').stdout.strip()
    assert skiff.inspect(cid)['Mounts'][0]['Source'] == str(tmp_path / 'here/sub/new')
    skiff('rm', cid)


@pytest.fixture
def docker_config(skiff):
    yield lambda doc: (Path(skiff.env['DOCKER_CONFIG']) / 'config.json').write_text(doc if isinstance(doc, str) else json.dumps(doc))
    (Path(skiff.env['DOCKER_CONFIG']) / 'config.json').unlink(missing_ok=True)


def test_dockers_configuration_file(skiff, docker_config):
    docker_config({'psFormat': '{{.Names}} is {{.State}}', 'imagesFormat': '{{.Repository}}', 'volumesFormat': 'v {{.Name}}', 'auths': {},
                   'proxies': {'default': {'httpProxy': 'http://p:1', 'noProxy': 'localhost'}, 'tcp://other': {'httpProxy': 'http://q'}}})
    cid = skiff('create', '--name', 'c', skiff.image, 'true').stdout.strip()
    assert skiff.out('ps', '-a') == 'c is created\n' and skiff.out('ps', '-aq') == cid[:12] + '\n' and skiff.out('ps', '-a', '--format', '{{.Names}}') == 'c\n'
    assert skiff.out('images').strip() == skiff.image.rpartition(':')[0] or skiff.out('images').strip() == skiff.image
    env = skiff.run('-e', 'no_proxy=mine', '--', 'env').stdout.split()
    assert {'HTTP_PROXY=http://p:1', 'http_proxy=http://p:1', 'NO_PROXY=localhost', 'no_proxy=mine'} <= set(env) and not any('q' in x for x in env if 'PROXY' in x)
    docker_config({'detachKeys': 'nonsense-keys'})
    assert 'nonsense-keys' in skiff('start', '-a', cid, rc=1).stderr
    docker_config('{')
    p = skiff('ps', '-aq')
    assert p.stdout == cid[:12] + '\n' and 'config.json' in p.stderr
    skiff('rm', cid)


def test_ps_pod(skiff):
    pod = skiff.out('pod', 'create', '--share', 'none', 'p').strip()
    cid = skiff('create', '--pod', 'p', '--name', 'in', skiff.image, 'true').stdout.strip()
    out = skiff('create', '--name', 'out', skiff.image, 'true').stdout.strip()
    lines = skiff.out('ps', '-a', '--pod').splitlines()
    assert lines[0].split()[-3:] == ['POD', 'ID', 'PODNAME']
    assert [x.split()[-2:] for x in lines if x.startswith(cid[:12])] == [[pod[:12], 'p']]
    assert skiff.out('ps', '-a', '--pod', '--format', '{{.Names}} {{.PodName}}').split('\n')[:2] == ['out ', 'in p']
    skiff('rm', out)
    skiff('pod', 'rm', '-f', 'p')


def test_volume_export_and_import(skiff, tmp_path):
    skiff.run('-v', 'a:/d', '--', 'sh', '-c', 'echo x > /d/file; mkdir -m 700 /d/dir; chown 5:6 /d/file; ln -s file /d/link')
    skiff('volume', 'export', '-o', tmp_path / 'a.tar', 'a')
    with tarfile.open(tmp_path / 'a.tar') as t:
        assert {m.name.rstrip('/').removeprefix('./') for m in t.getmembers()} - {'.', ''} == {'file', 'dir', 'link'}
    skiff('volume', 'create', 'b')
    skiff('volume', 'import', 'b', tmp_path / 'a.tar')
    assert skiff.run('-v', 'b:/d', '--', 'sh', '-c', 'cat /d/link; stat -c "%a %u:%g" /d/file /d/dir').stdout == 'x\n644 5:6\n700 0:0\n'
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode='w') as t:
        m = tarfile.TarInfo('../../../escaped')
        m.size = 1
        t.addfile(m, io.BytesIO(b'x'))
    (tmp_path / 'evil.tar').write_bytes(evil.getvalue())
    skiff('volume', 'import', 'b', tmp_path / 'evil.tar', rc=None)
    assert not list(skiff.root.glob('volumes/escaped')) and not list(skiff.root.glob('**/escaped'))[1:]
    assert skiff.out('volume', 'mount', 'a', 'b').split() == [str(skiff.root / f'volumes/{v}/_data') for v in 'ab']
    assert skiff.out('volume', 'unmount', 'a') == 'a\n' and skiff.out('volume', 'reload') == ''
    skiff('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', 'dev')
    for verb in ('export', 'mount'):
        assert 'has a device' in skiff('volume', verb, 'dev', rc=1).stderr
    assert 'no such volume' in skiff('volume', 'import', 'nosuch', tmp_path / 'a.tar', rc=1).stderr
    skiff('volume', 'rm', 'a', 'b', 'dev')


def test_namespaces_of_a_paused_container(skiff):
    cid = skiff.sleeper('--ipc', 'shareable')
    skiff('pause', cid)
    assert skiff.run('--ipc', f'container:{cid}', '--pid', f'container:{cid}', '--', 'echo', 'in').stdout == 'in\n'
    skiff('unpause', cid)
    skiff('rm', '-f', cid)


def test_container_cleanup(skiff):
    cid = skiff.sleeper('--name', 'c')
    assert 'is running' in skiff('container', 'cleanup', 'c', rc=1).stderr
    skiff('kill', cid)
    skiff('wait', cid)
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited')
    assert skiff.out('container', 'cleanup', 'c') == 'c\n' and skiff.state('c')['Status'] == 'exited'
    skiff('container', 'cleanup', '--rm', 'c')
    assert skiff.out('ps', '-aq') == ''


def test_sdnotify(skiff):
    """conmon: the service manager hears that the container runs, and whose process to watch; podman's other words say what they lack."""
    path = str(skiff.tmp / 'notify')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(10)
        cid = skiff.out('run', '-d', '--sdnotify=conmon', skiff.image, 'sleep', '1000', env={'NOTIFY_SOCKET': path}).strip()
        assert s.recv(100).decode().split('\n') == [f'MAINPID={skiff.monitor_pid(cid)}', 'READY=1']
        s.setblocking(False)
        skiff('run', '--rm', '--sdnotify=ignore', skiff.image, 'true', env={'NOTIFY_SOCKET': path})
        skiff('run', '--rm', skiff.image, 'true', env={'NOTIFY_SOCKET': path})
        with pytest.raises(BlockingIOError):
            s.recv(100)
    assert 'NOTIFY_SOCKET' in skiff('run', '--rm', '--sdnotify=conmon', skiff.image, 'true', env={'NOTIFY_SOCKET': path + '-none'}).stderr
    assert 'not supported' in skiff('run', '--sdnotify=healthy', skiff.image, 'true', rc=125).stderr
    assert 'expected conmon or ignore' in skiff('run', '--sdnotify=x', skiff.image, 'true', rc=125).stderr
