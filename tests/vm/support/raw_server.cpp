// SPDX-License-Identifier: GPL-2.0-only
#include "support/raw_server.h"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/guest_test.h"
#include "support/task.h"

namespace fusewb::test {

namespace {

// What a message may have besides the data of a WRITE.
constexpr std::size_t message_size = 65536;

} // namespace

std::string Request::name(std::size_t fixed, unsigned n) const {
    std::size_t at = std::min(fixed, body.size());
    while (n-- && at < body.size())
        at = std::min(body.find('\0', at), body.size() - 1) + 1;
    return at < body.size() ? std::string(body.c_str() + at) : std::string();
}

std::vector<fuse_forget_one> forgotten_by(const Request &request) {
    if (request.header.opcode == FUSE_FORGET)
        return {{request.header.nodeid, request.as<fuse_forget_in>().nlookup}};
    auto batch = request.as<fuse_batch_forget_in>();
    std::vector<fuse_forget_one> all;
    for (std::size_t at = sizeof(batch); all.size() < batch.count; at += sizeof(fuse_forget_one)) {
        if (at + sizeof(fuse_forget_one) > request.body.size()) {
            ADD_FAILURE() << "a BATCH_FORGET of " << batch.count << " is too short";
            break;
        }
        std::memcpy(&all.emplace_back(), request.body.data() + at, sizeof(fuse_forget_one));
    }
    return all;
}

RawServer::RawServer(Options options)
    : options_(std::move(options)), device_(open_device(options_.type)) {
    nodes_[FUSE_ROOT_ID].mode = 040755;
    if (options_.hold_init)
        holding_.insert(FUSE_INIT);
    wake_ = Fd(static_cast<int>(check(eventfd(0, EFD_CLOEXEC), "eventfd")));
    close_in_tasks(device_);
    mount_ = std::make_unique<Mount>(scratch() / (options_.name + ".mnt"), device_,
                                     options_.mount_options, options_.type);
    // Several readers are woken for one request: who comes late goes back to waiting.
    check(fcntl(device_, F_SETFL, fcntl(device_, F_GETFL) | O_NONBLOCK), "O_NONBLOCK");
    for (unsigned i = 0; i < options_.threads; i++)
        threads_.emplace_back([this] { serve(); });
}

RawServer::~RawServer() {
    resume();
    forget_hooks();
    mount_.reset();
    die();
}

void RawServer::die() {
    if (threads_.empty())
        return;
    eventfd_write(wake_, 1);
    for (auto &thread : threads_)
        thread.join();
    threads_.clear();
    keep_in_tasks(device_);
    device_.reset();
}

void RawServer::serve() {
    std::string buffer(std::max(options_.max_write, 1u << 20) + message_size, '\0');
    struct pollfd pollfds[2] = {{device_, POLLIN, 0}, {wake_, POLLIN, 0}};
    for (;;) {
        // Paused it looks for its own end only.
        pollfds[0].fd = paused_ ? -1 : device_.get();
        if (poll(pollfds, 2, paused_ ? 20 : -1) < 0 && errno != EINTR)
            return;
        if (pollfds[1].revents)
            return;
        if (!pollfds[0].revents || paused_)
            continue;
        ssize_t n = read(device_, buffer.data(), buffer.size());
        if (n < 0) {
            if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
                continue;
            return;
        }
        Request request{};
        if (static_cast<std::size_t>(n) < sizeof(request.header)) {
            ADD_FAILURE() << "the kernel sent " << n << " bytes";
            continue;
        }
        std::memcpy(&request.header, buffer.data(), sizeof(request.header));
        request.body.assign(buffer, sizeof(request.header),
                            static_cast<std::size_t>(n) - sizeof(request.header));
        if (request.header.len != static_cast<std::size_t>(n))
            ADD_FAILURE() << "a message of " << n << " bytes says it has " << request.header.len;
        take(std::move(request));
    }
}

void RawServer::take(Request request) {
    Hook hook;
    {
        std::lock_guard lock(mutex_);
        seen_[request.header.opcode]++;
        note_flight(request);
        if (holding_.contains(request.header.opcode)) {
            held_[request.header.opcode].push_back(std::move(request));
            return;
        }
        if (auto found = hooks_.find(request.header.opcode); found != hooks_.end())
            hook = found->second;
    }
    if (!hook || !hook(request))
        carry_out(request);
}

void RawServer::on(std::uint32_t opcode, Hook hook) {
    std::lock_guard lock(mutex_);
    hooks_[opcode] = std::move(hook);
}

void RawServer::hold(std::uint32_t opcode) {
    std::lock_guard lock(mutex_);
    holding_.insert(opcode);
}

void RawServer::release(std::uint32_t opcode) {
    std::lock_guard lock(mutex_);
    holding_.erase(opcode);
    auto requests = std::move(held_[opcode]);
    held_.erase(opcode);
    for (const auto &request : requests)
        carry_out_locked(request);
}

void RawServer::allow(std::uint32_t opcode) {
    std::lock_guard lock(mutex_);
    auto &requests = held_[opcode];
    if (requests.empty())
        throw std::runtime_error("nothing is held");
    Request request = std::move(requests.front());
    requests.pop_front();
    carry_out_locked(request);
}

void RawServer::refuse_held(std::uint32_t opcode, int error) {
    std::lock_guard lock(mutex_);
    holding_.erase(opcode);
    auto requests = std::move(held_[opcode]);
    held_.erase(opcode);
    for (const auto &request : requests)
        answer_error(request, error);
}

std::vector<Request> RawServer::lose(std::uint32_t opcode) {
    std::lock_guard lock(mutex_);
    holding_.erase(opcode);
    auto requests = std::move(held_[opcode]);
    held_.erase(opcode);
    for (const auto &request : requests)
        end_flight(request.header.unique);
    return {requests.begin(), requests.end()};
}

std::size_t RawServer::held(std::uint32_t opcode) {
    std::lock_guard lock(mutex_);
    return held_[opcode].size();
}

bool RawServer::wait_held(std::uint32_t opcode, std::size_t count) {
    return wait_until(60s, [&] { return held(opcode) >= count; });
}

std::size_t RawServer::seen(std::uint32_t opcode) {
    std::lock_guard lock(mutex_);
    return seen_[opcode];
}

void RawServer::forget_hooks() {
    std::lock_guard lock(mutex_);
    hooks_.clear();
    holding_.clear();
    auto waiting = std::move(held_);
    held_.clear();
    for (auto &[opcode, requests] : waiting)
        for (const auto &request : requests)
            carry_out_locked(request);
}

// A thread in poll(2) is woken by the next request, which it then leaves alone.
void RawServer::pause() { paused_ = true; }

void RawServer::resume() { paused_ = false; }

void RawServer::carry_out(const Request &request) {
    std::lock_guard lock(mutex_);
    carry_out_locked(request);
}

int RawServer::send(std::string_view bytes) {
    return write(device_, bytes.data(), bytes.size()) < 0 ? errno : 0;
}

int RawServer::answer(const Request &request, std::string_view body) {
    fuse_out_header header{static_cast<std::uint32_t>(sizeof(header) + body.size()), 0,
                           request.header.unique};
    end_flight(request.header.unique);
    return send(std::string(bytes_of(header)).append(body));
}

int RawServer::answer_error(const Request &request, int error) {
    fuse_out_header header{sizeof(header), -error, request.header.unique};
    end_flight(request.header.unique);
    return send(bytes_of(header));
}

int RawServer::notify(std::int32_t code, std::string_view body) {
    fuse_out_header header{static_cast<std::uint32_t>(sizeof(header) + body.size()), code, 0};
    return send(std::string(bytes_of(header)).append(body));
}

void RawServer::set_content(const std::string &name, std::string content) {
    std::lock_guard lock(mutex_);
    auto [found, fresh] = names_.try_emplace(name, next_id_);
    if (fresh)
        next_id_++;
    nodes_[found->second].data = std::move(content);
}

std::string RawServer::content(const std::string &name) {
    std::lock_guard lock(mutex_);
    auto found = names_.find(name);
    return found == names_.end() ? std::string() : nodes_[found->second].data;
}

std::uint64_t RawServer::node_of(const std::string &name) {
    std::lock_guard lock(mutex_);
    return names_.at(name);
}

std::uint64_t RawServer::offered() {
    std::lock_guard lock(mutex_);
    return offered_;
}

std::set<std::string> RawServer::names() {
    std::lock_guard lock(mutex_);
    std::set<std::string> all;
    for (const auto &[name, id] : names_)
        all.insert(name);
    return all;
}

std::vector<std::string> RawServer::overlaps() {
    std::lock_guard lock(mutex_);
    return overlaps_;
}

void RawServer::note_flight(const Request &request) {
    if (request.header.opcode != FUSE_WRITE)
        return;
    auto in = request.as<fuse_write_in>();
    Flight flight{request.header.unique, request.header.nodeid, in.offset, in.offset + in.size};
    for (const auto &other : flights_)
        if (other.node == flight.node && other.from < flight.to && flight.from < other.to)
            overlaps_.push_back("WRITE of " + std::to_string(flight.from) + " to " +
                                std::to_string(flight.to) + " while " + std::to_string(other.from) +
                                " to " + std::to_string(other.to) + " has no answer");
    flights_.push_back(flight);
}

void RawServer::end_flight(std::uint64_t unique) {
    std::lock_guard lock(mutex_);
    flights_.remove_if([&](const Flight &flight) { return flight.unique == unique; });
}

fuse_attr RawServer::attributes(std::uint64_t id) const {
    const Node &node = nodes_.at(id);
    fuse_attr attr = node.times;
    attr.ino = id;
    attr.size = node.data.size();
    attr.blocks = (node.data.size() + 511) / 512;
    attr.mode = node.mode;
    attr.nlink = S_ISDIR(node.mode) ? 2 : 1;
    attr.blksize = 4096;
    return attr;
}

fuse_entry_out RawServer::entry(std::uint64_t id) const {
    fuse_entry_out out{};
    out.nodeid = id;
    out.generation = 1;
    out.entry_valid = options_.valid_seconds;
    out.attr_valid = options_.valid_seconds;
    out.attr = attributes(id);
    return out;
}

void RawServer::answer_init(const Request &request) {
    auto in = request.as<fuse_init_in>();
    fuse_init_out out{};
    offered_ = in.flags | std::uint64_t(in.flags2) << 32;
    if (!options_.answer_init)
        return;
    out.major = FUSE_KERNEL_VERSION;
    out.minor = in.minor;
    out.max_readahead = in.max_readahead;
    std::uint64_t flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_INIT_EXT |
                          (options_.async_read ? FUSE_ASYNC_READ : 0) |
                          (options_.writeback ? FUSE_WRITEBACK_CACHE : 0) | options_.init_flags;
    flags &= offered_;
    if ((flags & options_.init_flags) != options_.init_flags)
        ADD_FAILURE() << "not offered: " << std::hex << (options_.init_flags & ~flags);
    out.flags = static_cast<std::uint32_t>(flags);
    out.flags2 = static_cast<std::uint32_t>(flags >> 32);
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = options_.max_write;
    out.max_pages = static_cast<std::uint16_t>(options_.max_write / 4096);
    out.time_gran = 1;
    answer(request, options_.init ? options_.init(out) : std::string(bytes_of(out)));
}

void RawServer::answer_lookup(const Request &request, const std::string &name) {
    auto found = names_.find(name);
    if (found == names_.end())
        answer_error(request, ENOENT);
    else
        answer(request, bytes_of(entry(found->second)));
}

void RawServer::answer_set_attributes(const Request &request) {
    auto in = request.as<fuse_setattr_in>();
    Node &node = nodes_[request.header.nodeid];
    if (in.valid & FATTR_SIZE)
        node.data.resize(in.size);
    if (in.valid & FATTR_MODE)
        node.mode = (node.mode & S_IFMT) | (in.mode & 07777);
    if (in.valid & FATTR_UID)
        node.times.uid = in.uid;
    if (in.valid & FATTR_GID)
        node.times.gid = in.gid;
    if (in.valid & FATTR_MTIME) {
        node.times.mtime = in.mtime;
        node.times.mtimensec = in.mtimensec;
    }
    if (in.valid & FATTR_CTIME) {
        node.times.ctime = in.ctime;
        node.times.ctimensec = in.ctimensec;
    }
    fuse_attr_out out{};
    out.attr_valid = options_.valid_seconds;
    out.attr = attributes(request.header.nodeid);
    answer(request, bytes_of(out));
}

void RawServer::answer_create(const Request &request) {
    auto in = request.as<fuse_create_in>();
    std::string name = request.name(sizeof(in));
    std::uint64_t id = next_id_;
    if (request.header.opcode == FUSE_CREATE)
        id = names_.try_emplace(name, next_id_).first->second;
    if (id == next_id_)
        next_id_++;
    nodes_[id].mode = S_IFREG | (in.mode & 07777);
    struct {
        fuse_entry_out entry;
        fuse_open_out open;
    } out{entry(id), {}};
    out.open.open_flags = options_.open_flags;
    answer(request, bytes_of(out));
}

void RawServer::answer_read(const Request &request) {
    auto in = request.as<fuse_read_in>();
    const std::string &data = nodes_[request.header.nodeid].data;
    std::size_t at = std::min<std::size_t>(in.offset, data.size());
    answer(request, std::string_view(data).substr(at, in.size));
}

void RawServer::answer_write(const Request &request) {
    auto in = request.as<fuse_write_in>();
    std::string &data = nodes_[request.header.nodeid].data;
    if (request.body.size() != sizeof(in) + in.size) {
        ADD_FAILURE() << "WRITE of " << in.size << " bytes came with "
                      << request.body.size() - sizeof(in);
        answer_error(request, EIO);
        return;
    }
    if (data.size() < in.offset + in.size)
        data.resize(in.offset + in.size);
    data.replace(in.offset, in.size, request.body, sizeof(in), in.size);
    fuse_write_out out{in.size, 0};
    answer(request, bytes_of(out));
}

void RawServer::answer_directory(const Request &request) {
    auto in = request.as<fuse_read_in>();
    std::string out;
    std::uint64_t position = 0;
    for (const auto &[name, id] : names_) {
        if (position++ < in.offset)
            continue;
        fuse_dirent entry{id, position, static_cast<std::uint32_t>(name.size()),
                          nodes_[id].mode >> 12};
        std::string bytes(reinterpret_cast<const char *>(&entry), FUSE_NAME_OFFSET);
        bytes += name;
        bytes.resize(FUSE_DIRENT_ALIGN(bytes.size()));
        if (out.size() + bytes.size() > in.size)
            break;
        out += bytes;
    }
    answer(request, out);
}

void RawServer::answer_rename(const Request &request, std::size_t fixed, std::uint32_t flags,
                              std::uint64_t to_directory) {
    std::string from = request.name(fixed), to = request.name(fixed, 1);
    if (to_directory != FUSE_ROOT_ID || !names_.contains(from)) {
        answer_error(request, ENOENT);
    } else if (flags == RENAME_EXCHANGE) {
        if (!names_.contains(to)) {
            answer_error(request, ENOENT);
            return;
        }
        std::swap(names_[from], names_[to]);
        answer(request, {});
    } else if (flags == RENAME_NOREPLACE && names_.contains(to)) {
        answer_error(request, EEXIST);
    } else {
        names_[to] = names_[from];
        names_.erase(from);
        answer(request, {});
    }
}

void RawServer::carry_out_locked(const Request &request) {
    if (request.header.opcode != FUSE_INIT && request.header.nodeid &&
        !nodes_.contains(request.header.nodeid)) {
        answer_error(request, ESTALE);
        return;
    }
    switch (request.header.opcode) {
    case FUSE_INIT:
        return answer_init(request);
    case FUSE_LOOKUP:
        return answer_lookup(request, request.name(0));
    case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr_valid = options_.valid_seconds;
        out.attr = attributes(request.header.nodeid);
        answer(request, bytes_of(out));
        return;
    }
    case FUSE_SETATTR:
        return answer_set_attributes(request);
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
        fuse_open_out out{};
        if (request.header.opcode == FUSE_OPEN)
            out.open_flags = options_.open_flags;
        answer(request, bytes_of(out));
        return;
    }
    case FUSE_CREATE:
    case FUSE_TMPFILE:
        return answer_create(request);
    case FUSE_READ:
        return answer_read(request);
    case FUSE_WRITE:
        return answer_write(request);
    case FUSE_READDIR:
        return answer_directory(request);
    case FUSE_UNLINK:
        answer_error(request, names_.erase(request.name(0)) ? 0 : ENOENT);
        return;
    case FUSE_RENAME:
        return answer_rename(request, sizeof(fuse_rename_in), 0,
                             request.as<fuse_rename_in>().newdir);
    case FUSE_RENAME2: {
        auto in = request.as<fuse_rename2_in>();
        return answer_rename(request, sizeof(in), in.flags, in.newdir);
    }
    case FUSE_STATFS: {
        fuse_statfs_out out{};
        out.st.bsize = 4096;
        out.st.namelen = 255;
        answer(request, bytes_of(out));
        return;
    }
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        answer(request, {});
        return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return;
    case FUSE_DESTROY:
        answer(request, {});
        return;
    default:
        answer_error(request, ENOSYS);
        return;
    }
}

} // namespace fusewb::test
