"""SIGKILL of the runtime at any moment: `delete --force` takes everything away, also from the journal alone and from one that was cut.

At random moments (the seed is printed; KILL9_SEED=n repeats it), and before single system calls of each of its processes.
"""
import os
import random
import signal
import subprocess
import time

import pytest

from faultlib import EVERYTHING, running

ROUNDS = int(os.environ.get("KILL9_ROUNDS", 300 if EVERYTHING else 60))
SEED = int(os.environ.get("KILL9_SEED", time.time_ns() % 1000000))
VERBS = ("create", "start", "run", "exec", "delete")


def damage(box, how, r):
    """What a crash of the machine or a full disk would leave of the state."""
    state = box.root + "/f"
    if how == "whole" or not os.path.isdir(state):
        return
    if os.path.exists(state + "/state.json"):
        os.unlink(state + "/state.json")
    journal = state + "/journal"
    if not os.path.exists(journal):
        return
    with open(journal, "rb") as f:
        text = f.read()
    if how == "cut":  # in the middle of a line that was just being written: what it names is not there yet
        with open(journal, "ab") as f:
            f.write(r.choice((b"cgroup 2 /", b"pid 1", b"c")))
    if how == "last":  # pid is the last line, and is written when the process is there: it has to go without it too
        lines = text.splitlines(keepends=True)
        if lines and lines[-1].startswith(b"pid "):
            with open(journal, "wb") as f:
                f.write(b"".join(lines[:-1]) + lines[-1][:7])


def aftermath(box, pids=()):
    """What is wrong after the kill; all processes that the runtime had are given."""
    wrong = box.force()
    wrong += [f"process {p} lives" for p in pids if running(p)]
    p = box.plain("delete", "f", check=False)
    if p.returncode == 0 or "does not exist" not in p.stderr:
        wrong.append(f"there is still something to delete: {p.returncode} {p.stderr}")
    if wrong:
        box.clean()
    return wrong


def stage(box, verb, bundle):
    """Everything before the command; answers with its arguments."""
    if verb in ("start", "delete"):
        box.quiet("create", "--bundle", bundle, "f")
    if verb == "exec":
        box.quiet("run", "--detach", "--bundle", bundle, "f")
    return {"create": ["create", "--bundle", bundle, "f"], "run": ["run", "--bundle", bundle, "f"], "start": ["start", "f"],
            "exec": ["exec", "f", "/look"], "delete": ["delete", "--force", "f"]}[verb]


def length(box, bundle, verb):
    args = stage(box, verb, bundle)
    began = time.monotonic()
    with open(box.area + "/out", "w") as out:
        p = subprocess.Popen(box.command(*args), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            p.wait(0.2)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    spent = time.monotonic() - began
    assert aftermath(box) == []
    return spent


def test_at_random_moments(box):
    r = random.Random(SEED)
    print(f"KILL9_SEED={SEED} KILL9_ROUNDS={ROUNDS}")
    bundle = box.bundle("waiting")
    spans = {v: length(box, bundle, v) for v in VERBS}
    complaints, killed = [], 0
    for i in range(ROUNDS):
        verb = VERBS[i % len(VERBS)]
        how = ("whole", "journal", "cut", "last")[i // len(VERBS) % 4]
        args = stage(box, verb, bundle)
        delay = r.uniform(0, min(spans[verb], 0.1) * 1.1)
        with open(box.area + "/out", "w") as out:
            p = subprocess.Popen(box.command(*args), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            time.sleep(delay)
            p.send_signal(signal.SIGKILL)
            killed += p.wait() == -signal.SIGKILL
        damage(box, how, r)
        complaints += [f"round {i}: {verb} killed after {delay * 1000:.2f} ms, state {how}: {w}" for w in aftermath(box)]
    print(f"{killed} of {ROUNDS} were killed before their end; ms: " + ", ".join(f"{v} {s * 1000:.1f}" for v, s in spans.items()))
    assert complaints == [], f"KILL9_SEED={SEED}\n" + "\n".join(complaints)
    assert killed > ROUNDS // 4


@pytest.mark.parametrize("how", ["whole", "journal", "cut", "last"] if EVERYTHING else ["whole", "journal"])
@pytest.mark.parametrize("verb", VERBS)
def test_before_a_call(box, verb, how):
    """EVERYTHING: before each call of each process; else before every 23rd."""
    bundle = box.bundle("waiting" if verb != "run" else "rich")
    args = stage(box, verb, bundle)
    attach = box.pid() if verb == "start" else 0
    places = box.traced(*args, attach=attach).places(box.skip_loader)
    assert aftermath(box) == [] and len(places) > 20
    step = 1 if EVERYTHING else 23
    complaints = []
    for role, index, name in places[len(how) % step::step]:
        args = stage(box, verb, bundle)
        trace = box.traced(*args, role=role, index=index, name=name, kill=True, attach=box.pid() if verb == "start" else 0)
        damage(box, how, random.Random(index))
        pids = [p for r, p in trace.pids.items() if r or verb != "exec"]
        complaints += [f"{verb}: process {role} killed before its call {index} ({name}), state {how}: {w}" for w in aftermath(box, pids)]
    assert complaints == [], f"{len(complaints)} complaints:\n" + "\n".join(complaints)


def test_delete_of_a_state_that_is_rubbish(box):
    bundle = box.bundle("waiting")
    for text in (b"", b"\0" * 100, b"{", b"[]", b'{"v":1}', b"\xff" * 5000, b"x" * (6 << 20)):
        for name in ("state.json", "journal"):
            box.quiet("run", "--detach", "--bundle", bundle, "f")
            with open(f"{box.root}/f/{name}", "wb") as f:
                f.write(text)
            if name == "journal" and len(text) > 65536:
                os.truncate(f"{box.root}/f/journal", 0)
            assert box.force() == [], (name, text[:20])
