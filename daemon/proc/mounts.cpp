// SPDX-License-Identifier: GPL-2.0-only
#include "proc/mounts.h"

#include <cerrno>
#include <cstring>
#include <libmount.h>
#include <memory>

namespace fusewb::proc {

namespace {

struct Unref {
    void operator()(libmnt_table *table) const { mnt_unref_table(table); }
    void operator()(libmnt_iter *iterator) const { mnt_free_iter(iterator); }
    void operator()(std::FILE *stream) const { std::fclose(stream); }
};

int passOver(libmnt_table *, const char *, int) { return 1; }

} // namespace

Result<MountPoints> readMountinfo(std::FILE *stream, const std::string &name) {
    const std::unique_ptr<libmnt_table, Unref> table(mnt_new_table());
    const std::unique_ptr<libmnt_iter, Unref> iterator(mnt_new_iter(MNT_ITER_FORWARD));
    if (!table || !iterator)
        return Failure{"out of memory", ENOMEM};
    mnt_table_set_parser_errcb(table.get(), passOver);
    if (const int error = mnt_table_parse_stream(table.get(), stream, name.c_str()); error < 0)
        return Failure{"cannot read " + name + ": " + std::strerror(-error), -error};

    MountPoints points;
    libmnt_fs *fs = nullptr;
    while (mnt_table_next_fs(table.get(), iterator.get(), &fs) == 0) {
        const char *target = mnt_fs_get_target(fs);
        const dev_t device = mnt_fs_get_devno(fs);
        if (target && device != 0)
            points[device].emplace_back(target);
    }
    return points;
}

Result<MountPoints> readMountinfo(const std::string &path) {
    const std::unique_ptr<std::FILE, Unref> stream(std::fopen(path.c_str(), "re"));
    if (!stream)
        return Failure{"cannot open " + path + ": " + std::strerror(errno), errno};
    return readMountinfo(stream.get(), path);
}

} // namespace fusewb::proc
