// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/top_view.h"

#include "fusewbctl/table.h"

#include <algorithm>

namespace fusewb::ctl {

namespace {

double rate(std::uint64_t before, std::uint64_t after, double seconds) {
    return after > before && seconds > 0 ? static_cast<double>(after - before) / seconds : 0;
}

std::uint64_t written(const Connection &connection) {
    return connection.number("BytesDirect") + connection.number("BytesCopied");
}

std::string orDash(std::uint64_t usec) { return usec == 0 ? "-" : shortDuration(usec); }

std::string left(const std::string &text, std::size_t width) {
    std::string cell = cut(text, width);
    cell.append(width - widthOf(cell), ' ');
    return cell;
}

std::string right(const std::string &text, std::size_t width) {
    const std::size_t is = widthOf(text);
    return is >= width ? cut(text, width) : std::string(width - is, ' ') + text;
}

// 80 columns: all but the last have a width of their own.
std::string lineOf(const std::vector<std::string> &cells) {
    constexpr std::size_t widths[] = {5, 7, 7, 7, 6, 9, 7, 7, 7};
    std::string line = left(cells[0], widths[0]);
    for (std::size_t i = 1; i + 1 < cells.size(); ++i)
        line += right(cells[i], widths[i]);
    return line + "  " + cells.back();
}

} // namespace

std::string_view name(TopOrder order) {
    switch (order) {
    case TopOrder::Id:
        return "number";
    case TopOrder::Requests:
        return "requests";
    case TopOrder::Written:
        return "written";
    case TopOrder::Waiting:
        return "waiting";
    case TopOrder::Slow:
        return "99% latency";
    case TopOrder::Oldest:
        break;
    }
    return "oldest request";
}

TopOrder next(TopOrder order) {
    return order == TopOrder::Oldest ? TopOrder::Id
                                     : static_cast<TopOrder>(static_cast<int>(order) + 1);
}

Histogram histogramOf(const Connection &connection) {
    Histogram sum;
    for (const auto &[operations, counts] :
         connection.get<std::map<std::string, std::vector<std::uint64_t>>>("Latencies")) {
        sum.resize(std::max(sum.size(), counts.size()));
        for (std::size_t i = 0; i < counts.size(); ++i)
            sum[i] += counts[i];
    }
    return sum;
}

std::uint64_t percentile(const Histogram &histogram, double share) {
    std::uint64_t all = 0;
    for (const std::uint64_t count : histogram)
        all += count;
    const double wanted = static_cast<double>(all) * share;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < histogram.size(); ++i) {
        seen += histogram[i];
        if (histogram[i] > 0 && static_cast<double>(seen) >= wanted)
            return std::uint64_t{1} << std::min<std::size_t>(i, 63);
    }
    return 0;
}

std::vector<TopRow> rowsOf(const std::vector<Connection> &before,
                           const std::vector<Connection> &after, double seconds,
                           const std::map<std::string, std::uint64_t> &oldest) {
    std::vector<TopRow> rows;
    for (const Connection &now : after) {
        TopRow row;
        row.path = now.path;
        row.id = now.id();
        const auto points = now.get<std::vector<std::string>>("MountPoints");
        row.mountPoint = points.empty() ? "-" : printable(points.front());
        row.state = now.text("State");
        row.waiting = now.number("Waiting");
        row.bytesInFlight = now.number("BytesInFlight");
        if (const auto age = oldest.find(now.path); age != oldest.end())
            row.oldestUSec = age->second;
        const auto then = std::find_if(before.begin(), before.end(),
                                       [&now](const Connection &c) { return c.path == now.path; });
        if (then != before.end()) {
            row.requests = rate(then->number("Requests"), now.number("Requests"), seconds);
            row.bytesRead = rate(then->number("BytesRead"), now.number("BytesRead"), seconds);
            row.bytesWritten = rate(written(*then), written(now), seconds);
            Histogram between = histogramOf(now);
            const Histogram earlier = histogramOf(*then);
            for (std::size_t i = 0; i < std::min(between.size(), earlier.size()); ++i)
                between[i] -= std::min(between[i], earlier[i]);
            row.typicalUSec = percentile(between, 0.5);
            row.slowUSec = percentile(between, 0.99);
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

void sortRows(std::vector<TopRow> &rows, TopOrder order) {
    std::stable_sort(rows.begin(), rows.end(), [order](const TopRow &a, const TopRow &b) {
        switch (order) {
        case TopOrder::Id:
            return a.id < b.id;
        case TopOrder::Requests:
            return a.requests > b.requests;
        case TopOrder::Written:
            return a.bytesWritten > b.bytesWritten;
        case TopOrder::Waiting:
            return a.waiting > b.waiting;
        case TopOrder::Slow:
            return a.slowUSec > b.slowUSec;
        case TopOrder::Oldest:
            break;
        }
        return a.oldestUSec > b.oldestUSec;
    });
}

std::vector<std::string> render(const std::vector<TopRow> &rows, TopOrder order,
                                const std::string &selected, const std::string &message,
                                std::size_t columns, std::size_t lines) {
    std::vector<std::string> screen;
    screen.push_back("fusewb: " + std::to_string(rows.size()) +
                     (rows.size() == 1 ? " connection" : " connections") + ", by " +
                     std::string(name(order)));
    screen.push_back(
        coloured(Colour::Bold, lineOf({"ID", "REQ/s", "READ/s", "WRIT/s", "WAIT", "INFLIGHT", "50%",
                                       "99%", "OLDEST", "MOUNTED AT"})));
    // Two lines of heading above, one of help below.
    const std::size_t room = lines > 3 ? lines - 3 : 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].path == selected && i >= room)
            first = i - room + 1;
    for (std::size_t i = first; i < rows.size() && i < first + room; ++i) {
        const TopRow &row = rows[i];
        const std::string id = (row.path == selected ? ">" : " ") + std::to_string(row.id);
        const std::string line =
            lineOf({id, shortNumber(row.requests), shortNumber(row.bytesRead),
                    shortNumber(row.bytesWritten), std::to_string(row.waiting),
                    shortNumber(static_cast<double>(row.bytesInFlight)), orDash(row.typicalUSec),
                    orDash(row.slowUSec), orDash(row.oldestUSec),
                    row.mountPoint + (row.state == "ready" ? "" : " (" + row.state + ")")});
        screen.push_back(row.state == "aborted" ? coloured(Colour::Red, line) : line);
    }
    screen.push_back(message);
    while (screen.size() > std::max<std::size_t>(lines, 1))
        screen.erase(screen.end() - 2);
    for (std::string &line : screen)
        line = cut(line, columns);
    return screen;
}

} // namespace fusewb::ctl
