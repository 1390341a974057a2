package config

// relays are the sections of a process that can be a relay alone.
var relays = Kinds{Relay6Kind()}

// relay6Of is the section of the DHCPv6 relay.
func relay6Of(c *Config) *Relay6 { return c.Sections["relay6"].(*Relay6) }

// guardOf is the section of a guard.
func guardOf(c *Config) *Guard { return c.Sections[GuardName].(*Guard) }
