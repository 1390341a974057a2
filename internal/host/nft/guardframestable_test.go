package nft_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Every change by hand to the table of frames is noticed, and Install mends it.
func TestGuardNoticesTamperingWithFrames(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	f := p.host.framer(t, p.other)
	frames := "netdev " + hop.OwnerGuard.Table()
	chain := ""
	for _, word := range strings.Fields(p.host.run("nft list table " + frames)) {
		if strings.HasPrefix(word, "link-") {
			chain = frames + " " + word
		}
	}
	for _, script := range []string{
		"delete table " + frames,
		"flush chain " + chain,
		"delete chain " + chain,
		"insert rule " + chain + " accept",
		"add table " + frames + " { flags dormant; }",
		"delete element " + frames + " out6 { " + peer6 + " . 547 }",
		"add chain " + frames + " more",
		"delete chain " + chain + "\nadd chain " + chain + " { type filter hook ingress device \"e0\" priority 2147483647; }\nadd rule " + chain + " meta l4proto udp goto leaving",
	} {
		if !p.observe().Intact {
			t.Fatalf("before %q: not intact", script)
		}
		p.host.nft(script)
		for range 2 { // it is still reported at the second look
			if p.observe().Intact {
				t.Errorf("%s: intact", script)
			}
		}
		p.install(true, threeHops()...)
		if o := p.observe(); !o.Intact || o.Frames != "" {
			t.Errorf("%s: mended to %+v", script, o)
		}
		if !p.dropped(f, "e0") {
			t.Errorf("%s: mended, but a frame left", script)
		}
	}
}

// While the tables are made again and again, no frame passes.
func TestGuardFramesAreNeverLetThrough(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	f, peer := p.host.framer(t, p.other), p.other.udp(t, peer6, 547)
	var stop atomic.Bool
	sent, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for ; !stop.Load(); sent++ {
			f.send("e0", host6, peer6, 547, 547)
		}
	}()
	for i := range 20 {
		p.install(i%2 == 0, threeHops()[:1+i%3]...)
		p.host.run("ip link add e1 type bridge")
		p.observe()
		p.host.run("ip link del e1")
		p.observe()
	}
	stop.Store(true)
	<-done
	if n := waiting(t, peer); n != 0 || sent == 0 {
		t.Errorf("%d frames of %d arrived", n, sent)
	}
	if o := p.observe(); int(o.Hops["six"].Out.Packets) != sent {
		t.Errorf("counted %d of %d", o.Hops["six"].Out.Packets, sent)
	}
}

// Without hops no device has a chain, and Remove leaves nothing.
func TestGuardFramesAreRemoved(t *testing.T) {
	p := newPair(t, "")
	for _, away := range []func(){
		func() { p.install(false) },
		func() {
			if err := p.guard.Remove(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		p.install(false, threeHops()...)
		if got := p.host.run("nft list tables"); !strings.Contains(got, "netdev") {
			t.Fatalf("tables %s", got)
		}
		away()
		if got := p.host.run("nft list tables"); strings.Contains(got, "netdev") {
			t.Errorf("tables that are left: %s", got)
		}
		if p.observe().Frames != "" {
			t.Errorf("afterwards %+v", p.observe())
		}
	}
	relay := openGuard(t, p.host, hop.OwnerRelay)
	if err := relay.Install(threeHops(), false); err != nil {
		t.Fatal(err)
	}
	if got := p.host.run("nft list tables"); strings.Contains(got, "netdev") {
		t.Errorf("the relay's tables: %s", got)
	}
}

// If the kernel refuses the table of frames, that is reported, and everything else is guarded. In
// this test another owner has the table until it ends.
func TestGuardWithoutFrames(t *testing.T) {
	p := newPair(t, "")
	var owner *bulk.Conn
	var err error
	p.host.do(func() { owner, err = bulk.Open(unix.NETLINK_NETFILTER) })
	if err != nil {
		t.Fatal(err)
	}
	claim(t, owner, hop.OwnerGuard.Table())
	p.install(true, threeHops()...)
	host, peer := p.host.udp(t, host6, 547), p.other.udp(t, peer6, 547)
	for range 2 {
		o := p.observe()
		if !o.Intact || !strings.Contains(o.Frames, unix.EPERM.Error()) {
			t.Fatalf("observed %+v, want that frames pass", o)
		}
		if !send(t, host, address(peer), plain) {
			t.Error("a datagram in clear is not refused")
		}
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "frames are held back", func() bool { return p.observe().Frames == "" })
	if !p.dropped(p.host.framer(t, p.other), "e0") {
		t.Error("a frame left")
	}
}

// claim makes a table of family netdev that only its owner may change.
func claim(t *testing.T, c *bulk.Conn, name string) {
	t.Helper()
	const flags, owner = 2, 2 // NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER
	b, start := bulk.Begin(nil, unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	b = bulk.End(b, start)
	b, start = bulk.Begin(b, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_ACK, unix.NFPROTO_NETDEV, 0, 0, 0)
	b = bulk.AttrString(b, unix.NFTA_TABLE_NAME, name)
	b = bulk.End(bulk.Attr(b, flags, binary.BigEndian.AppendUint32(nil, owner)), start)
	b, start = bulk.Begin(b, unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	answers, err := c.Exchange(bulk.End(b, start), nil)
	if err != nil || answers[1] != nil {
		t.Fatalf("claim: %v, %v", err, answers)
	}
}

// The text of a plan gives the same table as Install.
func TestFrameTextIsWhatIsInstalled(t *testing.T) {
	p := newPair(t, "")
	p.host.run("ip link add e,1 type bridge")
	p.install(true, threeHops()...)
	list := func() string {
		return listedAs(p.host, "netdev", hop.OwnerGuard.Table())
	}
	installed := list()
	table := hop.OwnerGuard.FrameTable(threeHops(), p.links())
	p.host.nft(table.String(), "-c")
	p.host.nft(table.String())
	if got := list(); got != installed || !strings.Contains(installed, "hook egress") {
		t.Errorf("the text gives\n%s\ninstalled is\n%s", got, installed)
	}
}

// If there are very many interfaces, the first ones are guarded, and the number of the others is
// reported.
func TestGuardTooManyLinks(t *testing.T) {
	p := newPair(t, "")
	var batch strings.Builder
	for i := range 512 {
		fmt.Fprintf(&batch, "link add a%d type veth peer name b%d\n", i, i)
	}
	file := t.TempDir() + "/links"
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.host.run("ip -batch " + file)
	p.install(true, threeHops()...)
	if o := p.observe(); !o.Intact || o.Frames != "there are 1025 interfaces: only the first 1024 are guarded" {
		t.Errorf("observed %+v", o)
	}
	if !p.dropped(p.host.framer(t, p.other), "e0") {
		t.Error("a frame left")
	}
}
