"""The default network with the programs that people use: curl, nc and iperf3 of the host, as clients on it and on another host; iperf3 also between two
containers, over names. Whole transfers, counted at both ends."""
import json
import random
import shutil

import pytest
from bridgelib import run, wait_until

# the host's programs, dynamic as they are, in a container
HOST = ('-v', '/usr:/usr:ro', '-v', '/usr/lib:/lib:ro', '-v', '/usr/lib64:/lib64:ro')
CURL = ('curl', '-sS', '-g', '--noproxy', '*', '--max-time', '60')
pytestmark = pytest.mark.skipif(not all(map(shutil.which, ('curl', 'nc', 'iperf3'))), reason='curl, nc or iperf3 is not installed')


def test_curl_gets_and_puts_whole_files(skiff, outside, tmp_path):
    """A file of some megabytes through a published port, by IPv4 and IPv6, from this host and from another one."""
    body = random.Random(1).randbytes(5_000_000)
    (tmp_path / 'www').mkdir()
    (tmp_path / 'www/file').write_bytes(body)
    skiff.detached('--name', 'web', '-p', '8080:80', '-v', f'{tmp_path}/www:/www:ro', '--', 'httpd', '-f', '-p', '80', '-h', '/www')
    assert wait_until(lambda: run(*CURL, '-o', '/dev/null', 'http://127.0.0.1:8080/file', rc=None).returncode == 0)
    out = tmp_path / 'got'
    for host in ('127.0.0.1', skiff.ip('web') + ':80', outside.near, f'[{outside.near6}]'):
        url = f'http://{host}/file' if host.endswith(':80') else f'http://{host}:8080/file'
        run(*CURL, '-o', out, url)
        assert out.read_bytes() == body, url
    for host in (outside.near, f'[{outside.near6}]'):
        outside(*CURL, '-o', out, f'http://{host}:8080/file')
        assert out.read_bytes() == body, host


def test_nc_there_and_back(skiff, outside):
    """A line to a container and one back, from another host and from a container. (UDP: iperf3 below.)"""
    skiff.detached('--name', 'echo', '-p', '7000:7000', '--', 'nc', '-ll', '-p', '7000', '-e', 'cat')
    skiff.client('c')
    to = skiff.ip('echo')
    assert wait_until(lambda: outside('sh', '-c', f'echo word | nc -w 3 {outside.near} 7000', rc=None).stdout == 'word\n')
    assert wait_until(lambda: skiff('exec', 'c', 'sh', '-c', f'echo word | nc -w 3 {to} 7000', rc=None).stdout == 'word\n')


def iperf(text):
    doc = json.loads(text)
    assert 'error' not in doc, doc['error']
    return doc['end']


def test_iperf3_moves_all_its_bytes(skiff, outside):
    """A given number of bytes by TCP, both directions, and UDP datagrams without loss at a rate that anything can do; published and between containers."""
    skiff('network', 'create', 'n')
    skiff.detached('--name', 'server', '--network', 'n', '-p', '5201:5201', '-p', '5201:5201/udp', *HOST, '--', '/usr/bin/iperf3', '-s', '--forceflush')
    assert wait_until(lambda: 'listening' in skiff.out('logs', 'server'))
    clients = {
        'published': lambda *a: outside('iperf3', '-J', '-c', outside.near, *a).stdout,
        'between': lambda *a: skiff.out('run', '--rm', '--network', 'n', *HOST, 'netimage', '/usr/bin/iperf3', '-J', '-c', 'server', *a),
    }
    for name, client in clients.items():
        for reverse in ((), ('-R',)):
            end = iperf(client('-n', '20M', *reverse))
            assert end['sum_sent']['bytes'] >= 20 << 20 and end['sum_received']['bytes'] > 0, name  # it stops counting when the last byte is sent
        end = iperf(client('-u', '-b', '2M', '-l', '1000', '-n', '200K'))
        assert end['sum']['packets'] >= 200 and end['sum']['lost_packets'] == 0, name
