/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the source banned? The longest prefix that covers it decides: a guard inside a wider ban is
 * an entry of its own.
 *
 * Before: guard.h. After: endpoint.h.
 */
#ifndef PALISADE_BAN_H
#define PALISADE_BAN_H

#include "maps.h"
#include "parse.h"

/* An IPv4-mapped source in an IPv6 packet is the IPv4 address: it hides from no ban. */
static __always_inline bool is_ipv4(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_banned(const struct packet *packet)
{
	const __u8 *source = packet->flow.source;
	const __u8 *effect;

	if (is_ipv4(source)) {
		struct palisade_lpm4_key key = { .prefix_length = 32 };

		__builtin_memcpy(key.address, source + 12, sizeof(key.address));
		effect = bpf_map_lookup_elem(&bans_v4, &key);
	} else {
		struct palisade_lpm6_key key = { .prefix_length = 128 };

		__builtin_memcpy(key.address, source, sizeof(key.address));
		effect = bpf_map_lookup_elem(&bans_v6, &key);
	}
	return effect && *effect == BAN_BANNED;
}

#endif
