package server6

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/host/store"
	"fairlead/internal/host/store/storetest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// small is a server with less than its clients want, so that what one has given back or has let expire
// goes to others.
const small = `
server6:
  lifetimes: {preferred: 3000s, valid: 4000s}
  links: [{match: br-campus}]
  subnets:
    - subnet: 2001:db8:1::/64
      pools: [{pool: 2001:db8:1::1000-2001:db8:1::1005}]
      pd-pools: [{prefix: 2001:db8:4000::/53, delegated-length: 56}]
`

// right is what a client was told in a Reply: which device has a lease, and until when.
type right struct {
	device int
	until  time.Time
}

// life is a day of clients of a small server.
type life struct {
	*shell
	random  *rand.Rand
	told    map[netip.Prefix]right
	answers []dhcp6.Message // the last Reply to each device that gave it something
	replies int

	later time.Time            // when what happens at present is over
	known atomic.Pointer[told] // what a start after a power cut is compared with
}

// told is what clients have been told up to now, and a time until which none of it is taken back.
type told struct {
	rights map[netip.Prefix]right
	wall   time.Time
}

const devices = 7

// anyLease are the IAs of a client that names nothing.
var anyLease = slices.Concat(script.IANA(1), script.IAPD(1))

func live(s *shell, seed uint64) *life {
	l := &life{shell: s, random: rand.New(rand.NewPCG(seed, 8)), told: make(map[netip.Prefix]right), answers: make([]dhcp6.Message, devices)}
	s.leaves = l.tell
	return l
}

// publish is called after each change of what clients were told. The store writes on goroutines of its own,
// so that the power may be cut on any of them: they see only what is published, and it never changes.
func (l *life) publish() {
	wall := l.now.Wall
	if l.later.After(wall) {
		wall = l.later
	}
	l.known.Store(&told{maps.Clone(l.told), wall})
}

// tell writes down what a datagram tells its client.
func (l *life) tell(d effect.Send) {
	m, err := dhcp6.ParseMessage(d.Payload)
	if err != nil || m.Type() != dhcp6.Reply {
		return
	}
	l.replies++
	device := int(m.TransactionID())
	given := func(p netip.Prefix, valid dhcp6.Lifetime) {
		if r, other := l.told[p]; other && r.device != device && r.until.After(l.now.Wall) && valid > 0 {
			l.Errorf("device %d is told of %v, which device %d has until %v", device, p, r.device, r.until)
		}
		if delete(l.told, p); valid > 0 {
			l.told[p] = right{device, l.now.Wall.Add(time.Duration(valid) * time.Second)}
		}
	}
	some := false
	for _, x := range script.Delegations(m) {
		given(x.Prefix, x.Valid)
		some = true
	}
	for _, x := range script.Leases(m) {
		given(netip.PrefixFrom(x.Address, 128), x.Valid)
		some = true
	}
	if some {
		l.answers[device] = m
		l.publish()
	}
}

// held are the IAs of the last Reply to a device.
func (l *life) held(device int) (all []byte) {
	if len(l.answers[device].Options()) == 0 {
		return anyLease
	}
	for code, payload := range l.answers[device].Options().All() {
		if code == dhcp6.OptionIANA || code == dhcp6.OptionIAPD {
			all = dhcp6.AppendOption(all, code, payload)
		}
	}
	return all
}

// step is something that happens: a client asks or gives back, time passes, or the operator
// clears a lease.
func (l *life) step() {
	device := l.random.IntN(devices)
	switch l.random.IntN(10) {
	case 0, 1, 2, 3:
		l.says(device, dhcp6.Request, anyLease)
	case 4, 5:
		l.says(device, dhcp6.Renew, l.held(device))
	case 6:
		l.says(device, dhcp6.Rebind, l.held(device))
	case 7:
		held := l.held(device)
		l.answers[device] = dhcp6.Message{}
		maps.DeleteFunc(l.told, func(_ netip.Prefix, r right) bool { return r.device == device })
		l.publish()
		l.says(device, dhcp6.Release, held)
	case 8:
		d := time.Duration(l.random.IntN(2500)) * time.Second
		l.later = l.now.Wall.Add(d)
		l.publish()
		l.sleep(d)
	case 9:
		for _, p := range slices.SortedFunc(maps.Keys(l.told), netip.Prefix.Compare)[:min(1, len(l.told))] {
			delete(l.told, p) // before it is gone from the store
			l.publish()
			l.core.Clear(l.now, delegation.Selection{Prefix: p}, &l.eff)
			l.carryOut()
		}
	}
}

// lacks returns what a server does not have of what clients were told, and what it has twice.
func lacks(s *shell, told map[netip.Prefix]right) error {
	has := make(map[netip.Prefix]right)
	for b := range s.core.Leases {
		for p := range has {
			if p.Overlaps(b.Prefix) {
				return fmt.Errorf("%v and %v are leased at once", p, b.Prefix)
			}
		}
		has[b.Prefix] = right{deviceOf(dhcp6.DUID(b.Client.DUID())), s.now.WallAt(b.Valid)}
	}
	for p, r := range told {
		if now := has[p]; r.until.After(s.now.Wall) && (now.device != r.device || now.until.Before(r.until)) {
			return fmt.Errorf("device %d was told that it has %v until %v; the server has %v for device %d until %v", r.device, p, r.until, p, now.device, now.until)
		}
	}
	return nil
}

// The power is cut before every single write to the disk while clients ask, extend, give back, and while
// leases expire and go to others; of what was not synced, nothing survives, or a random half, or all. The
// server that starts then has each lease that a client was told of in a Reply, for this client, and for as
// long as it was told.
func TestPowerCutAtEveryWrite(t *testing.T) {
	disk, err := storetest.Crashable()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	var running atomic.Pointer[life]
	cuts, richest := 0, 0
	hooked := storetest.Hooked(disk, func(op errorfs.Op) error {
		l := running.Load()
		if l == nil || t.Failed() {
			return nil
		}
		known := l.known.Load()
		for _, survives := range []int{0, 50, 100} {
			cuts++
			richest = max(richest, len(known.rights))
			left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: random})
			s, err := boot(t, []byte(small), left, known.wall)
			if err == nil {
				err = errors.Join(lacks(s, known.rights), s.store.Close())
			}
			if err != nil {
				t.Errorf("cut %d, before %v %s, %d%% of what was not synced survives: %v", cuts, op.Kind, op.Path, survives, err)
			}
		}
		return nil
	})
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for round := range 3 { // the server is ended and started anew between them
		s, err := boot(t, []byte(small), hooked, wall)
		if err != nil {
			t.Fatal(err)
		}
		l := live(s, uint64(round))
		if last := running.Load(); last != nil {
			l.told, l.answers = last.told, last.answers
			if err := lacks(s, l.told); err != nil {
				t.Fatal(err)
			}
		}
		l.publish()
		for running.Store(l); l.replies < 15; {
			l.step()
		}
		wall = l.now.Wall
		if err := s.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d cuts; up to %d leases were told of", cuts, richest)
	if cuts < 200 || richest < 8 {
		t.Errorf("%d cuts, and up to %d leases: the test tests too little", cuts, richest)
	}
}

// Each write to the disk fails once, in turn, and the disk works again. No client is told of a lease that is
// not kept then, and none loses what it was told of; the server goes on, and so does one that starts from what
// is kept.
func TestEachWriteFailsOnce(t *testing.T) {
	failures := []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS}
	unkept := 0
	for n, more := 1, true; more; n++ {
		disk, writes := vfs.NewMem(), 0
		if err := disk.MkdirAll("/var", 0o755); err != nil {
			t.Fatal(err)
		}
		more = false
		fault := failures[n%len(failures)]
		hooked := storetest.Hooked(disk, func(errorfs.Op) error {
			if writes++; writes != n {
				return nil
			}
			more = true
			return fault
		})
		s, err := boot(t, []byte(small), hooked, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if err != nil {
			if !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrBroken) {
				t.Fatalf("write %d fails with %v: %v", n, fault, err)
			}
			continue // the process does not start, and is started again
		}
		l := live(s, 5)
		for l.replies < 15 {
			l.step()
			if err := lacks(s, l.told); err != nil {
				t.Fatalf("write %d fails with %v: %v", n, fault, err)
			}
		}
		unkept += int(s.core.Totals().Refusals["not-kept"])
		l.sleep(time.Minute) // what was sent and not kept is kept by now
		if n := s.core.Totals().Unkept; n != 0 {
			t.Errorf("%d leases are not kept although the disk works", n)
		}
		if err := s.store.Close(); err != nil && !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrBroken) {
			t.Fatal(err)
		}
		after, err := boot(t, []byte(small), disk, l.now.Wall)
		if err != nil {
			t.Fatalf("write %d failed with %v: %v", n, fault, err)
		}
		if err := errors.Join(lacks(after, l.told), after.store.Close()); err != nil {
			t.Fatalf("write %d failed with %v: after the start: %v", n, fault, err)
		}
	}
	if unkept == 0 {
		t.Error("no lease was refused because it could not be kept: the test tests nothing")
	}
}
