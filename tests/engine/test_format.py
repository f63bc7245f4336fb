"""--format of ps, images, inspect, info and version: docker's fields, words and table layout, checked against docker's own client."""
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import wait_until

CASES = json.loads((Path(__file__).parent.parent / 'unit/cli/template_cases.json').read_text())


@pytest.fixture(scope='module')
def docker_context(tmp_path_factory):
    """docker's client evaluates templates over what a context file says: no daemon is needed."""
    if not shutil.which('docker'):
        pytest.skip('the docker command line is not installed')
    where = tmp_path_factory.mktemp('docker')
    d = where / 'contexts/meta' / hashlib.sha256(b't1').hexdigest()
    d.mkdir(parents=True)
    (d / 'meta.json').write_text(json.dumps({'Name': 't1', 'Metadata': {'Description': 'd', **CASES['data']},
                                             'Endpoints': {'docker': {'Host': 'unix:///x', 'SkipTLSVerify': False}}}))
    return {**os.environ, 'DOCKER_CONFIG': str(where)}


@pytest.mark.parametrize('part', range(4))
def test_template_cases_are_what_docker_says(docker_context, part):
    """The file that the unit test compares with holds what real Go prints."""
    wrong = []
    for case in CASES['cases'][part::4]:
        template = '{{with .Metadata.Metadata.AdditionalFields}}' + case[0] + '{{end}}'
        p = subprocess.run(['docker', 'context', 'inspect', 't1', '--format', template], capture_output=True, text=True, env=docker_context, errors='replace')
        error = re.sub(r'^(template parsing error: )?template: :[0-9:]+ ', '', p.stderr.strip())
        if (p.stdout[:-1] if p.returncode == 0 else None) != case[1] or (p.returncode and error != case[2]):
            wrong.append((case, p.stdout, error))
    assert wrong == []


def test_ps(skiff):
    cid = skiff.sleeper('--name', 'web', '--label', 'com.example.tier-one=front', '--label', 'b=2')
    assert skiff.out('ps', '--format', '{{.Names}} {{.ID}} {{.State}}') == f'web {cid[:12]} running\n'
    assert skiff.out('ps', '--no-trunc', '--format', '{{.ID}}') == f'{cid}\n'
    assert skiff.out('ps', '--format', '{{.Label "com.example.tier-one"}}|{{.Label "no"}}|{{.Labels}}') == 'front||' + \
        skiff.out('ps', '--format', '{{.Labels}}')
    lines = skiff.out('ps', '--format', r'table {{.Names}}\t{{.Label "com.example.tier-one"}}\t{{.State}}').splitlines()
    assert lines == ['NAMES     tier one   STATE', 'web       front      running']
    row = json.loads(skiff.out('ps', '--format', 'json'))
    assert list(row) == sorted(row) and row['Names'] == 'web' and row['Networks'] == 'bridge' and row['LocalVolumes'] == '0'
    assert {'Command', 'CreatedAt', 'ID', 'Image', 'Labels', 'LocalVolumes', 'Mounts', 'Names', 'Networks', 'Ports', 'RunningFor', 'Size',
            'State', 'Status'} == set(row)
    assert re.fullmatch(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w+', row['CreatedAt'])
    assert skiff.out('ps', '--format', '{{json .Names}}') == '"web"\n'
    assert skiff.out('ps', '--format', 'table') == skiff.out('ps')
    p = skiff('ps', '--format', '{{.Nope}}', rc=1)
    assert p.stderr == ('skiff: failed to execute template: template: :1:2: executing "" at <.Nope>: '
                        "can't evaluate field Nope in type *formatter.ContainerContext.\n")
    assert 'function "nope" not defined' in skiff('ps', '--format', '{{nope .}}', rc=1).stderr


def test_ps_size(skiff):
    skiff.detached('--name', 'w', '--', 'sh', '-c', 'head -c 123000 /dev/zero >/f; sleep 1000')
    assert wait_until(lambda: re.fullmatch(r'12[0-9]kB \(virtual [0-9.]+[kM]B\)\n', skiff.out('ps', '--format', '{{.Size}}')))
    head, row = skiff.out('ps', '-s').splitlines()
    assert head.endswith('NAMES     SIZE') and '(virtual ' in row
    doc = json.loads(skiff.out('inspect', '-s', 'w'))[0]
    assert 123000 <= doc['SizeRw'] < 130000 and doc['SizeRootFs'] > doc['SizeRw'] + 100000
    assert skiff.out('container', 'inspect', '--size', '-f', '{{.SizeRw}}', 'w') == f'{doc["SizeRw"]}\n'
    assert 'SizeRw' not in skiff.inspect('w') and 'SizeRw' not in skiff.out('inspect', '-s', skiff.image)


def test_images(skiff):
    row = json.loads(skiff.out('images', '--format', 'json'))
    assert row['Repository'] + ':' + row['Tag'] == skiff.image + ('' if ':' in skiff.image.rpartition('/')[2] else ':latest')
    assert list(row) == sorted(row) and len(row['ID']) == 12 and row['Digest'].startswith('sha256:')
    assert skiff.out('images', '--no-trunc', '--format', '{{.ID}}').startswith('sha256:')
    assert skiff.out('images', '--format', r'table {{.Tag}}\t{{upper .Tag}}').splitlines() == ['TAG       TAG', 'latest    LATEST']


def test_inspect(skiff):
    cid = skiff.sleeper('--name', 'i', '--label', 'a=1', '-e', 'A=b', '-v', '/tmp:/x:ro')

    def f(template):
        return skiff.out('inspect', '-f', template, 'i')[:-1]
    assert f('{{.ID}} {{.Id}} {{.Name}}') == f'{cid} {cid} /i'
    assert f('{{.State.Status}}{{if .State.Running}} up{{end}}') == 'running up'
    assert f('{{index .Config.Labels "a"}}|{{index .Config.Labels "zz"}}|{{.Config.Labels.a}}|{{.Config.Labels.zz}}') == '1||1|<no value>'
    assert f('{{range .Mounts}}{{.Source}}:{{.Destination}} {{.RW}}{{end}}') == '/tmp:/x false'
    assert 'A=b' in f('{{range .Config.Env}}{{println .}}{{end}}').splitlines()
    assert f('{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}') == 'bridge'
    assert f('{{json .State.Running}}') == 'true' and f('{{join .Args " "}}').startswith('-c')
    assert json.loads(f('{{json .}}'))['Id'] == cid
    assert json.loads(skiff.out('inspect', '--format', 'json', 'i'))[0]['Id'] == cid
    p = skiff('inspect', '-f', '{{.State.Nope}}', 'i', rc=1)
    assert p.stderr == 'skiff: template parsing error: template: :1:8: executing "" at <.State.Nope>: map has no entry for key "Nope".\n'
    p = skiff('inspect', '-f', '{{.Name}}', 'nosuch', 'i', rc=1)
    assert p.stdout == '/i\n' and 'No such object: nosuch' in p.stderr
    assert skiff.out('image', 'inspect', '-f', '{{.Os}} {{len .RootFS.Layers}}', skiff.image).startswith('linux ')


def test_info_and_version(empty):
    assert empty.out('info', '-f', '{{.Containers}} {{.Driver}} {{.DockerRootDir}}') == f'0 overlay {empty.root}\n'
    assert empty.out('version', '--format', '{{.Client.Version}}') == empty.out('--version').split()[-1] + '\n'
    assert json.loads(empty.out('version', '--format', 'json'))['Server']['Os'] == 'linux'
