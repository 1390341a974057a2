package dhcp6

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
)

// Auth is the payload of an Authentication option (RFC 8415 section 21.11).
type Auth struct {
	Protocol, Algorithm, RDM uint8
	ReplayDetection          uint64
	Information              []byte // as the protocol says
}

// authHeaderLen is the three octets of methods and the replay detection.
const authHeaderLen = 3 + 8

// ParseAuth reads the payload of an AUTH option. The authentication information is not
// looked into.
func ParseAuth(b []byte) (Auth, error) {
	if len(b) < authHeaderLen {
		return Auth{}, &Error{Option: OptionAuth, Field: "header", Err: ErrTruncated}
	}
	return Auth{
		Protocol: b[0], Algorithm: b[1], RDM: b[2],
		ReplayDetection: binary.BigEndian.Uint64(b[3:]),
		Information:     b[authHeaderLen:len(b):len(b)],
	}, nil
}

// AppendAuth appends a whole AUTH option.
func AppendAuth(b []byte, v Auth) []byte {
	b = appendOptionHeader(b, OptionAuth, authHeaderLen+len(v.Information))
	b = append(b, v.Protocol, v.Algorithm, v.RDM)
	b = binary.BigEndian.AppendUint64(b, v.ReplayDetection)
	return append(b, v.Information...)
}

// The fields of an Authentication option in the Reconfiguration Key Authentication
// Protocol (RFC 8415 section 20.4.1).
const (
	rkapProtocol  = 3
	rkapAlgorithm = 1
	rkapRDM       = 0
	rkapKey       = 1 // the type of a reconfigure key
	rkapDigest    = 2 // the type of an HMAC-MD5 digest
)

// ReconfigureKey is the secret by which a client tells its server's Reconfigure messages
// from those of others (RFC 8415 section 20.4.2).
type ReconfigureKey [16]byte

// String keeps the key out of logs.
func (ReconfigureKey) String() string { return "(secret)" }

// AppendReconfigureKey appends a whole AUTH option that gives a client its key in a Reply
// (RFC 8415 section 20.4.2).
func AppendReconfigureKey(b []byte, replay uint64, key ReconfigureKey) []byte {
	return appendRKAP(b, replay, rkapKey, key)
}

// AppendReconfigureDigest appends a whole AUTH option with the digest of the Reconfigure
// message that starts at octet start of b and that the option ends (RFC 8415 section 20.4.2).
func AppendReconfigureDigest(b []byte, start int, replay uint64, key ReconfigureKey) []byte {
	b = appendRKAP(b, replay, rkapDigest, [md5.Size]byte{})
	at := len(b) - md5.Size
	reconfigureDigest(b[:at], b[start:], at-start, key)
	return b
}

func appendRKAP(b []byte, replay uint64, kind byte, value [16]byte) []byte {
	var information [1 + len(value)]byte
	information[0] = kind
	copy(information[1:], value[:])
	return AppendAuth(b, Auth{rkapProtocol, rkapAlgorithm, rkapRDM, replay, information[:]})
}

// reconfigureDigest appends to out the HMAC-MD5 of a message with zeroes in place of the 16
// octets from at on.
func reconfigureDigest(out, message []byte, at int, key ReconfigureKey) []byte {
	var zeroes [md5.Size]byte
	h := hmac.New(md5.New, key[:])
	h.Write(message[:at])
	h.Write(zeroes[:])
	h.Write(message[at+md5.Size:])
	return h.Sum(out)
}

// ReconfigureAuthentic reports whether m has one Authentication option, and in it the
// digest that key makes of m (RFC 8415 section 20.4.3). The digests are compared in constant
// time. The replay detection is the caller's to check.
func (m Message) ReconfigureAuthentic(key ReconfigureKey) bool {
	if m.Options().Count(OptionAuth) != 1 {
		return false
	}
	for o := m.Options(); ; {
		c, payload, rest, ok := o.next()
		if !ok {
			return false
		}
		if c == OptionAuth {
			v, err := ParseAuth(payload)
			if err != nil || v.Protocol != rkapProtocol || v.Algorithm != rkapAlgorithm || v.RDM != rkapRDM ||
				len(v.Information) != 1+md5.Size || v.Information[0] != rkapDigest {
				return false
			}
			at := len(m.b) - len(rest) - md5.Size
			return hmac.Equal(reconfigureDigest(nil, m.b, at, key), v.Information[1:])
		}
		o = rest
	}
}
