// SPDX-License-Identifier: GPL-2.0-only
// One message of the device in a pipe.
#pragma once

#include <sys/types.h>

#include "support/files.h"
#include "support/raw_server.h"

namespace fusewb::test {

class Spliced {
public:
    // Takes the next request out of the device of a paused server and leaves it in a pipe.
    explicit Spliced(const RawServer &server);

    // Bytes of the message that came.
    std::size_t length() const { return static_cast<std::size_t>(length_); }
    // What is left of it, read from the pipe, as a request.
    Request take();
    // The next bytes, read from the pipe.
    std::string take(std::size_t count);
    Fd read_end;
    Fd write_end;

private:
    ssize_t length_ = 0;
};

} // namespace fusewb::test
