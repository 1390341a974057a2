package hop

import (
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"fairlead/internal/core/trust"
)

// Times and bounds of our connections.
const (
	probeAfter  = 5 * time.Second // of silence, by dead peer detection (RFC 7296 section 2.4)
	rekeyIKE    = 4 * time.Hour
	graceESP    = time.Minute // at least, from an ESP SA's rekeying to its end
	rekeyAt     = 2000000000  // packets: the sequence number has 32 bits (RFC 4303 section 3.3.3)
	replayAhead = 256         // packets that may overtake each other: many cores send
)

// LocalIdentity is our identity in IKE: by default our address, by which the peer's keys
// are indexed (RFC 8213 section 3, "Authentication").
func (h *Hop) LocalIdentity() string {
	if h.IKE != nil && h.IKE.LocalID != "" {
		return h.IKE.LocalID
	}
	return h.Local.String()
}

// RemoteIdentity is the identity that the peer must prove: by default its address, which a
// certificate must have as a subjectAltName.
func (h *Hop) RemoteIdentity() string {
	if h.IKE != nil && h.IKE.RemoteID != "" {
		return h.IKE.RemoteID
	}
	return h.Remote.String()
}

// Connection is strongSwan's configuration of a hop with IKE, for VICI's load-conn under
// the name of ConnectionName, or connections.NAME in swanctl.conf(5).
//
// The end that first has a datagram begins, and both may begin at once. So there is no
// policy of uniqueness: with any other, each end would delete the SA of the other, and
// with INITIAL_CONTACT without telling it.
func (o Owner) Connection(h *Hop) Section {
	s := Section{
		{Key: "version", Text: "2"},
		{Key: "local_addrs", List: []string{h.zoned(h.Local.String())}},
		{Key: "remote_addrs", List: []string{h.zoned(h.Remote.String())}},
		{Key: "proposals", List: orDefault(h.IKE.Proposals, DefaultIKE)},
		{Key: "mobike", Text: "no"},
		{Key: "unique", Text: "never"},
		{Key: "keyingtries", Text: "0"}, // without end
		{Key: "dpd_delay", Text: seconds(probeAfter)},
		{Key: "rekey_time", Text: seconds(rekeyIKE)},
		{Key: "reauth_time", Text: "0s"}, // reauthentication would end the SA before the new one is there
	}
	if h.IKE.Public() {
		// A foreign end may not ask for what it needs.
		s = append(s, Entry{Key: "send_cert", Text: "always"})
	}
	return append(s,
		Entry{Key: "local", Section: o.localAuthentication(h)},
		Entry{Key: "remote", Section: o.remoteAuthentication(h)},
		Entry{Key: "children", Section: h.children()},
	)
}

// zoned is a link-local address with its interface.
func (h *Hop) zoned(address string) string {
	if h.Link == "" {
		return address
	}
	return address + "%" + h.Link
}

func (o Owner) localAuthentication(h *Hop) Section {
	if !h.IKE.Public() {
		return Section{{Key: "auth", Text: "psk"}, {Key: "id", Text: h.LocalIdentity()}}
	}
	return Section{
		{Key: "auth", Text: "pubkey"},
		{Key: "certs", Blobs: []Blob{{File: o.ConnectionName(h.Name) + ".crt", DER: h.IKE.Certificate}}},
		{Key: "id", Text: h.LocalIdentity()},
	}
}

// strongKeys is authentication by a public key, where no key in the chain is
// shorter than RFC 8247 section 3.1.1 wants RSA keys, or its like.
const strongKeys = "rsa-2048-ecdsa-256"

// remoteAuthentication names the authorities in the peer's own section, so that a
// certificate from one peer's authority does not authenticate another peer.
func (o Owner) remoteAuthentication(h *Hop) Section {
	if !h.IKE.Public() {
		return Section{{Key: "auth", Text: "psk"}, {Key: "id", Text: h.RemoteIdentity()}}
	}
	authorities := make([]Blob, len(h.IKE.Authorities))
	for i, der := range h.IKE.Authorities {
		authorities[i] = Blob{File: o.ConnectionName(h.Name) + "-ca" + strconv.Itoa(i+1) + ".crt", DER: der}
	}
	return Section{
		{Key: "auth", Text: strongKeys},
		{Key: "cacerts", Blobs: authorities},
		{Key: "id", Text: h.RemoteIdentity()},
	}
}

// children has a child for each selector: transport mode and ESP (RFC 8213
// section 3, "Mode"), begun by the first datagram.
func (h *Hop) children() Section {
	var s Section
	for _, sel := range h.Selectors() {
		s = append(s, Entry{Key: sel.Name, Section: h.child(sel)})
	}
	return s
}

func (h *Hop) child(sel Selector) Section {
	rekey := h.IKE.Lifetime
	if rekey == 0 {
		rekey = DefaultLifetime
	}
	s := Section{
		{Key: "mode", Text: "transport"},
		{Key: "local_ts", List: []string{"dynamic" + sel.ports(sel.Local)}},
		{Key: "remote_ts", List: []string{"dynamic" + sel.ports(sel.Remote)}},
		{Key: "esp_proposals", List: orDefault(h.IKE.ESP, DefaultESP)},
		{Key: "start_action", Text: "trap"},
		{Key: "dpd_action", Text: h.deadPeerAction()},
		{Key: "rekey_time", Text: seconds(rekey)},
		{Key: "rand_time", Text: seconds(rekey / 10)},
		{Key: "life_time", Text: seconds(rekey + max(rekey/10, graceESP))},
		{Key: "rekey_packets", Text: strconv.Itoa(rekeyAt)},
		{Key: "replay_window", Text: strconv.Itoa(replayAhead)},
	}
	if h.Link != "" {
		s = append(s, Entry{Key: "interface", Text: h.Link})
	}
	return s
}

// deadPeerAction lets the end that asks begin again, and the one that answers wait.
func (h *Hop) deadPeerAction() string {
	if h.Role == trust.Server {
		return "restart"
	}
	return "trap"
}

// ports is a traffic selector without its address.
func (s Selector) ports(port uint16) string {
	if port == 0 {
		return "[" + protocolName(s.Protocol) + "]"
	}
	return "[" + protocolName(s.Protocol) + "/" + strconv.Itoa(int(port)) + "]"
}

func protocolName(protocol uint8) string {
	if protocol == TCP {
		return "tcp"
	}
	return "udp"
}

func orDefault(configured []string, otherwise func() []string) []string {
	if len(configured) > 0 {
		return configured
	}
	return otherwise()
}

// seconds is a time as strongSwan reads it; less than a second is one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max((d+time.Second/2)/time.Second, 1)), 10) + "s"
}

// Shared is a pre-shared key for VICI's load-shared, of type IKE.
type Shared struct {
	ID     string // unique: the connection's name
	Owners []string
	Key    Secret
}

// Shared is the pre-shared key of a hop with IKE; false with certificates. Its
// only owner is the peer: were our own identity among them, strongSwan would take
// the key for any peer, since it looks for a key of either of the two.
func (o Owner) Shared(h *Hop) (Shared, bool) {
	if h.IKE == nil || h.IKE.Public() {
		return Shared{}, false
	}
	return Shared{ID: o.ConnectionName(h.Name), Owners: []string{h.RemoteIdentity()}, Key: h.IKE.PSK}, true
}

// KeyID is the name by which strongSwan unloads the private key of the hop's
// certificate: the SHA-1 of the public key, in hexadecimal digits.
func (i *IKE) KeyID() (string, error) {
	cert, err := x509.ParseCertificate(i.Certificate)
	if err != nil {
		return "", fmt.Errorf("certificate: %w", err)
	}
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &key); err != nil {
		return "", fmt.Errorf("certificate: public key: %w", err)
	}
	sum := sha1.Sum(key.Key.RightAlign())
	return hex.EncodeToString(sum[:]), nil
}
