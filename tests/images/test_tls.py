"""TLS: certs.d, client certificates, and every way in which a certificate can be wrong (T53)."""
import os
import shutil
import ssl
import subprocess

import imagegen as ig
import pytest
import worker
from imagegen import file


def one():
    return ig.image([ig.layer([file("f", os.urandom(8).hex())])])


@pytest.mark.smoke
def test_own_ca_through_certs_d(registry_tls, store, ca, tmp_path):
    im = one()
    ref = registry_tls.push("tls/a", "1", im)
    store.fails("denied", ref, "certificate", "certs.d/" + registry_tls.host, certs_dir=tmp_path)
    store.pull(ref, certs_dir=ca.trust(tmp_path / "certs", registry_tls.host))
    assert store.layers() == [im.layers[0].hex]


def test_ca_of_another_registry_is_not_trusted(registry_tls, store, ca, tmp_path):
    ref = registry_tls.push("tls/b", "1", one())
    store.fails("denied", ref, "certificate", certs_dir=ca.trust(tmp_path / "certs", "127.0.0.1:1"))
    store.fails("denied", ref, "certificate", certs_dir=ca.trust(tmp_path / "certs", "127.0.0.1"))


@pytest.mark.parametrize("where", ["directory", "bundle", "neither"])
def test_ca_of_the_system(registry_tls, store, ca, tmp_path, where):
    """The system's CAs are looked up one by one where they are linked by subject; one that is in the bundle alone counts too."""
    im = one()
    ref = registry_tls.push(f"tls/system-{where}", "1", im)
    here = "/etc/ssl/certs"
    shutil.copytree(here, tmp_path / "certs", symlinks=True)
    bundle = tmp_path / "certs/ca-certificates.crt"
    if where == "directory":
        shutil.copy(ca.crt, tmp_path / "certs/test-ca.pem")
    if where == "bundle":
        bundle.write_bytes(bundle.read_bytes() + ca.crt.read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path / "certs")], check=True, stderr=subprocess.DEVNULL)
    p = subprocess.run(["unshare", "-m", "sh", "-c", f'mount --bind "$1" {here} && shift && exec "$@"', "sh", tmp_path / "certs",
                        os.path.join(worker.BIN, "skiff"), "--root", str(store), "pull", "-q", ref], capture_output=True, text=True)
    if where == "neither":
        assert p.returncode == 1 and "certificate is not trusted" in p.stderr, p.stderr
        assert store.layers() == []
    else:
        assert p.returncode == 0, p.stderr
        assert store.layers() == [im.layers[0].hex]


def test_insecure_by_explicit_choice(registry_tls, store, tmp_path):
    ref = registry_tls.push("tls/c", "1", one())
    store.pull(ref, certs_dir=tmp_path, flags=worker.INSECURE_TLS)


def bad_cert(ca, path, how):
    if how == "self-signed":
        crt, key = path / "s.crt", path / "s.key"
        ca.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", crt)
        return str(crt), str(key)
    if how == "wrong-name":
        return ca.issue("wrong", san="IP:127.0.0.2,DNS:registry.example")
    return ca.issue("expired", days=-1)


@pytest.mark.parametrize("flags", [0, worker.PLAIN_HTTP], ids=["", "plain-http"])
@pytest.mark.parametrize("how", ["self-signed", "wrong-name", "expired"])
def test_T53_bad_certificate_of_the_registry(fake, store, ca, tmp_path, how, flags):
    """Also not by falling back to plain HTTP."""
    reg = fake(tls=bad_cert(ca, tmp_path, how))
    ref = reg.add("a", "1", one())
    store.fails("denied", ref, "certificate is not trusted", certs_dir=ca.trust(tmp_path / "certs", reg.host), flags=flags)
    assert reg.log == []


@pytest.mark.parametrize("how", ["self-signed", "wrong-name", "expired"])
@pytest.mark.parametrize("part", ["/blobs/", "/manifests/"])
def test_T53_bad_certificate_of_a_redirect_target(fake, store, ca, tmp_path, how, part):
    reg, cdn = fake(tls=ca.issue("good")), fake(tls=bad_cert(ca, tmp_path, how))
    im = one()
    ref = reg.add("a", "1", im)
    cdn.add("a", "1", im)
    reg.rule(part)(lambda h, n: h.reply(307, headers={"Location": cdn.base + h.path}))
    store.fails("denied", ref, "certificate is not trusted", certs_dir=ca.trust(tmp_path / "certs", reg.host))
    assert cdn.log == []


@pytest.mark.parametrize("how", ["self-signed", "wrong-name", "expired"])
def test_T53_bad_certificate_of_the_token_server(fake, store, ca, tmp_path, docker_config, how):
    reg, auth = fake(tls=ca.issue("good")), fake(tls=bad_cert(ca, tmp_path, how))
    ref = reg.add("a", "1", one())
    reg.rule("/manifests/")(lambda h, n: h.reply(401, headers={"WWW-Authenticate": f'Bearer realm="{auth.base}/t",service="s"'}))
    store.fails("denied", ref, "certificate is not trusted", certs_dir=ca.trust(tmp_path / "certs", reg.host), docker_config=docker_config(reg.host))
    assert auth.log == []


def test_old_protocol(fake, store, ca, tmp_path):
    """TLS below 1.2 is not spoken, and a failed handshake does not lead to plain HTTP with another host's answer."""
    reg = fake(tls=ca.issue("old"))
    ctx = reg.server.socket.context
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    ctx.minimum_version, ctx.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    ref = reg.add("a", "1", one())
    store.fails("unavailable", ref, certs_dir=ca.trust(tmp_path / "certs", reg.host))
    assert reg.log == []


def test_client_certificate(fake, store, ca, tmp_path):
    reg = fake(tls=ca.issue("mutual"))
    ctx = reg.server.socket.context
    ctx.verify_mode = ssl.CERT_REQUIRED
    ctx.load_verify_locations(str(ca.crt))
    ref = reg.add("a", "1", one())
    certs = ca.trust(tmp_path / "certs", reg.host)
    store.fails("unavailable", ref, certs_dir=certs)
    crt, key = ca.issue("client")
    shutil.copy(crt, certs / reg.host / "client.cert")
    store.fails("invalid", ref, "client.key", certs_dir=certs)
    shutil.copy(key, certs / reg.host / "client.key")
    store.pull(ref, certs_dir=certs)


def test_unreadable_ca_is_an_error(fake, store, ca, tmp_path):
    reg = fake(tls=ca.issue("broken"))
    ref = reg.add("a", "1", one())
    certs = ca.trust(tmp_path / "certs", reg.host)
    (certs / reg.host / "ca.crt").write_text("this is no certificate")
    store.fails(("denied", "unavailable", "invalid"), ref, certs_dir=certs)
    assert reg.log == []


def test_plain_http_needs_a_choice_beyond_loopback(fake, store):
    from test_auth import own_address
    reg = fake(address=own_address())
    ref = reg.add("a", "1", one())
    store.fails("unavailable", ref)
    assert reg.log == []
    store.fails("unavailable", ref, flags=worker.INSECURE_TLS)
    assert reg.log == []
    store.pull(ref, flags=worker.PLAIN_HTTP)


def test_names_that_only_begin_like_loopback(store):
    """127.example is no loopback: https only."""
    err = store.fails("unavailable", "127.registry.invalid:5000/a:1")
    assert "https://" in err.message
