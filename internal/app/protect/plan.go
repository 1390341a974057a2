package protect

import (
	"strings"

	"fairlead/internal/core/hop"
)

// Plan is what is set up for an owner's hops, in the language of each tool: strongSwan's
// swanctl.conf, commands of ip-xfrm(8), and nftables' own language. It has no keys. links are the
// host's interfaces; the guard of frames has a chain for each of them.
func Plan(o hop.Owner, s Settings, links ...hop.GuardLink) string {
	var b strings.Builder
	part := func(heading, text string) {
		if text != "" {
			b.WriteString("# " + heading + "\n" + strings.TrimRight(text, "\n") + "\n\n")
		}
	}
	if !s.guards() {
		return "# no peer is protected by IPsec: nothing is set up\n"
	}
	part("strongSwan, over VICI, as swanctl.conf has it", hop.StrongswanText(o, s.Hops))
	part("the kernel's XFRM, for manual keys", hop.XfrmText(o, s.Hops))
	for i := range s.Hops {
		if s.Hops[i].Manual != nil {
			part("warning: "+s.Hops[i].Name+": "+hop.WarnReplay, "#   IKE has neither this weakness nor keys that never change (RFC 8213 section 4)")
		}
	}
	part("what the kernel blocks unless another policy wants it in ESP: of all policies these count last", hop.BlockPolicyText(o, s.Hops))
	part("the guard, in nftables", hop.GuardText(o, s.Hops, s.Others, s.Open...))
	if o.StopsFrames() && len(s.Hops) > 0 {
		frames := o.FrameTable(s.Hops, links)
		part("the guard for what programs send by packet sockets, at each interface that this host has now", frames.String())
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
