"""os.setns and os.unshare of Python 3.12, for the older Python of Debian 12, and a stand-in for a private file of crun. Python imports
this file by its name at start."""
import ctypes
import fcntl
import os

if not hasattr(os, "setns"):
    _libc = ctypes.CDLL(None, use_errno=True)

    def _call(function, *args):
        if function(*args) != 0:
            e = ctypes.get_errno()
            raise OSError(e, os.strerror(e))

    os.setns = lambda fd, nstype=0: _call(_libc.setns, fd if isinstance(fd, int) else fd.fileno(), nstype)
    os.unshare = lambda flags: _call(_libc.unshare, flags)
    os.CLONE_NEWTIME, os.CLONE_NEWNS, os.CLONE_NEWCGROUP = 0x80, 0x20000, 0x2000000
    os.CLONE_NEWUTS, os.CLONE_NEWIPC, os.CLONE_NEWUSER = 0x4000000, 0x8000000, 0x10000000
    os.CLONE_NEWPID, os.CLONE_NEWNET = 0x20000000, 0x40000000

# crun's test of checkpoints polls for crun's own file `status` in the state directory before it asks `state`: for a runtime that has no such file,
# a state that nobody is working on (its directory is locked then) has to do. Only the question whether it exists is answered; a test that reads
# the file fails.
_exists = os.path.exists


def _state_is_there(d):
    if not _exists(os.path.join(d, "state.json")):
        return False
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _exists_or_state(path):
    if _exists(path):
        return True
    d, name = os.path.split(path) if isinstance(path, str) else ("", "")
    return name == "status" and os.path.basename(os.path.dirname(d)) == "root" and _state_is_there(d)


os.path.exists = _exists_or_state
