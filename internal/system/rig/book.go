package rig

import (
	"fmt"
	"net/netip"
	"sync"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// Book is the memory of a played server that gives each IA_PD of each client a prefix of its own,
// a /56 from lab.Delegable(1), and always the same one. The zero Book has given nothing yet.
type Book struct {
	mu       sync.Mutex // guards prefixes
	prefixes map[string]netip.Prefix
}

// Prefix returns what an IA_PD of a client gets.
func (b *Book) Prefix(client dhcp6.DUID, iaid uint32) netip.Prefix {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := fmt.Sprintf("%x/%d", client, iaid)
	p, ok := b.prefixes[key]
	if !ok {
		a := lab.Delegable(1).Addr().As16()
		a[5], a[6] = byte(len(b.prefixes)>>8), byte(len(b.prefixes))
		p = netip.PrefixFrom(netip.AddrFrom16(a), 56)
		if b.prefixes == nil {
			b.prefixes = make(map[string]netip.Prefix)
		}
		b.prefixes[key] = p
	}
	return p
}

// Len returns how many prefixes were given.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.prefixes)
}

// Valid returns the valid lifetime that a Book gives a prefix: no two prefixes have the same.
func (b *Book) Valid(p netip.Prefix) dhcp6.Lifetime {
	a := p.Addr().As16()
	return dhcp6.Lifetime(20000 + int(a[5])<<8 + int(a[6]))
}

// Grants returns the server's behaviour.
func (b *Book) Grants() script.Grants {
	return Grants(func(r script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
		client, _ := r.Message.ClientID()
		p := b.Prefix(client, ia.IAID)
		return []dhcp6.IAPrefix{{Prefix: p, Preferred: 2000, Valid: b.Valid(p)}}
	})
}
