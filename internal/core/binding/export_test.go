package binding

import "fairlead/internal/wire/linkaddr"

// ClientID is the client of that DHCPv4 client identifier, which no role has yet.
func ClientID[T ~string | ~[]byte](octets T) Client { return client(ByClientID, octets) }

// Hardware is the DHCPv4 client of that hardware type and address.
func Hardware(htype byte, address linkaddr.Addr) Client {
	return client(ByHardware, address.Append([]byte{htype}))
}
