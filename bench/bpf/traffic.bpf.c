/* SPDX-License-Identifier: Apache-2.0
 *
 * The programs of the packet-rate benchmark: a generator for BPF_PROG_RUN with live frames, the
 * bare programs that ours is compared with, and the classifier that ends passed packets.
 *
 * The generator takes the frame it is given, writes the next source address of its list into it,
 * mends the IPv4 header checksum and redirects the frame into a veth. What a run costs beyond the
 * generator is the receiving side.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SOURCES (1 << 20)
#define ETHERNET_BYTES 14

struct settings {
	__u32 ifindex;  /* redirect target; 0: count only, to price the generator itself */
	__u32 mask;     /* list length - 1, a power of two */
	__u32 ipv6;
	__u32 checksum; /* one's complement sum of the IPv4 header with source and checksum zero */
};

struct address {
	__u8 bytes[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SOURCES);
	__type(key, __u32);
	__type(value, struct address);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} position SEC(".maps");

static __always_inline void write_ipv4_source(__u8 *header, const __u8 *source, __u32 sum)
{
	__u32 address;

	__builtin_memcpy(&address, source, 4);
	__builtin_memcpy(header + 12, source, 4);
	sum += (address & 0xffff) + (address >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*(__u16 *)(header + 10) = ~sum;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	__u8 *header = (void *)(long)ctx->data + ETHERNET_BYTES;
	__u32 zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	__u32 *next = bpf_map_lookup_elem(&position, &zero);

	if (!set || !next || (void *)(header + 40) > end)
		return XDP_ABORTED;

	__u32 index = (*next)++ & set->mask & (SOURCES - 1);
	struct address *source = bpf_map_lookup_elem(&sources, &index);

	if (!source)
		return XDP_ABORTED;
	if (set->ipv6)
		__builtin_memcpy(header + 8, source->bytes, 16);
	else
		write_ipv4_source(header, source->bytes, set->checksum);
	return set->ifindex ? bpf_redirect(set->ifindex, 0) : XDP_DROP;
}

SEC("xdp.frags")
int bare_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int bare_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("classifier")
int end_of_path(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
