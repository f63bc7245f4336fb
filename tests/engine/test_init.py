"""--init: skiff-init as PID 1."""
import os
import signal
import subprocess

from conftest import BIN, wait_until


def test_program_is_small_and_static():
    assert (BIN / 'skiff-init').stat().st_size < 50 * 1024
    assert b'interpreter' not in subprocess.run(['readelf', '-l', BIN / 'skiff-init'], capture_output=True, check=True).stdout


def test_is_pid_1_and_read_only(skiff):
    out = skiff.run('--init', '--', 'sh', '-c', 'cat /proc/1/comm; tr "\\0" " " < /proc/1/cmdline; echo; grep docker-init /proc/mounts; '
                    '(echo x > /proc/1/exe) 2>&1; (echo x > /sbin/docker-init) 2>&1; echo $$').stdout
    assert out.startswith('docker-init\n/sbin/docker-init -- sh -c ') and ' ro,' in out and out.count('Read-only file system') + out.count('can\'t create') >= 1
    assert out.splitlines()[-1] != '1'
    assert skiff.run('--', 'sh', '-c', 'echo $$').stdout == '1\n'


def test_status(skiff):
    assert skiff.run('--init', '--', 'sh', '-c', 'exit 7', rc=7).returncode == 7
    assert skiff.run('--init', '--', 'sh', '-c', 'kill -9 $$', rc=137).returncode == 137
    p = skiff.run('--init', '--', 'nowhere', rc=127)
    assert "exec of 'nowhere' failed: no such file or directory" in p.stderr
    assert 'permission denied' in skiff.run('--init', '--', '/etc/passwd', rc=126).stderr


def test_signals_reach_the_program(skiff):
    skiff.detached('--init', '--name', 's', '--', 'sh', '-c', 'trap "exit 9" TERM; trap "echo hup" HUP; echo up; while :; do sleep 0.05; done')
    assert wait_until(lambda: 'up' in skiff.out('logs', 's'))
    skiff('kill', '-s', 'HUP', 's')
    assert wait_until(lambda: 'hup' in skiff.out('logs', 's'))
    skiff('stop', '-t', '20', 's')
    assert skiff.state('s')['ExitCode'] == 9 and skiff.inspect('s')['HostConfig']['Init'] is True


def test_reaps_orphans(skiff):
    skiff.detached('--init', '--name', 'z', '--', 'sh', '-c', 'for i in 1 2 3 4 5; do (sh -c "sleep 0.01 &" ); done; echo done; sleep 1000')
    assert wait_until(lambda: 'done' in skiff.out('logs', 'z'))
    assert wait_until(lambda: len(skiff.out('top', 'z').splitlines()) == 3), skiff.out('top', 'z')
    assert 'Z' not in [row.split()[0] for row in skiff.out('top', 'z', 'state').splitlines()[1:]]


def test_terminal_is_the_programs(skiff):
    out = skiff.run('--init', '-t', '--', 'sh', '-c', 'tty; cut -d" " -f5,8 /proc/$$/stat').stdout
    pgrp, foreground = out.split()[-2:]
    assert '/dev/' in out and pgrp == foreground


def test_init_path(skiff):
    assert skiff.run('--init-path', BIN / 'skiff-init', '--', 'cat', '/proc/1/comm').stdout == 'docker-init\n'
    assert 'as the container' in skiff.run('--init-path', '/nowhere', '--', 'true', rc=125).stderr


def test_leaves_no_trace_in_the_image(skiff):
    skiff('run', '--init', '--name', 'd', skiff.image, 'touch', '/x')
    assert [x for x in skiff.out('diff', 'd').splitlines() if x != 'A /sbin'] == ['A /x'], 'an image without /sbin gets the directory'
