package protect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/ipsec"
)

// machine stands for host/ipsec and host/nft: it protects a hop once it was told everything, and
// records the order in which it was told.
type machine struct {
	mu       sync.Mutex
	done     []string
	loaded   []string
	up       map[string]bool
	table    bool
	blocks   bool
	noBlocks bool   // the machine cannot have block policies
	frames   string // why the guard does not hold frames back
	manual   []string
	fail     map[string]error
	hang     bool // strongSwan does not answer
	slow     bool // strongSwan negotiates nothing, and reports no failure
	events   chan hop.Event
	observed int
	limit    time.Duration // that the last load was given

	listeners int // of events
}

func newMachine() *machine {
	return &machine{up: map[string]bool{}, fail: map[string]error{}}
}

// did records a deed, and returns an error if the deed is to fail.
func (m *machine) did(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done = append(m.done, what)
	return m.fail[what]
}

func (m *machine) deeds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.done)
}

// change changes the machine without telling anybody.
func (m *machine) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func names(hops []hop.Hop, is func(*hop.Hop) bool) (found []string) {
	for i := range hops {
		if is(&hops[i]) {
			found = append(found, hops[i].Name)
		}
	}
	return found
}

type fakeCharon struct{ *machine }

func (f fakeCharon) wait(ctx context.Context) error {
	f.mu.Lock()
	hang := f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f fakeCharon) Load(ctx context.Context, hops []hop.Hop) error {
	until, _ := ctx.Deadline()
	f.change(func() { f.limit = time.Until(until) })
	err := errors.Join(f.did("load"), f.wait(ctx))
	f.change(func() { f.loaded = names(hops, func(h *hop.Hop) bool { return h.IKE != nil }) })
	return err
}

func (f fakeCharon) Unload(context.Context) error {
	f.change(func() { f.loaded = nil; clear(f.up) })
	return f.did("unload")
}

func (f fakeCharon) Initiate(ctx context.Context, h *hop.Hop, selector string) error {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	if slow {
		<-ctx.Done()
		return fmt.Errorf("initiate: %w", ctx.Err())
	}
	f.change(func() { f.up[h.Name] = true })
	return f.did("initiate " + h.Name + " " + selector)
}

func (f fakeCharon) Terminate(_ context.Context, ike ...uint32) error {
	return f.did(fmt.Sprint("terminate ", ike))
}

func (f fakeCharon) Reinstall(_ context.Context, h *hop.Hop) error {
	f.change(func() { delete(f.up, h.Name) })
	return f.did("reinstall " + h.Name)
}

func (f fakeCharon) Observe(ctx context.Context) (c hop.Charon, err error) {
	if err := f.wait(ctx); err != nil {
		return c, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.observed++
	c.Connections = slices.Clone(f.loaded)
	for name := range f.up {
		c.IKE = append(c.IKE, hop.IKESA{Hop: name, ID: 1, Established: true, Children: []hop.ChildSA{
			{Selector: "dhcp", ID: 1, Installed: true, SPIIn: 1, SPIOut: 2, Algorithms: "AES_GCM_16-256"},
		}})
	}
	return c, nil
}

func (f fakeCharon) Events(ctx context.Context) <-chan hop.Event {
	out := make(chan hop.Event)
	f.change(func() { f.listeners++ })
	go func() {
		defer close(out)
		defer f.change(func() { f.listeners-- })
		for {
			select {
			case e := <-f.events:
				out <- e
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (f fakeCharon) Close() {}

type fakeXfrm struct{ *machine }

func (f fakeXfrm) Install(hops []hop.Hop) error {
	keyed := names(hops, func(h *hop.Hop) bool { return h.Manual != nil })
	f.change(func() { f.manual = keyed })
	return f.did("xfrm " + strings.Join(keyed, " "))
}

func (f fakeXfrm) SetBlockPolicies(hops []hop.Hop) error {
	f.change(func() { f.blocks = !f.noBlocks })
	return f.did("blocks " + strings.Join(names(hops, func(*hop.Hop) bool { return true }), " "))
}

func (f fakeXfrm) Unblocked() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.blocks {
		return "flushed", nil
	}
	return "", nil
}

func (f fakeXfrm) VRF([]hop.Hop) map[string]bool { return nil }

func (f fakeXfrm) Remove() error { return f.did("xfrm removed") }
func (f fakeXfrm) Close() error  { return nil }

func (f fakeXfrm) Observe() (k hop.Kernel, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, b := netip.PrefixFrom(here, 128), netip.PrefixFrom(there, 128)
	if len(f.loaded)+len(f.manual) > 0 {
		for _, s := range [][3]uint16{{17, 547, 547}, {6, 0, 547}} {
			k.Policies = append(k.Policies,
				hop.XfrmPolicy{Out: true, Source: a, Dest: b, Protocol: uint8(s[0]), SourcePort: s[1], DestPort: s[2], ESP: true},
				hop.XfrmPolicy{Source: b, Dest: a, Protocol: uint8(s[0]), SourcePort: s[2], DestPort: s[1], ESP: true})
		}
	}
	if len(f.up)+len(f.manual) > 0 {
		k.States = []hop.XfrmState{{Source: there, Dest: here, SPI: 1, AsInstalled: true}, {Source: here, Dest: there, SPI: 2, AsInstalled: true}}
	}
	return k, nil
}

type fakeGuard struct{ *machine }

func (f fakeGuard) Install(hops []hop.Hop, _ bool, _ ...hop.Open) error {
	f.change(func() { f.table = true })
	return f.did("guard " + strings.Join(names(hops, func(*hop.Hop) bool { return true }), " "))
}

func (f fakeGuard) Observe() (hop.Guard, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return hop.Guard{Intact: f.table, Strangers: hop.Traffic{Packets: 5}, Frames: f.frames}, nil
}

func (f fakeGuard) Remove() error { return f.did("guard removed") }
func (f fakeGuard) Close() error  { return nil }

var (
	here  = netip.MustParseAddr("2001:db8::1")
	there = netip.MustParseAddr("2001:db8::2")
)

func keyed(name string) hop.Hop {
	return hop.Hop{Name: name, Peer: name, Role: trust.Server, Local: here, Remote: there, IKE: &hop.IKE{PSK: hop.Secret("0123456789abcdef")}}
}

func byHand(name string) hop.Hop {
	h := keyed(name)
	sa := hop.ManualSA{SPI: 1, Suite: hop.AES256SHA256}
	out := sa
	out.SPI = 2
	h.IKE, h.Manual = nil, &hop.Manual{Out: out, In: []hop.ManualSA{sa}}
	return h
}

// supervised runs f with a Supervisor of the machine, in a synctest bubble.
func supervised(t *testing.T, m *machine, s Settings, f func(v *Supervisor, log *strings.Builder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m.events = make(chan hop.Event) // a channel belongs to the bubble in which it was made
		log := new(strings.Builder)
		v := newSupervisor(Options{Log: slog.New(slog.NewTextHandler(log, nil))}, fakeCharon{m}, fakeXfrm{m}, fakeGuard{m})
		began := time.Now()
		v.now = func() instant.Now {
			return instant.Now{Boot: instant.Instant(time.Since(began)) + 1e9, Wall: time.Now()}
		}
		if err := v.install(s); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- v.Run(ctx) }()
		synctest.Wait()
		f(v, log)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The guard is installed before anything else. The hop is up one second after strongSwan is.
func TestFromStartToProtected(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, _ *strings.Builder) {
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := []string{"blocks srv", "guard srv", "xfrm ", "load", "initiate srv dhcp"}
		if got := m.deeds(); !slices.Equal(got, want) {
			t.Errorf("did %q, want %q", got, want)
		}
		if s := v.States(); len(s) != 1 || !s[0].Protected || s[0].Algorithms != "AES_GCM_16-256" || len(Degraded(s)) != 0 {
			t.Errorf("states %+v", s)
		}
		if got := v.Strangers().Packets; got != 5 {
			t.Errorf("%d strangers, want 5", got)
		}
	})
	if got := m.deeds(); slices.Contains(got, "unload") || slices.Contains(got, "guard removed") {
		t.Errorf("at the end it did %q", got)
	}
}

// If the kernel cannot hold frames back, that is logged once, and the hops work.
func TestFramesThatAreNotHeldBack(t *testing.T) {
	m := newMachine()
	m.frames = "no such hook"
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, log *strings.Builder) {
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := v.Frames(); got != "no such hook" {
			t.Errorf("frames: %q", got)
		}
		if s := v.States(); len(s) != 1 || !s[0].Protected {
			t.Errorf("states %+v", s)
		}
		m.change(func() { m.frames = "" })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := v.Frames(); got != "" {
			t.Errorf("frames, once they are: %q", got)
		}
		if got := strings.Count(log.String(), "by packet sockets is not held back\" why=\"no such hook\""); got != 1 {
			t.Errorf("%d lines in the log:\n%s", got, log)
		}
	})
}

// The plan of a guard has both tables, the plan of a relay only the first.
func TestPlanOfFrames(t *testing.T) {
	s := Settings{Hops: []hop.Hop{keyed("srv")}}
	link := hop.GuardLink{Index: 7, Name: "eth7"}
	guard, relay := Plan(hop.OwnerGuard, s, link), Plan(hop.OwnerRelay, s, link)
	if !strings.Contains(guard, "table inet fairlead-guard-guard {") || !strings.Contains(guard, `hook egress device "eth7"`) {
		t.Errorf("a guard's plan:\n%s", guard)
	}
	if !strings.Contains(relay, "table inet fairlead-relay-guard {") || strings.Contains(relay, "egress") {
		t.Errorf("a relay's plan:\n%s", relay)
	}
	if got := Plan(hop.OwnerGuard, Settings{}, link); strings.Contains(got, "egress") {
		t.Errorf("without hops:\n%s", got)
	}
}

// With remove, what is ours is taken out of strongSwan and XFRM; the guard stays.
func TestRemoveAtTheEnd(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Remove: true}, func(*Supervisor, *strings.Builder) {})
	got := m.deeds()
	if want := []string{"unload", "xfrm removed"}; len(got) < 2 || !slices.Equal(got[len(got)-2:], want) {
		t.Errorf("did %q, want %q at the end", got, want)
	}
}

// Block policies that are taken away are back within two seconds, and that is logged. Where the
// kernel refuses them, the status says so. The guard table holds meanwhile, and the peer is
// protected.
func TestBlocksAreMended(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, log *strings.Builder) {
		time.Sleep(time.Minute)
		m.change(func() { m.done = nil; m.blocks = false })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := m.deeds(); !slices.Equal(got, []string{"blocks srv"}) || !strings.Contains(log.String(), "block policies changed by somebody else") {
			t.Errorf("did %q, logged %s", got, log)
		}
		m.change(func() { m.blocks, m.noBlocks = false, true })
		time.Sleep(4 * time.Second)
		synctest.Wait()
		s := v.States()
		if words := Degraded(s); !s[0].Protected || len(words) != 1 || !strings.Contains(words[0], hop.WarnBlockPolicies+"flushed") {
			t.Errorf("state %+v, degraded %q", s[0], words)
		}
		m.change(func() { m.noBlocks = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := v.States(); len(s[0].Warnings) != 0 {
			t.Errorf("state %+v", s[0])
		}
	})
}

// Whatever is taken away is back within three seconds, and that is logged.
func TestNoticedAndRecovered(t *testing.T) {
	for name, tc := range map[string]struct {
		take func(m *machine)
		deed string
		says string
	}{
		"guard":       {func(m *machine) { m.table = false }, "guard srv", "guard table changed by somebody else"},
		"connections": {func(m *machine) { m.loaded = nil; clear(m.up) }, "load", "nothing passes"},
		"SA":          {func(m *machine) { clear(m.up) }, "initiate srv dhcp", "nothing passes"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, log *strings.Builder) {
				time.Sleep(time.Minute)
				m.change(func() { m.done = nil; tc.take(m) })
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if !slices.Contains(m.deeds(), tc.deed) || !strings.Contains(log.String(), tc.says) {
					t.Errorf("did %q, logged %s", m.deeds(), log)
				}
				time.Sleep(7 * time.Second)
				synctest.Wait()
				if s := v.States(); !s[0].Protected || s[0].LastError == "" {
					t.Errorf("state %+v", s[0])
				}
			})
		})
	}
}

// The time for a load grows with the number of hops: a load that is cut off would begin again
// with the first hop.
func TestTimeToLoad(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 10050 * time.Millisecond, 100: 15 * time.Second} {
		m := newMachine()
		hops := make([]hop.Hop, n)
		for i := range hops {
			hops[i] = keyed(fmt.Sprintf("srv%d", i))
		}
		supervised(t, m, Settings{Hops: hops, Others: true}, func(*Supervisor, *strings.Builder) {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			m.change(func() {
				if m.limit != want {
					t.Errorf("%d hops: %v, want %v", n, m.limit, want)
				}
			})
		})
	}
}

// The guard is looked at and mended even while strongSwan does not answer a request.
func TestGuardWhileCharonHangs(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(*Supervisor, *strings.Builder) {
		time.Sleep(time.Minute)
		m.change(func() { m.slow = true; clear(m.up) })
		time.Sleep(2 * time.Second) // the negotiation has begun, and goes on until its deadline
		m.change(func() { m.table = false; m.done = nil })
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if got := m.deeds(); !slices.Contains(got, "guard srv") {
			t.Errorf("did %q", got)
		}
	})
}

// A strongSwan that hangs holds up nothing else for long. What its SAs carry still passes: the
// peer is protected, and the status says what is wrong. Without SAs the peer is not protected.
func TestCharonHangs(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, log *strings.Builder) {
		time.Sleep(time.Minute)
		m.change(func() { m.hang = true })
		time.Sleep(5 * time.Second)
		m.change(func() { m.table = false; m.done = nil })
		time.Sleep(3 * lookLimit)
		synctest.Wait()
		s := v.States()
		words := Degraded(s)
		if !s[0].Protected || len(words) != 1 || !strings.Contains(words[0], hop.WarnIKE+"strongSwan cannot be reached") {
			t.Errorf("state %+v, degraded %q", s[0], words)
		}
		if strings.Contains(log.String(), "nothing passes") || !v.May(here, there) {
			t.Errorf("a false alarm: %s", log)
		}
		if !slices.Contains(m.deeds(), "guard srv") {
			t.Errorf("the guard was not mended meanwhile: did %q", m.deeds())
		}
		m.change(func() { clear(m.up) })
		time.Sleep(3 * lookLimit)
		synctest.Wait()
		if s := v.States()[0]; s.Protected || v.May(here, there) {
			t.Errorf("state %+v", s)
		}
		m.change(func() { m.hang = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := v.States()[0]; !s.Protected || !v.May(here, there) {
			t.Errorf("state %+v", s)
		}
	})
}

// Where strongSwan answers questions and hangs over deeds, we wait for one deed's deadline, and
// not once for each hop.
func TestCharonHangsOverDeeds(t *testing.T) {
	m := newMachine()
	var hops []hop.Hop
	for i := range 50 {
		hops = append(hops, keyed(fmt.Sprintf("srv%d", i)))
	}
	hops = append(hops, byHand("manual"))
	supervised(t, m, Settings{Hops: hops, Others: true}, func(*Supervisor, *strings.Builder) {
		time.Sleep(time.Minute)
		m.change(func() { m.slow, m.done = true, nil; clear(m.up) })
		time.Sleep(2 * time.Second)
		m.change(func() { m.table = false })
		time.Sleep(deedLimit + 3*time.Second)
		synctest.Wait()
		if !slices.ContainsFunc(m.deeds(), func(d string) bool { return strings.HasPrefix(d, "guard ") }) {
			t.Errorf("the guard was not mended meanwhile: did %q", m.deeds())
		}
	})
}

// A deed that fails shows in the hop's last error, and is tried again.
func TestDeedsThatFail(t *testing.T) {
	m := newMachine()
	m.fail["load"] = errors.New("no such algorithm")
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, log *strings.Builder) {
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if s := v.States()[0]; !strings.Contains(s.LastError, "no such algorithm") || !strings.Contains(log.String(), "no such algorithm") {
			t.Errorf("state %+v, logged %s", s, log)
		}
	})
}

func TestReconfigure(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(v *Supervisor, log *strings.Builder) {
		time.Sleep(time.Minute)
		step := func(s Settings, want ...string) {
			t.Helper()
			m.change(func() { m.done = nil })
			if err := v.Reconfigure(s); err != nil {
				t.Fatal(err)
			}
			if got := m.deeds(); !slices.Equal(got, want) {
				t.Errorf("did %q, want %q", got, want)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		step(Settings{Hops: []hop.Hop{keyed("srv"), keyed("new")}, Others: true}, "blocks srv new", "guard srv new", "xfrm ", "load")
		step(Settings{Hops: []hop.Hop{byHand("srv")}, Others: true}, "blocks srv", "guard srv", "xfrm srv", "unload")
		if s := v.States(); len(s) != 1 || s[0].Mode != "manual" || !s[0].Protected {
			t.Errorf("states %+v", s)
		}
		if !strings.Contains(log.String(), "replayed packets are not detected") {
			t.Errorf("no warning of manual keys: %s", log)
		}
		// There is nothing to guard any more: the table is removed after the rest.
		step(Settings{Others: true}, "blocks srv", "guard srv", "xfrm ")
		v.Release()
		if got := m.deeds(); got[len(got)-1] != "guard removed" {
			t.Errorf("did %q, want the table to go at the end", got)
		}
		// Strangers alone are guarded against, without any hop.
		step(Settings{}, "blocks ", "guard ", "xfrm ")
		m.fail["guard "] = errors.New("no nftables")
		if err := v.Reconfigure(Settings{}); err == nil || !strings.Contains(err.Error(), "no nftables") {
			t.Errorf("a guard that cannot be installed: %v", err)
		}
	})
}

// A sender learns later than we do that a peer is gone or has moved. Until then the peer is
// guarded, even where the table had to be mended meanwhile.
func TestGuardOfWhatIsNoMore(t *testing.T) {
	moved, gone := keyed("moved"), keyed("gone")
	moved.Remote, gone.Remote = netip.MustParseAddr("2001:db8::3"), netip.MustParseAddr("2001:db8::4")
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv"), moved, gone}, Others: true}, func(v *Supervisor, _ *strings.Builder) {
		time.Sleep(time.Minute)
		m.change(func() { m.done = nil })
		moved.Remote = netip.MustParseAddr("2001:db8::5")
		reconfigure := func() {
			t.Helper()
			if err := v.Reconfigure(Settings{Hops: []hop.Hop{keyed("srv"), moved}, Others: true}); err != nil {
				t.Fatal(err)
			}
		}
		reconfigure()
		reconfigure() // the first change was never released
		m.change(func() { m.table = false })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		guards := slices.DeleteFunc(m.deeds(), func(d string) bool { return !strings.HasPrefix(d, "guard ") })
		if want := "guard srv moved moved gone"; len(guards) < 3 || slices.ContainsFunc(guards, func(d string) bool { return d != want }) {
			t.Errorf("did %q, want %q alone", guards, want)
		}
		v.Release()
		v.Release() // this changes nothing any more
		guards = slices.DeleteFunc(m.deeds(), func(d string) bool { return !strings.HasPrefix(d, "guard ") })
		if len(guards) != 4 || guards[3] != "guard srv moved" {
			t.Errorf("did %q", guards)
		}
	})
}

// A failure to take something out of strongSwan is reported, unless there is no strongSwan.
func TestPurge(t *testing.T) {
	absent := ipsec.Open(ipsec.Options{Socket: filepath.Join(t.TempDir(), "none"), Owner: hop.OwnerRelay}).Unload(t.Context())
	closed := filepath.Join(t.TempDir(), "closed")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: closed, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	gone := ipsec.Open(ipsec.Options{Socket: closed, Owner: hop.OwnerRelay}).Unload(t.Context())
	forbidden := errors.New("no rights to it")
	for _, tc := range []struct{ says, want error }{{absent, nil}, {gone, nil}, {forbidden, forbidden}} {
		m := newMachine()
		m.fail["unload"] = tc.says
		v := newSupervisor(Options{Log: slog.New(slog.DiscardHandler)}, fakeCharon{m}, fakeXfrm{m}, fakeGuard{m})
		if err := v.purge(); !errors.Is(err, tc.want) {
			t.Errorf("strongSwan says %v: got %v, want %v", tc.says, err, tc.want)
		}
		if got, want := m.deeds(), []string{"unload", "xfrm removed", "blocks ", "guard removed"}; !slices.Equal(got, want) {
			t.Errorf("did %q, want %q", got, want)
		}
	}
	if absent == nil || gone == nil {
		t.Errorf("nobody is there, and says %v and %v", absent, gone)
	}
}

// Where no peer has keys by IKE, strongSwan may belong to another program, or not be there at
// all: then nobody listens to it.
func TestNobodyListensInVain(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Others: true}, func(v *Supervisor, _ *strings.Builder) {
		for _, step := range []struct {
			hops []hop.Hop
			want int
		}{{nil, 0}, {[]hop.Hop{byHand("srv")}, 0}, {[]hop.Hop{keyed("srv")}, 1}, {[]hop.Hop{keyed("srv"), keyed("two")}, 1}, {nil, 0}, {[]hop.Hop{keyed("srv")}, 1}} {
			if err := v.Reconfigure(Settings{Hops: step.hops, Others: true}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			m.change(func() {
				if m.listeners != step.want {
					t.Errorf("with %d hops %d listen, want %d", len(step.hops), m.listeners, step.want)
				}
			})
		}
	})
}

// A machine without nftables has no table of ours. It need not have one where there is nothing to
// guard.
func TestNothingToGuard(t *testing.T) {
	m := newMachine()
	m.fail["guard removed"] = errors.New("no nftables")
	supervised(t, m, Settings{Others: true}, func(_ *Supervisor, log *strings.Builder) {
		if !strings.Contains(log.String(), "no nftables") {
			t.Errorf("logged %s", log)
		}
	})
}

// A look costs more than a packet that makes strongSwan send an event: so events are gathered.
func TestEventsThatFlood(t *testing.T) {
	m := newMachine()
	supervised(t, m, Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}, func(*Supervisor, *strings.Builder) {
		time.Sleep(time.Minute)
		m.change(func() { m.observed = 0 })
		for range 1000 {
			m.events <- hop.Event{Hop: "srv", Kind: hop.EventFailed, Text: "no proposal"}
			time.Sleep(time.Millisecond)
		}
		m.change(func() {
			if m.observed < 5 || m.observed > 15 {
				t.Errorf("looked %d times in a second", m.observed)
			}
		})
	})
}

// The next look gets the events, and many events do not fill the memory.
func TestEvents(t *testing.T) {
	m := newMachine()
	var told []hop.Note
	synctest.Test(t, func(t *testing.T) {
		m.events = make(chan hop.Event)
		v := newSupervisor(Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Note: func(n hop.Note) { told = append(told, n) }}, fakeCharon{m}, fakeXfrm{m}, fakeGuard{m})
		if err := v.install(Settings{Hops: []hop.Hop{keyed("srv")}, Others: true}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- v.Run(ctx) }()
		time.Sleep(time.Minute)
		m.events <- hop.Event{Hop: "srv", Kind: hop.EventChildRekeyed, Child: "dhcp"}
		for range 3 {
			m.events <- hop.Event{Hop: "srv", Kind: hop.EventFailed, Text: "AUTHENTICATION_FAILED"}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := v.States()[0]; s.Rekeys != 1 || s.LastError != "AUTHENTICATION_FAILED" {
			t.Errorf("state %+v", s)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	kinds := make([]string, 0, len(told))
	for _, n := range told {
		kinds = append(kinds, n.Kind.String())
	}
	if want := []string{"protected", "rekeyed", "failed"}; !slices.Equal(kinds, want) {
		t.Errorf("told %q, want %q", kinds, want)
	}
}
