// SPDX-License-Identifier: GPL-2.0-only
// What name_to_handle_at(2) gives is opened again by the number of the node alone, for those
// servers that find it by that.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

// A file handle as name_to_handle_at(2) makes it.
class Handle {
public:
    explicit Handle(const fs::path &path) {
        handle()->handle_bytes = MAX_HANDLE_SZ;
        int mount_id;
        check(name_to_handle_at(AT_FDCWD, path.c_str(), handle(), &mount_id, 0),
              "name_to_handle_at " + path.string());
    }
    // Return: a descriptor, or minus errno.
    int open_at(int mount_fd) {
        int fd = open_by_handle_at(mount_fd, handle(), O_RDONLY);
        return fd < 0 ? -errno : fd;
    }

private:
    struct file_handle *handle() {
        return reinterpret_cast<struct file_handle *>(bytes_);
    }
    alignas(struct file_handle) char bytes_[sizeof(struct file_handle) + MAX_HANDLE_SZ]{};
};

// LOOKUP of "." as a server of FUSE_EXPORT_SUPPORT answers it.
void find_by_node(RawServer &server, const std::string &name) {
    server.on(FUSE_LOOKUP, [&server, name](const Request &request) {
        if (request.name(0) != ".")
            return false;
        Request by_name = request;
        by_name.header.nodeid = FUSE_ROOT_ID;
        by_name.body = name + '\0';
        server.carry_out(by_name);
        return true;
    });
}

// Until the server was told so often that the inode is not needed any more. One that was opened by
// its handle alone goes with the file.
void forget_names(RawServer &server, const std::string &name, std::size_t times) {
    write_setting("/proc/sys/vm/drop_caches", "2");
    struct {
        std::uint32_t count;
        std::uint32_t padding;
        std::uint64_t spare;
        std::uint64_t node;
    } out{1, 0, 0, server.node_of(name)};
    // A RELEASE without an answer keeps it for a while.
    EXPECT_TRUE(wait_until(10s, [&] {
        server.notify(protocol::notify_prune, bytes_of(out));
        return server.seen(FUSE_BATCH_FORGET) + server.seen(FUSE_FORGET) >= times;
    })) << "the inode is still cached";
}

} // namespace

GUEST_TEST(FileHandle, OpensWhatIsCachedAndWhatTheServerFinds) {
    needs_fusewb();
    RawServer server({.init_flags = FUSE_EXPORT_SUPPORT});
    server.set_content("f", "content");
    find_by_node(server, "f");
    Handle handle(server.mnt("f"));
    Fd directory(server.mnt(), O_RDONLY | O_DIRECTORY);
    for (bool cached : {true, false}) {
        if (!cached)
            forget_names(server, "f", 1);
        int fd = handle.open_at(directory);
        ASSERT_GE(fd, 0) << "cached " << cached;
        Fd file(fd);
        EXPECT_EQ(pread_all(file, 100, 0), "content");
    }
    // Another file of that node id.
    forget_names(server, "f", 2);
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = request.header.nodeid;
        out.generation = 77;
        out.attr = protocol::file_attributes(out.nodeid, 7);
        server.answer(request, bytes_of(out));
        return true;
    });
    EXPECT_EQ(handle.open_at(directory), -ESTALE);
    // An answer that is of another node.
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = request.header.nodeid + 1000;
        out.generation = 1;
        out.attr = protocol::file_attributes(out.nodeid, 7);
        server.answer(request, bytes_of(out));
        return true;
    });
    server.notify(protocol::notify_inc_epoch, {});
    forget_names(server, "f", 3);
    EXPECT_NE(handle.open_at(directory), 0);
}

GUEST_TEST(FileHandle, OfAServerThatFindsNothingGoesStale) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    Handle handle(server.mnt("f"));
    Fd directory(server.mnt(), O_RDONLY | O_DIRECTORY);
    {
        int fd = handle.open_at(directory);
        ASSERT_GE(fd, 0);
        Fd file(fd);
    }
    forget_names(server, "f", 1);
    EXPECT_EQ(handle.open_at(directory), -ESTALE);
}
