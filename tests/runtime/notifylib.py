"""A service manager's end of NOTIFY_SOCKET, and a program that speaks to it from inside of a container."""
import os
import socket
import threading

import pytest


@pytest.fixture
def manager(box):
    """A service manager's socket; messages as a list, barriers are answered."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(box.dir / "manager.sock")
    s.bind(path)
    s.settimeout(20)
    got = []

    def loop():
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(s, 4096, 4)
            except OSError:
                return
            for fd in fds:
                os.close(fd)
            if data == b"stop":
                return
            got.append(data.decode())

    t = threading.Thread(target=loop, daemon=True)
    t.start()
    yield path, got
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.sendto(b"stop", path)
    t.join(10)
    s.close()
    end.close()


def build_say(box):
    """The container gets the program `say`, which tells that it is ready, and more than a container may say."""
    root = box.own_rootfs() if box.rootfs.parent != box.dir else box.rootfs
    src = box.dir / "say.c"
    src.write_text('''#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(void){struct sockaddr_un a={.sun_family=AF_UNIX};const char*p=getenv("NOTIFY_SOCKET");int f=socket(AF_UNIX,SOCK_DGRAM,0);
const char m[]="READY=1\\nSTATUS=up\\nMAINPID=1\\nFDSTORE=1";if(!p)return 3;strcpy(a.sun_path,p);
return sendto(f,m,sizeof m-1,0,(void*)&a,sizeof a)<0;}''')
    assert os.system(f"cc -static -o {root}/bin/say {src}") == 0
