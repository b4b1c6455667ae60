/* SPDX-License-Identifier: Apache-2.0
 *
 * What an endpoint sends that a policy isolates for egress.
 *
 *   must pass? -> later fragment? -> answer to a stranger? -> open port? -> policy
 *
 * Answers to flows that strangers start pass as long as the strangers are let in: a verdict of an
 * older generation is asked for anew, so that a change of policy cuts what it closes. Everything
 * else is judged packet by packet, so that it cuts open flows, too.
 *
 * Before: policy.h, flow.h.
 */
#ifndef PALISADE_EGRESS_H
#define PALISADE_EGRESS_H

#include "counters.h"
#include "events.h"
#include "flow.h"
#include "guard.h"
#include "policy.h"

/* Later fragments follow their first for so long. */
#define TRAIN_NS (30ULL * 1000000000ULL)

#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_ERROR_FIRST 1 /* unreachable, too big, time exceeded, parameter problem */
#define ICMPV6_ERROR_LAST 4
#define ICMP_HEADER_BYTES 8

/* === fragments === */

static __always_inline void train_key(const struct packet *packet, struct palisade_flow_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->source, packet->flow.source, 16);
	__builtin_memcpy(key->destination, packet->flow.destination, 16);
	key->source_port[0] = packet->identification >> 24;
	key->source_port[1] = packet->identification >> 16;
	key->destination_port[0] = packet->identification >> 8;
	key->destination_port[1] = packet->identification;
	if (packet->version == 4)
		key->protocol = packet->flow.protocol;
}

static __always_inline __u32 header_eighths(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 3;
	case PROTOCOL_SCTP:
		return 2;
	}
	return 1;
}

static __always_inline void lead_train(const struct packet *packet, enum palisade_reason reason,
				       __u64 now)
{
	struct train train = {
		.first_seen_ns = now,
		.reason = reason,
		.start_least = header_eighths(packet->flow.protocol),
	};
	struct palisade_flow_key key;

	train_key(packet, &key);
	bpf_map_update_elem(&trains, &key, &train, BPF_ANY);
}

static __always_inline enum palisade_reason follow_train(const struct packet *packet, __u64 now)
{
	struct palisade_flow_key key;
	const struct train *train;

	train_key(packet, &key);
	train = bpf_map_lookup_elem(&trains, &key);
	if (!train || idle_ns(train->first_seen_ns, now) > TRAIN_NS ||
	    packet->fragment_start < train->start_least)
		return REASON_FRAGMENT_DENIED;
	return train->reason;
}

/* === answers === */

/* Packets that start a flow are no answer, whatever is known of their ports. */
static __always_inline bool is_start(const struct packet *packet)
{
	switch (packet->flow.protocol) {
	case IPPROTO_TCP:
		return opens_tcp(packet);
	case PROTOCOL_SCTP:
		return packet->sctp_chunk == SCTP_INIT;
	}
	return is_icmp(packet) && is_echo_request(packet);
}

/* Is the stranger of this flow still let in? */
static __always_inline bool is_let_in(const struct palisade_flow_verdict *verdict,
				      const struct palisade_flow_key *arriving)
{
	struct policy_question question = {
		.port = port(arriving->destination_port),
		.protocol = arriving->protocol,
		.direction = POLICY_INGRESS,
	};

	if (verdict->generation == generation_in_force())
		return verdict->verdict == VERDICT_PASS;
	__builtin_memcpy(question.endpoint, arriving->destination, 16);
	__builtin_memcpy(question.peer, arriving->source, 16);
	return policy_decide(&question) != POLICY_DENIED;
}

/* Does a packet that leaves answer a stranger's flow? */
static __always_inline enum palisade_reason answers(const struct packet *packet,
						    const struct palisade_flow_key *arriving,
						    __u64 now)
{
	bool open = is_open_port(arriving->protocol, port(arriving->destination_port));
	struct palisade_flow_verdict *verdict;

	if (open && start_is_visible(packet))
		return REASON_GUARDED;
	verdict = admitted_flow(arriving, now);
	if (!verdict)
		return REASON_POLICY_DENIED;
	if (!open && !is_let_in(verdict, arriving))
		return REASON_POLICY_DENIED;
	if (idle_ns(verdict->last_seen_ns, now) > REFRESH_NS)
		verdict->last_seen_ns = now;
	return open ? REASON_GUARDED : REASON_REPLY;
}

/* === ICMP errors === */

static __always_inline bool is_icmp_error(const struct packet *packet)
{
	__u8 type = packet->icmp_type;

	if (packet->fragment != FRAGMENT_WHOLE)
		return false;
	if (packet->flow.protocol == IPPROTO_ICMP)
		return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED ||
		       type == ICMP_PARAMETER_PROBLEM;
	return packet->flow.protocol == IPPROTO_ICMPV6 && type >= ICMPV6_ERROR_FIRST &&
	       type <= ICMPV6_ERROR_LAST;
}

/* Reads the flow of the packet that an error quotes. */
static __always_inline bool quoted_flow(struct __sk_buff *skb, const struct packet *packet,
					struct palisade_flow_key *quoted)
{
	__u32 offset = packet->transport + ICMP_HEADER_BYTES;
	__u8 ports[4];

	__builtin_memset(quoted, 0, sizeof(*quoted));
	if (packet->version == 4) {
		struct iphdr ip;

		if (!copy_from_frame(skb, HOOK_TC, offset, &ip, sizeof(ip)))
			return false;
		map_ipv4(quoted->source, ip.saddr);
		map_ipv4(quoted->destination, ip.daddr);
		quoted->protocol = ip.protocol;
		offset += ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (!copy_from_frame(skb, HOOK_TC, offset, &ip, sizeof(ip)))
			return false;
		__builtin_memcpy(quoted->source, &ip.saddr, 16);
		__builtin_memcpy(quoted->destination, &ip.daddr, 16);
		quoted->protocol = ip.nexthdr;
		offset += sizeof(ip);
	}
	switch (quoted->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case PROTOCOL_SCTP:
		if (!copy_from_frame(skb, HOOK_TC, offset, ports, sizeof(ports)))
			return false;
		__builtin_memcpy(quoted->source_port, ports, 2);
		__builtin_memcpy(quoted->destination_port, ports + 2, 2);
	}
	return true;
}

static __always_inline bool is_same_address(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

/* An error about a packet that its receiver has sent belongs to that flow. */
static __always_inline bool is_about_a_flow(struct __sk_buff *skb, const struct packet *packet,
					    __u64 now)
{
	const struct palisade_flow_verdict *verdict;
	struct palisade_flow_key quoted;

	if (!quoted_flow(skb, packet, &quoted) ||
	    !is_same_address(quoted.source, packet->flow.destination) ||
	    !is_same_address(quoted.destination, packet->flow.source))
		return false;
	if (is_learned(&quoted, now))
		return true;
	verdict = admitted_flow(&quoted, now);
	return verdict && is_let_in(verdict, &quoted);
}

/* === the decision === */

static __always_inline enum palisade_reason ask_policy(const struct packet *packet)
{
	struct policy_question question = {
		.port = port(packet->flow.destination_port),
		.protocol = packet->flow.protocol,
		.direction = POLICY_EGRESS,
	};

	__builtin_memcpy(question.endpoint, packet->flow.source, 16);
	__builtin_memcpy(question.peer, packet->flow.destination, 16);
	switch (policy_decide(&question)) {
	case POLICY_NOT_ISOLATED:
		return REASON_NO_POLICY;
	case POLICY_ALLOWED:
		return REASON_POLICY_ALLOWED;
	}
	return REASON_POLICY_DENIED;
}

static __always_inline enum palisade_reason judge_flow(struct __sk_buff *skb,
						       const struct packet *packet, __u64 now)
{
	struct palisade_flow_key arriving = packet->flow;
	enum palisade_reason reason;

	turn_around(&arriving);
	if (is_icmp_error(packet)) {
		if (is_about_a_flow(skb, packet, now))
			return REASON_REPLY;
	} else if (!is_start(packet)) {
		reason = answers(packet, &arriving, now);
		if (reason != REASON_POLICY_DENIED)
			return reason;
	}
	return ask_policy(packet);
}

/* Judges a packet that leaves an isolated endpoint: the reason tells the verdict. */
static __always_inline enum palisade_reason judge_leaving(struct __sk_buff *skb,
							  const struct packet *packet, __u64 now)
{
	enum palisade_reason reason;

	if (is_neighbour_discovery(packet) || is_dhcp_from_client(packet))
		return REASON_GUARDED;
	if (packet->fragment == FRAGMENT_LATER)
		return follow_train(packet, now);
	if (!packet->has_transport)
		return REASON_FRAGMENT_DENIED;
	reason = judge_flow(skb, packet, now);
	if (packet->fragment == FRAGMENT_FIRST)
		lead_train(packet, reason, now);
	return reason;
}

/* Counts the packet under the verdict that goes with the reason, and says whether it may leave. */
static __always_inline bool may_leave(const struct packet *packet, enum palisade_reason reason)
{
	switch (reason) {
	case REASON_POLICY_DENIED:
	case REASON_FRAGMENT_DENIED:
	case REASON_MALFORMED:
		count_in(&egress_counters, packet, VERDICT_DROP, reason);
		sample(packet, STAGE_EGRESS, VERDICT_DROP, reason);
		return false;
	default:
		count_in(&egress_counters, packet, VERDICT_PASS, reason);
		return true;
	}
}

#endif
