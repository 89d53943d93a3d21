// SPDX-License-Identifier: GPL-2.0-only
// What a server hears with everything that is made, beside the name and the mode.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

// What goes behind the arguments of a request that makes something.
struct Extensions {
    std::size_t labels = 0; // lists of labels
    std::string label;      // the name of the first one
    std::string value;
    std::vector<std::uint32_t> groups;
};

Extensions extensions_of(const Request &request) {
    Extensions found;
    std::size_t length = request.header.total_extlen * 8u;
    if (length > request.body.size()) {
        ADD_FAILURE() << "longer than the request";
        return found;
    }
    std::string bytes = request.body.substr(request.body.size() - length);
    while (!bytes.empty()) {
        protocol::ExtHeader header{};
        std::memcpy(&header, bytes.data(), std::min(sizeof(header), bytes.size()));
        if (header.size < sizeof(header) || header.size > bytes.size() || header.size % 8) {
            ADD_FAILURE() << "an extension of " << header.size << " bytes";
            break;
        }
        std::string content = bytes.substr(sizeof(header), header.size - sizeof(header));
        bytes.erase(0, header.size);
        if (header.type == protocol::ext_groups) {
            std::uint32_t count = 0;
            std::memcpy(&count, content.data(), sizeof(count));
            found.groups.resize(count);
            std::memcpy(found.groups.data(), content.data() + sizeof(count), count * 4);
        } else {
            found.labels++;
            EXPECT_LE(header.type, 1u) << "labels of one file";
            if (header.type) {
                std::uint32_t size = 0;
                std::memcpy(&size, content.data(), std::min(sizeof(size), content.size()));
                found.label = content.substr(8).c_str();
                found.value = content.substr(8 + found.label.size() + 1, size);
            }
        }
    }
    return found;
}

// Makes one of everything, with and without the group of the directory. Return: the extensions.
std::vector<Extensions> make_everything(std::uint64_t flags, bool in_group,
                                        const std::string &name) {
    RawServer server({.mount_options = "allow_other", .init_flags = flags, .name = name});
    std::vector<Extensions> all;
    auto watch = [&](const Request &request) {
        all.push_back(extensions_of(request));
        server.answer_error(request, EACCES);
        return true;
    };
    for (std::uint32_t opcode : {FUSE_CREATE, FUSE_TMPFILE, FUSE_MKDIR, FUSE_MKNOD, FUSE_SYMLINK})
        server.on(opcode, watch);
    server.on(FUSE_GETATTR, [&](const Request &request) {
        fuse_attr_out out{};
        out.attr = protocol::file_attributes(FUSE_ROOT_ID, 0);
        out.attr.mode = S_IFDIR | 0777;
        out.attr.gid = 1234;
        out.attr_valid = 3600;
        server.answer(request, bytes_of(out));
        return true;
    });
    struct stat st;
    check(stat(server.mnt().c_str(), &st), "stat");
    Task task("make one of everything", [&] {
        gid_t group = 1234;
        check(setgroups(in_group ? 1 : 0, &group), "setgroups");
        std::string path = server.mnt("new");
        EXPECT_EQ(open(path.c_str(), O_CREAT | O_WRONLY, 0600), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(open(server.mnt().c_str(), O_TMPFILE | O_WRONLY, 0600), -1);
        EXPECT_EQ(mkdir(path.c_str(), 0700), -1);
        EXPECT_EQ(mkfifo(path.c_str(), 0600), -1);
        EXPECT_EQ(symlink("target", path.c_str()), -1);
        return 0;
    });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(all.size(), 5u);
    return all;
}

bool labels_files() { return fs::exists("/sys/fs/selinux"); }

} // namespace

// The server has CREATE; what it does not have is what follows on it.
GUEST_TEST(Creation, FailsIfTheServerCannotTruncateAndIsNotDoneOnceMore) {
    needs_fusewb();
    RawServer server;
    server.on(FUSE_CREATE, [&](const Request &request) {
        struct {
            fuse_entry_out entry{};
            fuse_open_out open{};
        } out;
        out.entry.nodeid = 4711;
        out.entry.attr = protocol::file_attributes(4711, 1);
        server.answer(request, bytes_of(out));
        return true;
    });
    server.on(FUSE_SETATTR, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        return true;
    });
    for (const char *name : {"one", "other"}) {
        EXPECT_EQ(open(server.mnt(name).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), -1);
        EXPECT_EQ(errno, ENOSYS);
    }
    EXPECT_EQ(server.seen(FUSE_CREATE), 2u);
    EXPECT_EQ(server.seen(FUSE_MKNOD), 0u);
}

GUEST_TEST(Creation, HasItsNameThoughThatWasInvalidatedMeanwhile) {
    needs_fusewb();
    RawServer server;
    server.on(FUSE_CREATE, [&](const Request &) {
        fuse_notify_inval_entry_out out{};
        out.parent = FUSE_ROOT_ID;
        out.namelen = 3;
        server.notify(FUSE_NOTIFY_INVAL_ENTRY, std::string(bytes_of(out)) + std::string("new\0", 4));
        return false;
    });
    Fd file(server.mnt("new"), O_CREAT | O_WRONLY);
    EXPECT_EQ(path_of(file), server.mnt("new"));
}

GUEST_TEST(Creation, SaysTheGroupsIfTheServerWantsThem) {
    needs_fusewb();
    for (const auto &seen : make_everything(0, true, "nothing")) {
        EXPECT_EQ(seen.labels, 0u);
        EXPECT_TRUE(seen.groups.empty());
    }
    for (const auto &seen : make_everything(protocol::create_supp_group, true, "member"))
        EXPECT_EQ(seen.groups, std::vector<std::uint32_t>{1234});
    for (const auto &seen : make_everything(protocol::create_supp_group, false, "stranger"))
        EXPECT_TRUE(seen.groups.empty());
}

GUEST_TEST(Creation, SaysThatThereIsNoLabelWithoutASecurityModuleThatHasThem) {
    needs_fusewb();
    if (labels_files())
        GTEST_SKIP() << "SELinux labels files here";
    for (const auto &seen :
         make_everything(protocol::create_supp_group | protocol::security_ctx, true, "both")) {
        EXPECT_EQ(seen.labels, 1u);
        EXPECT_EQ(seen.label, "");
        EXPECT_EQ(seen.groups, std::vector<std::uint32_t>{1234});
    }
}

// Without a policy SELinux has labels of its own for what no policy names.
GUEST_TEST(CreationUnderSelinux, SaysTheLabel) {
    needs_fusewb();
    if (!labels_files())
        GTEST_SKIP() << "SELinux is not active";
    for (const auto &seen :
         make_everything(protocol::create_supp_group | protocol::security_ctx, true, "both")) {
        EXPECT_EQ(seen.labels, 1u);
        EXPECT_EQ(seen.label, "security.selinux");
        EXPECT_EQ(seen.value, std::string("unlabeled", sizeof("unlabeled")));
        EXPECT_EQ(seen.groups, std::vector<std::uint32_t>{1234});
    }
}
