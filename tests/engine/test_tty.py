import pytest
"""Terminals: run -t, resize, detach keys, raw mode put back."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from conftest import wait_until


class Terminal:
    """skiff on a pty of ours."""

    def __init__(self, skiff, *args, rows=24, cols=80):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(skiff.argv(*args), stdin=slave, stdout=slave, stderr=slave, env=skiff.env, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = ''

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))

    def expect(self, pattern, seconds=15):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            left = end - time.monotonic()
            assert left > 0, f'{pattern!r} is not in {self.text!r}'
            if select.select([self.master], [], [], left)[0]:
                self.text += os.read(self.master, 65536).decode(errors='replace')
        m = re.search(pattern, self.text)
        self.text = self.text[m.end():]
        return m

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, seconds=15):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.text += os.read(self.master, 65536).decode(errors='replace')
        return self.process.wait(timeout=1)

    def close(self):
        same = termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)
        return same


@pytest.mark.smoke
def test_shell(skiff):
    t = Terminal(skiff, 'run', '--rm', '-it', skiff.image, 'sh', rows=33, cols=101)
    t.expect(r'# ')
    t.type('stty size; tty; echo TERM=$TERM\r')
    t.expect(r'33 101\r\n/dev/(pts/0|console)\r\nTERM=xterm')
    t.resize(40, 120)
    t.process.send_signal(signal.SIGWINCH)
    t.type("until stty size | grep '40 120'; do sleep 0.05; done\r")
    t.expect('40 120\r\n')
    t.type('exit 7\r')
    assert t.wait() == 7
    assert t.close(), 'the terminal was not put back'


def test_control_c_goes_to_the_container(skiff):
    t = Terminal(skiff, 'run', '--rm', '-it', skiff.image, 'sh')
    t.expect('# ')
    t.type('sh -c \'echo re""ady; exec sleep 100\'\r')
    t.expect('ready')  # before that the interrupt would be the shell's
    t.type('\x03')
    t.expect('# ')
    t.type('echo code $?\r')
    t.expect('code 130')
    t.type('exit 4\r')
    assert t.wait() == 4
    assert t.close()


def test_detach_keys(skiff):
    t = Terminal(skiff, 'run', '-it', '--name', 'd', skiff.image, 'sh')
    t.expect('# ')
    t.type('echo a\x10b\r')  # ctrl-p alone is input
    t.expect('# ')
    t.type('\x10\x11')
    assert t.wait() == 0
    assert t.close()
    assert skiff.state('d')['Running']
    skiff('kill', 'd')
    assert skiff.out('wait', 'd') == '137\n'
    assert wait_until(lambda: not list(skiff.run_root.glob('containers/*/ctl.sock')))


def test_other_detach_keys(skiff):
    t = Terminal(skiff, 'run', '-it', '--rm', '--name', 'd', '--detach-keys', 'ctrl-x,x', skiff.image, 'sh')
    t.expect('# ')
    t.type('\x18x')
    assert t.wait() == 0 and t.close()
    skiff('rm', '-f', 'd')


def test_killed_client_leaves_the_container(skiff, kill9):
    t = Terminal(skiff, 'run', '-it', '--name', 'd', skiff.image, 'sh')
    t.expect('# ')
    kill9(t.process.pid)
    t.wait()
    t.close()
    assert skiff.state('d')['Running']


def test_exec_terminal(skiff):
    skiff.sleeper('--name', 'e')
    t = Terminal(skiff, 'exec', '-it', 'e', 'sh', rows=30, cols=90)
    t.expect('# ')
    t.type('stty size; echo TERM=$TERM\r')
    t.expect(r'30 90\r\nTERM=xterm')
    t.type('exit 3\r')
    assert t.wait() == 3 and t.close()


def test_tty_without_terminal(skiff):
    assert 'the input device is not a TTY' in skiff.run('-it', '--', 'true', rc=125).stderr
    assert skiff.run('-t', '--', 'sh', '-c', 'test -t 1 && echo tty').stdout == 'tty\n'
    cid = skiff.detached('-t', '--', 'sh', '-c', 'test -t 0 && echo tty')
    skiff('wait', cid)
    assert subprocess.run(skiff.argv('logs', cid), capture_output=True).stdout == b'tty\r\n'


def test_progress_bars(empty):
    t = Terminal(empty, 'pull', empty.image, rows=40, cols=150)
    assert t.wait(60) == 0
    t.expect(r'Pull complete')
    t.close()
    empty('rmi', empty.image)
