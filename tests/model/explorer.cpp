// SPDX-License-Identifier: GPL-2.0-only
#include "explorer.h"

#include <cstring>
#include <stdexcept>
#include <unordered_set>

#include <ucontext.h>

namespace fusewb::model {

namespace {

constexpr std::size_t stack_size = 16384;
Explorer *current_explorer = nullptr;

std::uint64_t mix(std::uint64_t hash, const void *bytes, std::size_t size) {
    const auto *at = static_cast<const unsigned char *>(bytes);
    auto fold = [&hash](std::uint64_t word) {
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    };
    for (; size >= 8; at += 8, size -= 8) {
        std::uint64_t word;
        std::memcpy(&word, at, 8);
        fold(word);
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, at, size);
    fold(rest + size);
    return hash;
}

} // namespace

struct Explorer::Task {
    ucontext_t context;
    char *low; // of the stack's living part, the end of it that counts
    const char *where;
    Predicate predicate; // nullptr: can go on
    const void *argument;
    unsigned options; // of choose(), 1 otherwise
    unsigned chosen;
    bool done;
};

struct Explorer::Arena {
    ucontext_t scheduler;
    Task tasks[most_tasks];
    unsigned count = 0;
    unsigned running = 0;
    alignas(64) char stacks[most_tasks][stack_size];
};

struct Explorer::Step {
    unsigned task;
    unsigned option;
};

// A state with the ways that lead on from it.
struct Explorer::Node {
    std::vector<char> world;
    std::vector<Task> tasks;
    std::vector<std::vector<char>> stacks;
    std::vector<Step> steps;
    std::size_t next = 0;
};

Explorer::Explorer(void *world, std::size_t size)
    : world_(world), world_size_(size), arena_(std::make_unique<Arena>()) {
    current_explorer = this;
}

Explorer::~Explorer() { current_explorer = nullptr; }

void Explorer::add(const char *name, void (*body)()) {
    if (arena_->count == most_tasks)
        throw std::length_error("too many tasks");
    names_.push_back(name);
    bodies_.push_back(body);
    Task &task = arena_->tasks[arena_->count];
    char *stack = arena_->stacks[arena_->count];
    std::memset(static_cast<void *>(&task), 0, sizeof(task));
    std::memset(stack, 0, stack_size);
    getcontext(&task.context);
    task.context.uc_stack.ss_sp = stack;
    task.context.uc_stack.ss_size = stack_size;
    task.context.uc_link = nullptr;
    task.low = stack;
    task.where = "start";
    task.options = 1;
    makecontext(&task.context, reinterpret_cast<void (*)()>(&Explorer::enter), 2, arena_->count,
                0u);
    arena_->count++;
}

void Explorer::enter(unsigned index, unsigned) {
    current_explorer->bodies_[index]();
    current_explorer->arena_->tasks[index].done = true;
    leave("end");
}

// What the compiler keeps in registers over this call is on the stack while it lasts: the frame
// begins below what __builtin_unwind_init() has stored.
[[gnu::noinline]] void Explorer::leave(const char *where) {
    __builtin_unwind_init();
    Arena &arena = *current_explorer->arena_;
    Task &task = arena.tasks[arena.running];
    volatile char mark[16] = {};
    task.where = where;
    task.low = const_cast<char *>(mark);
    swapcontext(&task.context, &arena.scheduler);
}

void Explorer::yield(const char *where) { wait_for(where, nullptr, nullptr); }

void Explorer::wait_for(const char *where, Predicate predicate, const void *argument) {
    Arena &arena = *current_explorer->arena_;
    Task &task = arena.tasks[arena.running];
    task.predicate = predicate;
    task.argument = argument;
    leave(where);
    task.predicate = nullptr;
}

unsigned Explorer::choose(const char *where, unsigned n) {
    Arena &arena = *current_explorer->arena_;
    Task &task = arena.tasks[arena.running];
    task.options = n;
    leave(where);
    task.options = 1;
    unsigned chosen = task.chosen;
    task.chosen = 0;
    return chosen;
}

unsigned Explorer::self() { return current_explorer->arena_->running; }

bool Explorer::done(unsigned task) { return current_explorer->arena_->tasks[task].done; }

void Explorer::fail(const std::string &what) {
    if (current_explorer->failure_.empty())
        current_explorer->failure_ = what;
}

std::vector<Explorer::Step> Explorer::steps() const {
    std::vector<Step> all;
    for (unsigned i = 0; i < arena_->count; i++) {
        const Task &task = arena_->tasks[i];
        if (task.done || (task.predicate && !task.predicate(task.argument)))
            continue;
        for (unsigned option = 0; option < task.options; option++)
            all.push_back({i, option});
    }
    return all;
}

void Explorer::take(const Step &step) {
    arena_->running = step.task;
    arena_->tasks[step.task].chosen = step.option;
    swapcontext(&arena_->scheduler, &arena_->tasks[step.task].context);
}

std::uint64_t Explorer::hash() const {
    std::uint64_t hash = mix(1, world_, world_size_);
    for (unsigned i = 0; i < arena_->count; i++) {
        const Task &task = arena_->tasks[i];
        const char *top = arena_->stacks[i] + stack_size;
        hash = mix(hash, &task.where, sizeof(task.where));
        if (!task.done && task.low != arena_->stacks[i])
            hash = mix(hash, task.low, static_cast<std::size_t>(top - task.low));
    }
    return hash;
}

// Where the copy of a stack begins: below the mark there may be more of the same frame.
char *Explorer::bottom(unsigned task) const {
    char *stack = arena_->stacks[task], *low = arena_->tasks[task].low;
    return low - stack > 256 ? low - 256 : stack;
}

std::unique_ptr<Explorer::Node> Explorer::save() const {
    auto node = std::make_unique<Node>();
    const auto *world = static_cast<const char *>(world_);
    node->world.assign(world, world + world_size_);
    node->tasks.assign(arena_->tasks, arena_->tasks + arena_->count);
    for (unsigned i = 0; i < arena_->count; i++)
        node->stacks.emplace_back(bottom(i), arena_->stacks[i] + stack_size);
    node->steps = steps();
    return node;
}

void Explorer::restore(const Node &node) {
    std::memcpy(world_, node.world.data(), world_size_);
    for (unsigned i = 0; i < arena_->count; i++) {
        std::memcpy(static_cast<void *>(&arena_->tasks[i]), &node.tasks[i], sizeof(Task));
        std::memcpy(bottom(i), node.stacks[i].data(), node.stacks[i].size());
    }
}

std::string Explorer::trail(const std::vector<std::unique_ptr<Node>> &path) const {
    std::string text;
    for (const auto &node : path) {
        const Step &step = node->steps[node->next - 1];
        const Task &task = node->tasks[step.task];
        text += std::string("  ") + names_[step.task] + ": " + task.where;
        if (task.options > 1)
            text += " = " + std::to_string(step.option);
        text += "\n";
    }
    return text;
}

Explorer::Result Explorer::run(const std::function<void()> &check_step,
                               const std::function<void()> &check_end, std::size_t most_states) {
    Result result;
    std::unordered_set<std::uint64_t> seen;
    std::vector<std::unique_ptr<Node>> path;
    path.push_back(save());
    while (!path.empty() && failure_.empty()) {
        Node &node = *path.back();
        if (node.next == node.steps.size()) {
            path.pop_back();
            continue;
        }
        restore(node);
        take(node.steps[node.next++]);
        check_step();
        if (!failure_.empty())
            break;
        if (!seen.insert(hash()).second)
            continue;
        if (++result.states == most_states)
            break;
        auto next = save();
        if (!next->steps.empty()) {
            path.push_back(std::move(next));
            continue;
        }
        result.ends++;
        for (unsigned i = 0; i < arena_->count; i++)
            if (!arena_->tasks[i].done)
                fail(std::string(names_[i]) + " waits for ever: " + arena_->tasks[i].where);
        check_end();
    }
    result.exhausted = path.empty() && failure_.empty();
    if (!failure_.empty())
        result.failure = failure_ + "\nafter\n" + trail(path);
    return result;
}

} // namespace fusewb::model
