/* SPDX-License-Identifier: Apache-2.0
 *
 * From bytes to a packet: Ethernet, two VLAN tags, IPv4 or IPv6, transport.
 *
 *   frame -> parse_ethernet -> parse_ipv4 | parse_ipv6 -> parse_transport -> struct packet
 *
 * A header that does not hold what it claims is malformed, never guessed at. Bytes behind the
 * length that the IP header declares are padding and are not looked at. The workers parse the
 * same frames in Rust; xdp/tests/parity.rs holds the two together.
 *
 * Before: frame.h. After: guard.h.
 */
#ifndef PALISADE_PARSE_H
#define PALISADE_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>

#include "abi.h"
#include "frame.h"

enum parsed {
	PARSED_IP,
	PARSED_NOT_IP,
	PARSED_ENCAPSULATED, /* IP, perhaps, in something that is not opened here */
	PARSED_MALFORMED,
};

enum fragment { FRAGMENT_WHOLE, FRAGMENT_FIRST, FRAGMENT_LATER };

struct packet {
	struct palisade_flow_key flow;
	__u32 length; /* of the frame */
	__u32 identification; /* of a fragment; IPv6: only where it leaves */
	__u16 fragment_start; /* where a later fragment starts, in eight bytes */
	__u16 transport; /* where the transport header starts in the frame */
	__u8 version; /* 4 or 6 */
	__u8 fragment;
	__u8 hop_limit;
	__u8 extended;	    /* IPv6 extension headers stand before the transport */
	__u8 has_transport; /* its header is here as a whole */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 sctp_chunk; /* type of the first chunk, 255 when there is none */
};

/* What is left of a packet while it is parsed. */
struct cursor {
	__u32 offset;
	__u32 end; /* of the IP packet, as its header declares it */
};

#define VLAN_TAGS_MAX 2
#define EXTENSIONS_MAX 8

#define ETHERTYPE_LENGTH_MAX 0x5ff /* up to here the field is a length and LLC follows */
#define ETHERTYPE_VLAN_9100 0x9100 /* QinQ before 802.1ad had a number */

#define LSAP_SNAP 0xaa
#define LLC_UNNUMBERED 0x03

#define EXTENSION_AUTHENTICATION 51
#define EXTENSION_FRAGMENT 44
#define PROTOCOL_SCTP 132

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

#define TCP_HEADER_BYTES 20
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define SCTP_HEADER_BYTES 12
#define SCTP_NO_CHUNK 255

/* === Ethernet === */

static __always_inline bool is_vlan(__u16 ethertype)
{
	return ethertype == ETH_P_8021Q || ethertype == ETH_P_8021AD ||
	       ethertype == ETHERTYPE_VLAN_9100;
}

/* IEEE 802.3: spanning tree and its like are not IP; SNAP may wrap it. */
static __always_inline enum parsed parse_llc(void *context, enum hook hook, __u32 offset)
{
	__u8 header[8] __attribute__((aligned(4)));
	__u16 type;

	if (!read_frame(context, hook, offset, header, sizeof(header)))
		return PARSED_NOT_IP;
	if (header[0] != LSAP_SNAP || header[1] != LSAP_SNAP || header[2] != LLC_UNNUMBERED)
		return PARSED_NOT_IP;
	type = header[6] << 8 | header[7];
	return type == ETH_P_IP || type == ETH_P_IPV6 ? PARSED_ENCAPSULATED : PARSED_NOT_IP;
}

/* Leaves the cursor behind the Ethernet header and its tags. PARSED_IP: `ethertype` says which. */
static __always_inline enum parsed parse_ethernet(void *context, enum hook hook,
						  struct cursor *cursor, __u16 *ethertype)
{
	__be16 type;

	if (!read_frame(context, hook, offsetof(struct ethhdr, h_proto), &type, sizeof(type)))
		return PARSED_MALFORMED;
	cursor->offset = sizeof(struct ethhdr);

#pragma clang loop unroll(full)
	for (int tag = 0; tag < VLAN_TAGS_MAX; tag++) {
		if (!is_vlan(bpf_ntohs(type)))
			break;
		if (!read_frame(context, hook, cursor->offset + 2, &type, sizeof(type)))
			return PARSED_MALFORMED;
		cursor->offset += 4;
	}

	*ethertype = bpf_ntohs(type);
	switch (*ethertype) {
	case ETH_P_IP:
	case ETH_P_IPV6:
		return PARSED_IP;
	case ETH_P_8021Q: /* a third tag */
	case ETH_P_8021AD:
	case ETHERTYPE_VLAN_9100:
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
	case ETH_P_PPP_SES:
		return PARSED_ENCAPSULATED;
	}
	if (*ethertype <= ETHERTYPE_LENGTH_MAX)
		return parse_llc(context, hook, cursor->offset);
	return PARSED_NOT_IP;
}

/* === transport === */

static __always_inline bool is_icmp(const struct packet *packet)
{
	return packet->flow.protocol == IPPROTO_ICMP || packet->flow.protocol == IPPROTO_ICMPV6;
}

static __always_inline bool is_echo_request(const struct packet *packet)
{
	return packet->icmp_type == (packet->flow.protocol == IPPROTO_ICMP ?
					     ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST);
}

static __always_inline bool is_echo_reply(const struct packet *packet)
{
	return packet->icmp_type == (packet->flow.protocol == IPPROTO_ICMP ?
					     ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY);
}

static __always_inline bool set_ports(struct packet *packet, const __u8 *header)
{
	__builtin_memcpy(packet->flow.source_port, header, 2);
	__builtin_memcpy(packet->flow.destination_port, header + 2, 2);
	return true;
}

static __always_inline bool read_tcp(void *context, enum hook hook, struct packet *packet,
				     const struct cursor *cursor)
{
	__u8 header[TCP_HEADER_BYTES] __attribute__((aligned(4)));

	if (cursor->offset + sizeof(header) > cursor->end ||
	    !read_frame(context, hook, cursor->offset, header, sizeof(header)))
		return false;
	packet->tcp_flags = header[13];
	return set_ports(packet, header);
}

static __always_inline bool read_sctp(void *context, enum hook hook, struct packet *packet,
				      const struct cursor *cursor)
{
	__u8 header[SCTP_HEADER_BYTES] __attribute__((aligned(4)));

	if (cursor->offset + sizeof(header) > cursor->end ||
	    !read_frame(context, hook, cursor->offset, header, sizeof(header)))
		return false;
	packet->sctp_chunk = SCTP_NO_CHUNK;
	if (hook == HOOK_TC && cursor->offset + sizeof(header) < cursor->end)
		copy_from_frame(context, hook, cursor->offset + sizeof(header),
				&packet->sctp_chunk, 1);
	return set_ports(packet, header);
}

/* UDP and ICMP: the header is eight bytes long. */
static __always_inline bool read_short(void *context, enum hook hook, struct packet *packet,
				       const struct cursor *cursor)
{
	__u8 header[8] __attribute__((aligned(4)));

	if (cursor->offset + sizeof(header) > cursor->end ||
	    !read_frame(context, hook, cursor->offset, header, sizeof(header)))
		return false;
	if (packet->flow.protocol == IPPROTO_UDP)
		return set_ports(packet, header);

	packet->icmp_type = header[0];
	packet->icmp_code = header[1];
	if (is_echo_request(packet) || is_echo_reply(packet)) { /* the identifier stands for both ports */
		__builtin_memcpy(packet->flow.source_port, header + 4, 2);
		__builtin_memcpy(packet->flow.destination_port, header + 4, 2);
	}
	return true;
}

/* A transport header that is cut short is malformed, except in a first fragment: there the
 * worker denies it where a policy asks for its ports. */
static __always_inline enum parsed parse_transport(void *context, enum hook hook,
						   struct packet *packet,
						   const struct cursor *cursor)
{
	bool whole = true;

	packet->transport = cursor->offset;
	if (packet->fragment == FRAGMENT_LATER)
		return PARSED_IP;
	switch (packet->flow.protocol) {
	case IPPROTO_TCP:
		whole = read_tcp(context, hook, packet, cursor);
		break;
	case PROTOCOL_SCTP:
		whole = read_sctp(context, hook, packet, cursor);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_UDP:
		whole = read_short(context, hook, packet, cursor);
		break;
	}
	packet->has_transport = whole;
	return whole || packet->fragment == FRAGMENT_FIRST ? PARSED_IP : PARSED_MALFORMED;
}

/* === IP === */

/* What leaves through tc may be one big segment whose length field says nothing. */
static __always_inline bool may_be_oversized(enum hook hook, __u32 declared)
{
	return hook == HOOK_TC && declared == 0;
}

static __always_inline void map_ipv4(__u8 *to, __be32 address)
{
	((__u32 *)to)[0] = 0;
	((__u32 *)to)[1] = 0;
	((__u32 *)to)[2] = bpf_htonl(0xffff);
	((__u32 *)to)[3] = address;
}

static __always_inline enum parsed parse_ipv4(void *context, enum hook hook,
					      struct packet *packet, struct cursor *cursor)
{
	__u32 header_bytes, total_bytes;
	__u16 position;
	struct iphdr ip;

	if (!read_frame(context, hook, cursor->offset, &ip, sizeof(ip)))
		return PARSED_MALFORMED;
	header_bytes = ip.ihl * 4;
	total_bytes = bpf_ntohs(ip.tot_len);
	if (may_be_oversized(hook, total_bytes))
		total_bytes = packet->length - cursor->offset;
	if (ip.version != 4 || header_bytes < sizeof(ip) || total_bytes < header_bytes ||
	    cursor->offset + total_bytes > packet->length)
		return PARSED_MALFORMED;

	position = bpf_ntohs(ip.frag_off);
	if (position & 0x1fff)
		packet->fragment = FRAGMENT_LATER;
	else if (position & 0x2000)
		packet->fragment = FRAGMENT_FIRST;

	packet->fragment_start = position & 0x1fff;
	packet->identification = bpf_ntohs(ip.id);
	packet->version = 4;
	packet->hop_limit = ip.ttl;
	packet->flow.protocol = ip.protocol;
	map_ipv4(packet->flow.source, ip.saddr);
	map_ipv4(packet->flow.destination, ip.daddr);
	cursor->end = cursor->offset + total_bytes;
	cursor->offset += header_bytes;
	return PARSED_IP;
}

/* Walks the extension headers from the one numbered `next`, up to EXTENSIONS_MAX of them. Leaves
 * the transport protocol in the packet and the cursor before its header. */
static __always_inline enum parsed walk_extensions(void *context, enum hook hook,
						   struct packet *packet, struct cursor *cursor,
						   __u8 next)
{
	/* Unrolled: Linux 6.1 refuses a loop whose head is reached by falling through. */
#pragma clang loop unroll(full)
	for (int seen = 0; seen <= EXTENSIONS_MAX; seen++) {
		__u8 header[4] = {};
		__u32 bytes = 8;

		packet->flow.protocol = next;
		switch (next) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case EXTENSION_AUTHENTICATION:
			break;
		case EXTENSION_FRAGMENT:
			if (packet->fragment != FRAGMENT_WHOLE)
				return PARSED_MALFORMED; /* a fragment of a fragment */
			break;
		default:
			return PARSED_IP;
		}
		if (seen == EXTENSIONS_MAX ||
		    !copy_from_frame(context, hook, cursor->offset, header, sizeof(header)))
			return PARSED_MALFORMED;

		if (next == EXTENSION_AUTHENTICATION) {
			if (header[1] == 0)
				return PARSED_MALFORMED;
			bytes = (header[1] + 2) * 4;
		} else if (next != EXTENSION_FRAGMENT) {
			bytes = (header[1] + 1) * 8;
		} else if (header[2] || header[3] & 0xf8) {
			packet->fragment = FRAGMENT_LATER;
			packet->fragment_start = (header[2] << 8 | header[3]) >> 3;
		} else if (header[3] & 1) {
			packet->fragment = FRAGMENT_FIRST;
		}

		if (hook == HOOK_TC && next == EXTENSION_FRAGMENT &&
		    !copy_from_frame(context, hook, cursor->offset + 4, &packet->identification,
				     sizeof(packet->identification)))
			return PARSED_MALFORMED;
		cursor->offset += bytes;
		if (cursor->offset > cursor->end)
			return PARSED_MALFORMED;
		packet->extended = 1;
		next = header[0];
		if (packet->fragment == FRAGMENT_LATER) {
			packet->flow.protocol = next;
			return PARSED_IP;
		}
	}
	return PARSED_MALFORMED;
}

static __always_inline enum parsed parse_ipv6(void *context, enum hook hook,
					      struct packet *packet, struct cursor *cursor)
{
	struct ipv6hdr ip;
	__u32 payload_bytes;

	if (!read_frame(context, hook, cursor->offset, &ip, sizeof(ip)))
		return PARSED_MALFORMED;
	cursor->offset += sizeof(ip);
	payload_bytes = bpf_ntohs(ip.payload_len);
	if (may_be_oversized(hook, payload_bytes))
		payload_bytes = packet->length - cursor->offset;
	if (ip.version != 6 || cursor->offset + payload_bytes > packet->length)
		return PARSED_MALFORMED;
	if (payload_bytes == 0 && ip.nexthdr == IPPROTO_HOPOPTS)
		return PARSED_MALFORMED; /* a jumbogram */

	packet->version = 6;
	packet->hop_limit = ip.hop_limit;
	__builtin_memcpy(packet->flow.source, &ip.saddr, 16);
	__builtin_memcpy(packet->flow.destination, &ip.daddr, 16);
	cursor->end = cursor->offset + payload_bytes;
	return walk_extensions(context, hook, packet, cursor, ip.nexthdr);
}

/* Parses the frame into `packet`, of which the caller has set `length` and zeroed the rest. */
static __always_inline enum parsed parse_packet(void *context, enum hook hook,
						struct packet *packet)
{
	struct cursor cursor = {};
	__u16 ethertype = 0;
	enum parsed parsed;

	parsed = parse_ethernet(context, hook, &cursor, &ethertype);
	if (parsed != PARSED_IP)
		return parsed;
	if (ethertype == ETH_P_IP)
		parsed = parse_ipv4(context, hook, packet, &cursor);
	else
		parsed = parse_ipv6(context, hook, packet, &cursor);
	if (parsed != PARSED_IP)
		return parsed;
	return parse_transport(context, hook, packet, &cursor);
}

#endif
