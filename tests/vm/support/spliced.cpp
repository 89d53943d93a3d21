// SPDX-License-Identifier: GPL-2.0-only
#include "support/spliced.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "support/guest_test.h"

namespace fusewb::test {

namespace {

constexpr std::size_t pipe_size = 1 << 20;
constexpr std::size_t page = 4096;

} // namespace

Spliced::Spliced(const RawServer &server) {
    int ends[2];
    check(pipe(ends), "pipe");
    read_end = Fd(ends[0]);
    write_end = Fd(ends[1]);
    check(fcntl(write_end, F_SETPIPE_SZ, pipe_size), "F_SETPIPE_SZ");
    EXPECT_TRUE(wait_until(10s, [&] {
        length_ = splice(server.device(), nullptr, write_end, nullptr, pipe_size - page, 0);
        return length_ > 0;
    })) << std::strerror(errno);
    length_ = std::max<ssize_t>(length_, 0);
}

std::string Spliced::take(std::size_t count) {
    std::string bytes(count, '\0');
    for (std::size_t at = 0; at < count;) {
        long n = check(read(read_end, bytes.data() + at, count - at), "read of the pipe");
        if (!n)
            throw std::runtime_error("the pipe ends early");
        at += static_cast<std::size_t>(n);
    }
    return bytes;
}

Request Spliced::take() {
    Request request{};
    std::string bytes = take(length());
    std::memcpy(&request.header, bytes.data(), std::min(sizeof(request.header), bytes.size()));
    request.body = bytes.substr(std::min(sizeof(request.header), bytes.size()));
    return request;
}

} // namespace fusewb::test
