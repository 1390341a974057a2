package config

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// Config is one configuration file that has been checked.
type Config struct {
	Process
	State   string // folder of the store, of the DUID that Fairlead makes, and of other such files
	RelayID RelayID
	Host    Host
	Store   Store
	History History
	Hook    Hook

	Sections map[string]Section // of the roles that are to be played, by name; only Guard for "fairlead guard"
}

// Process has the part of the file that is the same for every process.
type Process struct {
	Control Control
	Metrics Metrics
	Log     Log
	Audit   Audit
	Privacy Privacy
	Peers   []trust.Peer // in the order of the file; at least one, unless all roles are servers
	IPsec   IPsec

	// Warnings are about settings that are not wrong, but that the operator should know of.
	Warnings Problems

	hops        []hop.Hop
	mentions    []mention
	sourcePorts map[Family]uint16 // from which we speak to servers, if it is not the servers' own port
}

// Hops returns the protected hops of all peers, in the order of the file. They contain the keys.
func (p *Process) Hops() []hop.Hop { return p.hops }

// IPsec has what is common to all protected peers.
type IPsec struct {
	Socket string // path of strongSwan's VICI socket
	// Remove says that what is ours in strongSwan and in the kernel's XFRM is removed when the
	// process stops; otherwise it stays. The filter that refuses clear text stays in either case.
	Remove bool
}

// Control says how operators reach the control interface.
type Control struct {
	Socket    string // path of the Unix socket
	Group     string // group of the socket: a name or a number
	Operators []Principal
	Readers   []Principal // who may read; operators may read too
	Listen    *ControlTLS // nil: only the Unix socket
}

// Principal is who may use the control socket: one user, or every member of one group.
type Principal struct {
	Group bool   // Name, or ID, is that of a group
	Name  string // if empty, ID is used
	ID    uint32
}

// ControlTLS says how the control interface is reached over TCP, by clients with a certificate.
type ControlTLS struct {
	Address     netip.AddrPort
	Certificate string // paths of PEM files
	Key         string
	ClientCA    string
}

// Metrics says where Prometheus asks.
type Metrics struct {
	Listen netip.AddrPort // invalid: no metrics are served
}

// LogLevel is the least severe level of messages that are logged.
type LogLevel uint8

// The levels, as in log/slog.
const (
	LogDebug LogLevel = iota
	LogInfo
	LogWarn
	LogError
)

func (l LogLevel) String() string { return [...]string{"debug", "info", "warn", "error"}[l] }

// LogFormat is the form in which messages are written.
type LogFormat uint8

// LogText is for people, LogJSON for programs.
const (
	LogText LogFormat = iota
	LogJSON
)

func (f LogFormat) String() string { return [...]string{"text", "json"}[f] }

// Log says what is logged on standard error.
type Log struct {
	Level  LogLevel
	Format LogFormat
	Every  time.Duration // shortest time between two messages about one kind of drop
}

// Audit says where it is recorded which operator did what.
type Audit struct {
	File string // path; empty: the journal, through the log
}

// RelayIDSource says where the relay-id comes from.
type RelayIDSource uint8

// RelayIDMade is a DUID that is made once and kept in the state folder; RelayIDConfigured is
// RelayID.Value; RelayIDOnFile is what the file RelayID.File contains.
const (
	RelayIDMade RelayIDSource = iota
	RelayIDConfigured
	RelayIDOnFile
)

func (s RelayIDSource) String() string { return [...]string{"duid", "config", "file"}[s] }

// RelayID is the relay's identity in both families (RFC 5460 section 5.4, RFC
// 6925).
type RelayID struct {
	Source RelayIDSource
	Value  dhcp6.DUID // valid if Source is RelayIDConfigured
	V4     []byte     // for DHCPv4, if it differs from that for DHCPv6; nil: it is the same
	File   string     // used if Source is RelayIDOnFile
	Token  bool       // the file is on a token; without the token nothing is relayed
}

// InDHCPv4 returns what sub-option 12 carries (RFC 6925). duid is the identifier in use.
func (r *RelayID) InDHCPv4(duid []byte) []byte {
	if r.V4 != nil {
		return r.V4
	}
	return duid
}

// Host has what is common to all state in the kernel.
type Host struct {
	Protocol   uint8 // rtm_protocol of our routes
	Aggregates []hoststate.Aggregate
	Compare    time.Duration // time between two comparisons of the kernel with what we want; 0: none
	Orphans    time.Duration // how long orphans stay; 0: they are removed at once
}

// Store says how delegations are stored.
type Store struct {
	Reserve int64 // octets of disk that are kept free, so that existing bindings can be extended
}

// History says for how long it is kept who had which prefix when.
type History struct {
	Keep    time.Duration // 0: no history
	Entries int64         // at most so many; the oldest are deleted first
}

// Hook is a program that runs for events of delegations, leases and pools.
type Hook struct {
	Program string // path; empty: none
	Timeout time.Duration
	Events  []string // their words
	Queue   int      // events that may wait for the program
}

// Defaults of the file. The metric is a number that nothing else on a host uses. FRR does not
// keep the protocol number of a kernel route, so the routes of the relay are best selected by
// their metric.
const (
	defaultState       = "/var/lib/fairlead"
	defaultSocket      = "/run/fairlead/control.sock"
	defaultVICI        = "/run/charon.vici"
	defaultGroup       = "fairlead"
	defaultMetric      = 8700
	defaultProtocol    = 87
	defaultInterfaceID = "{interface}"
)

// Default returns a configuration with the defaults that are common to all roles, without
// sections.
func Default() *Config {
	return &Config{
		Process: Process{
			Control: Control{Socket: defaultSocket, Group: defaultGroup, Operators: []Principal{{Name: "root"}}},
			Metrics: Metrics{Listen: netip.AddrPortFrom(netip.IPv6Loopback(), 9547)},
			Log:     Log{Level: LogInfo, Format: LogText, Every: 10 * time.Second},
			Privacy: Privacy{Crash: IdentifiersHashed},
			IPsec:   IPsec{Socket: defaultVICI},

			sourcePorts: make(map[Family]uint16),
		},
		State:   defaultState,
		Host:    Host{Protocol: defaultProtocol, Compare: time.Minute, Orphans: day},
		Store:   Store{Reserve: 16 << 20},
		History: History{Keep: 30 * day, Entries: 1e6},
		Hook: Hook{
			Timeout: 10 * time.Second,
			Events:  []string{binding.Granted.String(), binding.Moved.String(), binding.Ended.String()},
			Queue:   1024,
		},
		Sections: make(map[string]Section),
	}
}
