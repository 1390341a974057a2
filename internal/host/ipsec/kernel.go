package ipsec

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"
)

// Kernel has what one owner keeps in the XFRM of a network namespace: states with manual keys,
// and policies.
type Kernel struct {
	owner  hop.Owner
	absent error // why there is no XFRM; nil: there is

	mu     sync.Mutex // guards all following fields
	reader *bulk.Conn
	writer *netlink.Handle
	blocks []hop.Policy      // the last argument of SetBlockPolicies, as policies
	manual []hop.Association // the last argument of Install, as SAs
}

// OpenKernel opens XFRM in the network namespace of the calling thread. A kernel without XFRM is
// not an error: nothing can be installed there. Observe and Install return an error when
// something needs it.
func OpenKernel(owner hop.Owner) (*Kernel, error) { return openFamily(owner, unix.NETLINK_XFRM) }

// openFamily opens this netlink family; XFRM has one.
func openFamily(owner hop.Owner, family int) (*Kernel, error) {
	reader, err := bulk.Open(family)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return &Kernel{owner: owner, absent: fmt.Errorf("xfrm: the kernel has none: %w", err)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("xfrm: %w", err)
	}
	writer, err := netlink.NewHandle(unix.NETLINK_XFRM, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("xfrm: %w", err), reader.Close())
	}
	return &Kernel{owner: owner, reader: reader, writer: writer}, nil
}

// Close closes the sockets. What is installed stays.
func (k *Kernel) Close() error {
	if k.absent != nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writer.Close()
	return k.reader.Close()
}

// Observe reads what XFRM has at this moment, whoever has installed it.
func (k *Kernel) Observe() (hop.Kernel, error) {
	if k.absent != nil {
		return hop.Kernel{}, k.absent
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var seen hop.Kernel
	states, err := k.states()
	if err != nil {
		return seen, err
	}
	policies, err := k.policies()
	if err != nil {
		return seen, err
	}
	ours := make(map[string]*hop.Association, len(k.manual))
	for i := range k.manual {
		ours[placeOf(k.manual[i].Dest, k.manual[i].SPI)] = &k.manual[i]
	}
	for i := range states {
		s := states[i].XfrmState
		if a := ours[placeOf(s.Dest, s.SPI)]; a != nil {
			s.AsInstalled = s.Reqid == a.Reqid && states[i].is(a)
		}
		seen.States = append(seen.States, s)
	}
	for i := range policies {
		seen.Policies = append(seen.Policies, policies[i].XfrmPolicy)
	}
	return seen, nil
}

// Remove removes everything that is the owner's.
func (k *Kernel) Remove() error { return k.Install(nil) }

// Install makes the owner's states and policies exactly those of the hops with manual keys.
//
// Keys roll over without loss (RFC 4301 section 4.4.2.1 lets both SAs be there): new states are
// added before old ones are removed, and those that we receive by come first. The kernel sends by
// the new state within two seconds; the old one runs out after five. If a key changes and its SPI
// does not, the state is removed and added again, which can lose packets.
//
// Nothing with another request id is changed. Where it is in the way, the error names it, and the
// other hops are installed all the same.
func (k *Kernel) Install(hops []hop.Hop) error {
	if k.absent != nil {
		if slices.ContainsFunc(hops, func(h hop.Hop) bool { return h.Manual != nil }) {
			return k.absent
		}
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p, err := k.look(hops)
	if err != nil {
		return err
	}
	k.manual = p.associations
	return errors.Join(p.addStates(false), p.addStates(true), p.addPolicies(), p.removeStates(), p.removePolicies())
}

// pass is one comparison with the kernel, and what it changes.
type pass struct {
	k            *Kernel
	associations []hop.Association
	policies     []hop.Policy
	states       []installed
	laid         []laid
	placed       map[place]bool // where policies are wanted
}

func (k *Kernel) look(hops []hop.Hop) (*pass, error) {
	p := &pass{k: k}
	for i := range hops {
		p.associations = append(p.associations, k.owner.Associations(&hops[i])...)
		p.policies = append(p.policies, k.owner.Policies(&hops[i])...)
	}
	var err error
	if p.states, err = k.states(); err != nil {
		return nil, err
	}
	p.laid, err = k.policies()
	return p, err
}

// explain says in words what the kernel's answer means here.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("the kernel has no ESP for this family: %w", err)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("the kernel has not the algorithm: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("CAP_NET_ADMIN is needed: %w", err)
	}
	return err
}
