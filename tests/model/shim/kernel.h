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

/* Bits of the tasks that are on the queue, and of those that were woken from it. */
typedef struct wait_queue_head {
	unsigned int waiting;
	unsigned int woken;
} wait_queue_head_t;

void model_prepare_to_wait(wait_queue_head_t *queue);
/* Return: 0 when woken, a negative value when killed. */
long model_sleep(wait_queue_head_t *queue);
void model_finish_wait(wait_queue_head_t *queue);
void model_wake_up_all(wait_queue_head_t *queue);
bool model_waitqueue_active(wait_queue_head_t *queue);

#define init_waitqueue_head(queue) (*(queue) = (wait_queue_head_t){ 0, 0 })
#define wake_up_all(queue) model_wake_up_all(queue)
#define wake_up(queue) model_wake_up_all(queue)
#define waitqueue_active(queue) model_waitqueue_active(queue)

#define TASK_KILLABLE 1
#define TASK_INTERRUPTIBLE 2
#define TASK_FREEZABLE_UNSAFE 4

#define wait_event_state(queue, condition, state)			\
	({								\
		long error_ = 0;					\
		(void)(state);						\
		while (!(condition)) {					\
			model_prepare_to_wait(&(queue));		\
			if (condition)					\
				break;					\
			error_ = model_sleep(&(queue));			\
			if (error_)					\
				break;					\
		}							\
		model_finish_wait(&(queue));				\
		error_;							\
	})

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
#define ETIMEDOUT 110

#ifdef __cplusplus
}
#endif

#endif
