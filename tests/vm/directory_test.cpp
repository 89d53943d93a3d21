// SPDX-License-Identifier: GPL-2.0-only
// Directories: what a listing brings beside the names, and what may be asked of one at a time.
#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

// One name in an answer to READDIRPLUS, or to READDIR if not @plus: a node, the place after it, and
// attributes that are believed.
std::string listed(const std::string &name, std::uint64_t node, std::uint64_t next,
                   const fuse_attr &attr, bool plus = true) {
    fuse_direntplus entry{};
    entry.entry_out.nodeid = node;
    entry.entry_out.generation = 1;
    entry.entry_out.attr_valid = entry.entry_out.entry_valid = 3600;
    entry.entry_out.attr = attr;
    entry.dirent.ino = node;
    entry.dirent.off = next;
    entry.dirent.namelen = static_cast<std::uint32_t>(name.size());
    entry.dirent.type = DT_REG;
    auto whole = bytes_of(entry);
    std::string out(plus ? whole : whole.substr(offsetof(fuse_direntplus, dirent)));
    out += name;
    out.resize(FUSE_DIRENT_ALIGN(out.size()));
    return out;
}

} // namespace

GUEST_TEST(Directory, EntriesOfAListingCountLookupsButForTheDirectoryAndItsParent) {
    needs_fusewb();
    std::mutex mutex;
    std::multiset<std::uint64_t> forgotten;
    RawServer server({.init_flags = FUSE_DO_READDIRPLUS});
    for (std::uint32_t opcode : {FUSE_FORGET, FUSE_BATCH_FORGET})
        server.on(opcode, [&](const Request &request) {
            std::lock_guard lock(mutex);
            for (const auto &one : forgotten_by(request))
                forgotten.insert(one.nodeid);
            return false;
        });
    server.on(FUSE_READDIRPLUS, [&](const Request &request) {
        std::string out;
        std::uint64_t node = 100;
        // The second to last cannot be: a file of no type. The last ends the listing.
        for (std::string name : {".", "..", "typeless", "a/b"}) {
            std::uint64_t number = node++;
            fuse_attr attr = protocol::file_attributes(number + 1, 5);
            if (name == "typeless")
                attr.mode = 0;
            if (number - 99 > request.as<fuse_read_in>().offset)
                out += listed(name, number, number - 99, attr);
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

GUEST_TEST(Directory, ListingBringsTheAttributesIfTheServerSaysSo) {
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
                std::string name{'n', static_cast<char>('0' + i)};
                out += listed(name, 100 + i, i + 1, protocol::file_attributes(100 + i, 5), plus);
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

namespace {

RawServer::Options of_one_or_many(bool parallel, std::string type = {}) {
    return {.init_flags = parallel ? std::uint64_t(FUSE_PARALLEL_DIROPS) : 0,
            .name = parallel ? "parallel" : "serial",
            .type = std::move(type)};
}

// Both work in a directory, of which the server has one at a time unless they are parallel.
void expect_side_by_side(RawServer &server, bool parallel, std::uint32_t opcode,
                         std::function<int()> work, std::function<int()> more, int status) {
    server.hold(opcode);
    Task one("one", std::move(work)), other("other", std::move(more));
    ASSERT_TRUE(server.wait_held(opcode, parallel ? 2 : 1));
    EXPECT_FALSE(wait_until(300ms, [&] { return server.held(opcode) > (parallel ? 2u : 1u); }));
    server.release(opcode);
    for (Task *task : {&one, &other}) {
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(task->status(), status);
    }
}

} // namespace

GUEST_TEST(Directory, LookupsRunSideBySideIfTheServerSaysSo) {
    needs_fusewb();
    for (bool parallel : {true, false}) {
        RawServer server(of_one_or_many(parallel));
        auto look = [&](const char *name) {
            return [&server, name] { return access(server.mnt(name).c_str(), F_OK) ? errno : 0; };
        };
        expect_side_by_side(server, parallel, FUSE_LOOKUP, look("one"), look("other"), ENOENT);
    }
}

ON_CLIENTS(DirectoryListing, "fusewb", "fuse");

CLIENT_TEST(DirectoryListing, RunsBesideAnotherIfTheServerSaysSo) {
    for (bool parallel : {true, false}) {
        RawServer server(of_one_or_many(parallel, client.type));
        server.set_content("f", "");
        auto list = [&] {
            return std::distance(fs::directory_iterator(server.mnt()), {}) == 1 ? 0 : ENOENT;
        };
        expect_side_by_side(server, parallel, FUSE_READDIR, list, list, 0);
    }
}

// Two names an answer: 'P' for each READDIRPLUS, 'd' for each READDIR.
CLIENT_TEST(DirectoryListing, BringsTheAttributesAgainOnceANameWasLookedUp) {
    RawServer server(
        {.init_flags = FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO, .type = client.type});
    std::mutex mutex;
    std::string asked;
    auto list = [&](const Request &request, bool plus) {
        auto in = request.as<fuse_read_in>();
        std::string out;
        for (std::uint64_t i = in.offset; i < std::min<std::uint64_t>(in.offset + 2, 12); i++)
            out += listed({'n', static_cast<char>('a' + i)}, 100 + i, i + 1,
                          protocol::file_attributes(100 + i, 5), plus);
        std::lock_guard lock(mutex);
        asked += plus ? 'P' : 'd';
        server.answer(request, out);
        return true;
    };
    server.on(FUSE_READDIR, [&](const Request &request) { return list(request, false); });
    server.on(FUSE_READDIRPLUS, [&](const Request &request) { return list(request, true); });
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = 100u + static_cast<unsigned>(request.name(0)[1] - 'a');
        out.generation = 1;
        out.attr_valid = out.entry_valid = 3600;
        out.attr = protocol::file_attributes(out.nodeid, 5);
        server.answer(request, bytes_of(out));
        return true;
    });
    DIR *directory = opendir(server.mnt().c_str());
    ASSERT_NE(directory, nullptr);
    auto expect_two = [&](char first, const std::string &how) {
        for (char letter : {first, char(first + 1)}) {
            struct dirent *entry = readdir(directory);
            ASSERT_NE(entry, nullptr) << letter;
            EXPECT_EQ(entry->d_name, (std::string{'n', letter}));
        }
        std::lock_guard lock(mutex);
        EXPECT_EQ(asked, how) << "at " << first;
        asked.clear();
    };
    auto look = [&](const char *name) {
        struct stat st;
        EXPECT_EQ(stat(server.mnt(name).c_str(), &st), 0) << name;
    };
    expect_two('a', "P");
    expect_two('c', "d");
    look("nc");
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 1u);
    expect_two('e', "P");
    expect_two('g', "d");
    expect_two('i', "d");
    rewinddir(directory);
    expect_two('a', "P");
    expect_two('c', "d");
    look("ni");
    // What was looked up counts for the beginning, too, and for nothing after that.
    rewinddir(directory);
    expect_two('a', "P");
    expect_two('c', "d");
    // To use what was brought is a look at a name too, if nobody is asked for it: once.
    rewinddir(directory);
    expect_two('a', "P");
    look("na");
    expect_two('c', "P");
    look("na");
    expect_two('e', "d");
    closedir(directory);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 2u);
}

ON_CLIENTS(DirectorySync, "fusewb", "fuse");

CLIENT_TEST(DirectorySync, IsSentWithTheHandleAndItsErrorTold) {
    RawServer server({.type = client.type});
    server.on(FUSE_OPENDIR, [&](const Request &request) {
        fuse_open_out out{};
        out.fh = 4711;
        server.answer(request, bytes_of(out));
        return true;
    });
    fuse_fsync_in in{};
    int error = 0;
    server.on(FUSE_FSYNCDIR, [&](const Request &request) {
        in = request.as<fuse_fsync_in>();
        server.answer_error(request, error);
        return true;
    });
    Fd directory(server.mnt(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(fsync(directory), 0);
    EXPECT_EQ(in.fh, 4711u);
    EXPECT_EQ(in.fsync_flags & FUSE_FSYNC_FDATASYNC, 0u);
    EXPECT_EQ(fdatasync(directory), 0);
    EXPECT_EQ(in.fsync_flags & FUSE_FSYNC_FDATASYNC, unsigned(FUSE_FSYNC_FDATASYNC));
    error = EIO;
    EXPECT_EQ(fsync(directory), -1);
    EXPECT_EQ(errno, EIO);
    EXPECT_EQ(server.seen(FUSE_FSYNCDIR), 3u);
    EXPECT_EQ(server.seen(FUSE_FSYNC), 0u);
}

// To enter a name of READDIRPLUS is to wait for who looks it up, and he waits for his turn to ask.
CLIENT_TEST(DirectoryListing, EndsThoughOneOfItsNamesIsLookedUpMeanwhile) {
    RawServer server({.init_flags = FUSE_DO_READDIRPLUS, .type = client.type});
    server.set_content("f", "12345");
    std::uint64_t node = server.node_of("f");
    std::mutex mutex;
    std::optional<Request> asked;
    server.on(FUSE_READDIRPLUS, [&](const Request &request) {
        if (request.as<fuse_read_in>().offset) {
            server.answer(request, {});
            return true;
        }
        std::lock_guard lock(mutex);
        asked = request;
        return true;
    });
    Task listing("listing", [&] {
        return std::distance(fs::directory_iterator(server.mnt()), {}) == 1 ? 0 : ENOENT;
    });
    ASSERT_TRUE(wait_until(20s, [&] {
        std::lock_guard lock(mutex);
        return asked.has_value();
    }));
    // The last to be made, the first to be killed, which lets the other one go.
    Task lookup("lookup", [&] { return access(server.mnt("f").c_str(), F_OK) ? errno : 0; });
    EXPECT_FALSE(lookup.ends_within(300ms));
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 0u) << "beside a listing";
    server.answer(*asked, listed("f", node, 1, protocol::file_attributes(node, 5)));
    for (Task *task : {&listing, &lookup}) {
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(task->status(), 0);
    }
}
