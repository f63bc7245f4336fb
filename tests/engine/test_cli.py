"""Help, usage errors, and the one list of options against docker's."""
import re
import shutil
import subprocess

import pytest


def listing(skiff):
    options = {}
    for line in skiff.out('__complete-list').splitlines():
        kind, command, *rest = line.split('\t')
        if kind == 'option':
            options.setdefault(command, {})[rest[0]] = rest
        else:
            options.setdefault(command, {})
    return options


def test_help_of_every_command(empty):
    for command, options in listing(empty).items():
        if '__' in command:
            continue
        out = empty.out(*command.split()[1:], '--help')
        assert out.startswith(f'Usage:  {command} ')
        for name, row in options.items():
            assert (name in out.split()) == (row[3] == 'supported'), (command, name)
    assert 'Usage:' in empty.out() and 'Usage:' in empty.out('--help')


def test_unknown_commands(empty):
    assert "'nosuch' is not a skiff command" in empty('nosuch', rc=125).stderr
    assert "'skiff image nosuch' is not a skiff command" in empty('image', 'nosuch', rc=125).stderr
    assert 'unknown flag: --nosuch' in empty('--nosuch', 'ps', rc=125).stderr
    assert '"skiff ps" accepts no arguments.' in empty('ps', 'x', rc=125).stderr
    assert empty.out('--version').startswith('skiff version ')
    assert empty.out('version').startswith('skiff version ')


def test_option_forms(skiff):
    assert skiff.out('run', '--rm=true', '--env=A=b', skiff.image, 'sh', '-c', 'echo $A') == 'b\n'
    assert skiff.out('run', '--rm', '-eA=b', skiff.image, 'sh', '-c', 'echo $A') == 'b\n'
    assert skiff.out('run', '-i', '--rm', skiff.image, 'cat', input='x') == 'x'
    assert skiff.out('run', '--rm', skiff.image, 'echo', '--rm', '-x') == '--rm -x\n'
    assert skiff.out('container', 'run', '--rm', '--', skiff.image, 'echo', 'x') == 'x\n'


def test_container_group(skiff):
    skiff.sleeper('--name', 'g')
    assert 'g' in skiff.out('container', 'ls') and 'g' in skiff.out('container', 'ps')
    assert skiff.out('container', 'exec', 'g', 'echo', 'x') == 'x\n'
    assert skiff.out('container', 'stop', 'g') == 'g\n' and skiff.out('container', 'rm', 'g') == 'g\n'


def test_info(skiff):
    skiff.sleeper()
    out = skiff.out('info')
    assert 'Containers: 1\n Running: 1\n' in out and 'Images: 1' in out and str(skiff.root) in out


@pytest.mark.parametrize('verb', ['run', 'exec', 'ps', 'logs', 'stop', 'kill', 'rm', 'wait', 'inspect', 'pull', 'images', 'rmi'])
def test_every_flag_of_docker_is_known(empty, verb):
    """Supported, or refused by its name: never 'unknown flag'."""
    if not shutil.which('docker'):
        pytest.skip('the docker command line is not installed')
    out = subprocess.run(['docker', verb, '--help'], capture_output=True, text=True).stdout
    docker = set(re.findall(r'^ +(?:-[a-zA-Z], )?(--[a-z0-9-]+)', out, re.M))
    windows = {'--cpu-count', '--cpu-percent', '--io-maxbandwidth', '--io-maxiops', '--kernel-memory'}
    assert docker - set(listing(empty)[f'skiff {verb}']) - windows == set()
