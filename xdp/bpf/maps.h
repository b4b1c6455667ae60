/* SPDX-License-Identifier: Apache-2.0
 *
 * Every map, defined once: names, sizes and flags here are what the loader compares a pinned map
 * with. All are pinned by name and shared by the programs of all interfaces.
 */
#ifndef PALISADE_MAPS_H
#define PALISADE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* The slot of the interface that this instance of the programs serves: set before loading. */
const volatile __u32 SLOT = 0;

/* === tables: written by userspace, read by packets === */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PALISADE_MAX_BANS_V4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct palisade_lpm4_key);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} bans_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PALISADE_MAX_BANS_V6);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct palisade_lpm6_key);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} bans_v6 SEC(".maps");

struct palisade_address {
	__u8 bytes[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PALISADE_MAX_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct palisade_address);
	__type(value, struct palisade_endpoint);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS_PROTOCOLS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct palisade_ports);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} always_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PALISADE_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct palisade_interface);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} interfaces SEC(".maps");

/* The policy image in force. Each is an array of its own; publishing replaces the one in the slot. */
struct palisade_policy_image {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* images may have any number of lines */
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct palisade_policy_line));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, struct palisade_policy_image);
} policy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct palisade_state);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} state SEC(".maps");

/* === flows === */

/* Verdicts that workers have reached, and strangers that were let in without one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PALISADE_MAX_FLOWS);
	__type(key, struct palisade_flow_key);
	__type(value, struct palisade_flow_verdict);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

/* Flows that start here. Only the egress program writes it, so nobody outside can flood it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PALISADE_MAX_LEARNED_FLOWS);
	__type(key, struct palisade_flow_key);
	__type(value, struct palisade_learned_flow);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} learned SEC(".maps");

/* What became of the first fragments of datagrams that leave: the later ones follow. Keyed like a
 * flow, with the identification in place of the ports. */
struct train {
	__u64 first_seen_ns;
	__u32 reason;
	__u32 start_least; /* a fragment that starts before, in eight bytes, reaches into the headers */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct palisade_flow_key);
	__type(value, struct train);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} trains SEC(".maps");

/* === workers: (slot, queue) -> index === */

#define WORKERS (PALISADE_MAX_INTERFACES * PALISADE_MAX_QUEUES)

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, WORKERS);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sockets SEC(".maps");

/* When each worker was last alive, CLOCK_MONOTONIC in nanoseconds. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WORKERS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} heartbeats SEC(".maps");

/* Written by the workers alone. Pinned here so that a restart goes on counting. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WORKERS * PALISADE_COUNTER_ROW);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct palisade_counter);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} worker_counters SEC(".maps");

/* === what the programs report === */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PALISADE_MAX_INTERFACES * PALISADE_COUNTER_ROW);
	__type(key, __u32);
	__type(value, struct palisade_counter);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counters SEC(".maps");

/* Stage egress, in the same cells. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PALISADE_MAX_INTERFACES * PALISADE_COUNTER_ROW);
	__type(key, __u32);
	__type(value, struct palisade_counter);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} egress_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PALISADE_EVENT_RING_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

/* Sampled events that found the ring full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events_lost SEC(".maps");

struct event_budget {
	__u64 window;
	__u64 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_budget);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} event_budgets SEC(".maps");

#endif
