"""os.setns and os.unshare of Python 3.12, for the older Python of Debian 12. Python imports this file by its name at start."""
import ctypes
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
