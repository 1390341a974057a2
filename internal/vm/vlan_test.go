//go:build vm

package vm_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// vlan makes a VLAN on a trunk.
func vlan(d *rig.Host, trunk string, id int, addresses ...string) {
	d.Net.T.Helper()
	name := fmt.Sprintf("%s.%d", trunk, id)
	lines := []string{
		fmt.Sprintf("link add link %s name %s type vlan id %d", trunk, name, id),
		"link set " + name + " up",
	}
	for _, a := range addresses {
		lines = append(lines, "addr add "+a+" dev "+name+" nodad")
	}
	d.Batch(lines...)
}

// onTrunk is a rig with a client node on a trunk with VLANs 10 and 20, d1.10 and
// d1.20 on the relay. The clients on the two are as like as can be: one DUID,
// one IAID, one link-layer address, one link-local address.
type onTrunk struct {
	*network
	server   *rig.Server
	c1       *rig.Host
	on10     *rig.Client
	on20     *rig.Client
	replies  [2]dhcp6.Message // what was granted on VLAN 10 and 20
	granting script.Answer
}

const (
	prefix10 = "2001:db8:1000::/56"
	prefix20 = "2001:db8:2000::/56"
)

func newTrunk(t *testing.T) *onTrunk {
	t.Helper()
	r := &onTrunk{network: build(rig.New(t))}
	r.uplink(1, "")
	r.far.IP("-6 route add default via %s", near(1))
	r.server = r.network.server(1)
	r.c1 = r.Node("c1")
	r.Veth(r.node, "d1", r.c1, "c0")
	for _, id := range []int{10, 20} {
		vlan(r.node, "d1", id, linkAddress(id)+"/64")
		vlan(r.c1, "c0", id)
	}
	r.on10, r.on20 = r.client(r.c1, "c0.10", 1), r.client(r.c1, "c0.20", 1)
	if r.on10.Own() != r.on20.Own() {
		t.Fatalf("%v and %v are not alike", r.on10.Source, r.on20.Source)
	}
	r.granting = grants{linkAddress(10): prefix10, linkAddress(20): prefix20}.answer
	return r
}

// obtainBoth has both clients obtain their prefixes at once, from a server that
// answers when both have asked.
func (r *onTrunk) obtainBoth() {
	r.T.Helper()
	r.server.Become(afterBoth(r.granting))
	var both sync.WaitGroup
	for i, c := range []*rig.Client{r.on10, r.on20} {
		both.Go(func() {
			var err error
			if r.replies[i], err = c.Client.Obtain(labtest.Patience, 1); err != nil {
				r.T.Error(err)
			}
		})
	}
	both.Wait()
	if r.T.Failed() {
		r.T.FailNow()
	}
	r.server.Become(r.granting)
}

// afterBoth holds the answer on one link back until the other has asked the same,
// and gives the later one first.
func afterBoth(answer script.Answer) script.Answer {
	held := map[dhcp6.MessageType]map[netip.Addr][][]byte{}
	return func(q script.Request) [][]byte {
		if len(q.Relays) == 0 {
			return nil
		}
		link, kind := q.Relays[0].LinkAddress(), q.Message.Type()
		if held[kind] == nil {
			held[kind] = map[netip.Addr][][]byte{}
		}
		held[kind][link] = answer(q)
		if len(held[kind]) < 2 {
			return nil
		}
		out := held[kind][link]
		delete(held[kind], link)
		for _, first := range held[kind] {
			out = append(out, first...)
		}
		clear(held[kind])
		return out
	}
}

// One client on two VLANs of one trunk holds a prefix on each, and gets each
// answer on the VLAN that it asked on, also when the answer on the first comes
// after the question on the second.
func TestRFC8987_G4_SameDUIDOnTwoVLANs(t *testing.T) {
	r := newTrunk(t)
	r.start("  - match: d1.*\n", 1)
	wire := listen(r.c1, "wire", "c0", "udp or vlan and udp", "-e", "-v")
	r.obtainBoth()
	holds(t, r.replies[0], prefix10)
	holds(t, r.replies[1], prefix20)
	r.routed(254, prefix10, r.on10, "d1.10")
	r.routed(254, prefix20, r.on20, "d1.20")
	r.onVLAN(wire, r.replies[0], 10)
	r.onVLAN(wire, r.replies[1], 20)

	// The answers were frames of our own: the kernel never asked for the client.
	out := r.node.IP("-6 neigh show to %s", r.on10.Own())
	if strings.TrimSpace(out) != "" {
		t.Errorf("neighbours %q, want none", out)
	}

	// What happens on one VLAN is nothing to the other.
	renewed := r.on20.Renew(r.replies[1])
	holds(t, renewed, prefix20)
	r.onVLAN(wire, renewed, 20)
	r.on10.Release(r.replies[0])
	r.becomes(254, prefix10, "")
	r.routed(254, prefix20, r.on20, "d1.20")
}

// onVLAN checks that a message to a client was seen, and always with the tag of
// its VLAN.
func (r *onTrunk) onVLAN(wire *lab.Proc, m dhcp6.Message, id int) {
	r.T.Helper()
	want, xid := fmt.Sprintf("vlan %d,", id), fmt.Sprintf("dhcp6 reply (xid=%x ", m.TransactionID())
	r.Need(wire.Logged(labtest.Patience, xid))
	for line := range strings.Lines(wire.Log()) {
		if strings.Contains(line, xid) && !strings.Contains(line, want) {
			r.T.Errorf("not on VLAN %d: %s", id, line)
		}
	}
}

// traffic is a client's packets to the far end: from a source of its own, and
// from one that is not.
type traffic struct {
	*rig.Net
	sink        *rig.Server
	good, wrong *rig.Client
}

const (
	goodSource  = "2001:db8:1000::1" // in prefix10
	wrongSource = "2001:db8:666::1"
	sinkAddress = "2001:db8:ff01::3"
)

func (r *onTrunk) traffic() *traffic {
	r.T.Helper()
	r.far.Address("s1", sinkAddress+"/64")
	r.c1.Address("lo", goodSource+"/128", wrongSource+"/128")
	r.defaultRoute(r.c1, "c0.10", "d1.10")
	sink := r.far.Server(netip.MustParseAddr(sinkAddress), nil)
	from := func(source string) *rig.Client {
		return r.c1.PlayAs(script.ClientConfig{Interface: "c0.10", Source: netip.MustParseAddr(source), Port: 1000})
	}
	return &traffic{Net: r.Net, sink: sink, good: from(goodSource), wrong: from(wrongSource)}
}

// send sends one packet. That there is no way at the moment is no error.
func (w *traffic) send(c *rig.Client) {
	_ = c.Client.SendTo(netip.MustParseAddr(sinkAddress), []byte("traffic"))
}

// arrived is how many packets of a client the far end has received.
func (w *traffic) arrived(c *rig.Client) (n int) {
	for _, p := range w.sink.Received() {
		if p.From == c.Source {
			n++
		}
	}
	return n
}

// more waits until another packet of a client is received.
func (w *traffic) more(c *rig.Client, when string) {
	w.T.Helper()
	before := w.arrived(c)
	w.Until("a packet is received "+when, func() bool { return w.arrived(c) > before })
}

// flow sends both kinds until stop is called.
func (w *traffic) flow() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(4 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-end:
				return
			case <-beat.C:
				w.send(w.wrong)
				w.send(w.good)
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// A VLAN device is deleted and made anew while packets flow: the route is kept
// as an unreachable one and comes back without a word from the client, and the
// filter, by name, is never open for a moment, nor closed to the client.
func TestRFC8987_S2_VLANMadeAnewUnderTraffic(t *testing.T) {
	r := newTrunk(t)
	w := r.traffic()
	r.Until("a wrong source passes where there is no filter", func() bool {
		w.send(w.wrong)
		return w.arrived(w.wrong) > 0
	})
	r.start("  - match: d1.*\n", 1)
	r.obtainBoth()
	r.Until("all that has passed before has arrived", func() bool {
		w.send(w.good)
		return w.arrived(w.good) > 0
	})
	passed := w.arrived(w.wrong)
	stop := w.flow()
	w.more(w.good, "at first")

	was := r.node.Interface("d1.10")
	r.node.IP("link del d1.10")
	r.becomes(254, prefix10, standIn(prefix10))
	r.Fairlead.Asleep(func() {
		vlan(r.node, "d1", 10, linkAddress(10)+"/64")
		w.more(w.good, "on the new device, before the relay knows of it")
	})
	is := r.node.Interface("d1.10")
	if is.Index == was.Index {
		t.Fatalf("d1.10 has index %d again", is.Index)
	}
	r.becomesRouted(254, prefix10, r.on10, "d1.10")
	stop()
	if got := w.arrived(w.wrong) - passed; got != 0 {
		t.Errorf("%d packets with a wrong source passed", got)
	}
	if r.counter("spoofed") == 0 {
		t.Error("no packet with a wrong source was dropped")
	}
	r.routed(254, prefix20, r.on20, "d1.20")

	// The new device is heard as the old one was.
	renewed := r.on10.Renew(r.replies[0])
	holds(t, renewed, prefix10)
}
