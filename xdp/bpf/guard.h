/* SPDX-License-Identifier: Apache-2.0
 *
 * What no ban and no policy may cut off, or the interface itself would stop working.
 *
 * Before: parse.h. After: ban.h.
 */
#ifndef PALISADE_GUARD_H
#define PALISADE_GUARD_H

#include "maps.h"
#include "parse.h"

#define ND_FIRST 133 /* router solicitation */
#define ND_LAST 137  /* redirect */
#define DHCPV4_CLIENT_PORT 68
#define DHCPV6_CLIENT_PORT 546

static __always_inline __u16 port(const __u8 *bytes)
{
	return (__u16)(bytes[0] << 8 | bytes[1]);
}

/* RFC 4861: hop limit 255 proves that the sender is on this link. */
static __always_inline bool is_neighbour_discovery(const struct packet *packet)
{
	return packet->version == 6 && packet->flow.protocol == IPPROTO_ICMPV6 &&
	       packet->fragment == FRAGMENT_WHOLE && !packet->extended &&
	       packet->icmp_type >= ND_FIRST && packet->icmp_type <= ND_LAST &&
	       packet->hop_limit == 255;
}

static __always_inline bool is_dhcp_to_client(const struct packet *packet)
{
	return packet->flow.protocol == IPPROTO_UDP && packet->fragment == FRAGMENT_WHOLE &&
	       port(packet->flow.destination_port) ==
		       (packet->version == 4 ? DHCPV4_CLIENT_PORT : DHCPV6_CLIENT_PORT);
}

/* A source that has no address yet, or one of this link only: no ban can mean it. */
static __always_inline bool is_link_local_or_unspecified(const struct packet *packet)
{
	const __u8 *source = packet->flow.source;
	const __u32 *words = (const __u32 *)source;

	if (packet->version == 4)
		return words[3] == 0 || (source[12] == 169 && source[13] == 254);
	return (words[0] | words[1] | words[2] | words[3]) == 0 ||
	       (source[0] == 0xfe && (source[1] & 0xc0) == 0x80);
}

#define DHCPV4_SERVER_PORT 67
#define DHCPV6_SERVER_PORT 547

static __always_inline bool is_dhcp_from_client(const struct packet *packet)
{
	__u16 source = port(packet->flow.source_port);
	__u16 destination = port(packet->flow.destination_port);

	if (packet->flow.protocol != IPPROTO_UDP || packet->fragment != FRAGMENT_WHOLE)
		return false;
	if (packet->version == 4)
		return source == DHCPV4_CLIENT_PORT && destination == DHCPV4_SERVER_PORT;
	return source == DHCPV6_CLIENT_PORT && destination == DHCPV6_SERVER_PORT;
}

/* Ports that the settings keep open whatever the policies say. Bans still apply. */
static __always_inline bool is_open_port(__u8 protocol, __u16 number)
{
	struct palisade_ports *ports;
	__u32 index;

	switch (protocol) {
	case IPPROTO_TCP:
		index = PORTS_TCP;
		break;
	case IPPROTO_UDP:
		index = PORTS_UDP;
		break;
	case PROTOCOL_SCTP:
		index = PORTS_SCTP;
		break;
	default:
		return false;
	}
	ports = bpf_map_lookup_elem(&always_open, &index);
	return ports && ports->words[number / 64] >> (number % 64) & 1;
}

static __always_inline bool is_always_open(const struct packet *packet)
{
	return is_open_port(packet->flow.protocol, port(packet->flow.destination_port));
}

#endif
