"""T05: the console is the terminal that the runtime made, whatever lies at /dev/console, /dev/ptmx and /dev/pts."""
import array
import os
import socket
import threading

import pytest


class ConsoleSocket:
    """What an engine does: takes the terminal's master and reads all that comes."""

    def __init__(self, path):
        self.path, self.text = path, ""
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(path)
        self.s.listen(1)
        self.s.settimeout(10)
        self.t = threading.Thread(target=self._serve, daemon=True)
        self.t.start()

    def _serve(self):
        try:
            c, _ = self.s.accept()
            with c:
                _, anc, _, _ = c.recvmsg(4096, socket.CMSG_SPACE(4))
                fds = array.array("i")
                for _, _, data in anc:
                    fds.frombytes(data[:4])
            for fd in fds:
                try:
                    while data := os.read(fd, 4096):
                        self.text += data.decode(errors="replace")
                except OSError:
                    pass
                os.close(fd)
        except OSError:
            pass

    def result(self):
        self.t.join(10)
        self.s.close()
        return self.text.replace("\r\n", "\n")


def console(runtime, b, canary, area):
    b.process["terminal"] = True
    b.shell("stat -L -c 'console %t' /dev/console; tty; stat -L -c 'stdin %t' /proc/self/fd/0; probe write /dev/console hello; echo end; sleep 0.2")
    c = ConsoleSocket(area + "/console.sock")
    p = runtime.create(b, "--console-socket", c.path, check=False)
    if p.returncode == 0:
        runtime("start", b.id, check=True)
    else:
        c.s.close()
        return None
    text = c.result()
    assert "stdin 88" in text and "end" in text, text  # 136 is the major number of a Unix98 terminal
    return text


@pytest.mark.smoke
@pytest.mark.parametrize("userns", [False, True], ids=["root", "userns"])
def test_T05_console(runtime, bundle, canary, area, userns):
    b = bundle()
    if userns:
        b.user_namespace()
    text = console(runtime, b, canary, area)
    assert "console 88" in text and "/dev/console" in text or "/dev/pts/0" in text


@pytest.mark.parametrize("name", ["dev/console", "dev/ptmx", "dev/pts", "dev/tty", "dev/pts/0"])
@pytest.mark.parametrize("up", ["", "../../../../../../../../../.."], ids=["absolute", "relative"])
def test_T05_name_is_a_symlink_out(runtime, bundle, canary, area, name, up):
    b = bundle().without_mount("/dev").without_mount("/dev/shm")
    if name == "dev/pts/0":
        b.without_mount("/dev/pts")
        os.makedirs(b.rootfs + "/dev/pts")
    target = canary + ("/dir" if name == "dev/pts" else "/console")
    b.replace(name, link=up + target)
    text = console(runtime, b, canary, area)
    assert text is None or name != "dev/console" or "console 88" in text, "the terminal went where the link leads"


def test_T05_swapped_by_a_hook(runtime, bundle, canary, area):
    b = bundle()
    script = b.path + "/swap"
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\nrm -f {b.rootfs}/dev/console {b.rootfs}/dev/ptmx\nln -s {canary}/console {b.rootfs}/dev/console\nln -s {canary}/ptmx {b.rootfs}/dev/ptmx\n")
    os.chmod(script, 0o755)
    b.spec["hooks"] = {"createContainer": [{"path": script}]}
    console(runtime, b, canary, area)
