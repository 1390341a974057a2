package guard_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/labtest"
)

// There is a guard without strongSwan. Whichever barrier is flushed, nothing that a program sends
// to a protected peer leaves in clear, and nothing from the peer reaches the program. RFC 8213 3b
// and 3p.
func TestRFC8213_3_GuardWhileFlushed(t *testing.T) {
	r := start(t)
	r.serve()
	r.guard.Start()
	wire := r.others.UDP(netip.MustParseAddrPort("0.0.0.0:6767"))
	program := r.host.UDP(netip.MustParseAddrPort(server + ":1067"))
	peer := r.others.UDP(netip.MustParseAddrPort(relay + ":1067"))
	// Packets for the peer's port are redirected to another port, which the guard does not know.
	r.others.Run("nft", "add table ip lab; add chain ip lab in { type nat hook prerouting priority -100; }; add rule ip lab in udp dport 67 redirect to :6767")
	out := func(to, text string) error {
		_, err := program.WriteToUDPAddrPort([]byte(text), netip.MustParseAddrPort(to+":67"))
		return err
	}
	for _, flush := range []string{"nft flush ruleset", "ip xfrm policy flush"} {
		for range 20 {
			end := make(chan error)
			go func() {
				_, err := r.host.Node.Run("sh", "-c", flush)
				end <- err
			}()
			for going := true; going; {
				if err := out(relay, "clear"); err != nil && !errors.Is(err, unix.EPERM) {
					t.Fatal(err)
				}
				_, err := peer.WriteToUDPAddrPort(request(relay), netip.MustParseAddrPort(server+":67"))
				r.Need(err)
				select {
				case err := <-end:
					r.Need(err)
					going = false
				default:
				}
			}
			// The other barrier may only be flushed once this one is back.
			r.Until(flush+": both barriers are back", func() bool { return r.host.Barriers("fairlead-guard-guard") })
		}
		r.Need(out(known, "end of "+flush))
		buffer := make([]byte, 100)
		for {
			r.Need(wire.SetReadDeadline(time.Now().Add(labtest.Patience)))
			n, err := wire.Read(buffer)
			r.Need(err)
			if text := string(buffer[:n]); text != "clear" {
				break
			}
			t.Errorf("%s: a message left in clear", flush)
		}
		if r.hears(relay, request(relay)) {
			t.Errorf("%s: a message in clear reached the program", flush)
		}
	}
}
