"""Networks in namespaces that the tests make; every test has its own run root and, at its end, has to leave no process."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

import netns
import pytest
from bridgelib import outside, probe, seed, skiff  # noqa: F401: fixtures

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BIN = Path(os.environ.get('SKIFF_BIN', TOP / 'build' / 'bin'))
BUILD = Path(os.environ.get('SKIFF_BUILD', TOP / 'build' / 'release'))


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit('these tests make network namespaces: they need root', 0)
    if not (BIN / 'skiff-resolver').exists():
        pytest.exit(f'{BIN}/skiff-resolver is not there: build first, or set SKIFF_BIN', 1)


@pytest.fixture(scope='session')
def netctl(tmp_path_factory):
    """The libraries as a program (netctl.c)."""
    if os.environ.get("NETCTL"):
        return os.environ["NETCTL"]
    out = tmp_path_factory.mktemp('netctl') / 'netctl'
    libs = [BUILD / 'src' / lib for lib in ('network/libskf-network.a', 'network/libskf-network-plain.a', 'sys/libskf-sys.a', 'base/libskf-base.a',
                                            'base/libskf-basejson.a')]
    if not all(lib.exists() for lib in libs):
        pytest.skip(f'no libraries in {BUILD}: set SKIFF_BUILD')
    subprocess.run(['gcc', '-std=gnu17', '-D_GNU_SOURCE', '-O1', f'-I{TOP}/src', '-o', out, HERE / 'netctl.c',
                    '-Wl,--start-group', *libs, '-Wl,--end-group', '-ljson-c'], check=True)
    return out


class Names:
    """A host with a resolver, through netctl."""

    def __init__(self, netctl, where):
        self.host = netns.Host(where)
        self.netctl = netctl

    def ctl(self, *argv, check=True):
        return self.host.run(self.netctl, self.host.root, *argv, check=check, env={**os.environ, 'SKIFF_LIBEXEC': str(BIN)})

    def join(self, container, *facts, check=True):
        return self.ctl('join', container.id, container.pid, *facts, check=check)

    def add(self, network, container, names, addresses):
        self.ctl('names-add', network, container.id, names, addresses)

    def ping(self):
        pid, containers = self.ctl('ping').stdout.split()
        return int(pid), int(containers)

    def files(self):
        d = self.host.root / 'resolver'
        return sorted(p.name for p in d.iterdir() if p.name != 'ctl.sock' and not p.name.startswith('.')) if d.exists() else []

    def log(self):
        p = self.host.root / 'resolver' / '.log'
        return p.read_text() if p.exists() else ''

    def close(self):
        """That it ends by itself is test_ends_with_its_last_container's; here it would cost a second per test."""
        pid = self.ping()[0]
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.host.close()
        assert netns.wait_until(lambda: not pid or not netns.alive(pid))


@pytest.fixture
def names(netctl, tmp_path):
    for program in ('dig', 'dnsmasq', 'nsenter', 'ip', 'ss'):
        if not shutil.which(program):
            pytest.skip(f'{program} is not installed')
    n = Names(netctl, tmp_path)
    yield n
    n.close()
