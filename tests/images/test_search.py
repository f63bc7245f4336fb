"""`skiff search`: what a registry says of itself: /v1/search where there is one, else its catalog."""
import json

import imagegen as ig
from imagegen import file
from test_archives import ok
from test_copy import home  # noqa: F401
from test_crash import run

ROWS = [{"name": "team/app", "description": "one\nline\x1b[31m", "star_count": 7, "is_official": False, "is_automated": True},
        {"name": "app", "description": "x" * 100, "star_count": 100, "is_official": True}]


def fails(store, *args, word):
    rc, out, err = run(store, "search", *args)
    assert rc == 1 and word in err, (rc, out, err)


def v1(fake, seen):
    reg = fake()

    @reg.rule("/v1/search")
    def answer(h, n):
        seen.append(h.path)
        h.reply(200, json.dumps({"num_results": 2, "results": ROWS}).encode(), {"Content-Type": "application/json"})
    return reg


def test_v1_answers_filters_and_formats(fake, store):
    seen = []
    reg = v1(fake, seen)
    lines = ok(store, "search", f"{reg.host}/ap p&x").splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"] and len(lines) == 3
    assert "\x1b" not in lines[1] and lines[2].endswith("[OK]") and "…" in lines[2]
    assert seen == ["/v1/search?q=ap%20p%26x&n=25"]
    for args, names in ((["--filter", "stars=50"], ["app"]), (["-f", "is-official=false"], ["team/app"]), (["--filter", "is-automated=true"], ["team/app"]),
                        (["--limit", "1"], ["team/app"])):
        assert ok(store, "search", *args, "--format", "{{.Name}}", f"{reg.host}/app").split() == names
    assert json.loads(ok(store, "search", "--no-trunc", "--format", "json", f"{reg.host}/app").splitlines()[1])["Description"] == "x" * 100
    assert seen[-1].endswith("n=25") and any(s.endswith("n=1") for s in seen)


def test_catalog_of_docker_registry(registry, store):
    for name in "search/one", "search/two":
        registry.push(name, "1", ig.image([ig.layer([file("a", b"1")])]))
    registry.push("search/one", "2", ig.image([ig.layer([file("a", b"2")])]))
    assert ok(store, "search", "--format", "{{.Name}}", f"{registry.host}/search/").split() == ["search/one", "search/two"]
    assert ok(store, "search", "--format", "{{.Name}}", "--limit", "1", f"{registry.host}/search/").split() == ["search/one"]
    assert ok(store, "search", "--format", "{{.Name}}", f"{registry.host}/nothing-like-it") == ""
    lines = ok(store, "search", "--list-tags", f"{registry.host}/search/one").splitlines()
    assert [x.split() for x in lines[:1] + sorted(lines[1:])] == [["NAME", "TAG"], [f"{registry.host}/search/one", "1"], [f"{registry.host}/search/one", "2"]]


def test_words_that_are_wrong(fake, store):
    reg = fake()
    fails(store, "--filter", "stars=many", f"{reg.host}/x", word="invalid filter 'stars=many'")
    fails(store, "--filter", "color=red", f"{reg.host}/x", word="invalid filter 'color=red'")
    fails(store, "--limit", "101", f"{reg.host}/x", word="--limit")
    fails(store, f"{reg.host}/x", word="404")
    fails(store, "127.0.0.1:1/x", word="127.0.0.1:1")
