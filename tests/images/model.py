"""What a layer's tree must look like, from its entries; and what a directory looks like."""
import errno
import hashlib
import os
import stat
import tarfile

XATTRS_KEPT = ("user.", "security.capability")
CAP = bytes.fromhex("0100000202000000000000000000000000000000")


def supported(path):
    """The attributes of XATTRS_KEPT that the file system of `path` can hold; the unpacker leaves the others out, and says so."""
    probe = os.path.join(path, ".xattr-probe")
    with open(probe, "wb"):
        pass
    try:
        out = []
        for prefix, name, value in (("user.", "user.probe", b"1"), ("security.capability", "security.capability", CAP)):
            try:
                os.setxattr(probe, name, value)
                out.append(prefix)
            except OSError as x:
                if x.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
        return tuple(out)
    finally:
        os.unlink(probe)


def _sha(data):
    return hashlib.sha256(data).hexdigest()


def _norm(name):
    return "/".join(p for p in name.split("/") if p not in ("", "."))


def expected(entries, kept=XATTRS_KEPT):
    """path -> dict(type, mode, uid, gid, ...) as scan() has it; the documented treatment of whiteouts and opaque marks."""
    tree, opaque = {}, set()

    def parents(path):
        p = os.path.dirname(path)
        if p and p not in tree:
            parents(p)
            tree[p] = {"type": "dir", "mode": 0o755, "uid": 0, "gid": 0, "implied": True}

    def drop(path):
        for p in [p for p in tree if p == path or p.startswith(path + "/")]:
            del tree[p]

    for e in entries:
        path = _norm(e.name)
        base, parent = os.path.basename(path), os.path.dirname(path)
        if not path:
            continue
        parents(path)
        if base == ".wh..wh..opq":
            opaque.add(parent)
            continue
        if base.startswith(".wh..wh."):
            continue
        if base.startswith(".wh."):
            target = (parent + "/" if parent else "") + base[4:]
            if target not in tree:
                tree[target] = {"type": "chr", "rdev": (0, 0)}
            continue
        keep = {k[13:]: v for k, v in e.pax_headers.items() if k.startswith("SCHILY.xattr.")}
        row = {"mode": e.mode & 0o7777, "uid": e.uid, "gid": e.gid, "mtime": e.mtime,
               "xattrs": {k: v.encode("utf-8", "surrogateescape") for k, v in keep.items()
                          if k.startswith(kept) and not k.startswith("user.overlay.")}}
        if e.type == tarfile.DIRTYPE:
            if tree.get(path, {}).get("type") != "dir":
                drop(path)
            tree[path] = {"type": "dir", **row}
            continue
        if e.type == tarfile.LNKTYPE:
            src = tree[_norm(e.linkname)]
            drop(path)
            tree[path] = src
            continue
        drop(path)
        if e.type == tarfile.REGTYPE:
            tree[path] = {"type": "file", "size": len(e.payload), "sha": _sha(e.payload), **row}
        elif e.type == tarfile.SYMTYPE:
            tree[path] = {"type": "link", "target": e.linkname, "uid": e.uid, "gid": e.gid, "mtime": e.mtime}
        elif e.type == tarfile.FIFOTYPE:
            tree[path] = {"type": "fifo", **row}
        else:
            kind = "chr" if e.type == tarfile.CHRTYPE else "blk"
            tree[path] = {"type": kind, "rdev": (e.devmajor, e.devminor), **row}
    for o in opaque:
        tree.setdefault(o, {"type": "dir"})["opaque"] = True
    return tree


def scan(root):
    tree = {}
    for where, dirs, files in os.walk(os.fsencode(root)):
        for name in dirs + files:
            full = os.path.join(where, name)
            st = os.lstat(full)
            kind = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFCHR: "chr", stat.S_IFBLK: "blk",
                    stat.S_IFIFO: "fifo", stat.S_IFSOCK: "sock"}[stat.S_IFMT(st.st_mode)]
            row = {"type": kind, "mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid, "mtime": int(st.st_mtime),
                   "ino": st.st_ino, "nlink": st.st_nlink, "blocks": st.st_blocks}
            if kind == "file":
                with open(full, "rb") as f:
                    data = f.read()
                row.update(size=len(data), sha=_sha(data))
            elif kind == "link":
                row["target"] = os.fsdecode(os.readlink(full))
            elif kind in ("chr", "blk"):
                row["rdev"] = (os.major(st.st_rdev), os.minor(st.st_rdev))
            if kind != "link":
                attrs = {a: os.getxattr(full, a, follow_symlinks=False) for a in os.listxattr(full, follow_symlinks=False)}
                row["opaque"] = attrs.pop("trusted.overlay.opaque", b"n") == b"y"
                row["xattrs"] = attrs
            tree[os.fsdecode(os.path.relpath(full, os.fsencode(root)))] = row
    return tree


def differences(want, have):
    """Readable list; empty when the trees agree in everything that `want` says."""
    out = [f"missing: {p}" for p in want if p not in have] + [f"unexpected: {p}" for p in have if p not in want]
    for path in want.keys() & have.keys():
        for key, v in want[path].items():
            if key == "implied" or (key == "mtime" and want[path].get("implied")):
                continue
            got = have[path].get(key)
            if got != v:
                out.append(f"{path}: {key} is {got!r}, expected {v!r}")
        if have[path].get("opaque") and not want[path].get("opaque"):
            out.append(f"{path}: is opaque")
        if "xattrs" not in want[path] and have[path].get("xattrs"):
            out.append(f"{path}: has {have[path]['xattrs']}")
    return sorted(out)
