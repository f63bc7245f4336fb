"""Each system call of the runtime fails once: the command says what went wrong and leaves nothing, or it did all of its work all the same."""
import os
import signal
import time

import pytest

from faultlib import EVERYTHING, FREES_ANYWAY, choose, procs_in_cgroup, running, sentence, wait_for


class Verb:
    """One command under test. prepare() makes what it needs, judge_ok() looks at a success, judge_failed() at a failure; both answer with complaints."""
    args, attach = (), False

    def __init__(self, box, flavour):
        self.box, self.flavour, self.bundle, self.init = box, flavour, box.bundle(flavour), 0
        box.options = ["--cgroup-manager", "disabled"] if flavour == "nocgroup" else []

    def prepare(self):
        pass

    def learn(self, trace):
        """Looks at an undisturbed run."""

    def done(self):
        """After each try: nothing of it may be left."""
        wrong = self.box.force()
        if self.init and running(self.init):
            wrong.append(f"init {self.init} lives on")
            os.kill(self.init, signal.SIGKILL)
        return wrong

    def judge_ok(self, trace):
        return []

    def judge_failed(self, trace):
        return self.box.left(trace.pids.values())

    def compare(self, text):
        want = self.box.reference.setdefault((type(self).__name__, self.flavour), text)
        if text == want:
            return []
        a, b = want.splitlines(), text.splitlines()
        return ["not confined like an undisturbed one: " + "; ".join([f"-{x}" for x in a if x not in b] + [f"+{x}" for x in b if x not in a])[:600]]

    def create(self, wait):
        with open(self.bundle + "/config.json") as f:
            text = f.read()
        with open(self.bundle + "/config.json", "w") as f:
            f.write(text.replace('["/look", "wait"]', '["/look"]').replace('["/look"]', '["/look", "wait"]' if wait else '["/look"]'))

    def output(self):
        if self.flavour != "terminal":
            return self.box.said()[0]
        wait_for(lambda: self.box.console.text.endswith("end\n"), what="the words of the workload")
        return self.box.console.text


class Run(Verb):
    def __init__(self, box, flavour):
        super().__init__(box, flavour)
        self.args = ["run", "--bundle", self.bundle, "f"]
        self.locks = 0

    def learn(self, trace):
        self.locks = trace.count("flock")

    def judge_ok(self, trace):
        return self.compare(self.output()) + self.box.left(trace.pids.values())

    def judge_failed(self, trace):
        """The container has ended and cannot be removed (the last lock is delete's): said, and left to `delete --force`."""
        locks = trace.count("flock", trace.where)
        deleting = locks == self.locks or (locks == self.locks - 1 and trace.hit in ("openat", "flock") and 1 in trace.execs)
        return [] if trace.where[0] == 0 and deleting else super().judge_failed(trace)


class Create(Verb):
    def __init__(self, box, flavour):
        super().__init__(box, flavour)
        self.args = ["create", "--bundle", self.bundle, "--pid-file", box.area + "/pid", "f"]
        if flavour == "terminal":
            self.args[1:1] = ["--console-socket", box.take_terminals()]

    def judge_ok(self, trace):
        with open(self.box.area + "/pid") as f:
            if int(f.read()) != self.box.pid():
                if trace.hit == "read" and self.box.status() == "stopped":  # init waits for start with it: it ended after create did
                    return self.start_says_so()
                return ["another pid in the pid file"]
        self.box.plain("start", "f")
        wait_for(lambda: self.box.status() == "stopped", what="the end of the workload")
        return self.compare(self.output())


    def start_says_so(self):
        p = self.box.plain("start", "f", check=False)
        why = "it succeeds" if p.returncode == 0 else sentence(p.stderr)
        return [f"start of a container whose init died: {why}"] if why else []


class Start(Verb):
    args, attach = ["start", "f"], True

    def prepare(self):
        self.box.quiet("create", "--bundle", self.bundle, "f")
        self.init = self.box.pid()
        os.rename(self.box.area + "/out", self.box.area + "/workload")

    def output(self):
        with open(self.box.area + "/workload") as f:
            return f.read()

    def judge_ok(self, trace):
        wait_for(lambda: self.box.status() == "stopped", what="the end of the workload")
        return self.compare(self.output())

    def judge_failed(self, trace):
        if self.flavour == "hooks" and "poststart" in self.box.said()[1]:  # such a container is deleted
            return self.box.left([self.init])
        state = self.box.status()
        if state in ("created", "stopped"):
            return []
        return [f"status {state} after a start that failed"]


class Running(Verb):
    """Commands on a container that runs; it is made once and has to survive them all."""

    def prepare(self):
        if self.box.reference.get("container") != self.flavour:
            self.create(True)
            self.box.quiet("run", "--detach", "--bundle", self.bundle, "f")
            self.create(False)
            self.box.reference = {"container": self.flavour, "pid": self.box.pid()}
            trace = self.box.traced(*self.args)
            assert trace.end == ("exit", 0) and self.judge_ok(trace) == []

    def done(self):
        return []

    def unharmed(self):
        if self.box.status() != "running":
            self.box.reference.pop("container")
            return [f"the container is {self.box.status()}"] + self.box.force()
        own = str(self.box.reference["pid"])
        try:
            wait_for(lambda: self.others(own) == [], timeout=1)
        except AssertionError:
            return [f"processes are left in the container: {self.others(own)}"]
        return []

    def others(self, own):
        return [p for p in procs_in_cgroup() if p != own]

    def judge_ok(self, trace):
        return self.unharmed()

    def judge_failed(self, trace):
        return self.unharmed()


class Exec(Running):
    args = ["exec", "--cwd", "/ro", "--env", "B=2", "f", "/look"]

    def judge_ok(self, trace):
        return self.compare(self.box.said()[0]) + self.unharmed()


class Kill(Running):
    args = ["kill", "f", "USR1"]


class State(Running):
    args = ["state", "f"]

    def judge_ok(self, trace):
        return self.compare(self.box.said()[0]) + self.unharmed()


class Listing(State):
    args = ["list", "--format", "json"]

    def judge_ok(self, trace):
        if "ignoring" in self.box.said()[1]:  # one that cannot be looked at is named and left out, as runc does
            return self.unharmed()
        return super().judge_ok(trace)


class KillAll(Verb):
    args = ["kill", "--all", "f", "KILL"]

    def prepare(self):
        self.create(True)
        self.box.quiet("run", "--detach", "--bundle", self.bundle, "f")
        self.create(False)
        self.init = self.box.pid()

    def judge_ok(self, trace):
        wait_for(lambda: self.box.status() == "stopped", what="its end")
        return []

    def judge_failed(self, trace):
        self.box.status()
        return []


class Delete(Verb):
    """A container in status created: killed and removed."""
    args = ["delete", "f"]

    def prepare(self):
        self.box.quiet("create", "--bundle", self.bundle, "f")
        self.init = self.box.pid()

    def judge_ok(self, trace):
        return self.box.left([self.init])

    def judge_failed(self, trace):
        return []  # done() repeats it with --force


class DeleteForce(KillAll):
    args = ["delete", "--force", "f"]

    def judge_ok(self, trace):
        return self.box.left([self.init])

    def judge_failed(self, trace):
        return []


def attempt(verb, place=None, error=None):
    verb.prepare()
    role, index, name = place or (-1, 0, "")
    trace = verb.box.traced(*verb.args, role=role, index=index, name=name, error=error, after=name in FREES_ANYWAY,
                            attach=verb.box.pid() if verb.attach else 0)
    kind, status = trace.end
    if kind == "timeout":
        wrong = ["hangs"]
    elif kind == "signal":
        wrong = [f"died of signal {status}"]
    elif status == 0:
        wrong = verb.judge_ok(trace)
    else:
        why = sentence(verb.box.said()[1])
        wrong = ([why] if why else []) + verb.judge_failed(trace)
    return trace, kind, status, wrong + verb.done()


def sweep(verb):
    """Complaints, and how often the command failed or took it."""
    trace, kind, status, wrong = attempt(verb)
    assert (kind, status, wrong) == ("exit", 0, []), f"undisturbed: {kind} {status} {wrong} {verb.box.said()[1]}"
    trace, kind, status, wrong = attempt(verb)  # again: the first one may have filled the seccomp cache
    assert (kind, status, wrong) == ("exit", 0, []), f"undisturbed, second time: {kind} {status} {wrong}"
    places = trace.places(verb.box.skip_loader)
    verb.learn(trace)
    complaints, failed, took, slow = [], 0, {}, []
    for place, error in choose(places):
        began = time.monotonic()
        got, kind, status, wrong = attempt(verb, place, error)
        spent = time.monotonic() - began
        if got.hit is None:
            continue
        if kind == "exit" and status == 0:
            took[got.hit] = took.get(got.hit, 0) + 1
        else:
            failed += 1
        where = f"{got.hit} (process {place[0]}, call {place[1]}) with {error}: "
        complaints += [where + w for w in wrong]
        if spent > 5:
            slow.append(where + f"{spent:.1f} s")
        if wrong:
            verb.box.clean()
            verb.box.reference.pop("container", None)
    print(f"{type(verb).__name__} {verb.flavour}: {len(places)} calls, {failed} failures, taken: {took}, slow: {slow}")
    return complaints


CASES = [(Run, "rich"), (Run, "hooks"), (Create, "rich"), (Start, "rich"), (Exec, "rich"), (Kill, "rich"), (State, "rich"), (Listing, "rich"), (KillAll, "rich"),
         (Delete, "rich"), (DeleteForce, "rich"), (DeleteForce, "nocgroup")]
MORE = [(Delete, "nocgroup"), (Create, "hooks"), (Start, "hooks"), (Delete, "hooks"), (Create, "userns"), (Start, "userns"), (Exec, "userns"), (Create, "terminal")]


@pytest.mark.parametrize("verb, flavour", CASES + (MORE if EVERYTHING else []), ids=lambda x: x if isinstance(x, str) else x.__name__.lower())
def test_every_call_fails_once(box, verb, flavour):
    complaints = sweep(verb(box, flavour))
    assert complaints == [], f"{len(complaints)} complaints:\n" + "\n".join(complaints)
