package nft_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/wire/linkaddr"
)

// used is what the table tells of a prefix and a link-layer address on c0.
func (n *network) used(mac, prefix string) string {
	n.t.Helper()
	host, _ := linkaddr.Parse(mac)
	ago, known, err := n.table.LastUsed("c0", host, netip.MustParsePrefix(prefix))
	switch {
	case err != nil:
		n.t.Fatal(err)
	case !known:
		return "not known"
	case ago >= 24*time.Hour:
		return "not used"
	}
	return "used"
}

// The filter tells when the holder of a prefix last sent from it. A neighbour that uses a source
// in the prefix is not the holder, and what the holder sends from other sources is no use of the
// prefix.
func TestLastUsed(t *testing.T) {
	const p = "2001:db8:100::/56"
	for _, c := range []struct {
		name string
		ops  []hoststate.Op
	}{
		{"link", []hoststate.Op{addMAC(hoststate.SourceHolder, "c0", rightMAC, p), add(hoststate.SourceLink, "c0", p)}},
		{"permitted as well", []hoststate.Op{add(hoststate.SourceLink, "c0", "2001:db8::/32"), addMAC(hoststate.SourceHolder, "c0", rightMAC, p), add(hoststate.SourceLink, "c0", p)}},
		{"strict", []hoststate.Op{addMAC(hoststate.SourceStrict, "c0", rightMAC, p), add(hoststate.SourceKnown, "c0", p)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t)
			n.apply(append(c.ops, add(hoststate.SourceLink, "c0", "2001:db8:1::/64"), add(hoststate.Checked, "c0", ""))...)
			sees := func(what, want string) {
				t.Helper()
				if got := n.used(rightMAC, p); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			sees("at first", "not used")
			n.clientTap.send(otherMAC, packet("2001:db8:100::1", "2001:db8:cccc::1", "neighbour"))
			n.clientTap.send(rightMAC, packet("2001:db8:1::1", "2001:db8:cccc::1", "on-link"))
			n.clientTap.send(rightMAC, packet("2001:db8:200::1", "2001:db8:cccc::1", "outside"))
			n.clientTap.send(rightMAC, packet("fe80::1", "2001:db8:100::1", "link-local"))
			n.flush()
			sees("after others' packets", "not used")
			n.clientTap.send(rightMAC, packet("2001:db8:100:ff::1", "2001:db8:cccc::1", "holder"))
			n.flush()
			sees("after the holder's packet", "used")
			if got := n.used(otherMAC, p); got != "not known" {
				t.Errorf("of the neighbour: %s, want not known", got)
			}

			n.open() // as the next process does
			sees("in an adopted table", "used")

			for _, o := range c.ops {
				n.apply(remove(o))
			}
			sees("without a lease", "not known")
			n.apply(c.ops...)
			sees("of a new lease", "not used")
			for _, o := range c.ops {
				n.apply(remove(o))
				o.Again = o.Element.Set.IsTimed()
				n.apply(o)
			}
			sees("made again", "used")
		})
	}
}

// If there is no element, it is not known.
func TestLastUsedNotKnown(t *testing.T) {
	n := newNetwork(t)
	for _, host := range []string{rightMAC, "", "02:00:00:00:00:01:02:03"} {
		if got := n.used(host, "2001:db8:100::/56"); got != "not known" {
			t.Errorf("%q: %s, want not known", host, got)
		}
	}
}

// Tools that do not know timed sets can list them all the same.
func TestTimedSetIsListed(t *testing.T) {
	n := newNetwork(t)
	n.apply(addMAC(hoststate.SourceHolder, "c0", rightMAC, "2001:db8:100::/56"), add(hoststate.Checked, "c0", ""))
	want := `"c0" . ` + rightMAC + " . 2001:db8:100:: timeout"
	if list := n.edge.run("nft list set inet fairlead source-holder-56"); !strings.Contains(list, want) {
		t.Errorf("nft lists no %s:\n%s", want, list)
	}
	if list := n.edge.run("nft list ruleset"); !strings.Contains(list, "jump holders") || !strings.Contains(list, want) {
		t.Errorf("nft lists:\n%s", list)
	}
}
