package ipsec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
)

// place has the parts of a policy by which a kernel tells policies apart, as far as we use them.
type place struct {
	out                  bool
	source, dest         netip.Prefix
	protocol             uint8
	sourcePort, destPort uint16
	link                 int32
}

func (l *laid) place() place {
	return place{l.Out, l.Source, l.Dest, l.Protocol, l.SourcePort, l.DestPort, l.link}
}

func placeOfPolicy(p *hop.Policy, link int32) place {
	return place{p.Out, p.Source, p.Dest, p.Protocol, p.SourcePort, p.DestPort, link}
}

// addPolicies adds policies that are missing, and corrects those of ours that differ.
func (p *pass) addPolicies() error {
	p.placed = make(map[place]bool, len(p.policies))
	var refused []error
	for i := range p.policies {
		want := &p.policies[i]
		if err := p.addPolicy(want); err != nil {
			refused = append(refused, fmt.Errorf("xfrm: hop %s: policy %s: %w", want.Hop, describe(want), err))
		}
	}
	return errors.Join(refused...)
}

func (p *pass) addPolicy(want *hop.Policy) error {
	link, err := p.k.index(want)
	if err != nil {
		return err
	}
	at := placeOfPolicy(want, link)
	if p.placed[at] {
		return nil
	}
	p.placed[at] = true
	there := p.lying(at)
	switch {
	case there == nil:
		return explain(p.k.writer.XfrmPolicyAdd(policyOf(want, link)))
	case there.Reqid != want.Reqid:
		return fmt.Errorf("another with reqid %#x and priority %d is there, which is not ours", there.Reqid, there.Priority)
	case there.ESP && there.Priority == hop.ManualPriority:
		return nil
	}
	return explain(p.k.writer.XfrmPolicyUpdate(policyOf(want, link)))
}

func (p *pass) lying(at place) *laid {
	for i := range p.laid {
		if p.laid[i].place() == at {
			return &p.laid[i]
		}
	}
	return nil
}

// removePolicies removes the policies of ours that no hop has.
func (p *pass) removePolicies() error {
	var refused []error
	for i := range p.laid {
		l := &p.laid[i]
		if l.Reqid != p.k.owner.Reqid() || p.placed[l.place()] {
			continue
		}
		// The policy is removed by its number, which no other policy can have.
		err := p.k.writer.XfrmPolicyDel(&netlink.XfrmPolicy{Dir: direction(l.Out), Index: int(l.index)})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			refused = append(refused, fmt.Errorf("xfrm: policy %d: %w", l.index, explain(err)))
		}
	}
	return errors.Join(refused...)
}

// index is the number of a policy's interface; 0 means any. For input the kernel does not compare
// the interface by which a packet came: a policy for one interface would never apply. So it is
// for all.
func (k *Kernel) index(p *hop.Policy) (int32, error) {
	if p.Link == "" || !p.Out {
		return 0, nil
	}
	link, err := k.writer.LinkByName(p.Link)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", p.Link, err)
	}
	return int32(link.Attrs().Index), nil
}

// VRF tells which interfaces of link-local hops are in a VRF. An interface that is not there, or
// of which the kernel tells nothing, is in none.
func (k *Kernel) VRF(hops []hop.Hop) map[string]bool {
	in := make(map[string]bool)
	if k.absent != nil {
		return in
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range hops {
		name := hops[i].Link
		if _, known := in[name]; known || name == "" {
			continue
		}
		in[name] = k.inVRF(name)
	}
	return in
}

func (k *Kernel) inVRF(name string) bool {
	link, err := k.writer.LinkByName(name)
	if err != nil || link.Attrs().MasterIndex == 0 {
		return false
	}
	master, err := k.writer.LinkByIndex(link.Attrs().MasterIndex)
	return err == nil && master.Type() == "vrf"
}

func direction(out bool) netlink.Dir {
	if out {
		return netlink.XFRM_DIR_OUT
	}
	return netlink.XFRM_DIR_IN
}

// policyOf is a policy in the library's form. Adding it fails if there is a policy with the same
// selector, whoever owns it.
func policyOf(p *hop.Policy, link int32) *netlink.XfrmPolicy {
	unspecified := net.IPv6unspecified
	if p.Source.Addr().Is4() {
		unspecified = net.IPv4zero
	}
	return &netlink.XfrmPolicy{
		Src: network(p.Source), Dst: network(p.Dest), Proto: netlink.Proto(p.Protocol),
		SrcPort: int(p.SourcePort), DstPort: int(p.DestPort),
		Dir: direction(p.Out), Priority: hop.ManualPriority, Ifindex: int(link),
		Tmpls: []netlink.XfrmPolicyTmpl{{
			Src: unspecified, Dst: unspecified,
			Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TRANSPORT, Reqid: int(p.Reqid),
		}},
	}
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func describe(p *hop.Policy) string {
	way := "in"
	if p.Out {
		way = "out"
	}
	return fmt.Sprintf("%s protocol %d from %v port %d to %v port %d", way, p.Protocol, p.Source, p.SourcePort, p.Dest, p.DestPort)
}
