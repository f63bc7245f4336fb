"""explain: published ports, addresses, and the egress policy with what it refused."""
import json


def test_explain_has_ports_addresses_and_what_egress_refused(skiff, outside):
    skiff.client('n1', '-p', '127.0.0.1::80', '--egress', 'deny', '--egress-allow', '10.9.0.0/16')
    skiff.ask_from('n1', 'tcp', outside.far, 80, rc=None)
    doc, = json.loads(skiff.out('explain', '--format', 'json', 'n1'))
    p = {x['Name']: x for x in doc['Properties'] if x['Group'] == 'network'}
    assert p['egress']['Value'] == 'deny' and p['egress']['Source'] == 'flag --egress'
    words = p['egress']['Kernel'].split()
    assert words[0] == 'denied' and int(words[1]) >= 1
    assert p['egress to 10.9.0.0/16']['Source'] == 'flag --egress-allow'
    assert p['port 80/tcp']['Kernel'] == skiff.out('port', 'n1', '80').strip() and p['port 80/tcp']['Source'] == 'flag --publish'
    assert skiff.ip('n1') in [w for x in p.values() for w in x['Value'].split()]
    assert not [x for x in doc['Properties'] if x['Differs']]
