// SPDX-License-Identifier: GPL-2.0-only
// What an administrator set by hand, kept over a restart of the daemon. It lies below /run, since
// no connection outlives the kernel.
#pragma once

#include "base/result.h"
#include "model/connection.h"

#include <string>

namespace fusewb::core {

class Store {
public:
    /// The directory is made when there is something to keep. An empty name keeps nothing.
    explicit Store(std::string directory) : directory_(std::move(directory)) {}

    /// What is kept for the connection: nothing, if there is no file that can be read.
    policy::Values load(const model::KernelFacts &facts) const;

    /// Keeps the values, at once and whole; none at all take the file away.
    Outcome save(const model::KernelFacts &facts, const policy::Values &values) const;

    /// Takes away what is kept for connections that are not among these.
    void prune(const std::vector<model::KernelFacts> &alive) const;

private:
    std::string pathOf(const model::KernelFacts &facts) const;

    std::string directory_;
};

} // namespace fusewb::core
