"""T24: labels of an image are words about it. None of them becomes a path, a hook, an annotation that steers the runtime, or a setting of the engine."""
import json
import os

import pytest


def reserved(path):
    """Keys that engines and runtimes give a meaning to, ours first."""
    return {
        "skiff": "{}", "skiff.name": "evil", "skiff.logPath": path, "skiff.remove": "true", "skiff.restart": "always", "skiff.request": "{}", "io.skiff.runtime": path,
        "run.oci.hooks.stdout": path, "run.oci.hooks.stderr": path, "run.oci.keep_original_groups": "1", "run.oci.handler": "krun", "run.oci.seccomp_bpf_data": "AAAA",
        "run.oci.pidfd_receiver": path, "run.oci.systemd.force_cgroup_v1": path, "org.systemd.property.ExecStopPost": f"'/bin/touch {path}'",
        "io.containerd.runtime": path, "containerd.io/restart.loguri": "file://" + path, "containerd.io/restart.status": "running", "io.podman.annotations.userns": "host",
        "com.docker.compose.project": "x", "io.kubernetes.cri-o.LogPath": path, "org.opencontainers.image.stopSignal": "9", "privileged": "true",
    }


@pytest.fixture
def labelled(server, base, area):
    out = area + "/made-by-a-label"
    return out, server.add("labelled", [base], {"Labels": reserved(out)})


def sees(skiff, image):
    return skiff.run(image, "sh", "-c", "id; cat /proc/self/status | grep -E 'Cap|Seccomp|NoNew|Groups'; cat /proc/self/mountinfo | cut -d' ' -f5-6; ls /dev", check=True).stdout


@pytest.mark.smoke
def test_T24_labels_steer_nothing(skiff, image, labelled):
    out, name = labelled
    assert sees(skiff, name) == sees(skiff, image)
    c = skiff.start(name, "sleep", "1000")
    assert not os.path.exists(out)
    with open(f"{skiff.root}/containers/{c}/config.json") as f:
        config = json.load(f)
    annotations = config.get("annotations", {})
    assert not any(k in annotations for k in reserved(out)), annotations
    assert "hooks" not in config or out not in json.dumps(config["hooks"])
    own = dict(config["skiff"])
    request = own.pop("request", {})
    assert out not in json.dumps(own) and own["name"] != "evil" and not own["remove"]
    request = dict(request)
    assert request.pop("labels", {}).get("skiff.logPath") == out  # kept, as labels
    assert out not in json.dumps(request)


def test_T24_they_are_shown_and_the_container_goes_as_any(skiff, labelled):
    out, name = labelled
    c = skiff.start(name, "sleep", "1000")
    shown = json.loads(skiff("inspect", c, check=True).stdout)[0]["Config"]["Labels"]
    assert shown["run.oci.hooks.stdout"] == out and shown["skiff.name"] == "evil"
    assert skiff("logs", c).returncode == 0
    assert skiff("rm", "-f", c).returncode == 0
    assert not os.path.exists(out)


@pytest.mark.parametrize("labels", [{"a\nb": "c"}, {"": "x"}, {"k": "v\nrun.oci.hooks.stdout=/x"}, {"k" * 70000: "v"}, {"k": "v" * 1000000}, {"__proto__": "x", "\u0000": "y"}], ids=range(6))
def test_T24_strange_labels(skiff, server, base, labels, request):
    name = server.add(f"strange{request.node.callspec.indices['labels']}", [base], {"Labels": labels})
    p = skiff.run(name, "echo", "well")
    assert p.stdout == "well\n" or (p.returncode == 125 and p.stderr.strip())
    rows = skiff("ps", "-aq").stdout.split()
    assert rows == []


def test_T24_the_same_key_as_an_annotation_does_steer(runtime, bundle, area):
    """The runtime honours the key when the configuration has it: labels not becoming annotations is what keeps them harmless."""
    out = area + "/made-by-an-annotation"
    b = bundle().args("true")
    b.spec["annotations"] = {"run.oci.hooks.stdout": out}
    b.spec["hooks"] = {"createRuntime": [{"path": "/bin/echo", "args": ["echo", "hook"]}]}
    runtime.run(b, check=True)
    with open(out) as f:
        assert f.read() == "hook\n"
