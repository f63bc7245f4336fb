"""containers-registries.conf(5): what short names mean, and where registries really are."""
import json
import os
import pty
import time

import imagegen as ig
import pytest
import worker
from imagegen import file
from test_crash import run
from test_archives import ok


def image(text="f"):
    return ig.image([ig.layer([file("f", text)])])


@pytest.fixture
def registries(tmp_path, monkeypatch):
    """Writes registries.conf, the only one that is read."""
    path = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(path))
    monkeypatch.setenv("SKIFF_REGISTRIES_D", str(tmp_path / "none"))
    return lambda text: path.write_text(text)


def pulled(store, *args, rc=0):
    got, out, err = run(store, "pull", *args)
    assert got == rc, (out, err)
    return out.splitlines()[-1] if rc == 0 else err


# --- short names ---

def test_an_alias_is_what_it_stands_for(fake, store, registries):
    reg = fake()
    ref = reg.add("team/app", "2", image())
    registries(f'[aliases]\n"app" = "{reg.host}/team/app" # near\n')
    assert pulled(store, "app:2") == ref
    # and is found again by its short name
    assert ok(store, "image", "inspect", "--format", "{{.RepoTags}}", "app:2") == f"[{ref}]\n"
    assert ok(store, "rmi", "app:2").startswith("Untagged: ") and store.references() == []


def test_search_registries_in_their_order(fake, store, registries):
    first, second = fake(), fake()
    ref = second.add("app", "1", image())
    registries(f'unqualified-search-registries = [ "{first.host}",\n\t"{second.host}", # the one that has it\n]\nshort-name-mode = "permissive"\n')
    assert pulled(store, "app:1") == ref
    assert first.seen("/v2/app/manifests/1") and second.seen("/v2/app/manifests/1")
    err = pulled(store, "none:1", rc=1)
    assert f"'none:1' was not to be had at any of 2 registries; the first, '{first.host}/none:1', says:" in err


def test_enforcing_asks_or_fails(fake, store, registries):
    first, second = fake(), fake()
    ref = second.add("app", "1", image())
    registries(f"unqualified-search-registries = ['{first.host}', '{second.host}']\n")
    err = pulled(store, "app:1", rc=1)
    assert "short-name resolution enforced but cannot prompt without a TTY" in err and first.log == second.log == []
    # with a terminal the second is chosen
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(worker.SKIFF, [worker.SKIFF, "--root", str(store.path), "--run-root", str(store.path.parent / "run"), "pull", "app:1"])
    seen = b""
    while b"Number: " not in seen:
        seen += os.read(fd, 1000)
    os.write(fd, b"2\n")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            more = os.read(fd, 1000)
        except OSError:
            break
        if not more:
            break
        seen += more
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and ref in seen.decode() and first.log == []
    os.close(fd)
    # and remembered: nobody is asked for any tag of it, and the file is the user's to change
    again = second.add("app", "2", image("2"))
    assert pulled(store, "app:2") == again and first.log == []
    aliases = store.path / "short-name-aliases.conf"
    assert aliases.read_text().splitlines()[1:] == ["[aliases]", f'"app" = "{second.host}/app"']
    assert run(store, "system", "check")[:2] == (0, "Everything is in order.\n")
    aliases.write_text('[aliases]\n"app" = 1\n')
    assert f"{aliases}:2: a string is expected" in pulled(store, "app:2", rc=1)
    aliases.unlink()
    assert "cannot prompt without a TTY" in pulled(store, "app:2", rc=1)


def test_one_search_registry_needs_no_question(fake, store, registries):
    reg = fake()
    ref = reg.add("app", "1", image())
    registries(f'unqualified-search-registries = ["{reg.host}"]\n')
    assert pulled(store, "app:1") == ref
    assert run(store, "pull", "localhost:1/app:1")[0] == 1, "a name with a registry is no short one"


# --- places ---

def test_another_location_for_pull_list_and_push(fake, store, registries):
    reg, other = fake(), fake()
    im = image()
    reg.add("inner/img", "1", im)
    registries(f'''[[registry]]
prefix = "example.org/foo"
location = "{reg.host}/inner"
insecure = true
[[registry]]
location = "{other.host}"
blocked = true
''')
    assert pulled(store, "example.org/foo/img:1") == "example.org/foo/img:1"
    assert ok(store, "image", "inspect", "--format", "{{.Id}}", "example.org/foo/img:1") == im.config + "\n"
    assert json.loads(ok(store, "image", "tags", "example.org/foo/img"))["Tags"] == ["1"]
    ok(store, "tag", "example.org/foo/img:1", "example.org/foo/img:2")
    ok(store, "push", "example.org/foo/img:2")
    assert reg.seen("/v2/inner/img/manifests/2")
    assert "is blocked: registries.conf says so" in pulled(store, f"{other.host}/a:1", rc=1)
    assert run(store, "push", "example.org/foo/img:2", f"{other.host}/a:1")[0] == 1 and other.log == []


@pytest.mark.parametrize("kind, by_tag, by_digest", [("all", True, True), ("digest-only", False, True), ("tag-only", True, False)])
def test_mirrors_by_what_is_asked(fake, store, registries, kind, by_tag, by_digest):
    reg, mirror, im = fake(), fake(), image(kind)
    ref = reg.add("foo/img", "1", im)
    mirror.add("cache/img", "1", im)
    registries(f'''[[registry]]
prefix = "{reg.host}/foo"
[[registry.mirror]]
location = "{mirror.host}/cache"
insecure = true
pull-from-mirror = "{kind}"
''')
    pulled(store, ref)
    assert (bool(mirror.log), bool(reg.log)) == (by_tag, not by_tag)
    ok(store, "rmi", ref)
    del reg.log[:], mirror.log[:]
    pulled(store, f"{reg.host}/foo/img@{im.top}")
    assert (bool(mirror.log), bool(reg.log)) == (by_digest, not by_digest)


def test_a_mirror_that_fails_is_passed_over(fake, store, registries):
    reg, im = fake(), image()
    ref = reg.add("foo/img", "1", im)
    registries(f'[[registry]]\nlocation = "{reg.host}"\nmirror-by-digest-only = false\n[[registry.mirror]]\nlocation = "127.0.0.1:1/x"\ninsecure = true\n')
    assert pulled(store, ref) == ref


@pytest.mark.parametrize("text, words", [
    ("nosuch = 1\n", ":1: unknown key 'nosuch'"),
    ("\nshort-name-mode = \"sometimes\"\n", ":2: unknown value 'sometimes'"),
    ("unqualified-search-registries = 'x'\n", ":1: an array of strings is expected for 'unqualified-search-registries'"),
    ("[registries.search]\nregistries = ['docker.io']\n", ":1: version 1 of the format is not supported"),
    ("[[registry]]\nblocked = true\n", "neither prefix nor location"),
    ("[[registry]]\nlocation = 'x'\nlocation = 'y'\n", ":3: the key is there twice: 'location'"),
    ("[[registry]]\nlocation = 'https://x'\n", ":2: host[:port][/path] is expected, not 'https://x'"),
    ("[aliases]\n'a' = 'b'\n", ":2: an alias stands for registry/repository"),
    ("a = \"\"\"x\"\"\"\n", "strings of several lines"),
    ("[aliases]\nx = \"a\\qb\"\n", ":2: an escape that TOML does not have"),
    ("short-name-mode = \"disabled\" x\n", "nothing is expected after this"),
    ("unqualified-search-registries = ['a' 'b']\n", "a comma"),
    ("short-name-mode = 1979-05-27\n", "is expected for 'short-name-mode'"),
])
def test_what_is_not_understood_is_refused_by_its_line(store, registries, text, words):
    registries(text)
    assert words in pulled(store, "app:1", rc=1)


def test_docker_is_the_default(store, registries, monkeypatch):
    registries("# nothing\n")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert "docker.io" in pulled(store, "app:1", rc=1)
