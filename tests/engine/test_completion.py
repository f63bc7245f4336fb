"""Completion, help, man pages, the option table and the code behind it say the same."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BIN
from test_cli import listing

TOP = Path(__file__).resolve().parent.parent.parent


def complete(skiff, *words):
    out = skiff.out('__complete', '--', '--root', skiff.root, '--run-root', skiff.run_root, *words)
    return [line.split('\t')[0] for line in out.splitlines()]


def test_completion_offers_exactly_the_supported_flags(empty):
    for command, options in listing(empty).items():
        if '__' in command:
            continue
        want = sorted(name for name, row in options.items() if row[3] == 'supported')
        assert sorted(complete(empty, *command.split()[1:], '--')) == want, command


def test_completion_offers_exactly_the_shown_commands(empty):
    shown = {line.split('\t')[1] for line in empty.out('__complete-list').splitlines()
             if line.startswith('command\t') and not line.endswith('\thidden')}
    offered = {f'skiff {w}' for w in complete(empty, '')}
    groups = {c.split()[1] for c in shown if len(c.split()) == 3}
    assert offered == {c for c in shown if len(c.split()) == 2} | {f'skiff {g}' for g in groups}
    for g in groups:
        assert {f'skiff {g} {w}' for w in complete(empty, g, '')} == {c for c in shown if c.startswith(f'skiff {g} ')}
    text = empty.out('--help')
    for c in shown:
        assert re.search(rf'^  {re.escape(c[6:])} +\S', text, re.M), c


def test_man_pages_have_every_command_and_flag(empty, tmp_path):
    subprocess.run([TOP / 'tools/mkman', BIN, tmp_path], check=True)
    sections = {}
    for part in (tmp_path / 'skiff.1').read_text().replace('\\-', '-').split('\n.SS ')[1:]:
        sections[part.split('\n')[0]] = part
    for command, options in listing(empty).items():
        for name, row in options.items():
            assert (f'{name} ' in sections[command] or f'{name}\n' in sections[command]) == (row[3] == 'supported'), (command, name)


def test_every_field_of_the_option_table_is_read():
    """A flag that is parsed and never looked at would be ignored silently."""
    code = '\n'.join(f.read_text() for f in (TOP / 'src/cli').glob('*.c') if f.name not in ('tables.c', 'parse.c'))
    table = '\n'.join(f.read_text() for f in (TOP / 'src/cli').glob('options_*.def'))
    fields = set(re.findall(r'^OPT\([^;]*?,\s*(?:BOOL|STR|LIST|INT|SIZE|CPUS),\s*(\w+),', table, re.M | re.S))
    assert len(fields) > 40
    assert {f for f in fields if not re.search(rf'(?:\bo\.|->|&o\.|\.o\.){f}\b', code)} == set()


def test_names(skiff):
    cid = skiff.sleeper('--name', 'up')
    skiff('run', '--name', 'resting', skiff.image, 'true')
    assert complete(skiff, 'rm', '') == ['resting', 'up'] and complete(skiff, 'exec', '') == ['up'] and complete(skiff, 'stop', '-t', '3', '') == ['up']
    assert complete(skiff, 'logs', 'r') == ['resting'] and complete(skiff, 'container', 'logs', 'r') == ['resting']
    assert cid[:12] in complete(skiff, 'inspect', cid[:2]) and cid[:12] not in complete(skiff, 'inspect', '')
    image = complete(skiff, 'run', skiff.image)
    assert any(i.startswith(skiff.image) for i in image)
    assert complete(skiff, 'exec', 'up', '') == [':files'] and complete(skiff, 'export', 'up', '') == []
    assert complete(skiff, 'run', '--cidfile', '') == [':files'] and complete(skiff, 'run', '--name', '') == []
    assert complete(skiff, 'ps', '--filter', 'sta') == ['status='] and complete(skiff, 'ps', '--format=j') == ['--format=json']
    assert complete(skiff, 'nosuch', '') == [] and complete(skiff, 'completion', '') == ['bash', 'fish', 'zsh']


def test_names_of_pods_volumes_networks_and_secrets(skiff):
    skiff('pod', 'create', '--name', 'p1', '--network', 'none')
    skiff('volume', 'create', 'v1')
    skiff('network', 'create', 'n1')
    skiff('secret', 'create', 's1', '-', input='x')
    skiff('create', '--name', 'x1', '--network', 'none', skiff.image, 'true')
    assert complete(skiff, 'pod', 'rm', '') == ['p1'] and complete(skiff, 'run', '--pod', '') == ['p1']
    assert complete(skiff, 'volume', 'inspect', '') == ['v1'] and complete(skiff, 'secret', 'rm', '') == complete(skiff, 'run', '--secret', '') == ['s1']
    assert complete(skiff, 'network', 'rm', 'n') == ['n1', 'none'] and complete(skiff, 'run', '--network', 'n1') == ['n1']
    assert complete(skiff, 'network', 'connect', 'x') == ['x1'] and complete(skiff, 'explain', '') == ['x1', 'p1']
    assert complete(skiff, 'volume', 'create', '') == [] and complete(skiff, 'run', '--volumes-from', '') == ['x1']
    skiff('pod', 'rm', '-f', 'p1')
    assert complete(skiff, 'run', '--pull', 'new') == ['newer'] and complete(skiff, 'run', '--restart', 'al') == ['always']


def bash(skiff, line):
    """What bash would put in place of the last word."""
    script = f'''source <("{BIN}/skiff" completion bash)
COMP_LINE=$1 COMP_POINT=${{#1}} COMPREPLY=()
_skiff "{BIN}/skiff"
printf '%s\\n' "${{COMPREPLY[@]}}"'''
    return subprocess.run(['bash', '-c', script, 'bash', line], capture_output=True, text=True, check=True, env=skiff.env).stdout.split()


def test_bash(skiff):
    at = f'skiff --root {skiff.root} --run-root {skiff.run_root} '
    skiff.sleeper('--name', 'up')
    assert bash(skiff, at + 'stop u') == ['up'] and bash(skiff, at + 'stop ') == ['up']
    assert bash(skiff, at + 'ps --fo') == ['--format'] and bash(skiff, at + 'ps --format=js') == ['json']
    host, port_and_rest = skiff.image.split(':', 1)
    assert bash(skiff, at + f'run {host}:')[0].startswith(port_and_rest)
    assert 'images' in bash(skiff, 'skiff im')


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_scripts_are_valid(empty, shell):
    if not shutil.which(shell):
        pytest.skip(f'{shell} is not installed')
    subprocess.run([shell, '-n'], input=empty.out('completion', shell), text=True, check=True)


def test_unknown_shell(empty):
    assert "no completion for the shell 'tcsh': expected bash, zsh or fish" in empty('completion', 'tcsh', rc=1).stderr
