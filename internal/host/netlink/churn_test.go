package netlink

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/host/netlink/bulk"
)

// On a machine with thousands of subscribers, addresses come and go all the time at its start,
// and the kernel interrupts every listing of all addresses. A snapshot has everything that stays,
// all the same.
func TestSnapshotAmongChanges(t *testing.T) {
	const staying, changes, looks = 1500, 200_000, 50
	c := open(t)
	run(t, "ip link add w0 type veth peer name w1")
	run(t, "ip link set w0 up")
	batch := func(lines *strings.Builder) *exec.Cmd {
		cmd := exec.Command("ip", "-6", "-batch", "-")
		cmd.Stdin = strings.NewReader(lines.String())
		return cmd
	}
	var add, churn strings.Builder
	for i := range staying {
		fmt.Fprintf(&add, "addr add 2001:db8:%x::1/64 dev w0 nodad\n", i)
	}
	if out, err := batch(&add).CombinedOutput(); err != nil {
		t.Fatalf("addresses: %v\n%s", err, out)
	}
	for range changes / 2 {
		churn.WriteString("addr add 2001:db8:ffff::1/64 dev lo nodad\naddr del 2001:db8:ffff::1/64 dev lo\n")
	}
	// A change during a listing is noticed. The change is that an address is removed: the kernel
	// counts an added address only when it has finished with it, which may be later.
	run(t, "ip addr add 2001:db8:ffff::1/64 dev lo nodad")
	again := 0
	change := func() {
		if again++; again == 1 {
			run(t, "ip addr del 2001:db8:ffff::1/64 dev lo")
		}
	}
	fixed := make([]byte, unix.SizeofIfAddrmsg)
	fixed[0] = unix.AF_INET6
	b, start := bulk.Begin(nil, unix.RTM_GETADDR, unix.NLM_F_DUMP, fixed...)
	err := c.queries.Dump(bulk.End(b, start), 1, func() {}, func(uint16, []byte) { change() })
	if !errors.Is(err, bulk.ErrInterrupted) || again < staying {
		t.Fatalf("an address went within a listing of %d: %v, want %v", again, err, bulk.ErrInterrupted)
	}

	// A listing is whole even among changes.
	changing := batch(&churn)
	if err := changing.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = changing.Process.Kill(); _ = changing.Wait() })
	for range looks {
		links, err := c.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Name == "w0" && len(l.Addrs) < staying {
				t.Fatalf("%d addresses of w0, want %d", len(l.Addrs), staying)
			}
		}
	}
}
