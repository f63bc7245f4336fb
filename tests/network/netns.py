"""Namespaces that stand for a host and its containers, so that no test touches the machine's own network."""
import os
import subprocess
import time
from pathlib import Path

PATIENCE = float(os.environ.get('SKIFF_TEST_PATIENCE', '1'))  # a slow machine: every limit times this
TIMEOUT = 30 * PATIENCE


def wait_until(what, seconds=30, step=0.02):
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(step)
    return False


def alive(pid):
    """A zombie whose parent is slow is gone."""
    try:
        return Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rsplit(') ', 1)[1][0] not in 'ZX'
    except OSError:
        return False


class Space:
    """A process that sleeps in namespaces of its own."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv + ['sh', '-c', 'ip link set lo up && echo ready && exec sleep infinity'],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'ready\n'
        self.pid = self.process.pid

    def argv(self, *command):
        return ['nsenter', '-t', str(self.pid), *self.flags, '--', *[str(w) for w in command]]

    def run(self, *command, check=True, **kw):
        r = subprocess.run(self.argv(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, **kw)
        if check and r.returncode != 0:
            raise AssertionError(f'{command}: exit {r.returncode}: {r.stdout}{r.stderr}')
        return r

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Host(Space):
    """Network and mounts of its own; has a run root and a resolv.conf."""
    flags = ['-n', '-m']

    def __init__(self, where):
        super().__init__(['unshare', '-n', '-m', '--propagation', 'private'])
        self.where = where
        self.root = where / 'run'
        self.root.mkdir()
        self.conf = where / 'resolv.conf'
        self.conf.write_text('')
        self.run('mount', '--bind', self.conf, os.path.realpath('/etc/resolv.conf'))
        self.services, self.containers = [], []

    def serve(self, *argv, **kw):
        p = subprocess.Popen(self.argv(*argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
        self.services.append(p)
        return p

    def dnsmasq(self, address, *options, port=53):
        """An upstream server that knows what its options say and nothing else."""
        p = self.serve('dnsmasq', '-k', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--no-daemon', '--pid-file=', '--bind-interfaces',
                       '--local-ttl=30', f'--port={port}', f'--listen-address={address}', '--log-queries', '--log-async=0',
                       f'--log-facility={self.where}/dnsmasq-{address}.log', *options)
        assert wait_until(lambda: f'{address}:{port}' in self.run('ss', '-Hlun').stdout or p.poll() is not None) and p.poll() is None
        return p

    def asked(self, address):
        """What that dnsmasq was asked for."""
        log = Path(f'{self.where}/dnsmasq-{address}.log')
        return [w.split()[-3] for w in log.read_text().splitlines() if 'query[' in w] if log.exists() else []

    def container(self):
        c = Container(self)
        self.containers.append(c)
        return c

    def close(self):
        for c in self.containers:
            c.end()
        for p in self.services:
            p.kill()
            p.wait()
        self.end()


class Container(Space):
    flags = ['-n']
    count = 0

    def __init__(self, host):
        super().__init__(host.argv('unshare', '-n'))
        Container.count += 1
        self.id = f'{Container.count:08x}{os.getpid():08x}' + 48 * '0'

    def dig(self, name, *options, check=True):
        """The lines of dig +short."""
        r = self.run('dig', '@127.0.0.11', '+short', '+tries=1', f'+timeout={10 * PATIENCE:.0f}', name, *options, check=check)
        return r.stdout.split('\n')[:-1]

    def status(self, name, *options):
        """NOERROR, NXDOMAIN, SERVFAIL ..., and the flags of the header."""
        out = self.run('dig', '@127.0.0.11', '+tries=1', f'+timeout={10 * PATIENCE:.0f}', name, *options).stdout
        head = [line for line in out.splitlines() if 'status:' in line][0]
        flags = [line for line in out.splitlines() if line.startswith(';; flags:')][0]
        return head.split('status: ')[1].split(',')[0], flags.split(';')[2].split(':')[1].split()
