package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// FuzzParse checks that no text makes the decoder panic. What the decoder refuses, it refuses
// with sorted positions inside the text. What it accepts, it accepts again with the same result,
// and the result is as the core relies on.
func FuzzParse(f *testing.F) {
	f.Add([]byte(Reference()))
	f.Add([]byte(Minimal()))
	f.Add([]byte(allSetText()))
	f.Add([]byte(example.ReplaceAllString(Reference(), "$1$2")))
	archive, err := txtar.ParseFile("testdata/problems.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".yaml") {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseTest(text)
		again, err2 := parseTest(text)
		if diff := cmp.Diff(c, again, asWritten); diff != "" || (err == nil) != (err2 == nil) {
			t.Errorf("parsed twice: %v, %v\n%s", err, err2, diff)
		}
		if err != nil {
			refused(t, text, c, err)
			return
		}
		accepted(t, c)
	})
}

// parseTest is Parse with the key files of the tests: a text that the fuzzer made up must not
// have us read the files that it names.
func parseTest(text []byte) (*Config, error) {
	d := withKeys(false)
	c := d.config(text, relays)
	if err := d.failed(); err != nil {
		return nil, err
	}
	return c, nil
}

// FuzzParseServer6 checks the same for a file that may have a section server6.
func FuzzParseServer6(f *testing.F) {
	f.Add([]byte(Server6Reference()))
	f.Add([]byte(everyOfServer6()))
	f.Add([]byte(allOfServer6))
	archive, err := txtar.ParseFile("testdata/problems.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasPrefix(file.Name, "server6-") && strings.HasSuffix(file.Name, ".yaml") {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := withKeys(false)
		c := d.config(text, servers)
		if err := d.failed(); err != nil {
			refused(t, text, nil, err)
			return
		}
		if s, ok := c.Sections["server6"].(*Server6); ok {
			acceptedServer6(t, s)
		}
	})
}

// acceptedServer6 checks what the core relies on.
func acceptedServer6(t *testing.T, s *Server6) {
	networks := s.Core(nil, nil, [32]byte{}, ledger.Records{}).Networks
	if len(networks) == 0 {
		t.Error("no network")
	}
	acceptedOptions(t, s.Options)
	for i := range s.Classes {
		acceptedOptions(t, s.Classes[i].Options)
	}
	for i := range networks {
		acceptedOptions(t, networks[i].Options)
		if networks[i].Name == "" || len(networks[i].Subnets) == 0 {
			t.Errorf("network %+v", networks[i])
		}
		for j := range networks[i].Subnets {
			s := &networks[i].Subnets[j]
			if l := s.Lifetimes; !s.Prefix.IsValid() || l.Preferred > l.Valid || l.Valid == 0 {
				t.Errorf("subnet %+v", s)
			}
			acceptedOptions(t, s.Options)
			for _, r := range s.Reservations {
				acceptedOptions(t, r.Options)
			}
			for _, p := range s.Pools {
				acceptedOptions(t, p.Options)
				if !s.Prefix.Contains(p.First) || !s.Prefix.Contains(p.Last) || p.Last.Less(p.First) {
					t.Errorf("pool %+v of %s", p, s.Prefix)
				}
			}
			for _, p := range s.PDPools {
				acceptedOptions(t, p.Options)
				if p.Min < p.Prefix.Bits() || p.Length < p.Min || p.Max < p.Length || p.Exclude.IsValid() && p.Exclude.Bits() <= p.Max {
					t.Errorf("pool %+v", p)
				}
			}
		}
	}
}

// acceptedOptions checks the options of one place: those with the same code stand together, and
// only for NTP are there several.
func acceptedOptions(t *testing.T, options []server6.Option) {
	seen := make(map[dhcp6.OptionCode]bool)
	for i, o := range options {
		if len(o.Data) > maxOption {
			t.Errorf("%d octets of option %d", len(o.Data), o.Code)
		}
		if together := i > 0 && options[i-1].Code == o.Code && o.Code == dhcp6.OptionNTPServer; seen[o.Code] && !together {
			t.Errorf("option %d is there twice", o.Code)
		}
		seen[o.Code] = true
	}
}

// FuzzParseGuard checks the same for a file of the guard.
func FuzzParseGuard(f *testing.F) {
	f.Add([]byte(GuardReference()))
	f.Add([]byte(example.ReplaceAllString(GuardReference(), "$1$2")))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := withKeys(true)
		g := d.guardFile(text)
		if err := d.failed(); err != nil {
			refused(t, text, nil, err)
			return
		}
		acceptedHops(t, g.Peers, g.Hops())
	})
}

// acceptedHops checks what protects the peers: each peer with ipsec has its pairs.
func acceptedHops(t *testing.T, peers []trust.Peer, hops []hop.Hop) {
	names := make(map[string]bool)
	first := make(map[string]bool)
	for i := range hops {
		h := &hops[i]
		if names[h.Name] || h.Name == "" {
			t.Errorf("hop %q is there twice", h.Name)
		}
		names[h.Name], first[h.Peer] = true, true
		if !h.Local.IsValid() || h.Local.Is4() != h.Remote.Is4() || h.Remote.IsMulticast() || (h.IKE == nil) == (h.Manual == nil) {
			t.Errorf("hop %+v", h)
		}
		if h.IKE != nil && h.IKE.Public() == (len(h.IKE.PSK) > 0) {
			t.Errorf("hop %s has a pre-shared key and a certificate, or neither", h.Name)
		}
		if h.Manual != nil && (h.Manual.Out.SPI < 256 || len(h.Manual.In) < 1 || len(h.Manual.In) > 2) {
			t.Errorf("hop %s: %+v", h.Name, h.Manual)
		}
	}
	for i := range peers {
		if got, want := first[peers[i].Name], peers[i].Protection == trust.ProtectionIPsec; got != want {
			t.Errorf("peer %s has hops: %v, want %v", peers[i].Name, got, want)
		}
	}
}

func refused(t *testing.T, text []byte, c *Config, err error) {
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems+1 || c != nil {
		t.Fatalf("error %T with %d problems", err, len(problems))
	}
	lines := strings.Count(string(text), "\n") + 1
	for _, p := range problems {
		if p.Line < 0 || p.Line > lines || (p.Line > 0) != (p.Column > 0) || p.Text == "" || p.File != "f.yaml" {
			t.Errorf("%d lines, but a problem at %d:%d: %s", lines, p.Line, p.Column, p)
		}
		if strings.Contains(p.Text, "the parser stopped") {
			t.Logf("parser: %s", p)
		}
	}
	sorted := slices.IsSortedFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if last := problems[len(problems)-1]; !sorted && !strings.HasSuffix(last.Text, "more problems") {
		t.Errorf("not sorted:\n%v", err)
	}
}

func accepted(t *testing.T, c *Config) {
	servers := 0
	for i := range c.Peers {
		p := &c.Peers[i]
		if p.Role.String() == "server" {
			servers++
		}
		if p.Name == "" || !p.Prefix.Contains(p.Address) || p.Protection == 0 || len(p.Interfaces) == 0 {
			t.Errorf("peer %+v", p)
		}
	}
	acceptedHops(t, c.Peers, c.Hops())
	if servers == 0 {
		t.Error("no server")
	}
	for i := range relay6Of(c).Links {
		r := &relay6Of(c).Links[i]
		d := r.Delegations
		if len(r.Match) == 0 || d.ClientLimit < 1 || d.LinkLimit < 1 || d.HostLimit < -1 || r.Host.Metric == 0 || r.Host.Table == 255 {
			t.Errorf("link %+v", r)
		}
	}
	if relay6Of(c).SourcePort == 0 || c.State == "" || c.Control.Socket == "" {
		t.Errorf("%+v", c)
	}
}
