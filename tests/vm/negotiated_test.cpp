// SPDX-License-Identifier: GPL-2.0-only
// What a server may ask for in FUSE_INIT, and what then changes: file handles, cached symbolic
// links, who drops cached data and set-user-ID bits, shared mappings of direct files.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/promise.h"
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

GUEST_TEST(Negotiated, ADirectWriteThatTakesCapabilitiesAwayRunsAlone) {
    needs_fusewb();
    RawServer server({.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES});
    server.set_content("f", std::string(65536, 'x'));
    std::atomic<bool> capable = true;
    server.on(FUSE_GETXATTR, [&](const Request &request) {
        auto in = request.as<fuse_getxattr_in>();
        fuse_getxattr_out size{20, 0};
        if (!capable || request.name(sizeof(in)) != "security.capability")
            server.answer_error(request, ENODATA);
        else if (in.size)
            server.answer(request, std::string(20, '\2'));
        else
            server.answer(request, bytes_of(size));
        return true;
    });
    server.hold(FUSE_REMOVEXATTR);
    auto write_at = [&](off_t offset) {
        return [&server, offset] {
            Fd file(server.mnt("f"), O_WRONLY);
            pwrite_all(file, std::string(4096, 'w'), offset);
            return 0;
        };
    };
    Task first("write", write_at(0)), second("write", write_at(8192));
    ASSERT_TRUE(server.wait_held(FUSE_REMOVEXATTR, 1));
    EXPECT_FALSE(wait_until(300ms, [&] { return server.held(FUSE_REMOVEXATTR) > 1; }));
    EXPECT_EQ(server.seen(FUSE_WRITE), 0u) << "before they were gone";
    capable = false;
    server.refuse_held(FUSE_REMOVEXATTR, 0);
    for (Task *task : {&first, &second}) {
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(task->status(), 0);
    }
    EXPECT_EQ(server.seen(FUSE_REMOVEXATTR), 1u);
}

namespace {

// What goes behind the arguments of a request that makes something.
struct Extensions {
    std::size_t labels = 0; // lists of labels
    std::string label;      // name and value of the first one
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
            if (header.type)
                found.label = content.substr(8).c_str();
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
        out.attr = file_attributes(FUSE_ROOT_ID, 0, 0);
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

} // namespace

GUEST_TEST(Negotiated, LabelsAndGroupsGoWithWhatIsMadeIfTheServerSaysSo) {
    needs_fusewb();
    for (const auto &seen : make_everything(0, true, "nothing")) {
        EXPECT_EQ(seen.labels, 0u);
        EXPECT_TRUE(seen.groups.empty());
    }
    for (const auto &seen : make_everything(protocol::create_supp_group, true, "member"))
        EXPECT_EQ(seen.groups, std::vector<std::uint32_t>{1234});
    for (const auto &seen : make_everything(protocol::create_supp_group, false, "stranger"))
        EXPECT_TRUE(seen.groups.empty());
    // Without a security module that labels files it says that there is none.
    bool labelled = fs::exists("/sys/fs/selinux/enforce");
    for (const auto &seen :
         make_everything(protocol::create_supp_group | protocol::security_ctx, true, "both")) {
        EXPECT_EQ(seen.labels, 1u);
        EXPECT_EQ(seen.label, labelled ? "security.selinux" : "");
        EXPECT_EQ(seen.groups, std::vector<std::uint32_t>{1234});
    }
}

GUEST_TEST(Negotiated, TheFirstVersionOfKillprivLeavesTheBitsToTheServerToo) {
    needs_fusewb();
    RawServer server(
        {.writeback = false, .mount_options = "allow_other", .init_flags = FUSE_HANDLE_KILLPRIV});
    server.set_content("f", "content");
    ASSERT_EQ(chmod(server.mnt("f").c_str(), 04777), 0);
    std::atomic<std::uint32_t> valid = 0;
    server.on(FUSE_SETATTR, [&](const Request &request) {
        valid |= request.as<fuse_setattr_in>().valid;
        return false;
    });
    Task task("write as nobody", [&] {
        become_nobody();
        Fd file(server.mnt("f"), O_WRONLY);
        pwrite_all(file, "x", 0);
        return 0;
    });
    ASSERT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
    EXPECT_FALSE(valid & FATTR_MODE) << "the kernel took them away";
    EXPECT_FALSE(valid & FATTR_KILL_SUIDGID) << "which is of the second version";
}

GUEST_TEST(Negotiated, FilesAndDirectoriesNeedNoOpeningIfTheServerSaysSo) {
    needs_fusewb();
    // Libraries do not repeat what they are offered.
    for (bool repeated : {true, false}) {
        RawServer server({.init_flags = repeated ? FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT
                                                 : std::uint64_t(0),
                          .name = repeated ? "repeated" : "silent"});
        server.set_content("f", "content");
        for (std::uint32_t opcode : {FUSE_OPEN, FUSE_OPENDIR})
            server.on(opcode, [&](const Request &request) {
                server.answer_error(request, ENOSYS);
                return true;
            });
        server.on(FUSE_FLUSH, [&](const Request &request) {
            server.answer(request, {});
            return true;
        });
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(read_file(server.mnt("f")), "content");
            EXPECT_EQ(std::distance(fs::directory_iterator(server.mnt()), {}), 1);
        }
        EXPECT_EQ(server.seen(FUSE_OPEN), 1u);
        EXPECT_EQ(server.seen(FUSE_OPENDIR), 1u);
        EXPECT_EQ(server.seen(FUSE_FLUSH), 3u) << "a server of locks hears of close by it";
        EXPECT_EQ(server.seen(FUSE_RELEASE), 0u);
        EXPECT_EQ(server.seen(FUSE_RELEASEDIR), 0u);
    }
}

GUEST_TEST(Negotiated, LinksAreRefusedByAServerWithoutThem) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(link(server.mnt("f").c_str(), server.mnt("g").c_str()), -1);
        EXPECT_EQ(errno, EPERM);
    }
    EXPECT_EQ(server.seen(FUSE_LINK), 1u);
}

GUEST_TEST(Negotiated, NoInterruptsAreSentToAServerWithoutThem) {
    needs_fusewb();
    RawServer server;
    server.on(FUSE_INTERRUPT, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        return true;
    });
    for (const char *name : {"first", "second"}) {
        server.hold(FUSE_LOOKUP);
        Task task("lookup", [&] { return access(server.mnt(name).c_str(), F_OK) ? errno : 0; });
        ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1)) << task.where();
        ASSERT_TRUE(task.kill_within(20s)) << task.where();
        EXPECT_TRUE(wait_until(20s, [&] { return server.seen(FUSE_INTERRUPT) == 1; }));
        EXPECT_FALSE(wait_until(500ms, [&] { return server.seen(FUSE_INTERRUPT) > 1; }));
        server.release(FUSE_LOOKUP);
    }
}

GUEST_TEST(Negotiated, EntriesOfAListingCountLookupsButForTheDirectoryAndItsParent) {
    needs_fusewb();
    RawServer server({.init_flags = FUSE_DO_READDIRPLUS});
    std::mutex mutex;
    std::multiset<std::uint64_t> forgotten;
    for (std::uint32_t opcode : {FUSE_FORGET, FUSE_BATCH_FORGET})
        server.on(opcode, [&, opcode](const Request &request) {
            std::lock_guard lock(mutex);
            if (opcode == FUSE_FORGET)
                forgotten.insert(request.header.nodeid);
            for (std::size_t at = sizeof(fuse_batch_forget_in);
                 opcode == FUSE_BATCH_FORGET && at + sizeof(fuse_forget_one) <= request.body.size();
                 at += sizeof(fuse_forget_one)) {
                fuse_forget_one one;
                std::memcpy(&one, request.body.data() + at, sizeof(one));
                forgotten.insert(one.nodeid);
            }
            return false;
        });
    server.on(FUSE_READDIRPLUS, [&](const Request &request) {
        std::string out;
        std::uint64_t node = 100;
        // The second to last cannot be: a file of no type. The last ends the listing.
        for (std::string name : {".", "..", "typeless", "a/b"}) {
            fuse_direntplus entry{};
            entry.entry_out.nodeid = node++;
            entry.entry_out.generation = 1;
            entry.entry_out.attr = file_attributes(node, 5, 0);
            if (name == "typeless")
                entry.entry_out.attr.mode = 0;
            entry.dirent.ino = node;
            entry.dirent.off = node - 100;
            entry.dirent.namelen = static_cast<std::uint32_t>(name.size());
            entry.dirent.type = DT_REG;
            if (entry.dirent.off <= request.as<fuse_read_in>().offset)
                continue;
            std::size_t at = out.size();
            out += bytes_of(entry);
            out += name;
            out.resize(at + FUSE_DIRENT_ALIGN(out.size() - at));
        }
        server.answer(request, out);
        return true;
    });
    DIR *directory = opendir(server.mnt().c_str());
    ASSERT_NE(directory, nullptr);
    while (readdir(directory))
        ;
    closedir(directory);
    EXPECT_GE(server.connection()[FUSEWB_A_COUNTER_MALFORMED], 2u);
    EXPECT_TRUE(wait_until(20s, [&] {
        std::lock_guard lock(mutex);
        return forgotten.count(102) && forgotten.count(103);
    }));
    std::lock_guard lock(mutex);
    EXPECT_EQ(forgotten.count(100) + forgotten.count(101), 0u);
}

GUEST_TEST(Negotiated, OpeningTruncatesByItselfIfTheServerSaysSo) {
    needs_fusewb();
    for (bool atomic : {true, false}) {
        RawServer server({.init_flags = atomic ? std::uint64_t(FUSE_ATOMIC_O_TRUNC) : 0,
                          .name = atomic ? "atomic" : "apart"});
        server.set_content("f", "content");
        std::atomic<std::uint32_t> flags = 0;
        server.on(FUSE_OPEN, [&](const Request &request) {
            flags |= request.as<fuse_open_in>().flags;
            if (request.as<fuse_open_in>().flags & O_TRUNC)
                server.set_content("f", "");
            return false;
        });
        Fd file(server.mnt("f"), O_RDWR | O_TRUNC);
        EXPECT_EQ(!!(flags & O_TRUNC), atomic);
        EXPECT_EQ(server.seen(FUSE_SETATTR) > 0, !atomic);
        EXPECT_EQ(pread_all(file, 10, 0), "");
        EXPECT_EQ(server.content("f"), "");
    }
}

GUEST_TEST(Negotiated, LookupsOfOneDirectoryRunSideBySideIfTheServerSaysSo) {
    needs_fusewb();
    for (bool parallel : {true, false}) {
        RawServer server({.init_flags = parallel ? std::uint64_t(FUSE_PARALLEL_DIROPS) : 0,
                          .name = parallel ? "parallel" : "serial"});
        server.hold(FUSE_LOOKUP);
        auto look = [&](const char *name) {
            return [&server, name] { return access(server.mnt(name).c_str(), F_OK) ? errno : 0; };
        };
        Task one("look", look("one")), other("look", look("other"));
        ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, parallel ? 2 : 1));
        EXPECT_FALSE(
            wait_until(300ms, [&] { return server.held(FUSE_LOOKUP) > (parallel ? 2u : 1u); }));
        server.release(FUSE_LOOKUP);
        for (Task *task : {&one, &other}) {
            EXPECT_TRUE(task->ends_within(20s)) << task->where();
            EXPECT_EQ(task->status(), ENOENT);
        }
    }
}

GUEST_TEST(Negotiated, ListingADirectoryBringsTheAttributesIfTheServerSaysSo) {
    needs_fusewb();
    for (bool automatic : {true, false}) {
        RawServer server({.init_flags = FUSE_DO_READDIRPLUS |
                                        (automatic ? std::uint64_t(FUSE_READDIRPLUS_AUTO) : 0),
                          .name = automatic ? "auto" : "always"});
        auto list = [&](const Request &request, bool plus) {
            auto in = request.as<fuse_read_in>();
            std::string out;
            // Two names an answer.
            for (std::uint64_t i = in.offset; i < std::min<std::uint64_t>(in.offset + 2, 8); i++) {
                fuse_direntplus entry{};
                entry.entry_out.nodeid = 100 + i;
                entry.entry_out.generation = 1;
                entry.entry_out.attr_valid = entry.entry_out.entry_valid = 3600;
                entry.entry_out.attr = file_attributes(100 + i, 5, 0);
                entry.dirent.ino = 100 + i;
                entry.dirent.off = i + 1;
                entry.dirent.namelen = 2;
                entry.dirent.type = DT_REG;
                std::string name{'n', static_cast<char>('0' + i)};
                auto whole = bytes_of(entry);
                auto part = plus ? whole : whole.substr(offsetof(fuse_direntplus, dirent));
                std::size_t at = out.size();
                out += part;
                out += name;
                out.resize(at + FUSE_DIRENT_ALIGN(out.size() - at));
            }
            server.answer(request, out);
            return true;
        };
        server.on(FUSE_READDIR, [&](const Request &request) { return list(request, false); });
        server.on(FUSE_READDIRPLUS, [&](const Request &request) { return list(request, true); });
        EXPECT_EQ(std::distance(fs::directory_iterator(server.mnt()), {}), 8);
        EXPECT_GE(server.seen(FUSE_READDIRPLUS), 1u);
        // Nobody looked at what the first answer brought.
        EXPECT_EQ(server.seen(FUSE_READDIR) > 0, automatic);
        std::size_t lookups = server.seen(FUSE_LOOKUP);
        struct stat st;
        ASSERT_EQ(stat(server.mnt("n0").c_str(), &st), 0);
        ASSERT_EQ(stat(server.mnt("n1").c_str(), &st), 0);
        EXPECT_EQ(st.st_size, 5);
        EXPECT_EQ(server.seen(FUSE_LOOKUP), lookups) << "asked for what was known";
    }
}

GUEST_TEST(Negotiated, RequestsAreAsLargeAsTheServerTakes) {
    needs_fusewb();
    for (std::uint32_t most : {4096u, 131072u, 1048576u, 4194304u}) {
        RawServer server({.max_write = most, .name = std::to_string(most)});
        lift_dirty_limit(server.mnt());
        std::atomic<std::uint32_t> largest = 0;
        auto note = [&](std::uint32_t size) { largest = std::max(largest.load(), size); };
        server.on(FUSE_WRITE, [&](const Request &request) {
            note(request.as<fuse_write_in>().size);
            return false;
        });
        std::string data = pattern(std::max(3u << 20, 2 * most), most);
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        // What a connection may keep dirty grows with what its server answers.
        for (int i = 0; i < 4 && largest < most; i++) {
            pwrite_all(file, data, 0);
            ASSERT_EQ(fsync(file), 0);
        }
        EXPECT_EQ(largest, most);
        EXPECT_EQ(difference(data, server.content("f")), "");
    }
}

GUEST_TEST(Negotiated, ASecondDescriptorOfTheDeviceServesTheSameMount) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    ASSERT_TRUE(wait_until(10s, [&] { return server.offered() != 0; }));
    Fd clone = open_device();
    std::uint32_t original = static_cast<std::uint32_t>(server.device());
    ASSERT_EQ(ioctl(clone, FUSE_DEV_IOC_CLONE, &original), 0) << errno;
    EXPECT_EQ(ioctl(clone, FUSE_DEV_IOC_CLONE, &original), -1) << "cloned twice";
    server.pause();
    Task reader("stat", [&] {
        struct stat st;
        return stat(server.mnt("f").c_str(), &st) ? errno : 0;
    });
    // The request is read, and has to be answered, here.
    std::string buffer(1 << 20, '\0');
    ssize_t n = read(clone, buffer.data(), buffer.size());
    ASSERT_GT(n, ssize_t(sizeof(fuse_in_header))) << errno;
    fuse_in_header header;
    std::memcpy(&header, buffer.data(), sizeof(header));
    EXPECT_EQ(header.opcode, unsigned(FUSE_LOOKUP));
    struct {
        fuse_out_header header;
        fuse_entry_out entry;
    } out{};
    out.header = {sizeof(out), 0, header.unique};
    out.entry.nodeid = 100;
    out.entry.attr_valid = 3600;
    out.entry.attr = file_attributes(100, 7, 0);
    EXPECT_EQ(write(clone, &out, sizeof(out)), ssize_t(sizeof(out))) << errno;
    EXPECT_TRUE(reader.ends_within(20s)) << reader.where();
    EXPECT_EQ(reader.status(), 0);
    server.resume();
}
