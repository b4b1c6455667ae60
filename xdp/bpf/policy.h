/* SPDX-License-Identifier: Apache-2.0
 *
 * What the policies say of a new connection: the same image and the same answer as the workers.
 *
 *   header -> owner of the endpoint -> table of its group -> anyone     -> port set
 *          -> owner of the peer                           -> identity   -> port set
 *                                                         -> v4, v6     -> port set
 *
 * The image is an array of lines that is replaced as a whole: a decision takes hold of it once and
 * reads nothing of another one. Words that lead nowhere end a search, they never break it.
 * config/src/policy/image.rs reads the same lines in Rust; xdp/tests/policy.rs holds the two
 * together.
 *
 * Before: endpoint.h. After: egress.h.
 */
#ifndef PALISADE_POLICY_H
#define PALISADE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>

#include "maps.h"

enum policy_verdict { POLICY_NOT_ISOLATED, POLICY_ALLOWED, POLICY_DENIED };
enum policy_direction { POLICY_INGRESS, POLICY_EGRESS };

/* A new connection, seen from one end. */
struct policy_question {
	__u8 endpoint[16];
	__u8 peer[16];
	__u16 port; /* destination, in host order */
	__u8 protocol;
	__u8 direction;
};

#define POLICY_V4_FAN 16
#define POLICY_V6_FAN 4
#define POLICY_PORT_PROTOCOLS 3 /* TCP, UDP, SCTP: a form and a line each */

typedef const struct palisade_policy_line policy_line;

/* An address as numbers: the way the image sorts them. */
struct policy_address {
	__u64 high;
	__u64 low;
};

static __always_inline struct policy_address policy_address_of(const __u8 *bytes)
{
	const __u32 *words = (const __u32 *)bytes;

	return (struct policy_address){
		.high = (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]),
		.low = (__u64)bpf_ntohl(words[2]) << 32 | bpf_ntohl(words[3]),
	};
}

static __always_inline bool policy_is_v4(struct policy_address address)
{
	return address.high == 0 && address.low >> 32 == 0xffff;
}

static __always_inline policy_line *policy_line_at(void *image, __u32 number)
{
	return bpf_map_lookup_elem(image, &number);
}

/* === owners === */

static __always_inline __u32 policy_hash(struct policy_address address)
{
	__u64 high = address.high * POLICY_HASH_FACTOR;

	high = high << 32 | high >> 32;
	return ((high ^ address.low) * POLICY_HASH_FACTOR) >> 32;
}

static __always_inline bool policy_owns(policy_line *owner, struct policy_address address)
{
	const __u32 *words = owner->words + POLICY_OWNER_ADDRESS;

	return ((__u64)words[0] << 32 | words[1]) == address.high &&
	       ((__u64)words[2] << 32 | words[3]) == address.low;
}

static __always_inline policy_line *policy_owner(void *image, policy_line *header,
						 struct policy_address address)
{
	__u32 mask = header->words[POLICY_HEADER_OWNERS_MASK];
	__u32 first = header->words[POLICY_HEADER_OWNERS];
	__u32 home = policy_hash(address);

#pragma clang loop unroll(disable)
	for (__u32 probe = 0; probe < POLICY_PROBES_MAX; probe++) {
		policy_line *owner = policy_line_at(image, first + ((home + probe) & mask));

		if (!owner || !owner->words[POLICY_OWNER_TAKEN])
			return NULL;
		if (policy_owns(owner, address))
			return owner;
	}
	return NULL;
}

/* === port sets === */

static __always_inline bool policy_ranges_hold(void *image, __u32 number, __u32 port)
{
	policy_line *ranges = policy_line_at(image, number);

	if (!ranges)
		return false;
#pragma clang loop unroll(disable)
	for (__u32 index = 0; index < POLICY_V4_FAN; index++) {
		__u32 range = ranges->words[index];

		if (range >> 16 <= port && port <= (range & 0xffff))
			return true;
	}
	return false;
}

static __always_inline bool policy_bitmap_holds(void *image, __u32 number, __u32 port)
{
	policy_line *bits = policy_line_at(image, number + port / 512);

	return bits && bits->words[port / 32 % 16] >> (port % 32) & 1;
}

/* `slot`: PORTS_* of the protocol, or PORTS_PROTOCOLS where it has no ports. */
static __noinline bool policy_set_holds(void *image, __u32 number, __u32 slot, __u32 port)
{
	policy_line *set;
	__u32 line;

	if (!number)
		return false;
	set = policy_line_at(image, number);
	if (!set)
		return false;
	if (set->words[POLICY_SET_EVERYTHING])
		return true;
	if (slot >= PORTS_PROTOCOLS)
		return false;
	line = set->words[POLICY_SET_LINE + slot];
	switch (set->words[POLICY_SET_FORM + slot]) {
	case POLICY_FORM_ALL:
		return true;
	case POLICY_FORM_RANGES:
		return policy_ranges_hold(image, line, port & 0xffff);
	case POLICY_FORM_BITMAP:
		return policy_bitmap_holds(image, line, port & 0xffff);
	}
	return false;
}

/* === search trees === */

/* How many keys of a line are not above the one that is looked for. */
static __always_inline __u32 policy_rank_v4(policy_line *line, __u32 key)
{
	__u32 rank = 0;

#pragma clang loop unroll(full)
	for (int index = 0; index < POLICY_V4_FAN; index++)
		rank += ((__u64)line->words[index] - key - 1) >> 63;
	return rank;
}

static __always_inline __u32 policy_rank_v6(policy_line *line, struct policy_address key)
{
	__u32 rank = 0;

#pragma clang loop unroll(full)
	for (int index = 0; index < POLICY_V6_FAN; index++) {
		const __u32 *words = line->words + 4 * index;
		__u64 high = (__u64)words[0] << 32 | words[1];
		__u64 low = (__u64)words[2] << 32 | words[3];

		if (high > key.high || (high == key.high && low > key.low))
			break;
		rank++;
	}
	return rank;
}

/* The keys of a level: those of the lowest are counted, above there is one for each line below. */
static __always_inline __u32 policy_level_keys(policy_line *tree, __u32 level)
{
	if (level == 0 || level >= POLICY_LEVELS_MAX)
		return tree->words[POLICY_TREE_COUNT];
	return tree->words[POLICY_TREE_LEVEL + level] - tree->words[POLICY_TREE_LEVEL + level - 1];
}

/* Returns `value`, of which the verifier knows nothing any more: it would follow each rank on each
 * level for itself. `unknown` is any number that it does not know. */
static __always_inline __u32 policy_forget(__u32 value, __u32 unknown)
{
	value ^= unknown;
	barrier_var(value);
	return value ^ unknown;
}

/* The port set of the interval that holds `key`, whose low half alone counts in a tree of words. */
static __noinline __u32 policy_find(void *image, __u32 number, struct policy_address *key,
				    __u32 fan)
{
	__u32 levels, index = 0;
	policy_line *tree, *line;

	if (!number)
		return 0;
	tree = policy_line_at(image, number);
	if (!tree)
		return 0;
	levels = tree->words[POLICY_TREE_LEVELS];
#pragma clang loop unroll(disable)
	for (__u32 down = 0; down < POLICY_LEVELS_MAX; down++) {
		__u32 level = POLICY_LEVELS_MAX - 1 - down;
		__u32 rank, keys;

		if (level >= levels)
			continue;
		line = policy_line_at(image, tree->words[POLICY_TREE_LEVEL + level] + index);
		if (!line)
			return 0;
		rank = fan == POLICY_V4_FAN ? policy_rank_v4(line, key->low) :
					      policy_rank_v6(line, *key);
		/* Unused keys are the highest there can be, and so is sometimes what is looked for. */
		keys = policy_level_keys(tree, level);
		index = index * fan + rank - 1; /* the first key of a line led here */
		if (index >= keys)
			index = keys - 1;
		index = policy_forget(index, tree->words[POLICY_TREE_COUNT]);
	}
	line = policy_line_at(image, tree->words[POLICY_TREE_SETS] + index / POLICY_V4_FAN);
	return line ? line->words[index % POLICY_V4_FAN] : 0;
}

/* === the decision === */

static __always_inline __u32 policy_slot(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return PORTS_TCP;
	case IPPROTO_UDP:
		return PORTS_UDP;
	case IPPROTO_SCTP:
		return PORTS_SCTP;
	}
	return PORTS_PROTOCOLS;
}

/* What no policy can forbid: a pod reaching itself, and a pod's own node reaching the pod. */
static __always_inline bool policy_always_allows(const struct policy_question *question,
						 policy_line *owner, policy_line *peer)
{
	__u32 node = peer->words[POLICY_OWNER_NODE];

	if (peer->words[POLICY_OWNER_POD] == owner->words[POLICY_OWNER_POD])
		return true;
	return question->direction == POLICY_INGRESS && node &&
	       node == owner->words[POLICY_OWNER_HOME];
}

static __always_inline bool policy_table_allows(void *image, policy_line *header, __u32 number,
						const struct policy_question *question,
						struct policy_address peer, policy_line *other)
{
	__u32 slot = policy_slot(question->protocol);
	policy_line *table = policy_line_at(image, number);
	__u32 set;

	if (!table)
		return false;
	if (policy_set_holds(image, table->words[POLICY_TABLE_ANYONE], slot, question->port))
		return true;
	if (other && other->words[POLICY_OWNER_IDENTITY]) {
		struct policy_address identity = { .low = other->words[POLICY_OWNER_IDENTITY] };

		set = policy_find(image, table->words[POLICY_TABLE_IDENTITIES], &identity,
				  POLICY_V4_FAN);
		if (policy_set_holds(image, set, slot, question->port))
			return true;
	}
	if (other && header->words[POLICY_HEADER_FLAGS] & POLICY_BLOCKS_SPARE_OWNERS)
		return false;
	if (policy_is_v4(peer)) {
		peer.low &= 0xffffffff;
		set = policy_find(image, table->words[POLICY_TABLE_V4], &peer, POLICY_V4_FAN);
	} else {
		set = policy_find(image, table->words[POLICY_TABLE_V6], &peer, POLICY_V6_FAN);
	}
	return policy_set_holds(image, set, slot, question->port);
}

/* Judges a new connection: an `enum policy_verdict`. A program of its own for the verifier. */
__noinline int policy_decide(const struct policy_question *question)
{
	policy_line *header, *owner, *other;
	struct policy_address peer;
	__u32 zero = 0, table;
	void *image;

	if (!question)
		return POLICY_NOT_ISOLATED;
	image = bpf_map_lookup_elem(&policy, &zero);
	if (!image)
		return POLICY_NOT_ISOLATED; /* nothing has been published yet */
	header = policy_line_at(image, 0);
	if (!header)
		return POLICY_NOT_ISOLATED;
	owner = policy_owner(image, header, policy_address_of(question->endpoint));
	if (!owner)
		return POLICY_NOT_ISOLATED;
	table = question->direction == POLICY_EGRESS ? owner->words[POLICY_OWNER_EGRESS] :
						       owner->words[POLICY_OWNER_INGRESS];
	if (!table)
		return POLICY_NOT_ISOLATED;

	peer = policy_address_of(question->peer);
	other = policy_owner(image, header, peer);
	if (other && policy_always_allows(question, owner, other))
		return POLICY_ALLOWED;
	return policy_table_allows(image, header, table, question, peer, other) ? POLICY_ALLOWED :
										   POLICY_DENIED;
}

#endif
