// SPDX-License-Identifier: GPL-2.0-only
// Runs a handful of tasks in every order in which they can come between each other.
//
// Each task is a coroutine on a stack of its own. Between two yields it runs alone; at a yield the
// explorer continues with every task that can go on, one after another, from the same state: it
// keeps copies of the world and the stacks and puts them back. A state that was seen before, by a
// hash over the world and the living part of the stacks, is not gone into again. So a run ends when
// there is no new state, and then all interleavings were seen.
//
// The world and all that tasks share must be one plain object without pointers out of it but to
// itself and to the stacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fusewb::model {

using Predicate = bool (*)(const void *);

class Explorer {
public:
    static constexpr unsigned most_tasks = 6;

    // The world is copied and compared byte by byte.
    Explorer(void *world, std::size_t size);
    ~Explorer();
    Explorer(const Explorer &) = delete;
    Explorer &operator=(const Explorer &) = delete;

    void add(const char *name, void (*body)());

    struct Result {
        std::string failure; // empty: none; otherwise what failed and the way that led there
        std::size_t states = 0;
        std::size_t ends = 0;
        bool exhausted = false; // false: the limit of states was reached
    };
    // The check runs after each step, the last one when nothing can go on any more. Both call
    // fail().
    Result run(const std::function<void()> &check_step, const std::function<void()> &check_end,
               std::size_t most_states = 4'000'000);

    // For the code under test, in a task.
    // A place where others may come between; the name tells of it in a report.
    static void yield(const char *where);
    // Goes on when the predicate holds.
    static void wait_for(const char *where, Predicate predicate, const void *argument);
    // All values from 0 to n - 1, in runs of their own.
    static unsigned choose(const char *where, unsigned n);
    static unsigned self();
    // Ends this run.
    static void fail(const std::string &what);
    static bool done(unsigned task);

private:
    struct Task;
    struct Arena;
    struct Step;
    struct Node;

    static void leave(const char *where);
    static void enter(unsigned low, unsigned high);
    std::vector<Step> steps() const;
    void take(const Step &step);
    std::uint64_t hash() const;
    char *bottom(unsigned task) const;
    std::unique_ptr<Node> save() const;
    void restore(const Node &node);
    std::string trail(const std::vector<std::unique_ptr<Node>> &path) const;

    void *world_;
    std::size_t world_size_;
    std::unique_ptr<Arena> arena_;
    std::vector<const char *> names_;
    std::vector<void (*)()> bodies_;
    std::string failure_;
};

} // namespace fusewb::model
