package script

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
)

// resend is how long a client waits before it sends its message again.
const resend = time.Second

// ClientConfig identifies a client.
type ClientConfig struct {
	Interface string // "c0" if empty
	DUID      dhcp6.DUID
	// Source is the address to send from; if it is not valid, the interface's link-local address
	// is used. The node must have the address.
	Source netip.Addr
	// Port is the port to send from and receive at: 546 if 0.
	Port uint16
}

// Client is a socket on a link.
type Client struct {
	Config ClientConfig
	Source netip.AddrPort // where it sends from

	socket *socket
	zone   string
}

// StartClient opens the socket of a client in the node.
func StartClient(d *lab.Node, c ClientConfig) (*Client, error) {
	if c.Interface == "" {
		c.Interface = "c0"
	}
	if c.Port == 0 {
		c.Port = dhcp6.ClientPort
	}
	found, err := d.Interface(c.Interface)
	if err != nil {
		return nil, err
	}
	zone := strconv.Itoa(found.Index)
	source := c.Source
	if !source.IsValid() {
		if source, err = d.LinkLocal(c.Interface); err != nil {
			return nil, err
		}
	}
	if source.IsLinkLocalUnicast() {
		source = source.WithZone(zone)
	}
	local := netip.AddrPortFrom(source, c.Port)
	socket, err := listen(d, local)
	if err != nil {
		return nil, err
	}
	return &Client{Config: c, Source: local, socket: socket, zone: zone}, nil
}

// Message builds a message with the client's identifier, an elapsed time of 0
// and the encoded options. The transaction-id is random.
func (c *Client) Message(t dhcp6.MessageType, options ...[]byte) []byte {
	b := dhcp6.AppendMessageHeader(nil, t, rand.Uint32N(1<<24))
	b = dhcp6.AppendClientID(b, c.Config.DUID)
	b = dhcp6.AppendElapsedTime(b, 0)
	for _, o := range options {
		b = append(b, o...)
	}
	return b
}

// IAPD encodes an IA_PD option with prefixes.
func IAPD(iaid uint32, prefixes ...dhcp6.IAPrefix) []byte {
	b, mark := dhcp6.BeginIA(nil, dhcp6.OptionIAPD, iaid, 0, 0)
	for _, p := range prefixes {
		b = dhcp6.AppendIAPrefix(b, p)
	}
	b, err := dhcp6.EndOption(b, mark)
	if err != nil {
		panic(err) // there were more than two thousand prefixes: a mistake in the test
	}
	return b
}

// IANA encodes an IA_NA option without addresses.
func IANA(iaid uint32) []byte {
	b, mark := dhcp6.BeginIA(nil, dhcp6.OptionIANA, iaid, 0, 0)
	b, _ = dhcp6.EndOption(b, mark) // an error means that the option is too long
	return b
}

// Option encodes an option of any code.
func Option(code dhcp6.OptionCode, payload ...byte) []byte {
	return dhcp6.AppendOption(nil, code, payload)
}

// ServerID encodes a Server Identifier option.
func ServerID(duid dhcp6.DUID) []byte { return dhcp6.AppendServerID(nil, duid) }

// Send sends a datagram to all relay agents and servers on the link.
func (c *Client) Send(data []byte) error {
	return c.SendTo(dhcp6.AllRelayAgentsAndServers, data)
}

// SendTo sends a datagram to port 547 of an address. A link-local address needs no zone.
func (c *Client) SendTo(to netip.Addr, data []byte) error {
	if to.IsLinkLocalUnicast() || to.IsLinkLocalMulticast() {
		to = to.WithZone(c.zone)
	}
	return c.socket.send(netip.AddrPortFrom(to, dhcp6.ServerPort), data)
}

// Receive waits for the next datagram.
func (c *Client) Receive(limit time.Duration) (Packet, error) {
	p, err := c.socket.receive(time.Now().Add(limit))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return p, fmt.Errorf("script: nothing came to %s in %v", c.Source, limit)
	}
	return p, err
}

// Exchange sends a message, again and again, until a message with the same transaction-id comes
// back, which it returns.
func (c *Client) Exchange(limit time.Duration, message []byte) (dhcp6.Message, error) {
	sent, err := dhcp6.ParseMessage(message)
	if err != nil {
		return dhcp6.Message{}, err
	}
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if err := c.Send(message); err != nil {
			return dhcp6.Message{}, err
		}
		for again := time.Now().Add(resend); ; {
			p, err := c.socket.receive(again)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return dhcp6.Message{}, err
			}
			got, err := dhcp6.ParseMessage(p.Data)
			if err == nil && got.TransactionID() == sent.TransactionID() {
				return got, nil
			}
		}
	}
	return dhcp6.Message{}, fmt.Errorf("script: no answer to the %v from %s in %v", sent.Type(), c.Source, limit)
}

// Obtain does Solicit, Advertise, Request and Reply, with one IA_PD for each IAID, and returns
// the Reply.
func (c *Client) Obtain(limit time.Duration, iaids ...uint32) (dhcp6.Message, error) {
	var solicit []byte
	for _, iaid := range iaids {
		solicit = append(solicit, IAPD(iaid)...)
	}
	advertise, err := c.Exchange(limit, c.Message(dhcp6.Solicit, solicit))
	if err != nil {
		return advertise, err
	}
	return c.again(limit, dhcp6.Request, advertise)
}

// Lease does the same for one IA_NA.
func (c *Client) Lease(limit time.Duration, iaid uint32) (dhcp6.Message, error) {
	advertise, err := c.Exchange(limit, c.Message(dhcp6.Solicit, IANA(iaid)))
	if err != nil {
		return advertise, err
	}
	return c.again(limit, dhcp6.Request, advertise)
}

// Renew, Rebind and Release send that message with all IA_PDs of an earlier Reply, unchanged, and
// return the answer.
func (c *Client) Renew(limit time.Duration, reply dhcp6.Message) (dhcp6.Message, error) {
	return c.again(limit, dhcp6.Renew, reply)
}

// Rebind: see Renew.
func (c *Client) Rebind(limit time.Duration, reply dhcp6.Message) (dhcp6.Message, error) {
	return c.again(limit, dhcp6.Rebind, reply)
}

// Release: see Renew.
func (c *Client) Release(limit time.Duration, reply dhcp6.Message) (dhcp6.Message, error) {
	return c.again(limit, dhcp6.Release, reply)
}

// again sends the IA_PDs and IA_NAs of a server's message back to the server.
func (c *Client) again(limit time.Duration, t dhcp6.MessageType, from dhcp6.Message) (dhcp6.Message, error) {
	var options []byte
	if server, ok := from.ServerID(); ok && t != dhcp6.Rebind {
		options = dhcp6.AppendServerID(options, server)
	}
	for code, payload := range from.Options().All() {
		if code == dhcp6.OptionIAPD || code == dhcp6.OptionIANA {
			options = dhcp6.AppendOption(options, code, payload)
		}
	}
	return c.Exchange(limit, c.Message(t, options))
}

// Delegation is a prefix in a server's message.
type Delegation struct {
	IAID uint32
	dhcp6.IAPrefix
}

// Delegations lists the prefixes of all IA_PDs of a message, in wire order.
func Delegations(m dhcp6.Message) (list []Delegation) {
	for iaid, payload := range bound(m, dhcp6.OptionIAPD, dhcp6.OptionIAPrefix) {
		if p, err := dhcp6.ParseIAPrefix(payload); err == nil {
			list = append(list, Delegation{IAID: iaid, IAPrefix: p})
		}
	}
	return list
}

// Leases lists the addresses of all IA_NAs of a message, in wire order.
func Leases(m dhcp6.Message) (list []dhcp6.IAAddr) {
	for _, payload := range bound(m, dhcp6.OptionIANA, dhcp6.OptionIAAddr) {
		if a, err := dhcp6.ParseIAAddr(payload); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// bound iterates over the payloads of one kind of option in all identity associations of one
// kind, each with its IAID.
func bound(m dhcp6.Message, association, option dhcp6.OptionCode) iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		for code, ia := range m.Options().IAs() {
			if code != association {
				continue
			}
			for code, payload := range ia.Options.All() {
				if code == option && !yield(ia.IAID, payload) {
					return
				}
			}
		}
	}
}

// Close closes the socket.
func (c *Client) Close() error { return c.socket.close() }
