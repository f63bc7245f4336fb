"""skiff.conf: what each key does, and that the page about it is complete; --pull newer, which is one of its values."""
import json
import re
from pathlib import Path

import pytest

from test_tty import Terminal

TOP = Path(__file__).resolve().parents[2]
KEY = re.compile(r'^\s+KEY\((\w+),\s+(\w+),\s+"([^"]*)",\s+"([^"]*(?:"\s+"[^"]*)*)"\)', re.M)


def keys():
    return KEY.findall((TOP / 'src/engine/conf.c').read_text())


@pytest.fixture
def conf(skiff, tmp_path):
    """Writes the one configuration file that is read."""
    def write(text):
        (tmp_path / 'skiff.conf').write_text(text)
        skiff.env['SKIFF_CONF'] = str(tmp_path / 'skiff.conf')
    yield write
    skiff.env.pop('SKIFF_CONF', None)


def test_page_has_every_key_with_its_default():
    page = (TOP / 'docs/configuration.md').read_text()
    rows = dict(re.findall(r'^\| `(\w+)` \| [^|]* \| ([^|]*) \|', page, re.M))
    assert keys() and {k: f'`{default}`' if default else 'empty' for k, _, default, _ in keys()} == {k: v.strip() for k, v in rows.items()}
    example = re.search(r'```\n(.*?)```', page, re.S).group(1)
    assert set(re.findall(r'^(\w+) =', example, re.M)) == {k for k, *_ in keys()}


def test_example_of_the_page_is_understood(skiff, conf):
    conf(re.search(r'```\n(.*?)```', (TOP / 'docs/configuration.md').read_text(), re.S).group(1))
    assert skiff.out('ps', '-q') == ''


@pytest.mark.parametrize('key', ['registries', 'short_names', 'userns_size', 'nosuch'])
def test_key_without_effect_is_refused_by_name_and_line(skiff, conf, key):
    conf(f'# first line\n{key} = x\n')
    assert f"skiff.conf:2: unknown key '{key}'" in skiff('ps', rc=1).stderr


def test_pull_never(skiff, conf):
    conf('pull = never\n')
    assert 'No such image' in skiff('run', '--rm', 'nosuch', rc=125).stderr
    conf('pull = sometimes\n')
    assert "skiff.conf:1: wrong value 'sometimes': expected always, missing, never or newer" in skiff('ps', rc=1).stderr


def test_pull_of_the_command_line_wins(empty, tmp_path):
    (tmp_path / 'skiff.conf').write_text('pull = never\n')
    empty.env['SKIFF_CONF'] = str(tmp_path / 'skiff.conf')
    assert empty.run('--pull', 'missing', '--', 'echo', 'ok').stdout == 'ok\n'


def test_stop_timeout(skiff, conf):
    conf('stop_timeout = 1\n')
    cid = skiff.detached('--', 'sleep', '60')
    assert skiff.inspect(cid)['Config']['StopTimeout'] == 1
    other = skiff.detached('--stop-timeout', '7', '--', 'sleep', '60')
    assert skiff.inspect(other)['Config']['StopTimeout'] == 7


def test_init(skiff, conf):
    conf('init = true\n')
    assert 'docker-init' in skiff.run('--', 'cat', '/proc/1/cmdline').stdout


def test_detach_keys(skiff, conf):
    conf('detach_keys = ctrl-x,x\n')
    t = Terminal(skiff, 'run', '-it', '--rm', '--name', 'd', skiff.image, 'sh')
    t.expect('# ')
    t.type('\x18x')
    assert t.wait() == 0 and t.close()
    assert skiff.state('d')['Running']
    skiff('rm', '-f', 'd')


def test_wrong_detach_keys_start_nothing(skiff, conf):
    conf('detach_keys = ctrl-\n')
    assert "invalid key 'detach_keys' of the configuration 'ctrl-'" in skiff.run('--', 'true', rc=125).stderr
    assert skiff.out('ps', '-aq') == ''


def test_pull_newer(skiff, registry):
    name = registry.name('newer/busybox')
    skiff('tag', skiff.image, name)
    skiff('push', name)
    assert skiff('run', '--rm', '--pull', 'newer', name, 'cat', '/hello.txt').stdout == 'hello\n'
    cid = skiff.detached('--', 'sh', '-c', 'echo newer > /hello.txt')
    skiff('wait', cid)
    skiff('commit', cid, 'localhost/changed')
    skiff('push', 'localhost/changed', name)
    before = skiff.out('images', '-q', name)
    assert skiff('run', '--rm', name, 'cat', '/hello.txt').stdout == 'hello\n'
    assert skiff('run', '--rm', '--pull', 'newer', name, 'cat', '/hello.txt').stdout == 'newer\n'
    assert skiff.out('images', '-q', name) != before
    assert skiff('run', '--rm', '--pull', 'newer', name, 'cat', '/hello.txt').stdout == 'newer\n'


def test_pull_newer_without_registry_takes_what_is_here(skiff):
    skiff('tag', skiff.image, '127.0.0.1:1/gone')
    p = skiff('run', '--rm', '--pull', 'newer', '127.0.0.1:1/gone', 'echo', 'ok')
    assert p.stdout == 'ok\n' and 'cannot be reached' in p.stderr and 'using the one that is here' in p.stderr
    assert 'cannot be reached' in skiff('run', '--rm', '--pull', 'newer', '127.0.0.1:1/other', 'echo', 'ok', rc=125).stderr
    # An id has no registry.
    image_id = json.loads(skiff.out('image', 'inspect', skiff.image))[0]['Id']
    assert skiff('run', '--rm', '--pull', 'newer', image_id, 'echo', 'ok').stderr == ''


def test_published_ports_without_a_network_are_a_warning(skiff):
    for mode in ('host', 'none'):
        p = skiff.run('--network', mode, '-p', '8080:80', '--', 'echo', 'ok')
        assert p.stdout == 'ok\n' and f'published ports are discarded when using {mode} network mode' in p.stderr
    assert skiff.run('--network', 'none', '--', 'true').stderr == ''
