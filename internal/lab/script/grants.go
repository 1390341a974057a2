package script

import (
	"bytes"

	"fairlead/internal/wire/dhcp6"
)

// Grants answers as a server does, and its functions say what is granted. They get the client's
// message, and may be nil.
type Grants struct {
	DUID   dhcp6.DUID // DefaultServerDUID if empty
	T1, T2 dhcp6.Lifetime
	// Prefixes returns what goes into an IA_PD of the client. If it returns nothing, the IA_PD
	// has the status NoPrefixAvail.
	Prefixes func(Request, dhcp6.IA) []dhcp6.IAPrefix
	// Addresses does the same for an IA_NA. If nil, IA_NAs are left out.
	Addresses func(Request, dhcp6.IA) []dhcp6.IAAddr
	// Options are encoded options that are added to each message.
	Options []byte
}

// DefaultServerDUID is the DUID-LL of a server of the lab.
var DefaultServerDUID = dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 0xfc}

// Always returns a function that gives the same prefixes to every IA_PD.
func Always(prefixes ...dhcp6.IAPrefix) func(Request, dhcp6.IA) []dhcp6.IAPrefix {
	return func(Request, dhcp6.IA) []dhcp6.IAPrefix { return prefixes }
}

// Answer is an Answer for the messages of RFC 8415 that ask for something. A Solicit with Rapid
// Commit gets a Reply. Messages for another server, and messages of other types, get no answer.
func (g Grants) Answer(r Request) [][]byte {
	duid := g.DUID
	if len(duid) == 0 {
		duid = DefaultServerDUID
	}
	if to, ok := r.Message.ServerID(); ok && !bytes.Equal(to, duid) {
		return nil
	}
	rapid, commit := r.Message.Options().First(dhcp6.OptionRapidCommit)
	answer := dhcp6.Reply
	switch r.Message.Type() {
	case dhcp6.Solicit:
		if !commit {
			answer = dhcp6.Advertise
		}
	case dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline, dhcp6.Confirm, dhcp6.InformationRequest:
		commit = false
	default:
		return nil
	}
	b := dhcp6.AppendMessageHeader(nil, answer, r.Message.TransactionID())
	if client, ok := r.Message.ClientID(); ok {
		b = dhcp6.AppendClientID(b, client)
	}
	b = dhcp6.AppendServerID(b, duid)
	if commit {
		b = dhcp6.AppendOption(b, dhcp6.OptionRapidCommit, rapid)
	}
	switch r.Message.Type() {
	case dhcp6.Release, dhcp6.Decline, dhcp6.Confirm:
		b = dhcp6.AppendStatus(b, dhcp6.Status{Code: dhcp6.StatusSuccess})
	case dhcp6.InformationRequest:
	default:
		b = g.bindings(b, r)
	}
	return [][]byte{r.Wrap(append(b, g.Options...))}
}

// bindings appends an IA for each IA that the client has sent.
func (g Grants) bindings(b []byte, r Request) []byte {
	for code, ia := range r.Message.Options().IAs() {
		if code == dhcp6.OptionIANA && g.Addresses == nil {
			continue
		}
		var mark int
		b, mark = dhcp6.BeginIA(b, code, ia.IAID, g.T1, g.T2)
		empty := len(b)
		if code == dhcp6.OptionIANA {
			for _, a := range g.Addresses(r, ia) {
				b = dhcp6.AppendIAAddr(b, a)
			}
		} else if g.Prefixes != nil {
			for _, p := range g.Prefixes(r, ia) {
				b = dhcp6.AppendIAPrefix(b, p)
			}
		}
		if len(b) == empty {
			status := dhcp6.StatusNoPrefixAvail
			if code == dhcp6.OptionIANA {
				status = dhcp6.StatusNoAddrsAvail
			}
			b = dhcp6.AppendStatus(b, dhcp6.Status{Code: status})
		}
		b, _ = dhcp6.EndOption(b, mark) // an IA that does not fit is left out
	}
	return b
}
