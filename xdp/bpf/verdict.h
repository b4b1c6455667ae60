/* SPDX-License-Identifier: Apache-2.0
 *
 * The last step of every way through the XDP program: count the packet and say what becomes of it.
 */
#ifndef PALISADE_VERDICT_H
#define PALISADE_VERDICT_H

#include "counters.h"
#include "events.h"

static __always_inline int pass(const struct packet *packet, enum palisade_reason reason)
{
	count(packet, VERDICT_PASS, reason);
	return XDP_PASS;
}

static __always_inline int drop(const struct packet *packet, enum palisade_reason reason)
{
	count(packet, VERDICT_DROP, reason);
	sample(packet, STAGE_XDP, VERDICT_DROP, reason);
	return XDP_DROP;
}

static __always_inline int act(const struct packet *packet, __u8 action,
			       enum palisade_reason reason)
{
	return action == ACTION_PASS ? pass(packet, reason) : drop(packet, reason);
}

#endif
