// SPDX-License-Identifier: GPL-2.0-only
// A change whose task was killed is still with the server, which may carry it out at any time. What
// others were told before that is not believed after it, however long it was to be valid.
#include <atomic>
#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

int outcome(int result) { return result < 0 ? errno : 0; }

int stat_error(const std::filesystem::path &path) {
    struct stat st;
    return outcome(stat(path.c_str(), &st));
}

struct stat attributes(const std::filesystem::path &path) {
    struct stat st;
    check(stat(path.c_str(), &st), path);
    return st;
}

// Leaves the request of a killed task with the server.
void abandon(RawServer &server, std::uint32_t opcode, const std::function<int()> &change) {
    server.hold(opcode);
    Task task("change", change);
    ASSERT_TRUE(server.wait_held(opcode, 1)) << task.where();
    ASSERT_TRUE(task.kill_within(20s)) << task.where();
}

// That a name is absent is valid as long as anything else.
void answer_absent_names(RawServer &server) {
    server.on(FUSE_LOOKUP, [&server](const Request &request) {
        if (server.names().contains(request.name(0)))
            return false;
        fuse_entry_out out{};
        out.entry_valid = 3600;
        server.answer(request, bytes_of(out));
        return true;
    });
}

void expect_cached(RawServer &server, const char *name, int error) {
    EXPECT_EQ(stat_error(server.mnt(name)), error) << name;
    std::size_t lookups = server.seen(FUSE_LOOKUP);
    EXPECT_EQ(stat_error(server.mnt(name)), error) << name;
    EXPECT_EQ(server.seen(FUSE_LOOKUP), lookups) << name << " is not believed in at all";
}

void expect_soon(RawServer &server, const char *name, int error) {
    EXPECT_TRUE(wait_until(10s, [&] { return stat_error(server.mnt(name)) == error; }))
        << name << ": " << stat_error(server.mnt(name));
}

// What the tests of attributes change, of every file.
struct Told {
    std::atomic<unsigned> links = 2;

    fuse_attr_out of(const Request &request) const {
        fuse_attr_out out{};
        out.attr_valid = 3600;
        out.attr = request.header.nodeid == FUSE_ROOT_ID
                       ? protocol::directory_attributes(FUSE_ROOT_ID)
                       : protocol::file_attributes(request.header.nodeid, 7);
        out.attr.nlink = links;
        return out;
    }
};

} // namespace

GUEST_TEST(Late, WhatCannotBeIsCountedAndTheRootIsNotForgotten) {
    needs_fusewb();
    RawServer server;
    std::atomic<unsigned> roots = 0;
    for (std::uint32_t opcode : {FUSE_FORGET, FUSE_BATCH_FORGET})
        server.on(opcode, [&](const Request &request) {
            for (const auto &one : forgotten_by(request))
                roots += one.nodeid == FUSE_ROOT_ID;
            return false;
        });
    abandon(server, FUSE_MKDIR,
            [&] { return outcome(mkdir(server.mnt("d").c_str(), 0700)); });
    std::uint64_t malformed = server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    fuse_entry_out out{};
    out.nodeid = FUSE_ROOT_ID;
    out.attr = protocol::directory_attributes(FUSE_ROOT_ID);
    for (const Request &request : server.lose(FUSE_MKDIR))
        EXPECT_EQ(server.answer(request, bytes_of(out)), 0);
    EXPECT_TRUE(wait_until(10s, [&] {
        return server.connection()[FUSEWB_A_COUNTER_MALFORMED] > malformed;
    }));
    // Of FORGETs and others every second one is read first.
    for (const char *name : {"a", "b", "c"})
        EXPECT_EQ(stat_error(server.mnt(name)), ENOENT);
    EXPECT_EQ(roots, 0u);
}

GUEST_TEST(Late, ARemovedNameIsGone) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    abandon(server, FUSE_UNLINK, [&] { return outcome(unlink(server.mnt("f").c_str())); });
    expect_cached(server, "f", 0);
    server.release(FUSE_UNLINK);
    expect_soon(server, "f", ENOENT);
}

GUEST_TEST(Late, ARenamedFileIsWhereItWasMoved) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    answer_absent_names(server);
    abandon(server, FUSE_RENAME,
            [&] { return outcome(rename(server.mnt("f").c_str(), server.mnt("g").c_str())); });
    expect_cached(server, "f", 0);
    expect_cached(server, "g", ENOENT);
    server.release(FUSE_RENAME);
    expect_soon(server, "g", 0);
    expect_soon(server, "f", ENOENT);
}

GUEST_TEST(Late, AMadeNameIsThere) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    answer_absent_names(server);
    struct {
        const char *name;
        std::uint32_t opcode;
        std::function<int(const char *)> make;
    } ways[] = {
        {"mkdir", FUSE_MKDIR, [](const char *path) { return mkdir(path, 0755); }},
        {"mknod", FUSE_MKNOD, [](const char *path) { return mknod(path, S_IFIFO | 0600, 0); }},
        {"symlink", FUSE_SYMLINK, [](const char *path) { return symlink("f", path); }},
        {"link", FUSE_LINK, [&](const char *path) { return link(server.mnt("f").c_str(), path); }},
        {"create", FUSE_CREATE, [](const char *path) { return open(path, O_CREAT, 0600); }},
    };
    for (const auto &way : ways) {
        abandon(server, way.opcode,
                [&] { return outcome(way.make(server.mnt(way.name).c_str())); });
        expect_cached(server, way.name, ENOENT);
        server.set_content(way.name, "");
        // Even an error does not say that nothing was done.
        server.refuse_held(way.opcode, EINTR);
        expect_soon(server, way.name, 0);
    }
}

GUEST_TEST(Late, AModeIsAsItWasChanged) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    abandon(server, FUSE_SETATTR, [&] { return outcome(chmod(server.mnt("f").c_str(), 0600)); });
    EXPECT_EQ(attributes(server.mnt("f")).st_mode & 07777, 0644u);
    server.release(FUSE_SETATTR);
    EXPECT_TRUE(
        wait_until(10s, [&] { return (attributes(server.mnt("f")).st_mode & 07777) == 0600; }));
}

GUEST_TEST(Late, TheLinksOfAFileAndItsDirectoryAreCountedAgain) {
    needs_fusewb();
    RawServer server;
    Told told;
    server.set_content("f", "content");
    server.on(FUSE_GETATTR, [&](const Request &request) {
        server.answer(request, bytes_of(told.of(request)));
        return true;
    });
    Fd file(server.mnt("f"), O_RDONLY);
    auto links = [&](const char *which) {
        struct stat st;
        check(*which ? fstat(file, &st) : stat(server.mnt().c_str(), &st), "stat");
        return st.st_nlink;
    };
    abandon(server, FUSE_UNLINK, [&] { return outcome(unlink(server.mnt("f").c_str())); });
    for (const char *which : {"", "f"})
        EXPECT_EQ(links(which), 2u);
    told.links = 1;
    for (const char *which : {"", "f"})
        EXPECT_EQ(links(which), 2u) << "they are not believed in at all";
    server.release(FUSE_UNLINK);
    for (const char *which : {"", "f"})
        EXPECT_TRUE(wait_until(10s, [&] { return links(which) == 1; })) << which;
}

GUEST_TEST(Late, AnswersThatAreOfBeforeAreNotBelieved) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    Told told;
    fuse_entry_out entry{};
    entry.nodeid = server.node_of("f");
    entry.generation = 1;
    entry.entry_valid = entry.attr_valid = 3600;
    entry.attr = protocol::file_attributes(entry.nodeid, 7);
    // In the server's one thread: it looked, and does the other before it answers.
    server.on(FUSE_GETATTR, [&](const Request &request) {
        server.release(FUSE_SETATTR);
        server.answer(request, bytes_of(told.of(request)));
        return true;
    });
    abandon(server, FUSE_SETATTR, [&] { return outcome(chmod(server.mnt("f").c_str(), 0600)); });
    EXPECT_EQ(attributes(server.mnt("f")).st_mode & 07777, 0644u);
    server.on(FUSE_GETATTR, [](const Request &) { return false; });
    EXPECT_EQ(attributes(server.mnt("f")).st_mode & 07777, 0600u);

    abandon(server, FUSE_UNLINK, [&] { return outcome(unlink(server.mnt("f").c_str())); });
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        server.release(FUSE_UNLINK);
        server.answer(request, bytes_of(entry));
        return true;
    });
    EXPECT_EQ(stat_error(server.mnt("f")), 0);
    server.on(FUSE_LOOKUP, [](const Request &) { return false; });
    EXPECT_EQ(stat_error(server.mnt("f")), ENOENT);
}
