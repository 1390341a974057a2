package hop

import "net/netip"

// The properties that all states and policies of manual keys have, beside ESP in transport
// mode.
//
// There is no protection against replays: with manual keys it SHOULD NOT be provided,
// since the sender's counter starts anew when it reboots; a counter that is not checked
// may wrap (RFC 4303 sections 3.3.3 and 5).
const (
	ManualReplayWindow = 0
	ManualMayWrap      = true   // XFRM_SA_XFLAG_OSEQ_MAY_WRAP
	ManualPriority     = 100000 // before strongSwan's, which begin near 200000: a smaller one wins
)

// Association is an ESP SA of a hop with manual keys, for XFRM: from Source to
// Dest and for packets between the two alone, for the templates of Reqid.
type Association struct {
	Hop          string
	Out          bool // we send by it
	Source, Dest netip.Addr
	SPI, Reqid   uint32
	Encryption   Algorithm
	Integrity    Algorithm
}

// Algorithm is an algorithm as the kernel's crypto API spells it, with its key.
type Algorithm struct {
	Name     string
	Key      Secret
	Truncate int // bits of the ICV; 0 for encryption
}

// Policy requires ESP in transport mode for a selector, in one direction.
type Policy struct {
	Hop                  string
	Out                  bool         // output; otherwise input
	Source, Dest         netip.Prefix // of one address
	Protocol             uint8
	SourcePort, DestPort uint16 // 0: any
	Link                 string // interface; empty: any
	Reqid                uint32
}

// Associations are the SAs of a hop with manual keys: the one for sending, and those for
// receiving, which are two while a key rolls over.
func (o Owner) Associations(h *Hop) []Association {
	if h.Manual == nil {
		return nil
	}
	all := []Association{o.association(h, &h.Manual.Out, true)}
	for i := range h.Manual.In {
		all = append(all, o.association(h, &h.Manual.In[i], false))
	}
	return all
}

func (o Owner) association(h *Hop, sa *ManualSA, out bool) Association {
	a := Association{
		Hop: h.Name, Out: out, Source: h.Remote, Dest: h.Local, SPI: sa.SPI, Reqid: o.Reqid(),
		Encryption: Algorithm{Name: "cbc(aes)", Key: sa.Encryption},
		Integrity:  Algorithm{Name: "hmac(sha256)", Key: sa.Integrity, Truncate: 128},
	}
	if out {
		a.Source, a.Dest = h.Local, h.Remote
	}
	if sa.Suite == AES256SHA512 {
		a.Integrity.Name, a.Integrity.Truncate = "hmac(sha512)", 256
	}
	return a
}

// Policies are the policies of a hop with manual keys: for each selector one for output
// and one for input. The one for input is for every link: with a link the kernel would
// match nothing.
func (o Owner) Policies(h *Hop) []Policy {
	if h.Manual == nil {
		return nil
	}
	var all []Policy
	local, remote := host(h.Local), host(h.Remote)
	for _, s := range h.Selectors() {
		all = append(all,
			Policy{Hop: h.Name, Out: true, Source: local, Dest: remote, Protocol: s.Protocol, SourcePort: s.Local, DestPort: s.Remote, Link: h.Link, Reqid: o.Reqid()},
			Policy{Hop: h.Name, Source: remote, Dest: local, Protocol: s.Protocol, SourcePort: s.Remote, DestPort: s.Local, Reqid: o.Reqid()},
		)
	}
	return all
}
