/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a frame, in XDP and in tc alike. A frame may lie in several buffers, of which the
 * program sees only the first: what is not there is copied by the kernel.
 *
 * After: parse.h.
 */
#ifndef PALISADE_FRAME_H
#define PALISADE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Where the frame comes from. A constant wherever it is used: the verifier drops the other half. */
enum hook { HOOK_XDP, HOOK_TC };

/* Offsets up to here are read in place. The verifier wants a bound below 64 KiB. */
#define IN_PLACE_MAX 4095

/* Copies `size` bytes at `offset`, wherever they lie. False: the frame ends before. */
static __always_inline bool copy_from_frame(void *context, enum hook hook, __u32 offset, void *to,
					    __u32 size)
{
	if (hook == HOOK_XDP)
		return bpf_xdp_load_bytes(context, offset, to, size) == 0;
	return bpf_skb_load_bytes(context, offset, to, size) == 0;
}

/* The same with loads instead of a call where the first buffer holds the bytes. `size` is a
 * constant. Words are read unaligned, which x86-64 and arm64 do. */
static __always_inline bool read_frame(void *context, enum hook hook, __u32 offset, void *to,
				       __u32 size)
{
	if (hook == HOOK_XDP && offset <= IN_PLACE_MAX) {
		struct xdp_md *xdp = context;
		void *from = (void *)(long)xdp->data + offset;

		if (from + size <= (void *)(long)xdp->data_end) {
			if (size % 4 == 0)
				__builtin_memcpy(__builtin_assume_aligned(to, 4),
						 __builtin_assume_aligned(from, 4), size);
			else if (size % 2 == 0)
				__builtin_memcpy(__builtin_assume_aligned(to, 2),
						 __builtin_assume_aligned(from, 2), size);
			else
				__builtin_memcpy(to, from, size);
			return true;
		}
	}
	return copy_from_frame(context, hook, offset, to, size);
}

#endif
