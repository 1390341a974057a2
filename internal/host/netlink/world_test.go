package netlink_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/netlink/fakekernel"

	"golang.org/x/sys/unix"
)

// world is a kernel with a client link c0, whose other end is up so that there is carrier, and
// with ways to change routes as another program would.
type world interface {
	Apply(ops []hoststate.Op, failed func(i int, err error)) error
	Routes() ([]hoststate.Route, error)
	Purge() (int, error)

	index(name string) int
	up(name string, up bool)
	carrier(name string, on bool)
	make(name string)
	remove(name string)
	foreign(r hoststate.Route)
	delete(r hoststate.Route)
	routes() string // all routes to 2001:db8::/32, in order, as other programs see them
	// restart begins again with what is in the kernel.
	restart()
}

// enter moves the test into a network namespace of its own. The thread ends with the test.
func enter(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v (root is needed)", err)
	}
	run(t, "ip link set lo up")
}

// run runs a program; its arguments are separated by spaces.
func run(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

type real struct {
	*netlink.Conn
	t *testing.T
}

func newReal(t *testing.T) world {
	enter(t)
	r := &real{t: t}
	r.make("c0")
	r.restart()
	return r
}

func (r *real) restart() {
	if r.Conn != nil {
		if err := r.Close(); err != nil {
			r.t.Fatal(err)
		}
	}
	c, err := netlink.Open(netlink.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Conn = c
	r.t.Cleanup(func() { _ = c.Close() })
}

func (r *real) make(name string) {
	run(r.t, "ip link add "+name+" type veth peer name "+name+"p")
	run(r.t, "ip link set "+name+"p up")
	run(r.t, "ip link set "+name+" up")
}

func (r *real) remove(name string) { run(r.t, "ip link del "+name) }

func (r *real) index(name string) int {
	i, err := net.InterfaceByName(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return i.Index
}

func (r *real) up(name string, up bool) {
	run(r.t, "ip link set "+name+" "+map[bool]string{true: "up", false: "down"}[up])
}

func (r *real) carrier(name string, on bool) { r.up(name+"p", on) }

func (r *real) foreign(x hoststate.Route) { run(r.t, "ip -6 route add "+r.words(x)+" proto static") }

func (r *real) delete(x hoststate.Route) { run(r.t, "ip -6 route del "+r.words(x)) }

func (r *real) words(x hoststate.Route) string {
	s := x.Prefix.String()
	if x.Link == 0 {
		s = "unreachable " + s
	}
	if x.Gateway.IsValid() {
		s += " via " + x.Gateway.String()
	}
	if x.Link != 0 {
		i, err := net.InterfaceByIndex(x.Link)
		if err != nil {
			r.t.Fatal(err)
		}
		s += " dev " + i.Name
	}
	return fmt.Sprintf("%s table %d metric %d", s, x.Table, x.Metric)
}

func (r *real) routes() string {
	r.t.Helper()
	var rs []struct {
		Type, Dst, Gateway, Dev, Protocol, Table string
		Metric                                   int
	}
	if err := json.Unmarshal([]byte(run(r.t, "ip -6 -j -N route show table all")), &rs); err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for _, x := range rs {
		if !strings.HasPrefix(x.Dst, "2001:db8:") {
			continue
		}
		if x.Table == "" {
			x.Table = "254"
		}
		line := x.Dst
		if x.Gateway != "" {
			line += " via " + x.Gateway
		}
		switch x.Type {
		case "unreachable", "7":
			line = "unreachable " + line
		case "throw", "9":
			line = "throw " + line
		default:
			line += " dev " + x.Dev
		}
		lines = append(lines, fmt.Sprintf("%s table %s proto %s metric %d\n", line, x.Table, x.Protocol, x.Metric))
	}
	return inOrder(lines)
}

// inOrder sorts lines by their text, without the word at their beginning.
func inOrder(lines []string) string {
	prefixed := func(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "unreachable "), "throw ") }
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(prefixed(a), prefixed(b)) })
	return strings.Join(lines, "")
}

type fake struct {
	*fakekernel.Kernel
	next  int
	links map[string]links.Link
}

func newFake(*testing.T) world {
	f := &fake{Kernel: fakekernel.New(), next: 7, links: map[string]links.Link{}}
	f.make("c0")
	return f
}

func (f *fake) restart()              {}
func (f *fake) index(name string) int { return f.links[name].Index }

func (f *fake) make(name string) {
	f.next++
	f.set(links.Link{Index: f.next, Name: name, Up: true, Running: true})
}

func (f *fake) set(l links.Link) {
	f.links[l.Name] = l
	f.SetLink(l)
}

func (f *fake) remove(name string) {
	delete(f.links, name)
	f.RemoveLink(name)
}

func (f *fake) up(name string, up bool) {
	l := f.links[name]
	l.Up = up
	f.set(l)
}

func (f *fake) carrier(name string, on bool) {
	l := f.links[name]
	l.Running = on
	f.set(l)
}

func (f *fake) foreign(r hoststate.Route) { f.AddForeign(r) }
func (f *fake) delete(r hoststate.Route)  { f.DeleteRoute(r) }
func (f *fake) routes() string            { return inOrder(strings.SplitAfter(f.String(), "\n")) }

// both runs one test body with the fake kernel and with the real one.
func both(t *testing.T, body func(t *testing.T, w world)) {
	t.Run("fake", func(t *testing.T) { body(t, newFake(t)) })
	t.Run("real", func(t *testing.T) { body(t, newReal(t)) })
}

func unicast(w world, prefix, via string) *hoststate.Route {
	return &hoststate.Route{
		Table: 254, Metric: 1024, Prefix: netip.MustParsePrefix(prefix),
		Link: w.index("c0"), Gateway: netip.MustParseAddr(via),
	}
}

func unreachable(prefix string) *hoststate.Route {
	return &hoststate.Route{Table: 254, Metric: 1024, Prefix: netip.MustParsePrefix(prefix)}
}

// apply carries out operations, none of which may fail.
func apply(t *testing.T, w world, ops ...hoststate.Op) {
	t.Helper()
	for i, err := range tryApply(t, w, ops...) {
		t.Errorf("operation %d: %v", i, err)
	}
}

func tryApply(t *testing.T, w world, ops ...hoststate.Op) map[int]error {
	t.Helper()
	errs := map[int]error{}
	if err := w.Apply(ops, func(i int, err error) { errs[i] = err }); err != nil {
		t.Fatal(err)
	}
	return errs
}

func expect(t *testing.T, w world, lines ...string) {
	t.Helper()
	want := ""
	for _, l := range lines {
		want += l + "\n"
	}
	if got := w.routes(); got != want {
		t.Errorf("routes\ngot:\n%swant:\n%s", got, want)
	}
}
