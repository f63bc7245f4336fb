"""system reset: everything goes, from disk and kernel; system config: what is configured and where."""
import json
import os
import time
from pathlib import Path


def everything(skiff):
    skiff.sleeper('--name', 'r1', '--network', 'none', '-v', 'vol:/data')
    skiff.sleeper('--name', 'r2', '--network', 'none', '--restart', 'always')
    skiff('create', '--name', 'r3', '--network', 'none', skiff.image, 'true')
    skiff('pause', 'r1')
    skiff('pod', 'create', '--name', 'rp', '--network', 'none')
    skiff('run', '-d', '--pod', 'rp', '--name', 'r4', skiff.image, 'sleep', '1000')
    skiff('secret', 'create', 's1', '-', input='x')
    skiff('volume', 'create', 'alone')
    skiff('network', 'create', 'net1')
    skiff('image', 'mount', skiff.image)
    (skiff.root / 'short-name-aliases.conf').write_text('[aliases]\n"x" = "example.org/x"\n')


def cgroups(ids):
    return [d for d, _, _ in os.walk('/sys/fs/cgroup') if any(i in d for i in ids)]


def test_reset_leaves_empty_directories_and_nothing_in_the_kernel(skiff):
    everything(skiff)
    ids, pids = skiff.ids(), [skiff.state(n)['Pid'] for n in ('r1', 'r2', 'r4')]
    assert len(ids) == 4 and cgroups(ids)
    assert str(skiff.root) in Path('/proc/self/mountinfo').read_text(), 'the image is mounted'
    assert skiff('system', 'reset', '--force').stdout == ''
    for _ in range(20):  # nobody comes back later
        assert list(skiff.root.iterdir()) == [] and list(skiff.run_root.iterdir()) == []
        time.sleep(0.05)
    assert str(skiff.root) not in Path('/proc/self/mountinfo').read_text()
    assert cgroups(ids) == [] and not [p for p in pids if Path(f'/proc/{p}').exists()]
    assert skiff.out('ps', '-aq') == skiff.out('images', '-q') == skiff.out('volume', 'ls', '-q') == ''
    assert skiff('system', 'reset', '-f').returncode == 0, 'can be repeated'


def test_reset_asks(skiff):
    skiff('create', '--name', 'r3', '--network', 'none', skiff.image, 'true')
    r = skiff('system', 'reset', input='n\n')
    assert 'all containers' in r.stdout and str(skiff.root) in r.stdout and 'Are you sure you want to continue? [y/N]' in r.stdout
    assert skiff('system', 'reset').stdout, 'nobody to ask is a no'
    assert skiff.out('ps', '-a', '--format', '{{.Names}}') == 'r3\n'
    skiff('system', 'reset', input='y\n')
    assert list(skiff.root.iterdir()) == []


def test_config_names_file_and_line(skiff, tmp_path):
    system, own = tmp_path / 'system.conf', tmp_path / 'skiff' / 'skiff.conf'
    own.parent.mkdir()
    own.write_text('\n# mine\npids_limit = 77\n')
    rows = json.loads(skiff.out('system', 'config', '--format', 'json', env={'XDG_CONFIG_HOME': str(tmp_path)}))
    by = {r['Key']: r for r in rows}
    assert (by['pids_limit']['Value'], by['pids_limit']['Source']) == ('77', f'{own}:3')
    assert (by['pull']['Value'], by['pull']['Source']) == ('missing', 'default')
    system.write_text('shm_size = 32m\n')
    lines = skiff.out('system', 'config', env={'SKIFF_CONF': str(system)}).splitlines()
    assert lines[0].split() == ['KEY', 'VALUE', 'SOURCE'] and len(lines) == len(rows) + 1
    assert ['shm_size', str(32 << 20), f'{system}:1'] in [x.split() for x in lines]
    system.write_text('x\npids_limit = many\n')
    assert f'{system}:1: not understood' in skiff('system', 'config', env={'SKIFF_CONF': str(system)}, rc=1).stderr
