"""The two calls of the libmount Python binding that a peer's suite makes; Debian has no package of that binding."""


class _Entry:
    def __init__(self, fields):
        self.target = fields[4].replace("\\040", " ")
        self.vfs_options = fields[5]
        self.fs_options = fields[fields.index("-") + 3]


class Table:
    def __init__(self, path):
        with open(path) as f:
            self._entries = [_Entry(line.split()) for line in f if " - " in line]

    def find_target(self, target):
        """The topmost mount at target, as in libmount: the last one of the file."""
        for entry in reversed(self._entries):
            if entry.target == target:
                return entry
        return None
