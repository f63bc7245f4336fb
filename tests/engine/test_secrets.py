"""Secrets: the verbs, and --secret of run; what is in one is seen in the container that asked for it and nowhere else."""
import json
import os
import stat

import pytest
from conftest import wait_until

VALUE = 'correct horse battery staple'


@pytest.fixture
def secret(skiff):
    def make(name, value=VALUE, *flags):
        return skiff('secret', 'create', *flags, name, '-', input=value).stdout.strip()
    yield make
    for line in skiff.out('secret', 'ls', '-q').split():
        skiff('secret', 'rm', line)


def everything_below(path):
    for top, _, files in os.walk(path):
        for f in files:
            p = os.path.join(top, f)
            if os.path.isfile(p) and not os.path.islink(p):
                with open(p, 'rb') as x:
                    yield p, x.read()


def test_life_of_a_secret(skiff, secret, tmp_path):
    sid = secret('one', VALUE, '--label', 'a=b', '-l', 'c')
    assert len(sid) == 25
    doc = json.loads(skiff.out('secret', 'inspect', 'one'))[0]
    assert doc['ID'] == sid and doc['Spec'] == {'Name': 'one', 'Driver': {'Name': 'file', 'Options': {}}, 'Labels': {'a': 'b', 'c': ''}}
    assert VALUE not in json.dumps(doc)
    assert json.loads(skiff.out('secret', 'inspect', '--showsecret', sid[:8]))[0]['SecretData'] == VALUE
    assert skiff.out('secret', 'inspect', '-f', '{{.Spec.Name}} {{.Spec.Driver.Name}}', sid) == 'one file\n'
    assert 'Name:            one' in skiff.out('secret', 'inspect', '--pretty', 'one')
    (tmp_path / 'file').write_bytes(b'\0\1binary')
    skiff('secret', 'create', 'two', tmp_path / 'file')
    skiff('secret', 'create', '--env', 'three', 'THE_VARIABLE', env={'THE_VARIABLE': 'x'})
    assert [x.split()[1:3] for x in skiff.out('secret', 'ls').splitlines()] == [['NAME', 'DRIVER'], ['one', 'file'], ['three', 'file'], ['two', 'file']]
    assert skiff.out('secret', 'ls', '-n', '--filter', 'name=t', '--format', '{{.Name}}').split() == ['three', 'two']
    assert skiff.out('secret', 'ls', '-q', '-f', 'label=a=b') == sid + '\n' and skiff.out('secret', 'ls', '-q', '-f', f'id={sid[:9]}') == sid + '\n'
    skiff('secret', 'exists', 'one')
    skiff('secret', 'exists', 'nosuch', rc=1)
    for p, text in everything_below(skiff.root / 'secrets'):
        assert stat.S_IMODE(os.stat(p).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(skiff.root / 'secrets').st_mode) == 0o700
    assert skiff.out('secret', 'rm', 'one') == sid + '\n'
    assert 'no secret with name or id "one": no such secret' in skiff('secret', 'rm', 'one', rc=1).stderr
    skiff('secret', 'rm', '--ignore', 'one')
    assert len(skiff.out('secret', 'rm', '--all').split()) == 2 and os.listdir(skiff.root / 'secrets') == []


def test_refusals_of_create(skiff, secret, tmp_path):
    sid = secret('one')
    assert 'one: secret name in use' in skiff('secret', 'create', 'one', '-', input='x', rc=1).stderr
    assert skiff.out('secret', 'create', '--ignore', 'one', '-', input='x') == sid + '\n'
    created = json.loads(skiff.out('secret', 'inspect', 'one'))[0]['CreatedAt']
    assert skiff.out('secret', 'create', '--replace', 'one', '-', input='new').strip() != sid
    doc = json.loads(skiff.out('secret', 'inspect', '--showsecret', 'one'))[0]
    assert doc['SecretData'] == 'new' and doc['CreatedAt'] == created < doc['UpdatedAt'] and os.listdir(skiff.root / 'secrets') == ['one']
    for args, input_, says in ((('a/b', '-'), 'x', 'is invalid'), (('empty', '-'), '', 'larger than 0'), (('big', '-'), 'x' * 512001, 'at most 512000'),
                               (('gone', tmp_path / 'gone'), None, 'No such file'), (('--env', 'e', 'NOT_SET_HERE'), None, 'is not set'),
                               (('-d', 'pass', 'p', '-'), 'x', "driver 'pass' is not supported"), (('--driver-opts', 'a=b', 'p', '-'), 'x', "option 'a=b'")):
        assert says in skiff('secret', 'create', *args, input=input_, rc=1).stderr
    assert skiff.out('secret', 'create', 'big', '-', input='x' * 512000)


def test_files_of_a_container(skiff, secret):
    secret('one')
    secret('two', 'second')
    out = skiff.run('--secret', 'one', '--secret', 'two,target=/etc/app/key,uid=12,gid=34,mode=0400', '--secret', 'source=two,target=sub/name', '--', 'sh', '-c',
                    'cat /run/secrets/one; echo; cat /etc/app/key /run/secrets/sub/name; echo; stat -c "%a %u:%g %s" /run/secrets/one /etc/app/key; '
                    'stat -f -c %T /run/secrets/one; echo x 2>/dev/null > /run/secrets/one || echo read-only; grep secrets/one /proc/mounts').stdout.splitlines()
    assert out[:6] == [VALUE, 'secondsecond', f'444 0:0 {len(VALUE)}', '400 12:34 6', 'tmpfs', 'read-only']
    assert {'ro', 'nosuid', 'nodev', 'noexec'} <= set(out[6].split()[3].split(',')) and out[6].split()[2] == 'tmpfs'


def test_variables_of_a_container_and_of_what_is_executed_in_it(skiff, secret):
    secret('one', 'a b\nc')
    cid = skiff.detached('-e', 'one=overridden', '--secret', 'one,type=env', '--secret', 'one,type=env,target=OTHER', '--health-cmd', 'test "$OTHER" = "$one" && echo same',
                         '--', 'sh', '-c', 'echo "$one|$OTHER"; sleep 100')
    assert skiff.out('exec', cid, 'sh', '-c', 'echo "$OTHER"') == 'a b\nc\n'
    assert skiff.out('exec', '-e', 'OTHER=mine', cid, 'sh', '-c', 'echo "$OTHER"') == 'mine\n'
    assert skiff.out('logs', cid) == 'a b\nc|a b\nc\n'
    skiff('healthcheck', 'run', cid)
    skiff('rm', '-f', cid)


def test_a_secret_is_nowhere_else(skiff, secret):
    secret('one')
    cid = skiff.detached('--name', 'c', '--secret', 'one', '--secret', 'one,type=env,target=PASS', '--', 'sleep', '100')
    assert VALUE not in skiff.out('inspect', cid)
    assert [x['Name'] for x in skiff.inspect(cid)['Config']['Secrets']] == ['one', 'one']
    skiff('commit', cid, 'made')
    assert VALUE not in skiff.out('image', 'inspect', 'made') + skiff.out('history', '--no-trunc', 'made')
    assert skiff.out('run', '--rm', 'made', 'sh', '-c', 'cat /run/secrets/one; echo "$PASS"') == '\n'
    found = [p for p, text in everything_below(skiff.root) if VALUE.encode() in text]
    assert all('/secrets/' in p and stat.S_IMODE(os.stat(p).st_mode) == 0o600 for p in found) and len(found) == 3
    for p in [p for p, text in everything_below(skiff.run_root) if VALUE.encode() in text]:  # the runtime's state has the environment, for exec
        assert p.endswith('/state.json') and stat.S_IMODE(os.stat(p).st_mode) == 0o600
    skiff('rm', '-f', cid)
    assert len([p for p, text in everything_below(skiff.root) if VALUE.encode() in text]) == 1
    skiff('rmi', 'made')


def test_a_container_keeps_what_it_had(skiff, secret):
    secret('one', 'old')
    cid = skiff('create', '--secret', 'one', '--restart', 'on-failure:1', skiff.image, 'sh', '-c', 'cat /run/secrets/one; exit 3').stdout.strip()
    secret('one', 'new', '--replace')
    skiff('secret', 'rm', 'one')
    skiff('start', cid)
    assert wait_until(lambda: skiff.out('logs', cid) == 'oldold', 30)
    assert wait_until(lambda: skiff.state(cid)['Status'] == 'exited', 30)
    skiff('start', cid)
    assert wait_until(lambda: skiff.out('logs', cid) == 'old' * 4, 30)


def test_refusals_of_run(skiff, secret):
    secret('one')
    secret('zero', 'a\0b')
    for word, says in {'nosuch': 'no secret with name or id "nosuch"', 'one,type=disk': 'expected NAME', 'one,mode=9': 'expected NAME', 'one,uid=x': 'expected NAME',
                       'one,type=env,mode=0400': 'cannot be set with type=env', 'one,target=../x': 'no path of a file', 'one,target=/x/': 'no path of a file',
                       'type=env': 'no secret is named', 'zero,type=env': 'zero byte', 'one,type=env,target=a=b': 'no name of a variable', 'one,two': 'comes first',
                       '': 'no secret is named'}.items():
        assert says in skiff('run', '--rm', '--secret', word, skiff.image, 'true', rc=125).stderr, word
    assert 'Duplicate mount point' in skiff('run', '--rm', '--secret', 'one', '--secret', 'one', skiff.image, 'true', rc=125).stderr
    assert skiff.out('ps', '-aq') == ''
