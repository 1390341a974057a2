package ipsec

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
)

// SetBlockPolicies makes the owner's block policies (hop.Owner.BlockPolicies) exactly those of
// these hops. It adds new ones before it removes old ones. Where another program's policy has the
// place of one, the error names it, and the others are installed all the same. Another program's
// policy that blocks is as good as ours.
func (k *Kernel) SetBlockPolicies(hops []hop.Hop) error {
	if k.absent != nil {
		if len(hops) == 0 {
			return nil
		}
		return k.absent
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocks = nil
	for i := range hops {
		k.blocks = append(k.blocks, k.owner.BlockPolicies(&hops[i])...)
	}
	laid, err := k.policies()
	if err != nil {
		return err
	}
	there := placesOf(laid)
	wanted := make(map[place]bool, len(k.blocks))
	var refused []error
	for i := range k.blocks {
		p := &k.blocks[i]
		link, err := k.index(p)
		if err != nil {
			refused = append(refused, fmt.Errorf("xfrm: hop %s: %w", p.Hop, err))
			continue
		}
		at := placeOfPolicy(p, link)
		if wanted[at] {
			continue
		}
		wanted[at] = true
		if err := k.block(p, link, there[at]); err != nil {
			refused = append(refused, fmt.Errorf("xfrm: hop %s: block policy %s: %w", p.Hop, describe(p), err))
		}
	}
	for i := range laid {
		l := &laid[i]
		if !l.Stops || l.Priority != k.owner.BlockPolicyPriority() || wanted[l.place()] {
			continue
		}
		err := k.writer.XfrmPolicyDel(&netlink.XfrmPolicy{Dir: direction(l.Out), Index: int(l.index)})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			refused = append(refused, fmt.Errorf("xfrm: block policy %d: %w", l.index, explain(err)))
		}
	}
	return errors.Join(refused...)
}

func placesOf(all []laid) map[place]*laid {
	at := make(map[place]*laid, len(all))
	for i := range all {
		at[all[i].place()] = &all[i]
	}
	return at
}

// block adds one policy, unless the policy that is there blocks as well.
func (k *Kernel) block(p *hop.Policy, link int32, there *laid) error {
	if there != nil && there.Stops {
		return nil
	}
	if there != nil {
		return fmt.Errorf("another with reqid %#x and priority %d is there, which is not ours", there.Reqid, there.Priority)
	}
	err := k.writer.XfrmPolicyAdd(&netlink.XfrmPolicy{
		Src: network(p.Source), Dst: network(p.Dest), Proto: netlink.Proto(p.Protocol),
		SrcPort: int(p.SourcePort), DstPort: int(p.DestPort), Dir: direction(p.Out),
		Priority: int(k.owner.BlockPolicyPriority()), Ifindex: int(link), Action: netlink.XFRM_POLICY_BLOCK,
	})
	return explain(err)
}

// unblocked says which of the block policies are missing, and why; empty: none is.
func (k *Kernel) unblocked(all []laid) string {
	there := placesOf(all)
	for i := range k.blocks {
		p := &k.blocks[i]
		link, err := k.index(p)
		if err != nil {
			return err.Error()
		}
		if l := there[placeOfPolicy(p, link)]; l == nil || !l.Stops {
			return "the block policy " + describe(p) + " is missing"
		}
	}
	return ""
}

// Unblocked says which of the block policies that SetBlockPolicies was asked for are missing, and
// why; empty: none is.
func (k *Kernel) Unblocked() (string, error) {
	if k.absent != nil {
		return "", nil // without XFRM nothing can be in ESP either; Observe reports that
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.blocks) == 0 {
		return "", nil
	}
	laid, err := k.policies()
	if err != nil {
		return "", err
	}
	return k.unblocked(laid), nil
}
