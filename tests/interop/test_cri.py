"""containerd's Kubernetes interface (CRI) with pods whose runtime is skiff-oci, as a kubelet would ask for them."""
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import cri
from interoplib import BUSYBOX, PAUSE, RUNTIME, V1, Containerd, alive, cgroup_dirs, mounts_below, remove_cgroups, sh, status, wait_for

pytest.importorskip("grpc", reason="python3-grpcio is not installed")

PARENT = f"skiff-cri-{os.getpid()}"
SETTINGS = """
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}:latest"
restrict_oom_score_adj = true
disable_tcp_service = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{root}/cni"
conf_dir = "{root}/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "tested"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested.options]
BinaryName = "{runtime}"
Root = "{root}/runc"
"""
# A CNI plugin: loopback up for the one network, an address of a veth pair inside the pod for the other.
PLUGIN = """#!/bin/sh
conf=$(cat)
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"0.3.1","supportedVersions":["0.3.1"]}' ;;
ADD)
	in="nsenter --net=$CNI_NETNS ip"
	case $conf in
	*loopback*) $in link set lo up ;;
	*) $in link add "$CNI_IFNAME" type veth peer name other && $in addr add 10.66.0.2/24 dev "$CNI_IFNAME" && $in link set "$CNI_IFNAME" up ;;
	esac >&2 || exit 1
	echo "{\\"cniVersion\\":\\"0.3.1\\",\\"interfaces\\":[{\\"name\\":\\"$CNI_IFNAME\\",\\"sandbox\\":\\"$CNI_NETNS\\"}],"
	echo "\\"ips\\":[{\\"version\\":\\"4\\",\\"interface\\":0,\\"address\\":\\"10.66.0.2/24\\"}]}" ;;
esac
"""


class Pods:
    def __init__(self, client, root):
        self.call, self.root, self.count = client, root, 0

    def pod(self, security=None, **more):
        self.count += 1
        name = f"pod{self.count}"
        security = {"namespace_options": {"network": cri.NODE}, **(security or {})}
        config = {"metadata": {"name": name, "uid": f"{name}-{os.getpid()}", "namespace": "interop"}, "log_directory": f"{self.root}/logs/{name}",
                  "linux": {"cgroup_parent": f"/{PARENT}/{name}", "security_context": security}, **more}
        os.makedirs(config["log_directory"])
        return Pod(self, config)


class Pod:
    def __init__(self, pods, config):
        self.call, self.config, self.count = pods.call, config, 0
        self.id = self.call("RunPodSandbox", config=config)["pod_sandbox_id"]

    def create(self, *command, resources=None, security=None, **more):
        self.count += 1
        name = f"c{self.count}"
        config = {"metadata": {"name": name}, "image": {"image": BUSYBOX + ":latest"}, "command": list(command), "log_path": name + ".log",
                  "linux": {"resources": resources or {}, "security_context": {"namespace_options": {"pid": cri.CONTAINER}, **(security or {})}}, **more}
        return Member(self, self.call("CreateContainer", pod_sandbox_id=self.id, config=config, sandbox_config=self.config)["container_id"], name)

    def start(self, *command, **kw):
        c = self.create(*(command or ("sleep", "1000")), **kw)
        self.call("StartContainer", container_id=c.id)
        return c

    def run(self, *command, **kw):
        """A container to its end; answers with (exit code, lines of its log)."""
        c = self.start(*command, **kw)
        return c.wait(), c.log()

    def state(self):
        return self.call("PodSandboxStatus", pod_sandbox_id=self.id)["status"]["state"]

    def pid(self):
        return info_pid(self.call("PodSandboxStatus", pod_sandbox_id=self.id, verbose=1))

    def remove(self):
        self.call("StopPodSandbox", pod_sandbox_id=self.id)
        self.call("RemovePodSandbox", pod_sandbox_id=self.id)


def info_pid(reply):
    return int(re.search(r'"pid":(\d+)', reply["info"]["info"]).group(1))


class Member:
    def __init__(self, pod, name, short):
        self.call, self.id, self.path = pod.call, name, f"{pod.config['log_directory']}/{short}.log"

    def status(self):
        return self.call("ContainerStatus", container_id=self.id)["status"]

    def pid(self):
        return info_pid(self.call("ContainerStatus", container_id=self.id, verbose=1))

    def wait(self):
        wait_for(lambda: self.status()["state"] == cri.EXITED, what="its end")
        return self.status()["exit_code"]

    def log(self):
        with open(self.path) as f:
            return [line.rstrip("\n").split(" ", 3)[3] for line in f]

    def exec(self, *command, timeout=10):
        r = self.call("ExecSync", container_id=self.id, cmd=command, timeout=timeout)
        return r["exit_code"], r["stdout"].decode(), r["stderr"].decode()

    def stop(self, timeout=0):
        self.call("StopContainer", container_id=self.id, timeout=timeout)


@pytest.fixture(scope="module")
def daemon(area, archive):
    root = area + "/cri"
    # without CAP_SYS_RESOURCE the -998 of a pod's first process is more than one may set
    settings = SETTINGS.format(image=PAUSE, runtime=RUNTIME, root=root)
    ctr = Containerd(root, settings)
    os.makedirs(root + "/cni/net.d")
    for name in ("loopback", "interop"):
        with open(f"{root}/cni/{name}", "w") as f:
            f.write(PLUGIN)
        os.chmod(f"{root}/cni/{name}", 0o755)
    with open(root + "/cni/net.d/10-interop.conf", "w") as f:
        f.write('{"cniVersion": "0.3.1", "name": "interop", "type": "interop"}')
    try:
        with ctr:
            ctr("-n", "k8s.io", "image", "import", archive)
            client = cri.Client(ctr.address)
            for name in (BUSYBOX, PAUSE):
                wait_for(lambda name=name: client("ImageStatus", image={"image": name + ":latest"})["image"], what="the image")
            yield Pods(client, root)
            client.close()
    finally:
        remove_cgroups(PARENT)


@pytest.fixture
def pods(daemon):
    yield daemon
    for p in daemon.call("ListPodSandbox")["items"]:
        daemon.call("StopPodSandbox", pod_sandbox_id=p["id"])
        daemon.call("RemovePodSandbox", pod_sandbox_id=p["id"])
    assert daemon.call("ListContainers")["containers"] == []
    wait_for(lambda: [d for d in cgroup_dirs(PARENT) if not re.fullmatch(PARENT + r"(/pod\d+)?", d[d.index(PARENT):])] == [], what="the end of the cgroups")
    assert [m for m in mounts_below(daemon.root) if m.endswith(("/rootfs", "/shm"))] == []
    assert [n for n in os.listdir(daemon.root + "/runc/k8s.io") if n[0] != "."] == []


def test_status(daemon):
    conditions = {c["type"]: c["status"] for c in daemon.call("Status")["status"]["conditions"]}
    assert conditions == {"RuntimeReady": 1, "NetworkReady": 1}


def cgroup_file(name, pod, v1, v2):
    """The value that the only container of the pod has."""
    controller, leaf = v1.split("/")
    top = f"/sys/fs/cgroup/{controller}" if V1 else "/sys/fs/cgroup"
    with open(f"{top}{pod.config['linux']['cgroup_parent']}/{name}/{leaf if V1 else v2}") as f:
        return f.read().strip()


@pytest.mark.smoke
def test_life_of_a_pod(pods):
    pod = pods.pod()
    assert pod.state() == cri.READY
    c = pod.create("sh", "-c", 'echo "$0 $1 $A"; pwd; hostname; echo err >&2; trap "echo bye; exit 7" TERM; while :; do sleep 0.05; done', args=["one", "two words"],
                   envs=[{"key": "A", "value": "b c"}], working_dir="/tmp")
    assert c.status()["state"] == cri.CREATED
    pod.call("StartContainer", container_id=c.id)
    assert c.status()["state"] == cri.RUNNING and alive(c.pid())
    wait_for(lambda: len(c.log()) == 4, what="its output")
    assert sorted(c.log()) == sorted(["one two words b c", "/tmp", os.uname().nodename, "err"])  # the host's network, so the host's name
    c.stop(timeout=10)
    assert (c.status()["state"], c.status()["exit_code"], c.log()[-1]) == (cri.EXITED, 7, "bye")
    pod.call("RemoveContainer", container_id=c.id)
    pod.call("StopPodSandbox", pod_sandbox_id=pod.id)
    assert pod.state() == cri.NOT_READY
    pod.call("RemovePodSandbox", pod_sandbox_id=pod.id)


def test_exec_sync(pods):
    c = pods.pod().start(envs=[{"key": "A", "value": "b"}])
    assert c.exec("sh", "-c", "echo $A; echo err >&2; exit 5") == (5, "b\n", "err\n")
    assert c.exec("head", "-c", "300000", "/dev/zero")[1] == "\0" * 300000
    with pytest.raises(pods.call.Error, match='"nothing"'):
        c.exec("nothing")
    began = time.monotonic()
    with pytest.raises(pods.call.Error, match="timeout 1s exceeded"):
        c.exec("sleep", "543210", timeout=1)
    assert time.monotonic() - began < 10
    assert "543210" not in c.exec("ps")[1]  # what took too long was killed
    with ThreadPoolExecutor(8) as pool:
        assert [r[0] for r in pool.map(lambda n: c.exec("sh", "-c", f"exit {n}"), range(8))] == list(range(8))


def test_grace_period_ends_in_a_kill(pods):
    c = pods.pod().start("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    wait_for(lambda: c.log() == ["up"])
    began = time.monotonic()
    c.stop(timeout=1)
    assert 0.8 < time.monotonic() - began < 8
    assert c.status()["exit_code"] == 137


def test_command_that_is_not_there(pods):
    pod = pods.pod()
    c = pod.create("/nothing")
    with pytest.raises(pods.call.Error, match="/nothing"):
        pod.call("StartContainer", container_id=c.id)
    assert c.status()["state"] == cri.EXITED and c.status()["exit_code"] in (127, 128)


def test_limits_update_and_stats(pods):
    pod = pods.pod()
    c = pod.start(resources={"memory_limit_in_bytes": 64 << 20, "cpu_period": 100000, "cpu_quota": 50000, "cpu_shares": 512, "oom_score_adj": 900})

    def limits():
        return [cgroup_file(c.id, pod, *f) for f in (("memory/memory.limit_in_bytes", "memory.max"), ("cpu/cpu.cfs_quota_us", "cpu.max"),
                                                     ("cpu/cpu.shares", "cpu.weight"))]
    assert limits() == [str(64 << 20), *(["50000", "512"] if V1 else ["50000 100000", "20"])]
    assert c.exec("cat", "/proc/1/oom_score_adj")[1] == "900\n"
    pod.call("UpdateContainerResources", container_id=c.id, linux={"memory_limit_in_bytes": 48 << 20, "cpu_period": 100000, "cpu_quota": 20000, "cpu_shares": 256})
    assert limits() == [str(48 << 20), *(["20000", "256"] if V1 else ["20000 100000", "10"])]
    c.exec("sh", "-c", "n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done")
    stats = pod.call("ContainerStats", container_id=c.id)["stats"]
    assert 0 < stats["memory"]["working_set_bytes"]["value"] < 48 << 20 and stats["cpu"]["usage_core_nano_seconds"]["value"] > 1e6


def test_out_of_memory_is_told(pods):
    c = pods.pod().start("sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 3; exit 6", resources={"memory_limit_in_bytes": 24 << 20})
    assert c.wait() == 6
    wait_for(lambda: c.status()["reason"] == "OOMKilled", what="the reason")


def security_of(pod, **security):
    code, log = pod.run("cat", "/proc/self/status", security=security)
    assert code == 0
    s = status("\n".join(log))
    return {k: int(s[k], 16) for k in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} | {k: s[k].split() for k in ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp")}


def test_capabilities_users_and_seccomp(pods):
    pod = pods.pod()
    default = security_of(pod, seccomp={"profile_type": cri.RUNTIME_DEFAULT})
    assert default["CapEff"] == default["CapBnd"] and default["CapEff"] & 1 and not default["CapEff"] & 1 << 21 and default["Seccomp"] == ["2"]
    free = security_of(pod, seccomp={"profile_type": cri.UNCONFINED}, capabilities={"add_capabilities": ["NET_ADMIN"], "drop_capabilities": ["CHOWN"]})
    assert free["Seccomp"] == ["0"] and free["CapEff"] == (default["CapEff"] | 1 << 12) & ~1
    assert security_of(pod, capabilities={"drop_capabilities": ["ALL"]})["CapBnd"] == 0
    user = security_of(pod, run_as_user={"value": 1234}, run_as_group={"value": 5678}, supplemental_groups=[27, 44], no_new_privs=1)
    assert (user["Uid"], user["Gid"], user["NoNewPrivs"], user["CapEff"], user["CapBnd"]) == (["1234"] * 4, ["5678"] * 4, ["1"], 0, default["CapBnd"])
    assert {"27", "44"} <= set(user["Groups"])
    assert security_of(pod, run_as_username="nobody")["Uid"] == ["65534"] * 4


def test_seccomp_profile_of_the_node(pods, tmp_path):
    (tmp_path / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}')
    code, log = pods.pod().run("sh", "-c", "mkdir /tmp/d 2>&1; echo $?", security={"seccomp": {"profile_type": cri.LOCALHOST, "localhost_ref": f"localhost/{tmp_path}/profile.json"}})
    assert code == 0 and "not implemented" in log[0] and log[1] == "1"


def test_root_file_system_and_mounts(pods, tmp_path):
    (tmp_path / "f").write_text("host\n")
    mounts = [{"container_path": "/rw", "host_path": str(tmp_path)}, {"container_path": "/ro", "host_path": str(tmp_path), "readonly": 1},
              {"container_path": "/etc/one", "host_path": str(tmp_path / "f"), "readonly": 1}]
    code, log = pods.pod().run("sh", "-c", "exec 2>/dev/null; cat /rw/f /etc/one; touch /x; echo $?; touch /ro/x; echo $?; echo made >/rw/new; cat /ro/new; echo y >/dev/shm/y; echo $?; "
                               "head -c 1 /proc/kcore | wc -c", mounts=mounts, security={"readonly_rootfs": 1, "masked_paths": ["/proc/kcore"]})
    assert log == ["host", "host", "1", "1", "made", "0", "0"]
    assert (tmp_path / "new").read_text() == "made\n"


@pytest.fixture
def shared(tmp_path):
    path = str(tmp_path)
    sh("mount", "--bind", path, path)
    sh("mount", "--make-shared", path)
    os.mkdir(path + "/in")
    yield path
    for m in sorted(mounts_below(path), reverse=True):
        sh("umount", "-l", m)


@pytest.mark.parametrize("propagation", [cri.PRIVATE, cri.HOST_TO_CONTAINER, cri.BIDIRECTIONAL])
def test_mount_propagation(pods, shared, propagation):
    privileged = {"privileged": 1}
    c = pods.pod(privileged).start(mounts=[{"container_path": "/shared", "host_path": shared, "propagation": propagation}], security=privileged)
    sh("mount", "-t", "tmpfs", "from-the-host", shared + "/in")
    assert ("from-the-host" in c.exec("cat", "/proc/mounts")[1]) == (propagation != cri.PRIVATE)
    assert c.exec("sh", "-c", "mkdir /shared/out && mount -t tmpfs from-the-container /shared/out")[0] == 0
    assert (shared + "/out" in mounts_below(shared)) == (propagation == cri.BIDIRECTIONAL)


def test_privileged(pods):
    with open("/proc/self/status") as f:
        bounding = int(status(f.read())["CapBnd"], 16)
    pod = pods.pod({"privileged": 1})
    code, log = pod.run("sh", "-c", "cat /proc/self/status; mount -t tmpfs t /tmp && echo mounted; ls /dev; grep ' /sys ' /proc/mounts", security={"privileged": 1})
    s = status("\n".join(log))
    assert int(s["CapEff"], 16) == bounding and s["Seccomp"] == "0" and "mounted" in log and re.search("^sysfs /sys sysfs rw", "\n".join(log), re.M)
    assert set(os.listdir("/dev")) & {"vda", "sda", "loop0", "kmsg", "fuse"} <= set(log)


SPACES = "for n in pid ipc uts net mnt; do readlink /proc/self/ns/$n; done"


def spaces(pid):
    return [os.readlink(f"/proc/{pid}/ns/{n}") for n in ("pid", "ipc", "uts", "net", "mnt")]


def test_namespaces(pods):
    pod = pods.pod({"namespace_options": {"network": cri.POD, "pid": cri.POD}}, hostname="box")
    host, sandbox = spaces("self"), spaces(pod.pid())
    assert not set(host) & set(sandbox)
    c = pod.start(security={"namespace_options": {"pid": cri.POD}})
    seen = spaces(c.pid())
    assert seen[:4] == sandbox[:4] and seen[4] != sandbox[4]
    code, out, _ = c.exec("sh", "-c", f"{SPACES}; tr '\\0' ' ' </proc/1/cmdline; echo; hostname; cat /proc/sys/kernel/hostname")
    assert out.splitlines() == [*seen, "/bin/sleep 1000000 ", "box", "box"]
    own = spaces(pod.start().pid())  # a PID namespace of its own, the others of the pod
    assert own[0] not in (sandbox[0], host[0]) and own[1:4] == sandbox[1:4]
    target = pod.start(security={"namespace_options": {"pid": cri.TARGET, "target_id": c.id}})
    assert spaces(target.pid())[0] == seen[0]
    node = pods.pod({"namespace_options": {"network": cri.NODE, "pid": cri.NODE, "ipc": cri.NODE}})
    assert spaces(node.start(security={"namespace_options": {"network": cri.NODE, "pid": cri.NODE, "ipc": cri.NODE}}).pid())[:4] == host[:4]


def test_network_of_a_pod_and_sysctls(pods):
    linux = {"sysctls": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "1234"}}
    pods.count += 1
    name = f"pod{pods.count}"
    config = {"metadata": {"name": name, "uid": name, "namespace": "interop"}, "log_directory": pods.root, "linux": {"cgroup_parent": f"/{PARENT}/{name}", **linux}}
    pod = Pod(pods, config)
    assert pod.call("PodSandboxStatus", pod_sandbox_id=pod.id)["status"]["network"]["ip"] == "10.66.0.2"
    c = pod.start()
    out = c.exec("sh", "-c", "ip -o addr; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")[1]
    assert re.search(r"lo +inet 127\.0\.0\.1/8", out) and re.search(r"eth0 +inet 10\.66\.0\.2/24", out) and out.splitlines()[-2:] == ["1", "1234"]


def test_terminal(pods):
    code, log = pods.pod().run("sh", "-c", "tty; test -t 0 -a -t 1 -a -t 2 && echo all; ls -l /dev/console | cut -c1-4; stty size", tty=1, stdin=1)
    assert code == 0 and log[0].rstrip("\r") in ("/dev/pts/0", "/dev/console") and [line.rstrip("\r") for line in log[1:3]] == ["all", "crw-"]


def test_removal_of_a_pod_with_running_containers(pods):
    pod = pods.pod()
    pids = [pod.start("sh", "-c", "trap '' TERM; sleep 2000 & sleep 2001 & wait; wait").pid() for _ in range(3)] + [pod.pid()]
    pod.remove()
    assert not any(alive(p) for p in pids)
    assert pods.call("ListPodSandbox")["items"] == []


def test_many_at_once(pods):
    """Four pods, twenty-four containers, side by side."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: pods.pod(), range(4)))
        ran = list(pool.map(lambda n: made[n % 4].run("sh", "-c", f"echo {n}; exit {n}", resources={"memory_limit_in_bytes": 32 << 20}), range(24)))
        list(pool.map(Pod.remove, made))
    assert ran == [(n, [str(n)]) for n in range(24)]
