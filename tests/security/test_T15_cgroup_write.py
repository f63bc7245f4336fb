"""T15: a container that sees /sys of the host, without a cgroup namespace, cannot write to the cgroup tree of the user it belongs to: read-only
has to hold for the mounts below a bind of /sys too."""
import glob
import os

import pytest

from seclib import cgroup_dirs

SCRIPT = """
for d in $(find /sys/fs/cgroup -type d -name 'sec-*' 2>/dev/null; find /sys/fs/cgroup -type d -path '*skiff-sec-*' 2>/dev/null) /sys/fs/cgroup /sys/fs/cgroup/*; do
	mkdir $d/made-by-container 2>/dev/null && echo "MADE $d"
	for f in $d/cgroup.procs $d/memory.limit_in_bytes $d/memory.max $d/cgroup.subtree_control $d/release_agent $d/notify_on_release; do
		[ -e $f ] && probe write $f 1 | grep -q '^0$' && echo "WROTE $f"
	done
done
echo looked
"""


def delegate():
    """The parent belongs to the container's root, as user.slice does to a user's."""
    for d in cgroup_dirs():
        os.chown(d, 200000, 200000)
        for f in glob.glob(d + "/*"):
            if os.path.isfile(f):
                os.chown(f, 200000, 200000)


@pytest.mark.parametrize("sys", ["bind-ro", "sysfs", "cgroup-ro"])
def test_T15_no_write_below_the_users_tree(runtime, bundle, sys):
    first = bundle().args("sleep", "1000")  # makes the parent, so that it can be given away
    runtime.start(first)
    delegate()
    b = bundle().user_namespace().shell(SCRIPT)
    assert not any(n["type"] == "cgroup" for n in b.linux["namespaces"])
    if sys == "bind-ro":
        b.bind("/sys", "/sys", "nosuid", "noexec", "nodev", "ro")
    elif sys == "sysfs":
        b.mounts.append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]})
    else:
        b.mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]})
    p = runtime.run(b)
    if p.returncode:
        assert p.stderr.strip() and "looked" not in p.stdout
        return
    assert p.stdout.endswith("looked\n")
    assert p.stdout == "looked\n"


def test_T15_default_of_a_rootless_config_is_read_only(runtime, area):
    """The template for a plain user binds /sys read-only and masks what the runtime knows to be dangerous."""
    import json
    import subprocess

    from seclib import RUNTIME
    os.makedirs(area + "/spec")
    p = subprocess.run([RUNTIME, "spec", "--rootless"], cwd=area + "/spec", capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    with open(area + "/spec/config.json") as f:
        c = json.load(f)
    sys = [m for m in c["mounts"] if m["destination"].startswith("/sys")]
    assert sys and all("ro" in m["options"] for m in sys)
    assert any(n["type"] == "user" for n in c["linux"]["namespaces"])
