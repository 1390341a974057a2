package labtest

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// DUID is the identifier of the played client with that number, up to 65 535.
func DUID(number int) dhcp6.DUID {
	return dhcp6.AppendDUIDLL(nil, dhcp6.HardwareEthernet, []byte{2, 0, 0, 0, byte(number >> 8), byte(number)})
}

// Client opens the socket of a played client in a node, until the test ends.
func Client(t testing.TB, d *lab.Node, config script.ClientConfig) *script.Client {
	t.Helper()
	var c *script.Client
	Until(t, "the client's address is usable", func() bool {
		var err error
		c, err = script.StartClient(d, config)
		if !errors.Is(err, unix.EADDRNOTAVAIL) { // tentative, for a moment
			Need(t, err)
		}
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// Passed has a client ask for information until it is answered. What it has sent
// before was decided on then: datagrams of one sender stay in order. It returns
// what it asked.
func Passed(t testing.TB, c *script.Client) []byte {
	t.Helper()
	m := c.Message(dhcp6.InformationRequest)
	_, err := c.Exchange(Patience, m)
	Need(t, err)
	return m
}
