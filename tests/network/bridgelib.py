"""Networks with real traffic. The test process itself is "the host": it lives in a network namespace of its own (tests/conftest.py). Other hosts are
namespaces that a test makes and joins to it by veth."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'engine'))
import ociimage  # noqa: E402

spec = importlib.util.spec_from_file_location('engine_conftest', HERE.parent / 'engine' / 'conftest.py')
engine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(engine)
wait_until, PATIENCE = engine.wait_until, engine.PATIENCE
PROBE = '/netprobe'


def run(*args, rc=0, timeout=engine.TIMEOUT, **kw):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, **kw)
    assert rc is None or p.returncode == rc, f'{args}: status {p.returncode}\n{p.stdout}\n{p.stderr}'
    return p


def bridge_filter(what, on):
    """Whether the firewall sees bridged packets (br_netfilter): what is 'iptables' or 'ip6tables'. False: this kernel never shows them."""
    try:
        Path(f'/proc/sys/net/bridge/bridge-nf-call-{what}').write_text('1' if on else '0')
    except FileNotFoundError:
        return False
    return True


@pytest.fixture(scope='session')
def probe(tmp_path_factory):
    out = tmp_path_factory.mktemp('probe') / 'netprobe'
    run('gcc', '-O1', '-static', '-o', out, HERE / 'netprobe.c')
    return out


@pytest.fixture(scope='session')
def seed(tmp_path_factory, probe):
    """A root that has the test image: busybox and the probe, with two exposed ports."""
    layout, where = tmp_path_factory.mktemp('layout'), tmp_path_factory.mktemp('seed')
    ociimage.busybox(str(layout / 'base'))
    busybox = Path(ociimage.BUSYBOX).read_bytes()
    applets = run(ociimage.BUSYBOX, '--list').stdout.split()
    entries = [('bin', 'd', None, 0o755), ('etc', 'd', None, 0o755), ('tmp', 'd', None, 0o1777), ('bin/busybox', 'f', busybox, 0o755),
               ('netprobe', 'f', probe.read_bytes(), 0o755)]
    entries += [(f'bin/{a}', 'l', 'busybox', 0o777) for a in applets if a != 'busybox']
    ociimage.write(str(layout / 'net'), [ociimage.layer(entries)],
                   {'Env': ['PATH=/bin'], 'Cmd': ['sh'], 'ExposedPorts': {'8000/tcp': {}, '8001/udp': {}}})
    s = engine.Skiff(where, 'netimage')
    archive = where / 'net.tar'
    run('tar', '-C', layout / 'net', '-cf', archive, '.')
    s('load', '-i', archive)
    s('tag', s.out('images', '-q').split()[0], 'netimage:latest')
    return s


class Net(engine.Skiff):
    def ask(self, proto, address, port, rc=0):
        """From the host. The answer's words: peer's address as the server sees it, the server's word."""
        return run(self.probe, 'ask', proto, address, port, rc=rc).stdout.split()

    def ask_from(self, name, proto, address, port, rc=0):
        """From a container."""
        return self('exec', name, PROBE, 'ask', proto, address, port, rc=rc).stdout.split()

    def server(self, name, *flags, proto='tcp', port=80, word=None):
        """A container that answers; ready when this returns."""
        cid = self.detached('--name', name, *flags, '--', PROBE, 'serve', proto, str(port), word or name)
        assert wait_until(lambda: 'ready' in self.out('logs', name)), self('logs', name).stderr
        return cid

    def client(self, name, *flags):
        return self.detached('--name', name, *flags, '--', 'sleep', '1000')

    def ip(self, name, network=None, v6=False):
        nets = self.inspect(name)['NetworkSettings']['Networks']
        return nets[network or next(iter(nets))]['GlobalIPv6Address' if v6 else 'IPAddress']

    def leases(self):
        top = self.run_root / 'networks'
        return sorted(str(p.relative_to(top)) for p in [*top.glob('*/addr/*'), *top.glob('.ports/*'), *top.glob('.ports/.single/*'),
                                                        *top.glob('.ctr/*'), *top.glob('*/names/*')]
                      if not p.name.startswith(('last', '.')) and 'single' != p.name)

    def table(self):
        return run('nft', '-j', 'list', 'table', 'inet', 'skiff_v1', rc=None).stdout

    def dnat(self):
        """Elements of the maps of published ports."""
        out = ''
        for m in ('dnat4', 'dnat4_any', 'dnat6', 'dnat6_any'):
            out += run('nft', 'list', 'map', 'inet', 'skiff_v1', m, rc=None).stdout.partition('elements')[2]
        return out

    def links(self):
        return [x.split()[0].partition('@')[0] for x in run('ip', '-br', 'link').stdout.splitlines()]

    def clean_up(self):
        super().clean_up()
        for name in self.out('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}').split():
            self('network', 'rm', '-f', name, rc=None)

    def assert_clean(self):
        super().assert_clean()
        assert wait_until(lambda: self.leases() == [], 5), self.leases()
        assert wait_until(lambda: not [x for x in self.links() if x.startswith('veth') and len(x) > 10], 5), self.links()
        assert self.dnat() == ''


@pytest.fixture
def skiff(tmp_path, seed, probe):
    subprocess.run(['cp', '-a', str(seed.root), str(tmp_path / 'lib')], check=True)
    subprocess.run(['nft', 'flush', 'ruleset'], check=True)
    for link in run('ip', '-br', 'link').stdout.splitlines():
        name = link.split()[0].partition('@')[0]
        if name.startswith(('skiff0', 'sk-', 'dm-', 'cni-')):
            run('ip', 'link', 'del', name)
    s = Net(tmp_path, 'netimage')
    s.probe = probe
    s.cni = tmp_path / 'net.d'
    s.cni.mkdir()
    (tmp_path / 'skiff.conf').write_text(f'cni_conf_dirs = {s.cni}\n')
    s.env['SKIFF_CONF'] = str(tmp_path / 'skiff.conf')
    yield s
    s.clean_up()
    s.assert_clean()


class Host:
    """Another host: a namespace behind a veth. near: its neighbour's address (ours), far: its own."""

    def __init__(self, n, near, far, near6, far6):
        self.near, self.far, self.near6, self.far6, self.link = near, far, near6, far6, f'h{n}'
        self.process = subprocess.Popen(['unshare', '-n', 'sleep', '1000'])
        assert wait_until(lambda: os.readlink(f'/proc/{self.process.pid}/ns/net') != os.readlink('/proc/self/ns/net'))
        run('ip', 'link', 'add', self.link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.process.pid)
        run('ip', 'addr', 'add', f'{near}/24', 'dev', self.link)
        run('ip', '-6', 'addr', 'add', f'{near6}/64', 'dev', self.link, 'nodad')
        run('ip', 'link', 'set', self.link, 'up')
        self('ip', 'link', 'set', 'lo', 'up')
        self('ip', 'addr', 'add', f'{far}/24', 'dev', 'eth0')
        self('ip', '-6', 'addr', 'add', f'{far6}/64', 'dev', 'eth0', 'nodad')
        self('ip', 'link', 'set', 'eth0', 'up')

    def __call__(self, *args, rc=0):
        return run('nsenter', '-t', self.process.pid, '-n', *args, rc=rc)

    def popen(self, *args):
        return subprocess.Popen(['nsenter', '-t', str(self.process.pid), '-n', *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True)

    def close(self):
        self.process.kill()
        self.process.wait()
        run('ip', 'link', 'del', self.link, rc=None)


@pytest.fixture
def outside():
    """A host on another network, with no route to the containers."""
    h = Host(1, '192.0.2.1', '192.0.2.2', '2001:db8:1::1', '2001:db8:1::2')
    yield h
    h.close()
