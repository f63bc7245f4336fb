"""T13: a process has the groups of the spec, and none of its caller's. (For images and `skiff run`: test_T12_user.py.)"""
import os
import subprocess

import pytest

from seclib import RUNTIME, status


def groups(text):
    s = status(text)
    return s["Gid"].split(), sorted(int(g) for g in s["Groups"].split())


@pytest.mark.parametrize("user, gids", [({"uid": 0, "gid": 0}, []), ({"uid": 1000, "gid": 7}, []), ({"uid": 1000, "gid": 1000, "additionalGids": [5, 6, 5]}, [5, 5, 6]),
                                        ({"uid": 0, "gid": 0, "additionalGids": list(range(100, 400))}, list(range(100, 400)))], ids=["root", "user", "few", "many"])
@pytest.mark.parametrize("userns", [False, True], ids=["host", "userns"])
def test_T13_of_a_caller_with_groups(runtime, bundle, user, gids, userns):
    b = bundle().args("cat", "/proc/self/status")
    if userns:
        b.user_namespace()
    b.process["user"] = user
    b.write()
    runtime.made.append(b.id)
    p = subprocess.run([RUNTIME, "--root", runtime.root, "run", "--bundle", b.path, b.id], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                       extra_groups=[4, 24, 27, 1234])
    assert p.returncode == 0, p.stderr
    gid, have = groups(p.stdout)
    assert gid == [str(user["gid"])] * 4 and sorted(set(have)) == sorted(set(gids))


def test_T13_exec(runtime, bundle):
    b = bundle().args("sleep", "1000")
    b.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 6]}
    runtime.start(b)

    def run(*options):
        p = subprocess.run([RUNTIME, "--root", runtime.root, "exec", *options, b.id, "cat", "/proc/self/status"], capture_output=True, text=True, timeout=30,
                           stdin=subprocess.DEVNULL, extra_groups=[4, 24, 27])
        assert p.returncode == 0, p.stderr
        return groups(p.stdout)
    assert run("--additional-gids", "7", "--additional-gids", "8")[1] in ([7, 8], [5, 6, 7, 8])
    assert set(run()[1]) == {5, 6}
    assert run("--user", "2000:2001")[0] == ["2001"] * 4
    assert not {4, 24, 27} & set(run("--user", "2000:2001")[1])


def test_T13_too_many(runtime, bundle):
    b = bundle().args("true")
    b.process["user"] = {"uid": 0, "gid": 0, "additionalGids": list(range(70000))}
    p = runtime.run(b)
    assert p.returncode != 0 and "additionalGids" in p.stderr
    assert os.path.exists(b.path)
