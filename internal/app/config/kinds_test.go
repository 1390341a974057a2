package config

import "slices"

// relays are the sections of a process that can be a relay of either family.
var relays = Kinds{Relay6Kind(), Relay4Kind()}

// servers are the sections of a process that can be the DHCPv6 server as well.
var servers = append(slices.Clone(relays), Server6Kind())

// server6Of is the section of the DHCPv6 server.
func server6Of(c *Config) *Server6 { return c.Sections["server6"].(*Server6) }

// relay6Of is the section of the DHCPv6 relay.
func relay6Of(c *Config) *Relay6 { return c.Sections["relay6"].(*Relay6) }

// relay4Of is the section of a DHCPv4 relay.
func relay4Of(c *Config) *Relay4 { return c.Sections["relay4"].(*Relay4) }

// guardOf is the section of a guard.
func guardOf(c *Config) *Guard { return c.Sections[GuardName].(*Guard) }
