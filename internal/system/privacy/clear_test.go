package privacy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// clear ends the capture and counts the packets of any kind, but for ESP and IKE,
// that passed between the relay and the second server.
func (r *rig) clear(record *capture.Capture) int {
	r.t.Helper()
	need(r.t, record.Stop())
	rows, err := record.Fields("ipv6.addr == "+lab.ExtraServerAddress(2).String()+" && !esp && !isakmp", "frame.number")
	need(r.t, err)
	return len(rows)
}

// shown is what the test reads of status and peers.
type shown struct {
	Degraded  []string
	Name      string
	Protected bool
	Hops      []struct {
		Problem   string
		DroppedIn struct{ Packets int } `json:"dropped_in"`
	}
}

// why is what the relay says of the second server: in status, and in peers.
func (r *rig) why() (degraded string, peer shown) {
	r.t.Helper()
	var s shown
	labtest.Ask(r.t, r.relay, "/v1/status", &s)
	var all []shown
	labtest.Show(r.t, r.relay, &all, "peers")
	for _, p := range all {
		if p.Name == "another" {
			return strings.Join(s.Degraded, "\n"), p
		}
	}
	r.t.Fatalf("peers does not show it: %+v", all)
	return "", peer
}

// keyings are the two ways to keys, neither of which comes to anything here: there
// is no strongSwan, and the kernel may have no ESP; the server has none in any
// case.
func (r *rig) keyings() map[string][2]string {
	r.t.Helper()
	top, ike := r.ike()
	keys := "encryption 0x%064x\nintegrity 0x%064x\n"
	manual := fmt.Sprintf("protection: ipsec, manual: {algorithm: aes256-sha256, out: {spi: 0x1007, key-file: %s}, in: {spi: 0x2007, key-file: %s}}",
		r.secret("out.keys", fmt.Sprintf(keys, 0x1234567, 0x2345678)), r.secret("in.keys", fmt.Sprintf(keys, 0x3456789, 0x456789a)))
	return map[string][2]string{"ike": {top, ike}, "manual": {top, manual}}
}

// TestNothingInClear: where nothing can protect the second server, not one packet
// goes to it; status says why, the log says so
// and not again with each message, and the first server's clients are served.
func TestNothingInClear(t *testing.T) {
	for _, keying := range []string{"ike", "manual"} {
		t.Run(keying, func(t *testing.T) {
			parallel(t)
			r := build(t, 1, 2)
			record := r.uplink()
			k := r.keyings()[keying]
			began := time.Now()
			r.start(r.config(k[0], r.second(k[1])))
			c := r.client(1, somebody(1).duid())
			_, err := c.Obtain(patience, 1)
			need(t, err)
			for range 200 {
				passed(r.t, c)
			}
			if keying == "ike" {
				until(t, "status says why", func() bool {
					degraded, p := r.why()
					return strings.Contains(degraded, "peer another: not protected, nothing passes: ") && strings.Contains(degraded, "strongSwan") &&
						!p.Protected && len(p.Hops) == 1 && p.Hops[0].Problem != ""
				})
			}
			// It takes more than one look at strongSwan to flood a log.
			until(t, "a while has passed", func() bool {
				passed(r.t, c)
				return time.Since(began) > 8*time.Second
			})
			if got := len(r.another.Received()); got != 0 {
				t.Errorf("the server under IPsec has %d messages", got)
			}
			if got := r.clear(record); got != 0 {
				t.Errorf("%d packets in clear, want none", got)
			}
			lines := 0
			for line := range strings.Lines(r.relay.Proc().Log()) {
				if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
					lines++
				}
			}
			if most := 10 + int(10*time.Since(began).Minutes()); lines == 0 || lines > most {
				t.Errorf("%d warnings after %v, want some and at most %d:\n%s", lines, time.Since(began), most, r.relay.Proc().Log())
			}
		})
	}
}

// TestClearAnswersAreNotTaken: what the second server sends in clear is not
// believed while it is to be protected, and counted; once a reload lets it speak
// in clear the same octets are.
func TestClearAnswersAreNotTaken(t *testing.T) {
	for _, keying := range []string{"ike", "manual"} {
		t.Run(keying, func(t *testing.T) {
			parallel(t)
			r := build(t, 1, 2)
			k := r.keyings()[keying]
			r.start(r.config(k[0], r.second(k[1])))
			c := r.client(1, somebody(1).duid())
			_, err := c.Obtain(patience, 1)
			need(t, err)
			asked := r.server.Received()[0]
			p := dhcp6.IAPrefix{Prefix: prefixOf(1, 7), Preferred: 2000, Valid: 3000}
			reply := script.Grants{T1: 1000, T2: 1600, Prefixes: script.Always(p)}
			asked.Message, err = dhcp6.ParseMessage(c.Message(dhcp6.Request, script.IAPD(7)))
			need(t, err)
			answer := reply.Answer(asked)[0]
			to := netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort)
			routed := func() bool {
				out, err := r.Relay.IP("-N -6 route show table all proto 87")
				need(t, err)
				return strings.Contains(out, p.Prefix.String())
			}
			need(t, r.another.Send(to, answer))
			until(t, "the guard has counted it", func() bool { // so it has come
				_, peer := r.why()
				return len(peer.Hops) == 1 && peer.Hops[0].DroppedIn.Packets > 0
			})
			passed(r.t, c)
			if routed() {
				t.Error("an answer in clear was believed")
			}
			need(t, r.relay.Reload(r.config(k[0], r.second("protection: none"))))
			need(t, r.another.Send(to, answer))
			until(t, "the same answer is believed", routed)
		})
	}
}

// TestReloadToIPsecAndBack: once a reload that asks for protection has returned,
// no message of a client goes out in clear, whoever talks meanwhile; and with the
// reload back they do again. The first server does not notice.
func TestReloadToIPsecAndBack(t *testing.T) {
	for _, keying := range []string{"ike", "manual"} {
		t.Run(keying, func(t *testing.T) {
			parallel(t)
			r := build(t, 2, 2)
			k := r.keyings()[keying]
			none, ipsec := r.config(k[0], r.second("protection: none")), r.config(k[0], r.second(k[1]))
			r.start(none)
			stop, ended := make(chan struct{}), make(chan error, 1)
			busy := r.client(2, somebody(2).duid())
			go func() { ended <- talk(busy, stop) }()
			c := r.client(1, somebody(1).duid())
			for range 3 {
				m := passed(r.t, c)
				until(t, "the second server hears in clear", func() bool { return heard(r.another, m) })
				need(t, r.relay.Reload(ipsec))
				record := r.uplink()
				for range 20 {
					if m := passed(r.t, c); heard(r.another, m) {
						t.Error("the second server heard in clear after the reload")
					}
				}
				if got := r.clear(record); got != 0 {
					t.Errorf("%d packets in clear after the reload", got)
				}
				need(t, r.relay.Reload(none))
			}
			m := passed(r.t, c)
			until(t, "the second server hears in clear again", func() bool { return heard(r.another, m) })
			close(stop)
			need(t, <-ended)
			until(t, "the guard's table is gone, with nobody to guard", func() bool {
				out, err := r.Relay.Run("nft", "list", "tables")
				need(t, err)
				return !strings.Contains(out, "fairlead-relay-guard")
			})
		})
	}
}

// talk has a client ask without a pause until it is told to stop. It fails if a
// message gets no answer at all.
func talk(c *script.Client, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := c.Exchange(patience, c.Message(dhcp6.InformationRequest)); err != nil {
			return err
		}
	}
}
