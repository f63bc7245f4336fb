/* base/cleanup.h -- cleanup attributes and the explicit hand-over of ownership ("take").
 * Three lifetimes only: the stack with SKF_AUTO, a request's arena, a long-lived object with _free. */
#pragma once
#include "base/fwd.h"
#include <stdlib.h>

#define SKF_AUTO(fn)  __attribute__((cleanup(fn)))
#define SKF_AUTO_FREE SKF_AUTO(skf_freep)
#define SKF_AUTO_FD   SKF_AUTO(skf_close_fd)
#define SKF_AUTO_DIR  SKF_AUTO(skf_closedirp)

/* Defines fn##p(type **) for use with SKF_AUTO; fn must accept NULL. */
#define SKF_DEFINE_AUTO(type, fn)                                                                           \
	static inline void fn##p(type **p_)                                                                 \
	{                                                                                                   \
		fn(*p_);                                                                                    \
	}

/* Moves a pointer (or fd) out of a variable and leaves NULL (or -EBADF) behind. */
#define SKF_TAKE(p)                                                                                         \
	__extension__({                                                                                     \
		__typeof__(p) *q_ = &(p), v_ = *q_;                                                         \
		*q_ = NULL;                                                                                 \
		v_;                                                                                         \
	})
#define SKF_TAKE_FD(f)                                                                                      \
	__extension__({                                                                                     \
		int *q_ = &(f), v_ = *q_;                                                                   \
		*q_ = -EBADF;                                                                               \
		v_;                                                                                         \
	})

void skf_close(int fd); /* ignores fd < 0, keeps errno */

/* By value, so that the descriptor may live in a register: a variable whose address goes out needs a place
 * on the stack, and its function a stack protector. */
static inline __attribute__((always_inline)) void skf_close_fd(const int *fd)
{
	skf_close(*fd);
}

static inline void skf_freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}
