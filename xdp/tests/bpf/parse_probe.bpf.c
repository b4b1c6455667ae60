// SPDX-License-Identifier: Apache-2.0
/* Shows what parse.h makes of a frame, for the test that holds it against the workers' parser. */
#include "maps.h"
#include "parse.h"
#include "guard.h"

/* What the test reads: one result for the frame that ran last. */
struct result {
	struct palisade_flow_key flow;
	__u32 parsed;
	__u32 fragment;
	__u32 must_pass;
	__u32 has_transport;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct result);
} results SEC(".maps");

SEC("xdp.frags")
int parse_probe(struct xdp_md *context)
{
	struct packet packet = { .length = bpf_xdp_get_buff_len(context) };
	__u32 zero = 0;
	struct result *result = bpf_map_lookup_elem(&results, &zero);

	if (!result)
		return XDP_ABORTED;
	result->parsed = parse_packet(context, HOOK_XDP, &packet);
	result->flow = packet.flow;
	result->fragment = packet.fragment;
	result->must_pass = is_neighbour_discovery(&packet) || is_dhcp_to_client(&packet);
	result->has_transport = packet.has_transport;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Apache-2.0";
