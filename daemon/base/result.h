// SPDX-License-Identifier: GPL-2.0-only
// A value or the reason why there is none.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace fusewb {

/// Why something failed: a sentence for people and, where there is one, the errno behind it.
struct Failure {
    std::string what;
    int error = 0;
};

/// Holds a T or a Failure; looking at the one that is not there is a bug of the caller.
template <typename T> class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::move(value)) {}
    Result(Failure failure) : state_(std::move(failure)) {}

    explicit operator bool() const { return std::holds_alternative<T>(state_); }
    T &operator*() { return std::get<T>(state_); }
    const T &operator*() const { return std::get<T>(state_); }
    T *operator->() { return &std::get<T>(state_); }
    const T *operator->() const { return &std::get<T>(state_); }
    const Failure &failure() const { return std::get<Failure>(state_); }

private:
    std::variant<T, Failure> state_;
};

/// Done, or the reason why not.
using Outcome = Result<std::monostate>;

inline Outcome done() { return Outcome(std::monostate{}); }

} // namespace fusewb
