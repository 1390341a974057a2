package rig

import (
	"bytes"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// DUID returns the identifier of the played client with that number, up to 65 535.
func DUID(number int) dhcp6.DUID {
	return dhcp6.AppendDUIDLL(nil, dhcp6.HardwareEthernet, []byte{2, 0, 0, 0, byte(number >> 8), byte(number)})
}

// Client is a played client.
type Client struct {
	*script.Client
	net *Net
}

// PlayAs opens the socket of a played client, which is closed at the end of the test.
func (h *Host) PlayAs(config script.ClientConfig) *Client {
	h.Net.T.Helper()
	c := &Client{net: h.Net}
	h.Net.Until("the client's address is usable", func() bool {
		var err error
		c.Client, err = script.StartClient(h.Node, config)
		if !errors.Is(err, unix.EADDRNOTAVAIL) { // the address is tentative for a moment
			h.Net.Need(err)
		}
		return err == nil
	})
	h.Net.T.Cleanup(func() { c.Client.Close() })
	return c
}

// Own returns the address that the client sends from.
func (c *Client) Own() netip.Addr { return c.Source.Addr().WithZone("") }

// Send sends a datagram to all relay agents and servers on the link.
func (c *Client) Send(data []byte) {
	c.net.T.Helper()
	c.net.Need(c.Client.Send(data))
}

// SendTo sends a datagram to port 547 of an address.
func (c *Client) SendTo(to netip.Addr, data []byte) {
	c.net.T.Helper()
	c.net.Need(c.Client.SendTo(to, data))
}

// Receive waits for the next datagram.
func (c *Client) Receive() script.Packet {
	c.net.T.Helper()
	return must[script.Packet](c.net)(c.Client.Receive(labtest.Patience))
}

// Gets waits for the next datagram, and fails unless it contains that message.
func (c *Client) Gets(message []byte) script.Packet {
	c.net.T.Helper()
	p := c.Receive()
	if !bytes.Equal(p.Data, message) {
		c.net.T.Errorf("the client got %x, want %x", p.Data, message)
	}
	return p
}

// Exchange sends a message until it is answered, and returns the answer.
func (c *Client) Exchange(message []byte) dhcp6.Message {
	c.net.T.Helper()
	return must[dhcp6.Message](c.net)(c.Client.Exchange(labtest.Patience, message))
}

// Obtain exchanges the four messages for some IA_PDs, and returns the Reply.
func (c *Client) Obtain(iaids ...uint32) dhcp6.Message {
	c.net.T.Helper()
	return must[dhcp6.Message](c.net)(c.Client.Obtain(labtest.Patience, iaids...))
}

// Renew, Rebind and Release send that message with the content of an earlier Reply, and return
// the answer.
func (c *Client) Renew(reply dhcp6.Message) dhcp6.Message {
	c.net.T.Helper()
	return must[dhcp6.Message](c.net)(c.Client.Renew(labtest.Patience, reply))
}

// Rebind: see Renew.
func (c *Client) Rebind(reply dhcp6.Message) dhcp6.Message {
	c.net.T.Helper()
	return must[dhcp6.Message](c.net)(c.Client.Rebind(labtest.Patience, reply))
}

// Release: see Renew.
func (c *Client) Release(reply dhcp6.Message) dhcp6.Message {
	c.net.T.Helper()
	return must[dhcp6.Message](c.net)(c.Client.Release(labtest.Patience, reply))
}

// Passed makes the client send an Information-request until it is answered. Everything that it
// sent before has been decided on by then, because datagrams of one sender stay in order. It
// returns the Information-request.
func (c *Client) Passed() []byte {
	c.net.T.Helper()
	m := c.Message(dhcp6.InformationRequest)
	c.Exchange(m)
	return m
}

// Close closes the socket.
func (c *Client) Close() {
	c.net.T.Helper()
	c.net.Need(c.Client.Close())
}

// Held returns the prefixes of a Reply.
func Held(reply dhcp6.Message) (list []netip.Prefix) {
	for _, d := range script.Delegations(reply) {
		list = append(list, d.Prefix)
	}
	return list
}

// Foreign is a client of other authors.
type Foreign struct {
	*peer.Client
	net *Net
}

// Await waits until the client holds that many prefixes.
func (f *Foreign) Await(count int) []netip.Prefix {
	f.net.T.Helper()
	return must[[]netip.Prefix](f.net)(f.Client.Await(labtest.Patience, count))
}

// Inside returns the address of its prefix that it has given to its home network.
func (f *Foreign) Inside() netip.Addr {
	f.net.T.Helper()
	return must[netip.Addr](f.net)(f.Client.Inside())
}

// Release makes it release what it has.
func (f *Foreign) Release() {
	f.net.T.Helper()
	f.net.Need(f.Client.Release())
}

// Crash ends it at once.
func (f *Foreign) Crash() {
	f.net.T.Helper()
	f.net.Need(f.Client.Crash())
}
