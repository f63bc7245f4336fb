"""A container started by one build is fully managed by another, both ways (docs/wire.md, docs/formats.md: things are only appended).

The older build is built by tests/compat/build-old from the history (half a minute the first time), or is in SKIFF_OLD_BIN. Both builds work on the same trees, as
before and after an upgrade."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'engine'))
import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location('engine_conftest', HERE.parent / 'engine' / 'conftest.py')
engine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(engine)
registry, wait_until = engine.registry, engine.wait_until
OLD = Path(os.environ.get('SKIFF_OLD_BIN', HERE.parent.parent / 'build' / 'old' / 'bin'))


@pytest.fixture(scope='session', autouse=True)
def old():
    """The older programs; a history without them is a reason to skip, a build that fails is none."""
    if 'SKIFF_OLD_BIN' in os.environ:
        return
    p = subprocess.run([HERE / 'build-old'], capture_output=True, text=True)
    if p.returncode == 3:
        pytest.skip(p.stderr.strip())
    assert p.returncode == 0, p.stdout + p.stderr


class Both:
    """One pair of trees, two programs."""

    def __init__(self, new, first):
        self.new, self.first, self.second = new, first, engine.BIN if first == OLD else OLD

    def run(self, program, *args, rc=0, **kw):
        p = subprocess.run([str(program / 'skiff'), '--root', str(self.new.root), '--run-root', str(self.new.run_root), *map(str, args)], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, env=self.new.env, timeout=60, **kw)
        assert rc is None or p.returncode == rc, (program, args, p.stdout, p.stderr)
        return p.stdout

    def a(self, *args, **kw):
        return self.run(self.first, *args, **kw)

    def b(self, *args, **kw):
        return self.run(self.second, *args, **kw)


@pytest.fixture(scope='session')
def seed(registry, tmp_path_factory):
    """A root with the test image, made by the older build: what it must be able to read is what it wrote itself (a seal says the reader that it needs)."""
    s = engine.Skiff(tmp_path_factory.mktemp('seed'), registry.name('test/busybox'))
    subprocess.run([str(OLD / 'skiff'), '--root', str(s.root), '--run-root', str(s.run_root), 'pull', s.image], check=True, env=s.env, timeout=60)
    return s


@pytest.fixture(params=['old-then-new', 'new-then-old'])
def both(request, tmp_path, seed):
    subprocess.run(['cp', '-a', str(seed.root), str(tmp_path / 'lib')], check=True)
    s = engine.Skiff(tmp_path, seed.image)
    yield Both(s, OLD if request.param == 'old-then-new' else engine.BIN)
    s.clean_up()
    s.assert_clean()


def test_life(both):
    image = both.new.image
    cid = both.a('run', '-d', '--name', 'c', '--log-opt', 'max-size=1m', image, 'sh', '-c', 'trap "exit 3" TERM; echo hello; while :; do sleep 0.05; done').strip()
    assert cid[:12] in both.b('ps') and json.loads(both.b('inspect', 'c'))[0]['State']['Running']
    assert wait_until(lambda: both.b('logs', 'c') == 'hello\n')
    assert both.b('exec', 'c', 'echo', 'in') == 'in\n'
    assert both.b('ps', '-aq', '-f', 'status=running', '--no-trunc').strip() == cid
    both.b('stop', '-t', '10', 'c')
    assert json.loads(both.b('inspect', 'c'))[0]['State']['ExitCode'] == 3
    assert json.loads(both.a('inspect', 'c'))[0]['State']['ExitCode'] == 3
    both.b('rm', 'c')
    assert both.a('ps', '-aq') == ''


def test_kill_wait_rm_force(both):
    both.a('run', '-d', '--name', 'k', both.new.image, 'sleep', '1000')
    both.b('kill', 'k')
    assert both.b('wait', 'k') == '137\n'
    both.a('run', '-d', '--name', 'f', both.new.image, 'sleep', '1000')
    both.b('rm', '-f', 'k', 'f')


def test_monitor_lost(both):
    both.a('run', '-d', '--name', 'm', both.new.image, 'sleep', '1000')
    os.kill(both.new.monitor_pid('m'), 9)
    assert wait_until(lambda: json.loads(both.b('inspect', 'm'))[0]['State']['ExitCode'] == 137)
    both.b('system', 'check', '--repair', rc=None)
    both.b('rm', 'm')
    if both.second == OLD:  # it knows no networks: what it leaves of them is found by the newer
        assert 'network record' in both.a('system', 'check', '--repair', rc=None)


def test_new_verbs_on_an_old_container(both):
    """What an older monitor does not know is refused by it or done without it; the container is unharmed."""
    if both.first != OLD:
        pytest.skip('the old build has no new verbs')
    both.a('run', '-d', '--name', 'o', both.new.image, 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done')
    both.b('pause', 'o')
    both.b('unpause', 'o')
    both.b('rename', 'o', 'p')
    assert 'p' in both.b('stats', '--no-stream', '--format', '{{.Name}}') and 'sleep' in both.b('top', 'p')
    p = subprocess.run([str(engine.BIN / 'skiff'), '--root', str(both.new.root), '--run-root', str(both.new.run_root), 'update', '--restart', 'always', 'p'], capture_output=True,
                       text=True, env=both.new.env)
    assert p.returncode == 1 and 'nothing that can be updated' in p.stderr
    both.b('restart', '-t', '10', 'p')
    assert json.loads(both.b('inspect', 'p'))[0]['State']['Running']
    both.b('update', '--restart', 'always', 'p')
