/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the address one that palisade protects?
 *
 * Before: ban.h. After: flow.h.
 */
#ifndef PALISADE_ENDPOINT_H
#define PALISADE_ENDPOINT_H

#include "maps.h"

static __always_inline const struct palisade_endpoint *endpoint_at(const __u8 *address)
{
	return bpf_map_lookup_elem(&endpoints, address);
}

static __always_inline bool is_ingress_isolated(const struct palisade_endpoint *endpoint)
{
	return endpoint->flags & ENDPOINT_INGRESS_ISOLATED;
}

static __always_inline bool is_egress_isolated(const struct palisade_endpoint *endpoint)
{
	return endpoint->flags & ENDPOINT_EGRESS_ISOLATED;
}

#endif
