// SPDX-License-Identifier: GPL-2.0-only
// What top shows, made of two looks at the counters.
#pragma once

#include "fusewbctl/bus.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fusewb::ctl {

struct TopRow {
    std::string path;
    std::uint64_t id = 0;
    std::string mountPoint;
    std::string state;
    double requests = 0; // a second, as the next two
    double bytesRead = 0;
    double bytesWritten = 0;
    std::uint64_t waiting = 0;
    std::uint64_t bytesInFlight = 0;
    std::uint64_t typicalUSec = 0; // half of the answers came faster
    std::uint64_t slowUSec = 0;    // all but one in a hundred did
    std::uint64_t oldestUSec = 0;  // age of the oldest request without an answer
};

enum class TopOrder { Id, Requests, Written, Waiting, Slow, Oldest };

std::string_view name(TopOrder order);
TopOrder next(TopOrder order);

/// Counts requests by how long they took, as the property Latencies does; all classes in one.
using Histogram = std::vector<std::uint64_t>;
Histogram histogramOf(const Connection &connection);

/// The time within which that share of the requests was answered, rounded up to a power of two
/// microseconds; 0 if there were none.
std::uint64_t percentile(const Histogram &histogram, double share);

/// A row for each connection of the second look; one that the first has not seen has no rates.
std::vector<TopRow> rowsOf(const std::vector<Connection> &before,
                           const std::vector<Connection> &after, double seconds,
                           const std::map<std::string, std::uint64_t> &oldest);

void sortRows(std::vector<TopRow> &rows, TopOrder order);

/// The screen: at most so many lines of at most so many columns. The message takes the last line.
std::vector<std::string> render(const std::vector<TopRow> &rows, TopOrder order,
                                const std::string &selected, const std::string &message,
                                std::size_t columns, std::size_t lines);

} // namespace fusewb::ctl
