// SPDX-License-Identifier: GPL-2.0-only
// What a server may ask for in FUSE_INIT, and what then changes: file handles, cached symbolic
// links, who drops cached data and set-user-ID bits, shared mappings of direct files.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
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

fuse_attr file_attributes(std::uint64_t node, std::uint64_t size, std::uint64_t mtime) {
    fuse_attr attr{};
    attr.ino = node;
    attr.size = size;
    attr.mode = S_IFREG | 0644;
    attr.nlink = 1;
    attr.mtime = mtime;
    return attr;
}

// Return: whether the data was read from the server again after only mtime changed there.
bool mtime_drops_data(std::uint64_t flags, const std::string &name) {
    RawServer server({.writeback = false,
                      .valid_seconds = 0,
                      .open_flags = FOPEN_KEEP_CACHE,
                      .init_flags = flags,
                      .name = name});
    server.set_content("f", "content");
    std::atomic<std::uint64_t> mtime = 0;
    server.on(FUSE_GETATTR, [&](const Request &request) {
        if (request.header.nodeid == FUSE_ROOT_ID)
            return false;
        fuse_attr_out out{};
        out.attr = file_attributes(request.header.nodeid, 7, mtime);
        server.answer(request, bytes_of(out));
        return true;
    });
    Fd file(server.mnt("f"), O_RDONLY);
    EXPECT_EQ(pread_all(file, 7, 0), "content");
    server.set_content("f", "CHANGED");
    mtime = 1000;
    struct stat st;
    EXPECT_EQ(fstat(file, &st), 0);
    EXPECT_EQ(st.st_mtime, 1000);
    return pread_all(file, 7, 0) == "CHANGED";
}

} // namespace

GUEST_TEST(Negotiated, FileHandlesOpenWhatIsCachedAndWhatTheServerFinds) {
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
        out.attr = file_attributes(out.nodeid, 7, 0);
        server.answer(request, bytes_of(out));
        return true;
    });
    EXPECT_EQ(handle.open_at(directory), -ESTALE);
    // An answer that is of another node.
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = request.header.nodeid + 1000;
        out.generation = 1;
        out.attr = file_attributes(out.nodeid, 7, 0);
        server.answer(request, bytes_of(out));
        return true;
    });
    server.notify(protocol::notify_inc_epoch, {});
    forget_names(server, "f", 3);
    EXPECT_NE(handle.open_at(directory), 0);
}

GUEST_TEST(Negotiated, FileHandlesOfServersThatFindNothingGoStale) {
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

GUEST_TEST(Negotiated, SymbolicLinksAreKeptIfTheServerSaysSo) {
    needs_fusewb();
    for (bool cache : {true, false}) {
        RawServer server({.init_flags = cache ? std::uint64_t(FUSE_CACHE_SYMLINKS) : 0,
                          .name = cache ? "cache" : "ask"});
        std::string target = "somewhere";
        server.on(FUSE_LOOKUP, [&](const Request &request) {
            fuse_entry_out out{};
            out.nodeid = 99;
            out.attr_valid = out.entry_valid = 1000;
            out.attr = file_attributes(99, 9, 0);
            out.attr.mode = S_IFLNK | 0777;
            server.answer(request, bytes_of(out));
            return true;
        });
        server.on(FUSE_READLINK, [&](const Request &request) {
            server.answer(request, target);
            return true;
        });
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(fs::read_symlink(server.mnt("link")), "somewhere");
        EXPECT_EQ(server.seen(FUSE_READLINK), cache ? 1u : 3u);
        target = "elsewhere";
        fuse_notify_inval_inode_out changed{99, 0, 0};
        EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(changed)), 0);
        server.on(FUSE_GETATTR, [&](const Request &request) {
            fuse_attr_out out{};
            out.attr = file_attributes(99, 9, 0);
            out.attr.mode = S_IFLNK | 0777;
            server.answer(request, bytes_of(out));
            return true;
        });
        EXPECT_EQ(fs::read_symlink(server.mnt("link")), "elsewhere");
    }
}

GUEST_TEST(Negotiated, DataIsDroppedWithMtimeIfTheServerSaysSo) {
    needs_fusewb();
    EXPECT_TRUE(mtime_drops_data(FUSE_AUTO_INVAL_DATA, "auto"));
    EXPECT_FALSE(mtime_drops_data(0, "none"));
    EXPECT_FALSE(mtime_drops_data(FUSE_EXPLICIT_INVAL_DATA, "explicit"));
}

GUEST_TEST(Negotiated, TheServerTakesSetUserIdBitsAwayIfItSaysSo) {
    needs_fusewb();
    for (bool handles : {true, false}) {
        RawServer server({.writeback = false,
                          .mount_options = "allow_other",
                          .init_flags = handles ? std::uint64_t(FUSE_HANDLE_KILLPRIV_V2) : 0,
                          .name = handles ? "v2" : "none"});
        server.set_content("f", "content");
        ASSERT_EQ(chmod(server.mnt("f").c_str(), 04777), 0);
        std::atomic<std::uint32_t> valid = 0, write_flags = 0, set_mode = 0;
        server.on(FUSE_SETATTR, [&](const Request &request) {
            auto in = request.as<fuse_setattr_in>();
            valid |= in.valid;
            if (in.valid & FATTR_MODE)
                set_mode = in.mode;
            return false;
        });
        server.on(FUSE_WRITE, [&](const Request &request) {
            write_flags = request.as<fuse_write_in>().write_flags;
            return false;
        });
        Task task("truncate and write as nobody", [&] {
            become_nobody();
            if (truncate(server.mnt("f").c_str(), 3))
                return errno;
            Fd file(server.mnt("f"), O_WRONLY);
            pwrite_all(file, "x", 0);
            return 0;
        });
        ASSERT_TRUE(task.ends_within(20s)) << task.where();
        EXPECT_EQ(task.status(), 0);
        EXPECT_EQ(!!(valid & FATTR_KILL_SUIDGID), handles);
        EXPECT_EQ(!!(write_flags & FUSE_WRITE_KILL_SUIDGID), handles);
        if (!handles) {
            EXPECT_EQ(set_mode & 07777, 0777u) << "the kernel did not either";
        }
    }
}

GUEST_TEST(Negotiated, SharedMappingsOfDirectFilesNeedTheServersWord) {
    needs_fusewb();
    for (bool allowed : {true, false}) {
        RawServer server({.open_flags = FOPEN_DIRECT_IO,
                          .init_flags = allowed ? protocol::direct_io_allow_mmap : 0,
                          .name = allowed ? "allowed" : "refused"});
        server.set_content("f", std::string(8192, 'x'));
        Fd file(server.mnt("f"), O_RDWR);
        void *map = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        EXPECT_EQ(map != MAP_FAILED, allowed);
        if (map == MAP_FAILED) {
            EXPECT_EQ(errno, ENODEV);
            continue;
        }
        static_cast<char *>(map)[5000] = 'y';
        EXPECT_EQ(msync(map, 8192, MS_SYNC), 0);
        EXPECT_EQ(server.content("f")[5000], 'y');
        munmap(map, 8192);
    }
}

GUEST_TEST(Negotiated, NothingIsOfferedThatIsNotThere) {
    needs_fusewb();
    RawServer server;
    ASSERT_TRUE(wait_until(10s, [&] { return server.offered() != 0; }));
    std::uint64_t offered = server.offered();
    // DAX, passthrough, io_uring, idmapped mounts, submounts.
    for (std::uint64_t absent :
         {1ull << 26, 1ull << 33, 1ull << 37, 1ull << 41, 1ull << 40, 1ull << 27})
        EXPECT_EQ(offered & absent, 0u) << std::hex << absent;
}

GUEST_TEST(Negotiated, DirectWritesRunSideBySideIfTheServerSaysSo) {
    needs_fusewb();
    for (bool parallel : {true, false}) {
        RawServer server({.open_flags = FOPEN_DIRECT_IO |
                                        (parallel ? unsigned(FOPEN_PARALLEL_DIRECT_WRITES) : 0u),
                          .name = parallel ? "parallel" : "serial"});
        server.set_content("f", std::string(65536, 'x'));
        server.hold(FUSE_WRITE);
        auto write_at = [&](off_t offset) {
            return [&server, offset] {
                Fd file(server.mnt("f"), O_WRONLY);
                pwrite_all(file, std::string(4096, 'w'), offset);
                return 0;
            };
        };
        Task first("write", write_at(0)), second("write", write_at(8192));
        Task same("write of the same bytes", write_at(0));
        ASSERT_TRUE(server.wait_held(FUSE_WRITE, parallel ? 2 : 1));
        EXPECT_FALSE(
            wait_until(300ms, [&] { return server.held(FUSE_WRITE) > (parallel ? 2u : 1u); }));
        server.release(FUSE_WRITE);
        for (Task *task : {&first, &second, &same})
            EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(server.content("f").substr(8192, 4096), std::string(4096, 'w'));
        EXPECT_EQ(server.overlaps(), std::vector<std::string>{});
    }
}
