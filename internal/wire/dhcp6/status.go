package dhcp6

import (
	"encoding/binary"
	"strconv"
)

// StatusCode is the status-code of a Status Code option (RFC 8415 section
// 21.13). A message or option without one has the status Success.
type StatusCode uint16

// The status codes of the IANA registry.
const (
	StatusSuccess                    StatusCode = 0
	StatusUnspecFail                 StatusCode = 1
	StatusNoAddrsAvail               StatusCode = 2
	StatusNoBinding                  StatusCode = 3
	StatusNotOnLink                  StatusCode = 4
	StatusUseMulticast               StatusCode = 5 // obsolete since RFC 9915
	StatusNoPrefixAvail              StatusCode = 6
	StatusUnknownQueryType           StatusCode = 7 // 7 to 10: RFC 5007
	StatusMalformedQuery             StatusCode = 8
	StatusNotConfigured              StatusCode = 9
	StatusNotAllowed                 StatusCode = 10
	StatusQueryTerminated            StatusCode = 11 // RFC 5460
	StatusDataMissing                StatusCode = 12 // 12 to 15: RFC 7653
	StatusCatchUpComplete            StatusCode = 13
	StatusNotSupported               StatusCode = 14
	StatusTLSConnectionRefused       StatusCode = 15
	StatusAddressInUse               StatusCode = 16 // 16 to 22: RFC 8156
	StatusConfigurationConflict      StatusCode = 17
	StatusMissingBindingInformation  StatusCode = 18
	StatusOutdatedBindingInformation StatusCode = 19
	StatusServerShuttingDown         StatusCode = 20
	StatusDNSUpdateNotSupported      StatusCode = 21
	StatusExcessiveTimeSkew          StatusCode = 22
)

var statusNames = [...]string{
	StatusSuccess:                    "Success",
	StatusUnspecFail:                 "UnspecFail",
	StatusNoAddrsAvail:               "NoAddrsAvail",
	StatusNoBinding:                  "NoBinding",
	StatusNotOnLink:                  "NotOnLink",
	StatusUseMulticast:               "UseMulticast",
	StatusNoPrefixAvail:              "NoPrefixAvail",
	StatusUnknownQueryType:           "UnknownQueryType",
	StatusMalformedQuery:             "MalformedQuery",
	StatusNotConfigured:              "NotConfigured",
	StatusNotAllowed:                 "NotAllowed",
	StatusQueryTerminated:            "QueryTerminated",
	StatusDataMissing:                "DataMissing",
	StatusCatchUpComplete:            "CatchUpComplete",
	StatusNotSupported:               "NotSupported",
	StatusTLSConnectionRefused:       "TLSConnectionRefused",
	StatusAddressInUse:               "AddressInUse",
	StatusConfigurationConflict:      "ConfigurationConflict",
	StatusMissingBindingInformation:  "MissingBindingInformation",
	StatusOutdatedBindingInformation: "OutdatedBindingInformation",
	StatusServerShuttingDown:         "ServerShuttingDown",
	StatusDNSUpdateNotSupported:      "DNSUpdateNotSupported",
	StatusExcessiveTimeSkew:          "ExcessiveTimeSkew",
}

// String returns the registry's name, or "status N" for a code that has none.
func (c StatusCode) String() string {
	if int(c) < len(statusNames) {
		return statusNames[c]
	}
	return "status " + strconv.Itoa(int(c))
}

// Status is the payload of a Status Code option.
type Status struct {
	Code    StatusCode
	Message []byte // text for a person, meant to be UTF-8; not checked
}

// ParseStatus reads the payload of a STATUS_CODE option.
func ParseStatus(b []byte) (Status, error) {
	if len(b) < 2 {
		return Status{}, &Error{Option: OptionStatusCode, Field: "status-code", Err: ErrTruncated}
	}
	return Status{Code: StatusCode(binary.BigEndian.Uint16(b)), Message: b[2:len(b):len(b)]}, nil
}

// AppendStatus appends a whole STATUS_CODE option.
func AppendStatus(b []byte, v Status) []byte {
	b = appendOptionHeader(b, OptionStatusCode, 2+len(v.Message))
	b = binary.BigEndian.AppendUint16(b, uint16(v.Code))
	return append(b, v.Message...)
}
