/* SPDX-License-Identifier: Apache-2.0
 *
 * Every packet is counted once, under its verdict and the reason for it.
 */
#ifndef PALISADE_COUNTERS_H
#define PALISADE_COUNTERS_H

#include "maps.h"
#include "parse.h"

static __always_inline void count_in(void *map, const struct packet *packet,
				     enum palisade_verdict verdict, enum palisade_reason reason)
{
	__u32 key = SLOT * PALISADE_COUNTER_ROW + verdict * REASON_COUNT + reason;
	struct palisade_counter *counter = bpf_map_lookup_elem(map, &key);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += packet->length;
}

static __always_inline void count(const struct packet *packet, enum palisade_verdict verdict,
				  enum palisade_reason reason)
{
	count_in(&counters, packet, verdict, reason);
}

#endif
