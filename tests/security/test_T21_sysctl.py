"""T21: a sysctl's name or value smuggles another one."""
import pytest

from seclib import sh

BAD_NAMES = ["kernel.core_pattern", "kernel.panic", "vm.swappiness", "kernel/core_pattern", "kernel.msgmax=1,kernel.panic", "kernel.msgmax+kernel.panic",
             "net.ipv4../../kernel/core_pattern", "net/../kernel/core_pattern", "net.ipv4/../../kernel/panic", "kernel.shm_rmid_forced/../core_pattern",
             "fs.mqueue/../protected_symlinks", "fs.mqueue...protected_symlinks", "../kernel/panic", "/proc/sys/kernel/panic", "kernel.sem\nkernel.panic", "",
             "kernel.domainname/../../../sysrq-trigger", "net", ".", "kernel..panic"]
BAD_VALUES = ["1+kernel.panic=7", "1,kernel.panic=7", "1=7", "1\nkernel.panic=7", "1\0x", "1 kernel.panic=7", "x" * 70000]


@pytest.mark.smoke
@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_T21_name(runtime, bundle, name):
    b = bundle().args("true")
    b.linux["sysctl"] = {name: "7"}
    p = runtime.run(b)
    assert p.returncode != 0 and p.stderr.strip()
    # that the host's sysctls are as they were is compared by the fixture


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda v: repr(v[:20]))
def test_T21_value(runtime, bundle, value):
    b = bundle().args("sleep", "100")
    b.linux["sysctl"] = {"kernel.msgmax": value}
    p = runtime.create(b, check=False)
    if p.returncode == 0:
        pid = runtime.state(b)["pid"]
        assert sh("nsenter", "-t", pid, "-i", "cat", "/proc/sys/kernel/msgmax").stdout.strip() == "1"


def test_T21_needs_a_namespace_of_its_own(runtime, bundle):
    for name, space in (("net.ipv4.ip_forward", "network"), ("kernel.msgmax", "ipc"), ("fs.mqueue.msg_max", "ipc"), ("kernel.domainname", "uts")):
        b = bundle().args("true")
        b.linux["namespaces"] = [n for n in b.linux["namespaces"] if n["type"] != space]
        if space == "uts":
            b.spec.pop("hostname")
        b.linux["sysctl"] = {name: "1"}
        p = runtime.run(b)
        assert p.returncode != 0 and name in p.stderr


def test_T21_a_good_one(runtime, bundle):
    b = bundle().args("cat", "/proc/sys/kernel/msgmax", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/sem")
    b.linux["sysctl"] = {"kernel.msgmax": "4321", "net/ipv4/ip_forward": "1", "kernel.sem": "100 200 50 60"}
    assert runtime.run(b, check=True).stdout.split("\n")[:2] == ["4321", "1"]
