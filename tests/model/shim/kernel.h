/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The little of the kernel that module/inflight.c stands on. Every place where another task of the
 * real kernel could come between is a call to model_*(), which lets the explorer choose who is next.
 */
#ifndef MODEL_KERNEL_H
#define MODEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef int64_t loff_t;

#define U64_MAX UINT64_MAX

#ifdef __cplusplus
extern "C" {
#endif

/* A list in ascending order of the first byte stands for the tree: which data structure finds the
 * overlapping ranges is the kernel's business, that it finds them all is what counts here.
 */
struct rb_node {
	struct rb_node *next;
};

struct rb_root_cached {
	struct rb_node *first;
};

#define RB_ROOT_CACHED ((struct rb_root_cached){ NULL })

typedef struct spinlock {
	int held;
} spinlock_t;

void model_spin_lock(spinlock_t *lock);
void model_spin_unlock(spinlock_t *lock);

#define spin_lock_init(lock) ((lock)->held = 0)
#define spin_lock(lock) model_spin_lock(lock)
#define spin_unlock(lock) model_spin_unlock(lock)
#define spin_lock_irq(lock) model_spin_lock(lock)
#define spin_unlock_irq(lock) model_spin_unlock(lock)
#define spin_lock_irqsave(lock, flags) ((void)(flags), model_spin_lock(lock))
#define spin_unlock_irqrestore(lock, flags) ((void)(flags), model_spin_unlock(lock))

struct list_head {
	struct list_head *next, *prev;
};

#define INIT_LIST_HEAD(list) ((list)->next = (list)->prev = (list))

static inline void list_add_tail(struct list_head *node, struct list_head *head)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_del(struct list_head *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
}

static inline void list_del_init(struct list_head *node)
{
	list_del(node);
	INIT_LIST_HEAD(node);
}

#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define list_for_each_entry_safe(pos, n, head, member)				\
	for (pos = list_entry((head)->next, __typeof__(*pos), member),		\
	     n = list_entry(pos->member.next, __typeof__(*pos), member);		\
	     &pos->member != (head);						\
	     pos = n, n = list_entry(n->member.next, __typeof__(*n), member))

struct completion {
	unsigned int done;
};

/* Return: 0, or a negative value when killed. */
int model_wait_for_completion(struct completion *completion);
void model_complete(struct completion *completion);

#define init_completion(completion) ((completion)->done = 0)
#define complete(completion) model_complete(completion)
#define wait_for_completion_state(completion, state)			\
	((void)(state), model_wait_for_completion(completion))

#define TASK_KILLABLE 1
#define TASK_INTERRUPTIBLE 2
#define TASK_FREEZABLE_UNSAFE 4

/* Fails the run if the lock is not held. */
void model_assert_held(const spinlock_t *lock);
struct rw_semaphore {
	int writer;
};
void model_assert_held_write(const struct rw_semaphore *lock);

#define lockdep_assert_held(lock) model_assert_held(lock)
#define lockdep_assert_held_write(lock) model_assert_held_write(lock)

#define container_of(pointer, type, member)				\
	((type *)((char *)(pointer) - offsetof(type, member)))

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

#define EINTR 4
#define EBUSY 16
#define ETIMEDOUT 110

#ifdef __cplusplus
}
#endif

#endif
