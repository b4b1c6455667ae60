/* SPDX-License-Identifier: Apache-2.0
 *
 * To the worker of the receive queue, and back: inspection, what happens when no worker answers,
 * and packets that a worker has given back.
 *
 * Before: flow.h.
 */
#ifndef PALISADE_REDIRECT_H
#define PALISADE_REDIRECT_H

#include "flow.h"
#include "verdict.h"

/* A worker that has not beaten for longer than the timeout counts as gone. Zero: it says so. */
static __always_inline bool worker_is_alive(__u32 index, __u64 now)
{
	__u32 zero = 0;
	const volatile struct palisade_state *shared = bpf_map_lookup_elem(&state, &zero);
	const volatile __u64 *beat = bpf_map_lookup_elem(&heartbeats, &index);

	__u64 last = beat ? *beat : 0;

	return shared && last && idle_ns(last, now) <= shared->heartbeat_timeout_ns;
}

/* No worker: the interface's settings decide. A stranger that is let in so stays one. */
static __always_inline int miss(const struct palisade_interface *interface,
				const struct palisade_endpoint *endpoint,
				const struct packet *packet, __u32 in_force, __u64 now)
{
	if (interface->when_workers_fail == ACTION_PASS)
		remember_stranger(packet, endpoint, REASON_NO_WORKER,
				  no_generation(in_force), now);
	return act(packet, interface->when_workers_fail, REASON_NO_WORKER);
}

static __always_inline int inspect(struct xdp_md *context,
				   const struct palisade_interface *interface,
				   const struct palisade_endpoint *endpoint,
				   const struct packet *packet, __u32 in_force, __u64 now)
{
	__u32 queue = context->rx_queue_index;
	__u32 index = SLOT * PALISADE_MAX_QUEUES + queue;

	if (queue >= interface->queues || queue >= PALISADE_MAX_QUEUES ||
	    packet->length > interface->frame_bytes_max || !worker_is_alive(index, now) ||
	    bpf_redirect_map(&sockets, index, XDP_ABORTED) != XDP_REDIRECT)
		return miss(interface, endpoint, packet, in_force, now);

	count(packet, VERDICT_INSPECT,
	      packet->fragment == FRAGMENT_WHOLE ? REASON_NEEDS_POLICY : REASON_NEEDS_FRAGMENT);
	return XDP_REDIRECT;
}

/* === given back === */

/* Does the frame carry this interface's shim? */
static __always_inline bool is_given_back(struct xdp_md *context,
					  const struct palisade_interface *interface)
{
	struct palisade_shim *shim = (void *)(long)context->data;
	__u64 token;

	if (interface->shim_token == 0 ||
	    (void *)(shim + 1) > (void *)(long)context->data_end ||
	    shim->ethertype[0] != SHIM_ETHERTYPE >> 8 ||
	    shim->ethertype[1] != (SHIM_ETHERTYPE & 0xff))
		return false;
	__builtin_memcpy(&token, shim->token, sizeof(token));
	return token == interface->shim_token;
}

/* The packet was counted when it came in for the first time. */
static __always_inline int take_back(struct xdp_md *context)
{
	if (bpf_xdp_adjust_head(context, sizeof(struct palisade_shim)))
		return XDP_DROP;
	return XDP_PASS;
}

#endif
