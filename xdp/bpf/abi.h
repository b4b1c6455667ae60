/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that the kernel programs and userspace both touch: structs, limits,
 * verdicts and reasons. This file is the only definition. The BPF programs
 * include it; the crate `palisade-abi` generates its Rust types from it.
 *
 * Addresses and ports are in network byte order, everything else in host order.
 * IPv4 addresses in 16-byte fields are IPv4-mapped (::ffff:a.b.c.d).
 * A change of layout or meaning raises PALISADE_ABI_VERSION, which is part of the
 * pin path, so that two versions never share a map.
 */
#ifndef PALISADE_ABI_H
#define PALISADE_ABI_H

#include <linux/types.h>

#define PALISADE_ABI_VERSION 1

/* An interface owns one slot; (slot, queue) indexes sockets, heartbeats and worker counters. */
#define PALISADE_MAX_INTERFACES 16
#define PALISADE_MAX_QUEUES 64

#define PALISADE_MAX_BANS_V4 (16 * 1024 * 1024)
#define PALISADE_MAX_BANS_V6 (16 * 1024 * 1024)
#define PALISADE_MAX_ENDPOINTS 65536
#define PALISADE_MAX_FLOWS (1024 * 1024)
#define PALISADE_MAX_LEARNED_FLOWS (256 * 1024)
#define PALISADE_EVENT_RING_BYTES (1024 * 1024)

/* X(NAME, number, label): a verdict as counted. `inspect` and `lost` are no final word on a
 * packet of their own: an inspected packet ends as pass, drop or lost at the worker stage. */
#define PALISADE_VERDICTS(X)   \
	X(PASS, 0, "pass")     \
	X(DROP, 1, "drop")     \
	X(INSPECT, 2, "inspect") \
	X(LOST, 3, "lost")

/* X(NAME, number, label): why. The closed list of the metrics, events, API and CLI. */
#define PALISADE_REASONS(X)                                      \
	/* drops and losses */                                   \
	X(BANNED, 0, "banned")                                   \
	X(POLICY_DENIED, 1, "policy_denied")                     \
	X(MALFORMED, 2, "malformed")                             \
	X(FRAGMENT_DENIED, 3, "fragment_denied")                 \
	X(UNSUPPORTED_ENCAPSULATION, 4, "unsupported_encapsulation") \
	X(PROXY_CLIENT_BANNED, 5, "proxy_client_banned")         \
	X(PROXY_CLIENT_DENIED, 6, "proxy_client_denied")         \
	X(PROXY_HEADER_INVALID, 7, "proxy_header_invalid")       \
	X(PROXY_HEADER_MISSING, 8, "proxy_header_missing")       \
	X(PROXY_UNTRUSTED, 9, "proxy_untrusted")                 \
	X(NO_WORKER, 10, "no_worker")                            \
	X(WORKER_FULL, 11, "worker_full")                        \
	X(FLOW_TABLE_FULL, 12, "flow_table_full")                \
	X(REINJECT_FAILED, 13, "reinject_failed")                \
	/* passes */                                             \
	X(NO_POLICY, 14, "no_policy")                            \
	X(POLICY_ALLOWED, 15, "policy_allowed")                  \
	X(FLOW_ESTABLISHED, 16, "flow_established")              \
	X(GUARDED, 17, "guarded")                                \
	X(NOT_IP, 18, "not_ip")                                  \
	X(REPLY, 19, "reply")                                    \
	/* inspections */                                        \
	X(NEEDS_POLICY, 20, "needs_policy")                      \
	X(NEEDS_FRAGMENT, 21, "needs_fragment")

/* X(NAME, number, label): where a packet was judged. */
#define PALISADE_STAGES(X)   \
	X(XDP, 0, "xdp")     \
	X(WORKER, 1, "worker") \
	X(EGRESS, 2, "egress")

#define PALISADE_ENUMERATE_VERDICT(name, number, label) VERDICT_##name = number,
enum palisade_verdict { PALISADE_VERDICTS(PALISADE_ENUMERATE_VERDICT) VERDICT_COUNT };

#define PALISADE_ENUMERATE_REASON(name, number, label) REASON_##name = number,
enum palisade_reason { PALISADE_REASONS(PALISADE_ENUMERATE_REASON) REASON_COUNT };

#define PALISADE_ENUMERATE_STAGE(name, number, label) STAGE_##name = number,
enum palisade_stage { PALISADE_STAGES(PALISADE_ENUMERATE_STAGE) STAGE_COUNT };

/* Counters: one row for each interface slot and stage, one cell for each verdict and reason. */
#define PALISADE_COUNTER_ROW (VERDICT_COUNT * REASON_COUNT)

struct palisade_counter {
	__u64 packets;
	__u64 bytes;
};

/* Keys of the ban tables, as BPF_MAP_TYPE_LPM_TRIE wants them. */
struct palisade_lpm4_key {
	__u32 prefix_length;
	__u8 address[4];
};

struct palisade_lpm6_key {
	__u32 prefix_length;
	__u8 address[16];
};

/* Value of the ban tables. A guard inside a wider ban is an entry of its own that exempts. */
#define BAN_EXEMPT 0
#define BAN_BANNED 1

/* A flow as its packets arrive here: `source` is the remote end. ICMP echo carries its identifier
 * in both ports; protocols without ports carry zero. */
struct palisade_flow_key {
	__u8 source[16];
	__u8 destination[16];
	__u8 source_port[2];
	__u8 destination_port[2];
	__u8 protocol;
	__u8 reserved[3]; /* zero */
};

/* The host has seen a packet of this flow that came from outside: its own packets of the flow
 * are answers, and do not start it. Sticky when a later generation denies the flow. */
#define FLOW_ADMITTED 1

struct palisade_flow_verdict {
	__u64 last_seen_ns; /* CLOCK_MONOTONIC */
	__u32 generation;
	__u8 verdict; /* pass or drop */
	__u8 reason;
	__u8 flags;
	__u8 reserved; /* zero */
};

/* A flow that starts here, learned by the egress program. */
#define LEARNED_CLOSING 1 /* FIN or RST seen: it expires soon */

struct palisade_learned_flow {
	__u64 last_seen_ns; /* CLOCK_MONOTONIC */
	__u32 flags;
	__u32 reserved; /* zero */
};

#define ENDPOINT_INGRESS_ISOLATED 1 /* a policy selects it: what it receives is judged */
#define ENDPOINT_EGRESS_ISOLATED 2  /* a policy selects it: what it sends is judged */

struct palisade_endpoint {
	__u32 flags;
	__u32 reserved; /* zero */
};

/* === the policy image ===
 *
 * The compiled policies as lines of 64 bytes, written by `palisade-config`, read by policy.h and by
 * the workers. Line 0 is the header. A line is named by its number; number 0 says "none". All words
 * are in host order; an address is four words, the most significant first. */
struct palisade_policy_line {
	__u32 words[16];
};

/* Words of the header. The owners are an open hash table of 2^n lines that wraps around. */
#define POLICY_HEADER_LINES 0 /* of the whole image */
#define POLICY_HEADER_GENERATION 1
#define POLICY_HEADER_FLAGS 2
#define POLICY_HEADER_OWNERS 3 /* its first line */
#define POLICY_HEADER_OWNERS_MASK 4
#define POLICY_HEADER_DIGEST 5 /* two words: over the other lines */

#define POLICY_BLOCKS_SPARE_OWNERS 1 /* blocks do not mean addresses that have an owner */

/* An address and who owns it. Pods, identities and nodes are numbered from 1. */
#define POLICY_OWNER_ADDRESS 0
#define POLICY_OWNER_TAKEN 4 /* 0: nobody's line */
#define POLICY_OWNER_POD 5
#define POLICY_OWNER_IDENTITY 6
#define POLICY_OWNER_INGRESS 7 /* table of its group, 0: not isolated */
#define POLICY_OWNER_EGRESS 8
#define POLICY_OWNER_NODE 9
#define POLICY_OWNER_HOME 10 /* the node that the pod runs on */
#define POLICY_PROBES_MAX 16 /* an owner is found within so many lines, or is not there */
#define POLICY_HASH_FACTOR 0x1e3779b97f4a7c15ULL

/* What a group allows in one direction: a port set, and trees of port sets. */
#define POLICY_TABLE_ANYONE 0
#define POLICY_TABLE_IDENTITIES 1
#define POLICY_TABLE_V4 2
#define POLICY_TABLE_V6 3

/* A search tree: level 0 is all keys, sorted, the first of them 0; each level above has the first
 * key of every line below, up to a level of one line. Keys are one word or four. */
#define POLICY_TREE_COUNT 0  /* keys of level 0 */
#define POLICY_TREE_LEVELS 1 /* at least one */
#define POLICY_TREE_SETS 2   /* first of the lines that hold the port set of each key */
#define POLICY_TREE_LEVEL 3  /* first line of level 0, of level 1, ... one behind the other */
#define POLICY_LEVELS_MAX 13

/* A port set: whether it is everything, and for TCP, UDP and SCTP a form and a line. */
#define POLICY_SET_EVERYTHING 0
#define POLICY_SET_FORM 1 /* three words */
#define POLICY_SET_LINE 4 /* three words */
#define POLICY_FORM_NONE 0
#define POLICY_FORM_ALL 1
#define POLICY_FORM_RANGES 2 /* a line of first << 16 | last; the unused hold no port */
#define POLICY_FORM_BITMAP 3 /* 128 lines: port p is bit p % 32 of word p / 32 */

/* Ports that no policy closes, one bitmap for each of TCP, UDP and SCTP in this order. */
#define PORTS_TCP 0
#define PORTS_UDP 1
#define PORTS_SCTP 2
#define PORTS_PROTOCOLS 3

struct palisade_ports {
	__u64 words[1024]; /* port p: bit p % 64 of word p / 64, p in host order */
};

/* Settings of one interface slot. An unused slot has ifindex 0. */
#define INTERFACE_JUDGE 1 /* endpoints exist: steps after the ban lookup run */

#define ACTION_PASS 0
#define ACTION_DROP 1

struct palisade_interface {
	__u64 shim_token;  /* generic mode: marks packets that a worker has given back; else 0 */
	__u32 ifindex;
	__u32 flags;
	__u32 queues;
	__u32 frame_bytes_max; /* longest frame a worker can receive */
	__u8 when_workers_fail;
	__u8 encapsulated;
	__u8 reserved[6]; /* zero */
	char name[16];
};

/* In generic mode a packet given back meets the XDP program again. The worker puts this header
 * in front of it: the program removes it and lets the packet go, uncounted. */
#define SHIM_ETHERTYPE 0x88b5 /* IEEE 802 local experimental ethertype 1 */

struct palisade_shim {
	__u8 destination[6];
	__u8 source[6];
	__u8 ethertype[2];
	__u8 token[8]; /* host order */
} __attribute__((packed));

/* One element: what all programs share. */
struct palisade_state {
	__u32 generation; /* flow verdicts of another generation are no verdict */
	__u32 reserved;   /* zero */
	__u64 heartbeat_timeout_ns; /* a worker that has not beaten for so long counts as gone */
};

/* A sampled packet. */
struct palisade_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u8 source[16];
	__u8 destination[16];
	__u8 source_port[2];
	__u8 destination_port[2];
	__u16 slot;
	__u16 length; /* bytes, 65535 when longer */
	__u8 protocol;
	__u8 stage;
	__u8 verdict;
	__u8 reason;
	__u8 reserved[4]; /* zero */
};

/* Idle times after which a remembered flow is no verdict any more. */
#define FLOW_IDLE_TCP_NS (432000ULL * 1000000000ULL)
#define FLOW_IDLE_CLOSING_NS (120ULL * 1000000000ULL)
#define FLOW_IDLE_OTHER_NS (180ULL * 1000000000ULL)

#endif
