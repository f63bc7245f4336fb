"""Small OCI images made from nothing but Debian's static busybox: deterministic, no network."""
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile

BUSYBOX = '/bin/busybox'
ARCH = {'x86_64': 'amd64', 'aarch64': 'arm64'}[platform.machine()]


def layer(entries):
    """entries: (name, kind, data, mode); kind 'd' directory, 'l' symlink to data, 'f' file, 'w' whiteout of name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as t:
        for name, kind, data, mode in entries:
            if kind == 'w':
                head, tail = os.path.split(name)
                name, kind, data = os.path.join(head, '.wh.' + tail), 'f', b''
            ti = tarfile.TarInfo(name)
            ti.mode, ti.mtime = mode, 1700000000
            if kind == 'd':
                ti.type = tarfile.DIRTYPE
            elif kind == 'l':
                ti.type, ti.linkname = tarfile.SYMTYPE, data
            else:
                ti.size = len(data)
            t.addfile(ti, io.BytesIO(data) if kind == 'f' else None)
    return out.getvalue()


def write(out, layers, config, created='2026-01-02T03:04:05Z'):
    """An OCI layout with the tag latest."""
    os.makedirs(f'{out}/blobs/sha256', exist_ok=True)

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        with open(f'{out}/blobs/sha256/{digest}', 'wb') as f:
            f.write(data)
        return {'digest': 'sha256:' + digest, 'size': len(data)}

    descs = [{'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip', **put(gzip.compress(x, 6, mtime=0))} for x in layers]
    cfg = put(json.dumps({'created': created, 'architecture': ARCH, 'os': 'linux', 'config': config,
                          'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(x).hexdigest() for x in layers]},
                          'history': []}).encode())
    manifest = put(json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
                               'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', **cfg}, 'layers': descs}).encode())
    with open(f'{out}/oci-layout', 'w') as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(f'{out}/index.json', 'w') as f:
        json.dump({'schemaVersion': 2, 'manifests': [{'mediaType': 'application/vnd.oci.image.manifest.v1+json', **manifest,
                   'annotations': {'org.opencontainers.image.ref.name': 'latest'}}]}, f)


def busybox(out, **config):
    """Three layers: the program, its users (with a file to be whited out), and the whiteout. config: further members of the image's."""
    with open(BUSYBOX, 'rb') as f:
        program = f.read()
    applets = [a for a in subprocess.check_output([BUSYBOX, '--list'], text=True).split() if a != 'busybox']
    base = [(d, 'd', None, 0o755) for d in ('bin', 'etc', 'root', 'home', 'home/bob', 'proc', 'sys', 'dev')]
    base += [('tmp', 'd', None, 0o1777), ('bin/busybox', 'f', program, 0o755)] + [('bin/' + a, 'l', 'busybox', 0o777) for a in applets]
    users = [('etc/passwd', 'f', b'root:x:0:0:root:/root:/bin/sh\nold:x:77:77::/:/bin/sh\n', 0o644), ('gone.txt', 'f', b'gone\n', 0o644),
             ('hello.txt', 'f', b'hello\n', 0o644), ('notexec', 'f', b'x', 0o644), ('badinterp', 'f', b'#!/no/such/interpreter\n', 0o755)]
    top = [('etc/passwd', 'f', b'root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000:bob:/home/bob:/bin/sh\n', 0o644),
           ('etc/group', 'f', b'root:x:0:\nbob:x:1000:\nwheel:x:10:root,bob\n', 0o644), ('gone.txt', 'w', None, 0)]
    write(out, [layer(base), layer(users), layer(top)],
          {'Env': ['PATH=/usr/local/bin:/usr/bin:/bin', 'FOO=bar'], 'Cmd': ['sh'], 'Labels': {'maker': 'test'}, **config})
