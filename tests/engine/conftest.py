"""Every test has its own two trees and, at its end, has to leave nothing: no mount, cgroup, process or file."""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import ociimage
import pytest
from ready import trapped, wait_for_traps

HERE = Path(__file__).resolve().parent
BIN = Path(os.environ.get('SKIFF_BIN', HERE.parent.parent / 'build' / 'bin'))
PATIENCE = float(os.environ.get('SKIFF_TEST_PATIENCE', '1'))  # a slow machine: every limit times this
TIMEOUT = 60 * PATIENCE


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit('these tests make containers: they need root', 0)
    if not (BIN / 'skiff').exists():
        pytest.exit(f'{BIN}/skiff is not there: build first, or set SKIFF_BIN', 1)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_until(what, seconds=30, step=0.02):
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(step)
    return False


class Registry:
    """docker-registry on a loopback port."""

    def __init__(self, where):
        self.where, self.port = where, free_port()
        config = where / 'registry.yml'
        config.write_text(f'version: 0.1\nstorage: {{filesystem: {{rootdirectory: {where}/data}}}}\n'
                          f'http: {{addr: "127.0.0.1:{self.port}"}}\nlog: {{level: error}}\n')
        self.process = subprocess.Popen(['docker-registry', 'serve', str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not wait_until(self.answers):
            raise RuntimeError('docker-registry does not answer')

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', self.port)) == 0

    def name(self, repository):
        return f'127.0.0.1:{self.port}/{repository}'

    def push(self, layout, repository):
        subprocess.run(['skopeo', 'copy', '--quiet', '--dest-tls-verify=false', f'oci:{layout}:latest', f'docker://{self.name(repository)}'],
                       check=True, timeout=TIMEOUT)

    def close(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope='session')
def registry(tmp_path_factory):
    for program in ('docker-registry', 'skopeo'):
        if not shutil.which(program):
            pytest.skip(f'{program} is not installed')
    r = Registry(tmp_path_factory.mktemp('registry'))
    layout = tmp_path_factory.mktemp('layout') / 'busybox'
    ociimage.busybox(str(layout))
    r.push(layout, 'test/busybox')
    r.push(layout, 'other/busybox:two')
    yield r
    r.close()


class Skiff:
    def __init__(self, where, image):
        self.root, self.run_root, self.tmp, self.image = where / 'lib', where / 'run', where / 'tmp', image
        self.tmp.mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('SKIFF_')}
        self.env['DOCKER_CONFIG'] = str(self.tmp)

    def argv(self, *args):
        return [str(BIN / 'skiff'), '--root', str(self.root), '--run-root', str(self.run_root), *map(str, args)]

    def __call__(self, *args, rc=0, input=None, env=None, timeout=TIMEOUT):
        """Runs to the end; rc: the expected status, None for any. Returns the finished process with text output."""
        p = subprocess.run(self.argv(*args), input=input, stdin=subprocess.DEVNULL if input is None else None, capture_output=True, text=True,
                           errors='replace', timeout=timeout, env={**self.env, **(env or {})})
        assert rc is None or p.returncode == rc, f'{args}: status {p.returncode}, expected {rc}\n{p.stdout}\n{p.stderr}'
        return p

    def popen(self, *args, **kw):
        kw.setdefault('stdin', subprocess.DEVNULL)
        kw.setdefault('stdout', subprocess.PIPE)
        kw.setdefault('stderr', subprocess.PIPE)
        return subprocess.Popen(self.argv(*args), env=self.env, **kw)

    def out(self, *args, **kw):
        return self(*args, **kw).stdout

    def run(self, *args, **kw):
        """run --rm of the test image: flags before '--', the command after it."""
        flags, _, command = [*args], None, []
        if '--' in args:
            i = args.index('--')
            flags, command = args[:i], args[i + 1:]
        return self('run', '--rm', *flags, self.image, *command, **kw)

    def detached(self, *args):
        """A container in the background; returns its id. As run()."""
        i = args.index('--')
        cid = self.out('run', '-d', *args[:i], self.image, *args[i + 1:]).strip()
        if '--init' not in args[:i] and trapped(args[i + 1:]):
            found = self('inspect', '-f', '{{.State.Pid}}', cid, rc=None)  # it may be gone already, with --rm
            wait_for_traps(int(found.stdout or 0), args[i + 1:], 30 * PATIENCE)
        return cid

    def sleeper(self, *flags):
        return self.detached(*flags, '--', 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done')

    def inspect(self, name):
        return json.loads(self.out('inspect', name))[0]

    def state(self, name):
        return self.inspect(name)['State']

    def monitor_pid(self, cid):
        """The parent of the container's init."""
        pid = self.state(cid)['Pid']
        return int((Path('/proc') / str(pid) / 'stat').read_text().rpartition(')')[2].split()[1])

    # --- what a test may leave: nothing ---

    def ids(self):
        found = set()
        for f in (self.run_root / 'events').glob('log.*'):
            for line in f.read_text().splitlines():
                e = json.loads(line)
                if e['type'] == 'container':
                    found.add(e['id'])
        return found

    def clean_up(self):
        ids = self.out('ps', '-aq').split()
        if ids:
            self('rm', '-f', *ids, rc=None)

    def leaks(self):
        found, ids = [], self.ids()
        for line in Path('/proc/self/mountinfo').read_text().splitlines():
            if str(self.root) in line or str(self.run_root) in line or any(i in line for i in ids):
                found.append('mount ' + line)
        for top in [Path('/sys/fs/cgroup'), *Path('/sys/fs/cgroup').iterdir()]:
            found += [f'cgroup {top}/skiff/c/{i}' for i in ids if (top / 'skiff/c' / i).exists()]
        for p in Path('/proc').glob('[0-9]*'):
            try:
                text = (p / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace') + (p / 'cgroup').read_text()
            except OSError:
                continue
            if str(self.run_root) in text or any(i in text or f'skiff-monitor {i[:12]}' in text for i in ids):
                found.append(f'process {p.name} {text.splitlines()[0]}')
        for d in ('lib/containers', 'lib/names', 'lib/trash', 'lib/ingest', 'lib/leases', 'run/summary'):
            found += [f'file {x}' for x in (self.root.parent / d).glob('*')]
        found += [f'file {x}' for x in self.run_root.glob('containers/*') if len(x.name) == 64]
        found += [f'file {x}' for x in self.root.glob('locks/container-*')]
        return found

    def findings(self):
        """What `system check` says, but for cgroups of other roots: tests run beside this one."""
        rows = [x for x in self('system', 'check', rc=None).stdout.splitlines() if 'of no container here' not in x and 'findings;' not in x]
        return [] if rows == ['Everything is in order.'] else rows

    def assert_clean(self):
        """Reapers of containers that ended a moment ago may still be at work."""
        wait_until(lambda: not self.leaks(), 5)
        assert self.leaks() == [], self.leaks()
        assert self.findings() == []


@pytest.fixture(scope='session')
def seed(registry, tmp_path_factory):
    """A root that has the test image, to be copied."""
    where = tmp_path_factory.mktemp('seed')
    s = Skiff(where, registry.name('test/busybox'))
    s('pull', s.image)
    return s


@pytest.fixture
def empty(tmp_path, registry):
    """skiff with empty trees."""
    s = Skiff(tmp_path, registry.name('test/busybox'))
    yield s
    s.clean_up()
    s.assert_clean()


@pytest.fixture
def skiff(tmp_path, seed):
    """skiff with the test image."""
    subprocess.run(['cp', '-a', str(seed.root), str(tmp_path / 'lib')], check=True)
    s = Skiff(tmp_path, seed.image)
    yield s
    s.clean_up()
    s.assert_clean()


@pytest.fixture
def kill9():
    def kill(pid):
        """Returns when it is dead, reaped or not."""
        fd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            assert select.select([fd], [], [], 30 * PATIENCE)[0], f'process {pid} survives SIGKILL'
        finally:
            os.close(fd)
    return kill
