"""T17: everything that the runtime itself writes into a root goes through links that lie there only inside of it. There is no handler that writes a
configuration (VM, wasm): an annotation that asks for one is refused, and its files are not touched."""
import os
import stat

import pytest

UP = "../../../../../../../../../../.."
# what runtimes are known to write into a root, and what this one may: names of devices, links, mount points, handlers' files
WRITTEN = ["dev/null", "dev/fd", "dev/stdin", "dev/stdout", "dev/stderr", "dev/core", "dev/ptmx", "dev/console", "dev/shm", "dev/mqueue", "dev/pts", "proc", "sys", "etc/hosts", "etc/hostname",
           "etc/resolv.conf", "etc/mtab", ".krun_config.json", "krun-sev.json", ".wasm", "run/.containerenv", ".dockerenv", "work"]


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
@pytest.mark.parametrize("name", WRITTEN)
def test_T17_name_is_a_link_out(runtime, bundle, canary, area, name, absolute):
    b = bundle().without_mount("/dev").without_mount("/dev/shm").without_mount("/dev/pts")
    os.makedirs(os.path.dirname(f"{b.rootfs}/{name}"), exist_ok=True)
    b.replace(name, link=("" if absolute else UP) + canary + "/" + ("dir" if name in ("dev/shm", "dev/mqueue", "dev/pts", "proc", "sys", "work") else "made"))
    b.mounts.append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]})
    b.mounts.append({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"})
    for f in ("hosts", "hostname", "resolv.conf"):
        with open(f"{area}/{f}", "w") as out:
            out.write("from the engine\n")
        b.bind(f"{area}/{f}", f"/etc/{f}")
    b.process["cwd"] = "/work/made/deep"
    b.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    runtime.run(b.args("true"))
    # the canary tree is compared by the fixture; here: nothing was made beside it
    assert not os.path.lexists(canary + "/made")


@pytest.mark.parametrize("handler", ["krun", "wasm", "wasmedge", "../../evil", ""])
def test_T17_no_handler(runtime, bundle, canary, handler):
    b = bundle().args("true")
    b.spec["annotations"] = {"run.oci.handler": handler, "module.wasm.image/variant": "compat", "krun.ram_mib": "1"}
    for name in (".krun_config.json", "krun-sev.json"):
        os.symlink(canary + "/passwd", f"{b.rootfs}/{name}")
    p = runtime.run(b)
    assert p.returncode == 0 or "handler" in p.stderr
    assert stat.S_ISLNK(os.lstat(b.rootfs + "/.krun_config.json").st_mode)


def test_T17_tmpcopyup_follows_nothing(runtime, bundle, canary):
    b = bundle()
    os.makedirs(b.rootfs + "/data/sub")
    os.symlink(UP + canary + "/passwd", b.rootfs + "/data/link")
    os.symlink(canary + "/dir", b.rootfs + "/data/sub/dir")
    b.mounts.append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
    p = runtime.run(b.shell("readlink /data/link; cat /data/link /data/sub/dir/file; ls -la /data /data/sub"))
    assert "canary passwd\n" not in p.stdout and "canary dir" not in p.stdout
