"""Everyday command lines, each given to docker and to skiff: the same words on stdout, the same exit status, an error where docker has one."""
import os
import re
import shlex
import shutil

import pytest

from interoplib import BUSYBOX
from test_dockerd import Docker
from test_skiff import skiff  # noqa: F401

RUNC = shutil.which("runc")
pytestmark = pytest.mark.skipif(not RUNC or not shutil.which("dockerd"), reason="dockerd and runc to compare with")

RUN = "run --rm --network none"
# Name -> the commands of one story, in turn: IMAGE stands for the image, DIR for an empty directory; a word in '...' is one argument.
STORIES = {
    "run-status": [f"{RUN} IMAGE true", f"{RUN} IMAGE false", f"{RUN} IMAGE sh -c 'exit 42'", f"{RUN} IMAGE sh -c 'kill -9 $$'"],
    "run-125": [f"{RUN} --memory 1x IMAGE true", f"{RUN} --no-such-flag IMAGE true", f"{RUN} --name /bad/name IMAGE true", f"{RUN} -v relative/../:bad IMAGE true"],
    "run-126": [f"{RUN} IMAGE /etc"],
    "run-127": [f"{RUN} IMAGE no-such-program"],
    "env": [f"{RUN} -e A=1 -e B= -e C=x=y IMAGE sh -c 'env | sort'", f"{RUN} --env-file DIR/env IMAGE sh -c 'echo $ONE,$TWO,$THREE'", f"{RUN} --env-file DIR/none IMAGE true"],
    "workdir-user": [f"{RUN} -w /new/dir IMAGE pwd", f"{RUN} -u 12:34 IMAGE id", f"{RUN} -u nobody-there IMAGE id", f"{RUN} -w relative IMAGE pwd"],
    "hostname": [f"{RUN} -h name IMAGE hostname", f"{RUN} --hostname name --domainname dom IMAGE cat /proc/sys/kernel/domainname"],
    "entrypoint": [f"{RUN} --entrypoint echo IMAGE a b", f"{RUN} --entrypoint '' IMAGE echo c"],
    "mounts": [f"{RUN} --mount type=tmpfs,dst=/t,tmpfs-size=1m IMAGE sh -c 'grep -c \"/t tmpfs\" /proc/mounts'", f"{RUN} --mount type=bind,src=DIR/none,dst=/t IMAGE true",
               f"{RUN} -v DIR:/d:ro IMAGE sh -c 'touch /d/x'", f"{RUN} --mount type=bind,src=DIR,dst=/d IMAGE ls /d", f"{RUN} --mount type=odd,dst=/d IMAGE true",
               f"{RUN} --read-only IMAGE touch /x", f"{RUN} --tmpfs /t:size=64k IMAGE sh -c 'df -k /t | tail -1 | tr -s \" \" | cut -d\" \" -f2'"],
    "limits": [f"{RUN} --ulimit nofile=100:200 IMAGE sh -c 'ulimit -n; ulimit -Hn'", f"{RUN} --shm-size 1m IMAGE sh -c 'df -k /dev/shm | tail -1 | tr -s \" \" | cut -d\" \" -f2'",
               f"{RUN} --memory 1m IMAGE true", f"{RUN} --cpus 10000 IMAGE true", f"{RUN} --cpuset-cpus 900 IMAGE true", f"{RUN} --memory 64m --memory-swap 32m IMAGE true"],
    "capabilities": [f"{RUN} --cap-drop all IMAGE grep CapEff /proc/self/status", f"{RUN} --cap-add NO_SUCH IMAGE true", f"{RUN} --cap-drop all --cap-add chown IMAGE grep CapBnd /proc/self/status",
                     f"{RUN} IMAGE grep CapEff /proc/self/status", f"{RUN} --security-opt no-new-privileges IMAGE grep NoNewPrivs /proc/self/status"],
    "conflicts": ["run --rm -d --restart always IMAGE true", "run --restart odd IMAGE true", "run --restart on-failure:x IMAGE true"],
    "life": ["create --name cc --network none --label a=b IMAGE sleep 1000", "ps -a --format '{{.Names}} {{.Image}} {{.State}} {{.Label \"a\"}} {{.Command}} {{.Status}}'", "start cc",
             "ps --format '{{.Names}} {{.State}} {{.Ports}}'", "create --name cc IMAGE true", "rm cc", "pause cc", "ps --format '{{.State}}'", "exec cc true", "unpause cc", "unpause cc",
             "rename cc dd", "inspect -f '{{.Name}} {{.State.Status}} {{.State.Running}}' dd", "stop -t 0 dd", "stop dd", "inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}' dd",
             "kill dd", "wait dd", "rm dd", "rm dd", "rm -f dd", "inspect dd", "start dd", "stop dd", "wait dd", "logs dd"],
    "attach": ["create --name cc --network none IMAGE sh -c 'echo out; echo err >&2; exit 3'", "start -a cc", "wait cc", "logs cc", "logs --tail 0 cc", "logs -n 2 cc", "inspect -f '{{.State.ExitCode}}' cc", "attach cc", "exec cc true", "rm cc"],
    "exec": ["run -d --name cc --network none -e A=1 IMAGE sleep 1000", "exec cc sh -c 'echo $A'", "exec -e A=2 -e B=3 cc sh -c 'echo $A$B'", "exec -w /bin cc pwd", "exec -w /nowhere cc pwd", "exec -u 5:6 cc id -u",
             "exec -u nope cc id", "exec cc no-such", "exec cc /etc", "exec cc sh -c 'exit 9'", "exec -d cc true", "exec --privileged cc grep CapEff /proc/self/status", "exec none true", "exec cc", "rm -f cc"],
    "signals": ["run -d --name cc --network none IMAGE sleep 1000", "kill -s 0x cc", "kill -s NOPE cc", "kill -s KILL cc", "wait cc", "inspect -f '{{.State.ExitCode}}' cc", "restart -t 0 cc", "inspect -f '{{.State.Running}}' cc", "rm -f cc"],
    "inspect": ["run -d --name cc --network none -m 64m --cpus 0.5 --pids-limit 50 --restart on-failure:3 --label x=y -w /tmp -u 1 --stop-signal INT --stop-timeout 3 --log-opt max-size=1m IMAGE sleep 1000",
                "inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.MemorySwap}}' cc",
                "inspect -f '{{.Config.WorkingDir}} {{.Config.User}} {{.Config.StopTimeout}} {{json .Config.Labels}} {{json .Config.Cmd}}' cc",
                "inspect -f '{{json .HostConfig.LogConfig}} {{.HostConfig.NetworkMode}} {{.HostConfig.Privileged}} {{.HostConfig.ShmSize}}' cc",
                "inspect -f '{{.RestartCount}} {{.Path}} {{json .Args}} {{.HostConfig.AutoRemove}} {{.HostConfig.ReadonlyRootfs}} {{json .Config.Tty}}' cc",
                "inspect -f '{{.HostConfig.IpcMode}} {{.HostConfig.PidMode}} {{.HostConfig.UTSMode}} {{.HostConfig.UsernsMode}}' cc",
                "inspect -f '{{.ProcessLabel}}|{{.MountLabel}}|{{json .Mounts}}|{{.Platform}}' cc",
                "inspect -f '{{.NoSuch}}' cc", "inspect -f '{{.Bad' cc", "update --memory 32m --memory-swap 64m cc", "inspect -f '{{.HostConfig.Memory}}' cc", "update --restart no cc", "update --memory 1k cc", "rm -f cc"],
    "copy": ["create --name cc --network none IMAGE true", "cp DIR/env cc:/tmp/", "cp cc:/tmp/env DIR/back", "cp cc:/none DIR/", "cp DIR/none cc:/", "cp DIR/env cc:/no/dir/", "cp DIR/env DIR/b", "diff cc", "rm cc"],
    "health": ["run -d --name cc --network none --health-cmd true --health-interval 1h --health-retries 2 IMAGE sleep 1000", "inspect -f '{{json .Config.Healthcheck.Test}} {{.Config.Healthcheck.Retries}} {{.State.Health.Status}}' cc", "rm -f cc",
               "run --health-interval 1us IMAGE true", "run -d --no-healthcheck --health-cmd x IMAGE true"],
    "volumes": ["volume create vv", "volume create vv", "volume ls --format '{{.Name}} {{.Driver}}'", "volume inspect -f '{{.Name}} {{.Scope}} {{json .Labels}} {{json .Options}}' vv", "volume ls -q",
                f"{RUN} -v vv:/d IMAGE touch /d/x", f"{RUN} -v vv:/d IMAGE ls /d", "create --name cc -v vv:/d IMAGE true", "volume rm vv", "inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Mode}} {{.RW}}{{end}}' cc",
                "rm cc", "volume rm vv", "volume rm vv", "volume rm -f vv", "volume inspect vv", "volume create 'bad name'", "volume prune --filter nope=1 -f"],
    "commit": ["create --name cc --network none IMAGE true", "commit -c 'ENV X=1' -c 'CMD [\"env\"]' -m text cc made:1", f"{RUN} made:1 sh -c 'echo $X'", "inspect -f '{{.Comment}} {{json .Config.Cmd}}' made:1", "rmi made:1", "rmi made:1", "rm cc"],
    "top-port": ["run -d --name cc --network none IMAGE sleep 1000", "top cc -o pid=,args= -C nothing", "port cc", "port cc 80", "stats --no-stream --format '{{.Name}} {{.PIDs}}' cc", "rm -f cc", "top cc", "stats --no-stream cc", "port cc"],
    "filters": ["create --name aa --label k=1 --network none IMAGE true", "create --name ab --label k=2 --network none IMAGE true", "ps -a -f name=a -f label=k=1 --format '{{.Names}}'", "ps -a -f status=created --format '{{.Names}}'",
                "ps -a -f status=bogus", "ps -a -f nope=1", "ps -a -f ancestor=IMAGE --format '{{.Names}}'", "ps -a -f exited=x", "ps -q -f name=none", "ps -n 1 --format '{{.Names}}'", "ps -l --format '{{.Names}}'",
                "container prune -f --filter label=k=3", "rm aa ab none", "ps -aq"],
}
# Where skiff is not as this docker is, and why: (docker's status, skiff's) or None for any output.
OTHERWISE = {
    "create --name cc IMAGE true": (1, 125),  # as run has it
    "exec cc no-such": (126, 127),  # as run has it
    "exec --privileged cc grep CapEff /proc/self/status": None,  # rights that the host itself has not: left out with a warning, as in run
    "exec cc": (1, 125),  # a wrong command line, as with every verb
    "inspect -f '{{.Bad' cc": (64, 1),  # 64 is for a wrong command line elsewhere
    "rmi made:1": None,  # the names of layers that were the image's own
}


def plain(text, where):
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID", text.replace(where, "DIR"))
    return re.sub(r"\b[0-9a-f]{12}\b", "id", text).rstrip()


def play(engine, image, lines, where):
    """One row a command: the line, its status, its output with neither ids nor the directory of this run, whether it complained."""
    os.makedirs(where)
    with open(where + "/env", "w") as f:
        f.write("# comment\nONE=1\nTWO='q'\n\nTHREE=a b\n")
    rows = []
    for line in lines:
        p = engine(*[w.replace("IMAGE", image).replace("DIR", where) for w in shlex.split(line)], check=False)
        failed = p.returncode >= 125  # the client of docker writes some of its errors on stdout
        rows.append((line, p.returncode, "" if failed else plain(p.stdout, where), bool((p.stderr + p.stdout * failed).strip()), p.stderr))
    return rows


def same(a, b):
    if a[0] not in OTHERWISE:
        return a[1:4] == b[1:4]
    return OTHERWISE[a[0]] is None or (a[1], b[1]) == OTHERWISE[a[0]] and a[3] == b[3]


@pytest.fixture(scope="module")
def docker(area, archive):
    with Docker(area + "/cmd", f"skiff-cmd-{os.getpid()}", "--default-runtime", "runc") as d:
        d("load", "-q", "-i", archive)
        yield d


@pytest.mark.parametrize("name", STORIES)
def test_same_as_docker(docker, skiff, archive, tmp_path, name):  # noqa: F811
    skiff("load", "-q", "-i", archive)
    theirs = play(docker, BUSYBOX, STORIES[name], str(tmp_path / "docker"))
    ours = play(skiff, BUSYBOX, STORIES[name], str(tmp_path / "skiff"))
    wrong = [f"{a[0]}\n  docker {a[1]} {a[2]!r} {a[4]!r}\n  skiff  {b[1]} {b[2]!r} {b[4]!r}" for a, b in zip(theirs, ours) if not same(a, b)]
    assert not wrong, "\n" + "\n".join(wrong)
