"""cp: both ways, into running and stopped containers, tars on a pipe."""
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest


@pytest.fixture(params=['running', 'stopped'])
def box(skiff, request):
    """A container c in one of the two states, with files."""
    script = 'mkdir -p /d/sub; echo one > /d/one; echo two > /d/sub/two; ln -s one /d/link; ln -s /d /dirlink; chmod 640 /d/one; chown 7:8 /d/one; mkdir /empty'
    if request.param == 'running':
        skiff.detached('--name', 'c', '--', 'sh', '-c', script + '; touch /ready; sleep 1000')
        from conftest import wait_until
        assert wait_until(lambda: skiff('exec', 'c', 'test', '-e', '/ready', rc=None).returncode == 0)
    else:
        skiff('run', '--name', 'c', skiff.image, 'sh', '-c', script)
    return skiff


def tree(top):
    found = {}
    for p in sorted(Path(top).rglob('*')):
        found[str(p.relative_to(top))] = os.readlink(p) if p.is_symlink() else p.read_text() if p.is_file() else 'dir'
    return found


FILES = {'one': 'one\n', 'link': 'one', 'sub': 'dir', 'sub/two': 'two\n'}


def test_out_of_a_container(box, tmp_path):
    to = tmp_path / 'out'
    to.mkdir()
    box('cp', 'c:/d/one', to / 'renamed')
    assert (to / 'renamed').read_text() == 'one\n' and (to / 'renamed').stat().st_mode & 0o777 == 0o640 and (to / 'renamed').stat().st_uid == os.geteuid()
    box('cp', '-a', 'c:d/one', to)
    assert ((to / 'one').stat().st_uid, (to / 'one').stat().st_gid) == (7, 8)
    box('cp', 'c:/d', to / 'new')
    assert tree(to / 'new') == FILES
    box('cp', 'c:/d', to)
    assert tree(to / 'd') == FILES
    box('cp', 'c:/d/.', to / 'd2')
    assert tree(to / 'd2') == FILES
    (to / 'd3').mkdir()
    box('cp', 'c:/d/.', to / 'd3')
    assert tree(to / 'd3') == FILES
    box('cp', 'c:/d/link', to / 'l')
    assert os.readlink(to / 'l') == 'one'
    box('cp', '-L', 'c:/d/link', to / 'followed')
    assert (to / 'followed').read_text() == 'one\n'
    box('cp', 'c:/dirlink/sub/two', to / 'through')
    assert (to / 'through').read_text() == 'two\n'


def test_into_a_container(box, tmp_path):
    src = tmp_path / 'src'
    (src / 'x').mkdir(parents=True)
    (src / 'x' / 'file').write_text('data')
    (src / 'x' / 'file').chmod(0o751)
    os.chown(src / 'x' / 'file', 11, 12)
    box('cp', src / 'x', 'c:/empty')
    box('cp', src / 'x' / 'file', 'c:/dirlink/copied')
    box('cp', src / 'x' / 'file', 'c:/d/one')
    box('cp', '-a', src / 'x' / '.', 'c:/fresh')
    out = subprocess.run(box.argv('cp', 'c:/', '-'), capture_output=True, check=True, env=box.env).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as t:
        got = {m.name.removeprefix('./'): m for m in t.getmembers()}
        assert t.extractfile(got['empty/x/file']).read() == b'data' and got['empty/x/file'].mode == 0o751 and got['empty/x/file'].uid == 0
        assert t.extractfile(got['d/copied']).read() == b'data' and t.extractfile(got['d/one']).read() == b'data'
        assert (got['fresh/file'].uid, got['fresh/file'].gid) == (11, 12)


def test_errors_in_dockers_words(box, tmp_path):
    (tmp_path / 'f').write_text('')
    for args, words in [(('c:/nope', tmp_path), 'Could not find the file /nope in container c'), ((tmp_path / 'nope', 'c:/'), 'Could not find the file'),
                        ((tmp_path / 'f', 'c:/nope/'), 'destination directory must exist'), (('c:/d', tmp_path / 'f'), 'cannot copy directory'),
                        ((tmp_path / 'f', 'c:/no/such/dir'), 'Could not find the directory'), (('x', 'y'), 'must specify at least one container'),
                        (('c:', '/x'), 'arg can not be empty'), (('nope:/x', '/x'), 'No such container: nope')]:
        assert words in box('cp', *args, rc=1).stderr, args


def test_tar_on_a_pipe(box, tmp_path):
    """What tar(1) makes goes in, and what comes out is what tar(1) reads: names of every length, links, modes, large ids."""
    src = tmp_path / 'src'
    long_dir = src / ('n' * 90) / ('m' * 90)
    long_dir.mkdir(parents=True)
    (long_dir / 'deep').write_text('deep')
    os.symlink('t' * 150, src / 'longlink')
    (src / 'hard').write_text('h')
    os.link(src / 'hard', src / 'hard2')
    os.mkfifo(src / 'fifo')
    os.chown(src / 'hard', 3000000, 5)
    for fmt in ('gnu', 'posix', 'ustar'):
        if fmt == 'ustar':
            os.unlink(src / 'longlink')
            os.chown(src / 'hard', 3, 5)
        tar = subprocess.run(['tar', '-C', src, f'--format={fmt}', '-cf', '-', '.'], capture_output=True, check=True).stdout
        subprocess.run(box.argv('cp', '-a', '-', 'c:/empty'), input=tar, check=True, env=box.env)
        out = subprocess.run(box.argv('cp', 'c:/empty/.', '-'), capture_output=True, check=True, env=box.env).stdout
        back = tmp_path / fmt
        back.mkdir()
        subprocess.run(['tar', '-C', back, '-xpf', '-'], input=out, check=True)
        left, right = tree_stat(src), tree_stat(back)
        assert {k: right[k] for k in left} == left
    bad = bytearray(tar)
    bad[3] ^= 1
    for data, words in [(b'x' * 1024, 'is no tar'), (bytes(bad), 'is no tar'), (tar[:700], 'ends too early'), (b'\x1f\x8b' + b'\0' * 600, 'compressed with gzip')]:
        p = subprocess.run(box.argv('cp', '-', 'c:/empty'), input=data, capture_output=True, env=box.env)
        assert p.returncode == 1 and words in p.stderr.decode(), words


def tree_stat(top):
    found = {}
    for p in Path(top).rglob('*'):
        st = p.lstat()
        found[str(p.relative_to(top))] = (st.st_mode, st.st_uid, st.st_gid, os.readlink(p) if p.is_symlink() else p.read_bytes() if p.is_file() else '')
    return found


def test_between_containers(skiff):
    skiff('run', '--name', 'a', skiff.image, 'sh', '-c', 'echo x > /x')
    skiff('create', '--name', 'b', skiff.image, 'cat', '/y')
    skiff('cp', 'a:/x', 'b:/y')
    assert skiff.out('start', '-a', 'b') == 'x\n'


def test_volume_of_a_running_container(skiff, tmp_path):
    vol = tmp_path / 'vol'
    vol.mkdir()
    (vol / 'in').write_text('volume')
    skiff.detached('--name', 'v', '-v', f'{vol}:/v', '--', 'sleep', '1000')
    assert subprocess.run(skiff.argv('cp', 'v:/v/in', '-'), capture_output=True, check=True, env=skiff.env).stdout[:2] == b'in'
    (tmp_path / 'f').write_text('new')
    skiff('cp', tmp_path / 'f', 'v:/v/out')
    assert (vol / 'out').read_text() == 'new'
    skiff('cp', tmp_path / 'f', 'v:/etc/hosts')  # a mount point is written in place
    assert skiff.out('exec', 'v', 'cat', '/etc/hosts') == 'new'
