// SPDX-License-Identifier: Apache-2.0
/* Asks policy.h one question, for the test that holds it against the Rust side. The question lies
 * behind an Ethernet header; the answer is the program's. */
#include "maps.h"
#include "policy.h"

#define FRAME_OFFSET 14

SEC("classifier")
int policy_probe(struct __sk_buff *skb)
{
	struct policy_question question;

	if (bpf_skb_load_bytes(skb, FRAME_OFFSET, &question, sizeof(question)))
		return 100;
	return policy_decide(&question);
}

char LICENSE[] SEC("license") = "Apache-2.0";
