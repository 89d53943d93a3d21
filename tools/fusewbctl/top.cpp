// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/commands.h"
#include "fusewbctl/json.h"
#include "fusewbctl/table.h"
#include "fusewbctl/top_view.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace fusewb::ctl {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char *help = "q quit  s sort  up/down select  a abort";

volatile std::sig_atomic_t ended = 0;

void onEnd(int) { ended = 1; }

// The terminal gives keys as they are typed, on a screen of its own, until this ends.
class Screen {
public:
    Screen() {
        tcgetattr(STDIN_FILENO, &before_);
        termios raw = before_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        std::cout << "\033[?1049h\033[?25l" << std::flush;
        struct sigaction action {};
        action.sa_handler = onEnd;
        sigaction(SIGINT, &action, nullptr);
        sigaction(SIGTERM, &action, nullptr);
    }
    ~Screen() {
        std::cout << "\033[?25h\033[?1049l" << std::flush;
        tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    Screen(const Screen &) = delete;
    Screen &operator=(const Screen &) = delete;

    void show(const std::vector<std::string> &lines) const {
        std::string frame = "\033[H";
        for (std::size_t i = 0; i < lines.size(); ++i)
            frame += lines[i] + "\033[K" + (i + 1 < lines.size() ? "\r\n" : "");
        std::cout << frame << "\033[J" << std::flush;
    }

    winsize size() const {
        winsize size{};
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
            size = {24, 80, 0, 0};
        return size;
    }

private:
    termios before_{};
};

enum class Key { None, Quit, Sort, Up, Down, Abort, Yes, Other };

// One at a time, however many were typed; the arrows are three bytes each.
Key readKey() {
    char typed = 0;
    const ssize_t got = read(STDIN_FILENO, &typed, 1);
    if (got <= 0)
        return got == 0 ? Key::Quit : Key::None;
    switch (typed) {
    case 'q':
        return Key::Quit;
    case 's':
        return Key::Sort;
    case 'k':
        return Key::Up;
    case 'j':
        return Key::Down;
    case 'a':
        return Key::Abort;
    case 'y':
        return Key::Yes;
    default:
        break;
    }
    pollfd more{STDIN_FILENO, POLLIN, 0};
    char arrow[2];
    if (typed != '\033' || poll(&more, 1, 0) <= 0 ||
        read(STDIN_FILENO, arrow, sizeof arrow) != sizeof arrow || arrow[0] != '[')
        return Key::Other;
    return arrow[1] == 'A' ? Key::Up : arrow[1] == 'B' ? Key::Down : Key::Other;
}

// What there is to show, and how it came about.
class Top {
public:
    void look() {
        const auto now = Clock::now();
        std::vector<Connection> connections = bus_.connections();
        std::map<std::string, std::uint64_t> oldest;
        for (const Connection &connection : connections)
            if (connection.number("Waiting") > 0)
                oldest[connection.path] = ageOfOldest(connection.path);
        const double seconds = std::chrono::duration<double>(now - when_).count();
        rows_ = rowsOf(before_, connections, seconds, oldest);
        sortRows(rows_, order_);
        before_ = std::move(connections);
        when_ = now;
        if (!rows_.empty() && position() == rows_.size())
            selected_ = rows_.front().path;
    }

    const std::vector<TopRow> &rows() const { return rows_; }

    std::vector<std::string> screen(const winsize &size) const {
        return render(rows_, order_, selected_, message_, size.ws_col, size.ws_row);
    }

    // False to end.
    bool press(Key key) {
        const bool confirmed = asking_ && key == Key::Yes;
        const bool wasAsking = asking_;
        asking_ = false;
        message_ = help;
        switch (key) {
        case Key::Quit:
            return false;
        case Key::Sort:
            order_ = next(order_);
            sortRows(rows_, order_);
            break;
        case Key::Up:
            move(-1);
            break;
        case Key::Down:
            move(1);
            break;
        case Key::Abort:
            asking_ = position() < rows_.size();
            if (asking_)
                message_ = "abort " + rows_[position()].mountPoint + "? y to do so";
            break;
        case Key::Yes:
            if (confirmed)
                abortSelected();
            break;
        case Key::None:
            asking_ = wasAsking;
            break;
        case Key::Other:
            break;
        }
        return true;
    }

private:
    std::uint64_t ageOfOldest(const std::string &path) {
        try {
            const auto requests = bus_.requests(path, 0);
            return requests.empty() ? 0 : requests.front().ageUSec;
        } catch (const Problem &) { // it may be gone, or not be shown to this user
            return 0;
        }
    }

    std::size_t position() const {
        const auto found = std::find_if(rows_.begin(), rows_.end(), [this](const TopRow &row) {
            return row.path == selected_;
        });
        return static_cast<std::size_t>(found - rows_.begin());
    }

    void move(int by) {
        if (rows_.empty())
            return;
        const auto last = static_cast<int>(rows_.size()) - 1;
        const int to = std::clamp(static_cast<int>(position()) + by, 0, last);
        selected_ = rows_[static_cast<std::size_t>(to)].path;
    }

    void abortSelected() {
        try {
            bus_.abort(selected_);
            message_ = "aborted";
        } catch (const Problem &problem) {
            message_ = problem.what;
        }
    }

    Bus bus_;
    std::vector<Connection> before_;
    Clock::time_point when_;
    std::vector<TopRow> rows_;
    TopOrder order_ = TopOrder::Id;
    std::string selected_;
    std::string message_ = help;
    bool asking_ = false;
};

Json toJson(const TopRow &row) {
    return {{"connection", row.id},
            {"mount_point", row.mountPoint},
            {"state", row.state},
            {"requests_per_second", row.requests},
            {"bytes_read_per_second", row.bytesRead},
            {"bytes_written_per_second", row.bytesWritten},
            {"waiting", row.waiting},
            {"bytes_in_flight", row.bytesInFlight},
            {"latency_50_usec", row.typicalUSec},
            {"latency_99_usec", row.slowUSec},
            {"oldest_request_usec", row.oldestUSec}};
}

void print(Style style, const Top &top) {
    if (style == Style::Json) {
        Json all = Json::array();
        for (const TopRow &row : top.rows())
            all.push_back(toJson(row));
        std::cout << dump(all, -1) << std::endl;
        return;
    }
    const auto lines = static_cast<unsigned short>(top.rows().size() + 3);
    auto screen = top.screen({lines, 200, 0, 0});
    screen.pop_back(); // keys are of no use here
    for (const std::string &line : screen)
        std::cout << line << "\n";
    std::cout << std::flush;
}

int milliseconds(double seconds) {
    return static_cast<int>(std::clamp(seconds, 0.1, 3600.0) * 1000);
}

} // namespace

Exit top(Style style, const TopOptions &options) {
    Top state;
    state.look();
    const bool live =
        style == Style::Text && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
    if (!live || options.rounds > 0) {
        for (unsigned round = 0; options.rounds == 0 || round < options.rounds; ++round) {
            poll(nullptr, 0, milliseconds(options.seconds));
            state.look();
            print(style, state);
        }
        return Exit::Success;
    }
    const Screen screen;
    auto due = Clock::now();
    while (ended == 0) {
        screen.show(state.screen(screen.size()));
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(due - Clock::now()).count();
        pollfd keys{STDIN_FILENO, POLLIN, 0};
        const int ready = poll(&keys, 1, static_cast<int>(std::max<long>(left, 0)));
        if (ready > 0 && !state.press(readKey()))
            break;
        if (Clock::now() >= due) {
            state.look();
            due = Clock::now() + std::chrono::milliseconds(milliseconds(options.seconds));
        }
    }
    return Exit::Success;
}

} // namespace fusewb::ctl
