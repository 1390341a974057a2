package network

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
	"fairlead/internal/lab"
	"fairlead/internal/lab/reflector"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

func mac(client uint32) net.HardwareAddr {
	m := loadgen.MAC(client)
	return m[:]
}

func linkLocal(client uint32) netip.Addr { return netip.AddrFrom16(loadgen.LinkLocal(client)) }

// Asker is the client with number 0, which asks until it is answered.
type Asker struct {
	port *inject.Port
	last uint32 // the last transaction-id
}

// Asker puts the client on the link.
func (n *Network) Asker() (*Asker, error) {
	var a Asker
	err := n.Gen.Do(func() (err error) {
		a.port, err = inject.Open(inject.Options{Family: n.options.Family, Interface: n.port(), Clients: 1, Unsent: func(uint32) {}})
		return err
	})
	return &a, err
}

// Close removes the client from the link.
func (a *Asker) Close() { a.port.Close() }

// Answered asks, again after each pause, until a message of this call is answered.
func (a *Asker) Answered(t dhcp6.MessageType, pause time.Duration) error {
	return a.ask(pause, fmt.Sprint(t), func(b []byte, xid uint32) []byte { return question(b, t, 0, xid) },
		func(message []byte) (xid uint32, ok bool) {
			m, err := dhcp6.ParseMessage(message)
			return m.TransactionID(), err == nil
		})
}

// Relayed lets a client of DHCPv4 ask until it gets an Offer. It fails if the Offer is not as a
// relay agent delivers it: with giaddr, and without option 82.
func (a *Asker) Relayed(pause time.Duration) error {
	var got dhcp4.Message
	err := a.ask(pause, fmt.Sprint(dhcp4.Discover), func(b []byte, xid uint32) []byte { return discover(b, 0, xid) },
		func(message []byte) (xid uint32, ok bool) {
			var err error
			got, err = dhcp4.ParseMessage(bytes.Clone(message))
			return got.XID(), err == nil && got.Type() == dhcp4.Offer
		})
	if err != nil {
		return err
	}
	if _, left := got.Options().First(dhcp4.OptionAgentInformation); left || got.GIAddr().String() != LinkAddress4 || got.YIAddr() != reflector.Address4(0) {
		return fmt.Errorf("an Offer of %v has giaddr %v (option 82: %v), want one of %v with %s and without option 82",
			got.YIAddr(), got.GIAddr(), left, reflector.Address4(0), LinkAddress4)
	}
	return nil
}

// ask sends a question, again after each pause, until a question of this call is answered. read
// returns the transaction-id of an answer, and false for any other message.
func (a *Asker) ask(pause time.Duration, what string, write func(b []byte, xid uint32) []byte, read func(message []byte) (xid uint32, ok bool)) error {
	first, answered := a.last+1, false
	for end := time.Now().Add(Patience); time.Now().Before(end); {
		a.last++
		a.port.Queue(loadgen.Message{Client: 0, Number: a.last}, write(a.port.Room(), a.last))
		a.port.Flush()
		for again := time.Now().Add(pause); time.Now().Before(again); a.port.Wait(time.Until(again)) {
			a.port.Receive(inject.Batch, func(_ uint32, _ int64, data []byte) {
				xid, ok := read(data)
				answered = answered || ok && xid >= first && xid <= a.last
			})
			if answered {
				return nil
			}
		}
	}
	return fmt.Errorf("no %s was answered in %v", what, Patience)
}

// discover appends a Discover of a client.
func discover(b []byte, client, xid uint32) []byte {
	start, mac := len(b), loadgen.MAC(client)
	b = dhcp4.AppendHeader(b, dhcp4.Header{Op: dhcp4.BOOTRequest, HType: dhcp4.HardwareEthernet, XID: xid, CHAddr: mac[:]})
	return dhcp4.AppendEnd(dhcp4.AppendMessageType(b, dhcp4.Discover), start)
}

// question appends a client's message. A Renew contains what lab/reflector has given to the
// client.
func question(b []byte, t dhcp6.MessageType, client, xid uint32) []byte {
	b = dhcp6.AppendMessageHeader(b, t, xid)
	b = dhcp6.AppendClientID(b, loadgen.DUID(client))
	b = dhcp6.AppendElapsedTime(b, 0)
	if t != dhcp6.Renew {
		return dhcp6.AppendIA(b, dhcp6.OptionIAPD, dhcp6.IA{IAID: loadgen.IAID})
	}
	b = dhcp6.AppendServerID(b, reflector.ServerID)
	b, mark := dhcp6.BeginIA(b, dhcp6.OptionIAPD, loadgen.IAID, 0, 0)
	b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: reflector.Prefix(client), Preferred: reflector.Preferred, Valid: reflector.Valid})
	b, err := dhcp6.EndOption(b, mark)
	if err != nil {
		panic(err) // one prefix always fits
	}
	return b
}

// Throwers is how many link-layer addresses a flood has, and thrown the number of its first
// client.
const (
	Throwers = 64
	thrown   = 0x7f00_0000
)

// throw sends Solicits from an interface as fast as one processor can. At SIGTERM it prints how
// many it has sent, and how long it took.
func throw(port string) error {
	sent := 0
	p, err := inject.Open(inject.Options{Interface: port, First: thrown, Clients: Throwers, Unsent: func(uint32) { sent-- }})
	if err != nil {
		return err
	}
	defer p.Close()
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, syscall.SIGTERM)
	start := time.Now()
	for {
		select {
		case <-enough:
			fmt.Println("thrown:", sent, time.Since(start).Nanoseconds())
			return nil
		default:
		}
		for i := range uint32(Throwers) {
			p.Queue(loadgen.Message{Client: thrown + i, Number: i}, question(p.Room(), dhcp6.Solicit, thrown+i, i))
		}
		sent += Throwers
		p.Flush()
	}
}

// Throw floods a port of gen while f runs, and returns how many messages the flood had and how
// long it took.
func (n *Network) Throw(port string, f func() error) (sent int, took time.Duration, err error) {
	var p *lab.Proc
	if p, err = n.self(n.Gen, "thrower", port); err != nil {
		return 0, 0, err
	}
	if err := f(); err != nil {
		return 0, 0, err
	}
	if err := p.Stop(); err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(p.Log(), "thrown: %d %d", &sent, &took); err != nil {
		return 0, 0, fmt.Errorf("thrower: %w: %s", err, p.Log())
	}
	return sent, took, nil
}
