package network

import (
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
	last uint32 // transaction-id
}

// Asker puts the client on the link.
func (n *Network) Asker() (*Asker, error) {
	var a Asker
	err := n.Gen.Do(func() (err error) {
		a.port, err = inject.Open(inject.Options{Interface: n.port(), Clients: 1, Unsent: func(uint32) {}})
		return err
	})
	return &a, err
}

// Close takes it from the link.
func (a *Asker) Close() { a.port.Close() }

// Answered asks, and again after each pause, until a message of this call is answered.
func (a *Asker) Answered(t dhcp6.MessageType, pause time.Duration) error {
	first, answered := a.last+1, false
	for end := time.Now().Add(Patience); time.Now().Before(end); {
		a.last++
		a.port.Queue(loadgen.Message{Client: 0, Number: a.last}, question(a.port.Room(), t, 0, a.last))
		a.port.Flush()
		for again := time.Now().Add(pause); time.Now().Before(again); a.port.Wait(time.Until(again)) {
			a.port.Receive(inject.Batch, func(_ uint32, _ int64, data []byte) {
				m, err := dhcp6.ParseMessage(data)
				answered = answered || err == nil && m.TransactionID() >= first && m.TransactionID() <= a.last
			})
			if answered {
				return nil
			}
		}
	}
	return fmt.Errorf("no %v was answered in %v", t, Patience)
}

// question appends a client's message. In a Renew is what lab/reflector has given it.
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
		panic(err) // one prefix
	}
	return b
}

// Throwers is how many link-layer addresses a flood has, and thrown the number of the
// first client of it.
const (
	Throwers = 64
	thrown   = 0x7f00_0000
)

// throw sends Solicits from an interface as fast as one core can, and prints at
// SIGTERM how many they were and how long it took.
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

// Throw has somebody flood a port of gen while f runs, and says what the flood was.
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
