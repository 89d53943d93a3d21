// SPDX-License-Identifier: GPL-2.0-only
// A FUSE server of our own that speaks the protocol on the descriptor, in threads of the test's
// process: one directory of files in memory, and a script that may hold back, spoil or watch every
// answer. It does what a library would never let a server do.
#pragma once

#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <linux/fuse.h>

#include "support/mount.h"
#include "support/netlink.h"

namespace fusewb::test {

// One message that the kernel sent.
struct Request {
    fuse_in_header header;
    std::string body;

    // The fixed part; zeros where the message is shorter.
    template <typename T> T as() const {
        T value{};
        std::memcpy(&value, body.data(), std::min(sizeof(value), body.size()));
        return value;
    }
    // The n-th string after a fixed part.
    std::string name(std::size_t fixed, unsigned n = 0) const;
};

// What a FORGET or a BATCH_FORGET gives back.
std::vector<fuse_forget_one> forgotten_by(const Request &request);

class RawServer {
public:
    struct Options {
        bool writeback = true;
        std::string mount_options{};
        std::uint32_t max_write = 128 * 1024;
        std::uint64_t valid_seconds = 3600; // of entries and attributes
        std::uint32_t open_flags = 0;       // FOPEN_*
        std::uint64_t init_flags = 0;       // of FUSE_INIT, beside the usual ones
        bool async_read = true;             // FUSE_ASYNC_READ
        bool answer_init = true;
        bool hold_init = false; // until release(FUSE_INIT)
        std::string name = "r";
        std::string type{};   // file system type; empty: the one under test
        unsigned threads = 1; // that read the device
        // The answer to FUSE_INIT, made of the usual one.
        std::function<std::string(fuse_init_out)> init{};
    };

    explicit RawServer(Options options);
    RawServer() : RawServer(Options{}) {}
    // Answers what is held, unmounts and ends the thread.
    ~RawServer();

    std::filesystem::path mnt(const std::string &name = {}) const { return mount_->path() / name; }
    Mount &mount() { return *mount_; }
    // For a test that reads requests itself, while the server is paused.
    int device() const { return device_; }
    Connection connection() { return Netlink().mounted_at(mount_->path()); }

    // Called for each request of the operation, in a thread of the server's. Return: true if the
    // hook dealt with it, by whatever it sent or did not send; false for the usual answer.
    using Hook = std::function<bool(const Request &)>;
    void on(std::uint32_t opcode, Hook hook);

    // Requests of the operation are read and not carried out until release(), which also ends the
    // holding; allow() carries out the oldest one only.
    void hold(std::uint32_t opcode);
    void release(std::uint32_t opcode);
    void allow(std::uint32_t opcode);
    // Answers what is held with an error and holds no more.
    void refuse_held(std::uint32_t opcode, int error);
    // The server starts anew: what is held was never heard of. Return: the requests.
    std::vector<Request> lose(std::uint32_t opcode);
    std::size_t held(std::uint32_t opcode);
    bool wait_held(std::uint32_t opcode, std::size_t count);
    // Requests of the operation read so far.
    std::size_t seen(std::uint32_t opcode);

    // No more hooks and no more holding.
    void forget_hooks();

    // Nothing is read from the device until resume(): requests stay in the kernel's queue.
    void pause();
    void resume();

    // The usual answer, at any time.
    void carry_out(const Request &request);
    // Return: 0 or errno of writing the answer to the device.
    int answer(const Request &request, std::string_view body);
    int answer_error(const Request &request, int error);
    // Return: 0 or errno of the kernel for a notification (FUSE_NOTIFY_*).
    int notify(std::int32_t code, std::string_view body);
    // Bytes as they are.
    int send(std::string_view bytes);

    void set_content(const std::string &name, std::string content);
    std::string content(const std::string &name);
    std::set<std::string> names();
    std::uint64_t node_of(const std::string &name);
    // What FUSE_INIT offered.
    std::uint64_t offered();

    // WRITEs that arrived while another one over some of the same bytes had no answer yet.
    std::vector<std::string> overlaps();

    // The threads end and the descriptor is closed: the server is gone.
    void die();

private:
    struct Node {
        std::string data;
        std::uint32_t mode = 0100644;
        fuse_attr times{};
    };
    struct Flight {
        std::uint64_t unique;
        std::uint64_t node;
        std::uint64_t from;
        std::uint64_t to;
    };

    void serve();
    void take(Request request);
    void carry_out_locked(const Request &request);
    void answer_init(const Request &request);
    void answer_lookup(const Request &request, const std::string &name);
    void answer_set_attributes(const Request &request);
    void answer_create(const Request &request);
    void answer_read(const Request &request);
    void answer_write(const Request &request);
    void answer_directory(const Request &request);
    void answer_rename(const Request &request, std::size_t fixed, std::uint32_t flags,
                       std::uint64_t to_directory);
    void note_flight(const Request &request);
    void end_flight(std::uint64_t unique);
    fuse_attr attributes(std::uint64_t id) const;
    fuse_entry_out entry(std::uint64_t id) const;

    Options options_;
    Fd device_;
    Fd wake_;
    std::unique_ptr<Mount> mount_;
    std::vector<std::thread> threads_;
    std::atomic<bool> paused_ = false;

    std::recursive_mutex mutex_;
    std::map<std::uint64_t, Node> nodes_;
    std::map<std::string, std::uint64_t> names_;
    std::uint64_t next_id_ = 2;
    std::map<std::uint32_t, Hook> hooks_;
    std::map<std::uint32_t, std::deque<Request>> held_;
    std::set<std::uint32_t> holding_;
    std::map<std::uint32_t, std::size_t> seen_;
    std::list<Flight> flights_;
    std::vector<std::string> overlaps_;
    std::uint64_t offered_ = 0;
};

template <typename T> std::string_view bytes_of(const T &value) {
    return {reinterpret_cast<const char *>(&value), sizeof(value)};
}

} // namespace fusewb::test
