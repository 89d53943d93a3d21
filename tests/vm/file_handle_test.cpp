// SPDX-License-Identifier: GPL-2.0-only
// What name_to_handle_at(2) gives is opened again by the number of the node alone, for those
// servers that find it by that.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>

#include <dirent.h>
#include <fcntl.h>
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
    explicit Handle(const fs::path &path, int flags = 0) {
        errno = make(path, flags);
        check(errno ? -1 : 0, "name_to_handle_at " + path.string());
    }
    Handle() = default;
    // Return: 0 or errno.
    int make(const fs::path &path, int flags = 0) {
        int mount_id;
        handle()->handle_bytes = MAX_HANDLE_SZ;
        return name_to_handle_at(AT_FDCWD, path.c_str(), handle(), &mount_id, flags) ? errno : 0;
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
    std::uint64_t malformed = server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    // open_by_handle_at(2) has no other error for it.
    EXPECT_EQ(handle.open_at(directory), -ESTALE);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], malformed + 1);
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

namespace {

// Of name_to_handle_at(2): the handle names the directory too.
constexpr int connectable = 0x002;

// d, e in it, and a file x in that: what RawServer has no directories for.
class Tree {
public:
    explicit Tree(RawServer &server) : server_(server) {
        server.on(FUSE_LOOKUP, [this](const Request &request) {
            look_up(request);
            return true;
        });
        server.on(FUSE_GETATTR, [this](const Request &request) {
            fuse_attr_out out{};
            out.attr = attributes(request.header.nodeid);
            server_.answer(request, bytes_of(out));
            return true;
        });
        for (std::uint32_t opcode : {FUSE_OPEN, FUSE_OPENDIR})
            server.on(opcode, [this](const Request &request) {
                server_.answer(request, bytes_of(fuse_open_out{}));
                return true;
            });
        server.on(FUSE_READDIR, [this](const Request &request) {
            list(request);
            return true;
        });
        server.on(FUSE_BATCH_FORGET, [this](const Request &request) {
            forgotten_ += request.as<fuse_batch_forget_in>().count;
            return false;
        });
    }
    // The kernel gives all of them back.
    void forget() {
        std::size_t before = forgotten_;
        write_setting("/proc/sys/vm/drop_caches", "2");
        struct {
            std::uint32_t count = 3;
            std::uint32_t padding = 0;
            std::uint64_t spare = 0;
            std::uint64_t nodes[3] = {file, inner, outer};
        } out;
        EXPECT_TRUE(wait_until(10s, [&] {
            server_.notify(protocol::notify_prune, bytes_of(out));
            return forgotten_ >= before + 3;
        })) << "still cached";
    }
    // What the server says is above d.
    std::uint64_t above_outer = FUSE_ROOT_ID;
    static constexpr std::uint64_t outer = 50, inner = 51, file = 52;

private:
    static fuse_attr attributes(std::uint64_t node) {
        return node == file ? protocol::file_attributes(node, 0)
                            : protocol::directory_attributes(node);
    }
    void look_up(const Request &request) {
        static const std::map<std::pair<std::uint64_t, std::string>, std::uint64_t> names{
            {{FUSE_ROOT_ID, "d"}, outer}, {{outer, "e"}, inner}, {{inner, "x"}, file},
            {{inner, ".."}, outer},       {{file, ".."}, inner},
        };
        fuse_entry_out out{};
        auto found = names.find({request.header.nodeid, request.name(0)});
        if (request.name(0) == ".")
            out.nodeid = request.header.nodeid;
        else if (request.header.nodeid == outer && request.name(0) == "..")
            out.nodeid = above_outer;
        else if (found != names.end())
            out.nodeid = found->second;
        if (!out.nodeid) {
            server_.answer_error(request, ENOENT);
            return;
        }
        out.generation = out.nodeid == FUSE_ROOT_ID ? 0 : 1;
        out.attr_valid = out.entry_valid = 3600;
        out.attr = attributes(out.nodeid);
        server_.answer(request, bytes_of(out));
    }
    void list(const Request &request) {
        std::uint64_t node = request.header.nodeid == FUSE_ROOT_ID ? std::uint64_t(outer)
                                                                   : request.header.nodeid + 1;
        const char *name = node == outer ? "d" : node == inner ? "e" : "x";
        fuse_dirent entry{node, 1, 1, node == file ? unsigned(DT_REG) : unsigned(DT_DIR)};
        std::string out(reinterpret_cast<const char *>(&entry), FUSE_NAME_OFFSET);
        out += name;
        out.resize(FUSE_DIRENT_ALIGN(out.size()));
        server_.answer(request, request.as<fuse_read_in>().offset ? std::string() : out);
    }

    RawServer &server_;
    std::atomic<std::size_t> forgotten_ = 0;
};

// The handle of d/e, while all of the tree is known.
struct KnownDirectory {
    KnownDirectory() {
        struct stat st;
        check(stat(server.mnt("d/e/x").c_str(), &st), "stat");
    }
    RawServer server{{.init_flags = FUSE_EXPORT_SUPPORT}};
    Tree tree{server};
    Handle handle{server.mnt("d/e")};
    Fd root{server.mnt(), O_RDONLY | O_DIRECTORY};
};

} // namespace

GUEST_TEST(FileHandle, OfADirectoryLeadsToItsPlaceInTheTree) {
    needs_fusewb();
    KnownDirectory known;
    struct stat st;
    for (bool cached : {true, false}) {
        if (!cached)
            known.tree.forget();
        Fd directory(known.handle.open_at(known.root));
        ASSERT_GE(directory, 0) << "cached " << cached << ", " << directory;
        EXPECT_EQ(path_of(directory), known.server.mnt("d/e"));
        ASSERT_EQ(fstat(directory, &st), 0);
        EXPECT_EQ(st.st_ino, Tree::inner);
        EXPECT_EQ(fstatat(directory, "../../d/e/x", &st, 0), 0);
    }
}

GUEST_TEST(FileHandle, ThatNamesTheDirectoryLeadsToTheNameOfAFile) {
    needs_fusewb();
    RawServer server({.init_flags = FUSE_EXPORT_SUPPORT});
    Tree tree(server);
    Handle alone(server.mnt("d/e/x")), with_directory;
    Fd root(server.mnt(), O_RDONLY | O_DIRECTORY);
    int error = with_directory.make(server.mnt("d/e/x"), connectable);
    if (error == EINVAL)
        throw Skip("this kernel has no AT_HANDLE_CONNECTABLE");
    ASSERT_EQ(error, 0);
    tree.forget();
    {
        Fd file(alone.open_at(root));
        ASSERT_GE(file, 0) << file;
        EXPECT_NE(path_of(file), server.mnt("d/e/x")) << "found without being told where";
    }
    Fd file(with_directory.open_at(root));
    ASSERT_GE(file, 0) << file;
    EXPECT_EQ(path_of(file), server.mnt("d/e/x"));
}

GUEST_TEST(FileHandle, OfADirectoryBelowItselfIsStale) {
    needs_fusewb();
    KnownDirectory known;
    known.tree.forget();
    for (std::uint64_t above : {Tree::inner, Tree::outer, Tree::file}) {
        known.tree.above_outer = above;
        Task task("open by handle", [&] { return std::max(0, -known.handle.open_at(known.root)); });
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
        EXPECT_EQ(task.status(), ESTALE) << above;
    }
}

GUEST_TEST(FileHandle, IsNotMadeForAServerThatSaysSo) {
    needs_fusewb();
    RawServer other({.name = "other"});
    other.set_content("f", "content");
    Handle foreign(other.mnt("f")), handle;
    RawServer server({.init_flags = protocol::no_export_support, .name = "none"});
    server.set_content("f", "content");
    EXPECT_EQ(read_file(server.mnt("f")), "content");
    EXPECT_EQ(handle.make(server.mnt("f")), EOPNOTSUPP);
    Fd root(server.mnt(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(foreign.open_at(root), -ESTALE);
}
