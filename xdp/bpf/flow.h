/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of flows: verdicts that workers reached (`flows`), and flows that start here
 * and whose replies pass (`learned`).
 *
 * A verdict counts only under the generation it was made in. A learned flow has no generation: a
 * new policy does not break the answers to what this host asked for; a ban does, it comes first.
 *
 * Before: endpoint.h. After: redirect.h.
 */
#ifndef PALISADE_FLOW_H
#define PALISADE_FLOW_H

#include "endpoint.h"
#include "maps.h"
#include "parse.h"

/* Times of last use are written at most this often, to keep the cache line shared. */
#define REFRESH_NS 1000000000ULL

static __always_inline __u64 idle_limit_ns(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? FLOW_IDLE_TCP_NS : FLOW_IDLE_OTHER_NS;
}

/* Workers stamp with a clock read earlier: a time that lies ahead is a fresh one. */
static __always_inline __u64 idle_ns(__u64 last_seen_ns, __u64 now)
{
	return now > last_seen_ns ? now - last_seen_ns : 0;
}

/* Read before the endpoint is looked up, and once for each packet: what is then remembered of it
 * is never taken for a verdict of a policy that came in between. */
static __always_inline __u32 generation_in_force(void)
{
	__u32 zero = 0;
	const volatile struct palisade_state *shared = bpf_map_lookup_elem(&state, &zero);

	return shared ? shared->generation : 0;
}

/* The first packet of these protocols says who started the flow; the others need a note that a
 * stranger was let in, or the host's answer would look like a start. */
static __always_inline bool start_is_visible(const struct packet *packet)
{
	return packet->flow.protocol == IPPROTO_TCP || packet->flow.protocol == PROTOCOL_SCTP;
}

/* Other ICMP than echo belongs to no flow of its own. */
static __always_inline bool may_have_verdict(const struct packet *packet)
{
	return !is_icmp(packet) || is_echo_request(packet);
}

static __always_inline bool may_be_reply(const struct packet *packet)
{
	return !is_icmp(packet) || is_echo_reply(packet);
}

/* === verdicts === */

/* The verdict in force for this packet's flow, or NULL. */
static __always_inline struct palisade_flow_verdict *flow_verdict(const struct packet *packet,
								  __u32 in_force, __u64 now)
{
	struct palisade_flow_verdict *verdict;
	__u64 idle;

	if (!may_have_verdict(packet))
		return NULL;
	verdict = bpf_map_lookup_elem(&flows, &packet->flow);
	if (!verdict || verdict->generation != in_force)
		return NULL;
	idle = idle_ns(verdict->last_seen_ns, now);
	if (idle > idle_limit_ns(packet->flow.protocol))
		return NULL;
	if (idle > REFRESH_NS)
		verdict->last_seen_ns = now;
	return verdict;
}

/* A generation that is not in force now, nor soon. */
static __always_inline __u32 no_generation(__u32 in_force)
{
	return in_force - 1;
}

/* Does the egress program need to be told who started this flow? Where it judges what the endpoint
 * sends, every flow: its answers pass whatever the policy says. A connection that was there before
 * is taken for a stranger's, but a packet that accepts one is none. */
static __always_inline bool needs_note(const struct packet *packet,
				       const struct palisade_endpoint *endpoint)
{
	if (!may_have_verdict(packet))
		return false;
	if (!is_egress_isolated(endpoint))
		return packet->fragment == FRAGMENT_WHOLE && !start_is_visible(packet);
	if (packet->fragment == FRAGMENT_LATER || !packet->has_transport)
		return false;
	return packet->flow.protocol != IPPROTO_TCP ||
	       (packet->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK);
}

/* Notes that a stranger was let in without a worker's verdict. Under a generation that is never
 * in force the note is no verdict; it only tells the egress program who started the flow. */
static __always_inline void remember_stranger(const struct packet *packet,
					      const struct palisade_endpoint *endpoint, __u8 reason,
					      __u32 under_generation, __u64 now)
{
	struct palisade_flow_verdict verdict = {
		.last_seen_ns = now,
		.generation = under_generation,
		.verdict = VERDICT_PASS,
		.reason = reason,
		.flags = FLOW_ADMITTED,
	};

	if (!needs_note(packet, endpoint))
		return;
	bpf_map_update_elem(&flows, &packet->flow, &verdict, BPF_ANY);
}

/* What is remembered of a flow of which a packet was let in lately, by whatever generation. */
static __always_inline struct palisade_flow_verdict *
admitted_flow(const struct palisade_flow_key *flow, __u64 now)
{
	struct palisade_flow_verdict *verdict = bpf_map_lookup_elem(&flows, flow);

	if (!verdict || !(verdict->flags & FLOW_ADMITTED || verdict->verdict == VERDICT_PASS) ||
	    idle_ns(verdict->last_seen_ns, now) > idle_limit_ns(flow->protocol))
		return NULL;
	return verdict;
}

/* === learned flows === */

static __always_inline bool learned_expired(const struct palisade_learned_flow *flow,
					    __u8 protocol, __u64 now)
{
	__u64 limit = flow->flags & LEARNED_CLOSING ? FLOW_IDLE_CLOSING_NS :
						      idle_limit_ns(protocol);

	return idle_ns(flow->last_seen_ns, now) > limit;
}

/* Does a flow start here that has answers like this? */
static __always_inline bool is_learned(const struct palisade_flow_key *answer, __u64 now)
{
	const struct palisade_learned_flow *flow = bpf_map_lookup_elem(&learned, answer);

	return flow && !learned_expired(flow, answer->protocol, now);
}

/* Does this packet answer a flow that starts here? */
static __always_inline bool is_reply(const struct packet *packet, __u64 now)
{
	return may_be_reply(packet) && is_learned(&packet->flow, now);
}

/* Turns a packet that leaves into the flow as its answers will look. */
static __always_inline void turn_around(struct palisade_flow_key *flow)
{
	struct palisade_flow_key leaving = *flow;

	__builtin_memcpy(flow->source, leaving.destination, 16);
	__builtin_memcpy(flow->destination, leaving.source, 16);
	__builtin_memcpy(flow->source_port, leaving.destination_port, 2);
	__builtin_memcpy(flow->destination_port, leaving.source_port, 2);
}

static __always_inline bool opens_tcp(const struct packet *packet)
{
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

#define SCTP_INIT 1

/* Does this packet, which leaves, start a flow? */
static __always_inline bool starts_flow(const struct packet *packet, __u64 now)
{
	switch (packet->flow.protocol) {
	case IPPROTO_TCP:
		return opens_tcp(packet);
	case PROTOCOL_SCTP:
		return packet->sctp_chunk == SCTP_INIT;
	}
	if (is_icmp(packet))
		return is_echo_request(packet);
	return !admitted_flow(&packet->flow, now);
}

/* Learns from a packet that leaves; its flow is already turned around. */
static __always_inline void learn_flow(const struct packet *packet, __u64 now)
{
	struct palisade_learned_flow *known, fresh = { .last_seen_ns = now };
	__u8 protocol = packet->flow.protocol;

	if (is_icmp(packet) && !is_echo_request(packet))
		return;
	known = bpf_map_lookup_elem(&learned, &packet->flow);
	if (!known || learned_expired(known, protocol, now)) {
		if (starts_flow(packet, now))
			bpf_map_update_elem(&learned, &packet->flow, &fresh, BPF_ANY);
		return;
	}
	if (protocol == IPPROTO_TCP) {
		if (opens_tcp(packet))
			known->flags &= ~LEARNED_CLOSING;
		else if (packet->tcp_flags & (TCP_FIN | TCP_RST))
			known->flags |= LEARNED_CLOSING;
	}
	if (idle_ns(known->last_seen_ns, now) > REFRESH_NS)
		known->last_seen_ns = now;
}

#endif
