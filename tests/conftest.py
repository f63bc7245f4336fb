"""All system tests run in a network namespace of their own, with the loopback up: containers are on the default network, and what they change of
bridges, addresses and firewall must not be the host's. Registries and other servers of the tests listen in it, too."""
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def pytest_configure(config):
    if os.geteuid() != 0 or os.environ.get('SKIFF_TEST_NETNS') == str(os.getpid()):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # For what has to be fetched (debootstrap): `nsenter --net=$SKIFF_TEST_HOST_NET`.
    host = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
    os.environ['SKIFF_TEST_HOST_NET'] = f'/proc/{os.getpid()}/fd/{host}'
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'unshare the network namespace')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', IFF_UP))
    os.environ['SKIFF_TEST_NETNS'] = str(os.getpid())
