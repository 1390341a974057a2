package guard_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/labtest"
)

// A guard without strongSwan: whichever barrier somebody flushes, nothing that a program
// sends to a protected peer leaves in clear, and nothing of the peer's reaches it.
// RFC 8213 3b and 3p.
func TestRFC8213_3_GuardWhileFlushed(t *testing.T) {
	r := start(t)
	r.serve()
	r.launch()
	var wire, program, peer *net.UDPConn
	need(t, r.others.Do(func() (err error) {
		wire, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("0.0.0.0:6767")))
		return err
	}))
	defer wire.Close()
	need(t, r.host.Do(func() (err error) {
		program, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server+":1067")))
		return err
	}))
	defer program.Close()
	need(t, r.others.Do(func() (err error) {
		peer, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(relay+":1067")))
		return err
	}))
	defer peer.Close()
	// What goes to the peer's port is heard at another, which the guard does not know.
	_, err := r.others.Run("nft", "add table ip lab; add chain ip lab in { type nat hook prerouting priority -100; }; add rule ip lab in udp dport 67 redirect to :6767")
	need(t, err)
	out := func(to, text string) error {
		_, err := program.WriteToUDPAddrPort([]byte(text), netip.MustParseAddrPort(to+":67"))
		return err
	}
	back := func() bool {
		policies, err := r.host.IP("xfrm policy")
		need(t, err)
		_, missing := r.host.Run("nft", "list", "table", "inet", "fairlead-guard-guard")
		return missing == nil && strings.Count(policies, "action block") >= 4
	}
	for _, flush := range []string{"nft flush ruleset", "ip xfrm policy flush"} {
		for range 20 {
			end := make(chan error)
			go func() {
				_, err := r.host.Run("sh", "-c", flush)
				end <- err
			}()
			for going := true; going; {
				if err := out(relay, "clear"); err != nil && !errors.Is(err, unix.EPERM) {
					t.Fatal(err)
				}
				_, err := peer.WriteToUDPAddrPort(request(relay), netip.MustParseAddrPort(server+":67"))
				need(t, err)
				select {
				case err := <-end:
					need(t, err)
					going = false
				default:
				}
			}
			// The other barrier may be flushed only once this one is back.
			until(t, flush+": both barriers are back", back)
		}
		need(t, out(known, "end of "+flush))
		buffer := make([]byte, 100)
		for {
			need(t, wire.SetReadDeadline(time.Now().Add(labtest.Patience)))
			n, err := wire.Read(buffer)
			need(t, err)
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
