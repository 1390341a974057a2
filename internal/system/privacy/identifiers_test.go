package privacy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fairlead/internal/core/binding"
	"fairlead/internal/host/store"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// somebody has the identifiers of the client on the link of that number.
type somebody int

func (s somebody) mac() []byte { return []byte{2, 0, 0x5e, 0x70 + byte(s), 0x88, 0x99} }

func (s somebody) duid() dhcp6.DUID {
	return append(dhcp6.DUID{0, 1, 0, 1, 0x2a, 0x3b, 0x4c, 0x5d}, s.mac()...)
}

// iaid is made of the link-layer address, as many clients do it. The IAID of a prefix is a number
// without meaning.
func (s somebody) iaid() uint32 { return 0x5e708899 + uint32(s)<<16 }

func (s somebody) address() netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fe80::5eff:fe7%d:8899", int(s)))
}

// spellings returns parts of the identifiers of somebody, in lower case, in every way in which
// they may be written, to search for them in texts.
func (s somebody) spellings() []string {
	mac, duid, n := s.mac(), []byte(s.duid()), int(s)
	all := []string{
		fmt.Sprint(s.iaid()), fmt.Sprintf("%x", s.iaid()),
		fmt.Sprintf("5eff:fe7%d", n), fmt.Sprintf("fe7%d:8899", n), fmt.Sprintf("5efffe7%d", n), fmt.Sprintf("fe7%d8899", n),
		fmt.Sprintf("1%dbe:e", n), fmt.Sprintf("1%dbee", n), `*;l]`, `\u0000\u0001\u0000`, `\x00\x01\x00\x01`,
	}
	for _, separator := range []string{":", "-", "", " ", ", ", ".", `\x`} {
		for _, octets := range [][]byte{mac[2:], duid[4:8]} {
			all = append(all, joined(octets, "%02x", separator), joined(octets, "%d", separator+" "))
		}
	}
	return all
}

func joined(octets []byte, format, separator string) string {
	var parts []string
	for _, o := range octets {
		parts = append(parts, fmt.Sprintf(format, o))
	}
	return strings.Join(parts, separator)
}

// octets returns the same as they are in memory and in records, to search for them in octets.
func (s somebody) octets() [][]byte {
	a, p := s.address().As16(), prefixOf(int(s), 0).Addr().As16()
	return [][]byte{s.mac(), []byte(s.duid())[2:10], a[8:], p[:6]}
}

// found returns the spellings of somebody that are in a text.
func found(text string, all ...somebody) (list []string) {
	text = strings.ToLower(text)
	for _, s := range all {
		for _, spelling := range s.spellings() {
			if strings.Contains(text, spelling) {
				list = append(list, spelling)
			}
		}
	}
	return list
}

// want compares what is found in a place with what the operator allows there.
func want(t *testing.T, place, text string, shown bool, all ...somebody) {
	t.Helper()
	list := found(text, all...)
	if text == "" {
		t.Errorf("%s: there is nothing at all", place)
	}
	if shown == (len(list) > 0) {
		return
	}
	t.Errorf("%s: %q is there: %v", place, list, !shown)
	lines := 0
	for line := range strings.Lines(text) {
		if lines < 5 && len(found(line, all...)) > 0 {
			lines++
			t.Log(line)
		}
	}
}

// become gives somebody's link-layer address to a client node.
func (r *network) become(s somebody) {
	r.T.Helper()
	node := r.Client(int(s))
	node.Batch("link set c0 down", "link set c0 address "+joined(s.mac(), "%02x", ":"), "link set c0 up")
	r.Until("the client has the address", func() bool {
		list, err := node.Addresses("c0")
		return err == nil && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == s.address() })
	})
	got := node.LinkLocal("c0")
	if got != s.address() {
		r.T.Fatalf("the client has %s, want %s", got, s.address())
	}
}

// lives makes three clients go through everything that happens to clients: a dhcpcd, and two of
// the laboratory. At the end, dhcpcd still has its prefix.
func (r *network) lives() (held *rig.Foreign) {
	t := r.T
	real := r.Client(1).Foreign(peer.Dhcpcd, peer.ClientConfig{NoAddress: true, DUID: somebody(1).duid()})
	real.Await(1)

	two := r.Play(2, somebody(2).duid())
	reply := two.Obtain(somebody(2).iaid())
	two.Renew(reply)
	two.Release(reply)
	two.Obtain(brief) // two does not renew this prefix
	two.Obtain(unwanted)
	two.Obtain(5)
	two.Send(two.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(6))) // above the limit
	two.Send(two.Message(dhcp6.Reply, script.IAPD(1)))                                              // from a client
	two.Send(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.IPv6Unspecified(), somebody(2).address()))
	two.Passed()

	three := r.Play(3, somebody(2).duid()) // elsewhere: unique-duid
	three.Send(three.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(1)))
	three.Close()
	three = r.Play(3, somebody(3).duid())
	three.Obtain(somebody(3).iaid())
	r.Fairlead.CLI("clear", "--client", somebody(3).duid().String(), "--block")
	three.Send(three.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(somebody(3).iaid()))) // blocked
	if _, err := r.Fairlead.Relay.CLI("clear", prefixOf(3, 9).String()); err == nil {
		t.Error("what nobody has was cleared")
	}
	r.Until("the brief delegation has ended, dhcpcd's has not", func() bool {
		var all []struct{ Prefix netip.Prefix }
		r.Fairlead.Show(&all, "delegations")
		has := func(p netip.Prefix) bool {
			return slices.ContainsFunc(all, func(d struct{ Prefix netip.Prefix }) bool { return d.Prefix == p })
		}
		return !has(prefixOf(2, brief)) && has(prefixOf(1, 11)) && has(prefixOf(2, 5))
	})
	return real
}

// TestIdentifiers makes three clients go through everything, and then searches for their
// identifiers by other programs: in the log, in what watch, trace and history print, in the
// report of all goroutines, and in each record of the store. There is what the section privacy
// allows, and the present in full (RFC 8987 O-1). RFC 8213 section 4: "Securing these systems and
// the data in databases and logs also needs to be considered".
func TestIdentifiers(t *testing.T) {
	for name, c := range map[string]struct {
		format  string
		privacy string
		shown   bool // everything is shown: this proves that the search finds identifiers
		past    bool // whether there is a history
	}{
		"full":   {"text", "{log: full, history: full, trace: full, crash: full}", true, true},
		"hashed": {"text", "{log: hashed, history: hashed, trace: hashed, crash: hashed, salt: kept}", false, true},
		"none":   {"json", "{log: none, history: none, trace: none, crash: none}", false, false},
		"least":  {"json", "{log: hashed, history: hashed, trace: none, crash: hashed, store: minimal, salt: kept}", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			everybody := []somebody{1, 2, 3}
			r := build(t, len(everybody), 1)
			for _, s := range everybody {
				r.become(s)
			}
			hook := filepath.Join(r.Fairlead.Dir, "hook")
			r.Need(os.WriteFile(hook, []byte("#!/bin/sh\nunset FAIRLEAD_IAID # a number: in a program's output nobody can tell what it means\nenv\nexit 1\n"), 0o755))
			r.start(r.config(fmt.Sprintf("log: {level: debug, every: 1s, format: %s}\nhook: {program: %s, events: [granted, extended, moved, ended, refused]}\nprivacy: %s\n", c.format, hook, c.privacy),
				"", "limits: {client: 2}", "unique-duid: true", "delegable: [{prefix: \"2001:db8:1000::/36\", lengths: 56}]"))
			watch := r.Fairlead.Follow("watch", "watch", "--json")
			trace := r.Fairlead.Follow("trace", "trace", "--json", "--client", somebody(2).duid().String())
			screen := r.Fairlead.Follow("screen", "watch")
			held := r.lives()
			now := r.Fairlead.CLI("delegations", "--json")
			var entries []json.RawMessage
			r.Until("the past is written", func() bool {
				r.Fairlead.Show(&entries, "history")
				return !c.past || len(entries) >= 3
			})
			past := r.Fairlead.CLI("history", "--json")
			if !c.past {
				past = strings.ReplaceAll(past, "null", "[]")
			}
			past = r.presentOut(past)
			held.Release()
			r.Until("dhcpcd's is gone", func() bool {
				all := r.Fairlead.CLI("delegations")
				return !strings.Contains(all, prefixOf(1, 11).String())
			})
			r.Fairlead.CLI("clear", "--all")
			r.Need(r.Fairlead.Proc().Signal(syscall.SIGQUIT))
			_ = r.Fairlead.Proc().Wait(labtest.Patience) // SIGQUIT gives it a bad exit status

			for place, text := range map[string]string{
				"log": r.Fairlead.Log(), "watch --json": watch.Log(), "watch": screen.Log(), "trace --json": trace.Log(),
			} {
				want(t, place, text, c.shown, everybody...)
			}
			want(t, "history --json", past, c.shown, everybody...)
			for _, whole := range []string{
				somebody(1).duid().String(), somebody(1).address().String(), prefixOf(1, 11).String(), joined(somebody(1).mac(), "%02x", ":"),
			} {
				if !strings.Contains(now, whole) {
					t.Errorf("fairlead delegations does not show %s:\n%s", whole, now)
				}
			}
			r.lookIntoTheStore(c.shown, c.past)
		})
	}
}

// presentOut removes delegations that have not ended from a history: they are the present.
func (r *network) presentOut(history string) string {
	r.T.Helper()
	var all []map[string]any
	r.Need(json.Unmarshal([]byte(history), &all))
	all = slices.DeleteFunc(all, func(d map[string]any) bool { return d["ended"] == nil })
	b, err := json.Marshal(all)
	r.Need(err)
	return string(b)
}

// lookIntoTheStore searches all records and other files of a state folder, when nothing is
// delegated any more, for all identifiers.
func (r *network) lookIntoTheStore(shown, past bool) {
	t := r.T
	t.Helper()
	s, err := store.Open(r.Fairlead.State, store.Options{ReserveBytes: -1})
	r.Need(err)
	defer s.Close()
	kinds, traces := map[byte]int{}, 0
	r.Need(s.Scan(nil, nil, func(k, v []byte) bool {
		kind := bytes.TrimPrefix(k, []byte(binding.Relay6))[0]
		kinds[kind]++
		if kind == 'b' {
			return true // an operator's order, which is kept until the operator cancels it
		}
		for _, n := range []somebody{1, 2, 3} {
			for _, o := range n.octets() {
				if bytes.Contains(k, o) || bytes.Contains(v, o) {
					traces++
					if !shown {
						t.Errorf("a record of the store has %x: %q %x", o, k, v)
					}
				}
			}
		}
		return true
	}))
	if kinds['d'] != 0 || kinds['b'] != 1 || past != (kinds['h'] >= 4) || !past && kinds['h'] != 0 {
		t.Errorf("the store has records %v", kinds)
	}
	if shown && traces == 0 {
		t.Error("the search finds nobody in a store where all are")
	}
	key, err := os.Stat(filepath.Join(r.Fairlead.State, "privacy-key"))
	kept := strings.Contains(r.Fairlead.Text(), "salt: kept")
	if kept != (err == nil) || kept && key.Mode().Perm() != 0o600 {
		t.Errorf("the key of hashes: %v %v", key, err)
	}
}
