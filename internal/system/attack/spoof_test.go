package attack_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
)

// Packets with sources that are not the sender's: the victim's prefix from the same link and from
// another, addresses of the infrastructure and the server, addresses of the other link, and
// invented addresses. Each packet is counted, and none passes; packets with the attackers' own
// addresses pass.
func TestSpoofedSources(t *testing.T) {
	r := withKea(t)
	v := r.victim()
	own := map[place]string{}
	for i, at := range []place{onShared, onOther} {
		reply := r.at(at).Play(rig.DUID(60 + i)).Obtain(iaid)
		p := script.Delegations(reply)[0].Prefix
		r.WantRouteVia(p, r.at(at).LinkLocal(at.end).String(), at.link)
		own[at] = p.Addr().Next().String()
	}
	in := r.Server.Listen()
	throw := func(at place, sources ...string) {
		x := r.throwAt(at)
		for _, s := range sources {
			x.Send(s, lab.ServerAddress.String(), "from "+s)
		}
	}
	stops := func(counter string, at place, sources ...string) {
		t.Helper()
		r.Rises(func() int { return r.Counter(counter) }, counter+" from "+at.link, len(sources), func() { throw(at, sources...) })
	}
	invented := []string{"2001:db8:1234::1", "2a00::1", lab.ServerAddress.String(), lab.RelayAddress.String(), lab.CoreAddress.String(), "::ffff:192.0.2.1"}
	stops("spoofed-link-layer", onShared, v.Inside.String(), v.Prefix.Addr().String())
	stops("spoofed", onShared, append(invented, own[onOther], "2001:db8:9::66")...)
	stops("spoofed", onOther, append(invented, v.Inside.String(), own[onShared], "2001:db8:1::66")...)
	if got := in.Got(); len(got) != 0 {
		t.Errorf("came through: %v", got)
	}
	throw(onShared, own[onShared], "2001:db8:1::66")
	throw(onOther, own[onOther], "2001:db8:9::66")
	for _, s := range []string{own[onShared], own[onOther], "2001:db8:1::66", "2001:db8:9::66"} {
		in.Wait("from " + s)
	}
	v.Unmoved()
	r.toldOfSpoofing(onShared.link, len(invented)+4)
	r.toldOfSpoofing(onOther.link, len(invented)+3)
}

// toldOfSpoofing checks what an operator sees of the spoofed packets of a link: their number, and
// the source of the last one that was noted.
func (r *network) toldOfSpoofing(link string, packets int) {
	r.T.Helper()
	type source struct {
		Source    netip.Addr
		LinkLayer string `json:"link_layer"`
	}
	var links []struct {
		Name     string
		Counters struct{ Spoofed int }
		Last     source `json:"last_spoofed"`
	}
	r.Fairlead.Ask("/v1/links", &links)
	var status struct {
		Spoofed []struct {
			Link    string
			Packets int
			Last    source
		}
	}
	r.Fairlead.Ask("/v1/status", &status)
	for _, l := range links {
		if l.Name == link && (l.Counters.Spoofed != packets || !l.Last.Source.IsValid() || l.Last.LinkLayer == "") {
			r.T.Errorf("links tells of %+v, want %d packets and where the last came from", l, packets)
		}
	}
	for _, s := range status.Spoofed {
		if s.Link == link && s.Packets == packets && s.Last.Source.IsValid() && s.Last.LinkLayer != "" {
			return
		}
	}
	r.T.Errorf("status tells of %+v, want %d packets on %s", status.Spoofed, packets, link)
}
