// SPDX-License-Identifier: Apache-2.0
/*
 * The programs. Each reads as the data path does; the steps stand in the headers.
 *
 *   palisade_xdp        what arrives: ban, then flow, endpoint and policy, or the workers
 *   palisade_egress     what leaves: policy of the endpoint, and the flows that start here
 *   palisade_give_back  what a worker has accepted: becomes ingress of the real interface
 */
#include "maps.h"
#include "frame.h"
#include "parse.h"
#include "guard.h"
#include "ban.h"
#include "endpoint.h"
#include "flow.h"
#include "counters.h"
#include "events.h"
#include "verdict.h"
#include "redirect.h"
#include "policy.h"
#include "egress.h"

#define TC_NEXT (-1) /* TCX_NEXT and TC_ACT_UNSPEC: let the next program decide */
#define TC_SHOT 2

static __always_inline struct palisade_interface *own_interface(void)
{
	__u32 slot = SLOT;

	return bpf_map_lookup_elem(&interfaces, &slot);
}

/* A packet that no ban drops, on an interface with endpoints. Fragments have no flow of their own:
 * the worker keeps them together. */
static __always_inline int judge(struct xdp_md *context,
				 const struct palisade_interface *interface,
				 const struct packet *packet)
{
	const __u32 in_force = generation_in_force();
	const struct palisade_flow_verdict *verdict;
	const struct palisade_endpoint *endpoint;
	__u64 now;

	endpoint = endpoint_at(packet->flow.destination);
	if (!endpoint)
		return pass(packet, REASON_NO_POLICY);

	now = bpf_ktime_get_ns();
	if (packet->fragment == FRAGMENT_WHOLE) {
		if (is_reply(packet, now))
			return pass(packet, REASON_REPLY);
		verdict = flow_verdict(packet, in_force, now);
		if (verdict && verdict->verdict == VERDICT_PASS)
			return pass(packet, REASON_FLOW_ESTABLISHED);
		if (verdict)
			return drop(packet, verdict->reason);
	}
	if (!is_ingress_isolated(endpoint)) {
		remember_stranger(packet, endpoint, REASON_NO_POLICY, in_force, now);
		return pass(packet, REASON_NO_POLICY);
	}
	if (packet->fragment == FRAGMENT_WHOLE && is_always_open(packet)) {
		remember_stranger(packet, endpoint, REASON_GUARDED, no_generation(in_force), now);
		return pass(packet, REASON_GUARDED);
	}
	return inspect(context, interface, endpoint, packet, in_force, now);
}

SEC("xdp.frags")
int palisade_xdp(struct xdp_md *context)
{
	const struct palisade_interface *interface = own_interface();
	struct packet packet = {};

	if (!interface)
		return XDP_PASS; /* cannot happen: SLOT is in range */
	if (is_given_back(context, interface))
		return take_back(context);

	packet.length = bpf_xdp_get_buff_len(context);
	switch (parse_packet(context, HOOK_XDP, &packet)) {
	case PARSED_MALFORMED:
		return drop(&packet, REASON_MALFORMED);
	case PARSED_NOT_IP:
		return pass(&packet, REASON_NOT_IP);
	case PARSED_ENCAPSULATED:
		return act(&packet, interface->encapsulated, REASON_UNSUPPORTED_ENCAPSULATION);
	case PARSED_IP:
		break;
	}

	if (is_neighbour_discovery(&packet))
		return pass(&packet, REASON_GUARDED);
	if (is_dhcp_to_client(&packet) && is_link_local_or_unspecified(&packet))
		return pass(&packet, REASON_GUARDED);
	if (is_banned(&packet))
		return drop(&packet, REASON_BANNED);
	if (is_dhcp_to_client(&packet))
		return pass(&packet, REASON_GUARDED);
	if (!(interface->flags & INTERFACE_JUDGE))
		return pass(&packet, REASON_NO_POLICY);
	return judge(context, interface, &packet);
}

SEC("classifier")
int palisade_egress(struct __sk_buff *skb)
{
	const struct palisade_interface *interface = own_interface();
	const struct palisade_endpoint *endpoint;
	struct packet packet = { .length = skb->len };
	enum palisade_reason reason;
	enum parsed parsed;
	__u64 now;

	if (!interface || !(interface->flags & INTERFACE_JUDGE))
		return TC_NEXT;
	parsed = parse_packet(skb, HOOK_TC, &packet);
	if (parsed != PARSED_IP && parsed != PARSED_MALFORMED)
		return TC_NEXT;
	endpoint = endpoint_at(packet.flow.source);
	if (!endpoint)
		return TC_NEXT;

	now = bpf_ktime_get_ns();
	if (is_egress_isolated(endpoint)) {
		reason = parsed == PARSED_IP ? judge_leaving(skb, &packet, now) : REASON_MALFORMED;
		if (!may_leave(&packet, reason))
			return TC_SHOT;
	}
	if (parsed != PARSED_IP || packet.fragment == FRAGMENT_LATER || !packet.has_transport)
		return TC_NEXT;
	turn_around(&packet.flow);
	learn_flow(&packet, now);
	return TC_NEXT;
}

SEC("classifier")
int palisade_give_back(struct __sk_buff *skb)
{
	const struct palisade_interface *interface = own_interface();

	(void)skb;
	if (!interface || interface->ifindex == 0)
		return TC_SHOT;
	return bpf_redirect(interface->ifindex, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "Apache-2.0";
