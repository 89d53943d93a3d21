// SPDX-License-Identifier: GPL-2.0-only
// Locks: of processes, of flock(2), of open files; kept by the kernel or by the server.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

struct flock range(short type, off_t start = 0, off_t length = 0) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return lock;
}

int set_lock(int fd, int command, struct flock lock) {
    return fcntl(fd, command, &lock) ? errno : 0;
}

// Return: what stands in the way of a lock; F_UNLCK: nothing.
struct flock find_lock(int fd, int command, struct flock lock) {
    EXPECT_EQ(fcntl(fd, command, &lock), 0) << errno;
    return lock;
}

// A server's table of locks, as the protocol describes it.
class Locks {
public:
    explicit Locks(RawServer &server) : server_(server) {
        for (auto opcode : {FUSE_SETLK, FUSE_SETLKW})
            server.on(opcode, [this](const Request &request) {
                set(request);
                return true;
            });
        server.on(FUSE_GETLK, [this](const Request &request) {
            get(request);
            return true;
        });
        server.on(FUSE_INTERRUPT, [this](const Request &request) {
            interrupt(request.as<fuse_interrupt_in>().unique);
            return true;
        });
        server.on(FUSE_FLUSH, [this](const Request &request) {
            drop(request.as<fuse_flush_in>().lock_owner, false);
            server_.answer(request, {});
            return true;
        });
        server.on(FUSE_RELEASE, [this](const Request &request) {
            auto in = request.as<fuse_release_in>();
            if (in.release_flags & FUSE_RELEASE_FLOCK_UNLOCK)
                drop(in.lock_owner, true);
            server_.answer(request, {});
            return true;
        });
    }
    std::size_t held() {
        std::lock_guard lock(mutex_);
        return held_.size();
    }
    std::size_t waiting() {
        std::lock_guard lock(mutex_);
        return waiting_.size();
    }
    bool wait_waiting() {
        return wait_until(10s, [&] { return waiting() > 0; });
    }
    void ignore_interrupts() { deaf_ = true; }
    // Until keep_up() locks that are asked for wait for catch_up().
    void delay() {
        std::lock_guard lock(mutex_);
        delaying_ = true;
    }
    std::size_t delayed() {
        std::lock_guard lock(mutex_);
        return delayed_.size();
    }
    void catch_up(bool delay_unlocks = false) {
        std::lock_guard lock(mutex_);
        delaying_ = false;
        delaying_unlocks_ = delay_unlocks;
        for (const auto &request : std::exchange(delayed_, {}))
            set_locked(request);
    }
    void keep_up() {
        std::lock_guard lock(mutex_);
        delaying_ = false;
    }
    std::size_t unlocks() {
        std::lock_guard lock(mutex_);
        return unlocks_;
    }

private:
    struct Held {
        std::uint64_t owner;
        bool flock;
        fuse_file_lock lock;
    };

    static bool overlap(const fuse_file_lock &a, const fuse_file_lock &b) {
        return a.start <= b.end && b.start <= a.end;
    }
    const Held *conflict(const fuse_lk_in &in) const {
        for (const auto &held : held_)
            if (held.owner != in.owner && held.flock == !!(in.lk_flags & FUSE_LK_FLOCK) &&
                overlap(held.lock, in.lk) && (held.lock.type == F_WRLCK || in.lk.type == F_WRLCK))
                return &held;
        return nullptr;
    }
    bool try_set(const fuse_lk_in &in) {
        bool flock = in.lk_flags & FUSE_LK_FLOCK;
        if (in.lk.type != F_UNLCK && conflict(in))
            return false;
        std::erase_if(held_, [&](const Held &held) {
            return held.owner == in.owner && held.flock == flock && overlap(held.lock, in.lk);
        });
        if (in.lk.type != F_UNLCK)
            held_.push_back({in.owner, flock, in.lk});
        return true;
    }
    void set(const Request &request) {
        std::lock_guard lock(mutex_);
        set_locked(request);
    }
    void set_locked(const Request &request) {
        bool unlock = request.as<fuse_lk_in>().lk.type == F_UNLCK;
        if (unlock ? delaying_unlocks_ : delaying_) {
            delayed_.push_back(request);
            return;
        }
        unlocks_ += unlock;
        if (try_set(request.as<fuse_lk_in>()))
            server_.answer(request, {});
        else if (request.header.opcode == FUSE_SETLK)
            server_.answer_error(request, EAGAIN);
        else
            waiting_.push_back(request);
        wake();
    }
    void wake() {
        std::erase_if(waiting_, [&](const Request &request) {
            if (!try_set(request.as<fuse_lk_in>()))
                return false;
            server_.answer(request, {});
            return true;
        });
    }
    void get(const Request &request) {
        std::lock_guard lock(mutex_);
        fuse_lk_out out{};
        const Held *held = conflict(request.as<fuse_lk_in>());
        out.lk.type = F_UNLCK;
        if (held)
            out.lk = held->lock;
        server_.answer(request, bytes_of(out));
    }
    void interrupt(std::uint64_t unique) {
        std::lock_guard lock(mutex_);
        if (deaf_)
            return;
        std::erase_if(waiting_, [&](const Request &request) {
            if (request.header.unique != unique)
                return false;
            server_.answer_error(request, EINTR);
            return true;
        });
    }
    void drop(std::uint64_t owner, bool flock) {
        std::lock_guard lock(mutex_);
        std::erase_if(held_,
                      [&](const Held &held) { return held.owner == owner && held.flock == flock; });
        wake();
    }

    RawServer &server_;
    std::atomic<bool> deaf_ = false;
    std::mutex mutex_;
    std::vector<Held> held_;
    std::vector<Request> waiting_;
    bool delaying_ = false;
    bool delaying_unlocks_ = false;
    std::vector<Request> delayed_;
    std::size_t unlocks_ = 0;
};

constexpr std::uint64_t remote = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;

// A server that grants locks when those who asked for them wait no more, and live.
class LateLocks {
public:
    explicit LateLocks(const std::string &name = "r")
        : server({.init_flags = remote, .name = name}), locks(server) {
        server.set_content("f", "content");
        file = Fd(server.mnt("f"), O_RDWR);
        id_ = server.connection().id;
    }
    // Return: errno; the server has the request yet.
    int time_out(const std::function<int()> &lock) {
        std::size_t before = locks.delayed();
        locks.delay();
        std::jthread expire([&] {
            wait_until(20s, [&] { return locks.delayed() > before; });
            deadline(50);
        });
        int error = lock();
        expire.join();
        deadline(0);
        locks.keep_up();
        return error;
    }
    int time_out(struct flock lock) {
        return time_out([&] { return set_lock(file, F_SETLK, lock); });
    }
    // What that leads to is over, too. Return: how often the kernel unlocked.
    std::size_t grant_late() {
        std::size_t before = locks.unlocks();
        locks.catch_up();
        EXPECT_TRUE(wait_until(10s, [&] { return Netlink().requests(id_).empty(); }));
        return locks.unlocks() - before;
    }
    // Return: errno of a lock of another process.
    int other(const std::function<int(int fd)> &lock) {
        Task task("lock in another process", [&] {
            Fd mine(server.mnt("f"), O_RDWR);
            return lock(mine);
        });
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
        return task.status().value_or(-1);
    }
    int other(struct flock lock) {
        return other([&](int fd) { return set_lock(fd, F_SETLK, lock); });
    }

    RawServer server;
    Locks locks;
    Fd file;

private:
    void deadline(std::uint32_t milliseconds) {
        Netlink().set_policy(id_, {{FUSEWB_A_POLICY_DEADLINE_LOCK, milliseconds},
                                   {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    }
    std::uint64_t id_ = 0;
};

// The rules that hold whoever keeps the locks.
void expect_lock_rules(const std::filesystem::path &path) {
    Fd file(path, O_RDWR | O_CREAT);
    ASSERT_EQ(set_lock(file, F_SETLK, range(F_WRLCK, 100, 100)), 0);
    Task other("lock in another process", [&] {
        Fd mine(path, O_RDWR);
        EXPECT_EQ(set_lock(mine, F_SETLK, range(F_WRLCK, 150, 10)), EAGAIN);
        EXPECT_EQ(set_lock(mine, F_SETLK, range(F_RDLCK, 199, 1)), EAGAIN);
        EXPECT_EQ(set_lock(mine, F_SETLK, range(F_WRLCK, 200, 10)), 0);
        struct flock found = range(F_WRLCK);
        EXPECT_EQ(fcntl(mine, F_GETLK, &found), 0);
        EXPECT_EQ(found.l_type, F_WRLCK);
        EXPECT_EQ(found.l_start, 100);
        EXPECT_EQ(found.l_len, 100);
        EXPECT_EQ(found.l_pid, getppid());
        return 0;
    });
    ASSERT_TRUE(other.ends_within(20s)) << other.where();
    // That process has ended, and with it its lock.
    EXPECT_EQ(set_lock(file, F_SETLK, range(F_WRLCK, 0, 0)), 0);
    // Any descriptor of the file that the process closes ends its locks.
    { Fd again(path, O_RDONLY); }
    Task third("lock what was unlocked", [&] {
        Fd mine(path, O_RDWR);
        return set_lock(mine, F_SETLK, range(F_WRLCK));
    });
    ASSERT_TRUE(third.ends_within(20s)) << third.where();
    EXPECT_EQ(third.status(), 0);

    Fd one(path, O_RDWR), two(path, O_RDWR);
    EXPECT_EQ(flock(one, LOCK_EX), 0);
    EXPECT_EQ(flock(two, LOCK_SH | LOCK_NB), -1);
    EXPECT_EQ(errno, EWOULDBLOCK);
    one.reset();
    EXPECT_TRUE(wait_until(10s, [&] { return flock(two, LOCK_EX | LOCK_NB) == 0; }));
    two.reset();

    // Locks of an open file last as long as it does, whichever process has it.
    Fd open_one(path, O_RDWR), open_two(path, O_RDWR);
    EXPECT_EQ(set_lock(open_one, F_OFD_SETLK, range(F_WRLCK, 0, 10)), 0);
    EXPECT_EQ(set_lock(open_two, F_OFD_SETLK, range(F_WRLCK, 5, 10)), EAGAIN);
    EXPECT_EQ(set_lock(file, F_SETLK, range(F_WRLCK, 5, 10)), EAGAIN);
    open_one.reset();
    EXPECT_TRUE(wait_until(
        10s, [&] { return set_lock(open_two, F_OFD_SETLK, range(F_WRLCK, 5, 10)) == 0; }));

    struct flock of_file = find_lock(file, F_OFD_GETLK, range(F_RDLCK));
    EXPECT_EQ(of_file.l_type, F_WRLCK);
    EXPECT_EQ(of_file.l_start, 5);
    EXPECT_EQ(of_file.l_len, 10);
    EXPECT_EQ(of_file.l_pid, -1) << "it is no process's";
    EXPECT_EQ(find_lock(file, F_GETLK, range(F_RDLCK)).l_type, F_WRLCK);
    EXPECT_EQ(find_lock(file, F_OFD_GETLK, range(F_WRLCK, 15, 10)).l_type, F_UNLCK);
    EXPECT_EQ(find_lock(open_two, F_OFD_GETLK, range(F_WRLCK)).l_type, F_UNLCK) << "its own";
    // Those of the same process are in its way, too.
    ASSERT_EQ(set_lock(file, F_SETLK, range(F_RDLCK, 100, 10)), 0);
    EXPECT_EQ(find_lock(open_two, F_OFD_GETLK, range(F_RDLCK)).l_type, F_UNLCK);
    struct flock of_process = find_lock(open_two, F_OFD_GETLK, range(F_WRLCK));
    EXPECT_EQ(of_process.l_type, F_RDLCK);
    EXPECT_EQ(of_process.l_start, 100);
    EXPECT_EQ(of_process.l_len, 10);
}

// Who gives his locks back when he closes a file.
void note_owner_of_close(RawServer &server, std::atomic<std::uint64_t> &owner) {
    server.on(FUSE_FLUSH, [&](const Request &request) {
        owner = request.as<fuse_flush_in>().lock_owner;
        server.answer(request, {});
        return true;
    });
}

int set_flock(int fd, short type, int flags) {
    int operation = type == F_UNLCK ? LOCK_UN : type == F_RDLCK ? LOCK_SH : LOCK_EX;
    return flock(fd, operation | flags) ? errno : 0;
}

// The kinds of locks: what waits for one, and what does not.
constexpr struct {
    const char *kind;
    int (*lock)(int fd, short type);
    int (*try_lock)(int fd, short type);
} kinds[] = {
    {"process", [](int fd, short type) { return set_lock(fd, F_SETLKW, range(type)); },
     [](int fd, short type) { return set_lock(fd, F_SETLK, range(type)); }},
    {"file", [](int fd, short type) { return set_lock(fd, F_OFD_SETLKW, range(type)); },
     [](int fd, short type) { return set_lock(fd, F_OFD_SETLK, range(type)); }},
    {"flock", [](int fd, short type) { return set_flock(fd, type, 0); },
     [](int fd, short type) { return set_flock(fd, type, LOCK_NB); }},
};

} // namespace

ON_CLIENTS(LocalLock, "fusewb", "fuse");

CLIENT_TEST(LocalLock, IsTheKernelsIfTheServerDoesNotWantIt) {
    RawServer server({.type = client.type});
    expect_lock_rules(server.mnt("f"));
    EXPECT_TRUE((server.offered() & remote) == remote) << "the server could not have had them";
    EXPECT_EQ(server.seen(FUSE_SETLK) + server.seen(FUSE_SETLKW) + server.seen(FUSE_GETLK), 0u);
}

CLIENT_TEST(LocalLock, IsGrantedToWhoWaitsForItUnlessASignalInterrupts) {
    RawServer server({.type = client.type});
    catch_signal();
    for (const auto &[kind, lock, try_lock] : kinds) {
        SCOPED_TRACE(kind);
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        ASSERT_EQ(lock(file, F_WRLCK), 0);
        auto wait_for_lock = [&server, lock = lock] {
            Fd mine(server.mnt("f"), O_RDWR);
            return lock(mine, F_WRLCK);
        };
        Task interrupted("wait for a lock", wait_for_lock);
        EXPECT_FALSE(interrupted.ends_within(300ms));
        // One that comes before it waits changes nothing.
        EXPECT_TRUE(wait_until(20s, [&] {
            return interrupted.ended() || kill(interrupted.pid(), SIGUSR1) != 0;
        })) << interrupted.where();
        EXPECT_EQ(interrupted.status(), EINTR);

        Task patient("wait for a lock", wait_for_lock);
        EXPECT_FALSE(patient.ends_within(300ms));
        ASSERT_EQ(lock(file, F_UNLCK), 0);
        ASSERT_TRUE(patient.ends_within(20s)) << patient.where();
        EXPECT_EQ(patient.status(), 0);
    }
    EXPECT_EQ(server.seen(FUSE_SETLK) + server.seen(FUSE_SETLKW) + server.seen(FUSE_GETLK), 0u);
}

GUEST_TEST(Lock, TheServerKeepsThoseThatItWants) {
    needs_fusewb();
    RawServer server({.init_flags = remote});
    Locks locks(server);
    expect_lock_rules(server.mnt("f"));
    EXPECT_GT(server.seen(FUSE_SETLK), 5u);
    EXPECT_GT(server.seen(FUSE_GETLK), 5u);
    EXPECT_TRUE(wait_until(10s, [&] { return locks.held() == 0; })) << locks.held();
}

GUEST_TEST(Lock, FlockOfPassthroughIsThatOfTheBackingFile) {
    Passthrough server({.server_options = "flock"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT), backing(server.backing("f"), O_RDWR);
    ASSERT_EQ(flock(file, LOCK_EX), 0);
    EXPECT_EQ(flock(backing, LOCK_EX | LOCK_NB), -1);
    EXPECT_EQ(errno, EWOULDBLOCK);
    file.reset();
    EXPECT_TRUE(wait_until(10s, [&] { return flock(backing, LOCK_EX | LOCK_NB) == 0; }));
}

ON_CLIENTS(RemoteLock, "fusewb", "fuse");

CLIENT_TEST(RemoteLock, IsGrantedToWhoWaitsForItUnlessASignalInterrupts) {
    for (const auto &[kind, lock, try_lock] : kinds) {
        SCOPED_TRACE(kind);
        RawServer server({.init_flags = remote, .name = kind, .type = client.type});
        Locks locks(server);
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        ASSERT_EQ(lock(file, F_WRLCK), 0);
        auto wait_for_lock = [&server, lock = lock] {
            catch_signal();
            Fd mine(server.mnt("f"), O_RDWR);
            return lock(mine, F_WRLCK);
        };
        Task interrupted("wait for a lock", wait_for_lock);
        ASSERT_TRUE(locks.wait_waiting()) << interrupted.where();
        EXPECT_FALSE(interrupted.ends_within(300ms));
        kill(interrupted.pid(), SIGUSR1);
        ASSERT_TRUE(interrupted.ends_within(20s)) << interrupted.where();
        EXPECT_EQ(interrupted.status(), EINTR);
        EXPECT_EQ(locks.waiting(), 0u);

        Task patient("wait for a lock", wait_for_lock);
        ASSERT_TRUE(locks.wait_waiting()) << patient.where();
        EXPECT_FALSE(patient.ends_within(300ms));
        ASSERT_EQ(lock(file, F_UNLCK), 0);
        ASSERT_TRUE(patient.ends_within(20s)) << patient.where();
        EXPECT_EQ(patient.status(), 0);
    }
}

// EAGAIN: the server does not know the request yet. It is told again, until it does.
CLIENT_TEST(RemoteLock, IsInterruptedAgainAsLongAsTheServerAsksForIt) {
    RawServer server({.init_flags = remote, .type = client.type});
    server.set_content("f", "content");
    server.hold(FUSE_SETLKW);
    std::atomic<unsigned> asked = 0;
    server.on(FUSE_INTERRUPT, [&](const Request &request) {
        if (++asked < 4) {
            EXPECT_EQ(server.answer_error(request, EAGAIN), 0);
            return true;
        }
        server.refuse_held(FUSE_SETLKW, EINTR);
        return true;
    });
    Task waiter("wait for a lock", [&] {
        Fd mine(server.mnt("f"), O_RDWR);
        return set_lock(mine, F_SETLKW, range(F_WRLCK));
    });
    ASSERT_TRUE(server.wait_held(FUSE_SETLKW, 1)) << waiter.where();
    kill(waiter.pid(), SIGTERM);
    EXPECT_TRUE(waiter.ends_within(20s)) << waiter.where();
    // Who is killed does not wait for what the server makes of it.
    EXPECT_TRUE(wait_until(20s, [&] { return asked == 4; })) << asked;
    server.release(FUSE_SETLKW);
}

GUEST_TEST(Lock, ALockThatIsGrantedToTheDeadIsGivenBack) {
    needs_fusewb();
    RawServer server({.init_flags = remote});
    Locks locks(server);
    locks.ignore_interrupts();
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    ASSERT_EQ(set_lock(file, F_SETLK, range(F_WRLCK)), 0);
    Task waiter("wait for a lock", [&] {
        Fd mine(server.mnt("f"), O_RDWR);
        return set_lock(mine, F_SETLKW, range(F_WRLCK));
    });
    ASSERT_TRUE(locks.wait_waiting());
    ASSERT_TRUE(waiter.kill_within(20s)) << waiter.where();
    ASSERT_EQ(set_lock(file, F_SETLK, range(F_UNLCK)), 0);
    EXPECT_TRUE(wait_until(10s, [&] { return locks.held() == 0 && locks.waiting() == 0; }))
        << locks.held() << " held, " << locks.waiting() << " waiting";
}

GUEST_TEST(Lock, ThatIsGrantedLateTakesNoLaterOneAway) {
    needs_fusewb();
    for (const auto &[kind, lock, try_lock] : kinds) {
        SCOPED_TRACE(kind);
        LateLocks late(kind);
        auto ask = [&, lock = lock] { return lock(late.file, F_WRLCK); };
        ASSERT_EQ(late.time_out(ask), ETIMEDOUT);
        ASSERT_EQ(ask(), 0);
        EXPECT_EQ(late.grant_late(), 0u);
        EXPECT_EQ(late.locks.held(), 1u);
        EXPECT_EQ(late.other([&](int fd) { return try_lock(fd, F_WRLCK); }), EAGAIN);
        // Who closes the file gives all of it back.
        late.file.reset();
        EXPECT_TRUE(wait_until(10s, [&] { return late.locks.held() == 0; }));
    }
}

GUEST_TEST(Lock, ThatIsGrantedLateTakesNoEarlierOneAway) {
    needs_fusewb();
    for (const auto &[kind, lock, try_lock] : kinds) {
        SCOPED_TRACE(kind);
        LateLocks late(kind);
        ASSERT_EQ(lock(late.file, F_RDLCK), 0);
        ASSERT_EQ(late.time_out([&, lock = lock] { return lock(late.file, F_WRLCK); }), ETIMEDOUT);
        EXPECT_EQ(late.grant_late(), 0u);
        EXPECT_EQ(late.locks.held(), 1u);
        EXPECT_EQ(late.other([&](int fd) { return try_lock(fd, F_WRLCK); }), EAGAIN);
    }
}

GUEST_TEST(Lock, ThatIsGrantedLateIsGivenBackByWhoHoldsNothingThere) {
    needs_fusewb();
    for (const auto &[kind, lock, try_lock] : kinds) {
        SCOPED_TRACE(kind);
        LateLocks late(kind);
        auto ask = [&, lock = lock] { return lock(late.file, F_WRLCK); };
        auto others = [&] {
            return late.other([&](int fd) { return try_lock(fd, F_WRLCK); });
        };
        ASSERT_EQ(late.time_out(ask), ETIMEDOUT);
        EXPECT_EQ(late.grant_late(), 1u);
        EXPECT_EQ(others(), 0);
        // Asked for twice, and given up once more each time.
        ASSERT_EQ(late.time_out(ask), ETIMEDOUT);
        ASSERT_EQ(late.time_out(ask), ETIMEDOUT);
        EXPECT_GE(late.grant_late(), 1u);
        EXPECT_EQ(others(), 0);
        // What was held is not any more.
        ASSERT_EQ(late.time_out(ask), ETIMEDOUT);
        ASSERT_EQ(ask(), 0);
        ASSERT_EQ(lock(late.file, F_UNLCK), 0);
        EXPECT_EQ(late.grant_late(), 1u);
        EXPECT_EQ(others(), 0);
    }
    LateLocks late("beside");
    ASSERT_EQ(set_lock(late.file, F_SETLK, range(F_WRLCK, 10, 10)), 0);
    ASSERT_EQ(late.time_out(range(F_WRLCK, 20, 10)), ETIMEDOUT);
    EXPECT_EQ(late.grant_late(), 1u);
    EXPECT_EQ(late.other(range(F_WRLCK, 20, 10)), 0);
    EXPECT_EQ(late.other(range(F_WRLCK, 19, 1)), EAGAIN) << "it is not what was late";
    // A part of it is given up.
    ASSERT_EQ(set_lock(late.file, F_SETLK, range(F_UNLCK, 15, 5)), 0);
    ASSERT_EQ(late.time_out(range(F_WRLCK, 15, 10)), ETIMEDOUT);
    EXPECT_EQ(late.grant_late(), 1u);
    ASSERT_EQ(late.time_out(range(F_WRLCK, 14, 10)), ETIMEDOUT);
    EXPECT_EQ(late.grant_late(), 0u);
    // Any descriptor of the file that the process closes ends its locks.
    { Fd again(late.server.mnt("f"), O_RDONLY); }
    EXPECT_EQ(late.locks.held(), 0u);
    ASSERT_EQ(late.time_out(range(F_WRLCK, 10, 10)), ETIMEDOUT);
    EXPECT_EQ(late.grant_late(), 1u);
    EXPECT_EQ(late.locks.held(), 0u);
}

// A server of several threads may carry out what it has at once in any order.
GUEST_TEST(Lock, IsAskedForAgainOnceTheLateOneIsGivenBack) {
    needs_fusewb();
    LateLocks late;
    ASSERT_EQ(late.time_out(range(F_WRLCK)), ETIMEDOUT);
    late.locks.catch_up(true);
    ASSERT_TRUE(wait_until(10s, [&] { return late.locks.delayed() == 1; })) << "no unlock";
    std::size_t seen = late.server.seen(FUSE_SETLK);
    std::atomic<int> error = -1;
    std::jthread asking([&] { error = set_lock(late.file, F_SETLK, range(F_WRLCK)); });
    EXPECT_FALSE(wait_until(300ms, [&] { return late.server.seen(FUSE_SETLK) > seen; }));
    late.locks.catch_up();
    asking.join();
    EXPECT_EQ(error, 0);
    EXPECT_EQ(late.locks.held(), 1u);
    EXPECT_EQ(late.other(range(F_WRLCK)), EAGAIN);
}

GUEST_TEST(Lock, ImpossibleLocksAreErrors) {
    needs_fusewb();
    RawServer server({.init_flags = remote});
    server.set_content("f", "content");
    Fd file(server.mnt("f"), O_RDWR);
    auto found = [&](fuse_file_lock lock) {
        server.on(FUSE_GETLK, [&server, lock](const Request &request) {
            fuse_lk_out out{lock};
            server.answer(request, bytes_of(out));
            return true;
        });
        struct flock asked = range(F_WRLCK);
        return fcntl(file, F_GETLK, &asked) ? errno : 0;
    };
    EXPECT_EQ(found({10, 20, F_WRLCK, 1}), 0);
    EXPECT_EQ(found({10, 20, 77, 1}), EIO) << "a type";
    EXPECT_EQ(found({20, 10, F_WRLCK, 1}), EIO) << "an end before its start";
    EXPECT_EQ(found({0, UINT64_MAX, F_WRLCK, 1}), EIO) << "an end behind all files";
    EXPECT_EQ(found({20, 10, F_UNLCK, 1}), 0) << "no lock at all";
}

ON_CLIENTS(LockOwner, "fusewb", "fuse");

// A server with mandatory locks has to know whose truncation it is, and whose data.
CLIENT_TEST(LockOwner, OfATruncationIsThatOfTheLocksOfTheProcess) {
    for (bool writeback : {true, false}) {
        RawServer server({.writeback = writeback,
                          .name = writeback ? "writeback" : "through",
                          .type = client.type});
        server.set_content("f", "content");
        std::atomic<std::uint32_t> valid = 0;
        std::atomic<std::uint64_t> truncating = 0, closing = 0;
        server.on(FUSE_SETATTR, [&](const Request &request) {
            auto in = request.as<fuse_setattr_in>();
            if (in.valid & FATTR_SIZE) {
                valid = in.valid;
                truncating = in.lock_owner;
            }
            return false;
        });
        note_owner_of_close(server, closing);
        Fd file(server.mnt("f"), O_RDWR);
        ASSERT_EQ(ftruncate(file, 3), 0);
        EXPECT_TRUE(valid & FATTR_LOCKOWNER);
        ASSERT_EQ(file.reset(), 0);
        EXPECT_EQ(truncating, closing);
        valid = truncating = 0;
        ASSERT_EQ(truncate(server.mnt("f").c_str(), 2), 0);
        EXPECT_TRUE(valid & FATTR_LOCKOWNER) << "by path";
        EXPECT_EQ(truncating, closing);
    }
}

CLIENT_TEST(LockOwner, OfDirectIoIsThatOfTheLocksOfTheProcess) {
    RawServer server({.open_flags = FOPEN_DIRECT_IO, .type = client.type});
    server.set_content("f", "content");
    std::atomic<std::uint64_t> reading = 0, writing = 0, closing = 0;
    server.on(FUSE_READ, [&](const Request &request) {
        auto in = request.as<fuse_read_in>();
        if (in.read_flags & FUSE_READ_LOCKOWNER)
            reading = in.lock_owner;
        return false;
    });
    server.on(FUSE_WRITE, [&](const Request &request) {
        auto in = request.as<fuse_write_in>();
        if (in.write_flags & FUSE_WRITE_LOCKOWNER)
            writing = in.lock_owner;
        return false;
    });
    note_owner_of_close(server, closing);
    Fd file(server.mnt("f"), O_RDWR);
    char byte;
    ASSERT_EQ(pread(file, &byte, 1, 0), 1);
    ASSERT_EQ(pwrite(file, "x", 1, 0), 1);
    ASSERT_EQ(file.reset(), 0);
    EXPECT_NE(closing, 0u);
    EXPECT_EQ(reading, closing);
    EXPECT_EQ(writing, closing);
}
