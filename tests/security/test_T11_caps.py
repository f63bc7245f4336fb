"""T11: inheritable and ambient capabilities are what the spec says and nothing else."""
import pytest

from seclib import DEFAULT_CAPS, status

NUMBER = {"CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_AUDIT_WRITE": 29}


def mask(names):
    return sum(1 << NUMBER[n] for n in names)


def sets(p):
    s = status(p.stdout)
    return {k: int(s[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@pytest.mark.smoke
@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("userns", [False, True], ids=["host", "userns"])
def test_T11_init(runtime, bundle, uid, userns):
    b = bundle().args("cat", "/proc/self/status")
    if userns:
        b.user_namespace()
    b.process["user"] = {"uid": uid, "gid": uid}
    s = sets(runtime.run(b, check=True))
    assert (s["CapInh"], s["CapAmb"]) == (0, 0)
    assert s["CapBnd"] == mask(DEFAULT_CAPS)
    assert s["CapEff"] == (mask(DEFAULT_CAPS) if uid == 0 else 0)


@pytest.mark.parametrize("options", [[], ["--cap", "CAP_NET_ADMIN"], ["--user", "1000:1000"], ["--user", "1000", "--cap", "CAP_NET_ADMIN"]], ids=" ".join)
def test_T11_exec(runtime, bundle, options):
    b = bundle().args("sleep", "1000")
    runtime.start(b)
    s = sets(runtime.exec(b, "cat", "/proc/self/status", options=options, check=True))
    assert s["CapInh"] == 0
    if "--cap" not in options or "--user" not in options:
        assert s["CapAmb"] == 0
    assert s["CapBnd"] == mask(DEFAULT_CAPS + (["CAP_NET_ADMIN"] if "--cap" in options else []))


def test_T11_asked_for(runtime, bundle):
    b = bundle().args("cat", "/proc/self/status")
    b.process["user"] = {"uid": 1000, "gid": 1000}
    for name in ("inheritable", "ambient"):
        b.process["capabilities"][name] = ["CAP_KILL"]
    s = sets(runtime.run(b, check=True))
    assert s["CapInh"] == s["CapAmb"] == s["CapEff"] == mask(["CAP_KILL"])


def test_T11_none(runtime, bundle):
    for caps in ({}, None):
        b = bundle().args("cat", "/proc/self/status")
        if caps is None:
            del b.process["capabilities"]
        else:
            b.process["capabilities"] = caps
        assert set(sets(runtime.run(b, check=True)).values()) == {0}
