// SPDX-License-Identifier: GPL-2.0-only
// Who changes a file takes its set-user-ID bits and capabilities away: the kernel, or the server if
// it says so.
#include <atomic>
#include <cerrno>
#include <functional>
#include <string>
#include <tuple>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/capability.h"
#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

GUEST_TEST(Killpriv, TheServerTakesSetUserIdBitsAwayIfItSaysSo) {
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

GUEST_TEST(Killpriv, TheFirstVersionLeavesTheBitsToTheServerToo) {
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

namespace {

int allocate(const std::filesystem::path &path) {
    Fd file(path, O_WRONLY);
    return fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 1);
}

// From the file beside it.
int copy_into(const std::filesystem::path &path) {
    Fd from(path.parent_path() / "g", O_RDONLY), file(path, O_WRONLY);
    return copy_file_range(from, nullptr, file, nullptr, 1, 0) == 1 ? 0 : -1;
}

// What nobody, whose file it is, does to one with set-user-ID bits.
struct Change {
    const char *what;
    std::function<int(const std::filesystem::path &)> act;
    std::uint64_t flags = 0; // of FUSE_INIT
    bool writes = false;     // which the writeback cache does later
    bool tells = true;       // the request can say that the server is to take them away
};

const Change changes[] = {
    {"truncate", [](const auto &path) { return truncate(path.c_str(), 3); }},
    {"open with O_TRUNC", [](const auto &path) { return open(path.c_str(), O_WRONLY | O_TRUNC); }},
    {"open that truncates by itself",
     [](const auto &path) { return open(path.c_str(), O_WRONLY | O_TRUNC); }, FUSE_ATOMIC_O_TRUNC},
    {"chown", [](const auto &path) { return chown(path.c_str(), 65534, 65534); }},
    {"write",
     [](const auto &path) {
         Fd file(path, O_WRONLY);
         return pwrite(file, "x", 1, 0) == 1 ? 0 : -1;
     },
     0, true},
    {"fallocate", allocate, 0, true, false},
    {"copy_file_range", copy_into, 0, true, false},
};

// A server that can allocate and copy, and says that it did.
void serve_ranges(RawServer &server) {
    server.on(FUSE_FALLOCATE, [&](const Request &request) {
        server.answer(request, {});
        return true;
    });
    server.on(FUSE_COPY_FILE_RANGE, [&](const Request &request) {
        auto in = request.as<fuse_copy_file_range_in>();
        server.answer(request, bytes_of(fuse_write_out{static_cast<std::uint32_t>(in.len), 0}));
        return true;
    });
}

// Return: did a SETATTR have a mode without the bits, and did one, an OPEN or a WRITE ask the
// server to take them away?
std::pair<bool, bool> who_takes_them(const Client &client, const Change &change,
                                     std::uint64_t flags, bool writeback, const std::string &name) {
    RawServer server({.writeback = writeback,
                      .mount_options = "allow_other",
                      .init_flags = flags,
                      .name = name,
                      .type = client.type});
    server.set_content("f", "content");
    server.set_content("g", "content");
    serve_ranges(server);
    check(chown(server.mnt("f").c_str(), 65534, 65534), "chown");
    check(chmod(server.mnt("f").c_str(), 06777), "chmod");
    std::atomic<bool> kernel = false, asked = false;
    server.on(FUSE_SETATTR, [&](const Request &request) {
        auto in = request.as<fuse_setattr_in>();
        if (in.valid & FATTR_MODE && !(in.mode & 06000))
            kernel = true;
        if (in.valid & FATTR_KILL_SUIDGID)
            asked = true;
        return false;
    });
    server.on(FUSE_OPEN, [&](const Request &request) {
        if (request.as<fuse_open_in>().open_flags & FUSE_OPEN_KILL_SUIDGID)
            asked = true;
        return false;
    });
    server.on(FUSE_WRITE, [&](const Request &request) {
        if (request.as<fuse_write_in>().write_flags & FUSE_WRITE_KILL_SUIDGID)
            asked = true;
        return false;
    });
    Task task(change.what, [&] {
        become_nobody();
        return change.act(server.mnt("f")) < 0 ? errno : 0;
    });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
    return {kernel, asked};
}

} // namespace

ON_CLIENTS(KillprivWork, "fusewb", "fuse");

CLIENT_TEST(KillprivWork, IsTheKernelsUnlessTheServerSaysOtherwise) {
    int number = 0;
    for (const auto &change : changes)
        for (bool writeback : {true, false}) {
            SCOPED_TRACE(std::string(change.what) + (writeback ? ", writeback" : ""));
            auto taken = [&](std::uint64_t flags) {
                return who_takes_them(client, change, flags | change.flags, writeback,
                                      std::to_string(number++));
            };
            // What is written to the cache reaches the server too late. In-tree it is written
            // through instead, or left to the server all the same.
            bool cached = writeback && change.writes && client.ours();
            // And nobody takes them away when an open truncates, if the server does not by itself.
            bool nobody = change.flags & FUSE_ATOMIC_O_TRUNC && !client.ours();
            EXPECT_EQ(taken(0), std::pair(!nobody, false));
            EXPECT_EQ(taken(FUSE_HANDLE_KILLPRIV), std::pair(cached, false));
            EXPECT_EQ(taken(FUSE_HANDLE_KILLPRIV_V2), std::pair(cached, !cached && change.tells));
        }
}

CLIENT_TEST(KillprivWork, CapabilitiesGoBeforeARangeIsAllocatedOrCopied) {
    for (bool writeback : {true, false})
        for (auto [what, opcode, act] :
             {std::tuple("fallocate", FUSE_FALLOCATE, &allocate),
              std::tuple("copy_file_range", FUSE_COPY_FILE_RANGE, &copy_into)}) {
            SCOPED_TRACE(std::string(what) + (writeback ? ", writeback" : ""));
            RawServer server({.writeback = writeback,
                              .name = std::string(what) + (writeback ? "1" : "0"),
                              .type = client.type});
            server.set_content("f", "content");
            server.set_content("g", "content");
            serve_ranges(server);
            std::atomic<bool> capable = true;
            serve_capability(server, capable, server.node_of("f"));
            std::size_t ranges_before = 1;
            server.on(FUSE_REMOVEXATTR, [&](const Request &request) {
                EXPECT_EQ(request.name(0), "security.capability");
                ranges_before = server.seen(opcode);
                capable = false;
                server.answer(request, {});
                return true;
            });
            EXPECT_EQ(act(server.mnt("f")), 0) << errno;
            EXPECT_EQ(server.seen(FUSE_REMOVEXATTR), 1u);
            EXPECT_EQ(ranges_before, 0u) << "the server did it with them";
            EXPECT_EQ(server.seen(opcode), 1u);
        }
}
