/* SPDX-License-Identifier: Apache-2.0
 *
 * Samples of what is dropped. Each CPU may report a few packets a window, whatever arrives, so a
 * flood costs no more than a trickle. A sample that finds the ring full is counted as lost.
 */
#ifndef PALISADE_EVENTS_H
#define PALISADE_EVENTS_H

#include "maps.h"
#include "parse.h"

/* A window is 2^5 jiffies: 128 ms at 250 Hz, 32 ms at 1000 Hz. */
#define EVENT_WINDOW_SHIFT 5
#define EVENTS_PER_WINDOW 8

static __always_inline bool spend_event_budget(void)
{
	__u64 window = bpf_jiffies64() >> EVENT_WINDOW_SHIFT;
	__u32 zero = 0;
	struct event_budget *budget = bpf_map_lookup_elem(&event_budgets, &zero);

	if (!budget)
		return false;
	if (budget->window != window) {
		budget->window = window;
		budget->used = 0;
	}
	if (budget->used >= EVENTS_PER_WINDOW)
		return false;
	budget->used++;
	return true;
}

static __always_inline void count_lost_event(void)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&events_lost, &zero);

	if (lost)
		(*lost)++;
}

static __noinline void sample(const struct packet *packet, __u32 stage, __u32 verdict,
			      __u32 reason)
{
	struct palisade_event *event;

	if (!spend_event_budget())
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_lost_event();
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	__builtin_memcpy(event->source, packet->flow.source, 16);
	__builtin_memcpy(event->destination, packet->flow.destination, 16);
	__builtin_memcpy(event->source_port, packet->flow.source_port, 2);
	__builtin_memcpy(event->destination_port, packet->flow.destination_port, 2);
	event->slot = SLOT;
	event->length = packet->length < 65535 ? packet->length : 65535;
	event->protocol = packet->flow.protocol;
	event->stage = stage;
	event->verdict = verdict;
	event->reason = reason;
	bpf_ringbuf_submit(event, 0);
}

#endif
