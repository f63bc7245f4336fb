"""--filter, -q, -n, -l of ps and images: docker's meaning and its words."""
import pytest


@pytest.fixture
def three(skiff):
    """Oldest first: one that runs, one that ended with 3, one that ended with 0."""
    skiff.sleeper('--name', 'web-1', '--label', 'tier=front', '--label', 'x')
    skiff('run', '--name', 'web-2', '--label', 'tier=back', skiff.image, 'sh', '-c', 'exit 3', rc=3)
    skiff('run', '--name', 'db', '-v', '/tmp:/data', skiff.image, 'true')
    return skiff


def names(skiff, *args):
    return skiff.out('ps', '--format', '{{.Names}}', *args).split()


def test_ps_filters(three):
    def f(*filters):
        return names(three, '-a', *(x for w in filters for x in ('-f', w)))
    cid = three.inspect('web-1')['Id']
    assert f('name=web') == ['web-2', 'web-1'] and f('name=^/db$') == ['db'] and f('name=^db$') == ['db'] and f('name=b-[12]') == ['web-2', 'web-1']
    assert f('name=web', 'name=db') == ['db', 'web-2', 'web-1']
    assert f(f'id={cid[:8]}') == ['web-1'] and f('id=zzz') == []
    assert f('label=tier') == ['web-2', 'web-1'] and f('label=tier=front') == ['web-1'] and f('label=tier', 'label=x') == ['web-1']
    assert names(three, '-f', 'status=exited') == ['db', 'web-2'] and f('status=running', 'status=exited') == ['db', 'web-2', 'web-1']
    assert f('exited=3') == ['web-2'] and f('exited=0', 'exited=3') == ['db', 'web-2']
    assert f(f'ancestor={three.image}') == ['db', 'web-2', 'web-1'] and f('ancestor=nosuch') == []
    image_id = three.inspect('db')['Image']
    assert f(f'ancestor={image_id}') == ['db', 'web-2', 'web-1'] and f(f'ancestor={image_id.split(":")[1][:12]}') == ['db', 'web-2', 'web-1']
    assert f('before=db') == ['web-2', 'web-1'] and f('since=web-1') == ['db', 'web-2'] and f('since=web-1', 'before=db') == ['web-2']
    assert names(three, '-f', 'before=db') == ['web-1']
    assert f('volume=/data') == ['db'] and f('volume=/tmp') == ['db'] and f('volume=/nope') == []
    assert len(f('network=bridge')) == 3 and f('network=host') == []
    assert len(f('health=none')) == 3 and f('health=healthy') == [] and f('publish=80') == [] and f('expose=80-90/udp') == []
    assert f('is-task=true') == [] and len(f('is-task=false')) == 3
    assert f('name=web', 'exited=3') == ['web-2']
    assert names(three, '-f', ' NAME = web ') == ['web-1']


def test_ps_filter_errors(three):
    for word, text in {'nope=1': "invalid filter 'nope'", 'status=up': "invalid filter 'status=up'", 'exited=x': "invalid filter 'exited=x'",
                       'health=ill': 'Unrecognised filter value for health: ill', 'is-task=maybe': "invalid filter 'is-task=maybe'",
                       'publish=x': "invalid filter 'publish=x'", 'before=nosuch': 'No such container: nosuch'}.items():
        assert three('ps', '-f', word, rc=1).stderr == f'skiff: {text}.\n'
    p = three('ps', '-f', 'name', rc=125)
    assert 'invalid argument "name" for "-f, --filter" flag: bad format of filter (expected name=value)' in p.stderr


def test_ps_last(three):
    assert names(three) == ['web-1'] and names(three, '-l') == ['db'] and names(three, '-n', '2') == ['db', 'web-2']
    assert names(three, '-n', '1', '-f', 'name=web') == ['web-2'] and len(names(three, '-n', '-1', '-a')) == 3
    cid = three.inspect('web-1')['Id']
    assert three.out('ps', '-q') == cid[:12] + '\n' and three.out('ps', '-q', '--no-trunc') == cid + '\n'
    assert len(three.out('ps', '-aq').split()) == 3


def test_images_filters(skiff):
    def f(*filters):
        return skiff.out('images', '-q', *(x for w in filters for x in ('-f', w))).split()
    one = f()
    assert len(one) == 1
    assert f(f'reference={skiff.image}') == one and f('reference=*:nosuch') == [] and f('reference=nosuch') == []
    assert f('dangling=true') == [] and f('dangling=false') == one
    assert f(f'before={skiff.image}') == [] and f(f'since={skiff.image}') == []
    assert f('label=nosuch') == [] and f('until=2000-01-01') == [] and f('until=0s') == one
    for word, text in {'nope=1': "invalid filter 'nope'", 'dangling=x': "invalid filter 'dangling=x'", 'until=x': "invalid filter 'until=x'",
                       'before=nosuch': 'No such image: nosuch'}.items():
        assert text in skiff('images', '-f', word, rc=1).stderr
    assert 'bad format of filter' in skiff('images', '-f', 'x', rc=125).stderr
