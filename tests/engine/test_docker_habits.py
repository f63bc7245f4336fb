"""What the command line of docker and podman does for its user: relative sources of mounts, ~/.docker/config.json, ps --pod, volumes as tars."""
import io
import json
import os
import socket
import subprocess
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


class Manager:
    """What a service manager is to sd_notify(3): reads messages, and lets go of barriers."""

    def __init__(self, path):
        self.path = str(path)
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        self.s.settimeout(20)

    def get(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.s, 4096, 4)
            for fd in fds:
                os.close(fd)
            if data != b'BARRIER=1':
                return data.decode().split()

    def silent(self):
        """Nothing but barriers, which would hold their senders up, is left."""
        self.s.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.get()
        self.s.settimeout(20)


@pytest.fixture
def manager(skiff):
    m = Manager(skiff.tmp / 'notify')
    skiff.env['NOTIFY_SOCKET'] = m.path
    yield m
    m.s.close()


@pytest.fixture(scope='module')
def say(tmp_path_factory):
    """A static program that sends its arguments to NOTIFY_SOCKET, a message each: busybox has none."""
    d = tmp_path_factory.mktemp('say')
    (d / 'say.c').write_text('''
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *p = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (!p)
		return 3;
	strncpy(a.sun_path, p, sizeof(a.sun_path) - 1);
	for (int i = 1; i < argc; i++)
		if (sendto(fd, argv[i], strlen(argv[i]), 0, (struct sockaddr *)&a, sizeof(a)) < 0)
			return 4;
	return 0;
}
''')
    subprocess.run(['gcc', '-static', '-o', d / 'say', d / 'say.c'], check=True)
    d.chmod(0o755)
    return ['-v', f'{d}:/say:ro']


def waiting(skiff, manager, *args):
    """A run -d that has said its id and still waits."""
    p = skiff.popen('run', '-d', *args, stdout=subprocess.PIPE, text=True)
    cid = p.stdout.readline().strip()
    assert len(cid) == 64 and p.poll() is None
    return p, cid


def ended(p):
    with p.stdout:
        assert p.wait(20) == 0


def test_sdnotify(skiff, manager):
    """conmon: the service manager hears that the container runs, and whose process to watch."""
    p, cid = waiting(skiff, manager, '--sdnotify=conmon', skiff.image, 'sleep', '1000')
    assert manager.get() == ['READY=1', f'MAINPID={skiff.monitor_pid(cid)}']
    manager.s.close()  # and with it the barrier
    ended(p)
    none = {'NOTIFY_SOCKET': manager.path + '-none'}
    skiff('run', '--rm', '--sdnotify=ignore', skiff.image, 'true', env=none)
    assert skiff('run', '--rm', skiff.image, 'true', env=none).stderr == ''
    assert 'NOTIFY_SOCKET' in skiff('run', '--rm', '--sdnotify=conmon', skiff.image, 'true', env=none).stderr
    assert 'expected conmon, container, healthy or ignore' in skiff('run', '--sdnotify=x', skiff.image, 'true', rc=125).stderr
    assert 'requires a healthcheck' in skiff('create', '--sdnotify=healthy', skiff.image, 'true', rc=125).stderr


def test_sdnotify_by_the_container_itself(skiff, manager, say):
    """Its READY=1 and STATUS= go on, and nothing else; run -d and start wait for them; a life without it says nothing."""
    wait_then_say = 'until test -e /tmp/go; do sleep 0.05; done; /say/say MAINPID=1 STATUS=soon READY=1; exec sleep 1000'
    p, cid = waiting(skiff, manager, '--name', 'c', '--sdnotify=container', '--user', '1000', *say, skiff.image, 'sh', '-c', wait_then_say)
    manager.silent()
    skiff('exec', 'c', 'touch', '/tmp/go')
    assert manager.get() == ['STATUS=soon']
    assert manager.get() == ['READY=1', f'MAINPID={skiff.monitor_pid(cid)}']
    manager.silent()
    ended(p)
    skiff('stop', '-t', '0', 'c')
    assert skiff('start', 'c', env={'NOTIFY_SOCKET': ''}).stdout == 'c\n', 'nobody waits'
    skiff('rm', '-f', 'c')
    made = skiff.out('create', '--sdnotify=container', *say, skiff.image, '/say/say', 'READY=1', env={'NOTIFY_SOCKET': ''}).strip()
    for attach in ([], ['-a']):
        p = skiff.popen('start', *attach, made)
        assert manager.get()[0] == 'READY=1'
        manager.silent()
        assert p.wait(20) == 0
        skiff('wait', made)
    assert skiff('run', '--rm', '--sdnotify=container', skiff.image, 'sh', '-c', 'exit 7', rc=7).stderr == ''
    skiff('run', '-d', '--rm', '--sdnotify=container', skiff.image, 'true')
    manager.silent()
    assert 'own runtime only' in skiff('create', '--sdnotify=container', '--runtime', 'runc', skiff.image, 'true', rc=125).stderr


def test_sdnotify_of_a_health_check(skiff, manager):
    health = ['--sdnotify=healthy', '--health-cmd', 'test -e /go', '--health-interval', '100ms', '--health-retries', '1000']
    p, cid = waiting(skiff, manager, '--name', 'c', *health, skiff.image, 'sleep', '1000')
    manager.silent()
    skiff('exec', 'c', 'touch', '/go')
    assert manager.get() == ['READY=1', f'MAINPID={skiff.monitor_pid(cid)}']
    manager.silent()
    ended(p)
    # in the foreground, beside it
    p = skiff.popen('run', '--name', 'd', *health, skiff.image, 'sh', '-c', 'touch /go; exec sleep 1000')
    assert manager.get()[0] == 'READY=1'
    manager.silent()
    skiff('kill', 'd')
    p.wait(20)
    skiff('run', '-d', '--rm', *health, skiff.image, 'true')
    manager.silent()
