// SPDX-License-Identifier: GPL-2.0-only
// What can go wrong, in the words that the user reads and the exit codes of mount(8).
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace fusewb {

// The exit codes of mount(8) that this helper uses.
enum class ExitCode {
    success = 0,
    usage = 1, // wrong invocation, or no permission
    system = 2,
    interrupted = 8,
    mount_failure = 32,
};

struct Failure {
    ExitCode code;
    std::string cause;
    std::string remedy; // what the user can do about it; may be empty

    // One line without a newline: "mount.fusewb: CAUSE; REMEDY".
    std::string line() const;
};

// A value, or why there is none. Reading the wrong side throws std::bad_variant_access.
template <typename T> class Result {
public:
    Result(T value) : state_(std::move(value)) {}
    Result(Failure failure) : state_(std::move(failure)) {}

    explicit operator bool() const { return std::holds_alternative<T>(state_); }
    T &value() { return std::get<T>(state_); }
    const T &value() const { return std::get<T>(state_); }
    const Failure &failure() const { return std::get<Failure>(state_); }

private:
    std::variant<T, Failure> state_;
};

// For steps that yield nothing but success or a failure.
using Status = Result<std::monostate>;

} // namespace fusewb
