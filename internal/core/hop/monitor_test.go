package hop_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

var (
	here  = netip.MustParseAddr("2001:db8::1")
	there = netip.MustParseAddr("2001:db8::2")
)

// world is a machine in which a hop is protected, until a test takes something
// away from it. It does what the monitor asks for, unless it is told not to.
type world struct {
	t       *testing.T
	monitor *hop.Monitor
	now     instant.Now
	seen    hop.Seen
	obeys   bool
	asked   []string
	told    []string
	serial  uint32
	busy    bool // at each look more has been sent, and nothing has come
}

func newWorld(t *testing.T, h hop.Hop) *world {
	w := &world{t: t, obeys: true, monitor: hop.NewMonitor([]hop.Hop{h})}
	w.now = instant.Now{Boot: 1e9, Wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	w.seen = hop.Seen{Charon: &hop.Charon{}, Kernel: &hop.Kernel{}, Guard: &hop.Guard{}}
	return w
}

func ikeHop(role trust.PeerRole) hop.Hop {
	return hop.Hop{Name: "srv", Peer: "srv", Role: role, Local: here, Remote: there, IKE: &hop.IKE{PSK: hop.Secret("a secret of some length")}}
}

// installed is a world with one IKE hop, whose guard and connections are there.
func installed(t *testing.T, role trust.PeerRole) *world {
	w := newWorld(t, ikeHop(role))
	w.do(hop.Action{Kind: hop.InstallGuard})
	w.do(hop.Action{Kind: hop.Load})
	if role == trust.Relay { // the selectors of this side: the server is asked for leases
		for i := range w.seen.Kernel.Policies {
			if p := &w.seen.Kernel.Policies[i]; p.Protocol == 6 {
				p.SourcePort, p.DestPort = p.DestPort, p.SourcePort
			}
		}
	}
	return w
}

// step lets time pass and looks once.
func (w *world) step(d time.Duration) []string {
	w.t.Helper()
	w.now.Boot, w.now.Wall = w.now.Boot.After(d), w.now.Wall.Add(d)
	if c := w.seen.Charon; w.busy && c != nil && len(c.IKE) > 0 {
		c.IKE[0].Children[0].Out.Packets += 5
	}
	actions, notes := w.monitor.Observe(w.now, &w.seen)
	w.seen.Events = nil
	var asked []string
	for _, a := range actions {
		asked = append(asked, strings.TrimSpace(a.Kind.String()+" "+a.Hop+" "+a.Selector))
		if a.Why == "" {
			w.t.Errorf("%s: without a reason", a.Kind)
		}
		if w.obeys {
			w.do(a)
		}
	}
	for _, n := range notes {
		w.told = append(w.told, n.Kind.String())
	}
	w.asked = append(w.asked, asked...)
	return asked
}

func (w *world) do(a hop.Action) {
	switch a.Kind {
	case hop.InstallGuard:
		w.seen.Guard = &hop.Guard{Intact: true, Hops: map[string]hop.Dropped{"srv": {In: hop.Traffic{Packets: 3}}}}
	case hop.Load:
		w.seen.Charon.Connections = []string{"srv"}
		w.traps(7)
	case hop.Reinstall:
		w.seen.Charon.IKE = nil
		w.seen.Kernel.States = nil
		w.traps(7)
	case hop.Initiate:
		w.negotiated()
	case hop.Prune:
		w.seen.Charon.IKE = slices.DeleteFunc(w.seen.Charon.IKE, func(s hop.IKESA) bool { return slices.Contains(a.IKE, s.ID) })
	case hop.InstallManual:
		w.traps(9)
		w.state(there, here, 0x1001)
		w.state(here, there, 0x2001)
	}
}

func (w *world) traps(reqid uint32) {
	k := w.seen.Kernel
	k.Policies = nil
	a, b := netip.PrefixFrom(here, 128), netip.PrefixFrom(there, 128)
	for _, s := range []struct {
		protocol      uint8
		local, remote uint16
	}{{17, 547, 547}, {6, 0, 547}} {
		k.Policies = append(k.Policies,
			hop.XfrmPolicy{Out: true, Source: a, Dest: b, Protocol: s.protocol, SourcePort: s.local, DestPort: s.remote, Reqid: reqid, ESP: true},
			hop.XfrmPolicy{Source: b, Dest: a, Protocol: s.protocol, SourcePort: s.remote, DestPort: s.local, Reqid: reqid, ESP: true})
	}
}

func (w *world) state(from, to netip.Addr, spi uint32) {
	w.seen.Kernel.States = append(w.seen.Kernel.States, hop.XfrmState{Source: from, Dest: to, SPI: spi})
}

// negotiated has an IKE SA and a child more, of an age of nothing.
func (w *world) negotiated() {
	w.serial++
	in, out := 0xc0000000+w.serial, 0xd0000000+w.serial
	w.state(there, here, in)
	w.state(here, there, out)
	w.seen.Charon.IKE = append(w.seen.Charon.IKE, hop.IKESA{Hop: "srv", ID: w.serial, Established: true, Children: []hop.ChildSA{{
		Selector: "dhcp", ID: w.serial, Installed: true, SPIIn: in, SPIOut: out, Algorithms: "AES_GCM_16-256",
		In: hop.Traffic{Packets: 1, Bytes: 100}, Out: hop.Traffic{Packets: 2, Bytes: 300},
	}}})
}

func (w *world) current() hop.State { return w.monitor.States()[0] }

// protect looks until the hop is protected.
func (w *world) protect() {
	w.t.Helper()
	for range 20 {
		w.step(time.Second)
		if w.current().Protected {
			return
		}
	}
	w.t.Fatalf("not protected: %+v; asked %v", w.current(), w.asked)
}

func (w *world) want(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestFromNothingToProtected(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.want("first", w.step(0), "install guard", "load connections")
	w.want("then", w.step(time.Second), "initiate srv dhcp")
	w.want("then", w.step(time.Second))
	s := w.current()
	if !s.Protected || s.Problem != "" || s.Mode != "ike psk" || s.Algorithms != "AES_GCM_16-256" || s.In.Bytes != 100 || s.Out.Packets != 2 || s.DroppedIn.Packets != 3 {
		t.Errorf("state %+v", s)
	}
	w.want("notes", w.told, "protected")
}

// The relay begins; a server lets it, and begins itself if it does not.
func TestWhoBegins(t *testing.T) {
	w := installed(t, trust.Relay)
	for range 3 {
		w.want("while the relay may begin", w.step(time.Second))
	}
	w.want("later", w.step(time.Second), "initiate srv dhcp")
}

// Everything that can be taken away comes back, is told, and is a problem
// meanwhile.
func TestTakenAway(t *testing.T) {
	for name, tc := range map[string]struct {
		take    func(*world)
		problem string
		asks    string
	}{
		"guard":                      {func(w *world) { w.seen.Guard = &hop.Guard{} }, "the guard table is not as it was installed", "install guard"},
		"guard unreadable":           {func(w *world) { w.seen.Guard, w.seen.GuardError = nil, "no such table" }, "no such table", "install guard"},
		"connection":                 {func(w *world) { w.seen.Charon.Connections = nil }, "strongSwan has not got the connection", "load connections"},
		"a policy":                   {func(w *world) { w.seen.Kernel.Policies = w.seen.Kernel.Policies[1:] }, "a policy is missing in the kernel", "reinstall connection srv"},
		"a policy's ESP":             {func(w *world) { w.seen.Kernel.Policies[0].ESP = false }, "a policy is missing in the kernel", "reinstall connection srv"},
		"SA":                         {func(w *world) { w.seen.Charon.IKE = nil; w.seen.Kernel.States = nil }, "no SA: not negotiated yet", "initiate srv dhcp"},
		"SA in the kernel, inbound":  {func(w *world) { w.seen.Kernel.States = w.seen.Kernel.States[1:] }, "an SA is missing in the kernel", "reinstall connection srv"},
		"SA in the kernel, outbound": {func(w *world) { w.seen.Kernel.States = w.seen.Kernel.States[:1] }, "an SA is missing in the kernel", "reinstall connection srv"},
		"answers":                    {func(w *world) { w.seen.Charon.IKE[0].Probing, w.busy = true, true }, "the peer does not answer", "reinstall connection srv"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ikeHop(trust.Server))
			w.protect()
			w.step(time.Minute)
			tc.take(w)
			w.told, w.asked, w.obeys = nil, nil, false
			for range 8 {
				w.step(time.Second)
			}
			if s := w.current(); s.Protected || s.Problem != tc.problem || !strings.Contains(s.LastError, tc.problem) || s.LastErrorAt.IsZero() {
				t.Errorf("state %+v", s)
			}
			if !slices.Contains(w.asked, tc.asks) || !slices.Contains(w.told, "unprotected") {
				t.Errorf("asked for %q and told %q", w.asked, w.told)
			}
			w.obeys, w.seen.GuardError = true, ""
			w.now.Boot = w.now.Boot.After(time.Minute)
			w.protect()
			if w.told[len(w.told)-1] != "protected" {
				t.Errorf("told %q", w.told)
			}
		})
	}
}

// What strongSwan and the kernel say is not of one moment: one look at which an
// SA is not in the kernel yet, or no more, is none of a loss.
func TestOneLookIsNoLoss(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.told = nil
	was := w.seen.Kernel.States
	w.seen.Kernel.States = was[:1]
	w.want("at once", w.step(time.Second))
	w.seen.Kernel.States = was
	w.want("later", w.step(time.Second))
	w.want("notes", w.told)
}

// strongSwan is away and comes back empty.
func TestCharonRestarts(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.told = nil
	w.seen.Charon, w.seen.CharonError = nil, "connection refused"
	w.want("while it is away", w.step(time.Second))
	if s := w.current(); !s.Protected {
		t.Errorf("strongSwan was late once: %+v", s)
	}
	w.want("while it is away", w.step(time.Second))
	if s := w.current(); s.Protected || !strings.Contains(s.Problem, "connection refused") {
		t.Errorf("state %+v", s)
	}
	w.seen.Charon, w.seen.CharonError = &hop.Charon{}, ""
	w.seen.Kernel = &hop.Kernel{}
	w.want("when it is back", w.step(time.Second), "load connections")
	w.protect()
	w.want("notes", w.told, "unprotected", "protected")
}

// A busy machine is late now and then: that adds up to no loss.
func TestLateAnswersDoNotAddUp(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.told = nil
	charon := w.seen.Charon
	for range 3 {
		w.seen.Charon, w.seen.CharonError = nil, "timeout"
		w.step(time.Second)
		w.seen.Charon, w.seen.CharonError = charon, ""
		w.step(time.Second)
	}
	w.want("notes", w.told)
}

// A probe that is answered in time is none of a loss, and one after another is
// not one that lasts.
func TestProbesThatAreAnswered(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.asked = nil
	for range 10 {
		w.seen.Charon.IKE[0].Probing = true
		w.step(time.Second)
		w.step(time.Second)
		w.seen.Charon.IKE[0].Probing = false
		w.step(time.Second)
	}
	w.want("asked", w.asked)
}

// The peer was switched off and on: it has a new SA with us, while the stale one
// waits for an answer. The new one is left alone, and the stale one goes.
func TestStaleSABesideANewOne(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.seen.Charon.IKE[0].Probing = true
	w.negotiated()
	w.asked, w.told = nil, nil
	for range 30 {
		w.step(time.Second)
	}
	if s := w.current(); !s.Protected {
		t.Errorf("state %+v", s)
	}
	w.want("asked", w.asked, "prune srv")
	w.want("told", w.told)
}

// A negotiation that hangs is begun again, and attempts come ever more rarely.
func TestNegotiationThatHangs(t *testing.T) {
	w := installed(t, trust.Server)
	w.obeys = false
	for i := range uint32(300) {
		for _, a := range w.step(time.Second) {
			if strings.HasPrefix(a, "initiate") || strings.HasPrefix(a, "reinstall") {
				w.seen.Charon.IKE = []hop.IKESA{{Hop: "srv", ID: 100 + i}}
			}
		}
	}
	if n := len(w.asked); n < 8 || n > 40 {
		t.Errorf("%d attempts in five minutes: %v", n, w.asked)
	}
}

// strongSwan counts its SAs from the start when it is restarted: what is known of
// a number is not true of another SA that gets it.
func TestNumbersAreUsedAgain(t *testing.T) {
	w := installed(t, trust.Server)
	w.obeys = false
	w.want("first", w.step(time.Second), "initiate srv dhcp")
	w.seen.Charon.IKE = []hop.IKESA{{Hop: "srv", ID: 1}}
	w.want("on its way", w.step(time.Second))
	w.seen.Charon.IKE = nil
	w.negotiated()
	w.seen.Charon.IKE[0].Probing = true
	w.step(time.Second)
	w.seen.Charon, w.seen.CharonError = nil, "connection refused"
	w.step(time.Second)
	w.step(time.Minute)
	w.seen.Charon, w.seen.CharonError = &hop.Charon{}, ""
	w.seen.Kernel.States = nil
	w.do(hop.Action{Kind: hop.Load})
	w.seen.Charon.IKE = []hop.IKESA{{Hop: "srv", ID: 1}}
	w.want("on its way again", w.step(time.Second))
	w.seen.Charon.IKE, w.serial = nil, 0
	w.negotiated()
	w.seen.Charon.IKE[0].Probing = true
	w.want("and there", w.step(time.Second))
	if s := w.current(); !s.Protected {
		t.Errorf("state %+v", s)
	}
}

func TestRekeyedAndAdded(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	old := w.seen.Charon.IKE[0].Children[0]
	w.seen.Charon.IKE, w.seen.Kernel.States = nil, nil
	w.negotiated()
	w.seen.Events = []hop.Event{{Hop: "srv", Kind: hop.EventChildRekeyed, Child: "dhcp"}, {Hop: "another", Kind: hop.EventChildRekeyed}}
	w.told = nil
	w.step(time.Second)
	s := w.current()
	if s.Rekeys != 1 || s.In.Bytes != 2*old.In.Bytes || s.Out.Packets != 2*old.Out.Packets {
		t.Errorf("state %+v", s)
	}
	w.want("notes", w.told, "rekeyed")
}

func TestFailuresAreTold(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.seen.Events = []hop.Event{{Hop: "srv", Kind: hop.EventFailed, Text: "AUTHENTICATION_FAILED"}, {Hop: "srv", Kind: hop.EventFailed, Text: "AUTHENTICATION_FAILED"}}
	w.step(time.Second)
	if s := w.current(); s.LastError != "AUTHENTICATION_FAILED" || s.LastErrorAt != w.now.Wall {
		t.Errorf("state %+v", s)
	}
	w.want("notes", w.told, "failed")
	for _, kind := range []hop.ActionKind{hop.Load, hop.Reinstall, hop.InstallGuard} {
		w.monitor.Failed(w.now, hop.Action{Kind: kind, Hop: "srv"}, "it broke")
		if got, want := w.current().LastError, kind.String()+": it broke"; got != want {
			t.Errorf("last error %q, want %q", got, want)
		}
	}
	w.monitor.Failed(w.now, hop.Action{Kind: hop.InstallManual}, "none of ours")
	if got := w.current().LastError; strings.Contains(got, "none of ours") {
		t.Errorf("last error %q", got)
	}
}

// Whoever sends as the peer can make strongSwan complain as fast as packets come,
// in ever other words: that fills no log.
func TestFailuresThatFlood(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	flood := func() {
		for i := range 600 {
			w.seen.Events = append(w.seen.Events, hop.Event{Hop: "srv", Kind: hop.EventFailed, Text: fmt.Sprintf("complaint %d", i)})
			w.step(10 * time.Millisecond)
		}
	}
	flood()
	if n := len(w.told); n < 2 || n > 10 {
		t.Errorf("%d told in six seconds", n)
	}
	if s := w.current(); s.LastError != "complaint 599" {
		t.Errorf("state %+v", s)
	}
	w.told = nil
	w.step(time.Minute)
	flood()
	if n := len(w.told); n < 2 || n > 10 {
		t.Errorf("%d told a minute later", n)
	}
}

// Of several SAs for one hop the one stays by which packets come in, else the newest.
// Whoever asks takes the others away first.
func TestTooManySAs(t *testing.T) {
	for _, tc := range []struct {
		role  trust.PeerRole
		by    int // the SA by which the peer sends; -1: none
		after int // looks, a second apart
		goes  []uint32
	}{
		{trust.Server, 0, 11, []uint32{2, 3}},
		{trust.Server, 1, 11, []uint32{1, 3}},
		{trust.Server, -1, 11, []uint32{1, 2}},
		{trust.Relay, 0, 16, []uint32{2, 3}},
	} {
		w := installed(t, tc.role)
		for range 3 {
			w.negotiated()
		}
		sas := w.seen.Charon.IKE
		for i := range sas {
			sas[i].Children[0].In.Packets = 1000 - uint64(i)*100 // how many came before tells nothing
			sas[i].Children[0].Age = time.Duration(10-i) * time.Second
		}
		var pruned []hop.Action
		looks := 0
		for ; looks < 30 && pruned == nil; looks++ {
			if tc.by >= 0 {
				sas[tc.by].Children[0].In.Packets++
			}
			w.now.Boot = w.now.Boot.After(time.Second)
			actions, _ := w.monitor.Observe(w.now, &w.seen)
			for _, a := range actions {
				if a.Kind == hop.Prune {
					pruned = append(pruned, a)
				}
			}
		}
		if len(pruned) != 1 || looks != tc.after || pruned[0].Hop != "srv" {
			t.Errorf("%+v: %+v after %d looks", tc, pruned, looks)
			continue
		}
		if got := slices.Sorted(slices.Values(pruned[0].IKE)); !slices.Equal(got, tc.goes) {
			t.Errorf("%+v: %d go", tc, got)
		}
		if s := w.current(); !s.Protected {
			t.Errorf("state %+v", s)
		}
	}
}

// A peer that opens ever more IKE SAs, with or without a child, does not fill the
// machine: few are left, and the hop stays protected.
func TestEverMoreSAs(t *testing.T) {
	for _, children := range []bool{false, true} {
		w := newWorld(t, ikeHop(trust.Server))
		w.protect()
		w.asked = nil
		for n := range 100 {
			if children {
				w.negotiated()
			} else {
				w.serial++
				w.seen.Charon.IKE = append(w.seen.Charon.IKE, hop.IKESA{Hop: "srv", ID: w.serial, Established: true, Age: time.Duration(n) * time.Second})
			}
			w.step(2 * time.Second)
			if got := len(w.seen.Charon.IKE); got > 10 {
				t.Fatalf("children %v: %d SAs after %d", children, got, n+1)
			}
		}
		if s := w.current(); !s.Protected {
			t.Errorf("children %v: state %+v", children, s)
		}
		for _, a := range w.asked {
			if a != "prune srv" {
				t.Errorf("children %v: asked for %q", children, a)
			}
		}
	}
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	for n := range 9 { // the oldest goes
		w.serial++
		w.seen.Charon.IKE = append(w.seen.Charon.IKE, hop.IKESA{Hop: "srv", ID: w.serial, Established: true, Age: time.Duration(100-n) * time.Second})
	}
	w.want("nine", w.step(time.Second), "prune srv")
	left := w.seen.Charon.IKE
	if len(left) != 9 || len(left[0].Children) != 1 || left[1].ID != 3 {
		t.Errorf("left are %+v", left)
	}
}

// A peer decides how often it rekeys: all are counted, few are told.
func TestRekeyingsThatFlood(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.told = nil
	for range 600 {
		w.seen.Events = append(w.seen.Events, hop.Event{Hop: "srv", Kind: hop.EventChildRekeyed, Child: "dhcp"})
		w.step(10 * time.Millisecond)
	}
	if n := len(w.told); n < 2 || n > 10 {
		t.Errorf("%d told in six seconds", n)
	}
	if s := w.current(); s.Rekeys != 600 {
		t.Errorf("state %+v", s)
	}
}

// Two for a moment are none of a matter: an IKE SA that is rekeyed.
func TestTwoSAsForAMoment(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.asked = nil
	w.negotiated()
	for range 5 {
		w.step(time.Second)
	}
	w.seen.Charon.IKE = w.seen.Charon.IKE[1:]
	for range 20 {
		w.step(time.Second)
	}
	w.want("asked", w.asked)
}

// What the kernel throws away of what comes in ESP is counted and told, and does
// not make the hop unprotected: anybody can send it.
func TestRejectedPackets(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.asked = nil
	in := &w.seen.Kernel.States[0]
	for _, tc := range []struct {
		forged, replayed, rejected uint64
		says                       string
	}{
		{3, 0, 3, "packets fail authentication: the peer has another key, or they are forged"},
		{3, 2, 5, "packets came twice: they are replayed"},
		{0, 0, 5, "packets came twice: they are replayed"}, // another SA
		{1, 0, 6, "packets fail authentication: the peer has another key, or they are forged"},
	} {
		in.AuthErrors, in.ReplayErrors = tc.forged, tc.replayed
		w.step(time.Second)
		if s := w.current(); s.Rejected != tc.rejected || s.LastError != tc.says || !s.Protected {
			t.Errorf("%+v: state %+v", tc, s)
		}
	}
	w.want("asked", w.asked)
}

func manualHop(made time.Time) hop.Hop {
	sa := func(spi uint32) hop.ManualSA {
		return hop.ManualSA{SPI: spi, Suite: hop.AES256SHA256, Encryption: make(hop.Secret, 32), Integrity: make(hop.Secret, 32), Made: made}
	}
	return hop.Hop{Name: "srv", Peer: "srv", Role: trust.Server, Local: here, Remote: there, Manual: &hop.Manual{Out: sa(0x2001), In: []hop.ManualSA{sa(0x1001)}}}
}

// RFC 8213 4b and 4c: the known limitations of manual keys stand beside them.
func TestManualKeys(t *testing.T) {
	made := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, manualHop(made))
	w.want("first", w.step(0), "install guard", "install manual keys")
	w.protect()
	s := w.current()
	if s.Mode != "manual" || s.Algorithms != "aes256-sha256" || s.Age < 30*24*time.Hour || !slices.Equal(s.Warnings, []string{hop.WarnReplay}) {
		t.Errorf("state %+v", s)
	}
	w.now.Wall = made.Add(91 * 24 * time.Hour)
	w.step(time.Second)
	if got := w.current().Warnings; !slices.Equal(got, []string{hop.WarnReplay, hop.WarnAge}) {
		t.Errorf("warnings %q", got)
	}
	for i := range w.seen.Kernel.States {
		w.seen.Kernel.States[i].Traffic = hop.Traffic{Packets: 5, Bytes: uint64(500 + i)}
	}
	w.step(time.Second)
	if s := w.current(); s.In.Bytes != 500 || s.Out.Bytes != 501 {
		t.Errorf("state %+v", s)
	}
	for name, take := range map[string]func(){
		"state":  func() { w.seen.Kernel.States = w.seen.Kernel.States[1:] },
		"policy": func() { w.seen.Kernel.Policies = w.seen.Kernel.Policies[1:] },
	} {
		take()
		w.obeys = false
		w.want(name, w.step(time.Minute), "install manual keys")
		if s := w.current(); s.Protected || s.Problem != "a manual SA or policy is missing in the kernel" {
			t.Errorf("%s: state %+v", name, s)
		}
		w.obeys = true
		w.now.Boot = w.now.Boot.After(time.Minute)
		w.seen.Kernel.States = nil
		w.protect()
	}
}

// What Linux 6.1 cannot do in a VRF is said of link-local hops there, whatever their
// keys, as long as they are there.
func TestWarningOfVRF(t *testing.T) {
	for _, h := range []hop.Hop{ikeHop(trust.Server), manualHop(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC))} {
		w := newWorld(t, h)
		w.protect()
		warned := func() bool { return slices.Contains(w.current().Warnings, hop.WarnVRF) }
		w.seen.VRF = map[string]bool{"eth0": true}
		w.step(time.Second)
		if warned() {
			t.Errorf("%s: addresses that are not link-local: %v", h.Mode(), w.current())
		}
		h.Link = "eth0"
		w.monitor.Reconfigure([]hop.Hop{h})
		for range 2 {
			w.step(time.Second)
		}
		if n := len(w.current().Warnings); !warned() || n > 2 || h.IKE != nil && n > 1 {
			t.Errorf("%s: in a VRF: %+v", h.Mode(), w.current())
		}
		w.seen.VRF = map[string]bool{"eth1": true}
		w.step(time.Second)
		if warned() {
			t.Errorf("%s: no longer in a VRF: %+v", h.Mode(), w.current())
		}
	}
}

// A new configuration keeps what is known of a hop whose addresses stay.
func TestReconfigure(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	h := ikeHop(trust.Server)
	other := h
	other.Name, other.Remote = "new", netip.MustParseAddr("2001:db8::3")
	w.monitor.Reconfigure([]hop.Hop{other, h})
	states := w.monitor.States()
	if len(states) != 2 || states[0].Hop != "new" || states[0].Protected || states[0].Problem == "" || !states[1].Protected || states[1].Out.Bytes != 300 {
		t.Errorf("states %+v", states)
	}
	h.Remote = other.Remote
	w.monitor.Reconfigure([]hop.Hop{h})
	if s := w.current(); s.Protected || s.Out.Bytes != 0 {
		t.Errorf("another pair of addresses: %+v", s)
	}
}

// The guard knows a peer by its address: of hops to the same one the first counts what
// is dropped, and the others say so. Links tell addresses of their scope apart.
func TestWhoCountsWhatIsDropped(t *testing.T) {
	a, b := ikeHop(trust.Server), ikeHop(trust.Server)
	b.Name, b.Local = "srv+1", netip.MustParseAddr("2001:db8::11")
	c, d, e := a, a, a
	c.Name, c.Remote = "other", netip.MustParseAddr("2001:db8::3")
	d.Name, d.Remote, d.Link = "here", netip.MustParseAddr("fe80::2"), "eth0"
	e.Name, e.Remote, e.Link = "there", d.Remote, "eth1"
	m := hop.NewMonitor([]hop.Hop{a, b, c, d, e})
	at := func() (all []string) {
		for _, s := range m.States() {
			all = append(all, s.DroppedAt)
		}
		return all
	}
	if got, want := at(), []string{"", "srv", "", "", ""}; !slices.Equal(got, want) {
		t.Errorf("counted at %q, want %q", got, want)
	}
	m.Reconfigure([]hop.Hop{b, c})
	if got, want := at(), []string{"", ""}; !slices.Equal(got, want) {
		t.Errorf("without the first: counted at %q, want %q", got, want)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	h := ikeHop(trust.Server)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(format, *h.IKE); strings.Contains(text, "a secret") || strings.Contains(text, fmt.Sprint([]byte("a secret")[:4])) {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

// A guard table that is mended before anybody looks at the hops was missed all the
// same: each of them says so.
func TestGuardThatIsMendedAtOnceIsTold(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	if s := w.current(); s.LastError != "" {
		t.Fatalf("last error %q before anything happened", s.LastError)
	}
	w.now.Boot, w.now.Wall = w.now.Boot.After(time.Minute), w.now.Wall.Add(time.Minute)
	actions := w.monitor.ObserveGuard(w.now, &hop.Seen{GuardError: "no such table"})
	if len(actions) != 1 || actions[0].Kind != hop.InstallGuard {
		t.Errorf("actions %+v", actions)
	}
	if s := w.current(); s.LastError != "no such table" || !s.LastErrorAt.Equal(w.now.Wall) {
		t.Errorf("last error %q at %v", s.LastError, s.LastErrorAt)
	}
}
