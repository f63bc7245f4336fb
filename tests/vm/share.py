"""A pytest plugin (-p share): several pytest processes share the tests of a folder, and a run that was cut goes on where it was.

SKIFF_SHARE is a directory. `claims/<test>`: some process has taken the test; whoever makes that directory runs it. `passed`: a line for each test that
passed, with its seconds; it is left out the next time. Who starts a run empties `claims`, and `passed` when the programs are others (tests/vm/inside)."""
import hashlib
import os
from pathlib import Path

import pytest

WHERE = Path(os.environ['SKIFF_SHARE'])


def pytest_collection_modifyitems(config, items):
    passed = WHERE / 'passed'
    before = {x.partition(' ')[2] for x in passed.read_text().splitlines()} if passed.exists() else set()
    done = [i for i in items if i.nodeid in before]
    config.hook.pytest_deselected(items=done)
    items[:] = [i for i in items if i.nodeid not in before]


def claimed(items):
    """Those that no other process has taken, each taken when it is asked for."""
    for item in items:
        try:
            (WHERE / 'claims' / hashlib.sha256(item.nodeid.encode()).hexdigest()).mkdir()
        except FileExistsError:
            continue
        item.seconds, item.good = 0, True
        yield item


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """pytest's own loop over what is claimed. A test has to be told which one follows in this process: its module's fixtures are ended or kept for that one,
    and the first test of another module fails ("previous item was not torn down properly") when it was told one that somebody else runs."""
    if session.config.option.collectonly or session.testsfailed:  # of collecting: pytest's loop says so
        return None
    mine = claimed(session.items)
    item = next(mine, None)
    while item:
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.seconds += report.duration
    item.good &= report.passed
    if report.when == 'teardown' and item.good:
        with open(WHERE / 'passed', 'a', encoding='utf-8') as f:  # one write: lines of several processes do not mix
            f.write(f'{item.seconds:.1f} {item.nodeid}\n')
