#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: passthrough.py SOURCE MOUNTPOINT [-o OPTIONS]

A directory shown as it is, by pyfuse3, with the writeback cache on.
"""

import ctypes
import errno
import os
import stat
import sys

import pyfuse3
import trio
from pyfuse3 import FUSEError


RENAME_EXCHANGE = 2
libc = ctypes.CDLL(None, use_errno=True)


def renameat2(old, new, flags):
    at_cwd = -100
    if libc.renameat2(at_cwd, old, at_cwd, new, flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def translated(method):
    async def wrapped(*args):
        try:
            return await method(*args)
        except OSError as error:
            raise FUSEError(error.errno) from None
    return wrapped


class Passthrough(pyfuse3.Operations):
    enable_writeback_cache = True

    def __init__(self, source):
        super().__init__()
        self.paths = {pyfuse3.ROOT_INODE: {os.fsencode(source)}}
        self.lookups = {}
        self.listings = {}

    def path(self, inode):
        try:
            return next(iter(self.paths[inode]))
        except (KeyError, StopIteration):
            raise FUSEError(errno.ESTALE) from None

    def known(self, path):
        entry = self.attributes(os.lstat(path))
        if entry.st_ino == os.lstat(self.path(pyfuse3.ROOT_INODE)).st_ino:
            entry.st_ino = pyfuse3.ROOT_INODE
        else:
            self.paths.setdefault(entry.st_ino, set()).add(path)
            self.lookups[entry.st_ino] = self.lookups.get(entry.st_ino, 0) + 1
        return entry

    @staticmethod
    def attributes(status):
        entry = pyfuse3.EntryAttributes()
        for name in ("st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_rdev", "st_size",
                     "st_atime_ns", "st_mtime_ns", "st_ctime_ns", "st_blksize", "st_blocks"):
            setattr(entry, name, getattr(status, name))
        entry.generation = 0
        entry.attr_timeout = entry.entry_timeout = 1
        return entry

    @translated
    async def lookup(self, parent, name, ctx):
        path = os.path.join(self.path(parent), name)
        return self.known(path)

    def moved(self, renames):
        """What is known below the old paths is below the new ones now; all at once."""
        for paths in self.paths.values():
            for path in list(paths):
                for old, new in renames:
                    if path == old or path.startswith(old + b"/"):
                        paths.remove(path)
                        paths.add(new + path[len(old):])
                        break

    def gone(self, path):
        """The name of another file from now on, or of none."""
        for paths in self.paths.values():
            paths.discard(path)

    async def forget(self, inode_list):
        for inode, count in inode_list:
            left = self.lookups.get(inode, 0) - count
            if left > 0:
                self.lookups[inode] = left
            else:
                self.lookups.pop(inode, None)
                if inode != pyfuse3.ROOT_INODE:
                    self.paths.pop(inode, None)

    @translated
    async def getattr(self, inode, ctx):
        entry = self.attributes(os.lstat(self.path(inode)))
        entry.st_ino = inode
        return entry

    @translated
    async def setattr(self, inode, attr, fields, fh, ctx):
        path = self.path(inode)
        if fields.update_size:
            os.truncate(path, attr.st_size)
        if fields.update_mode:
            os.chmod(path, stat.S_IMODE(attr.st_mode))
        if fields.update_uid or fields.update_gid:
            os.chown(path, attr.st_uid if fields.update_uid else -1,
                     attr.st_gid if fields.update_gid else -1, follow_symlinks=False)
        if fields.update_atime or fields.update_mtime:
            now = os.lstat(path)
            os.utime(path, ns=(attr.st_atime_ns if fields.update_atime else now.st_atime_ns,
                               attr.st_mtime_ns if fields.update_mtime else now.st_mtime_ns),
                     follow_symlinks=False)
        return await self.getattr(inode, ctx)

    @translated
    async def readlink(self, inode, ctx):
        return os.readlink(self.path(inode))

    @translated
    async def symlink(self, parent, name, target, ctx):
        path = os.path.join(self.path(parent), name)
        os.symlink(target, path)
        return self.known(path)

    @translated
    async def mkdir(self, parent, name, mode, ctx):
        path = os.path.join(self.path(parent), name)
        os.mkdir(path, mode & ~ctx.umask)
        return self.known(path)

    @translated
    async def mknod(self, parent, name, mode, rdev, ctx):
        path = os.path.join(self.path(parent), name)
        os.mknod(path, mode & ~ctx.umask, rdev)
        return self.known(path)

    @translated
    async def link(self, inode, parent, name, ctx):
        path = os.path.join(self.path(parent), name)
        os.link(self.path(inode), path, follow_symlinks=False)
        return self.known(path)

    @translated
    async def rename(self, old_parent, old_name, new_parent, new_name, flags, ctx):
        old = os.path.join(self.path(old_parent), old_name)
        new = os.path.join(self.path(new_parent), new_name)
        renameat2(old, new, flags)
        if flags & RENAME_EXCHANGE:
            self.moved([(old, new), (new, old)])
        else:
            self.gone(new)
            self.moved([(old, new)])

    @translated
    async def unlink(self, parent, name, ctx):
        path = os.path.join(self.path(parent), name)
        os.unlink(path)
        self.gone(path)

    @translated
    async def rmdir(self, parent, name, ctx):
        path = os.path.join(self.path(parent), name)
        os.rmdir(path)
        self.gone(path)

    @translated
    async def getxattr(self, inode, name, ctx):
        return os.getxattr(self.path(inode), name, follow_symlinks=False)

    @translated
    async def setxattr(self, inode, name, value, ctx):
        os.setxattr(self.path(inode), name, value, follow_symlinks=False)

    @translated
    async def listxattr(self, inode, ctx):
        return [os.fsencode(name) for name in os.listxattr(self.path(inode), follow_symlinks=False)]

    @translated
    async def removexattr(self, inode, name, ctx):
        os.removexattr(self.path(inode), name, follow_symlinks=False)

    @translated
    async def open(self, inode, flags, ctx):
        # With the writeback cache the kernel reads, and says itself where an append goes.
        flags = flags & ~(os.O_APPEND | os.O_ACCMODE) | os.O_RDWR
        return pyfuse3.FileInfo(fh=os.open(self.path(inode), flags & ~os.O_NOFOLLOW))

    @translated
    async def create(self, parent, name, mode, flags, ctx):
        path = os.path.join(self.path(parent), name)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | flags & (os.O_EXCL | os.O_TRUNC),
                     mode & ~ctx.umask)
        return pyfuse3.FileInfo(fh=fd), self.known(path)

    @translated
    async def read(self, fh, offset, length):
        return os.pread(fh, length, offset)

    @translated
    async def write(self, fh, offset, data):
        return os.pwrite(fh, data, offset)

    @translated
    async def fsync(self, fh, datasync):
        (os.fdatasync if datasync else os.fsync)(fh)

    async def flush(self, fh):
        pass

    @translated
    async def release(self, fh):
        os.close(fh)

    @translated
    async def opendir(self, inode, ctx):
        handle = max(self.listings, default=0) + 1
        self.listings[handle] = (self.path(inode), sorted(os.fsencode(n) for n in
                                                          os.listdir(self.path(inode))))
        return handle

    async def readdir(self, handle, start, token):
        directory, names = self.listings[handle]
        for number in range(start, len(names)):
            path = os.path.join(directory, names[number])
            try:
                entry = self.known(path)
            except OSError:
                continue
            if not pyfuse3.readdir_reply(token, names[number], entry, number + 1):
                # It was not taken, so it will not be forgotten.
                await self.forget([(entry.st_ino, 1)])
                return

    async def releasedir(self, handle):
        del self.listings[handle]

    @translated
    async def statfs(self, ctx):
        data, status = pyfuse3.StatvfsData(), os.statvfs(self.path(pyfuse3.ROOT_INODE))
        for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files",
                     "f_ffree", "f_favail", "f_namemax"):
            setattr(data, name, getattr(status, name))
        return data


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.splitlines()[0])
    options = set(pyfuse3.default_options)
    options.discard("default_permissions")
    pyfuse3.init(Passthrough(sys.argv[1]), sys.argv[2], options)
    if os.fork():
        os._exit(0)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close()


main()
