package links

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/instant"
)

// toy is what a role with rules for nothing knows of a link.
type toy struct {
	Entry
	clients bool
}

func (t *toy) FacesClients() bool { return t.clients }

// toys are a registry of IPv4 links, whose clients are on all links but those of servers.
type toys struct {
	*Registry[*toy]
	changed map[string]int
}

func newToys() *toys {
	all := &toys{changed: map[string]int{}}
	all.Registry = NewRegistry(Role[*toy]{
		Grade: func(p netip.Prefix) Grade {
			switch {
			case !p.Addr().Is4():
				return GradeNone
			case p.Addr().IsLinkLocalUnicast():
				return GradeLinkLocal
			}
			return GradeGlobal
		},
		Chooses: func(t *toy) bool { return t.clients },
		Leased:  func(string) bool { return false },
		Changed: func(name string) { all.changed[name]++ },
	})
	return all
}

// tell tells of a link, whose identifier is its name.
func (all *toys) tell(index int, name string, clients bool, addrs ...string) *toy {
	l := &Link{Index: index, Name: name, Up: true}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, netip.MustParsePrefix(a))
	}
	t := all.At(index)
	switch {
	case t == nil:
		t = &toy{clients: clients}
	case t.Name != name:
		all.Rename(t, name)
	}
	all.Tell(t, l)
	all.choose(t)
	return t
}

func (all *toys) choose(t *toy) {
	all.Identify(t, t.Name)
	all.SetAddress(t, all.OwnAddress(t))
}

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

// A link is found by all that an answer may call it, and by none of it once it is gone.
func TestRegistryFinds(t *testing.T) {
	all := newToys()
	a := all.tell(1, "a", true, "192.0.2.1/24", "198.51.100.1/24")
	b := all.tell(2, "b", true, "203.0.113.1/24")
	if all.At(1) != a || all.Named("a") != a || all.At(2) != b || all.At(3) != nil || all.Named("c") != nil || all.Len() != 2 {
		t.Error("not found by index or by name")
	}
	for text, want := range map[string]*toy{
		"192.0.2.1": a, "198.51.100.1": a, "192.0.2.77": a, "203.0.113.200": b, "10.0.0.1": nil,
	} {
		if got := all.ByAddress(address(text)); got != want {
			t.Errorf("%s names %v, want %v", text, got, want)
		}
	}
	if got, ambiguous := all.ByIdentifier(1, []byte("b"), address("192.0.2.1")); got != b || ambiguous {
		t.Errorf("identifier b names %v, ambiguous: %v", got, ambiguous)
	}
	all.Remove(b)
	if got, _ := all.ByIdentifier(1, []byte("b"), address("203.0.113.1")); got != nil || all.At(2) != nil || all.ByAddress(address("203.0.113.1")) != nil {
		t.Error("found although it is gone")
	}
}

// Where two links have an address, the one with clients is meant; where both have clients,
// none is.
func TestRegistryDoesNotGuess(t *testing.T) {
	all := newToys()
	a := all.tell(1, "a", true, "192.0.2.1/24")
	all.tell(2, "up", false, "192.0.2.1/24")
	if got := all.ByAddress(address("192.0.2.1")); got != a || all.IsUnique(address("192.0.2.1")) {
		t.Errorf("with an uplink that has it too: %v", got)
	}
	all.tell(3, "c", true, "192.0.2.1/24")
	if got := all.ByAddress(address("192.0.2.1")); got != nil {
		t.Errorf("with two client links that have it: %v", got)
	}
}

// A link that is renamed is understood by its former identifier for two minutes, and where
// another one has that by now, only if the address says which of them is meant.
func TestFormerIdentifier(t *testing.T) {
	all := newToys()
	a := all.tell(1, "a", true, "192.0.2.1/24")
	if all.tell(1, "z", true, "192.0.2.1/24") != a || a.Name != "z" || all.Named("a") != nil {
		t.Fatal("another link after it was renamed")
	}
	id := []byte("a")
	if got, ambiguous := all.ByIdentifier(1, id, netip.Addr{}); got != a || ambiguous {
		t.Errorf("right after: %v, ambiguous: %v", got, ambiguous)
	}
	next := all.tell(2, "a", true, "203.0.113.1/24")
	for text, want := range map[string]*toy{"192.0.2.1": a, "203.0.113.1": next, "10.0.0.1": nil} {
		if got, ambiguous := all.ByIdentifier(1, id, address(text)); got != want || ambiguous != (want == nil) {
			t.Errorf("with %s: %v, ambiguous: %v", text, got, ambiguous)
		}
	}
	late := instant.Instant(1).After(2 * time.Minute)
	if got, ambiguous := all.ByIdentifier(late, id, address("192.0.2.1")); got != next || ambiguous {
		t.Errorf("two minutes later: %v, ambiguous: %v", got, ambiguous)
	}
}

// The address of a link stays what it is when a newer one comes, is used for an hour while
// it is missing, outlives the process, and is understood in late answers.
func TestAddressStaysChosen(t *testing.T) {
	all := newToys()
	a := all.tell(1, "a", true, "192.0.2.1/24")
	all.tell(1, "a", true, "198.51.100.1/24", "192.0.2.1/24")
	if a.Address() != address("192.0.2.1") || all.changed["a"] != 1 {
		t.Errorf("with a newer one: %s, to be kept %d times", a.Address(), all.changed["a"])
	}
	all.tell(1, "a", true)
	all.tell(2, "b", true, "203.0.113.1/24")
	if a.Address() != address("192.0.2.1") {
		t.Errorf("while it is missing: %s", a.Address())
	}
	now := instant.Now{Boot: 1}
	all.Lapse(now, all.choose)
	if want := now.Boot.After(MissingFor); all.LapseAt() != want {
		t.Errorf("given up at %d, want %d", all.LapseAt(), want)
	}
	successor := newToys()
	chosen, instead := all.Chosen("a")
	successor.Restore("a", chosen, instead)
	if b := successor.tell(7, "a", true, "198.51.100.1/24", "192.0.2.1/24"); b.Address() != address("192.0.2.1") {
		t.Errorf("in the next life of the process: %s", b.Address())
	}
	now.Boot = all.LapseAt()
	all.Lapse(now, all.choose)
	if a.Address().IsValid() || all.LapseAt() != instant.Never {
		t.Errorf("an hour later: %s, and again at %d", a.Address(), all.LapseAt())
	}
	if got := all.ByAddress(address("192.0.2.1")); got != a {
		t.Errorf("a late answer goes to %v", got)
	}
}

// An address that is missing is given up at once where another link with clients has its
// prefix.
func TestAddressIsTakenOver(t *testing.T) {
	all := newToys()
	a := all.tell(1, "a", true, "192.0.2.1/24")
	all.tell(1, "a", true)
	b := all.tell(2, "b", true, "192.0.2.2/24")
	all.TakeOver(b, all.choose)
	if a.Address().IsValid() {
		t.Errorf("still %s", a.Address())
	}
}

// What is kept of links that are gone is bounded, and given back once.
func TestGone(t *testing.T) {
	var g Gone[int]
	name := func(i int) string { return string([]byte{byte(i), byte(i >> 8)}) }
	for i := range maxGone + 1 {
		g.Add(name(i), i+1)
	}
	var next Gone[int]
	next.Succeed(&g, []string{name(1), "there"}, func(string) int { return 7 })
	if got := [...]int{g.Take(name(0)), g.Take(name(1)), g.Take(name(1))}; got != [...]int{0, 2, 0} {
		t.Errorf("given back %v, want 0 of the oldest, and 2 once", got)
	}
	if got := [...]int{next.Take(name(1)), next.Take(name(3)), next.Take("there")}; got != [...]int{7, 4, 7} {
		t.Errorf("the successor has %v, want the values of the links that there are, and what was kept of others", got)
	}
}

// A link is called by its own addresses and by those that it had, and not by a prefix. To a
// role that cannot use an address which is missing, another one is the link's.
func TestOwnAddresses(t *testing.T) {
	all := newToys()
	a := all.tell(1, "a", true, "192.0.2.1/24", "198.51.100.1/24")
	all.tell(2, "b", true, "203.0.113.1/24")
	for text, want := range map[string][2]bool{"192.0.2.1": {true, true}, "198.51.100.1": {true, true}, "203.0.113.1": {true, false}, "192.0.2.77": {}, "10.0.0.1": {}} {
		if got := [2]bool{all.IsKnown(address(text)), all.IsCalled(a, address(text))}; got != want {
			t.Errorf("%s: known, and called so: %v, want %v", text, got, want)
		}
	}
	all.tell(1, "a", true, "10.0.0.1/24")
	if got := all.PresentAddress(a); got != address("10.0.0.1") {
		t.Errorf("with another address: %v", got)
	}
	if was := address("198.51.100.1"); !all.IsCalled(a, was) || all.IsKnown(was) {
		t.Error("not called by an address that it had")
	}
	all.tell(1, "a", true)
	if got := all.PresentAddress(a); got.IsValid() {
		t.Errorf("without an address: %v", got)
	}
	all.tell(3, "c", true, "203.0.113.1/24")
	if !all.IsKnown(address("203.0.113.1")) {
		t.Error("what two links have is not known")
	}
}
