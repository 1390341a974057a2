package hop

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// StrongswanText is strongSwan's configuration for the hops with IKE, in the form of
// swanctl.conf. In the place of a secret it has the secret's length, and in the place of a
// certificate the name of a file, with the content as a comment. It is empty if there is
// no such hop.
func StrongswanText(o Owner, hops []Hop) string {
	var connections, secrets Section
	var files strings.Builder
	for i := range hops {
		h := &hops[i]
		if h.IKE == nil {
			continue
		}
		body := o.Connection(h)
		connections = append(connections, Entry{Key: o.ConnectionName(h.Name), Section: body})
		if s, ok := o.Shared(h); ok {
			secrets = append(secrets, Entry{Key: "ike-" + s.ID, Section: s.section()})
			continue
		}
		body.listFiles(&files)
		fmt.Fprintf(&files, "# private/%s.key: %v\n", o.ConnectionName(h.Name), h.IKE.Key)
	}
	if connections == nil {
		return ""
	}
	whole := Section{{Key: "connections", Section: connections}}
	if secrets != nil {
		whole = append(whole, Entry{Key: "secrets", Section: secrets})
	}
	return files.String() + whole.String()
}

// section is the key as swanctl.conf has it, without its secret.
func (s *Shared) section() Section {
	var out Section
	for i, owner := range s.Owners {
		out = append(out, Entry{Key: fmt.Sprintf("id-%d", i+1), Text: owner})
	}
	return append(out, Entry{Key: "secret", Text: hidden(s.Key)})
}

// hidden stands where a secret belongs.
func hidden(s Secret) string { return "<" + s.String() + ">" }

// listFiles writes a comment for each certificate in the section.
func (s Section) listFiles(b *strings.Builder) {
	for _, e := range s {
		folder := "x509"
		if e.Key == "cacerts" {
			folder = "x509ca"
		}
		for _, blob := range e.Blobs {
			fmt.Fprintf(b, "# %s/%s: certificate of %d octets, SHA-256 %x\n", folder, blob.File, len(blob.DER), sha256.Sum256(blob.DER))
		}
		e.Section.listFiles(b)
	}
}

// XfrmText is the kernel's configuration for the hops with manual keys, as commands of
// ip-xfrm(8), with the length of each key in the place of the key. It is empty if there is
// no such hop.
func XfrmText(o Owner, hops []Hop) string {
	var b strings.Builder
	for i := range hops {
		for _, a := range o.Associations(&hops[i]) {
			b.WriteString(a.command() + "\n")
		}
	}
	for i := range hops {
		for _, p := range o.Policies(&hops[i]) {
			b.WriteString(p.command() + "\n")
		}
	}
	return b.String()
}

// command is the state as ip-xfrm(8) adds it.
func (a *Association) command() string {
	return fmt.Sprintf("ip xfrm state add src %v dst %v proto esp spi %#08x reqid %#x mode transport sel src %v dst %v replay-window %d extra-flag oseq-may-wrap enc '%s' '%s' auth-trunc '%s' '%s' %d",
		a.Source, a.Dest, a.SPI, a.Reqid, a.Source, a.Dest, ManualReplayWindow,
		a.Encryption.Name, hidden(a.Encryption.Key),
		a.Integrity.Name, hidden(a.Integrity.Key), a.Integrity.Truncate)
}

// command is the policy as ip-xfrm(8) adds it. A level is required if none is said.
func (p *Policy) command() string {
	direction := "in"
	if p.Out {
		direction = "out"
	}
	return fmt.Sprintf("ip xfrm policy add %s dir %s priority %d tmpl proto esp reqid %#x mode transport",
		p.selector(), direction, ManualPriority, p.Reqid)
}

// selector is the policy's selector; port 0, which is any, is not written.
func (p *Policy) selector() string {
	s := fmt.Sprintf("src %v dst %v", p.Source, p.Dest)
	if p.Link != "" {
		s += " dev " + p.Link
	}
	s += " proto " + protocolName(p.Protocol)
	if p.SourcePort != 0 {
		s += fmt.Sprintf(" sport %d", p.SourcePort)
	}
	if p.DestPort != 0 {
		s += fmt.Sprintf(" dport %d", p.DestPort)
	}
	return s
}
