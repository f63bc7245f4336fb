"""A shell sets its traps some time after its container runs, and a signal that comes before does something else: whoever sends one waits here first."""
import re
import signal
import time


def trapped(argv):
    """The signals that the traps of a shell's command line name."""
    names = re.findall(r'''trap (?:"[^"]*"|'[^']*') ([A-Z0-9]+)''', ' '.join(map(str, argv)))
    return {getattr(signal, f'SIG{n}') for n in names if hasattr(signal, f'SIG{n}')}


def minds(pid, sig):
    """Does the process catch or ignore the signal? True as well when there is none any more, whose signals nobody waits for."""
    try:
        with open(f'/proc/{pid}/status') as f:
            masks = [int(line.split()[1], 16) for line in f if line.startswith(('SigIgn', 'SigCgt'))]
    except OSError:
        return True
    return any(m >> (sig - 1) & 1 for m in masks) or not masks


def wait_for_traps(pid, argv, seconds=30):
    """pid: of the shell, on the host; 0: it has ended."""
    end = time.monotonic() + seconds
    while pid > 0 and not all(minds(pid, s) for s in trapped(argv)):
        assert time.monotonic() < end, f'process {pid} does not set its traps: {argv}'
        time.sleep(0.005)
