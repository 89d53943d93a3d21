// SPDX-License-Identifier: GPL-2.0-only
// An answer that cannot be gives EIO, is counted, and the kernel log names the operation.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"

using namespace fusewb::test;

namespace {

// What the kernel logs from now on.
class KernelLog {
public:
    KernelLog() : kmsg_("/dev/kmsg", O_RDONLY | O_NONBLOCK) {
        check(lseek(kmsg_, 0, SEEK_END), "seek in /dev/kmsg");
    }
    // A line that another processor is still writing holds back those behind it.
    bool says(const std::string &text) {
        return wait_until(10s, [&] { return lines_with(text) > 0; });
    }
    // Since the last look.
    std::size_t lines_with(const std::string &text) {
        std::size_t count = 0;
        char line[8192];
        for (;;) {
            ssize_t n = read(kmsg_, line, sizeof(line));
            if (n < 0 && errno == EPIPE)
                continue;
            if (n <= 0)
                return count;
            count += std::string_view(line, static_cast<std::size_t>(n)).find(text) !=
                     std::string_view::npos;
        }
    }

private:
    Fd kmsg_;
};

fuse_entry_out entry_of(std::uint64_t node, std::uint32_t mode) {
    fuse_entry_out out{};
    out.nodeid = node;
    out.generation = 1;
    out.attr.ino = node;
    out.attr.mode = mode;
    out.attr.nlink = 1;
    return out;
}

struct Case {
    const char *operation;
    std::uint32_t opcode;
    std::function<std::string(const Request &)> answer;
    std::function<long(RawServer &)> act; // negative with errno on failure
    int error = EIO;
    std::uint64_t init_flags = 0;
};

std::string attributes_answer(std::uint32_t mode, std::uint64_t size = 0) {
    fuse_attr_out out{};
    out.attr.ino = 2;
    out.attr.mode = mode;
    out.attr.size = size;
    return std::string(bytes_of(out));
}

std::string text_entry(const std::string &name, std::uint32_t type = DT_REG) {
    fuse_dirent entry{77, 1, static_cast<std::uint32_t>(name.size()), type};
    std::string bytes(reinterpret_cast<const char *>(&entry), FUSE_NAME_OFFSET);
    bytes += name;
    bytes.resize(FUSE_DIRENT_ALIGN(bytes.size()));
    return bytes;
}

// Makes a symbolic link of a file.
void make_link(RawServer &server, const std::string &name) {
    server.set_content(name, "");
    server.on(FUSE_LOOKUP, [&server, name](const Request &request) {
        if (request.name(0) != name)
            return false;
        server.answer(request, bytes_of(entry_of(server.node_of(name), S_IFLNK | 0777)));
        return true;
    });
}

// Directories are one of them all, whose node has this number.
void make_directories(RawServer &server, std::uint64_t node) {
    server.on(FUSE_LOOKUP, [&server, node](const Request &request) {
        if (request.name(0).starts_with("directory"))
            server.answer(request, bytes_of(entry_of(node, S_IFDIR | 0700)));
        else if (request.header.nodeid == node)
            server.answer_error(request, ENOENT);
        else
            return false;
        return true;
    });
    server.on(FUSE_OPENDIR, [&server](const Request &request) {
        server.answer(request, bytes_of(fuse_open_out{}));
        return true;
    });
    server.on(FUSE_GETATTR, [&server, node](const Request &request) {
        if (request.header.nodeid != node)
            return false;
        server.answer(request, attributes_answer(S_IFDIR | 0700));
        return true;
    });
}

// A count beyond what COPY_FILE_RANGE or the one with 64 bits asked for.
template <typename T> std::string copied_too_much(const Request &request) {
    T count{};
    count.size = static_cast<decltype(count.size)>(request.as<fuse_copy_file_range_in>().len + 1);
    return std::string(bytes_of(count));
}
// So many bytes more than were sent.
template <int more> std::string wrote(const Request &request) {
    fuse_write_out out{request.as<fuse_write_in>().size + more, 0};
    return std::string(bytes_of(out));
}
std::function<std::string(const Request &)> found(const fuse_file_lock &lock) {
    return [out = fuse_lk_out{lock}](const Request &) { return std::string(bytes_of(out)); };
}
struct CopiedOut {
    std::uint64_t size;
};

long list(const std::filesystem::path &path) {
    DIR *dir = opendir(path.c_str());
    if (!dir)
        return -1;
    errno = 0;
    while (readdir(dir))
        ;
    int error = errno;
    closedir(dir);
    errno = error;
    return error ? -1 : 0;
}

// What sends one operation each; negative with errno on failure.
long look(RawServer &server) {
    struct stat st;
    return stat(server.mnt("f").c_str(), &st);
}
long stat_open(RawServer &server) {
    Fd file(server.mnt("f"), O_RDONLY);
    struct stat st;
    return fstat(file, &st);
}
long change_mode(RawServer &server) { return chmod(server.mnt("f").c_str(), 0600); }
// The times of what was written are sent by fsync(2).
long write_and_sync(RawServer &server) {
    Fd file(server.mnt("f"), O_RDWR);
    pwrite_all(file, "x", 0);
    return fsync(file);
}
long make_file(RawServer &server) {
    return open(server.mnt("new").c_str(), O_CREAT | O_WRONLY, 0600);
}
long make_nameless(RawServer &server) {
    return open(server.mnt().c_str(), O_TMPFILE | O_RDWR, 0600);
}
long make_directory(RawServer &server) { return mkdir(server.mnt("new").c_str(), 0700); }
long make_fifo(RawServer &server) { return mknod(server.mnt("new").c_str(), S_IFIFO | 0600, 0); }
long make_symlink(RawServer &server) { return symlink("f", server.mnt("new").c_str()); }
long make_name(RawServer &server) {
    return link(server.mnt("f").c_str(), server.mnt("new").c_str());
}
long open_file(RawServer &server) { return open(server.mnt("f").c_str(), O_RDONLY); }
long list_root(RawServer &server) { return list(server.mnt()); }
long ask_space(RawServer &server) { return pathconf(server.mnt().c_str(), _PC_NAME_MAX); }
long allocate(RawServer &server) {
    Fd file(server.mnt("f"), O_RDWR);
    return fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 4096);
}
long write_cached(RawServer &server) {
    Fd file(server.mnt("f"), O_RDWR);
    pwrite_all(file, "x", 0);
    return fsync(file);
}
long write_direct(RawServer &server) {
    Fd file(server.mnt("f"), O_RDWR | O_DIRECT);
    return pwrite(file, "1234567", 7, 0);
}
long seek_data(RawServer &server) {
    Fd file(server.mnt("f"), O_RDONLY);
    return lseek(file, 1, SEEK_DATA);
}
template <int command, short type = F_WRLCK, off_t length = 0> long lock(RawServer &server) {
    Fd file(server.mnt("f"), O_RDWR);
    struct flock lock {};
    lock.l_type = type;
    lock.l_len = length;
    return fcntl(file, command, &lock);
}
long copy(RawServer &server) {
    Fd in(server.mnt("f"), O_RDONLY), out(server.mnt("copy"), O_RDWR | O_CREAT);
    return copy_file_range(in, nullptr, out, nullptr, 7, 0);
}
long ask_birth(RawServer &server) {
    struct statx stx;
    return statx(AT_FDCWD, server.mnt("f").c_str(), AT_STATX_FORCE_SYNC, STATX_BTIME, &stx);
}
// It has no error but this.
long poll_file(RawServer &server) {
    Fd file(server.mnt("f"), O_RDONLY);
    struct pollfd polled = {file, POLLIN, 0};
    if (poll(&polled, 1, 0) < 0 || !(polled.revents & POLLERR))
        return 0;
    errno = EIO;
    return -1;
}

std::vector<Case> cases() {
    auto entry = [](std::uint64_t node, std::uint32_t mode) {
        return [=](const Request &) { return std::string(bytes_of(entry_of(node, mode))); };
    };
    auto created = [](std::uint64_t node, std::uint32_t mode) {
        return [=](const Request &) {
            fuse_open_out open{};
            return std::string(bytes_of(entry_of(node, mode))) + std::string(bytes_of(open));
        };
    };
    return {
        {"FUSE_LOOKUP", FUSE_LOOKUP, entry(FUSE_ROOT_ID, S_IFREG | 0600), look},
        {"FUSE_LOOKUP", FUSE_LOOKUP, entry(2, 0600), look},
        {"FUSE_LOOKUP", FUSE_LOOKUP, [](const Request &) { return std::string("short"); }, look},
        // A directory in itself.
        {"FUSE_LOOKUP", FUSE_LOOKUP, entry(9, S_IFDIR | 0700),
         [](RawServer &server) -> long {
             struct stat st;
             return stat(server.mnt("directory/below").c_str(), &st);
         }},
        {"FUSE_GETATTR", FUSE_GETATTR,
         [](const Request &) { return attributes_answer(S_IFREG | 0600, UINT64_MAX); }, stat_open},
        {"FUSE_GETATTR", FUSE_GETATTR,
         [](const Request &) { return attributes_answer(S_IFDIR | 0700); }, stat_open, ESTALE},
        {"FUSE_SETATTR", FUSE_SETATTR, [](const Request &) { return attributes_answer(0); },
         change_mode},
        {"FUSE_SETATTR", FUSE_SETATTR, [](const Request &) { return attributes_answer(0); },
         write_and_sync},
        {"FUSE_MKDIR", FUSE_MKDIR, entry(9, S_IFREG | 0600), make_directory},
        {"FUSE_MKDIR", FUSE_MKDIR, entry(0, S_IFDIR | 0700), make_directory},
        {"FUSE_MKDIR", FUSE_MKDIR, entry(9, S_IFDIR | 0700),
         [](RawServer &server) -> long {
             make_directories(server, 9);
             return mkdir(server.mnt("directory/new").c_str(), 0700);
         }},
        {"FUSE_MKNOD", FUSE_MKNOD, entry(9, S_IFSOCK | 0600), make_fifo},
        {"FUSE_SYMLINK", FUSE_SYMLINK, entry(FUSE_ROOT_ID, S_IFLNK | 0777), make_symlink},
        {"FUSE_LINK", FUSE_LINK, entry(9, S_IFDIR | 0777), make_name},
        {"FUSE_CREATE", FUSE_CREATE, created(9, S_IFDIR | 0700), make_file},
        {"FUSE_CREATE", FUSE_CREATE, created(FUSE_ROOT_ID, S_IFREG | 0600), make_file},
        {"FUSE_TMPFILE", FUSE_TMPFILE, created(0, S_IFREG | 0600), make_nameless},
        {"FUSE_OPEN", FUSE_OPEN, [](const Request &) { return std::string("short"); }, open_file},
        {"FUSE_READDIR", FUSE_READDIR, [](const Request &) { return text_entry("a/b"); },
         list_root},
        {"FUSE_READDIR", FUSE_READDIR, [](const Request &) { return text_entry("a", 16); },
         list_root},
        {"FUSE_STATFS", FUSE_STATFS, [](const Request &) { return std::string(3, 'x'); },
         ask_space},
        {"FUSE_FALLOCATE", FUSE_FALLOCATE, [](const Request &) { return std::string("more"); },
         allocate},
        {"FUSE_WRITE", FUSE_WRITE, wrote<1>, write_cached},
        {"FUSE_WRITE", FUSE_WRITE, wrote<-1>, write_cached},
        {"FUSE_WRITE", FUSE_WRITE, wrote<1>, write_direct},
        {"FUSE_WRITE", FUSE_WRITE, wrote<-7>, write_direct},
        {"FUSE_READLINK", FUSE_READLINK, [](const Request &) { return std::string("a\0b", 3); },
         [](RawServer &server) -> long {
             make_link(server, "link");
             char target[100];
             return readlink(server.mnt("link").c_str(), target, sizeof(target));
         }},
        {"FUSE_READ", FUSE_READ,
         [](const Request &request) {
             return std::string(request.as<fuse_read_in>().size + 1, 'x');
         },
         [](RawServer &server) -> long {
             Fd file(server.mnt("f"), O_RDONLY);
             char byte;
             return read(file, &byte, 1);
         }},
        {"FUSE_IOCTL", FUSE_IOCTL,
         [](const Request &) {
             fuse_ioctl_out out{0, FUSE_IOCTL_RETRY, 1, 1};
             return std::string(bytes_of(out));
         },
         [](RawServer &server) -> long {
             Fd file(server.mnt("f"), O_RDONLY);
             std::uint32_t argument = 0;
             return ioctl(file, _IOWR('E', 1, std::uint32_t), &argument);
         }},
        {"FUSE_LSEEK", FUSE_LSEEK,
         [](const Request &) {
             fuse_lseek_out out{0};
             return std::string(bytes_of(out));
         },
         seek_data},
        {"FUSE_GETLK", FUSE_GETLK, found({20, 10, F_WRLCK, 1}), lock<F_GETLK>, EIO,
         FUSE_POSIX_LOCKS},
        // Nothing that the one asked for would have to wait for.
        {"FUSE_GETLK", FUSE_GETLK, found({10, 20, F_WRLCK, 1}), lock<F_GETLK, F_WRLCK, 10>, EIO,
         FUSE_POSIX_LOCKS},
        {"FUSE_GETLK", FUSE_GETLK, found({0, 20, F_RDLCK, 1}), lock<F_GETLK, F_RDLCK>, EIO,
         FUSE_POSIX_LOCKS},
        {"FUSE_COPY_FILE_RANGE_64", protocol::copy_file_range_64, copied_too_much<CopiedOut>, copy},
        {"FUSE_COPY_FILE_RANGE", FUSE_COPY_FILE_RANGE, copied_too_much<fuse_write_out>, copy},
        {"FUSE_STATX", protocol::statx,
         [](const Request &) {
             protocol::StatxOut out{};
             out.mask = STATX_BASIC_STATS;
             out.mode = 0600;
             return std::string(bytes_of(out));
         },
         ask_birth},
        {"FUSE_READDIRPLUS", FUSE_READDIRPLUS,
         [](const Request &) {
             return std::string(bytes_of(entry_of(77, S_IFREG | 0600))) + text_entry("a/b");
         },
         list_root, EIO, FUSE_DO_READDIRPLUS},
        {"FUSE_READDIRPLUS", FUSE_READDIRPLUS,
         [](const Request &) {
             return std::string(bytes_of(entry_of(77, S_IFREG | 0600))) +
                    text_entry("a", 256 + DT_REG);
         },
         list_root, EIO, FUSE_DO_READDIRPLUS},
    };
}

// An operation whose answer has one size.
struct Sized {
    const char *operation;
    std::uint32_t opcode;
    std::size_t size;
    std::function<long(RawServer &)> act; // negative with EIO if the answer was refused
    std::uint64_t init_flags = 0;
};

std::vector<Sized> sized_answers() {
    constexpr std::size_t entry = sizeof(fuse_entry_out), created = entry + sizeof(fuse_open_out);
    return {
        {"FUSE_LOOKUP", FUSE_LOOKUP, entry, look},
        {"FUSE_GETATTR", FUSE_GETATTR, sizeof(fuse_attr_out), stat_open},
        {"FUSE_SETATTR", FUSE_SETATTR, sizeof(fuse_attr_out), change_mode},
        {"FUSE_STATX", protocol::statx, sizeof(protocol::StatxOut), ask_birth},
        {"FUSE_MKNOD", FUSE_MKNOD, entry, make_fifo},
        {"FUSE_MKDIR", FUSE_MKDIR, entry, make_directory},
        {"FUSE_SYMLINK", FUSE_SYMLINK, entry, make_symlink},
        {"FUSE_LINK", FUSE_LINK, entry, make_name},
        {"FUSE_CREATE", FUSE_CREATE, created, make_file},
        {"FUSE_TMPFILE", FUSE_TMPFILE, created, make_nameless},
        {"FUSE_OPEN", FUSE_OPEN, sizeof(fuse_open_out), open_file},
        {"FUSE_OPENDIR", FUSE_OPENDIR, sizeof(fuse_open_out), list_root},
        {"FUSE_WRITE", FUSE_WRITE, sizeof(fuse_write_out), write_cached},
        {"FUSE_WRITE", FUSE_WRITE, sizeof(fuse_write_out), write_direct},
        {"FUSE_STATFS", FUSE_STATFS, sizeof(fuse_statfs_out), ask_space},
        {"FUSE_GETXATTR", FUSE_GETXATTR, sizeof(fuse_getxattr_out),
         [](RawServer &server) -> long {
             return getxattr(server.mnt("f").c_str(), "user.a", nullptr, 0);
         }},
        {"FUSE_LISTXATTR", FUSE_LISTXATTR, sizeof(fuse_getxattr_out),
         [](RawServer &server) -> long { return listxattr(server.mnt("f").c_str(), nullptr, 0); }},
        {"FUSE_GETLK", FUSE_GETLK, sizeof(fuse_lk_out), lock<F_GETLK>, FUSE_POSIX_LOCKS},
        {"FUSE_LSEEK", FUSE_LSEEK, sizeof(fuse_lseek_out), seek_data},
        {"FUSE_COPY_FILE_RANGE_64", protocol::copy_file_range_64, sizeof(CopiedOut), copy},
        {"FUSE_COPY_FILE_RANGE", FUSE_COPY_FILE_RANGE, sizeof(fuse_write_out), copy},
        {"FUSE_POLL", FUSE_POLL, sizeof(fuse_poll_out), poll_file},
        // Of a command that brings nothing back.
        {"FUSE_IOCTL", FUSE_IOCTL, sizeof(fuse_ioctl_out),
         [](RawServer &server) -> long {
             Fd file(server.mnt("f"), O_RDONLY);
             return ioctl(file, _IO('E', 1), 0);
         }},
        {"FUSE_UNLINK", FUSE_UNLINK, 0,
         [](RawServer &server) -> long { return unlink(server.mnt("f").c_str()); }},
        {"FUSE_RMDIR", FUSE_RMDIR, 0,
         [](RawServer &server) -> long {
             make_directories(server, 9);
             return rmdir(server.mnt("directory").c_str());
         }},
        {"FUSE_RENAME", FUSE_RENAME, 0,
         [](RawServer &server) -> long {
             return rename(server.mnt("f").c_str(), server.mnt("g").c_str());
         }},
        {"FUSE_RENAME2", FUSE_RENAME2, 0,
         [](RawServer &server) -> long {
             return renameat2(AT_FDCWD, server.mnt("f").c_str(), AT_FDCWD, server.mnt("g").c_str(),
                              RENAME_NOREPLACE);
         }},
        {"FUSE_SETXATTR", FUSE_SETXATTR, 0,
         [](RawServer &server) -> long {
             return setxattr(server.mnt("f").c_str(), "user.a", "value", 5, 0);
         }},
        {"FUSE_REMOVEXATTR", FUSE_REMOVEXATTR, 0,
         [](RawServer &server) -> long { return removexattr(server.mnt("f").c_str(), "user.a"); }},
        {"FUSE_FSYNC", FUSE_FSYNC, 0,
         [](RawServer &server) -> long { return fsync(Fd(server.mnt("f"), O_RDONLY)); }},
        {"FUSE_FSYNCDIR", FUSE_FSYNCDIR, 0,
         [](RawServer &server) -> long { return fsync(Fd(server.mnt(), O_RDONLY)); }},
        {"FUSE_FLUSH", FUSE_FLUSH, 0,
         [](RawServer &server) -> long { return Fd(server.mnt("f"), O_RDONLY).reset(); }},
        {"FUSE_FALLOCATE", FUSE_FALLOCATE, 0, allocate},
        {"FUSE_ACCESS", FUSE_ACCESS, 0,
         [](RawServer &server) -> long { return access(server.mnt("f").c_str(), R_OK); }},
        {"FUSE_SETLK", FUSE_SETLK, 0, lock<F_SETLK>, FUSE_POSIX_LOCKS},
        {"FUSE_SETLKW", FUSE_SETLKW, 0, lock<F_SETLKW>, FUSE_POSIX_LOCKS},
    };
}

// The operation gets the answer and fails, which is counted and said.
template <typename Case>
void expect_refused(RawServer &server, const Case &one,
                    const std::function<std::string(const Request &)> &answer, int error,
                    const std::string &what) {
    server.set_content("f", "content");
    KernelLog log;
    server.on(one.opcode, [&](const Request &request) {
        server.answer(request, answer(request));
        return true;
    });
    errno = 0;
    EXPECT_LT(one.act(server), 0);
    EXPECT_EQ(errno, error);
    EXPECT_GE(server.connection()[FUSEWB_A_COUNTER_MALFORMED], 1u);
    EXPECT_TRUE(log.says("the server answered " + std::string(one.operation) + " with " + what));
    server.on(one.opcode, [](const Request &) { return false; });
}

} // namespace

GUEST_TEST(ImpossibleAnswers, AreErrorsCountedAndNamed) {
    needs_fusewb();
    int number = 0;
    for (const auto &one : cases()) {
        SCOPED_TRACE(one.operation + std::string(" case ") + std::to_string(number));
        RawServer server({.valid_seconds = 0,
                          .init_flags = one.init_flags,
                          .name = "i" + std::to_string(number++)});
        expect_refused(server, one, one.answer, one.error, "");
        write_file(server.mnt("alive"), "alive");
        EXPECT_EQ(server.content("alive"), "alive");
    }
}

GUEST_TEST(ImpossibleAnswers, OfOneByteTooFewOrTooManyAreErrors) {
    needs_fusewb();
    int number = 0;
    for (const auto &one : sized_answers())
        for (std::size_t size : {one.size - 1, one.size + 1}) {
            if (!one.size && size != 1)
                continue;
            SCOPED_TRACE(one.operation + std::string(" with bytes: ") + std::to_string(size));
            RawServer server({.valid_seconds = 0,
                              .init_flags = one.init_flags,
                              .name = "s" + std::to_string(number++)});
            expect_refused(
                server, one, [=](const Request &) { return std::string(size, '\0'); }, EIO,
                "a wrong size");
        }
}

// Nobody waits for these.
GUEST_TEST(ImpossibleAnswers, ToAReleaseAreCountedAndNamed) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    KernelLog log;
    for (std::uint32_t opcode : {FUSE_RELEASE, FUSE_RELEASEDIR})
        server.on(opcode, [&](const Request &request) {
            EXPECT_EQ(server.answer(request, "x"), EINVAL);
            return true;
        });
    EXPECT_EQ(read_file(server.mnt("f")), "content");
    EXPECT_EQ(list(server.mnt()), 0);
    EXPECT_TRUE(
        wait_until(10s, [&] { return server.connection()[FUSEWB_A_COUNTER_MALFORMED] == 2; }));
    EXPECT_TRUE(log.says("the server answered FUSE_RELEASE with a wrong size"));
}

GUEST_TEST(ImpossibleAnswers, InAListingAreCountedAndTheirNamesAreNotEntered) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0, .init_flags = FUSE_DO_READDIRPLUS});
    make_directories(server, 9);
    std::atomic<std::uint64_t> node = 0;
    server.on(FUSE_READDIRPLUS, [&](const Request &request) {
        if (request.as<fuse_read_in>().offset)
            server.answer(request, {});
        else
            server.answer(request, std::string(bytes_of(entry_of(node, S_IFDIR | 0700))) +
                                       text_entry("entry", DT_DIR));
        return true;
    });
    std::uint64_t count = 0;
    // The root, which has no name, and the directory itself.
    for (std::uint64_t impossible : {1, 9}) {
        SCOPED_TRACE(impossible);
        node = impossible;
        KernelLog log;
        EXPECT_EQ(list(server.mnt("directory")), 0);
        EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], ++count);
        EXPECT_TRUE(log.says("the server answered FUSE_READDIRPLUS with "));
        struct stat st;
        EXPECT_EQ(stat(server.mnt("directory/entry").c_str(), &st), -1);
        EXPECT_EQ(errno, ENOENT);
    }
}

GUEST_TEST(ImpossibleAnswers, ToWhatANameStillMeansAreCountedAndTheNameIsLookedUpAnew) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0});
    server.set_content("f", "content");
    struct stat st;
    ASSERT_EQ(stat(server.mnt("f").c_str(), &st), 0);
    std::uint64_t count = 0;
    for (fuse_entry_out impossible :
         {entry_of(server.node_of("f"), 0600), entry_of(FUSE_ROOT_ID, S_IFREG | 0600)}) {
        KernelLog log;
        std::atomic<bool> first = true;
        server.on(FUSE_LOOKUP, [&](const Request &request) {
            if (first.exchange(false))
                server.answer(request, bytes_of(impossible));
            else
                server.carry_out(request);
            return true;
        });
        EXPECT_EQ(stat(server.mnt("f").c_str(), &st), 0) << errno;
        EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], ++count);
        EXPECT_TRUE(log.says("the server answered FUSE_LOOKUP with "));
    }
}

// The caller waits on, as it does in-tree: the server was told, and may still answer.
GUEST_TEST(ImpossibleAnswers, WithAnErrorThatIsNoneAreCountedAndMayBeGivenAgain) {
    needs_fusewb();
    RawServer server;
    KernelLog log;
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        for (int error : {-5, 512, 100000})
            EXPECT_EQ(server.answer_error(request, error), EINVAL) << error;
        EXPECT_EQ(server.answer_error(request, EXDEV), 0);
        return true;
    });
    struct stat st;
    EXPECT_EQ(stat(server.mnt("f").c_str(), &st), -1);
    EXPECT_EQ(errno, EXDEV);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], 3u);
    EXPECT_TRUE(log.says("the server answered FUSE_LOOKUP with an error that is none"));
}

GUEST_TEST(ImpossibleNotifications, AreErrorsCountedAndNamed) {
    needs_fusewb();
    struct {
        std::int32_t code;
        const char *name;
    } kinds[] = {{FUSE_NOTIFY_POLL, "FUSE_NOTIFY_POLL"},
                 {FUSE_NOTIFY_INVAL_INODE, "FUSE_NOTIFY_INVAL_INODE"},
                 {FUSE_NOTIFY_INVAL_ENTRY, "FUSE_NOTIFY_INVAL_ENTRY"},
                 {FUSE_NOTIFY_STORE, "FUSE_NOTIFY_STORE"},
                 {FUSE_NOTIFY_RETRIEVE, "FUSE_NOTIFY_RETRIEVE"},
                 {FUSE_NOTIFY_DELETE, "FUSE_NOTIFY_DELETE"},
                 {protocol::notify_resend, "FUSE_NOTIFY_RESEND"},
                 {protocol::notify_inc_epoch, "FUSE_NOTIFY_INC_EPOCH"},
                 {protocol::notify_prune, "FUSE_NOTIFY_PRUNE"},
                 {77, "of an unknown kind"}};
    RawServer server;
    ASSERT_TRUE(wait_until(10s, [&] { return server.offered() != 0; }));
    struct stat st;
    EXPECT_EQ(stat(server.mnt("f").c_str(), &st), -1);
    std::uint64_t count = 0;
    for (const auto &kind : kinds) {
        KernelLog log;
        EXPECT_EQ(server.notify(kind.code, "x"), EINVAL) << kind.name;
        EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], ++count);
        EXPECT_TRUE(log.says("the server sent a malformed or unknown notification " +
                             std::to_string(kind.code) + " (" + kind.name + ")"));
    }
}

GUEST_TEST(ImpossibleAnswers, AreAllCountedAndFewAreNamed) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0});
    server.set_content("f", "content");
    struct stat st;
    ASSERT_EQ(stat(server.mnt("f").c_str(), &st), 0);
    KernelLog log;
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        server.answer(request, "short");
        return true;
    });
    // The limit is of a time that this takes but a part of.
    constexpr unsigned answers = 200;
    for (unsigned i = 0; i < answers; i++)
        EXPECT_NE(stat(server.mnt("f").c_str(), &st), 0);
    Connection connection = server.connection();
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_MALFORMED], answers);
    std::size_t lines = log.lines_with("connection " + std::to_string(connection.id) +
                                       ": the server answered FUSE_LOOKUP with ");
    EXPECT_GE(lines, 1u);
    EXPECT_LE(lines, answers / 4);
    // Nor do those of one mount use up what is another's.
    RawServer other({.name = "other"});
    other.on(FUSE_LOOKUP, [&](const Request &request) {
        other.answer(request, "short");
        return true;
    });
    EXPECT_NE(stat(other.mnt("f").c_str(), &st), 0);
    EXPECT_TRUE(log.says("connection " + std::to_string(other.connection().id) + ": "));
}
